//! What the limit is while something is slow: said at once, and not when the slow thing has ended.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Shop, finish, image_of, resolve};
use deploy::{Limit, Medium, Meter, ReadBack, Target};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;
use store::source::{Body, Item, Source, SourceError};

const BLOCKS: usize = 300;

/// Between two looks, as of who watches.
const LOOK: Duration = Duration::from_millis(200);

/// Whoever comes here stays until it is opened; it is shut when content is first asked for.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
    is_shut: AtomicBool,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).unwrap());
    }

    /// Until somebody is held.
    fn wait(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| state.0 == 0).unwrap());
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

/// A store that shuts the gate, and whose packs do not come through it if it is slow.
struct Store {
    inner: Arc<dyn Source>,
    gate: Arc<Gate>,
    is_slow: bool,
}

impl Source for Store {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let body = self.inner.open(item, range)?;
        let Item::Pack(_) = item else { return Ok(body) };
        self.gate.is_shut.store(true, Ordering::Relaxed);
        if !self.is_slow {
            return Ok(body);
        }
        let reader = Box::new(SlowReader(body.reader, Arc::clone(&self.gate)));
        Ok(Body { reader, ..body })
    }
}

struct SlowReader(Box<dyn Read + Send>, Arc<Gate>);

impl Read for SlowReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1.pass();
        self.0.read(into)
    }
}

/// A disk that writes nothing while the gate is shut.
#[derive(Debug)]
struct SlowDisk(Box<dyn Medium>, Arc<Gate>);

impl Medium for SlowDisk {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, into)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Before content comes the disk is made one that does not boot, which is over at once.
        if self.1.is_shut.load(Ordering::Relaxed) {
            self.1.pass();
        }
        self.0.write(offset, bytes)
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.0.zero(range)
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }

    fn set_size(&self, size_bytes: u64) -> io::Result<()> {
        self.0.set_size(size_bytes)
    }
}

/// Looks in which those who are not held come to where they are, too.
const LOOKS_MAX: usize = 50;

/// Whether `limit` is the limit of a deployment that the store, or the disk, holds up, while it does.
fn is_limit_while_held(is_store: bool, limit: Limit) -> bool {
    let shop = Shop::new();
    let gate = Arc::new(Gate::default());
    let inner = shop.push("a", &image_of(&[1, 2, 3], BLOCKS));
    let store = Store { inner, gate: Arc::clone(&gate), is_slow: is_store };
    let store: Arc<dyn Source> = Arc::new(store);
    let path = shop.path("target");
    std::fs::write(&path, b"").unwrap();
    let mut target = Target::open(&path).unwrap();
    if !is_store {
        let gate = Arc::clone(&gate);
        target = target.over_medium(|inner| Box::new(SlowDisk(inner, gate)));
    }
    let meter = Arc::new(Meter::new());
    let label = resolve(&store, "a", &meter).unwrap();
    let plan = deploy::plan::plan(label, target, Arc::clone(&meter)).unwrap();
    thread::scope(|scope| {
        let deploying = scope.spawn(|| finish(plan, ReadBack::Yes));
        gate.wait();
        let is_found = (0..LOOKS_MAX).any(|_| {
            let before = meter.snapshot();
            thread::sleep(LOOK);
            meter.snapshot().limit_since(&before) == Some(limit)
        });
        gate.open();
        deploying.join().unwrap().unwrap();
        is_found
    })
}

#[test]
fn a_store_that_does_not_send_is_the_limit_while_it_does_not() {
    assert!(is_limit_while_held(true, Limit::Net));
}

#[test]
fn a_disk_that_does_not_write_is_the_limit_while_it_does_not() {
    assert!(is_limit_while_held(false, Limit::Disk));
}
