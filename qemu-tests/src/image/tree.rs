//! The files of a test image.

use super::TestImage;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use wire::Noise;

/// Data files, half of them compressible.
const FILES: u32 = 24;

/// Their largest size: 24 files of 512 KiB on average are 12 MiB.
const FILE_BYTES: u64 = 1 << 20;

/// An update changes every fourth file.
const CHANGED_OF: u32 = 4;

pub(super) fn fill(image: &TestImage, root: &Path) -> Result<()> {
    put(root, "etc/witness", format!("{}\n", image.greeting()).as_bytes())?;
    put(root, "boot/grub/grub.cfg", grub_cfg(image).as_bytes())?;
    put(root, "boot/initrd.img", &image.initrd()?)?;
    let kernel = fs::read(&image.kernel)
        .with_context(|| format!("reading the image's kernel {}", image.kernel.display()))?;
    put(root, "boot/vmlinuz", &kernel)?;
    // Each update drops the oldest file and adds one.
    for number in image.version..image.version + FILES {
        put(root, &format!("srv/data-{number:02}"), &data(image, number))?;
    }
    Ok(())
}

fn data(image: &TestImage, number: u32) -> Vec<u8> {
    let version = if number.is_multiple_of(CHANGED_OF) { image.version } else { 1 };
    let mut noise = Noise::of(image.seed << 32 | u64::from(version) << 16 | u64::from(number));
    let length = (noise.number() % FILE_BYTES) as usize;
    if number.is_multiple_of(2) { noise.bytes(length) } else { noise.text(length) }
}

/// What `grub-mkconfig` writes on Debian, without the modules it loads.
fn grub_cfg(image: &TestImage) -> String {
    format!(
        "set default=\"0\"\n\
         menuentry 'Test GNU/Linux' --class gnu-linux --class os $menuentry_id_option 'test' {{\n\
         \tsearch --no-floppy --label --set=root test-root\n\
         \techo\t'Loading Linux ...'\n\
         \tlinux\t/boot/vmlinuz {}\n\
         \techo\t'Loading initial ramdisk ...'\n\
         \tinitrd\t/boot/initrd.img\n\
         }}\n",
        image.cmdline()
    )
}

fn put(root: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = root.join(name);
    let parent = path.parent().unwrap_or(root);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&path, bytes))
        .with_context(|| format!("writing {name} of the image"))
}
