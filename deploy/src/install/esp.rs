//! The files of the EFI system partition: a boot loader where firmware looks on a disk that it was
//! not told anything about, and what that loader reads.

use super::boot_files::Booted;
use super::proven::Proven;
use crate::Error;
use crate::boot::{Entry, Platform, UefiLoader, bls_entry, loader_config};
use crate::tree::{Proof, Root};
use std::io::{Cursor, Read};
use std::os::fd::AsFd;

/// UEFI 2.10, 3.5.1.1.
const REMOVABLE: &str = "EFI/BOOT/BOOTX64.EFI";

/// The name of our entry's file.
const ENTRY: &str = "inaugurator.conf";

/// Where kernels are, in a directory for each manifest.
const KERNELS: &str = "inaugurator";

/// A file of the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EspFile {
    pub(super) path: String,
    pub(super) source: Source,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A regular file of the root, and by what it is proven.
    Root(String, Proof),
}

/// What the label says of its regular files.
pub(super) type Proofs<'a> = &'a dyn Fn(&[u8]) -> Option<Proof>;

impl Source {
    pub(super) fn of(proofs: Proofs<'_>, path: &str) -> Result<Self, Error> {
        let none = || Error::BootPath { file: "a boot file", found: format!("no file at /{path}") };
        Ok(Self::Root(path.to_owned(), proofs(path.as_bytes()).ok_or_else(none)?))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Root(_, proof) => proof.size_bytes,
        }
    }

    pub(super) fn open<'a>(&'a self, root: &Root) -> Result<Box<dyn Read + 'a>, Error> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes)),
            Self::Root(path, proof) => Box::new(Proven::open(root, path, proof)?),
        })
    }
}

/// The files by which `loader` boots what is booted; none where it has to be made first.
pub(super) fn files(
    booted: &Booted,
    loader: UefiLoader,
    proofs: Proofs<'_>,
) -> Result<Option<Vec<EspFile>>, Error> {
    let file = |path: &str, source| EspFile { path: path.to_owned(), source };
    match loader {
        UefiLoader::SystemdBoot(path) => systemd_boot(booted, path, proofs).map(Some),
        UefiLoader::Grub(_) => Ok(None),
        UefiLoader::GrubSigned(path) => {
            let config = Source::Bytes(hand_over(&booted.root_uuid).into_bytes());
            let core = file(REMOVABLE, Source::of(proofs, path)?);
            // Where the signed core looks, by the name of its distribution.
            Ok(Some(vec![core, file("EFI/debian/grub.cfg", config)]))
        }
    }
}

/// The file that GRUB is, its core made by `program` on `root`, whose partition has this number.
pub(super) fn made(
    root: &Root,
    number: u32,
    booted: &Booted,
    program: &str,
) -> Result<Vec<EspFile>, Error> {
    let core = Platform::Uefi.make(root.as_fd(), program, booted.root_kind, number)?;
    Ok(vec![EspFile { path: REMOVABLE.to_owned(), source: Source::Bytes(core) }])
}

/// systemd-boot reads nothing but the partition that it is on: the kernel comes to it.
fn systemd_boot(booted: &Booted, path: &str, proofs: Proofs<'_>) -> Result<Vec<EspFile>, Error> {
    let Entry { version, kernel, initrd, .. } = &booted.entry;
    let place = |name: &str| format!("{KERNELS}/{version}/{name}");
    let entry = Entry {
        kernel: format!("/{}", place("linux")),
        initrd: initrd.as_ref().map(|_| format!("/{}", place("initrd"))),
        ..booted.entry.clone()
    };
    let of_root = |path: &str| Source::of(proofs, path.trim_start_matches('/'));
    let mut all = vec![
        (REMOVABLE.to_owned(), of_root(path)?),
        // Where bootctl(1) of the deployed system expects to find it.
        ("EFI/systemd/systemd-bootx64.efi".to_owned(), of_root(path)?),
        ("loader/loader.conf".to_owned(), Source::Bytes(loader_config(ENTRY).into_bytes())),
        (format!("loader/entries/{ENTRY}"), Source::Bytes(bls_entry(&entry).into_bytes())),
        (place("linux"), of_root(kernel)?),
    ];
    if let Some(initrd) = initrd {
        all.push((place("initrd"), of_root(initrd)?));
    }
    Ok(all.into_iter().map(|(path, source)| EspFile { path, source }).collect())
}

/// What leads a GRUB on the EFI system partition to the configuration in the root.
fn hand_over(root_uuid: &str) -> String {
    format!(
        "search.fs_uuid {root_uuid} root\nset prefix=($root)/boot/grub\nconfigfile \
         $prefix/grub.cfg\n"
    )
}
