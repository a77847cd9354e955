//! Reading a directory store as a [`Source`].

use super::DirStore;
use crate::source::{Body, Item, Source, SourceError};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

impl Source for DirStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => {
                SourceError::NotFound { item: item.clone(), store: self.name.clone() }
            }
            _ => SourceError::Io { item: item.clone(), store: self.name.clone(), source },
        };
        let file = open(&self.path.join(item.path()), item).map_err(failed)?;
        let total = file.metadata().map_err(failed)?.len();
        let Range { start, end } = range.unwrap_or(0..total);
        let expected = end.saturating_sub(start);
        if end > total {
            let (item, store) = (item.clone(), self.name.clone());
            let found = total.saturating_sub(start);
            return Err(SourceError::Short { item, store, expected, found });
        }
        let (item, store) = (item.clone(), self.name.clone());
        let reader = Box::new(FileRange { file, item, store, start, at: start, end });
        Ok(Body { length_bytes: Some(expected), total_bytes: Some(total), reader })
    }
}

/// Opens the file of `item`. That a label was read by a listing or a verification does not make it
/// one that is of use (see [`super::touch`]): its time of access stays, where the kernel allows that
/// (open(2), `O_NOATIME`: to the owner and root).
fn open(path: &Path, item: &Item) -> io::Result<File> {
    if matches!(item, Item::Label(_)) {
        let quietly = File::options()
            .read(true)
            .custom_flags(OFlags::NOATIME.bits().cast_signed())
            .open(path);
        match quietly {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            opened => return opened,
        }
    }
    File::open(path)
}

/// Bytes `at..end` of a file.
struct FileRange {
    file: File,
    item: Item,
    store: String,
    start: u64,
    at: u64,
    end: u64,
}

impl Read for FileRange {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let length = left.min(into.len() as u64) as usize;
        if length == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut into[..length], self.at)?;
        if read == 0 {
            return Err(io::Error::other(SourceError::Short {
                item: self.item.clone(),
                store: self.store.clone(),
                expected: self.end - self.start,
                found: self.at - self.start,
            }));
        }
        self.at += read as u64;
        Ok(read)
    }
}
