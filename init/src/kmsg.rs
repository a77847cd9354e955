//! The kernel's log, record by record, as it is now.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// Records read at most: the kernel's buffer has room for fewer, but goes on being written to.
const RECORDS_MAX: usize = 100_000;

/// A record with its fields, as `/dev/kmsg` gives it at most.
const RECORD_MAX_BYTES: usize = 8192;

/// Gives each record (`LEVEL,NUMBER,MICROSECONDS,...;TEXT`, Documentation/ABI/testing/dev-kmsg) that
/// is there, oldest first.
pub(crate) fn records(mut each: impl FnMut(&str)) -> io::Result<()> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg")?;
    let mut record = vec![0; RECORD_MAX_BYTES];
    for _ in 0..RECORDS_MAX {
        match file.read(&mut record) {
            Ok(count) => each(&String::from_utf8_lossy(&record[..count])),
            // Overwritten before it was read: the next one is there.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(_) => break,
        }
    }
    Ok(())
}
