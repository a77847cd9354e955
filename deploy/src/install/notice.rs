//! What a BIOS runs of a disk that it cannot boot: code that says why and hands on.
//!
//! A first sector without code would be run as well, for nothing but its signature, and hang the
//! machine silently where the next device might have booted it.

use crate::boot::BOOT_CODE_BYTES;

/// Boot code (BIOS Boot Specification 1.01, section 6.5): 16-bit x86, started at 0:7C00. Prints
/// the text behind it and ends with INT 18h, upon which the BIOS goes on with its next device.
const PRINT: [u8; 26] = [
    0x31, 0xc0, //             xor ax, ax
    0x8e, 0xd8, //             mov ds, ax
    0xfc, //                   cld
    0xbe, 0x1a, 0x7c, //       mov si, 7C00h + 26: the text
    0xac, //             next: lodsb
    0x84, 0xc0, //             test al, al
    0x74, 0x09, //             jz done
    0xb4, 0x0e, //             mov ah, 0Eh: teletype output
    0xbb, 0x07, 0x00, //       mov bx, 7: page 0, light grey
    0xcd, 0x10, //             int 10h
    0xeb, 0xf2, //             jmp next
    0xcd, 0x18, //       done: int 18h
    0xeb, 0xfe, //             jmp $: for a BIOS that comes back
];

/// Why a BIOS cannot boot a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It is being deployed, or its deployment was cut off.
    Unfinished,
    /// What is on it has no boot loader for BIOS.
    NoLoader,
}

impl Notice {
    fn text(self) -> &'static str {
        match self {
            Self::Unfinished => "inaugurator: this disk is not finished and does not boot.\r\n",
            Self::NoLoader => "inaugurator: this disk has no boot loader for BIOS.\r\n",
        }
    }

    /// The code with its text.
    pub(crate) fn boot_code(self) -> [u8; BOOT_CODE_BYTES] {
        let mut code = [0; BOOT_CODE_BYTES];
        let all = PRINT.into_iter().chain(self.text().bytes());
        // The rest is zero, which ends the text.
        code.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
        code
    }
}

/// Whether the first sector `first` of a disk says that its deployment is not finished.
pub(crate) fn says_unfinished(first: &[u8]) -> bool {
    first.starts_with(&Notice::Unfinished.boot_code())
}

/// What such a sector begins with.
#[cfg(test)]
pub(crate) fn unfinished_boot_code() -> [u8; BOOT_CODE_BYTES] {
    Notice::Unfinished.boot_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_where_the_code_looks_for_it_and_ends() {
        for notice in [Notice::Unfinished, Notice::NoLoader] {
            let code = notice.boot_code();
            let start = usize::from(u16::from_le_bytes([code[6], code[7]])) - 0x7c00;
            let text = &code[start..];
            assert!(text.starts_with(notice.text().as_bytes()));
            assert_eq!(text[notice.text().len()], 0);
        }
    }

    #[test]
    fn jumps_go_where_they_are_meant_to() {
        let target = |jump: usize| {
            let next = isize::try_from(jump).unwrap() + 2;
            usize::try_from(next + isize::from(PRINT[jump + 1].cast_signed())).unwrap()
        };
        assert_eq!((target(11), PRINT[target(11)]), (22, 0xcd));
        assert_eq!((target(20), PRINT[target(20)]), (8, 0xac));
        assert_eq!(target(24), 24);
    }
}
