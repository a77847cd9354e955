//! A store in a directory, images by seed, and ways to the store that fail.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test's set-up that fails is the test's failure")]

pub(crate) mod disks;

use deploy::{Error, Meter, ReadBack, Snapshot, Target};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::cut::BLOCK_BYTES;
use store::dir::DirStore;
use store::push::{LEVEL_DEFAULT, PushImage, push_image};
use store::source::{Body, Item, Source, SourceError};

/// A directory with a store in it.
pub(crate) struct Shop {
    directory: tempfile::TempDir,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Pushes `image` and returns the store to read it from.
    pub(crate) fn push(&self, label: &str, image: &[u8]) -> Arc<dyn Source> {
        std::fs::write(self.path("image"), image).unwrap();
        self.push_file(label)
    }

    /// The same of the file `image`.
    pub(crate) fn push_file(&self, label: &str) -> Arc<dyn Source> {
        let file = self.path("image");
        let store = DirStore::create(self.path("store")).unwrap();
        let request = PushImage {
            label: label.parse().unwrap(),
            image: file,
            sector_bytes: None,
            boot: None,
            facts: Vec::new(),
            pushed_unix_s: 1_700_000_000,
            force: true,
            level: LEVEL_DEFAULT,
            free: None,
        };
        push_image(&store, &request, &()).unwrap();
        Arc::new(store)
    }
}

/// An image of runs of `blocks` blocks: zeroes for seed 0, else noise of that seed.
pub(crate) fn image_of(seeds: &[u8], blocks: usize) -> Vec<u8> {
    let mut image = Vec::new();
    for seed in seeds {
        let mut state = u64::from(*seed) << 32;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        let run = (0..blocks * BLOCK_BYTES).map(|_| if *seed == 0 { 0 } else { next() });
        image.extend(run);
    }
    image
}

/// All stages, one after another.
pub(crate) fn deploy(
    source: &Arc<dyn Source>,
    label: &str,
    target: &Path,
    read_back: ReadBack,
) -> Result<Snapshot, Error> {
    let meter = Arc::new(Meter::new());
    deploy_metered(source, label, target, read_back, &meter)?;
    Ok(meter.snapshot())
}

/// All stages, counted by `meter` also where they fail.
pub(crate) fn deploy_metered(
    source: &Arc<dyn Source>,
    label: &str,
    target: &Path,
    read_back: ReadBack,
    meter: &Arc<Meter>,
) -> Result<(), Error> {
    let label = resolve(source, label, meter)?;
    let plan = deploy::plan::plan(label, Target::open(target)?, Arc::clone(meter))?;
    finish(plan, read_back)
}

/// The same for a target that is said to hold the label `held`.
pub(crate) fn deploy_seeded(
    source: &Arc<dyn Source>,
    label: &str,
    target: &Path,
    held: &str,
) -> Result<Snapshot, Error> {
    let meter = Arc::new(Meter::new());
    let seed = resolve(source, held, &meter)?.record.manifest;
    let label = resolve(source, label, &meter)?;
    let target = Target::open(target)?;
    let plan = deploy::plan::plan_seeded(label, target, &[seed], Arc::clone(&meter))?;
    finish(plan, ReadBack::Yes)?;
    Ok(meter.snapshot())
}

pub(crate) fn resolve(
    source: &Arc<dyn Source>,
    label: &str,
    meter: &Arc<Meter>,
) -> Result<deploy::Label, Error> {
    deploy::label::resolve(&[Arc::clone(source)], &label.parse().unwrap(), meter)
}

/// From a plan to the end.
pub(crate) fn finish(plan: deploy::Plan, read_back: ReadBack) -> Result<(), Error> {
    let verified = deploy::verify::verify(deploy::write::write(plan)?, read_back)?;
    deploy::settle::settle(verified);
    Ok(())
}

/// A way to a store that fails after a number of bytes of packs.
#[derive(Clone)]
pub(crate) struct Flaky {
    inner: Arc<dyn Source>,
    left: Arc<AtomicU64>,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    /// Once, then all is well.
    Passing,
    /// For good: the store is gone.
    Gone,
}

impl Flaky {
    pub(crate) fn passing(inner: &Arc<dyn Source>, after_bytes: u64) -> Self {
        Self::new(inner, after_bytes, Fault::Passing)
    }

    pub(crate) fn gone(inner: &Arc<dyn Source>, after_bytes: u64) -> Self {
        Self::new(inner, after_bytes, Fault::Gone)
    }

    fn new(inner: &Arc<dyn Source>, after_bytes: u64, fault: Fault) -> Self {
        let left = Arc::new(AtomicU64::new(after_bytes));
        Self { inner: Arc::clone(inner), left, fault }
    }

    pub(crate) fn as_source(&self) -> Arc<dyn Source> {
        Arc::new(self.clone())
    }
}

impl Source for Flaky {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let body = self.inner.open(item, range)?;
        if !matches!(item, Item::Pack(_)) {
            return Ok(body);
        }
        let reader =
            Box::new(Failing { inner: body.reader, way: self.clone(), item: item.clone() });
        Ok(Body { reader, ..body })
    }
}

struct Failing {
    inner: Box<dyn Read + Send>,
    way: Flaky,
    item: Item,
}

impl Read for Failing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let take = into.len().min(4096);
        let left = self.way.left.load(Ordering::Relaxed);
        if left < take as u64 {
            let (item, store) = (self.item.clone(), self.way.name().to_owned());
            return Err(io::Error::other(match self.way.fault {
                Fault::Passing => {
                    self.way.left.store(u64::MAX, Ordering::Relaxed);
                    SourceError::Short { item, store, expected: 1, found: 0 }
                }
                Fault::Gone => SourceError::NotFound { item, store },
            }));
        }
        if left != u64::MAX {
            self.way.left.fetch_sub(take as u64, Ordering::Relaxed);
        }
        self.inner.read(&mut into[..take])
    }
}
