//! A kernel or an initrd in memory that cannot change any more, and is proven.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use store::{Digest, Hasher};

/// The largest kernel or initrd that is taken: a generic distribution initrd with
/// all firmware is a quarter of it. It is held in memory.
pub const MAX_IMAGE_BYTES: u64 = 512 << 20;

/// Bytes in a sealed memfd whose digest was computed from that descriptor.
///
/// The kernel takes a truncated or bit-flipped image and dies silently, so what
/// is handed to it is hashed where it is read from, after it can no longer be
/// written.
#[derive(Debug)]
pub struct ProvenImage {
    file: File,
    size_bytes: u64,
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It does not fit the bound.
    #[error("{what} {digest} is {found} bytes, more than {MAX_IMAGE_BYTES}")]
    TooLarge {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// Its digest by the manifest.
        digest: Digest,
        /// Its size by the manifest.
        found: u64,
    },
    /// It could not be held in memory.
    #[error("cannot hold {what} {digest} in memory")]
    Hold {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// Its digest by the manifest.
        digest: Digest,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// It is not what the manifest says.
    #[error(
        "{what}: expected {expected} of {expected_bytes} bytes, found {found} of {found_bytes} bytes"
    )]
    NotProven {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// By the manifest.
        expected: Digest,
        /// By the manifest.
        expected_bytes: u64,
        /// In memory.
        found: Digest,
        /// In memory.
        found_bytes: u64,
    },
}

impl ProvenImage {
    /// Has `write_into` write the image into memory, seals it, and compares its digest
    /// and size, read from the sealed descriptor, with what the manifest says.
    pub fn make<E: From<ImageError>>(
        what: &'static str,
        expected: Digest,
        expected_bytes: u64,
        write_into: impl FnOnce(&File) -> Result<(), E>,
    ) -> Result<Self, E> {
        if expected_bytes > MAX_IMAGE_BYTES {
            return Err(
                ImageError::TooLarge { what, digest: expected, found: expected_bytes }.into()
            );
        }
        let failed = |source| ImageError::Hold { what, digest: expected, source };
        let file = memory_file(what).map_err(failed)?;
        write_into(&file)?;
        seal(&file).map_err(failed)?;
        let (found, found_bytes) = digest_of(&file).map_err(failed)?;
        if (found, found_bytes) == (expected, expected_bytes) {
            return Ok(Self { file, size_bytes: found_bytes });
        }
        Err(ImageError::NotProven { what, expected, expected_bytes, found, found_bytes }.into())
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl AsFd for ProvenImage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// `memfd_create(2)`.
fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?))
}

/// The seals of `fcntl(2)`: after them nobody can write or resize.
fn seal(file: &File) -> io::Result<()> {
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    Ok(fcntl_add_seals(file, seals)?)
}

fn digest_of(file: &File) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut offset = 0;
    loop {
        let count = file.read_at(&mut buffer, offset)?;
        if count == 0 {
            return Ok((hasher.finish(), offset));
        }
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn made(bytes: &[u8], digest: Digest, size_bytes: u64) -> Result<ProvenImage, ImageError> {
        ProvenImage::make("initrd", digest, size_bytes, |mut file| {
            file.write_all(bytes).unwrap();
            Ok(())
        })
    }

    #[test]
    fn what_the_manifest_says_is_proven_and_sealed() {
        let bytes = vec![7; 300_000];
        let image = made(&bytes, Digest::of(&bytes), 300_000).unwrap();
        assert_eq!(image.size_bytes(), 300_000);
        assert!(image.file.try_clone().unwrap().write(b"x").is_err());
        assert!(image.file.set_len(1).is_err());
    }

    #[test]
    fn anything_else_is_refused_with_both_digests() {
        let digest = Digest::of(b"right");
        for bytes in [&b"wrong"[..], b"righ", b"right and more"] {
            assert_eq!(
                made(bytes, digest, 5).unwrap_err().to_string(),
                format!(
                    "initrd: expected {digest} of 5 bytes, found {} of {} bytes",
                    Digest::of(bytes),
                    bytes.len()
                )
            );
        }
        assert_eq!(
            made(b"", digest, 1 << 40).unwrap_err().to_string(),
            format!("initrd {digest} is 1099511627776 bytes, more than 536870912")
        );
    }
}
