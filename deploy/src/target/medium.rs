//! What a target is made of: the seam where tests put disks that fail.

use std::fmt::Debug;
use std::io;
use std::ops::Range;

/// A disk or a file: bytes that can be read, written, zeroed and made durable.
///
/// Production has a file or block device behind it; tests put disks there that fail, lie and
/// forget. Offsets and lengths are bytes and lie within the medium.
pub trait Medium: Debug + Send + Sync {
    /// Reads exactly `into`. Comes from the device, not from a cache of what was written,
    /// after [`Medium::drop_cache`].
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes`; durable only after [`Medium::flush`].
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes `range` read as zeroes without writing them (discard, write zeroes, a hole). After
    /// an error they are written.
    fn zero(&self, range: Range<u64>) -> io::Result<()>;

    /// Returns when all that was written before is durable. After an error nothing that was
    /// written since the last success is known to be there.
    fn flush(&self) -> io::Result<()>;

    /// Makes the medium this long; only asked of files.
    fn set_size(&self, size_bytes: u64) -> io::Result<()>;

    /// Makes the next reads come from the device; after a flush.
    fn drop_cache(&self) {}

    /// Where the first byte at or after `offset` that may differ from zero lies, if anywhere.
    fn next_data(&self, offset: u64) -> Option<u64> {
        Some(offset)
    }

    /// Makes the kernel read the partition table anew, where there is one.
    fn reread_partitions(&self) {}
}
