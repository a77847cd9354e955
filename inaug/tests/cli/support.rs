//! Running the command, and what it is run on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A hung server fails its test instead of hanging it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What a run of the command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The outcome of a run that must have ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// The one document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The command, with nothing from the tester's environment that it listens to.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inaug"));
    for ours in ["STORE", "CA", "TOKEN_FILE", "PROXY", "NO_PROXY"] {
        command.env_remove(format!("INAUG_{ours}"));
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub(crate) fn inaug(arguments: &[&str]) -> Ran {
    command(arguments).output().unwrap().into()
}

/// A directory with images and a store to be.
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The store's directory as text.
    pub(crate) fn store(&self) -> String {
        self.text("store")
    }

    /// Writes a file and returns its path as text.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }

    /// Runs `inaug COMMAND... --store STORE`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let store = self.store();
        inaug(&[arguments, &["--store", &store]].concat())
    }

    /// Pushes bytes as a label.
    #[track_caller]
    pub(crate) fn push(&self, label: &str, bytes: &[u8]) -> Ran {
        let image = self.file("pushed.img", bytes);
        self.run(&["push", label, "--image", &image, "--no-boot", "--json"]).expect(0)
    }

    /// All files of a part of the store.
    pub(crate) fn stored(&self, part: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("store").join(part)).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// `blocks` blocks of 4 KiB: each eighth is zeroes, the others differ from each other, and by
/// seed.
pub(crate) fn image(seed: u32, blocks: u32) -> Vec<u8> {
    (0..blocks).flat_map(|block| block_bytes(seed, block)).collect()
}

fn block_bytes(seed: u32, block: u32) -> Vec<u8> {
    if block % 8 == 7 {
        return vec![0; 4096];
    }
    // xorshift32 (Marsaglia): does not compress, needs no crate, is never zero from a seed that
    // is not.
    let mut state = seed.wrapping_mul(2_654_435_761) ^ block.wrapping_mul(40_503) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    (0..1024).flat_map(|_| word()).collect()
}

/// Flips a bit in the middle of a file.
pub(crate) fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// A running `inaug serve`; stopped with its test.
pub(crate) struct Server {
    child: Child,
    pub(crate) line: String,
    pub(crate) address: String,
    // Kept open, so that the server's stdout is.
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// Serves `store` on a free port.
    pub(crate) fn start(store: &str) -> Self {
        Self::start_with(store, &[], Stdio::inherit())
    }

    /// The same with more options, and where its log goes.
    pub(crate) fn start_with(store: &str, options: &[&str], log: Stdio) -> Self {
        let mut command = command(&["serve", "--store", store, "--listen", "127.0.0.1:0"]);
        let mut child = command.args(options).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let (_, url) = line.trim_end().split_once(" at http://").expect("a line with the URL");
        let address = url.strip_suffix("/store/").expect("the store's path").to_owned();
        Self { child, line, address, _stdout: stdout }
    }

    /// The store's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/store/", self.address)
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        stream
    }

    /// The answer to a request given as a method and target and further header lines.
    pub(crate) fn ask(&self, request: &str, fields: &[&str]) -> Answer {
        let mut stream = self.connect();
        let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
        let head = format!("{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code().expect("ended by a signal")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// The value of a header field; empty if there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}
