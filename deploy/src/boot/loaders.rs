//! Which boot loaders a tree brings.

use super::Platform;

/// systemd-boot, as its packages lay it down; the signed one first.
const SYSTEMD_BOOT: [&str; 2] = [
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed",
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
];

/// GRUB's program that makes its core, by its names in distributions.
const GRUB_MKIMAGE: [&str; 2] = ["usr/bin/grub-mkimage", "usr/bin/grub2-mkimage"];

/// GRUB's first stage, beside its modules.
pub(crate) const BOOT_IMAGE: &str = "usr/lib/grub/i386-pc/boot.img";

/// GRUB for UEFI in one piece, as Debian signs it. It looks for `EFI/debian/grub.cfg`.
const GRUB_SIGNED: &str = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";

/// What a tree has to boot by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loaders {
    /// On machines with UEFI.
    pub uefi: Option<UefiLoader>,
    /// On machines with a BIOS: the path of GRUB's program that makes its core.
    pub bios: Option<&'static str>,
}

/// Boot loaders for UEFI, the preferred first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UefiLoader {
    /// systemd-boot at this path.
    SystemdBoot(&'static str),
    /// GRUB, its core made by the program at this path.
    Grub(&'static str),
    /// GRUB in one piece at this path.
    GrubSigned(&'static str),
}

impl Loaders {
    /// Those of a tree in which there is a regular file wherever `has` says so.
    pub fn of(has: impl Fn(&str) -> bool) -> Self {
        let first = |paths: &[&'static str]| paths.iter().copied().find(|path| has(path));
        let mkimage = |platform: Platform| {
            first(&GRUB_MKIMAGE).filter(|_| has(&platform.module("normal.mod")))
        };
        let uefi = first(&SYSTEMD_BOOT)
            .map(UefiLoader::SystemdBoot)
            .or_else(|| mkimage(Platform::Uefi).map(UefiLoader::Grub))
            .or_else(|| first(&[GRUB_SIGNED]).map(UefiLoader::GrubSigned));
        Self { uefi, bios: mkimage(Platform::Bios).filter(|_| has(BOOT_IMAGE)) }
    }

    /// Whether GRUB is among them: it reads its configuration from the root.
    pub fn has_grub(&self) -> bool {
        self.bios.is_some()
            || matches!(self.uefi, Some(UefiLoader::Grub(_) | UefiLoader::GrubSigned(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_loader_is_taken() {
        const SYSTEMD: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
        const BIOS: &str = "usr/lib/grub/i386-pc/normal.mod";
        const EFI: &str = "usr/lib/grub/x86_64-efi/normal.mod";
        const MKIMAGE: &str = "usr/bin/grub-mkimage";
        let (systemd, grub) =
            (Some(UefiLoader::SystemdBoot(SYSTEMD)), Some(UefiLoader::Grub(MKIMAGE)));
        let signed = Some(UefiLoader::GrubSigned(GRUB_SIGNED));
        let table: [(&[&str], Option<UefiLoader>, Option<&str>); 7] = [
            (&[], None, None),
            (&[SYSTEMD], systemd, None),
            (&[SYSTEMD, EFI, BIOS, BOOT_IMAGE, MKIMAGE], systemd, Some(MKIMAGE)),
            (&[EFI, MKIMAGE, GRUB_SIGNED], grub, None),
            (&[BIOS, BOOT_IMAGE, MKIMAGE, GRUB_SIGNED], signed, Some(MKIMAGE)),
            (&[BIOS, BOOT_IMAGE, EFI], None, None),
            (&[BIOS, MKIMAGE], None, None),
        ];
        for (files, uefi, bios) in table {
            assert_eq!(Loaders::of(|path| files.contains(&path)), Loaders { uefi, bios });
        }
    }
}
