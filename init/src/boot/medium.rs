//! The store of a medium: found by the label of its file system, mounted read-only, and read like
//! any directory.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::disks::{Carrier, DiscoverError, Places, STORE_DIRECTORY, STORE_LABEL};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use store::dir::DirStore;
use store::label::LabelName;
use store::manifest_reader::{read_label, read_map, read_root};
use store::map::PackRef;
use store::source::{Body, Item, Source, SourceError};

use super::failure::Cause;
use crate::machine::Machine;
use crate::report::ANSWER;

/// Where it is mounted.
const PLACE: &str = "/run/medium";

/// Time from start until a medium must have shown itself. A stick on a slow hub needs some seconds,
/// a CD-ROM that has to spin up more.
const DEADLINE: Duration = Duration::from_secs(30);

/// Time from start until the medium that the machine was booted from has shown itself, which no
/// network is waited for then.
const SOON: Duration = Duration::from_secs(10);

/// Nothing of a medium is run, and nothing of its content changes. Where a refresh was cut off, the
/// kernel carries out the journal first, which nothing can be read without; a stick that was not cut
/// is not written at all.
const FLAGS: MountFlags = MountFlags::RDONLY
    .union(MountFlags::NOSUID)
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC)
    .union(MountFlags::NOATIME);

/// Why there is no medium.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// None was found.
    #[error(
        "no medium: no partition and no CD-ROM has a file system labelled {STORE_LABEL}{}",
        named(.wanted.as_deref())
    )]
    None {
        /// The one that was asked for.
        wanted: Option<String>,
    },
    /// There are several.
    #[error(
        "{} media carry a store; take out all but one{}:\n  {}",
        .found.len(), by_name(*.are_twins), .found.join("\n  ")
    )]
    Several {
        /// Each of them.
        found: Vec<String>,
        /// Whether some have the same ID, being copies of one image, so that none can be named.
        are_twins: bool,
    },
    /// The disks cannot be listed.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// It could not be mounted.
    #[error("cannot mount {medium} at {PLACE}")]
    Mount {
        /// Which.
        medium: String,
        /// What the kernel said.
        source: io::Error,
    },
}

fn by_name(are_twins: bool) -> &'static str {
    if are_twins {
        " (some are copies of one image)"
    } else {
        ", or name one by inaugurator.store=medium=ID"
    }
}

fn named(wanted: Option<&str>) -> String {
    wanted.map_or_else(String::new, |id| format!(" and the UUID {id}"))
}

/// A medium as a word of the chain names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// The only one there is.
    Any,
    /// The one of this UUID.
    Only(&'a str),
}

impl<'a> Wanted<'a> {
    /// The medium that `word` names; none where it names another store.
    pub(super) fn of(word: &'a str) -> Option<Self> {
        match word.split_once('=') {
            None if word == "medium" => Some(Self::Any),
            Some(("medium", id)) => Some(Self::Only(id)),
            _ => None,
        }
    }

    fn is(self, carrier: &Carrier) -> bool {
        match self {
            Self::Any => true,
            Self::Only(id) => carrier.id.eq_ignore_ascii_case(id),
        }
    }

    /// What is said while it is not there.
    fn waiting(self) -> String {
        format!("waiting for a medium labelled {STORE_LABEL}{}", named(self.id().as_deref()))
    }

    fn id(self) -> Option<String> {
        match self {
            Self::Any => None,
            Self::Only(id) => Some(id.to_owned()),
        }
    }
}

/// Waits for the medium, mounts it and opens its store.
pub(super) fn open(machine: &Machine, wanted: Wanted<'_>) -> Result<Arc<dyn Source>, Cause> {
    let (store, carrier) = mounted(machine, wanted, machine.started + DEADLINE)?;
    machine.console.say("store", &format!("{}, {} {}", store.name(), carrier.kind, carrier.id));
    Ok(Arc::new(Medium { store, carrier: Arc::new(carrier) }))
}

/// Whether the medium shows itself soon, and has all of `labels`.
pub(super) fn has_all(machine: &Machine, wanted: Wanted<'_>, labels: &[LabelName]) -> bool {
    mounted(machine, wanted, machine.started + SOON)
        .is_ok_and(|(store, _)| labels.iter().all(|label| is_whole(&store, label)))
}

