//! Streams that are packed, told by how they begin.

use anyhow::bail;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, PipeReader, Read, pipe};
use std::thread::JoinHandle;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

impl Packing {
    /// As much as is looked at.
    pub(super) const MAGIC_BYTES: usize = 6;

    /// How what starts like this is packed, if it is.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        [
            (&b"\x1f\x8b"[..], Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"BZh", Self::Bzip2),
        ]
        .into_iter()
        .find_map(|(magic, packing)| start.starts_with(magic).then_some(packing))
    }
}

/// What `from` gives, unpacked if it is packed.
pub(super) fn unpack<R: Read + Send + 'static>(
    mut from: BufReader<R>,
) -> anyhow::Result<Box<dyn Read>> {
    Ok(match Packing::of(from.fill_buf()?) {
        None => Box::new(from),
        Some(Packing::Gzip) => Box::new(MultiGzDecoder::new(from)),
        Some(Packing::Zstd) => Box::new(zstd::Decoder::with_buffer(from)?),
        Some(Packing::Xz) => Box::new(Xz::start(from)?),
        Some(Packing::Bzip2) => {
            bail!("expected gzip, xz, zstd or nothing, found bzip2: bzip2 -dc FILE | ... --tar -")
        }
    })
}

/// The decoder of xz writes; a thread makes it a reader.
struct Xz {
    from: PipeReader,
    thread: Option<JoinHandle<Result<(), lzma_rs::error::Error>>>,
}

impl Xz {
    fn start<R: Read + Send + 'static>(mut from: BufReader<R>) -> io::Result<Self> {
        let (reader, mut writer) = pipe()?;
        let thread = std::thread::spawn(move || lzma_rs::xz_decompress(&mut from, &mut writer));
        Ok(Self { from: reader, thread: Some(thread) })
    }
}

impl Read for Xz {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(into)?;
        // Only at its end is known whether all was well.
        if length == 0
            && !into.is_empty()
            && let Some(thread) = self.thread.take()
        {
            let Ok(ended) = thread.join() else {
                return Err(io::Error::other("the thread that unpacks it ended early"));
            };
            ended.map_err(|error| io::Error::other(format!("xz: {error:?}")))?;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let from = BufReader::new(io::Cursor::new(packed.to_vec()));
        unpack(from).map_err(io::Error::other)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_is_packed_is_told_and_unpacked() {
        let content = b"some content ".repeat(10_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&content).unwrap();
        let mut xz = Vec::new();
        lzma_rs::xz_compress(&mut &content[..], &mut xz).unwrap();
        let zstd = zstd::bulk::compress(&content, 1).unwrap();
        for packed in [content.clone(), gzip.finish().unwrap(), xz, zstd] {
            assert!(unpacked(&packed).unwrap() == content);
            let is_packed = Packing::of(&packed).is_some();
            // What is cut is told by whoever packed it; what is not packed, by its reader.
            assert_eq!(unpacked(&packed[..packed.len() - 9]).is_err(), is_packed);
        }
        assert!(unpacked(b"BZh91AY").unwrap_err().to_string().contains("found bzip2"));
        assert_eq!(unpacked(b"").unwrap(), b"");
    }
}
