//! The header of a swap area, as mkswap(8) writes it and the kernel's `union swap_header`
//! (`include/linux/swap.h`) reads it.

use crate::layout::Guid;

/// Pages of this kernel's architecture, bytes.
const PAGE_BYTES: usize = 4096;

/// The first page of a swap area of `size_bytes`.
pub fn swap_header(size_bytes: u64, uuid: Guid, label: &str) -> Vec<u8> {
    let mut page = vec![0; PAGE_BYTES];
    let pages = size_bytes / PAGE_BYTES as u64;
    // More pages than the field can say are not used.
    let last = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    page[1024..1028].copy_from_slice(&1_u32.to_le_bytes());
    page[1028..1032].copy_from_slice(&last.to_le_bytes());
    page[1036..1052].copy_from_slice(&uuid.0);
    page[1052..1067].iter_mut().zip(label.bytes()).for_each(|(place, byte)| *place = byte);
    page[PAGE_BYTES - 10..].copy_from_slice(b"SWAPSPACE2");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn it_is_what_mkswap_writes() {
        let (ours, theirs) =
            (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        theirs.as_file().set_len(8 << 20).unwrap();
        let uuid = "01020304-0506-0708-090a-0b0c0d0e0f10";
        let mut mkswap = Command::new("mkswap");
        let made = mkswap.args(["-q", "-U", uuid, "-L", "swap"]).arg(theirs.path());
        assert!(made.status().unwrap().success());
        let guid = Guid(std::array::from_fn(|at| at as u8 + 1));
        std::fs::write(ours.path(), swap_header(8 << 20, guid, "swap")).unwrap();
        let written = std::fs::read(theirs.path()).unwrap();
        assert!(std::fs::read(ours.path()).unwrap() == written[..PAGE_BYTES]);
    }
}
