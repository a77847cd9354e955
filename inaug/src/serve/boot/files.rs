//! The directory of boot files.

use crate::serve::answer::Resource;
use std::io;
use std::path::{Path, PathBuf};

/// The kernel's name in the directory.
pub(crate) const KERNEL: &str = "vmlinuz";

/// The initramfs's.
pub(crate) const INITRAMFS: &str = "initramfs.img";

/// The name of a unified kernel image, which UEFI boots over HTTP; it need not be there.
pub(crate) const UKI: &str = "inaugurator.efi";

/// A directory with what machines boot.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    dir: PathBuf,
}

/// The directory lacks what every machine boots.
#[derive(Debug, thiserror::Error)]
#[error("{} has no {name}: a kernel is named {KERNEL} there, and what `inaug initramfs` makes \
         {INITRAMFS}", dir.display())]
pub(crate) struct FilesError {
    dir: PathBuf,
    name: &'static str,
    source: io::Error,
}

impl Files {
    /// The files in `dir`, in which the kernel and the initramfs must be.
    pub(crate) fn in_dir(dir: &Path) -> Result<Self, FilesError> {
        for name in [KERNEL, INITRAMFS] {
            let found = std::fs::metadata(dir.join(name));
            let found =
                found.and_then(|is| if is.is_file() { Ok(()) } else { Err(NOT_A_FILE.into()) });
            found.map_err(|source| FilesError { dir: dir.to_owned(), name, source })?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The file that `name`, as it stands in a request, may be; `None` for everything that is no
    /// plain name. Names need no percent-encoding, so one with any is no file's; hidden files are
    /// not served. A symbolic link is followed: the operator put it there.
    pub(crate) fn named(&self, name: &str) -> Option<Resource> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-+".contains(&c);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return None;
        }
        let content_type = content_type(name);
        Some(Resource { path: self.dir.join(name), digest: None, content_type })
    }
}

const NOT_A_FILE: io::ErrorKind = io::ErrorKind::InvalidInput;

/// UEFI 2.10, 24.7.1: what HTTP boot takes an answer for is said by its type.
fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        Some("ipxe") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_served() {
        let files = Files { dir: "/boot".into() };
        for name in ["vmlinuz", "initramfs.img", "vmlinuz-6.1.0-50-amd64", "a..b", "ipxe.efi"] {
            assert_eq!(files.named(name).unwrap().path, Path::new("/boot").join(name));
        }
        for name in ["", ".", "..", ".hidden", "a/b", "../etc/passwd", "%2e%2e", "a b", "a\0", "/a"]
        {
            assert!(files.named(name).is_none(), "{name:?}");
        }
    }
}
