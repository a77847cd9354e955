//! Values of keys: what is taken, and what would be right instead of what is not.

use std::time::Duration;

use deploy::disks::parse_size;
use store::http::{HttpStoreError, check, redacted};
use store::is_url;

use crate::net;

/// One more of a few.
pub(super) fn add<T>(all: &mut Vec<T>, one: T, most: usize) -> Result<(), String> {
    if all.len() >= most {
        return Err(format!("at most {most} of them"));
    }
    all.push(one);
    Ok(())
}

/// The same for a link that is made, if no other has its name.
pub(super) fn add_named<T>(all: &mut Vec<T>, link: T, is_taken: bool) -> Result<(), String> {
    if is_taken {
        return Err("a name that no other bond= or vlan= has".to_owned());
    }
    add(all, link, net::LAYERS_MAX)
}

/// What would be right instead of a network word, which the message already
/// names unless only a part of it is wrong.
pub(super) fn expected(typed: &str, error: &net::ArgError) -> String {
    let error = error.to_string();
    match error.split_once(": expected ") {
        Some((found, right)) if found.ends_with(&format!("{typed:?}")) => right.to_string(),
        Some((found, right)) => format!("{right} instead of {found}"),
        None => error,
    }
}

/// The word for the store of a medium, found by the label of its file system.
const MEDIUM: &str = "medium";

/// A link of the chain: a store, or the medium that carries one, which may be named by its UUID.
pub(super) fn link(text: &str) -> Result<String, String> {
    let is_id = |id: &str| {
        (1..=36).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
    };
    match text.split_once('=') {
        None if text == MEDIUM => Ok(text.to_string()),
        Some((MEDIUM, id)) if is_id(id) => Ok(text.to_string()),
        Some((MEDIUM, id)) => Err(format!("medium=UUID instead of medium={id:?}")),
        _ => store(text),
    }
}

/// A store is a URL of http or https, or an absolute path.
pub(super) fn store(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        format!("http(s)://HOST/PATH or an absolute path instead of {:?}{why}", redacted(text))
    };
    if text.starts_with('/') {
        return Ok(text.to_string());
    }
    // The parser of URLs passes over a third slash and takes the path for the host.
    let is_hostless = text.split_once("://").is_some_and(|(_, rest)| rest.starts_with('/'));
    if !is_url(text) || is_hostless {
        return Err(wrong(""));
    }
    check(text).map(|()| text.to_string()).map_err(|error| wrong(&why(&error)))
}

/// What of an error a line about a word has not said yet.
pub(super) fn why(error: &HttpStoreError) -> String {
    if let HttpStoreError::Url { reason, .. } = error {
        format!(" ({reason})")
    } else {
        String::new()
    }
}

/// The longest wait that can be asked for: a day, beyond which a machine is not waiting but lost.
const MAX_SECONDS: u64 = 86_400;

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| format!("seconds from 1 to {MAX_SECONDS}"))
}

/// A size such as `512Mi` or `20G`.
pub(super) fn size(text: &str, into: &mut Option<u64>) -> Result<(), String> {
    let bytes = parse_size(text).filter(|bytes| *bytes > 0);
    let expected = || "a size: digits and K M G T or Ki Mi Gi Ti, as in 20G".to_string();
    *into = Some(bytes.ok_or_else(expected)?);
    Ok(())
}

/// Takes the meaning of one of a few words.
pub(super) fn choose<T: Copy>(
    typed: &str,
    words: &[(&str, T)],
    into: &mut T,
) -> Result<(), String> {
    let found = words.iter().find(|(word, _)| *word == typed);
    *into = found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("one of {}", words.join(", "))
    })?;
    Ok(())
}
