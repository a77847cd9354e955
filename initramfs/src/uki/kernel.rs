//! What a bzImage says of itself (`Documentation/arch/x86/boot.rst` of Linux).

use super::UkiError;
use super::fields::{u16_at, u32_at};

/// Where `HdrS` stands in every kernel with a setup header.
const MAGIC_AT: usize = 0x202;
/// `kernel_version`: where the text is, less 0x200.
const VERSION_AT: usize = 0x20e;
const VERSION_BASE: usize = 0x200;
/// `e_lfanew` of the DOS header that a kernel with an EFI stub begins with.
const POINTER_AT: usize = 0x3c;
/// A release has at most 64 characters (uname(2)).
const MAX_RELEASE_BYTES: usize = 64;

/// `uname -r` of `kernel`, a bzImage that firmware can start by itself.
pub fn kernel_release(kernel: &[u8]) -> Result<String, UkiError> {
    if kernel.get(MAGIC_AT..MAGIC_AT + 4) != Some(b"HdrS") {
        return Err(wrong("a bzImage for x86-64", "no setup header"));
    }
    let pe_at = u32_at(kernel, POINTER_AT) as usize;
    let is_executable = kernel.starts_with(b"MZ")
        && kernel.get(pe_at..).is_some_and(|header| header.starts_with(b"PE\0\0"));
    if !is_executable {
        return Err(wrong("a kernel that firmware can start", "none (CONFIG_EFI_STUB)"));
    }
    let text = usize::from(u16_at(kernel, VERSION_AT)) + VERSION_BASE;
    let text = kernel.get(text..).unwrap_or_default();
    let length = text.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(text.len());
    if length == 0 || length > MAX_RELEASE_BYTES {
        return Err(wrong("a kernel that names its release", "none in its setup header"));
    }
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

fn wrong(expected: &'static str, found: &'static str) -> UkiError {
    UkiError::Kernel { expected, found }
}
