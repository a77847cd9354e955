//! Kernel and initrd that are files of the tree: hashed whole as they are read.

use super::FileId;
use crate::Hasher;
use crate::manifest::{Payload, Place};
use crate::push::PushError;
use crate::push::boot::check_size;

/// Zeroes are hashed in steps of this many bytes.
const ZEROES: [u8; 4096] = [0; 4096];

/// The files that are wanted, and what was found of them.
#[derive(Default)]
pub(super) struct Payloads {
    wanted: Vec<Wanted>,
    /// The one that is read now, and its digest so far.
    open: Option<(usize, Hasher)>,
}

struct Wanted {
    /// What it is for.
    name: &'static str,
    /// As it was asked for.
    path: Vec<u8>,
    id: FileId,
    /// As it was met: under the first of its names.
    found: Option<(Vec<u8>, u64)>,
    payload: Option<Payload>,
}

impl Payloads {
    pub(super) fn want(&mut self, name: &'static str, path: &[u8], id: FileId) {
        self.wanted.push(Wanted { name, path: path.to_vec(), id, found: None, payload: None });
    }

    /// A file begins that is `size_bytes` long. An error if it is wanted and cannot be.
    pub(super) fn begin(
        &mut self,
        path: &[u8],
        id: FileId,
        size_bytes: u64,
    ) -> Result<(), PushError> {
        let wanted = self.wanted.iter_mut().enumerate().find(|(_, wanted)| wanted.id == id);
        let Some((number, wanted)) = wanted else { return Ok(()) };
        check_size(wanted.name, size_bytes, || format!("/{}", wanted.path.escape_ascii()))?;
        wanted.found = Some((path.to_vec(), size_bytes));
        self.open = Some((number, Hasher::new()));
        Ok(())
    }

    pub(super) fn data(&mut self, bytes: &[u8]) {
        if let Some((_, hasher)) = &mut self.open {
            hasher.update(bytes);
        }
    }

    pub(super) fn zeroes(&mut self, mut length: u64) {
        let Some((_, hasher)) = &mut self.open else { return };
        while length > 0 {
            let part = length.min(ZEROES.len() as u64);
            hasher.update(&ZEROES[..part as usize]);
            length -= part;
        }
    }

    /// The file ends.
    pub(super) fn end(&mut self) {
        let Some((number, hasher)) = self.open.take() else { return };
        let wanted = &mut self.wanted[number];
        wanted.payload = wanted.found.take().map(|(path, size_bytes)| Payload {
            size_bytes,
            digest: hasher.finish(),
            place: Place::Path(path),
        });
    }

    /// What was found for `path`.
    pub(super) fn get(&self, path: &[u8]) -> Result<Payload, PushError> {
        let wanted = self.wanted.iter().find(|wanted| wanted.path == path);
        let payload = wanted.and_then(|wanted| {
            // Another path may be another name of the same file.
            let mut same = self.wanted.iter().filter(|other| other.id == wanted.id);
            same.find_map(|other| other.payload.clone())
        });
        payload.ok_or_else(|| PushError::NotInTree { path: path.to_vec() })
    }
}