/// Whether the label is in the store with all its packs, as far as their lengths tell.
fn is_whole(store: &DirStore, label: &LabelName) -> bool {
    let map = || {
        let digest = read_label(store, label)?.manifest;
        let (manifest, _) = read_root(store, &digest)?;
        read_map(store, &digest, &manifest)
    };
    let is_there = |pack: &PackRef| {
        let file = fs::metadata(store.path().join(Item::Pack(pack.digest).path()));
        file.is_ok_and(|file| file.len() == pack.size_bytes)
    };
    map().is_ok_and(|map| map.packs.iter().all(is_there))
}

fn mounted(
    machine: &Machine,
    wanted: Wanted<'_>,
    deadline: Instant,
) -> Result<(DirStore, Carrier), Cause> {
    let deadline = deadline.max(Instant::now());
    // Of an attempt before: another medium may be there by now.
    let _ = unmount(PLACE, UnmountFlags::DETACH);
    let mut is_said = false;
    let find = || match find(machine, wanted) {
        Err(never @ MediumError::Several { .. }) => Ok(Err(Cause::from(never))),
        Err(not_yet) => {
            if !is_said {
                machine.console.say("store", &wanted.waiting());
                is_said = true;
            }
            Err(Cause::from(not_yet))
        }
        Ok(carrier) => Ok(Ok(carrier)),
    };
    let carrier = machine.devices.wait_quiet(deadline, find)??;
    mount_at(&carrier).map_err(|source| MediumError::Mount { medium: line(&carrier), source })?;
    let store = DirStore::open(format!("{PLACE}/{STORE_DIRECTORY}"))
        .map_err(|error| Cause::Store(error.into()))?
        .called(&format!("medium {}", line(&carrier)));
    Ok((store, carrier))
}

/// A medium that was not found, in a chain where others may have what it has.
pub(super) fn absent(why: &Cause) -> Arc<dyn Source> {
    Arc::new(Absent(crate::report::causes(why).join(": ")))
}

fn find(machine: &Machine, wanted: Wanted<'_>) -> Result<Carrier, MediumError> {
    choose(machine.disks.carriers(ANSWER)?, wanted)
}

/// The only one that is meant. Where a disk and its first partition start at one place, both show
/// the same file system.
fn choose(mut found: Vec<Carrier>, wanted: Wanted<'_>) -> Result<Carrier, MediumError> {
    found.retain(|carrier| wanted.is(carrier));
    found.dedup_by_key(|carrier| carrier.disk);
    if found.len() > 1 {
        let ids: BTreeSet<&str> = found.iter().map(|carrier| carrier.id.as_str()).collect();
        let are_twins = ids.len() < found.len();
        let found = found.iter().map(|carrier| format!("{} {}", line(carrier), carrier.id));
        return Err(MediumError::Several { found: found.collect(), are_twins });
    }
    found.pop().ok_or(MediumError::None { wanted: wanted.id() })
}

/// A medium in a few words.
fn line(carrier: &Carrier) -> String {
    match carrier.model.as_str() {
        "" => carrier.path.clone(),
        model => format!("{} ({model})", carrier.path),
    }
}

fn mount_at(carrier: &Carrier) -> io::Result<()> {
    fs::create_dir_all(PLACE)?;
    let mounted = mount(carrier.path.as_str(), PLACE, carrier.kind, FLAGS, c"");
    mounted.map_err(|error| match error {
        Errno::ROFS => io::Error::other(
            "it was cut off while it was refreshed, and is protected against writing: refresh it \
             again",
        ),
        error => error.into(),
    })
}

/// The store of a medium that may be pulled out.
struct Medium {
    store: DirStore,
    carrier: Arc<Carrier>,
}

impl Source for Medium {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let gone = Gone {
            carrier: Arc::clone(&self.carrier),
            item: item.clone(),
            store: self.name().to_owned(),
        };
        match self.store.open(item, range) {
            Ok(body) => {
                Ok(Body { reader: Box::new(Watched { reader: body.reader, gone }), ..body })
            }
            Err(error) => Err(gone.instead().unwrap_or(error)),
        }
    }
}

/// What is said in place of an error where the medium is not there any more.
struct Gone {
    carrier: Arc<Carrier>,
    item: Item,
    store: String,
}

impl Gone {
    fn instead(&self) -> Option<SourceError> {
        (!self.carrier.is_there(&Places::default())).then(|| SourceError::Answer {
            item: self.item.clone(),
            store: self.store.clone(),
            expected: "the medium in its place".to_owned(),
            found: "that it was pulled out".to_owned(),
            again: false,
            retry_after: None,
        })
    }
}

