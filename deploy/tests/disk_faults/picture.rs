//! Images with real partition tables, and the disks that they are to become. Made from the
//! specifications of the tables (UEFI 2.10, sections 5.2 and 5.3), not by the engine.

use super::noise::Noise;

/// Where the content begins, and what is held back at either end, bytes.
pub(crate) const MIB: usize = 1 << 20;

/// The block before 1 MiB where a disk says what it holds.
pub(crate) const MARK: std::ops::Range<usize> = MIB - 4096..MIB;

const SECTOR: usize = 512;

/// Entries of a table take so many sectors.
const ARRAY_SECTORS: usize = 32;

/// Behind the content there is room for the backup table, and more zeroes.
const END_BYTES: usize = 64 << 10;

/// Which partition table an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Gpt,
    Mbr,
    /// None: a file system, or anything. No room for a mark.
    None,
}

/// What an image is made of.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) table: Table,
    /// Tells its table and boot code from others'.
    pub(crate) id: u8,
    /// Blocks of its content: 0 is zeroes, other numbers are noise of that seed.
    pub(crate) blocks: Vec<u16>,
}

impl Picture {
    /// Runs of `run` blocks, each by a number of its own that `runs` gives; 0 is zeroes.
    pub(crate) fn of_runs(table: Table, id: u8, runs: &[u8], run: u16) -> Self {
        let block =
            |run_of: u8, index| if run_of == 0 { 0 } else { u16::from(run_of) * 256 + index };
        let blocks = runs.iter().flat_map(|of| (0..run).map(move |index| block(*of, index)));
        Self { table, id, blocks: blocks.collect() }
    }

    /// The image.
    pub(crate) fn image(&self) -> Vec<u8> {
        let mut image = vec![0; MIB + self.blocks.len() * 4096 + END_BYTES];
        for (number, block) in self.blocks.iter().zip(image[MIB..].chunks_exact_mut(4096)) {
            if *number != 0 {
                Noise::of(u64::from(*number)).fill(block);
            }
        }
        self.boot_code(&mut image);
        self.put_table(&mut image);
        image
    }

    /// The whole disk of `disk_bytes` that holds it, and which of its bytes may be anything.
    pub(crate) fn on_disk(&self, disk_bytes: usize) -> (Vec<u8>, std::ops::Range<usize>) {
        let mut disk = self.image();
        let end = disk.len();
        disk.resize(disk_bytes.max(end), 0);
        if self.table == Table::Gpt && disk_bytes >= end + MIB {
            self.put_table(&mut disk);
        }
        let tail = disk.len().saturating_sub(MIB).max(end);
        (disk, end..tail)
    }

    /// Noise where boot loaders are: before the table, and between it and the mark.
    fn boot_code(&self, image: &mut [u8]) {
        let mut noise = Noise::of(0xb007 + u64::from(self.id));
        noise.fill(&mut image[..440]);
        image[0] |= 1;
        noise.fill(&mut image[64 * SECTOR..256 * SECTOR]);
        if self.table == Table::None {
            noise.fill(&mut image[MARK]);
        }
    }

    fn put_table(&self, disk: &mut [u8]) {
        match self.table {
            Table::Gpt => self.put_gpt(disk),
            Table::Mbr => self.put_mbr(disk, 0x83, 2048, (disk.len() / SECTOR) as u32 - 2048),
            Table::None => {}
        }
    }

    fn put_mbr(&self, disk: &mut [u8], kind: u8, start: u32, sectors: u32) {
        disk[440..444].copy_from_slice(&[self.id, 1, 2, 3]);
        disk[446 + 4] = kind;
        disk[446 + 8..446 + 12].copy_from_slice(&start.to_le_bytes());
        disk[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    }

    fn put_gpt(&self, disk: &mut [u8]) {
        let last = disk.len() / SECTOR - 1;
        self.put_mbr(disk, 0xee, 1, last as u32);
        let mut array = vec![0; ARRAY_SECTORS * SECTOR];
        array[..16].fill(0xaf);
        array[16..32].fill(self.id);
        array[32..40].copy_from_slice(&2048_u64.to_le_bytes());
        array[40..48]
            .copy_from_slice(&((MIB + self.blocks.len() * 4096) as u64 / 512 - 1).to_le_bytes());
        let put = |at: usize, bytes: &[u8], disk: &mut [u8]| {
            disk[at * SECTOR..at * SECTOR + bytes.len()].copy_from_slice(bytes);
        };
        put(1, &self.header(&array, [1, last, 2], last), disk);
        put(2, &array, disk);
        put(last - ARRAY_SECTORS, &array, disk);
        put(last, &self.header(&array, [last, 1, last - ARRAY_SECTORS], last), disk);
    }

    /// A header that lies at `own`, with the other at `other` and its array at `array_at`.
    fn header(&self, array: &[u8], [own, other, array_at]: [usize; 3], last: usize) -> Vec<u8> {
        let mut header = vec![0; SECTOR];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x10000_u32.to_le_bytes());
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        let usable = [2 + ARRAY_SECTORS, last - ARRAY_SECTORS - 1];
        for (at, value) in
            [(24, own), (32, other), (40, usable[0]), (48, usable[1]), (72, array_at)]
        {
            header[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
        header[56..72].fill(self.id);
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32fast::hash(array).to_le_bytes());
        let check = crc32fast::hash(&header[..92]);
        header[16..20].copy_from_slice(&check.to_le_bytes());
        header
    }
}
