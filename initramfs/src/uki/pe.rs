//! Sections added to a PE executable (Microsoft's PE/COFF specification): all that it takes to
//! make a unified kernel of a stub.
//!
//! Written here because objcopy(1) needs an address for each section from its caller, and keeps
//! what it thinks best of the headers. What comes out depends on the input alone: no time, no
//! debugging information, a checksum that is right.

use super::UkiError;
use super::fields::{align_up, put_u16, put_u32, u16_at, u32_at};

/// Where the DOS header says where the PE header is (`e_lfanew`).
const POINTER_AT: usize = 0x3c;
/// `Machine` of x86-64, and `Magic` of an optional header with 64-bit addresses (PE32+).
const MACHINE_X86_64: u16 = 0x8664;
const MAGIC_PE32_PLUS: u16 = 0x20b;
/// Sizes of the headers, in bytes.
const SIGNATURE_BYTES: usize = 4;
const COFF_BYTES: usize = 20;
const SECTION_BYTES: usize = 40;
/// An optional header with all sixteen data directories; a shorter one has no use in a stub.
const OPTIONAL_BYTES: usize = 240;
/// The loader of Windows, and firmware after its example, takes no more than 96 sections.
const MAX_SECTIONS: usize = 96;
/// A section's name stands in its header and cannot be longer.
const NAME_BYTES: usize = 8;
/// Sections are mapped by pages, whatever smaller alignment the executable has: the kernel takes
/// its initrd in whole pages.
const PAGE_BYTES: u64 = 4096;
/// `IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ`: nothing of it is run where it stands.
const DATA_READ: u32 = 0x4000_0040;

/// Fields of the COFF header, from its start.
mod coff {
    pub(super) const MACHINE: usize = 0;
    pub(super) const SECTIONS: usize = 2;
    pub(super) const TIME: usize = 4;
    pub(super) const SYMBOLS_AT: usize = 8;
    pub(super) const SYMBOLS: usize = 12;
    pub(super) const OPTIONAL_BYTES: usize = 16;
}

/// Fields of the optional header, from its start.
mod optional {
    pub(super) const MAGIC: usize = 0;
    pub(super) const DATA_BYTES: usize = 8;
    pub(super) const SECTION_ALIGNMENT: usize = 32;
    pub(super) const FILE_ALIGNMENT: usize = 36;
    pub(super) const IMAGE_BYTES: usize = 56;
    pub(super) const HEADERS_BYTES: usize = 60;
    pub(super) const CHECKSUM: usize = 64;
    /// Data directories for signatures (which end with what they sign) and for debugging (which
    /// point into the file): address and size.
    pub(super) const CERTIFICATES: usize = 112 + 4 * 8;
    pub(super) const DEBUG: usize = 112 + 6 * 8;
}

/// Fields of a section's header, from its start.
mod section {
    pub(super) const MEMORY_BYTES: usize = 8;
    pub(super) const ADDRESS: usize = 12;
    pub(super) const FILE_BYTES: usize = 16;
    pub(super) const FILE_AT: usize = 20;
    pub(super) const FLAGS: usize = 36;
}

/// A section to add.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    /// At most eight bytes.
    pub(super) name: &'static str,
    pub(super) contents: &'a [u8],
}

/// `stub` with `sections` behind its own, in this order.
pub(super) fn with_sections(stub: &[u8], sections: &[Section]) -> Result<Vec<u8>, UkiError> {
    let headers = Headers::of(stub)?;
    headers.check_names(stub, sections)?;
    let mut image = headers.with_room(stub, sections.len())?;
    for section in sections {
        image.append(section)?;
    }
    Ok(image.finished())
}

/// Where things are in an executable that was looked at.
#[derive(Debug)]
struct Headers {
    coff_at: usize,
    optional_at: usize,
    table_at: usize,
    sections: usize,
    section_alignment: u64,
    file_alignment: u64,
    /// How much of the file they take.
    size_bytes: usize,
    /// Behind the last byte that a section has in the file.
    end: usize,
    /// Behind the last byte that a section has in memory.
    memory_end: u64,
    /// Where the first section is in memory, which headers cannot grow into.
    first_address: u64,
}

