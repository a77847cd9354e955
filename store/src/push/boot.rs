//! Kernel and initrd of what is pushed.

use super::PushError;
use super::image::Input;
use crate::manifest::{Boot, Payload, Place};
use crate::{Digest, Hasher};
use std::path::PathBuf;

/// A kernel or initrd kept beside the image may have this many bytes: then its one segment
/// stays below [`crate::manifest::SEGMENT_MAX_BYTES`] even if every block is an object.
pub const PAYLOAD_MAX_BYTES: u64 = 448 << 20;

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
    /// A file, kept beside the image.
    File(PathBuf),
}

/// Payloads opened and checked, before anything is pushed.
pub(super) struct OpenBoot<'a> {
    request: &'a BootInput,
    kernel: OpenPayload,
    initrd: Option<OpenPayload>,
}

struct OpenPayload {
    size_bytes: u64,
    digest: Digest,
    place: OpenPlace,
}

enum OpenPlace {
    Extents(Vec<(u64, u64)>),
    File(Input),
}

/// Opens and hashes the payloads of `request`.
pub(super) fn open<'a>(request: &'a BootInput, image: &Input) -> Result<OpenBoot<'a>, PushError> {
    let kernel = open_payload("kernel", &request.kernel, image)?;
    let initrd = request.initrd.as_ref().map(|initrd| open_payload("initrd", initrd, image));
    Ok(OpenBoot { request, kernel, initrd: initrd.transpose()? })
}

impl OpenBoot<'_> {
    /// The files that are kept beside the image, in the order of their segments.
    pub(super) fn files(&self) -> impl Iterator<Item = &Input> {
        [Some(&self.kernel), self.initrd.as_ref()].into_iter().flatten().filter_map(|payload| {
            match &payload.place {
                OpenPlace::File(input) => Some(input),
                OpenPlace::Extents(_) => None,
            }
        })
    }

    /// As the manifest says it; segment number `first_segment` is the first after the image's.
    pub(super) fn boot(&self, first_segment: usize) -> Boot {
        let mut next = first_segment;
        let mut payload = |payload: &OpenPayload| Payload {
            size_bytes: payload.size_bytes,
            digest: payload.digest,
            place: match &payload.place {
                OpenPlace::Extents(extents) => Place::Extents(extents.clone()),
                OpenPlace::File(_) => {
                    next += 1;
                    Place::Segment(next - 1)
                }
            },
        };
        Boot {
            kernel: payload(&self.kernel),
            initrd: self.initrd.as_ref().map(payload),
            cmdline: self.request.cmdline.clone(),
            source: self.request.source.clone(),
        }
    }
}

fn open_payload(
    payload: &'static str,
    request: &PayloadInput,
    image: &Input,
) -> Result<OpenPayload, PushError> {
    match request {
        PayloadInput::File(path) => {
            let input = Input::open(path)?;
            let size_bytes = input.size_bytes();
            if !(1..=PAYLOAD_MAX_BYTES).contains(&size_bytes) {
                let expected = format!("1 to {PAYLOAD_MAX_BYTES} bytes");
                let found = format!("{size_bytes} in {}", path.display());
                return Err(PushError::PayloadSize { payload, expected, found });
            }
            let digest = hash(&input, &[(0, size_bytes)])?;
            Ok(OpenPayload { size_bytes, digest, place: OpenPlace::File(input) })
        }
        PayloadInput::Extents { size_bytes, digest, extents } => {
            check_extents(payload, *size_bytes, extents, image.size_bytes())?;
            let found = hash(image, extents)?;
            if found != *digest {
                return Err(PushError::Payload { payload, expected: *digest, found });
            }
            let place = OpenPlace::Extents(extents.clone());
            Ok(OpenPayload { size_bytes: *size_bytes, digest: *digest, place })
        }
    }
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
