//! The section table of a PE executable (Microsoft's PE/COFF specification),
//! which is all that a unified kernel needs.

use crate::BootFactsError;
use crate::image::{u16_at, u32_at};

/// Headers and section table of a unified kernel fit in one page; this leaves
/// room for a DOS stub.
pub(crate) const MAX_HEADER_BYTES: u64 = 64 * 1024;
/// The loader of Windows takes no more than 96 sections.
const MAX_SECTIONS: u16 = 96;
const SECTION_BYTES: usize = 40;
/// Where the DOS header says where the PE header is (`e_lfanew`).
const POINTER_AT: usize = 0x3c;
const COFF_BYTES: usize = 20;

/// A section's name and where its contents are in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: u64,
}

/// The sections, in order, of the executable that starts with `head`.
pub(crate) fn sections(head: &[u8], file_bytes: u64) -> Result<Vec<Section>, BootFactsError> {
    if !head.starts_with(b"MZ") {
        return Err(malformed("signature", "MZ", format!("{:02x?}", head.get(..2))));
    }
    let pe_at = u32_at(head, POINTER_AT) as usize;
    let coff = pe_at.checked_add(4).and_then(|at| head.get(at..at.checked_add(COFF_BYTES)?));
    let (Some(coff), Some(b"PE\0\0")) = (coff, head.get(pe_at..pe_at.saturating_add(4))) else {
        return Err(malformed("e_lfanew", "a PE header", pe_at.to_string()));
    };
    let count = u16_at(coff, 2);
    if count > MAX_SECTIONS {
        return Err(malformed("NumberOfSections", "at most 96", count.to_string()));
    }
    let table_at = pe_at + 4 + COFF_BYTES + usize::from(u16_at(coff, 16));
    (0..usize::from(count))
        .map(|index| {
            let at = table_at + index * SECTION_BYTES;
            let raw = head.get(at..at + SECTION_BYTES);
            section(raw.unwrap_or_default(), file_bytes)
        })
        .collect()
}

fn section(raw: &[u8], file_bytes: u64) -> Result<Section, BootFactsError> {
    if raw.len() < SECTION_BYTES {
        return Err(malformed("section table", "whole", "its end".to_owned()));
    }
    let name = String::from_utf8_lossy(&raw[..8]).trim_end_matches('\0').to_owned();
    // What is in memory beyond the file's bytes is zero; what is in the file
    // beyond the memory's is padding.
    let length_bytes = u64::from(u32_at(raw, 8).min(u32_at(raw, 16)));
    let offset_bytes = u64::from(u32_at(raw, 20));
    if length_bytes > 0 && offset_bytes + length_bytes > file_bytes {
        let found = format!("{length_bytes} bytes at {offset_bytes} in {name}");
        return Err(malformed("section", "inside the file", found));
    }
    Ok(Section { name, offset_bytes, length_bytes })
}

fn malformed(field: &'static str, expected: &'static str, found: String) -> BootFactsError {
    BootFactsError::Malformed { object: "PE executable", field, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refusals_name_what_is_wrong() {
        let mut head = vec![0; 512];
        assert!(sections(&head, 512).unwrap_err().to_string().contains("expected MZ"));
        head[..2].copy_from_slice(b"MZ");
        head[POINTER_AT] = 0x80;
        assert!(sections(&head, 512).unwrap_err().to_string().contains("e_lfanew"));
        head[0x80..0x84].copy_from_slice(b"PE\0\0");
        assert_eq!(sections(&head, 512).unwrap(), []);
        head[0x86] = 97;
        assert!(sections(&head, 512).unwrap_err().to_string().contains("at most 96, found 97"));
        head[0x86] = 20;
        assert!(sections(&head, 512).unwrap_err().to_string().contains("section table"));
    }

    proptest! {
        #[test]
        fn any_bytes(mut head in prop::collection::vec(any::<u8>(), 64..512)) {
            head[..2].copy_from_slice(b"MZ");
            head[POINTER_AT..POINTER_AT + 4].copy_from_slice(&16_u32.to_le_bytes());
            head[16..20].copy_from_slice(b"PE\0\0");
            let _ = sections(&head, 1024);
        }
    }
}
