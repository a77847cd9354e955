//! What is outside of the root file system and makes it boot: the EFI system partition and the
//! sectors that a BIOS runs, made of what the deployed tree brings.

use super::esp::{self, EspFile, Proofs, Source};
use super::gates;
use super::notice::Notice;
use super::region::{Purpose, Region, not_handed_over};
use crate::Error;
use crate::boot::{
    BOOT_CODE_BYTES, BOOT_IMAGE, Core, CoreError, Entry, Loaders, Platform, UefiLoader,
};
use crate::layout::{Partition, Role, Table};
use crate::mark::Mark;
use crate::meter::Meter;
use crate::target::{ALIGN_BYTES, Target};
use crate::tree::Root;
use crate::vfat::{self, Content, Shape, Volume};
use crate::volumes::FileSystem;
use std::io::{Cursor, Read};
use std::os::fd::AsFd;

/// What of the tree is booted.
#[derive(Debug, Clone)]
pub(crate) struct Booted {
    /// Kernel and initrd by their absolute paths in the root, with the whole command line.
    pub(crate) entry: Entry,
    /// UUID of the root's file system, as text.
    pub(crate) root_uuid: String,
    /// Its kind.
    pub(crate) root_kind: FileSystem,
}

/// For which firmware a disk has a boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Boots {
    /// For UEFI.
    pub uefi: bool,
    /// For a BIOS.
    pub bios: bool,
}

/// The files, and what they are made of.
pub(crate) struct BootFiles<'a> {
    root: &'a Root,
    table: &'a Table,
    esp: Partition,
    volume: Volume,
    loaders: Ready,
}

/// Boot loaders, ready to be written.
struct Ready {
    files: Vec<EspFile>,
    core: Option<BiosCore>,
    /// Why one is not among them.
    lacks: Option<String>,
}

/// A core, and the partition that it goes into.
type BiosCore = (Partition, Core);

/// An error where the files that the label knows find no room on the EFI system partition of
/// `table`.
pub(super) fn check_room(
    table: &Table,
    booted: &Booted,
    loaders: &Loaders,
    proofs: Proofs<'_>,
) -> Result<(), Error> {
    let Some(loader) = loaders.uefi else { return Ok(()) };
    let files = esp::files(booted, loader, proofs)?.unwrap_or_default();
    volume(table, partition(table, Role::Esp)?, &files).map(drop)
}

/// What is left of both, and what is not there: the error of the last where nothing is left.
fn one_at_least(
    uefi: Option<Result<Vec<EspFile>, Error>>,
    bios: Option<Result<Option<BiosCore>, Error>>,
) -> Result<Ready, Error> {
    let lacks = |firmware: &str, error: &CoreError| {
        let mut why = format!("no boot loader for {firmware}: {error}");
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            why = format!("{why}: {error}");
            source = error.source();
        }
        Some(why)
    };
    match (uefi.transpose(), bios.transpose().map(Option::flatten)) {
        (Ok(Some(files)), Err(Error::Core(error))) => {
            Ok(Ready { files, core: None, lacks: lacks("a BIOS", &error) })
        }
        (Err(Error::Core(error)), Ok(Some(core))) => {
            Ok(Ready { files: Vec::new(), core: Some(core), lacks: lacks("UEFI", &error) })
        }
        (files, core) => Ok(Ready { files: files?.unwrap_or_default(), core: core?, lacks: None }),
    }
}

/// The EFI system partition with `files`.
fn volume(table: &Table, esp: &Partition, files: &[EspFile]) -> Result<Volume, Error> {
    let [i0, i1, i2, i3, ..] = esp.guid.0;
    let shape = Shape {
        size_bytes: esp.size_bytes,
        sector_bytes: table.sector_bytes,
        start_bytes: esp.start_bytes,
        // Part of the partition's identity, so that it stays the same.
        id: u32::from_le_bytes([i0, i1, i2, i3]),
        label: "ESP",
    };
    let file = |file: &EspFile| vfat::File {
        path: file.path.clone(),
        size_bytes: file.source.size_bytes(),
    };
    Ok(Volume::plan(shape, &files.iter().map(file).collect::<Vec<_>>())?)
}