struct Watched {
    reader: Box<dyn Read + Send>,
    gone: Gone,
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.read(into).map_err(|error| self.gone.instead().map_or(error, io::Error::other))
    }
}

/// A medium that is not there.
struct Absent(String);

impl Source for Absent {
    fn name(&self) -> &'static str {
        "medium"
    }

    fn open(&self, item: &Item, _: Option<Range<u64>>) -> Result<Body, SourceError> {
        Err(SourceError::Answer {
            item: item.clone(),
            store: self.name().to_owned(),
            expected: "a medium".to_owned(),
            found: self.0.clone(),
            again: false,
            retry_after: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use deploy::disks::DeviceNumber;
    use store::push::{PushImage, push_image};

    use super::*;

    fn carrier(path: &str, disk: u32, id: &str) -> Carrier {
        let number = DeviceNumber { major: 8, minor: disk };
        let (path, id, model) = (path.to_owned(), id.to_owned(), "Stick".to_owned());
        Carrier { path, number, disk: number, diskseq: 1, kind: "ext4", id, model }
    }

    #[test]
    fn one_medium_is_meant_or_none_is_taken() {
        let two = || vec![carrier("/dev/sda3", 0, "aa-1"), carrier("/dev/sdb3", 16, "bb-2")];
        let hybrid = || vec![carrier("/dev/sda", 0, "aa"), carrier("/dev/sda1", 0, "aa")];
        let path = |found: Vec<Carrier>, wanted| choose(found, wanted).map(|carrier| carrier.path);
        assert_eq!(path(two(), Wanted::Only("BB-2")).unwrap(), "/dev/sdb3");
        assert_eq!(path(hybrid(), Wanted::Any).unwrap(), "/dev/sda");
        assert_eq!(
            path(two(), Wanted::Any).unwrap_err().to_string(),
            "2 media carry a store; take out all but one, or name one by \
             inaugurator.store=medium=ID:\n  /dev/sda3 (Stick) aa-1\n  /dev/sdb3 (Stick) bb-2"
        );
        assert_eq!(
            path(two(), Wanted::Only("cc")).unwrap_err().to_string(),
            "no medium: no partition and no CD-ROM has a file system labelled INAUG-STORE and the \
             UUID cc"
        );
    }

    #[test]
    fn copies_of_one_image_cannot_be_told_by_name() {
        let twins = || vec![carrier("/dev/sda3", 0, "aa-1"), carrier("/dev/sdb3", 16, "aa-1")];
        for wanted in [Wanted::Any, Wanted::Only("aa-1")] {
            assert_eq!(
                choose(twins(), wanted).unwrap_err().to_string(),
                "2 media carry a store; take out all but one (some are copies of one image):\n  \
                 /dev/sda3 (Stick) aa-1\n  /dev/sdb3 (Stick) aa-1"
            );
        }
    }

    #[test]
    fn what_is_waited_for_is_named() {
        assert_eq!(Wanted::Any.waiting(), "waiting for a medium labelled INAUG-STORE");
        let named = "waiting for a medium labelled INAUG-STORE and the UUID aa-1";
        assert_eq!(Wanted::Only("aa-1").waiting(), named);
    }

    #[test]
    fn a_label_is_whole_where_its_packs_are() {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::write(&image, [7; 8192]).unwrap();
        let store = DirStore::create(directory.path().join("store")).unwrap();
        let label: LabelName = "a".parse().unwrap();
        let request = PushImage {
            label: label.clone(),
            image,
            sector_bytes: None,
            boot: None,
            facts: vec![],
            pushed_unix_s: 0,
            force: false,
            level: 1,
            free: None,
        };
        push_image(&store, &request, &()).unwrap();
        assert!(is_whole(&store, &label));
        assert!(!is_whole(&store, &"other".parse().unwrap()));
        let pack =
            fs::read_dir(store.path().join("packs")).unwrap().next().unwrap().unwrap().path();
        fs::write(pack, b"cut").unwrap();
        assert!(!is_whole(&store, &label));
    }

    #[test]
    fn only_the_word_itself_names_a_medium() {
        assert_eq!(Wanted::of("medium"), Some(Wanted::Any));
        assert_eq!(Wanted::of("medium=aa-1"), Some(Wanted::Only("aa-1")));
        for word in ["/medium", "mediums", "http://medium"] {
            assert_eq!(Wanted::of(word), None);
        }
    }
}
