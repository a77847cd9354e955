//! What a test says: shown as it comes, kept as files, bounded. Each stream has a thread of its own
//! that may wait for a slow reader: the machine waits with it, and nobody else.

use super::test_command::Port;
use anyhow::Context;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What is shown and kept of each stream, bytes: more is a program in a loop, and would fill the
/// log of a CI.
const STREAM_MAX_BYTES: u64 = 64 << 20;

/// What happens to be said in one piece.
const BLOCK_BYTES: usize = 16 << 10;

/// How long the end of the output may take once the machine is off: what its sockets still hold is
/// some hundred KiB, and all that keeps it is a reader that takes none.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// The streams that there are.
const STREAMS: [(Port, &str); 2] = [(Port::Stdout, "test.stdout"), (Port::Stderr, "test.stderr")];

/// Both streams.
pub(super) struct TestOutput {
    streams: [Arc<Stream>; 2],
    /// Files that are written by nobody yet.
    files: [Option<File>; 2],
    /// Stdout has one document on it: the test's goes to stderr as well.
    all_to_stderr: bool,
    /// Every thread holds an end of this until it is done.
    threads: (SyncSender<()>, Receiver<()>),
}

/// One of them.
struct Stream {
    name: &'static str,
    path: Option<PathBuf>,
    /// What came.
    bytes: AtomicU64,
    is_done: AtomicBool,
    lost: Mutex<Vec<String>>,
}

/// What there was of both.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) stdout_bytes: u64,
    pub(super) stderr_bytes: u64,
    /// More came than is kept.
    pub(super) is_cut: bool,
    /// What was not shown or not kept, and why.
    pub(super) lost: Vec<String>,
}

impl TestOutput {
    /// Output that is kept in `directory`, if there is one.
    pub(super) fn new(directory: Option<&Path>, all_to_stderr: bool) -> anyhow::Result<Self> {
        let stream = |(_, name): (Port, &'static str)| {
            let path = directory.map(|directory| directory.join(name));
            let (bytes, is_done, lost) = Default::default();
            Arc::new(Stream { name, path, bytes, is_done, lost })
        };
        let streams = STREAMS.map(stream);
        let file = |stream: &Stream| {
            let made = stream.path.as_ref().map(|path| {
                File::create(path).with_context(|| format!("cannot make {}", path.display()))
            });
            made.transpose()
        };
        let files = [file(&streams[0])?, file(&streams[1])?];
        Ok(Self { streams, files, all_to_stderr, threads: sync_channel(1) })
    }

    /// Takes what comes out of a port, from a thread of its own.
    pub(super) fn take(&mut self, which: Port, port: impl Read + Send + 'static) {
        if self.all_to_stderr || which == Port::Stderr {
            self.relay(which, port, io::stderr());
        } else {
            self.relay(which, port, io::stdout());
        }
    }

    fn relay(
        &mut self,
        which: Port,
        port: impl Read + Send + 'static,
        shown: impl Write + Send + 'static,
    ) {
        let Some(index) = STREAMS.iter().position(|(port, _)| *port == which) else { return };
        let (stream, file) = (Arc::clone(&self.streams[index]), self.files[index].take());
        let thread = self.threads.0.clone();
        thread::spawn(move || {
            let _thread = thread;
            stream.relay(port, file, shown);
        });
    }

    /// What there was. The machine is off: its end of the ports is closed.
    pub(super) fn finish(self) -> Sizes {
        self.finish_within(REST_WITHIN)
    }

    fn finish_within(self, within: Duration) -> Sizes {
        let Self { streams, threads: (send, threads), .. } = self;
        drop(send);
        if threads.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            for stream in streams.iter().filter(|stream| !stream.is_done.load(Ordering::SeqCst)) {
                stream.lose("its reader did not take the end of it");
            }
        }
        let [stdout_bytes, stderr_bytes] =
            [0, 1].map(|index: usize| streams[index].bytes.load(Ordering::SeqCst));
        Sizes {
            stdout_bytes,
            stderr_bytes,
            is_cut: stdout_bytes.max(stderr_bytes) > STREAM_MAX_BYTES,
            lost: streams.iter().flat_map(|stream| stream.lost()).collect(),
        }
    }
}

impl Stream {
    /// Passes on what comes, to its end.
    fn relay(&self, mut port: impl Read, mut file: Option<File>, mut shown: impl Write) {
        let mut block = vec![0; BLOCK_BYTES];
        let (mut is_shown, mut is_kept) = (true, true);
        while let Ok(length @ 1..) = port.read(&mut block) {
            let before = self.bytes.fetch_add(length as u64, Ordering::SeqCst);
            let room = STREAM_MAX_BYTES.saturating_sub(before);
            let bytes = &block[..length.min(usize::try_from(room).unwrap_or(usize::MAX))];
            if let Some(file) = file.as_mut().filter(|_| is_kept) {
                is_kept = self.put(file, bytes, self.path.as_deref());
            }
            if is_shown {
                is_shown = self.put(&mut shown, bytes, None);
            }
        }
        self.is_done.store(true, Ordering::SeqCst);
    }

    /// Writes; false where nothing more is to be written there. That does not end the test: its
    /// status is still wanted.
    fn put(&self, to: &mut impl Write, bytes: &[u8], path: Option<&Path>) -> bool {
        let Err(error) = to.write_all(bytes).and_then(|()| to.flush()) else { return true };
        // Whoever closed it does not want to know.
        if error.kind() != io::ErrorKind::BrokenPipe {
            let what = path.map_or_else(String::new, |path| format!("{}: ", path.display()));
            self.lose(&format!("cannot be written: {what}{error}"));
        }
        false
    }

    fn lose(&self, why: &str) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.push(format!("{}: {why}", self.name));
    }

    fn lost(&self) -> Vec<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_the_ports_still_hold_when_the_machine_is_off_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = TestOutput::new(Some(dir.path()), false).unwrap();
        let said = vec![b'x'; 100 << 10];
        for which in [Port::Stdout, Port::Stderr] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(&said).unwrap();
            drop(theirs);
            output.relay(which, ours, io::sink());
        }
        let expected =
            Sizes { stdout_bytes: 100 << 10, stderr_bytes: 100 << 10, ..Sizes::default() };
        assert_eq!(output.finish(), expected);
        for (_, name) in STREAMS {
            assert_eq!(fs::read(dir.path().join(name)).unwrap(), said);
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_is_not_waited_for() {
        let mut output = TestOutput::new(None, false).unwrap();
        let (_nobody, pipe) = io::pipe().unwrap();
        output.relay(Port::Stdout, io::repeat(b'x').take(1 << 20), pipe);
        output.relay(Port::Stderr, io::empty(), io::sink());
        let sizes = output.finish_within(Duration::from_millis(200));
        assert_eq!(sizes.lost, ["test.stdout: its reader did not take the end of it"]);
    }

    #[test]
    fn a_full_disk_is_told_and_a_closed_pipe_is_not() {
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let mut output = TestOutput::new(None, false).unwrap();
        output.files[1] = Some(full());
        let (gone, pipe) = io::pipe().unwrap();
        drop(gone);
        output.relay(Port::Stdout, &b"abc"[..], pipe);
        output.relay(Port::Stderr, &b"de"[..], full());
        let sizes = output.finish();
        assert_eq!((sizes.stdout_bytes, sizes.stderr_bytes), (3, 2));
        let full = "test.stderr: cannot be written: No space left on device (os error 28)";
        assert_eq!(sizes.lost, [full, full]);
    }
}
