//! Bytes kept aside until the end of a push: in memory while they are few, in the store's
//! `tmp` when they are not.

use crate::dir::temp::{self, TempFile};
use crate::dir::{DirError, DirStore};

/// How much is held in memory: no push of less than some GiB makes a file for this.
const MEMORY_BYTES: usize = 1 << 20;

/// How much is copied at once, bytes.
const COPY_BYTES: usize = 256 << 10;

/// Bytes that are appended, then read.
pub(crate) struct Spool<'a> {
    store: &'a DirStore,
    what: &'static str,
    file: Option<TempFile>,
    file_bytes: u64,
    /// What follows the bytes in the file.
    memory: Vec<u8>,
}

impl<'a> Spool<'a> {
    /// Empty; `what` it holds, for errors.
    pub(crate) fn new(store: &'a DirStore, what: &'static str) -> Self {
        Self { store, what, file: None, file_bytes: 0, memory: Vec::new() }
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DirError> {
        if self.memory.len() + bytes.len() > MEMORY_BYTES {
            let file = match self.file.take() {
                Some(file) => file,
                None => temp::create(self.store, self.what)?,
            };
            self.file.insert(file).write(&self.memory)?;
            self.file_bytes += self.memory.len() as u64;
            self.memory.clear();
        }
        self.memory.extend_from_slice(bytes);
        Ok(())
    }

    /// How many bytes there are.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.file_bytes + self.memory.len() as u64
    }

    /// Reads the bytes at `offset`, all of `into`.
    pub(crate) fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), DirError> {
        let in_file = self.file_bytes.saturating_sub(offset).min(into.len() as u64) as usize;
        let (from_file, from_memory) = into.split_at_mut(in_file);
        if let Some(file) = self.file.as_ref().filter(|_| in_file > 0) {
            file.read_at(from_file, offset)?;
        }
        let start = (offset + in_file as u64).saturating_sub(self.file_bytes) as usize;
        match self.memory.get(start..).and_then(|rest| rest.get(..from_memory.len())) {
            Some(bytes) => from_memory.copy_from_slice(bytes),
            None => return Err(self.ended(offset)),
        }
        Ok(())
    }

    fn ended(&self, offset: u64) -> DirError {
        let found = format!("{}: {offset} is past its {} bytes", self.what, self.size_bytes());
        let error = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, found);
        DirError::io("read a temporary file in", &self.store.path().join("tmp"))(error)
    }

    /// Hands all bytes to `put`, in order.
    pub(crate) fn copy(
        &self,
        put: &mut dyn FnMut(&[u8]) -> Result<(), DirError>,
    ) -> Result<(), DirError> {
        let mut part = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < self.size_bytes() {
            let length = (self.size_bytes() - at).min(COPY_BYTES as u64);
            let part = &mut part[..length as usize];
            self.read_at(part, at)?;
            put(part)?;
            at += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_wherever_it_lies() {
        let root = tempfile::tempdir().unwrap();
        let store = DirStore::create(root.path().join("store")).unwrap();
        let mut spool = Spool::new(&store, "a test");
        let mut expected = Vec::new();
        for number in 0..700_u32 {
            let bytes = vec![number as u8; 1 + (number as usize * 37) % 9000];
            spool.write(&bytes).unwrap();
            expected.extend(bytes);
        }
        assert!(spool.file_bytes > 0 && !spool.memory.is_empty());
        let mut copied = Vec::new();
        let mut put = |bytes: &[u8]| {
            copied.extend_from_slice(bytes);
            Ok(())
        };
        spool.copy(&mut put).unwrap();
        assert!(copied == expected);
        for offset in [0, spool.file_bytes - 7, spool.file_bytes, expected.len() as u64 - 100] {
            let mut bytes = [0; 100];
            spool.read_at(&mut bytes, offset).unwrap();
            assert_eq!(bytes, expected[offset as usize..][..100]);
        }
        let error = spool.read_at(&mut [0; 2], expected.len() as u64 - 1).unwrap_err();
        assert!(error.to_string().starts_with("read a temporary file in "), "{error}");
    }
}
