//! Programs of others that are run: without a shell, with nothing of our environment, without a
//! terminal to ask at, and not longer than it should take.

use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where programs are looked for.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// The longest that a program may take. Making a file system of some TB on a slow disk takes
/// tens of seconds.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is taken of a program's answer, bytes: GRUB's core has some hundred KiB.
const ANSWER_MAX_BYTES: u64 = 8 << 20;

/// What is kept of a program's complaints, bytes: what a person reads.
const COMPLAINT_MAX_BYTES: u64 = 1000;

/// Why a program did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error("{program} is not here: looked in {}", DIRECTORIES.join(", "))]
    Missing {
        /// Its name.
        program: String,
    },
    /// It could not be run.
    #[error("cannot run {program}")]
    Run {
        /// Its path.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It says that it failed.
    #[error("{program} failed ({status}): {complaint}")]
    Failed {
        /// Its path.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said last.
        complaint: String,
    },
    /// It did not end.
    #[error("{program} did not end within {waited_s} s")]
    Endless {
        /// Its path.
        program: String,
        /// How long was waited, seconds.
        waited_s: u64,
    },
    /// It said more than can be meant.
    #[error("{program} answered with more than {ANSWER_MAX_BYTES} bytes")]
    Verbose {
        /// Its path.
        program: String,
    },
}

/// A program with its arguments.
#[derive(Debug)]
pub struct Tool<'a> {
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    patience: Duration,
    /// The directory that is its root, where it is not ours.
    inside: Option<BorrowedFd<'a>>,
}

