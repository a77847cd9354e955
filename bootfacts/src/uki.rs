//! Unified kernels: one EFI executable with kernel, initrd and command line as
//! sections (the Unified Kernel Image specification, UAPI.5).

use std::io::Read;

use crate::recipe::{self, MAX_CMDLINE_BYTES, MAX_INITRD_BYTES, MAX_KERNEL_BYTES};
use crate::volume::Volume;
use crate::warnings::Warnings;
use crate::{BootFacts, BootFactsError, Located, bls, glob, pe, version};

/// Where the specification puts them, on the ESP or the extended boot
/// partition, or below `/boot` where that is a mere directory.
const DIRECTORIES: [&str; 2] = ["/EFI/Linux", "/boot/EFI/Linux"];
/// Where firmware looks on media without boot entries, for x86-64 and arm64.
const REMOVABLE: [&str; 2] = ["/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/BOOTAA64.EFI"];
/// The whole file: kernel and initrd are in it.
const MAX_UKI_BYTES: u64 = MAX_KERNEL_BYTES + MAX_INITRD_BYTES;

/// The unified kernel that systemd-boot would start: the default if one is
/// set, else the highest version.
pub(crate) fn find(volumes: &[Volume], warnings: &mut Warnings) -> Option<BootFacts> {
    let mut images: Vec<(&Volume, &str, String)> = Vec::new();
    for volume in volumes {
        for directory in DIRECTORIES {
            let names = volume.names(directory, warnings).into_iter();
            images.extend(names.filter(|name| is_uki(name)).map(|name| (volume, directory, name)));
        }
    }
    let default = bls::default_pattern(volumes, warnings);
    let is_default = |name: &str| default.as_ref().is_some_and(|d| glob::matches(d, name));
    images.sort_by(|(_, _, a), (_, _, b)| {
        is_default(b).cmp(&is_default(a)).then_with(|| version::compare(b, a))
    });
    images.into_iter().find_map(|(volume, directory, name)| {
        let path = format!("{directory}/{name}");
        read(volume, &path).inspect_err(|error| warnings.failed(&volume.name, error)).ok().flatten()
    })
}

/// A unified kernel in the place for removable media.
pub(crate) fn find_removable(volumes: &[Volume], warnings: &mut Warnings) -> Option<BootFacts> {
    for volume in volumes {
        for path in REMOVABLE {
            match read(volume, path) {
                Ok(Some(facts)) => return Some(facts),
                Ok(None) | Err(BootFactsError::Missing { .. }) => {}
                Err(error) => warnings.failed(&volume.name, &error),
            }
        }
    }
    None
}

fn is_uki(name: &str) -> bool {
    let name = name.to_lowercase();
    name.strip_suffix(".efi").is_some_and(|stem| !stem.is_empty())
}

/// The unified kernel at `path`; `None` if it is some other executable.
fn read(volume: &Volume, path: &str) -> Result<Option<BootFacts>, BootFactsError> {
    let file = volume.locate(path, MAX_UKI_BYTES)?;
    let head = volume.fs.read_prefix(path, pe::MAX_HEADER_BYTES)?;
    let sections = pe::sections(&head, file.size_bytes)?;
    // From the first `.profile` on, sections are alternatives to the default.
    let base = sections.iter().take_while(|section| section.name != ".profile");
    let part = |name: &str| {
        let found = base.clone().find(|s| s.name == name && s.length_bytes > 0);
        found.map(|section| file.section(name, section.offset_bytes, section.length_bytes))
    };
    let Some(kernel) = part(".linux") else { return Ok(None) };
    check_size(&kernel, MAX_KERNEL_BYTES)?;
    let initrd = [".ucode", ".initrd"].into_iter().filter_map(part).collect();
    let cmdline = part(".cmdline").map(|cmdline| text(volume, path, &cmdline)).transpose()?;
    Ok(Some(BootFacts {
        kernel,
        initrd: Located::concatenate(initrd),
        cmdline: cmdline.unwrap_or_default(),
        source: format!("{} {path}, unified kernel", volume.name),
        warnings: Vec::new(),
    }))
}

/// The command line: text up to a NUL, without white space around it.
fn text(volume: &Volume, path: &str, cmdline: &Located) -> Result<String, BootFactsError> {
    check_size(cmdline, MAX_CMDLINE_BYTES as u64)?;
    let mut bytes = Vec::new();
    cmdline
        .reader(&volume.fs)?
        .read_to_end(&mut bytes)
        .map_err(|source| BootFactsError::File { path: path.to_owned(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.split('\0').next().unwrap_or_default().trim().to_owned();
    recipe::check_cmdline(&text)?;
    Ok(text)
}

fn check_size(part: &Located, limit_bytes: u64) -> Result<(), BootFactsError> {
    if part.size_bytes > limit_bytes {
        let (path, found_bytes) = (part.path.clone(), part.size_bytes);
        return Err(BootFactsError::Size { path, found_bytes, limit_bytes });
    }
    Ok(())
}
