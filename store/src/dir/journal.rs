//! What a collection of garbage is going to delete: `gc.journal`.
//!
//! ```text
//! inaug-gc 1
//! boot BOOT-ID
//! pack DIGEST SECONDS
//! manifest DIGEST SECONDS
//! check DIGEST
//! ```
//!
//! Written before anything is deleted, and the only list that anything is deleted by. Who begins
//! to write to the store relies on nothing that stands here (see [`super::users`]); who gives a
//! file a name that stands here strikes it out first ([`strike`]). It is read and written under the
//! store's lock only.
//!
//! SECONDS is when nothing led to it any more, by the clock that counts from boot
//! (`CLOCK_BOOTTIME`): setting the time of day changes nothing. After another
//! boot the count begins anew. The largest number says that something may still ([`NOT_YET`]).

use super::lock::{StoreLock, lock};
use super::{DirError, DirStore, temp};
use crate::map::PackRef;
use crate::stamp::{Stamp, stamp_of};
use crate::{Digest, FormatError};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The journal's file.
pub(super) const NAME: &str = "gc.journal";

const FIRST_LINE: &str = "inaug-gc 1";

/// Longer than any journal: a million packs and manifests.
const MAX_BYTES: u64 = 128 << 20;

/// Stands for when nothing leads to it any more of what is about to be collected, until it is known
/// that nothing does: whoever was cut before leaves no time that is too early.
pub(crate) const NOT_YET: u64 = u64::MAX;

/// A moment as this machine counts from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Which start of which machine (`/proc/sys/kernel/random/boot_id`, random(4)).
    pub boot: String,
    /// Seconds since then.
    pub seconds: u64,
}

/// What is going to be deleted, and since when nothing leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Condemned {
    /// The boot that the seconds count from.
    pub(crate) boot: String,
    /// Packs.
    pub(crate) packs: BTreeMap<Digest, u64>,
    /// Manifests, each with its map.
    pub(crate) manifests: BTreeMap<Digest, u64>,
}

impl Moment {
    /// The present one.
    pub fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim();
        let boot = if boot.is_empty() { "unknown" } else { boot }.to_owned();
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self { boot, seconds: time.tv_sec.unsigned_abs() }
    }
}

impl Condemned {
    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.manifests.is_empty()
    }

    /// The journal of the store, or nothing where there is none. The caller holds the lock.
    pub(crate) fn read(store: &DirStore) -> Result<Self, DirError> {
        let path = path(store);
        let length = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            metadata => metadata.map_err(DirError::io("look at", &path))?.len(),
        };
        let parsed = if length > MAX_BYTES {
            Err(wrong(0, &format!("at most {MAX_BYTES} bytes"), &length.to_string()))
        } else {
            Self::decode(&fs::read(&path).map_err(DirError::io("read", &path))?)
        };
        parsed.map_err(|source| DirError::Journal { path, source: Box::new(source) })
    }

    /// Makes this the journal, durable. The caller holds the lock.
    pub(crate) fn write(&self, store: &DirStore) -> Result<(), DirError> {
        let path = path(store);
        if self.is_empty() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => removed.map_err(DirError::io("remove", &path))?,
            }
            return temp::sync_directory(store.path());
        }
        let mut file = temp::create_locked(store, "the journal of gc")?;
        file.write(self.encode().as_bytes())?;
        file.sync()?;
        file.rename_to(&path)?;
        temp::sync_directory(store.path())
    }

    /// Removes what is given; returns whether any of it was there.
    pub(crate) fn strike(&mut self, packs: &[Digest], manifests: &[Digest]) -> bool {
        let before = self.packs.len() + self.manifests.len();
        for pack in packs {
            self.packs.remove(pack);
        }
        for manifest in manifests {
            self.manifests.remove(manifest);
        }
        before != self.packs.len() + self.manifests.len()
    }

    fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nboot {}\n", self.boot);
        for (kind, entries) in [("pack", &self.packs), ("manifest", &self.manifests)] {
            for (digest, since) in entries {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{kind} {digest} {since}");
            }
        }
        let check = Digest::of(text.as_bytes());
        text + &format!("check {check}\n")
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| wrong(error.valid_up_to() as u64, "UTF-8", "other bytes"))?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        if first != FIRST_LINE {
            return Err(wrong(0, FIRST_LINE, first));
        }
        let mut condemned = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            let (kind, word, since) = (words.next(), words.next(), words.next());
            let digest = word.and_then(|word| word.parse::<Digest>().ok());
            let since = since.and_then(|since| since.parse::<u64>().ok());
            match (kind, word, digest.zip(since)) {
                (Some("boot"), Some(boot), _) => boot.clone_into(&mut condemned.boot),
                (Some("pack"), _, Some((digest, s))) => drop(condemned.packs.insert(digest, s)),
                (Some("manifest"), _, Some((digest, since))) => {
                    condemned.manifests.insert(digest, since);
                }
                _ => {}
            }
        }
        // One spelling: what was skipped, doubled or rotten is not there, and so is the check.
        if condemned.encode().as_bytes() == bytes {
            return Ok(condemned);
        }
        Err(wrong(0, "the one way to write this journal, with its check", "another"))
    }
}