/// Children that somebody waits for.
static CHILDREN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Children that are waited for by whoever started them. While this is held no new one is
/// started: a PID 1, which has to wait for all others, leaves these alone.
pub fn children() -> MutexGuard<'static, BTreeSet<u32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether no more programs are to be run.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Ends every program that is being run, with all that it started, and lets no other begin: whoever
/// ran one is told that it failed. There is no way back.
pub fn end_all() {
    let children = children();
    IS_OVER.store(true, Ordering::Relaxed);
    let groups = children.iter().filter_map(|child| Pid::from_raw(i32::try_from(*child).ok()?));
    for group in groups {
        // One that is gone already is no failure.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Where the program of this name is.
pub fn find(name: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

impl<'a> Tool<'a> {
    /// The program of this name, wherever it is.
    pub fn named(name: &str) -> Result<Self, ToolError> {
        let program = find(name).ok_or_else(|| ToolError::Missing { program: name.to_owned() })?;
        Ok(Self {
            program,
            arguments: Vec::new(),
            variables: Vec::new(),
            patience: PATIENCE,
            inside: None,
        })
    }

    /// The program at `path` of the tree below `root`, which is all that it sees.
    pub(crate) fn inside(root: BorrowedFd<'a>, path: &str) -> Self {
        Self {
            program: path.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            patience: PATIENCE,
            inside: Some(root),
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl fmt::Display) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// With these arguments.
    #[must_use]
    pub fn args<A: fmt::Display>(self, all: impl IntoIterator<Item = A>) -> Self {
        all.into_iter().fold(self, Self::arg)
    }

    /// With a variable in its environment, which has nothing of ours.
    #[must_use]
    pub fn variable(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.variables.push((name, value.to_string()));
        self
    }

    /// With the longest that it may take, where that is more than minutes.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it to its end, and returns what it said on its standard output. Whatever it started is
    /// ended with it.
    pub fn run(self) -> Result<Vec<u8>, ToolError> {
        let program = || self.program.display().to_string();
        let failed = |source| ToolError::Run { program: program(), source };
        // Not pipes: there are programs that want to flush what they answer, and a pipe is open as
        // long as anybody that the program started has it.
        let answer = said().map_err(failed)?;
        let complaints = said().map_err(failed)?;
        let stdout = answer.try_clone().map_err(failed)?;
        let stderr = complaints.try_clone().map_err(failed)?;
        let mut command = self.command();
        let mut child = Started::spawn(command.stdout(stdout).stderr(stderr)).map_err(failed)?;
        let ended = child.pidfd().and_then(|pidfd| wait(&pidfd, Instant::now() + self.patience));
        let status = child.end().map_err(failed)?;
        match ended {
            Err(error) => Err(failed(error)),
            Ok(false) => {
                Err(ToolError::Endless { program: program(), waited_s: self.patience.as_secs() })
            }
            Ok(true) if !status.success() => {
                let complaint = complaint(complaints).map_err(failed)?;
                Err(ToolError::Failed { program: program(), status, complaint })
            }
            Ok(true) => match whole(answer).map_err(failed)? {
                Some(answer) => Ok(answer),
                None => Err(ToolError::Verbose { program: program() }),
            },
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.env("PATH", DIRECTORIES.join(":")).env("LC_ALL", "C");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        sys::start_alone(&mut command);
        if let Some(root) = self.inside {
            sys::start_inside(&mut command, root, ANSWER_MAX_BYTES);
        }
        command
    }
}

/// Where a program says something.
fn said() -> io::Result<File> {
    Ok(memfd_create("said", MemfdFlags::CLOEXEC)?.into())
}

/// A child that is known as ours until it was waited for.
struct Started {
    child: Child,
    is_waited_for: bool,
}

impl Started {
    fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut children = children();
        if IS_OVER.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let child = command.spawn()?;
        children.insert(child.id());
        Ok(Self { child, is_waited_for: false })
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn pidfd(&self) -> io::Result<OwnedFd> {
        Ok(pidfd_open(self.pid().ok_or(Errno::SRCH)?, PidfdFlags::empty())?)
    }

    /// Ends it and all of its group, and waits for it. Until then the group's number is no other's.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(group) = self.pid().filter(|_| !self.is_waited_for) {
            // One that is gone already is no failure.
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.is_waited_for = true;
        self.child.wait()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Says that it is gone, where it was waited for already.
        let _ = self.end();
        children().remove(&self.child.id());
    }
}

/// Whether the process ended before the deadline.
fn wait(pidfd: impl AsFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// All that was answered; none where it is too much.
fn whole(mut answer: File) -> io::Result<Option<Vec<u8>>> {
    if answer.metadata()?.len() > ANSWER_MAX_BYTES {
        return Ok(None);
    }
    answer.seek(SeekFrom::Start(0))?;
    let mut said = Vec::new();
    answer.take(ANSWER_MAX_BYTES).read_to_end(&mut said)?;
    Ok(Some(said))
}

/// The last of what a program complains, on one line.
fn complaint(mut from: File) -> io::Result<String> {
    let start = from.metadata()?.len().saturating_sub(COMPLAINT_MAX_BYTES);
    from.seek(SeekFrom::Start(start))?;
    let mut said = Vec::new();
    from.take(COMPLAINT_MAX_BYTES).read_to_end(&mut said)?;
    let text = String::from_utf8_lossy(&said);
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_answers_or_says_why_not() {
        let said = Tool::named("printf").unwrap().args(["%s", "a b"]).run().unwrap();
        assert_eq!(said, b"a b");
        let failed = Tool::named("cat").unwrap().arg("/no/such/file").run().unwrap_err();
        let text = failed.to_string();
        let end = "/cat: /no/such/file: No such file or directory";
        assert!(text.contains("/cat failed (exit status: 1): ") && text.ends_with(end), "{text}");
        assert_eq!(
            Tool::named("no-such").unwrap_err().to_string(),
            "no-such is not here: looked in /usr/sbin, /sbin, /usr/bin, /bin"
        );
    }

    #[test]
    fn a_program_sees_nothing_but_the_tree_that_it_is_run_in() {
        let empty = tempfile::tempdir().unwrap();
        let root = File::open(empty.path()).unwrap();
        let failed = Tool::inside(root.as_fd(), "/bin/true").run().unwrap_err();
        assert_eq!(failed.to_string(), "cannot run /bin/true");
    }

    #[test]
    fn what_a_program_leaves_behind_is_not_waited_for_and_ends_with_it() {
        let script = "sleep 600 & echo $! && echo gone >&2 && exit $0";
        let said = Tool::named("sh").unwrap().args(["-c", script, "0"]).run().unwrap();
        let left: i32 = String::from_utf8(said).unwrap().trim().parse().unwrap();
        if let Ok(left) = pidfd_open(Pid::from_raw(left).unwrap(), PidfdFlags::empty()) {
            assert!(wait(&left, Instant::now() + PATIENCE).unwrap());
        }
        let failed = Tool::named("sh").unwrap().args(["-c", script, "3"]).run().unwrap_err();
        assert!(failed.to_string().ends_with("(exit status: 3): gone"), "{failed}");
    }

    #[test]
    fn a_program_does_not_outlive_who_started_it() {
        let start = || Tool::named("sleep").unwrap().arg(600).command().spawn().unwrap();
        let mut left = std::thread::spawn(start).join().unwrap();
        let ended = left.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9));
    }

    #[test]
    fn a_program_that_says_too_much_is_not_listened_to() {
        let zeroes = Tool::named("head").unwrap().args(["-c", "9000000", "/dev/zero"]).run();
        assert!(matches!(zeroes, Err(ToolError::Verbose { .. } | ToolError::Failed { .. })));
    }
}
