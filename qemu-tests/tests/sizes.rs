//! What a machine has to load before it can be inaugurated.

use anyhow::{Context, Result};
use qemu_tests::environment;
use std::fs;
use std::path::Path;

/// Kernel and initramfs together: what a depot sends to every machine of a rack before
/// the label, often by TFTP.
const PAYLOAD_MAX_BYTES: u64 = 8 << 20;

#[test]
fn the_boot_payload_is_small() -> Result<()> {
    let kernel = size(&environment::kernel()?)?;
    let none = size(&environment::init()?)?;
    let payload = kernel + none;
    for (what, bytes) in [
        ("init, static and stripped", size(&environment::init_program()?)?),
        ("initramfs without modules", none),
        ("initramfs, thin, cloud kernel", size(&environment::init_thin()?)?),
        ("initramfs, fat, generic kernel", size(&environment::init_fat()?)?),
        ("our kernel", kernel),
        ("Debian's cloud kernel", size(&environment::debian_kernel()?)?),
        ("Debian's generic kernel", size(&environment::generic_kernel()?)?),
        ("our kernel + initramfs", payload),
    ] {
        println!("{what:<31} {bytes:>11} bytes {:>8.2} MiB", mib(bytes));
    }
    assert!(payload <= PAYLOAD_MAX_BYTES, "{payload} bytes, more than {PAYLOAD_MAX_BYTES}");
    Ok(())
}

fn size(file: &Path) -> Result<u64> {
    let metadata = fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?;
    Ok(metadata.len())
}

#[allow(clippy::cast_precision_loss, reason = "for people, with two decimals")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
