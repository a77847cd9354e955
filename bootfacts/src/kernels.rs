//! The newest kernel of a tree that has no boot loader's configuration: as a
//! distribution's packages put it, with the command line they would give it.

use crate::recipe::Recipe;
use crate::volume::Volume;
use crate::warnings::Warnings;
use crate::{BootFacts, Found, Origin, version};

/// Where kernels are, as Debian, Fedora, SUSE and Arch install them.
const DIRECTORY: &str = "/boot";
/// What the files of kernels are called, before their version.
const KERNELS: [&str; 3] = ["vmlinuz-", "vmlinux-", "Image-"];
/// What the initrd of a version is called, around it.
const INITRDS: [(&str, &str); 4] =
    [("initrd.img-", ""), ("initramfs-", ".img"), ("initrd-", ""), ("initrd-", ".img")];
/// Where `kernel-install` has the command line.
const CMDLINE: &str = "/etc/kernel/cmdline";
/// Where `grub-mkconfig` has its settings.
const GRUB_DEFAULTS: &str = "/etc/default/grub";
/// Kernels whose files are looked at before it is given up.
const MAX_TRIED: usize = 32;

/// The kernel of the highest version in `/boot`, with its initrd if there is one.
pub(crate) fn find(volumes: &[Volume], warnings: &mut Warnings) -> Option<BootFacts> {
    let volume = volumes.first()?;
    let (cmdline, origin) = cmdline(volume, warnings);
    newest(volume, &cmdline, &origin, warnings)
}

/// As [`find`], of each volume of a disk that has both a kernel and the root it is for. Where
/// nothing says what the root is, it is the file system that the kernel is on.
pub(crate) fn of_disk(volumes: &[Volume], warnings: &mut Warnings) -> Vec<BootFacts> {
    let newest = |volume: &Volume| {
        let (cmdline, origin) = cmdline(volume, warnings);
        let is_named = cmdline.split_whitespace().any(|word| word.starts_with("root="));
        let root = format!("root=UUID={} ro {cmdline}", volume.fs.uuid());
        let cmdline = if is_named { cmdline } else { root.trim().to_owned() };
        let facts = newest(volume, &cmdline, &origin, warnings)?;
        // A kernel alone does not find a file system by its UUID.
        if is_named || (facts.initrd.is_some() && facts.found.file_system == "ext4") {
            return Some(facts);
        }
        warnings.add(format!("{}: nothing says what its root is", facts.source));
        None
    };
    volumes.iter().filter_map(newest).collect()
}

fn newest(
    volume: &Volume,
    cmdline: &str,
    origin: &str,
    warnings: &mut Warnings,
) -> Option<BootFacts> {
    let names = volume.names(DIRECTORY, warnings);
    let mut kernels: Vec<(&str, &str)> = names.iter().filter_map(|name| kernel(name)).collect();
    kernels.sort_by(|(_, one), (_, other)| version::compare(other, one));
    kernels.into_iter().take(MAX_TRIED).find_map(|(name, version)| {
        let called = |(before, after): &(&str, &str)| format!("{before}{version}{after}");
        let initrd = INITRDS.iter().map(called).find(|initrd| names.contains(initrd));
        let kernel = format!("{DIRECTORY}/{name}");
        let source = format!("{} {kernel}, the newest{origin}", volume.name);
        let title = format!("Linux {version}");
        let found = Found::on(volume, Origin::NewestKernel, &kernel, &title, false);
        let initrds = initrd.map(|name| format!("{DIRECTORY}/{name}")).into_iter().collect();
        Recipe { kernel, initrds, cmdline: cmdline.to_owned() }
            .locate(volume, found, source)
            .inspect_err(|error| warnings.failed(&volume.name, error))
            .ok()
    })
}

/// A kernel's file as its name and version, unless it is one that nobody boots by default.
fn kernel(name: &str) -> Option<(&str, &str)> {
    let version = KERNELS.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let is_spare = version.contains("rescue") || version.strip_suffix(".old").is_some();
    (!version.is_empty() && !is_spare).then_some((name, version))
}

/// The command line that the next kernel would get, and where it is from.
fn cmdline(volume: &Volume, warnings: &mut Warnings) -> (String, String) {
    if let Some(text) = volume.text(CMDLINE, warnings) {
        let words: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        return (words.join(" ").trim().to_owned(), format!(", command line of {CMDLINE}"));
    }
    let Some(text) = volume.text(GRUB_DEFAULTS, warnings) else {
        return (String::new(), String::new());
    };
    let set = ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"];
    let words: Vec<_> = set.iter().filter_map(|name| assigned(&text, name)).collect();
    (words.join(" ").trim().to_owned(), format!(", command line of {GRUB_DEFAULTS}"))
}

/// What a shell's assignment gives `name`, the last one that does; quotes are taken off.
pub(crate) fn assigned<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.trim().strip_prefix(name)?.strip_prefix('=');
    let value = text.lines().filter_map(value).next_back()?;
    let quoted = |quote| value.strip_prefix(quote)?.split(quote).next();
    quoted('"').or_else(|| quoted('\'')).or_else(|| value.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kernels() {
        for (name, expected) in [
            ("vmlinuz-6.1.0-18-amd64", Some("6.1.0-18-amd64")),
            ("vmlinuz-0-rescue-1a2b", None),
            ("vmlinuz-6.1.old", None),
            ("vmlinuz", None),
            ("config-6.1", None),
        ] {
            assert_eq!(kernel(name).map(|(_, version)| version), expected, "{name}");
        }
    }

    #[test]
    fn assignments_of_a_shell() {
        let text = "# A=0\nA=\"quiet splash\" # x\nB='a b'\nC=c d\nA_B=x\nD=\n";
        for (name, expected) in
            [("A", Some("quiet splash")), ("B", Some("a b")), ("C", Some("c")), ("D", None)]
        {
            assert_eq!(assigned(text, name), expected, "{name}");
        }
    }
}
