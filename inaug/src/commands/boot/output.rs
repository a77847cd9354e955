//! What a test says: shown as it comes, kept as files, bounded.

use super::test_command::Port;
use anyhow::Context;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What is shown and kept of each stream, bytes: more is a program in a loop, and would fill the
/// log of a CI.
const STREAM_MAX_BYTES: u64 = 64 << 20;

/// Both streams.
pub(super) struct TestOutput {
    stdout: Stream,
    stderr: Stream,
    /// Stdout has one document on it: the test's goes to stderr as well.
    all_to_stderr: bool,
}

#[derive(Default)]
struct Stream {
    kept: Option<File>,
    bytes: u64,
}

impl TestOutput {
    /// Output that is kept in `directory`, if there is one.
    pub(super) fn new(directory: Option<&Path>, all_to_stderr: bool) -> anyhow::Result<Self> {
        let stream = |name: &str| -> anyhow::Result<Stream> {
            let path = directory.map(|directory| directory.join(name));
            let made = path.map(|path| {
                File::create(&path).with_context(|| format!("cannot make {}", path.display()))
            });
            Ok(Stream { kept: made.transpose()?, bytes: 0 })
        };
        let (stdout, stderr) = (stream("test.stdout")?, stream("test.stderr")?);
        Ok(Self { stdout, stderr, all_to_stderr })
    }

    /// Nothing is kept, and nothing will come.
    pub(super) fn none() -> Self {
        Self { stdout: Stream::default(), stderr: Stream::default(), all_to_stderr: true }
    }

    /// Takes what came out of a port.
    pub(super) fn take(&mut self, port: Port, bytes: &[u8]) {
        let is_stdout = port == Port::Stdout;
        let stream = if is_stdout { &mut self.stdout } else { &mut self.stderr };
        let bytes = stream.take(bytes);
        // A reader that went away does not end the test: its status is still wanted.
        let _ = if is_stdout && !self.all_to_stderr {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        } else {
            io::stderr().lock().write_all(bytes)
        };
    }

    /// How much came of each stream, bytes.
    pub(super) fn sizes(&self) -> (u64, u64) {
        (self.stdout.bytes, self.stderr.bytes)
    }

    /// Whether more came than is kept.
    pub(super) fn is_cut(&self) -> bool {
        self.stdout.bytes.max(self.stderr.bytes) > STREAM_MAX_BYTES
    }
}

impl Stream {
    /// Counts and keeps; returns what of it is within the bound.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = STREAM_MAX_BYTES.saturating_sub(self.bytes);
        let length = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.bytes += bytes.len() as u64;
        let bytes = &bytes[..length];
        if let Some(file) = &mut self.kept {
            // The copy is a convenience; a full disk does not end the test.
            let _ = file.write_all(bytes);
        }
        bytes
    }
}