impl Headers {
    fn of(stub: &[u8]) -> Result<Self, UkiError> {
        if !stub.starts_with(b"MZ") {
            return Err(malformed("a PE executable", "another signature than MZ"));
        }
        let pe_at = u32_at(stub, POINTER_AT) as usize;
        let coff_at = pe_at.saturating_add(SIGNATURE_BYTES);
        if stub.get(pe_at..coff_at) != Some(b"PE\0\0") {
            return Err(malformed("a PE header", "none where the DOS header points"));
        }
        let optional_at = coff_at + COFF_BYTES;
        let optional_bytes = usize::from(u16_at(stub, coff_at + coff::OPTIONAL_BYTES));
        let machine = u16_at(stub, coff_at + coff::MACHINE);
        let magic = u16_at(stub, optional_at + optional::MAGIC);
        if machine != MACHINE_X86_64 || magic != MAGIC_PE32_PLUS || optional_bytes < OPTIONAL_BYTES
        {
            let found =
                format!("machine {machine:#x}, magic {magic:#x}, {optional_bytes} bytes of header");
            return Err(malformed("a PE32+ executable for x86-64", &found));
        }
        let mut headers = Self {
            coff_at,
            optional_at,
            table_at: optional_at + optional_bytes,
            sections: usize::from(u16_at(stub, coff_at + coff::SECTIONS)),
            section_alignment: alignment(stub, optional_at + optional::SECTION_ALIGNMENT)?,
            file_alignment: alignment(stub, optional_at + optional::FILE_ALIGNMENT)?,
            size_bytes: u32_at(stub, optional_at + optional::HEADERS_BYTES) as usize,
            end: 0,
            memory_end: 0,
            first_address: u64::MAX,
        };
        headers.measure(stub)?;
        Ok(headers)
    }

    /// What the sections take up, in the file and in memory.
    fn measure(&mut self, stub: &[u8]) -> Result<(), UkiError> {
        let table_end = self.table_at + self.sections * SECTION_BYTES;
        if table_end > self.size_bytes || self.size_bytes > stub.len() {
            return Err(malformed("headers that hold the section table", "fewer bytes of them"));
        }
        self.end = self.size_bytes;
        for header in self.table(stub) {
            let file_bytes = u32_at(header, section::FILE_BYTES) as usize;
            let file_at = u32_at(header, section::FILE_AT) as usize;
            let file_end = file_at.saturating_add(file_bytes);
            let address = u64::from(u32_at(header, section::ADDRESS));
            let memory_bytes = u64::from(u32_at(header, section::MEMORY_BYTES));
            if file_bytes > 0 && (file_at < self.size_bytes || file_end > stub.len()) {
                let found = format!("one at {file_at}..{file_end} of {}", stub.len());
                return Err(malformed("sections between headers and end", &found));
            }
            self.end = self.end.max(if file_bytes == 0 { 0 } else { file_end });
            self.memory_end = self.memory_end.max(address + memory_bytes.max(file_bytes as u64));
            self.first_address = self.first_address.min(address);
        }
        Ok(())
    }

    fn table<'a>(&self, image: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.sections * SECTION_BYTES;
        image[self.table_at..self.table_at + bytes].chunks_exact(SECTION_BYTES)
    }

    /// Which of two sections of one name is meant nobody says.
    fn check_names(&self, stub: &[u8], sections: &[Section]) -> Result<(), UkiError> {
        let taken = |section: &&Section| {
            self.table(stub).any(|header| header[..NAME_BYTES] == name(section.name))
        };
        match sections.iter().find(taken) {
            Some(section) => {
                let found = format!("{}: it is a unified kernel already", section.name);
                Err(malformed("a stub without sections of a unified kernel", &found))
            }
            None => Ok(()),
        }
    }

    /// The executable up to the end of its last section, with room for as many section headers
    /// more. What is behind the sections, symbols and signatures, is left out.
    fn with_room(&self, stub: &[u8], more: usize) -> Result<Image, UkiError> {
        let table_end = self.table_at + self.sections * SECTION_BYTES;
        let wanted = table_end + more * SECTION_BYTES;
        if self.sections + more > MAX_SECTIONS {
            return Err(malformed("at most 96 sections", &(self.sections + more).to_string()));
        }
        if stub[table_end..self.size_bytes].iter().any(|byte| *byte != 0) {
            return Err(malformed("nothing between headers and sections", "some bytes"));
        }
        let headers_bytes =
            align_up(wanted.max(self.size_bytes) as u64, self.file_alignment) as usize;
        if headers_bytes as u64 > self.first_address {
            return Err(malformed("room for the headers of more sections", "none in memory"));
        }
        let grown = headers_bytes - self.size_bytes;
        let mut bytes = stub[..self.size_bytes].to_vec();
        bytes.resize(headers_bytes, 0);
        bytes.extend_from_slice(&stub[self.size_bytes..self.end]);
        let mut image =
            Image { bytes, headers: Self { size_bytes: headers_bytes, ..*self }, added_bytes: 0 };
        image.strip();
        if grown > 0 {
            image.shift(grown);
        }
        Ok(image)
    }
}

/// An executable on its way.
struct Image {
    bytes: Vec<u8>,
    headers: Headers,
    /// What the added sections take up in the file.
    added_bytes: u64,
}

impl Image {
    /// Takes out of the headers what is not carried along.
    fn strip(&mut self) {
        let (coff_at, optional_at) = (self.headers.coff_at, self.headers.optional_at);
        for field in [coff::TIME, coff::SYMBOLS_AT, coff::SYMBOLS] {
            put_u32(&mut self.bytes, coff_at + field, 0);
        }
        self.clear_directory(optional_at + optional::CERTIFICATES);
        put_u32(&mut self.bytes, optional_at + optional::CHECKSUM, 0);
    }

