//! A store that is asked again where that may help, by the one retry policy: for whoever reads
//! a store other than by deploying.

use crate::retry::TRIES_MAX;
use crate::retry::{noise, pause};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use store::source::{Body, Item, Source, SourceError, from_io};

/// Asks `inner` again after what may pass by itself, and goes on where a body broke.
pub struct Patient {
    inner: Arc<dyn Source>,
}

impl Patient {
    /// In front of `inner`.
    pub fn new(inner: Arc<dyn Source>) -> Self {
        Self { inner }
    }
}

impl Source for Patient {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let mut tries = 1;
        let body = loop {
            match self.inner.open(item, range.clone()) {
                Err(error) if tries < TRIES_MAX && error.is_transient() => {
                    std::thread::sleep(pause(tries, &error, noise()));
                    tries += 1;
                }
                opened => break opened?,
            }
        };
        let Body { length_bytes, total_bytes, reader } = body;
        // What has no known end cannot be gone on with.
        let end = range.as_ref().map(|range| range.end).or(length_bytes);
        let Some(end) = end else { return Ok(Body { length_bytes, total_bytes, reader }) };
        let (inner, item) = (Arc::clone(&self.inner), item.clone());
        let at = range.map_or(0, |range| range.start);
        let reader = Box::new(Resuming { inner, item, at, end, tries: 1, reader: Some(reader) });
        Ok(Body { length_bytes, total_bytes, reader })
    }
}

/// A body that is opened again at the byte where it broke.
struct Resuming {
    inner: Arc<dyn Source>,
    item: Item,
    at: u64,
    end: u64,
    /// How often it was tried since a byte came.
    tries: u32,
    reader: Option<Box<dyn Read + Send>>,
}

impl Read for Resuming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_once(into) {
                Ok(read) => {
                    self.at += read as u64;
                    self.tries = if read > 0 { 1 } else { self.tries };
                    return Ok(read);
                }
                Err(error) if self.tries < TRIES_MAX && error.is_transient() => {
                    self.reader = None;
                    std::thread::sleep(pause(self.tries, &error, noise()));
                    self.tries += 1;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl Resuming {
    fn read_once(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        if self.at == self.end {
            return Ok(0);
        }
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.inner.open(&self.item, Some(self.at..self.end))?.reader,
        };
        let read = self.reader.insert(reader).read(into);
        read.map_err(|error| from_io(error, &*self.inner, &self.item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A store of one item of 100 bytes, whose bodies break after 30.
    struct Breaking {
        opened: AtomicU64,
        breaks_max: u64,
    }

    impl Source for Breaking {
        fn name(&self) -> &'static str {
            "breaking"
        }

        fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
            let short = |found| SourceError::Short {
                item: item.clone(),
                store: "breaking".into(),
                expected: 100,
                found,
            };
            let opened = self.opened.fetch_add(1, Ordering::Relaxed);
            // Each second time it does not open at all.
            if opened % 2 == 1 && opened < self.breaks_max {
                return Err(short(0));
            }
            let Range { start, end } = range.unwrap_or(0..100);
            let bytes: Vec<u8> = (start as u8..end as u8).collect();
            let part = bytes.len().min(if opened < self.breaks_max { 30 } else { 100 });
            let broken = io::Cursor::new(bytes[..part].to_vec());
            let reader: Box<dyn Read + Send> = if part < bytes.len() {
                Box::new(broken.chain(Broken(Some(io::Error::other(short(30))))))
            } else {
                Box::new(broken)
            };
            Ok(Body { length_bytes: Some(end - start), total_bytes: Some(100), reader })
        }
    }

    struct Broken(Option<io::Error>);

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.take().map_or(Ok(0), Err)
        }
    }

    #[test]
    fn a_body_that_breaks_goes_on_where_it_broke() {
        for (range, expected) in [(None, 0..100), (Some(10..90), 10..90_u8)] {
            let breaking = Breaking { opened: AtomicU64::new(0), breaks_max: 100 };
            let patient = Patient::new(Arc::new(breaking));
            let mut bytes = Vec::new();
            let mut body = patient.open(&Item::LabelList, range).unwrap();
            body.reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, expected.collect::<Vec<_>>());
        }
    }
}