/// Takes names out of the journal, durably, that are about to be given to files. Files are
/// renamed to them while what is returned is held.
pub(crate) fn strike(
    store: &DirStore,
    packs: &[Digest],
    manifests: &[Digest],
) -> Result<StoreLock, DirError> {
    let lock = lock(&store.lock_path())?;
    let mut condemned = Condemned::read(store)?;
    if condemned.strike(packs, manifests) {
        condemned.write(store)?;
    }
    Ok(lock)
}

/// Like [`strike`], for a map of `manifest` that leads to `packs`. `None`: one of them is not there,
/// or is being collected, so that nothing may lead to it.
pub(crate) fn strike_for_map(
    store: &DirStore,
    manifest: &Digest,
    packs: &[PackRef],
) -> Result<Option<StoreLock>, DirError> {
    let lock = strike(store, &[], &[*manifest])?;
    let condemned = Condemned::read(store)?;
    for pack in packs {
        let is_there = store.pack_with_size(pack.digest)? == Some(*pack);
        if !is_there || condemned.packs.contains_key(&pack.digest) {
            return Ok(None);
        }
    }
    Ok(Some(lock))
}

/// The file as it is, to tell whether another journal has replaced it; `None`: there is none. The
/// caller holds the lock.
pub(crate) fn stamp(store: &DirStore) -> Option<Stamp> {
    stamp_of(&path(store))
}

fn path(store: &DirStore) -> PathBuf {
    store.path().join(NAME)
}

fn wrong(at: u64, expected: &str, found: &str) -> FormatError {
    let found = format!("{:?}", found.chars().take(80).collect::<String>());
    FormatError { what: "journal of gc".into(), at, expected: expected.into(), found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Condemned {
        let of = |numbers: &[u8]| numbers.iter().map(|n| (Digest::of(&[*n]), 7)).collect();
        Condemned { boot: "b00t".into(), packs: of(&[1, 2]), manifests: of(&[3]) }
    }

    #[test]
    fn a_journal_comes_back_and_rot_is_found() {
        let bytes = some().encode().into_bytes();
        assert_eq!(Condemned::decode(&bytes), Ok(some()));
        for at in 0..bytes.len() {
            let mut rotten = bytes.clone();
            rotten[at] ^= 4;
            assert!(Condemned::decode(&rotten).is_err(), "{at}");
            assert!(Condemned::decode(&bytes[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn what_is_named_is_struck_out_and_an_empty_journal_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let store = DirStore::create(root.path()).unwrap();
        let read = || {
            let _lock = lock(&store.lock_path()).unwrap();
            Condemned::read(&store).unwrap()
        };
        assert!(read().is_empty());
        {
            let _lock = lock(&store.lock_path()).unwrap();
            some().write(&store).unwrap();
        }
        drop(strike(&store, &[Digest::of(&[1])], &[Digest::of(&[1])]).unwrap());
        assert_eq!(read().packs.len(), 1);
        assert_eq!(read().manifests.len(), 1);
        drop(strike(&store, &[Digest::of(&[2])], &[Digest::of(&[3])]).unwrap());
        assert!(!path(&store).exists());
        fs::write(path(&store), "inaug-gc 1\n").unwrap();
        let error = strike(&store, &[], &[]).err().unwrap().to_string();
        assert!(error.ends_with("gc.journal is damaged: inaug gc makes it anew"), "{error}");
    }
}
