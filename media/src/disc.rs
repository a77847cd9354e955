//! A CD-ROM: ISO 9660 with Rock Ridge, made by xorriso(1), that boots by BIOS and UEFI (El Torito
//! 1.0; UEFI 2.10, 13.3.2.1). Packs longer than 4 GiB lie in several extents (ECMA-119, level 3).

use crate::boot::Boot;
use crate::esp::Esp;
use crate::grub::{self, Reads};
use crate::place::{self, beside};
use crate::staging::{Progress, Staged, Step, warnings};
use crate::stick::Made;
use crate::{Load, MediaError, TIME_S, needs, patience};
use deploy::disks::STORE_LABEL;
use deploy::tools::Tool;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use store::Digest;
use tempfile::NamedTempFile;

/// GRUB's core on the disc, which a BIOS loads whole.
const CORE: &str = "boot/grub/eltorito.img";

/// The FAT on the disc that firmware takes for a system partition.
const ESP: &str = "boot/efi.img";

/// The least for that, bytes: FAT32 has no less than 36 MiB.
const ESP_MIN_BYTES: u64 = 36 << 20;

/// Makes the image `path` of a CD-ROM. The file is replaced when the new one is whole.
pub fn image(path: &Path, load: &Load<'_>, progress: Progress<'_>) -> Result<Made, MediaError> {
    place::check(path)?;
    let beside = beside(path);
    // What cannot be made is said before anything is copied.
    let tool = Tool::named("xorriso").map_err(failed)?;
    let core = grub::core(Reads::Disc)?;
    // The image has the store once more.
    place::check_room(&beside, 2 * needs::of(load)?)?;
    let staged = Staged::new(load, &beside, progress)?;
    let identity = staged.identity(load);
    let made_at = made_at(&identity);
    let mut boot_bytes = core.len() as u64;
    for (name, bytes) in load.boot.files()? {
        boot_bytes += bytes.len() as u64;
        staged.put(name, &bytes)?;
    }
    staged.put(CORE, &core)?;
    boot_bytes += esp(&staged, load.boot, &identity)?;
    staged.normalise()?;
    let image =
        NamedTempFile::new_in(&beside).map_err(MediaError::io("make a file in", &beside))?;
    progress(Step::Phase("writing the CD-ROM"));
    tool.variable("SOURCE_DATE_EPOCH", TIME_S)
        .patience(patience(staged.size_bytes))
        .args(["-as", "mkisofs", "-quiet", "-iso-level", "3", "-r", "-V", STORE_LABEL])
        .arg(format!("--modification-date={made_at}"))
        .args(["-b", CORE, "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"])
        .args(["--grub2-boot-info", "-eltorito-alt-boot", "-e", ESP, "-no-emul-boot", "-o"])
        .arg(image.path().display())
        .arg(staged.path().display())
        .run()
        .map_err(failed)?;
    let size_bytes = image.as_file().metadata().map_err(MediaError::io("read", path))?.len();
    let wrong = || MediaError::io("write", path);
    image.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(wrong())?;
    image.as_file().sync_all().map_err(wrong())?;
    image.persist(path).map_err(|error| wrong()(error.error))?;
    let (store_bytes, labels) = (staged.size_bytes, staged.into_labels());
    let (id, warnings) = (id_of(&made_at), warnings(&labels));
    Ok(Made { size_bytes, store_bytes, boot_bytes, id, labels, warnings })
}

fn failed(source: deploy::tools::ToolError) -> MediaError {
    MediaError::Tool { what: "the CD-ROM", package: "xorriso", source }
}

/// The system partition, with nothing but what firmware runs; returns its size.
fn esp(staged: &Staged, boot: &Boot, identity: &Digest) -> Result<u64, MediaError> {
    let content = boot.uki.len() as u64;
    let size = (content + content / 64 + (1 << 20)).max(ESP_MIN_BYTES).next_multiple_of(1 << 20);
    let [a, b, c, d, ..] = *identity.as_bytes();
    let files = vec![(crate::boot::UKI, boot.uki.clone())];
    let esp = Esp::plan(0, size, u32::from_le_bytes([a, b, c, d]), files)?;
    let path = staged.path().join(ESP);
    let write = || {
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        file.set_len(size)?;
        esp.write(&file)
    };
    write().map_err(MediaError::io("write", &path))?;
    Ok(size)
}

/// When a disc of this identity says it was made: all that tells it from another, since ISO 9660
/// has no room for a UUID. A digest written as a date, so that the same disc is the same bytes.
fn made_at(identity: &Digest) -> String {
    let bytes = identity.as_bytes();
    let part = |at: usize, from: u32, count: u32| from + u32::from(bytes[at]) % count;
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}{:02}",
        part(0, 2000, 30),
        part(1, 1, 12),
        part(2, 1, 28),
        part(3, 0, 24),
        part(4, 0, 60),
        part(5, 0, 60),
        part(6, 0, 100)
    )
}

/// The same as blkid(8) writes it.
fn id_of(made_at: &str) -> String {
    let ends = [(0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14), (14, 16)];
    ends.map(|(from, to)| &made_at[from..to]).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disc_is_told_from_another_by_a_date_that_can_be() {
        for text in ["1", "2", "3"] {
            let made = made_at(&Digest::of(text.as_bytes()));
            assert!(made.len() == 16 && made.bytes().all(|c| c.is_ascii_digit()), "{made}");
        }
        assert_ne!(made_at(&Digest::of(b"1")), made_at(&Digest::of(b"2")));
        assert_eq!(id_of("2026112213141516"), "2026-11-22-13-14-15-16");
    }
}