    fn clear_directory(&mut self, at: usize) {
        put_u32(&mut self.bytes, at, 0);
        put_u32(&mut self.bytes, at + 4, 0);
    }

    /// Follows the contents of sections, which moved by `grown` bytes of headers.
    fn shift(&mut self, grown: usize) {
        for index in 0..self.headers.sections {
            let header = self.headers.table_at + index * SECTION_BYTES;
            let at = header + section::FILE_AT;
            // Where nothing is in the file, the place may be any number.
            if u32_at(&self.bytes, header + section::FILE_BYTES) > 0 {
                let file_at = u32_at(&self.bytes, at);
                put_u32(&mut self.bytes, at, file_at + grown as u32);
            }
        }
        // Its entries are places in the file too, and nobody debugs a stub by them.
        self.clear_directory(self.headers.optional_at + optional::DEBUG);
    }

    fn append(&mut self, added: &Section) -> Result<(), UkiError> {
        let Headers { file_alignment, section_alignment, memory_end, .. } = self.headers;
        let memory_bytes = added.contents.len() as u64;
        let address = align_up(memory_end, section_alignment.max(PAGE_BYTES));
        let file_at = align_up(self.bytes.len() as u64, file_alignment);
        let file_bytes = align_up(memory_bytes, file_alignment);
        let ends = (file_at + file_bytes).max(address + memory_bytes);
        if ends > u64::from(u32::MAX) {
            return Err(malformed("an executable of less than 4 GiB", &format!("{ends} bytes")));
        }
        self.bytes.resize(file_at as usize, 0);
        self.bytes.extend_from_slice(added.contents);
        self.bytes.resize((file_at + file_bytes) as usize, 0);

        let header = self.headers.table_at + self.headers.sections * SECTION_BYTES;
        self.bytes[header..header + NAME_BYTES].copy_from_slice(&name(added.name));
        for (field, value) in [
            (section::MEMORY_BYTES, memory_bytes as u32),
            (section::ADDRESS, address as u32),
            (section::FILE_BYTES, file_bytes as u32),
            (section::FILE_AT, file_at as u32),
            (section::FLAGS, DATA_READ),
        ] {
            put_u32(&mut self.bytes, header + field, value);
        }
        self.headers.sections += 1;
        self.headers.memory_end = address + memory_bytes;
        self.added_bytes += file_bytes;
        Ok(())
    }

    /// The executable, once its headers say what it is now.
    fn finished(mut self) -> Vec<u8> {
        let Headers { coff_at, optional_at, section_alignment, memory_end, .. } = self.headers;
        put_u16(&mut self.bytes, coff_at + coff::SECTIONS, self.headers.sections as u16);
        let data_bytes = u32_at(&self.bytes, optional_at + optional::DATA_BYTES);
        for (field, value) in [
            (optional::DATA_BYTES, data_bytes.saturating_add(self.added_bytes as u32)),
            (optional::IMAGE_BYTES, align_up(memory_end, section_alignment) as u32),
            (optional::HEADERS_BYTES, self.headers.size_bytes as u32),
        ] {
            put_u32(&mut self.bytes, optional_at + field, value);
        }
        let checksum = checksum(&self.bytes);
        put_u32(&mut self.bytes, optional_at + optional::CHECKSUM, checksum);
        self.bytes
    }
}

/// A section's name as its header has it.
fn name(text: &str) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    let bytes = text.len().min(NAME_BYTES);
    name[..bytes].copy_from_slice(&text.as_bytes()[..bytes]);
    name
}

/// What `CheckSum` is of an executable that has a zero there: its 16-bit words added with their
/// carries, and its length (as `ImageHlp.dll` does).
fn checksum(image: &[u8]) -> u32 {
    let sum: u64 = image
        .chunks(2)
        .map(|word| u64::from(word[0]) | u64::from(word.get(1).copied().unwrap_or(0)) << 8)
        .sum();
    // A sum of less than 2^32 words is folded by three additions at most.
    let folded = (0..3).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    folded as u32 + image.len() as u32
}

/// An alignment of the optional header: a power of two, or things cannot be placed.
fn alignment(stub: &[u8], at: usize) -> Result<u64, UkiError> {
    let found = u32_at(stub, at);
    // The specification ends at 64 KiB for files; pages of memory are no larger.
    if found.is_power_of_two() && found <= 64 << 10 {
        return Ok(u64::from(found));
    }
    Err(malformed("an alignment of at most 65536, a power of two", &found.to_string()))
}

fn malformed(expected: &'static str, found: &str) -> UkiError {
    UkiError::Stub { expected, found: found.to_owned() }
}

#[cfg(test)]
mod tests;
