//! Which bytes of packs were handed to the engine, and which of them twice.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use store::http::{HttpStore, Timeouts};
use store::source::{Body, Item, Source, SourceError};

/// Ranges of packs, in the order in which they were asked for.
type Taken = Vec<(Item, Range<u64>)>;

/// A store over HTTP; writes down which bytes of packs it handed over.
pub(crate) struct Tap {
    inner: HttpStore,
    taken: Arc<Mutex<Taken>>,
}

impl Tap {
    pub(crate) fn new(url: &str, timeouts: Timeouts) -> Self {
        Self { inner: HttpStore::new(url, timeouts).unwrap(), taken: Arc::default() }
    }

    pub(crate) fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }
}

impl Source for Tap {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let start = range.as_ref().map_or(0, |range| range.start);
        let body = self.inner.open(item, range)?;
        if !matches!(item, Item::Pack(_)) {
            return Ok(body);
        }
        let mut taken = self.taken.lock().unwrap();
        taken.push((item.clone(), start..start));
        let (at, taken) = (taken.len() - 1, Arc::clone(&self.taken));
        Ok(Body { reader: Box::new(Tapped { inner: body.reader, at, taken }), ..body })
    }
}

struct Tapped {
    inner: Box<dyn Read + Send>,
    at: usize,
    taken: Arc<Mutex<Taken>>,
}

impl Read for Tapped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.taken.lock().unwrap()[self.at].1.end += count as u64;
        Ok(count)
    }
}

/// Bytes of ranges that were covered before by others of the same file.
pub(crate) fn twice<F: Hash + Eq>(ranges: impl Iterator<Item = (F, Range<u64>)>) -> u64 {
    let mut of_file: HashMap<F, Vec<Range<u64>>> = HashMap::new();
    ranges.for_each(|(file, range)| of_file.entry(file).or_default().push(range));
    let mut twice = 0;
    for ranges in of_file.values_mut() {
        ranges.sort_by_key(|range| range.start);
        let mut end = 0;
        for range in ranges.iter() {
            twice += end.min(range.end).saturating_sub(range.start);
            end = end.max(range.end);
        }
    }
    twice
}
