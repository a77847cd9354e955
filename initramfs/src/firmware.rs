//! The firmware files that the packed modules may ask for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::archive::{Archive, Node};
use crate::compress::{SUFFIXES, read_unpacked};

/// A file that a packed module names and the firmware directory does not have. Most drivers
/// name files for every model that they know, so this matters only if the driver complains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFirmware {
    /// Path below the firmware directory.
    pub file: String,
    /// A module that names it.
    pub module: String,
}

/// What was packed.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) files: Vec<String>,
    pub(crate) bytes: u64,
    pub(crate) missing: Vec<MissingFirmware>,
}

/// Packs the wanted files (file to module) that exist below `directory`, unpacked.
pub(crate) fn pack(
    archive: &mut Archive,
    directory: Option<&Path>,
    version: &str,
    wanted: BTreeMap<String, String>,
) -> Result<Packed, Error> {
    let mut packed = Packed::default();
    for (file, module) in wanted {
        let Some(source) = directory.and_then(|directory| find(directory, version, &file)) else {
            packed.missing.push(MissingFirmware { file, module });
            continue;
        };
        let bytes = read_unpacked(&source)?;
        packed.bytes += bytes.len() as u64;
        let path = format!("/lib/firmware/{file}");
        archive.add(&path, Node::File { permissions: 0o644, bytes })?;
        packed.files.push(file);
    }
    Ok(packed)
}

/// The file in the places where the kernel looks, in its order: `fw_path` in
/// `drivers/base/firmware_loader/main.c`.
fn find(directory: &Path, version: &str, file: &str) -> Option<PathBuf> {
    let places = [
        directory.join("updates").join(version),
        directory.join("updates"),
        directory.join(version),
        directory.to_owned(),
    ];
    let suffixes = [""].into_iter().chain(SUFFIXES);
    let candidates = places.iter().flat_map(|place| {
        suffixes.clone().map(move |suffix| place.join(format!("{file}{suffix}")))
    });
    // The name comes from a module: it must not lead out of the directory.
    let inside = file.split('/').all(|part| !matches!(part, "" | "." | ".."));
    candidates.filter(|_| inside).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_what_exists_and_lists_what_does_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("fw/updates/rtl_nic")).unwrap();
        std::fs::create_dir_all(dir.path().join("fw/rtl_nic")).unwrap();
        std::fs::write(dir.path().join("fw/updates/rtl_nic/a.fw"), "new").unwrap();
        std::fs::write(dir.path().join("fw/rtl_nic/a.fw"), "old").unwrap();
        let zst = crate::compress::zstd(b"unpacked").unwrap();
        std::fs::write(dir.path().join("fw/rtl_nic/b.fw.zst"), zst).unwrap();
        std::fs::write(dir.path().join("outside.fw"), "secret").unwrap();
        let names = ["rtl_nic/a.fw", "rtl_nic/b.fw", "rtl_nic/c.fw", "../outside.fw"];
        let wanted = names.map(|file| (file.to_owned(), "r8169".to_owned())).into();

        let mut archive = Archive::default();
        let directory = dir.path().join("fw");
        let packed = pack(&mut archive, Some(&directory), "6.1", wanted).unwrap();

        assert_eq!(packed.files, ["rtl_nic/a.fw", "rtl_nic/b.fw"]);
        assert_eq!(packed.bytes, 3 + 8);
        let missing: Vec<_> = packed.missing.iter().map(|missing| missing.file.as_str()).collect();
        assert_eq!(missing, ["../outside.fw", "rtl_nic/c.fw"]);
    }
}
