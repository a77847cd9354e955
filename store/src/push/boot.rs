//! Kernel and initrd of what is pushed.

use super::PushError;
use super::input::Input;
use crate::manifest::{Boot, Payload, Place};
use crate::{Digest, Hasher};
use std::path::PathBuf;

/// A kernel or initrd may have this many bytes: then the one segment of one kept beside the
/// content stays below [`crate::manifest::SEGMENT_MAX_BYTES`] even if every block is an object.
/// Those in the content have the same limit: all are loaded into memory in the same way.
pub const PAYLOAD_MAX_BYTES: u64 = 448 << 20;

/// What payloads are called in errors.
const KERNEL: &str = "kernel";
const INITRD: &str = "initrd";

/// How much of an image is hashed at once to check a payload in it, bytes.
const HASH_BYTES: u64 = 1 << 20;

/// How to boot what is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootInput {
    /// The kernel.
    pub kernel: PayloadInput,
    /// Its initial RAM file system.
    pub initrd: Option<PayloadInput>,
    /// Its command line.
    pub cmdline: String,
    /// Where this was found, in words.
    pub source: String,
}

/// A kernel or initrd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadInput {
    /// It lies in the image.
    Extents {
        /// Its length, bytes.
        size_bytes: u64,
        /// Its digest; the push checks it.
        digest: Digest,
        /// Where it is, as (offset, length) in bytes, in order.
        extents: Vec<(u64, u64)>,
    },
    /// A file, kept beside the content.
    File(PathBuf),
    /// A regular file of the tree, by its path; links are not followed.
    Tree(Vec<u8>),
}

/// Payloads opened and checked, before anything is pushed.
pub(super) struct OpenBoot<'a> {
    request: &'a BootInput,
    kernel: OpenPayload,
    initrd: Option<OpenPayload>,
}

enum OpenPayload {
    Extents(Payload),
    File { input: Input, digest: Digest },
    Tree(Vec<u8>),
}

/// Opens the payloads of `request`, and hashes those that are not in a tree. `image` is none
/// where a tree is pushed.
pub(super) fn open<'a>(
    request: &'a BootInput,
    image: Option<&Input>,
) -> Result<OpenBoot<'a>, PushError> {
    let kernel = open_payload(KERNEL, &request.kernel, image)?;
    let initrd = request.initrd.as_ref().map(|initrd| open_payload(INITRD, initrd, image));
    Ok(OpenBoot { request, kernel, initrd: initrd.transpose()? })
}

impl OpenBoot<'_> {
    /// The files that are kept beside the content, in the order of their segments.
    pub(super) fn files(&self) -> impl Iterator<Item = &Input> {
        self.payloads().filter_map(|payload| match payload {
            OpenPayload::File { input, .. } => Some(input),
            OpenPayload::Extents(_) | OpenPayload::Tree(_) => None,
        })
    }

    /// What they are and the paths of those that are in the tree.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        [KERNEL, INITRD].into_iter().zip([Some(&self.kernel), self.initrd.as_ref()]).filter_map(
            |(name, payload)| match payload? {
                OpenPayload::Tree(path) => Some((name, &path[..])),
                OpenPayload::Extents(_) | OpenPayload::File { .. } => None,
            },
        )
    }

    fn payloads(&self) -> impl Iterator<Item = &OpenPayload> {
        [Some(&self.kernel), self.initrd.as_ref()].into_iter().flatten()
    }

    /// As the manifest says it; segment number `first_segment` is the first after the content's.
    /// `in_tree` says what is at a path of the tree.
    pub(super) fn boot(
        &self,
        first_segment: usize,
        in_tree: &dyn Fn(&[u8]) -> Result<Payload, PushError>,
    ) -> Result<Boot, PushError> {
        let mut next = first_segment;
        let mut payload = |payload: &OpenPayload| match payload {
            OpenPayload::Extents(payload) => Ok(payload.clone()),
            OpenPayload::Tree(path) => in_tree(path),
            OpenPayload::File { input, digest } => {
                next += 1;
                let place = Place::Segment(next - 1);
                Ok(Payload { size_bytes: input.size_bytes(), digest: *digest, place })
            }
        };
        Ok(Boot {
            kernel: payload(&self.kernel)?,
            initrd: self.initrd.as_ref().map(payload).transpose()?,
            cmdline: self.request.cmdline.clone(),
            source: self.request.source.clone(),
        })
    }
}

fn open_payload(
    payload: &'static str,
    request: &PayloadInput,
    image: Option<&Input>,
) -> Result<OpenPayload, PushError> {
    let misplaced = |expected: &str, found: &str| {
        let (expected, found) = (expected.to_owned(), found.to_owned());
        Err(PushError::PayloadSize { payload, expected, found })
    };
    match (request, image) {
        (PayloadInput::File(path), _) => {
            let input = Input::open(path)?;
            let size_bytes = input.size_bytes();
            check_size(payload, size_bytes, || path.display().to_string())?;
            let digest = hash(&input, &[(0, size_bytes)])?;
            Ok(OpenPayload::File { input, digest })
        }
        (PayloadInput::Extents { size_bytes, digest, extents }, Some(image)) => {
            check_size(payload, *size_bytes, || "extents".to_owned())?;
            check_extents(payload, *size_bytes, extents, image.size_bytes())?;
            let found = hash(image, extents)?;
            if found != *digest {
                return Err(PushError::Payload { payload, expected: *digest, found });
            }
            let place = Place::Extents(extents.clone());
            Ok(OpenPayload::Extents(Payload { size_bytes: *size_bytes, digest: *digest, place }))
        }
        (PayloadInput::Tree(path), None) => Ok(OpenPayload::Tree(path.clone())),
        (PayloadInput::Extents { .. }, None) => misplaced("a file", "extents, of a tree"),
        (PayloadInput::Tree(_), Some(_)) => misplaced("a file or extents", "a path, of an image"),
    }
}

/// An error if a kernel or initrd cannot have this many bytes.
pub(super) fn check_size(
    payload: &'static str,
    size_bytes: u64,
    shown: impl Fn() -> String,
) -> Result<(), PushError> {
    if (1..=PAYLOAD_MAX_BYTES).contains(&size_bytes) {
        return Ok(());
    }
    let expected = format!("1 to {PAYLOAD_MAX_BYTES} bytes");
    let found = format!("{size_bytes} in {}", shown());
    Err(PushError::PayloadSize { payload, expected, found })
}

fn check_extents(
    payload: &'static str,
    size_bytes: u64,
    extents: &[(u64, u64)],
    image_bytes: u64,
) -> Result<(), PushError> {
    let wrong =
        |expected: String, found: String| PushError::PayloadSize { payload, expected, found };
    let mut sum = 0_u64;
    for (offset, length) in extents {
        if offset.checked_add(*length).is_none_or(|end| end > image_bytes) {
            let found = format!("{length} bytes at {offset}");
            return Err(wrong(format!("extents within {image_bytes} bytes"), found));
        }
        sum = sum.saturating_add(*length);
    }
    if sum == size_bytes {
        return Ok(());
    }
    Err(wrong(format!("{size_bytes} bytes"), format!("extents of {sum} bytes")))
}

fn hash(input: &Input, extents: &[(u64, u64)]) -> Result<Digest, PushError> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; HASH_BYTES as usize];
    for (offset, length) in extents {
        let (mut at, end) = (*offset, offset + length);
        while at < end {
            let part = &mut buffer[..HASH_BYTES.min(end - at) as usize];
            input.read(part, at)?;
            hasher.update(part);
            at += part.len() as u64;
        }
    }
    Ok(hasher.finish())
}
