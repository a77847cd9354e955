//! SIGINT and SIGTERM: what is being made is given up, and what it left is removed.

use crate::exit::Stopped;
use anyhow::Context;
use deploy::tools;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use store::source::{Body, Item, Source, SourceError};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Whether this command was told to stop.
pub(super) struct Stop {
    /// The signal; none while this is 0.
    signal: Arc<AtomicU8>,
    /// Listens as long as this is there.
    _runtime: Runtime,
}

impl Stop {
    /// Listens for signals: the first ends the programs that are being run and the reading of
    /// stores, so that all is cleaned up on the way out; the second this command.
    pub(super) fn by_signals() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_io()
            .build()
            .context("a thread that listens for signals")?;
        let told = Arc::new(AtomicU8::new(0));
        let context = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (mut signals, told) = (signal(kind)?, Arc::clone(&told));
            let number = u8::try_from(kind.as_raw_value()).unwrap_or(u8::MAX);
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    if told.swap(number, Ordering::SeqCst) != 0 {
                        std::process::exit(i32::from(Stopped(number).code()));
                    }
                    tools::end_all();
                }
            });
        }
        drop(context);
        Ok(Self { signal: told, _runtime: runtime })
    }

    /// `done`, or that a signal is why it failed.
    pub(super) fn or(&self, done: anyhow::Result<()>) -> anyhow::Result<()> {
        match (done, self.signal.load(Ordering::SeqCst)) {
            (Err(_), signal @ 1..) => Err(Stopped(signal).into()),
            (done, _) => done,
        }
    }

    /// A store that gives nothing more after the signal.
    pub(super) fn over(&self, source: Box<dyn Source>) -> Stoppable {
        Stoppable { source, signal: Arc::clone(&self.signal) }
    }
}

/// See [`Stop::over`].
pub(super) struct Stoppable {
    source: Box<dyn Source>,
    signal: Arc<AtomicU8>,
}

impl Source for Stoppable {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let body = self.source.open(item, range)?;
        let reader = Box::new(Reader { reader: body.reader, signal: Arc::clone(&self.signal) });
        Ok(Body { reader, ..body })
    }
}

struct Reader {
    reader: Box<dyn Read + Send>,
    signal: Arc<AtomicU8>,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.signal.load(Ordering::SeqCst) {
            0 => self.reader.read(into),
            signal => Err(io::Error::other(Stopped(signal))),
        }
    }
}
