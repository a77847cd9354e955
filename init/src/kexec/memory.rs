//! Whether the next kernel fits beside this one.

use deploy::disks::size_text;

/// How often an image is in memory at the worst moment: sealed, read by
/// `kexec_file_load(2)`, and in the pages that become the next kernel.
pub const COPIES: u64 = 3;
/// For what the next kernel unpacks itself into, which this one sets aside, and
/// for init: a process that is killed for want of memory here is PID 1.
pub const MARGIN_BYTES: u64 = 32 << 20;

/// The images are not even tried: the kernel would run out of memory over them.
#[derive(Debug, thiserror::Error)]
#[error(
    "not enough memory for the next kernel and its initrd: expected {} available, found {}",
    size_text(*.expected_bytes),
    size_text(*.found_bytes)
)]
pub struct TooLittleMemory {
    /// What has to be available.
    pub expected_bytes: u64,
    /// What is available.
    pub found_bytes: u64,
}

/// Whether images of `images_bytes` together fit into what is available; where that is not known,
/// they are tried.
pub fn fits(images_bytes: u64, available_bytes: Option<u64>) -> Result<(), TooLittleMemory> {
    let expected_bytes = images_bytes.saturating_mul(COPIES).saturating_add(MARGIN_BYTES);
    match available_bytes {
        Some(found_bytes) if found_bytes < expected_bytes => {
            Err(TooLittleMemory { expected_bytes, found_bytes })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn images_are_tried_where_they_fit_or_memory_is_not_known() {
        // Debian's kernel and a small initrd; a machine with 256 MiB has more than 100 MB left here.
        let debian = 20 * MB;
        let table = [
            (debian, Some(100 * MB), true),
            (debian, Some(90 * MB), false),
            (debian, None, true),
            (14 * MB, Some(80 * MB), true),
            (214 * MB, Some(500 * MB), false),
            (u64::MAX, Some(1 << 40), false),
        ];
        for (images_bytes, available, expected) in table {
            assert_eq!(fits(images_bytes, available).is_ok(), expected, "{images_bytes}");
        }
        assert_eq!(
            fits(debian, Some(90 * MB)).unwrap_err().to_string(),
            "not enough memory for the next kernel and its initrd: expected 93.5 MB available, \
             found 90.0 MB"
        );
    }
}
