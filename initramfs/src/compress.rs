//! zstd out, and zstd, xz or gzip in.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::Error;

/// The slowest level that needs no more memory to unpack than faster ones.
const LEVEL: i32 = 19;

/// Base-2 logarithm of the window. The kernel takes up to 27 (128 MiB); 8 MiB lets a machine
/// of 256 MiB unpack, and a larger window finds nothing more in an archive of this size.
const WINDOW_LOG: u32 = 23;

/// Longest module or firmware file, unpacked, in bytes: several times the longest that
/// linux-firmware and Debian's kernels have.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 20;

/// Compresses the archive in one thread, because the bytes must not depend on how many
/// processors the building machine has.
pub(crate) fn zstd(archive: &[u8]) -> Result<Vec<u8>, Error> {
    let compressed = || -> io::Result<Vec<u8>> {
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
        encoder.window_log(WINDOW_LOG)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(archive.len() as u64))?;
        encoder.write_all(archive)?;
        encoder.finish()
    };
    compressed().map_err(Error::Compress)
}

/// Suffixes of compressed files that [`read_unpacked`] knows.
pub(crate) const SUFFIXES: [&str; 3] = [".xz", ".zst", ".gz"];

/// Reads a file; one with a suffix of [`SUFFIXES`] is unpacked.
pub(crate) fn read_unpacked(path: &Path) -> Result<Vec<u8>, Error> {
    let packed = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut out = Bounded(Vec::new());
    let result = match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => {
            zstd::Decoder::new(packed.as_slice()).and_then(|decoder| copy(decoder, &mut out))
        }
        Some("gz") => copy(flate2::read::GzDecoder::new(packed.as_slice()), &mut out),
        Some("xz") => {
            lzma_rs::xz_decompress(&mut packed.as_slice(), &mut out).map_err(io::Error::other)
        }
        _ => return Ok(packed),
    };
    match result {
        _ if out.0.len() as u64 > MAX_FILE_BYTES => {
            Err(Error::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES })
        }
        Ok(()) => Ok(out.0),
        Err(error) => Err(Error::Unpack { path: path.to_owned(), detail: error.to_string() }),
    }
}

fn copy(mut from: impl Read, to: &mut Bounded) -> io::Result<()> {
    io::copy(&mut from, to).map(drop)
}

/// Takes bytes until one write passes [`MAX_FILE_BYTES`], then refuses.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() as u64 > MAX_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_by_suffix() {
        let dir = tempfile::tempdir().unwrap();
        let text = b"a module".repeat(1000);
        let zst = zstd(&text).unwrap();
        let mut xz = Vec::new();
        lzma_rs::xz_compress(&mut text.as_slice(), &mut xz).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&text).unwrap();
        let files = [
            ("m.ko", text.clone()),
            ("m.ko.zst", zst),
            ("m.ko.xz", xz),
            ("m.ko.gz", gz.finish().unwrap()),
        ];
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::write(&path, &bytes).unwrap();
            assert!(read_unpacked(&path).unwrap() == text, "{name}");
            if name != "m.ko" {
                fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
                let error = read_unpacked(&path).unwrap_err().to_string();
                assert!(error.contains("cannot unpack"), "{name}: {error}");
            }
        }
    }
}
