//! How a label boots, as the commands show it.

use crate::text;
use serde::Serialize;
use std::fmt;
use store::manifest::{Boot, Payload, Place};

/// How a label boots.
#[derive(Serialize)]
pub(crate) struct BootDocument {
    kernel: PayloadDocument,
    initrd: Option<PayloadDocument>,
    cmdline: String,
    /// Where this was found, in words.
    source: String,
}

#[derive(Serialize)]
struct PayloadDocument {
    size_bytes: u64,
    digest: String,
    /// `image`: its bytes are part of the image; `beside`: they are fetched besides it; `tree`: it
    /// is a file of the tree.
    place: &'static str,
    /// Which file of the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

impl BootDocument {
    /// What `boot` says.
    pub(crate) fn of(boot: &Boot) -> Self {
        Self {
            kernel: PayloadDocument::of(&boot.kernel),
            initrd: boot.initrd.as_ref().map(PayloadDocument::of),
            cmdline: boot.cmdline.clone(),
            source: boot.source.clone(),
        }
    }
}

impl PayloadDocument {
    fn of(payload: &Payload) -> Self {
        let path = match &payload.place {
            Place::Path(path) => Some(format!("/{}", text::path(path))),
            Place::Extents(_) | Place::Segment(_) => None,
        };
        let place = match payload.place {
            Place::Extents(_) => "image",
            Place::Segment(_) => "beside",
            Place::Path(_) => "tree",
        };
        Self { size_bytes: payload.size_bytes, digest: payload.digest.to_string(), place, path }
    }
}

impl fmt::Display for BootDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel    {}", self.kernel)?;
        match &self.initrd {
            Some(initrd) => writeln!(f, "initrd    {initrd}")?,
            None => writeln!(f, "initrd    none")?,
        }
        writeln!(f, "cmdline   {}", self.cmdline)?;
        writeln!(f, "found in  {}", self.source)
    }
}

impl fmt::Display for PayloadDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let where_ = match (&self.path, self.place) {
            (Some(path), _) => path,
            (None, "image") => "inside the image",
            (None, _) => "beside the content",
        };
        write!(f, "{} {where_}, {}", text::size(self.size_bytes), &self.digest[..12])
    }
}