impl<'a> BootFiles<'a> {
    /// What makes the tree on `root` boot, if it brings a kernel; nothing is written. Where there are
    /// boot loaders for both kinds of firmware, one that cannot be made is done without.
    pub(crate) fn prepare(
        root: &'a Root,
        table: &'a Table,
        booted: Option<&Booted>,
        proofs: Proofs<'_>,
    ) -> Result<Self, Error> {
        let number = partition(table, Role::Root)?.number;
        let brought = Loaders::of(|path| root.has_file(path.as_bytes()));
        let uefi = booted.zip(brought.uefi).map(|(booted, loader)| {
            match (esp::files(booted, loader, proofs)?, loader) {
                (None, UefiLoader::Grub(program)) => esp::made(root, number, booted, program),
                (files, _) => Ok(files.unwrap_or_default()),
            }
        });
        let bios = booted.zip(brought.bios).map(|(booted, program)| {
            bios_core(root, table, (number, booted.root_kind), program, proofs)
        });
        let loaders = one_at_least(uefi, bios)?;
        let esp = partition(table, Role::Esp)?.clone();
        let volume = volume(table, &esp, &loaders.files)?;
        Ok(Self { root, table, esp, volume, loaders })
    }

    /// Why there is no boot loader for one kind of firmware, though the tree brings one.
    pub(crate) fn lacks(&self) -> Option<&str> {
        self.loaders.lacks.as_deref()
    }

    /// For which firmware there is a boot loader.
    pub(crate) fn boots(&self) -> Boots {
        Boots { uefi: !self.loaders.files.is_empty(), bios: self.loaders.core.is_some() }
    }

    /// Whether all of it is on the disk, the gates open.
    pub(crate) fn are_there(&self, target: &Target, meter: &Meter) -> Result<bool, Error> {
        if !gates::are_open(target, self.table, &self.volume.gate(), &self.boot_code())? {
            return Ok(false);
        }
        for region in self.regions()? {
            match region.pass(target, Purpose::Compare, meter) {
                Ok(None) => {}
                // Also where the root's own file reads wrong now.
                Ok(Some(_)) | Err(Error::ReadBack { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes all but the gates, durably, and reads it back.
    pub(crate) fn write(&self, target: &Target, meter: &Meter) -> Result<(), Error> {
        for region in self.regions()? {
            region.pass(target, Purpose::Write, meter)?;
        }
        target.flush()?;
        target.drop_cache();
        for region in self.regions()? {
            if let Some(wrong) = region.pass(target, Purpose::Compare, meter)? {
                return Err(wrong.error(target));
            }
        }
        Ok(())
    }

    /// Opens the gates and marks the disk as finished.
    pub(crate) fn open_gates(&self, target: &Target, mark: Mark) -> Result<(), Error> {
        gates::open(target, self.table, &self.volume.gate(), &self.boot_code(), mark)
    }

    /// What a BIOS runs.
    fn boot_code(&self) -> [u8; BOOT_CODE_BYTES] {
        let core = self.loaders.core.as_ref();
        core.map_or_else(|| Notice::NoLoader.boot_code(), |(_, core)| core.boot_code)
    }

    /// Everything but the gates.
    fn regions(&self) -> Result<Vec<Region<'_>>, Error> {
        let mut regions = Vec::new();
        for extent in self.volume.extents() {
            let content: Box<dyn Read> = match extent.content {
                Content::Bytes(bytes) => Box::new(Cursor::new(bytes)),
                Content::File(file) => self.loaders.files[file].source.open(self.root)?,
            };
            let start_bytes = self.esp.start_bytes + extent.range.start;
            let size_bytes = extent.range.end - extent.range.start;
            regions.push(Region { start_bytes, size_bytes, content });
        }
        if let Some((partition, core)) = &self.loaders.core {
            regions.push(Region {
                start_bytes: partition.start_bytes,
                size_bytes: (core.core.len() as u64).next_multiple_of(ALIGN_BYTES as u64),
                content: Box::new(&core.core[..]),
            });
        }
        Ok(regions)
    }
}

/// What makes a BIOS boot the disk; GRUB does not boot by BIOS from disks with large sectors.
fn bios_core(
    root: &Root,
    table: &Table,
    (number, kind): (u32, FileSystem),
    program: &str,
    proofs: Proofs<'_>,
) -> Result<Option<BiosCore>, Error> {
    if table.sector_bytes > 512 {
        return Ok(None);
    }
    let partition = partition(table, Role::BiosBoot)?.clone();
    let mut boot_image = Vec::new();
    let source = Source::of(proofs, BOOT_IMAGE)?;
    let read = source.open(root)?.take(ALIGN_BYTES as u64).read_to_end(&mut boot_image);
    read.map_err(not_handed_over)?;
    let core = Platform::Bios.make(root.as_fd(), program, kind, number)?;
    let core = Core::place(&boot_image, core, partition.start_bytes, partition.size_bytes)?;
    Ok(Some((partition, core)))
}

fn partition(table: &Table, role: Role) -> Result<&Partition, Error> {
    table.partition(role).ok_or(Error::NoPartition { role })
}
