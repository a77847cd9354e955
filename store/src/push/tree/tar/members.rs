//! The members of an archive in its order, each with all that its headers say.

use super::archive::Archive;
use super::error::TarError;
use super::header::{BLOCK_BYTES, Block, Header};
use super::pax::{Records, decimal};
use super::sparse::{self, STRETCHES_MAX, Sparse, Stretches};
use crate::tree::{PATH_MAX_BYTES, Xattr};

/// An extended header is held: room for all attributes a node can have and its paths, with as much
/// again for what is not kept.
const EXTENDED_MAX_BYTES: u64 = 4 << 20;

/// Blocks of an old GNU sparse map: [`STRETCHES_MAX`] at 21 each.
const MAP_BLOCKS_MAX: usize = STRETCHES_MAX / 21;

/// A member. Its content, if it has some, comes next in the archive.
#[derive(Debug)]
pub(super) struct Member {
    /// Its path for people.
    pub(super) shown: String,
    pub(super) header: Header,
    pub(super) mtime_ns: u32,
    pub(super) xattrs: Vec<Xattr>,
    pub(super) sparse: Option<Sparse>,
}

/// Reads members.
#[derive(Default)]
pub(super) struct Members {
    /// What an extended header says of all that follow.
    global: Records,
    /// The last member.
    last: String,
}

impl Members {
    /// The next member; `None` at the end. Its content is to be read before the next.
    pub(super) fn next(&mut self, archive: &mut Archive<'_>) -> Result<Option<Member>, TarError> {
        let mut records = self.global.clone();
        let (mut long_path, mut long_target) = (None, None);
        loop {
            let Some(block) = archive.block()? else {
                let last = if self.last.is_empty() { "the start" } else { &self.last };
                return Err(archive.ended(&format!("a block of zeroes at the end, after {last}")));
            };
            let header = Header::read(&block).map_err(|wrong| archive.header(wrong))?;
            let Some(header) = header else { return Ok(None) };
            match header.kind {
                b'x' | b'X' => {
                    let content = extended(archive, &header)?;
                    records.add(&content).map_err(|wrong| archive.header(wrong))?;
                }
                b'g' => {
                    let content = extended(archive, &header)?;
                    let added = self.global.add(&content);
                    added.map_err(|wrong| archive.header(wrong))?;
                    records.add(&content).map_err(|wrong| archive.header(wrong))?;
                }
                b'L' => long_path = Some(long(archive, &header)?),
                b'K' => long_target = Some(long(archive, &header)?),
                // A volume's label.
                b'V' => archive.drop("a volume's label", header.size_bytes)?,
                _ => {
                    let path = long_path.unwrap_or(header.path);
                    let target = long_target.unwrap_or(header.target);
                    let header = Header { path, target, ..header };
                    return self.member(archive, header, &records, &block).map(Some);
                }
            }
        }
    }

    fn member(
        &mut self,
        archive: &mut Archive<'_>,
        mut header: Header,
        records: &Records,
        block: &Block,
    ) -> Result<Member, TarError> {
        let mtime_ns = records.apply(&mut header).map_err(|wrong| archive.header(wrong))?;
        if let Some(name) = records.get("GNU.sparse.name") {
            header.path = name.to_vec();
        }
        let shown = header.path.escape_ascii().to_string();
        self.last.clone_from(&shown);
        let wrong = |wrong| archive.member(&shown, wrong);
        let xattrs = records.xattrs().map_err(wrong)?;
        let mut sparse = sparse::of_records(records).map_err(wrong)?;
        if header.kind == b'S' {
            header.kind = b'0';
            sparse = Some(old_map(archive, &shown, block)?);
        }
        // Before directories had a kind of their own.
        if matches!(header.kind, b'0' | 0 | b'7') {
            header.kind = if header.path.ends_with(b"/") { b'5' } else { b'0' };
        }
        Ok(Member { shown, header, mtime_ns, xattrs, sparse })
    }
}

