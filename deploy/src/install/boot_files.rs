//! What is outside of the root file system and makes it boot: the EFI system partition and the
//! sectors that a BIOS runs, made of what the deployed tree brings.

use super::esp::{self, EspFile};
use super::gates;
use super::notice::Notice;
use super::region::{Purpose, Region};
use crate::Error;
use crate::boot::{BOOT_CODE_BYTES, Core, Entry, Loaders, Platform};
use crate::layout::{Partition, Role, Table};
use crate::mark::Mark;
use crate::meter::Meter;
use crate::target::{ALIGN_BYTES, Target};
use crate::tree::Root;
use crate::vfat::{self, Content, Shape, Volume};
use crate::volumes::FileSystem;
use std::io::{Cursor, Read};
use std::os::fd::AsFd;

/// GRUB's first stage, beside its modules.
const BOOT_IMAGE: &str = "usr/lib/grub/i386-pc/boot.img";

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
    files: Vec<EspFile>,
    core: Option<(Partition, Core)>,
}

impl<'a> BootFiles<'a> {
    /// What makes the tree on `root` boot, if it brings a kernel; nothing is written.
    pub(crate) fn prepare(
        root: &'a Root,
        table: &'a Table,
        booted: Option<&Booted>,
    ) -> Result<Self, Error> {
        let esp = partition(table, Role::Esp)?.clone();
        let number = partition(table, Role::Root)?.number;
        let loaders = Loaders::of(|path| root.has_file(path.as_bytes()));
        let files = match booted.zip(loaders.uefi) {
            Some((booted, loader)) => esp::files(root, number, booted, loader)?,
            None => Vec::new(),
        };
        let core = match booted.zip(loaders.bios) {
            Some((booted, program)) => bios_core(root, table, number, booted.root_kind, program)?,
            None => None,
        };
        let [i0, i1, i2, i3, ..] = esp.guid.0;
        let shape = Shape {
            size_bytes: esp.size_bytes,
            sector_bytes: table.sector_bytes,
            start_bytes: esp.start_bytes,
            // Part of the partition's identity, so that it stays the same.
            id: u32::from_le_bytes([i0, i1, i2, i3]),
            label: "ESP",
        };
        let list: Vec<vfat::File> = files
            .iter()
            .map(|EspFile { path, source }| vfat::File {
                path: path.clone(),
                size_bytes: source.size_bytes(),
            })
            .collect();
        let volume = Volume::plan(shape, &list)?;
        Ok(Self { root, table, esp, volume, files, core })
    }

    /// For which firmware there is a boot loader.
    pub(crate) fn boots(&self) -> Boots {
        Boots { uefi: !self.files.is_empty(), bios: self.core.is_some() }
    }

    /// Whether all of it is on the disk, the gates open.
    pub(crate) fn are_there(&self, target: &Target, meter: &Meter) -> Result<bool, Error> {
        if !gates::are_open(target, self.table, &self.volume.gate(), &self.boot_code())? {
            return Ok(false);
        }
        for region in self.regions()? {
            if region.pass(target, Purpose::Compare, meter)?.is_some() {
                return Ok(false);
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
        let core = self.core.as_ref();
        core.map_or_else(|| Notice::NoLoader.boot_code(), |(_, core)| core.boot_code)
    }

    /// Everything but the gates.
    fn regions(&self) -> Result<Vec<Region<'_>>, Error> {
        let mut regions = Vec::new();
        for extent in self.volume.extents() {
            let content: Box<dyn Read> = match extent.content {
                Content::Bytes(bytes) => Box::new(Cursor::new(bytes)),
                Content::File(file) => self.files[file].source.open(self.root)?,
            };
            let start_bytes = self.esp.start_bytes + extent.range.start;
            let size_bytes = extent.range.end - extent.range.start;
            regions.push(Region { start_bytes, size_bytes, content });
        }
        if let Some((partition, core)) = &self.core {
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
    number: u32,
    kind: FileSystem,
    program: &str,
) -> Result<Option<(Partition, Core)>, Error> {
    if table.sector_bytes > 512 {
        return Ok(None);
    }
    let partition = partition(table, Role::BiosBoot)?.clone();
    let mut boot_image = Vec::new();
    let read = root.file(BOOT_IMAGE.as_bytes());
    let read = read.and_then(|file| file.take(ALIGN_BYTES as u64).read_to_end(&mut boot_image));
    read.map_err(root.failed("read", BOOT_IMAGE.as_bytes()))?;
    let core = Platform::Bios.make(root.as_fd(), program, kind, number)?;
    let core = Core::place(&boot_image, core, partition.start_bytes, partition.size_bytes)?;
    Ok(Some((partition, core)))
}

fn partition(table: &Table, role: Role) -> Result<&Partition, Error> {
    table.partition(role).ok_or(Error::NoPartition { role })
}
