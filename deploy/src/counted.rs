//! A store whose requests and bytes are counted.

use crate::meter::{Meter, add};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use store::source::{Body, Item, Source, SourceError};

/// Counts what `inner` is asked and gives.
pub(crate) struct Counted {
    pub(crate) inner: Arc<dyn Source>,
    pub(crate) meter: Arc<Meter>,
}

impl Source for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        add(&self.meter.requests, 1);
        let body = self.inner.open(item, range)?;
        let reader = CountedReader { inner: body.reader, meter: Arc::clone(&self.meter) };
        Ok(Body { reader: Box::new(reader), ..body })
    }
}

struct CountedReader {
    inner: Box<dyn Read + Send>,
    meter: Arc<Meter>,
}

impl Read for CountedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        add(&self.meter.fetched_bytes, count as u64);
        Ok(count)
    }
}