/// The content of an extended header.
fn extended(archive: &mut Archive<'_>, header: &Header) -> Result<Vec<u8>, TarError> {
    if header.size_bytes > EXTENDED_MAX_BYTES {
        let expected = format!("an extended header of at most {EXTENDED_MAX_BYTES} bytes");
        return Err(archive.header((expected, header.size_bytes.to_string())));
    }
    archive.bytes("an extended header", header.size_bytes as usize)
}

/// GNU's way to write a path that does not fit a header.
fn long(archive: &mut Archive<'_>, header: &Header) -> Result<Vec<u8>, TarError> {
    if header.size_bytes > PATH_MAX_BYTES as u64 + 1 {
        let expected = format!("a path of at most {PATH_MAX_BYTES} bytes");
        return Err(archive.header((expected, header.size_bytes.to_string())));
    }
    let mut path = archive.bytes("a long path", header.size_bytes as usize)?;
    path.truncate(super::header::text(&path).len());
    Ok(path)
}

/// The map of an old GNU sparse member: in its header and in blocks behind it.
fn old_map(archive: &mut Archive<'_>, shown: &str, header: &Block) -> Result<Sparse, TarError> {
    let read = |block: &Block, first| sparse::of_block(block, first);
    let (mut stretches, mut more) =
        read(header, true).map_err(|wrong| archive.member(shown, wrong))?;
    for _ in 0..MAP_BLOCKS_MAX {
        if !more {
            let size = sparse::real_size(header).map_err(|wrong| archive.member(shown, wrong))?;
            return Ok(Sparse::Map(stretches, size));
        }
        let Some(block) = archive.block()? else {
            return Err(archive.short(shown, BLOCK_BYTES as u64, 0));
        };
        let (next, again) = read(&block, false).map_err(|wrong| archive.member(shown, wrong))?;
        stretches.extend(next);
        more = again;
    }
    Err(archive.member(shown, too_many()))
}

/// The map before the content of a GNU sparse member 1.0: its number of stretches, then offset
/// and length of each, in decimal, a line each, filled up to whole blocks. Also how long it is.
pub(super) fn map_ahead(
    archive: &mut Archive<'_>,
    shown: &str,
    stored_bytes: u64,
) -> Result<(Stretches, u64), TarError> {
    let wrong =
        || ("numbers on lines as a sparse file's map".to_owned(), "something else".to_owned());
    let (mut numbers, mut digits, mut bytes) = (Vec::new(), Vec::new(), 0);
    loop {
        let expected = numbers.first().map(|count: &u64| count.saturating_mul(2).saturating_add(1));
        if expected.is_some_and(|expected| numbers.len() as u64 >= expected) {
            break;
        }
        if expected.is_some_and(|expected| expected > 2 * STRETCHES_MAX as u64) {
            return Err(archive.member(shown, too_many()));
        }
        if bytes + BLOCK_BYTES as u64 > stored_bytes {
            return Err(archive.member(shown, wrong()));
        }
        let block = archive.block()?;
        let block = block.ok_or_else(|| archive.short(shown, stored_bytes, bytes))?;
        bytes += BLOCK_BYTES as u64;
        for byte in block {
            match byte {
                b'\n' => {
                    let number = decimal(&std::mem::take(&mut digits));
                    numbers.push(number.ok_or_else(|| archive.member(shown, wrong()))?);
                }
                0 => {}
                digit => digits.push(digit),
            }
        }
        if !digits.is_empty() && digits.len() > BLOCK_BYTES {
            return Err(archive.member(shown, wrong()));
        }
    }
    let (pairs, _) = numbers.get(1..).unwrap_or_default().as_chunks::<2>();
    Ok((pairs.iter().map(|[offset, length]| (*offset, *length)).collect(), bytes))
}

fn too_many() -> super::header::Wrong {
    (format!("a sparse file of at most {STRETCHES_MAX} stretches"), "more".to_owned())
}
