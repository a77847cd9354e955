//! Unified kernels: one EFI executable with kernel, initrd and command line as
//! sections (the Unified Kernel Image specification, UAPI.5).

use std::io::Read;

use crate::recipe::{self, MAX_CMDLINE_BYTES, MAX_INITRD_BYTES, MAX_KERNEL_BYTES};
use crate::volume::Volume;
use crate::warnings::Warnings;
use crate::{BootFacts, BootFactsError, Found, Located, Origin, bls, glob, kernels, pe, version};

/// Where the specification puts them, on the ESP or the extended boot
/// partition, or below `/boot` where that is a mere directory.
const DIRECTORIES: [&str; 2] = ["/EFI/Linux", "/boot/EFI/Linux"];
/// Where firmware looks on media without boot entries, for x86-64 and arm64.
const REMOVABLE: [&str; 2] = ["/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/BOOTAA64.EFI"];
/// An os-release file has some hundred bytes.
const MAX_OS_RELEASE_BYTES: u64 = 16 << 10;
/// The whole file: kernel and initrd are in it.
const MAX_UKI_BYTES: u64 = MAX_KERNEL_BYTES + MAX_INITRD_BYTES;

/// The unified kernel that systemd-boot would start.
pub(crate) fn find(volumes: &[Volume], warnings: &mut Warnings) -> Option<BootFacts> {
    all(volumes, warnings).next()
}

/// A unified kernel in the place for removable media.
pub(crate) fn find_removable(volumes: &[Volume], warnings: &mut Warnings) -> Option<BootFacts> {
    removable(volumes, warnings).next()
}

/// A unified kernel's file.
struct Candidate<'a> {
    volume: &'a Volume,
    directory: &'static str,
    name: String,
    is_default: bool,
}

impl Candidate<'_> {
    /// The name without `.efi` and boot counter, and whether that says that it failed too often.
    fn id(&self) -> (&str, bool) {
        bls::boot_counter(stem(&self.name).unwrap_or(&self.name))
    }
}

/// The unified kernels in the order in which systemd-boot shows them: the default
/// if one is set, else the highest version, and last those that failed too often.
pub(crate) fn all<'a>(
    volumes: &'a [Volume],
    warnings: &'a mut Warnings,
) -> impl Iterator<Item = BootFacts> + 'a {
    let mut images = candidates(volumes, warnings);
    images.sort_by(|a, b| {
        let ((id, is_bad), (other, is_other_bad)) = (a.id(), b.id());
        let defaults_first = b.is_default.cmp(&a.is_default);
        defaults_first
            .then_with(|| is_bad.cmp(&is_other_bad))
            .then_with(|| version::compare(other, id))
    });
    images.into_iter().filter_map(move |image| {
        let path = format!("{}/{}", image.directory, image.name);
        read(image.volume, &path, image.is_default)
            .inspect_err(|error| warnings.failed(&image.volume.name, error))
            .ok()
            .flatten()
    })
}

fn candidates<'a>(volumes: &'a [Volume], warnings: &mut Warnings) -> Vec<Candidate<'a>> {
    let default = bls::default_pattern(volumes, warnings);
    let is_default = |name: &str| {
        let is_called = |name: &str| default.as_ref().is_some_and(|d| glob::matches(d, name));
        let id = stem(name).map(|stem| bls::boot_counter(stem).0);
        is_called(name) || id.is_some_and(|id| is_called(&format!("{id}.efi")))
    };
    let mut images = Vec::new();
    for volume in volumes {
        for directory in DIRECTORIES {
            let names = volume.names(directory, warnings).into_iter();
            images.extend(names.filter(|name| stem(name).is_some()).map(|name| {
                let is_default = is_default(&name);
                Candidate { volume, directory, name, is_default }
            }));
        }
    }
    images
}

/// Unified kernels in the place for removable media.
pub(crate) fn removable<'a>(
    volumes: &'a [Volume],
    warnings: &'a mut Warnings,
) -> impl Iterator<Item = BootFacts> + 'a {
    let places = volumes.iter().flat_map(|volume| REMOVABLE.map(|path| (volume, path)));
    places.filter_map(move |(volume, path)| match read(volume, path, false) {
        Ok(facts) => facts,
        Err(BootFactsError::Missing { .. }) => None,
        Err(error) => {
            warnings.failed(&volume.name, &error);
            None
        }
    })
}

/// The name of an EFI executable without its suffix; `None` if it is something else.
fn stem(name: &str) -> Option<&str> {
    let (stem, suffix) = name.split_at_checked(name.len().checked_sub(".efi".len())?)?;
    (!stem.is_empty() && suffix.eq_ignore_ascii_case(".efi")).then_some(stem)
}

/// The unified kernel at `path`; `None` if it is some other executable.
fn read(
    volume: &Volume,
    path: &str,
    is_default: bool,
) -> Result<Option<BootFacts>, BootFactsError> {
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
    let cmdline =
        part(".cmdline").map(|cmdline| command_line(volume, path, &cmdline)).transpose()?;
    let title = part(".osrel").and_then(|osrel| pretty_name(volume, path, &osrel));
    let file_name = path.rsplit('/').next().unwrap_or(path);
    let title = title.as_deref().unwrap_or(file_name);
    Ok(Some(BootFacts {
        kernel,
        initrd: Located::concatenate(initrd),
        cmdline: cmdline.unwrap_or_default(),
        found: Found::on(volume, Origin::UnifiedKernel, path, title, is_default),
        source: format!("{} {path}, unified kernel", volume.name),
        warnings: Vec::new(),
    }))
}

/// The command line: text up to a NUL, without white space around it.
fn command_line(volume: &Volume, path: &str, part: &Located) -> Result<String, BootFactsError> {
    let text = text(volume, path, part, MAX_CMDLINE_BYTES as u64)?;
    let text = text.split('\0').next().unwrap_or_default().trim().to_owned();
    recipe::check_cmdline(&text)?;
    Ok(text)
}

/// What systemd-boot calls it (os-release(5)). Only a title: one that cannot be read is none.
fn pretty_name(volume: &Volume, path: &str, part: &Located) -> Option<String> {
    let text = text(volume, path, part, MAX_OS_RELEASE_BYTES).ok()?;
    kernels::assigned(&text, "PRETTY_NAME").map(str::to_owned)
}

fn text(
    volume: &Volume,
    path: &str,
    part: &Located,
    limit_bytes: u64,
) -> Result<String, BootFactsError> {
    check_size(part, limit_bytes)?;
    let mut bytes = Vec::new();
    part.reader(&volume.fs)?
        .read_to_end(&mut bytes)
        .map_err(|source| BootFactsError::File { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn check_size(part: &Located, limit_bytes: u64) -> Result<(), BootFactsError> {
    if part.size_bytes > limit_bytes {
        let (path, found_bytes) = (part.path.clone(), part.size_bytes);
        return Err(BootFactsError::Size { path, found_bytes, limit_bytes });
    }
    Ok(())
}
