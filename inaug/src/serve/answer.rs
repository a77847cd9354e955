//! The answer to one request for a file (RFC 9110: conditions in section 13,
//! ranges in section 14).

use super::body;
use super::range::{self, Selection};
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use rustix::fs::OFlags;
use std::fs::{Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use store::Digest;

/// A year, the longest that caches honour; the bytes behind a digest never change.
const CACHE_IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Kept, but asked about each time: a label may point elsewhere the next moment.
const CACHE_ASK: &str = "no-cache";

/// A file that clients may read.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The digest of its bytes, where its name promises that they never change.
    pub(crate) digest: Option<Digest>,
    /// What it is, as a media type.
    pub(crate) content_type: &'static str,
}

/// Answers `method` with `headers` for `resource`.
///
/// The file is opened once and everything is said about what was opened, so a file that is
/// replaced meanwhile is answered as it was or as it is, never as a mixture.
pub(crate) fn answer(
    resource: &Resource,
    method: &Method,
    headers: &HeaderMap,
) -> io::Result<Response<Body>> {
    // open(2): without it, opening a fifo waits for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&resource.path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let etag = etag(resource, &metadata);
    let caching = if resource.digest.is_some() { CACHE_IMMUTABLE } else { CACHE_ASK };
    let response = Response::builder().header(ETAG, &etag);
    if field(headers, &IF_NONE_MATCH).is_some_and(|list| lists(list, &etag)) {
        let unchanged = response.status(StatusCode::NOT_MODIFIED).header(CACHE_CONTROL, caching);
        return finish(unchanged, Body::empty());
    }
    let total = metadata.len();
    let (status, range) = match selection(headers, &etag, total) {
        Selection::Whole => (StatusCode::OK, 0..total),
        Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selection::PastEnd => {
            let refused = response.status(StatusCode::RANGE_NOT_SATISFIABLE);
            let refused = refused.header(CONTENT_RANGE, format!("bytes */{total}"));
            return finish(refused, Body::empty());
        }
    };
    let mut response = response
        .status(status)
        .header(CACHE_CONTROL, caching)
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_TYPE, resource.content_type)
        .header(CONTENT_LENGTH, range.end - range.start);
    if status == StatusCode::PARTIAL_CONTENT {
        let content_range = format!("bytes {}-{}/{total}", range.start, range.end - 1);
        response = response.header(CONTENT_RANGE, content_range);
    }
    let body = if method == Method::HEAD { Body::empty() } else { body::of_file(file, range)? };
    finish(response, body)
}

/// The part asked for; all of it if the part is of something older (`If-Range`).
fn selection(headers: &HeaderMap, etag: &str, total: u64) -> Selection {
    let Some(wanted) = field(headers, &RANGE) else { return Selection::Whole };
    if field(headers, &IF_RANGE).is_some_and(|of| of != etag) {
        return Selection::Whole;
    }
    range::select(wanted, total)
}

/// A strong tag: the digest where the name is one, else what changes when a file is replaced.
fn etag(resource: &Resource, metadata: &Metadata) -> String {
    if let Some(digest) = resource.digest {
        return format!("\"{digest}\"");
    }
    let (inode, length) = (metadata.ino(), metadata.len());
    format!("\"{inode:x}-{:x}.{:x}-{length:x}\"", metadata.mtime(), metadata.mtime_nsec())
}

/// Whether an `If-None-Match` field names `etag`; compared weakly, as section 13.1.2 says.
fn lists(field: &str, etag: &str) -> bool {
    field.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn finish(response: axum::http::response::Builder, body: Body) -> io::Result<Response<Body>> {
    response.body(body).map_err(io::Error::other)
}
