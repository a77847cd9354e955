//! Are two disks the same?

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

const BLOCK_BYTES: u64 = 1 << 20;

/// The offset of the first byte in which two files differ; `None` if they are
/// the same. A file that ends early differs where it ends.
pub fn first_difference(a: impl AsRef<Path>, b: impl AsRef<Path>) -> Result<Option<u64>> {
    let (mut a, mut b) = (open(a.as_ref())?, open(b.as_ref())?);
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    let mut offset = 0;
    loop {
        read_block(&mut a, &mut of_a)?;
        read_block(&mut b, &mut of_b)?;
        if of_a != of_b {
            let same = of_a.iter().zip(&of_b).take_while(|(a, b)| a == b).count();
            return Ok(Some(offset + same as u64));
        }
        if of_a.is_empty() {
            return Ok(None);
        }
        offset += of_a.len() as u64;
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("opening {} to compare it", path.display()))
}

fn read_block(file: &mut File, block: &mut Vec<u8>) -> Result<()> {
    block.clear();
    file.take(BLOCK_BYTES).read_to_end(block).context("reading a file to compare")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::first_difference;
    use std::fs;

    #[test]
    fn the_first_difference_is_named() {
        let work = tempfile::tempdir().unwrap();
        let path = |name: &str| work.path().join(name);
        let long = vec![7; (1 << 20) + 10];
        let mut flipped = long.clone();
        flipped[(1 << 20) + 3] ^= 1;
        for (name, bytes) in
            [("a", &long[..]), ("b", &flipped), ("c", &long[..1 << 20]), ("d", &[])]
        {
            fs::write(path(name), bytes).unwrap();
        }
        for (a, b, expected) in [
            ("a", "a", None),
            ("d", "d", None),
            ("a", "b", Some((1 << 20) + 3)),
            ("a", "c", Some(1 << 20)),
            ("d", "a", Some(0)),
        ] {
            assert_eq!(first_difference(path(a), path(b)).unwrap(), expected, "{a} {b}");
        }
    }
}
