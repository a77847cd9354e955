//! Leaving off at a key, also where a store does not answer: what waits for it is left behind in a
//! thread of its own, whose next question to the store is refused.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use deploy::Stopper;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::time::Timespec;
use store::source::{Body, Item, Source, SourceError};

use crate::console::{Console, wait_for};

/// A person waits so long without a word.
const SLOW: Duration = Duration::from_secs(3);

/// From one word about it to the next.
const STILL: Duration = Duration::from_secs(5);

/// Whether a key was pressed; where none is watched for, it never is.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    signal: Option<Arc<OwnedFd>>,
    /// What the key is called.
    key: &'static str,
}

impl Stop {
    /// Said once `signal` is readable, and from then on; `key` makes it so.
    pub fn when(signal: Option<Arc<OwnedFd>>, key: &'static str) -> Self {
        Self { signal, key }
    }

    /// Whether it was pressed.
    pub fn is_said(&self) -> bool {
        let is_readable = |fd: &Arc<OwnedFd>| wait_for(fd.as_fd(), PollFlags::IN, Duration::ZERO);
        self.signal.as_ref().is_some_and(is_readable)
    }

    /// The store, which is asked for nothing more once this is said.
    pub(crate) fn in_front_of(&self, inner: Arc<dyn Source>) -> Arc<dyn Source> {
        if self.signal.is_none() {
            inner
        } else {
            Arc::new(Stoppable { inner, stop: self.clone() })
        }
    }

    /// What comes of `work`, which asks a store; nothing where this is said first. Then it is left
    /// behind, and is to end soon by what it asks. Says on `console` when it takes long.
    pub(crate) fn unless<T: Send + 'static>(
        &self,
        console: &Console,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let Some((signal, done)) = self.signal.as_ref().zip(event().ok()) else {
            return Some(work());
        };
        let (send, seen) = channel();
        let finished = Arc::clone(&done);
        let run = move || {
            // Nobody listens any more to what comes too late.
            let _ = send.send(work());
            raise(&finished);
        };
        thread::Builder::new().name("work".into()).spawn(run).ok()?;
        if !wait_for_one([signal, &done], Some(SLOW)) {
            console.say("store", &format!("no answer yet; {} gives up", self.key));
            let began = Instant::now();
            // Ends with the work, whose questions all have deadlines.
            while !wait_for_one([signal, &done], Some(STILL)) {
                let seconds = (began.elapsed() + SLOW).as_secs();
                let text = format!("no answer for {seconds} s, asked again; {} gives up", self.key);
                console.say("store", &text);
            }
        }
        seen.try_recv().ok()
    }

    /// Does `work`, which ends early by `stopper` when this is said.
    pub(crate) fn stopping<T>(&self, stopper: Option<Stopper>, work: impl FnOnce() -> T) -> T {
        let (Some(signal), Some(stopper), Ok(done)) = (&self.signal, stopper, event()) else {
            return work();
        };
        thread::scope(|scope| {
            let finished = Arc::clone(&done);
            scope.spawn(move || {
                wait_for_one([signal, &finished], None);
                if self.is_said() {
                    stopper.stop();
                }
            });
            let result = work();
            raise(&done);
            result
        })
    }
}

/// A store of which nothing is wanted any more once a key was pressed.
struct Stoppable {
    inner: Arc<dyn Source>,
    stop: Stop,
}

impl Source for Stoppable {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        if !self.stop.is_said() {
            return self.inner.open(item, range);
        }
        Err(SourceError::Answer {
            item: item.clone(),
            store: self.name().to_owned(),
            expected: "that it is still wanted".to_owned(),
            found: "a key that stops it".to_owned(),
            again: false,
            retry_after: None,
        })
    }
}

fn event() -> io::Result<Arc<OwnedFd>> {
    Ok(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
}

/// Makes an eventfd readable for ever.
fn raise(fd: &OwnedFd) {
    // Fails only when its counter is full: it is readable then.
    let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
}

/// Waits until one of them is readable, at most `patience`; false if none is.
fn wait_for_one(fds: [&OwnedFd; 2], patience: Option<Duration>) -> bool {
    let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
    loop {
        let mut polled = fds.map(|fd| PollFd::new(fd, PollFlags::IN));
        match poll(&mut polled, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(ready) => return ready > 0,
            // The next look at either tells.
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    /// A stop that is said by raising the other.
    fn stop() -> (Stop, Arc<OwnedFd>) {
        let signal = event().unwrap();
        (Stop::when(Some(Arc::clone(&signal)), "r"), signal)
    }

    #[test]
    fn work_that_is_done_gives_what_it_gives() {
        let (stop, _signal) = stop();
        assert_eq!(stop.unless(&Console::silent(), || 7), Some(7));
        assert_eq!(Stop::default().unless(&Console::silent(), || 7), Some(7));
        assert_eq!(stop.stopping(None, || 7), 7);
    }

    #[test]
    fn a_store_that_never_answers_is_left() {
        let (stop, signal) = stop();
        let (release, blocked): (_, Receiver<()>) = channel();
        raise(&signal);
        assert_eq!(stop.unless(&Console::silent(), move || blocked.recv().is_ok()), None);
        assert!(stop.is_said() && !Stop::default().is_said());
        drop(release);
    }

    #[test]
    fn nothing_more_is_asked_of_a_store() {
        let (stop, signal) = stop();
        let source = stop.in_front_of(Arc::new(Empty));
        let found = source.open(&Item::LabelList, None).err().unwrap();
        assert_eq!(found.to_string(), "list of labels is not in the store empty");
        raise(&signal);
        let refused = source.open(&Item::LabelList, None).err().unwrap();
        assert!(!refused.is_transient() && refused.to_string().contains("a key that stops it"));
    }

    struct Empty;

    impl Source for Empty {
        fn name(&self) -> &'static str {
            "empty"
        }

        fn open(&self, item: &Item, _: Option<Range<u64>>) -> Result<Body, SourceError> {
            Err(SourceError::NotFound { item: item.clone(), store: "empty".to_owned() })
        }
    }
}
