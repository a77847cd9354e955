//! A kernel or an initrd in memory that cannot change any more, and is proven where there is
//! something to prove it by.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use store::{Digest, Hasher};

/// The largest kernel or initrd that is taken: a generic distribution initrd with
/// all firmware is a quarter of it. It is held in memory.
pub const MAX_IMAGE_BYTES: u64 = 512 << 20;

/// Bytes in a memfd that nobody can write or resize any more.
#[derive(Debug)]
pub struct SealedImage {
    file: File,
    size_bytes: u64,
}

/// A sealed image whose digest was computed from its descriptor.
///
/// The kernel takes a truncated or bit-flipped image and dies silently, so what
/// is handed to it is hashed where it is read from, after it can no longer be
/// written.
#[derive(Debug)]
pub struct ProvenImage(SealedImage);

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It does not fit the bound.
    #[error("{what} {name} is {found} bytes, more than {MAX_IMAGE_BYTES}")]
    TooLarge {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// Its digest by the manifest, or its path.
        name: String,
        /// Its size by the manifest, or by the file system.
        found: u64,
    },
    /// It could not be held in memory.
    #[error("cannot hold {what} {name} in memory")]
    Hold {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// Its digest by the manifest, or its path.
        name: String,
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
    /// Its file is not as long as its file system says.
    #[error("{what} {name}: expected {expected_bytes} bytes, found {found_bytes}")]
    CutShort {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// Its path.
        name: String,
        /// By the file system.
        expected_bytes: u64,
        /// Read.
        found_bytes: u64,
    },
}

impl SealedImage {
    /// Reads `size_bytes` from `reader` into memory and seals them. There is nothing to prove them
    /// by: what is loaded is what was read. `name` is the path that messages give.
    pub fn read(
        what: &'static str,
        name: &str,
        size_bytes: u64,
        reader: impl Read,
    ) -> Result<Self, ImageError> {
        check_size(what, name, size_bytes)?;
        let failed = |source| ImageError::Hold { what, name: name.to_owned(), source };
        let mut file = memory_file(what).map_err(failed)?;
        let found_bytes = io::copy(&mut reader.take(size_bytes), &mut file).map_err(failed)?;
        if found_bytes < size_bytes {
            let (name, expected_bytes) = (name.to_owned(), size_bytes);
            return Err(ImageError::CutShort { what, name, expected_bytes, found_bytes });
        }
        seal(&file).map_err(failed)?;
        Ok(Self { file, size_bytes })
    }

    /// Has `write_into` write an image into memory, and seals it. Proving it is the caller's, by
    /// what it was made from. It has no bound here: whoever makes it knows its size before.
    pub fn make<T, E: From<ImageError>>(
        what: &'static str,
        write_into: impl FnOnce(&File) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let failed = |source| ImageError::Hold { what, name: "made here".to_owned(), source };
        let file = memory_file(what).map_err(failed)?;
        let made = write_into(&file)?;
        seal(&file).map_err(failed)?;
        let size_bytes = file.metadata().map_err(failed)?.len();
        Ok((Self { file, size_bytes }, made))
    }

    /// The memory, to be read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl AsFd for SealedImage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
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
        check_size(what, &expected.to_string(), expected_bytes)?;
        let failed = |source| ImageError::Hold { what, name: expected.to_string(), source };
        let file = memory_file(what).map_err(failed)?;
        write_into(&file)?;
        seal(&file).map_err(failed)?;
        let (found, found_bytes) = digest_of(&file).map_err(failed)?;
        if (found, found_bytes) == (expected, expected_bytes) {
            return Ok(Self(SealedImage { file, size_bytes: found_bytes }));
        }
        Err(ImageError::NotProven { what, expected, expected_bytes, found, found_bytes }.into())
    }

    /// What is proven.
    pub fn sealed(&self) -> &SealedImage {
        &self.0
    }
}

fn check_size(what: &'static str, name: &str, found: u64) -> Result<(), ImageError> {
    if found > MAX_IMAGE_BYTES {
        return Err(ImageError::TooLarge { what, name: name.to_owned(), found });
    }
    Ok(())
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
        let SealedImage { file, size_bytes } = image.sealed();
        assert_eq!(*size_bytes, 300_000);
        assert!(file.try_clone().unwrap().write(b"x").is_err());
        assert!(file.set_len(1).is_err());
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

    #[test]
    fn what_was_read_is_sealed_and_a_short_file_is_refused() {
        let bytes = vec![7; 300_000];
        let image = SealedImage::read("kernel", "/linux", 200_000, &bytes[..]).unwrap();
        assert_eq!(digest_of(&image.file).unwrap(), (Digest::of(&bytes[..200_000]), 200_000));
        assert!(image.file.set_len(1).is_err());
        let said = |size_bytes| {
            SealedImage::read("kernel", "/linux", size_bytes, &bytes[..]).unwrap_err().to_string()
        };
        assert_eq!(said(300_001), "kernel /linux: expected 300001 bytes, found 300000");
        assert_eq!(said(1 << 40), "kernel /linux is 1099511627776 bytes, more than 536870912");
    }
}
