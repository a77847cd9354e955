//! The machine's disks, each asked by a thread of its own: one that does not answer hides none of
//! the others, and is waited for once.
//!
//! A read of a dead disk may block for ever, and nothing ends the thread that does it (`D` state,
//! `proc_pid_stat(5)`). So a disk is never asked again while a thread is still out at it: there is at
//! most one thread for each disk and question.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use deploy::disks::{
    Carrier, Contents, DiscoverError, Disk, Places, Volume, ask, carrier, list, volumes,
};

use crate::console::Console;
use crate::ondisk::{self, OnDisk};
use crate::report::ANSWER;

/// Disks asked at a time: each answer reads a MiB, and a machine may have 256 MiB of memory. One that
/// does not answer in time makes room for the next.
const AT_ONCE: usize = 16;

/// Every disk, as far as each answers. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Disks {
    places: Places,
    console: Arc<Console>,
    contents: Questions<Disk, Disk>,
    entries: Questions<Disk, Vec<OnDisk>>,
    carriers: Questions<Volume, Option<Carrier>>,
    /// Those of which was said that they do not answer.
    silent: Arc<Mutex<BTreeSet<Key>>>,
}

/// A device, and not another that takes its name: the name and the kernel's number of its disk.
type Key = (String, u64);

/// What is asked something.
trait Asked: Clone + Send + 'static {
    fn key(&self) -> Key;
}

impl Asked for Disk {
    fn key(&self) -> Key {
        (self.name.clone(), self.diskseq)
    }
}

impl Asked for Volume {
    fn key(&self) -> Key {
        (self.name.clone(), self.diskseq)
    }
}

impl Disks {
    /// Those of this machine. What does not answer is said on `console`.
    pub fn new(console: Arc<Console>) -> Self {
        let places = Places::default();
        let asked = places.clone();
        Self::that_answer(console, places, move |disk| ask(&asked, disk))
    }

    /// Those in `places`, of which `answer` says what they hold.
    pub(crate) fn that_answer(
        console: Arc<Console>,
        places: Places,
        answer: impl Fn(&Disk) -> Disk + Send + Sync + 'static,
    ) -> Self {
        let asked = places.clone();
        Self {
            places,
            console,
            carriers: Questions::new(move |volume| carrier(&asked, volume)),
            contents: Questions::new(answer),
            entries: Questions::new(|disk| ondisk::find(std::slice::from_ref(disk), None)),
            silent: Arc::default(),
        }
    }

    /// Every disk with what it holds. One that did not answer for `patience` since it was asked is
    /// there as well, and its contents say so.
    pub fn find(&self, patience: Duration) -> Result<Vec<Disk>, DiscoverError> {
        let answers = self.contents.ask(list(&self.places)?, patience);
        Ok(answers.into_iter().map(|(listed, found)| self.told(listed, found, patience)).collect())
    }

    /// Every volume that carries a store, as far as each answers within `patience`.
    pub fn carriers(&self, patience: Duration) -> Result<Vec<Carrier>, DiscoverError> {
        let answers = self.carriers.ask(volumes(&self.places)?, patience);
        let found = answers.into_iter().filter_map(|(volume, found)| {
            self.tell(volume.key(), found.is_some(), patience);
            found.flatten()
        });
        Ok(found.collect())
    }

    /// The disk as it answered, or as one that did not.
    fn told(&self, listed: Disk, found: Option<Disk>, patience: Duration) -> Disk {
        self.tell(listed.key(), found.is_some(), patience);
        found.unwrap_or_else(|| Disk { contents: Contents::silent(patience), ..listed })
    }

    /// Says whether a device answers, when that changes.
    fn tell(&self, key: Key, answers: bool, patience: Duration) {
        let path = format!("/dev/{}", key.0);
        let mut silent = lock(&self.silent);
        if answers && silent.remove(&key) {
            self.console.say("disk", &format!("{path} answers now"));
        } else if !answers && silent.insert(key) {
            let silence = Contents::silent(patience);
            self.console.say("disk", &format!("{path} {silence}: it is left alone until it does"));
        }
    }

    /// What each of `disks` could be booted by, as far as it answers within ten seconds.
    pub fn bootable(&self, disks: Vec<Disk>) -> Vec<OnDisk> {
        let (silent, others) = disks.into_iter().partition(|disk| disk.contents.is_silent);
        let mut found: Vec<OnDisk> = Vec::new();
        for (listed, answer) in self.entries.ask(others, ANSWER) {
            found.extend(answer.unwrap_or_else(|| {
                vec![OnDisk::silent(Disk { contents: Contents::silent(ANSWER), ..listed })]
            }));
        }
        found.extend(Vec::into_iter(silent).map(OnDisk::silent));
        found.sort_by(|one, other| one.disk.name.cmp(&other.disk.name));
        found
    }
}

/// One question that is asked of devices, with the threads that are out for an answer.
struct Questions<D, T> {
    ask: Arc<dyn Fn(&D) -> T + Send + Sync>,
    out: Arc<Mutex<BTreeMap<Key, Out<T>>>>,
}

/// A thread that has no answer yet.
struct Out<T> {
    since: Instant,
    /// Who wants the answer.
    listeners: Vec<Sender<(Key, T)>>,
}

impl<D: Asked, T: Clone + Send + 'static> Questions<D, T> {
    fn new(ask: impl Fn(&D) -> T + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), out: Arc::default() }
    }

    /// Asks each of `devices`, some at a time. One that was asked before and has not answered yet is
    /// waited for until `patience` after that, and not asked again.
    fn ask(&self, devices: Vec<D>, patience: Duration) -> Vec<(D, Option<T>)> {
        let (send, seen) = channel();
        let (mut waited_for, mut answers) = (BTreeMap::new(), BTreeMap::new());
        let mut rest = devices.iter();
        loop {
            while waited_for.len() < AT_ONCE
                && let Some(device) = rest.next()
            {
                if let Some(since) = self.send(device, &send, patience) {
                    waited_for.insert(device.key(), since + patience);
                }
            }
            let Some(until) = waited_for.values().min() else { break };
            match seen.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((key, answer)) => {
                    waited_for.remove(&key);
                    answers.insert(key, answer);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let now = Instant::now();
                    waited_for.retain(|_, until| *until > now);
                }
            }
        }
        let answered = |device: D| {
            let answer = answers.remove(&device.key());
            (device, answer)
        };
        devices.into_iter().map(answered).collect()
    }

    /// Sends somebody for an answer, or joins who waits for one; returns since when it is waited
    /// for. None where that is too long ago, or nobody can be sent.
    fn send(&self, device: &D, to: &Sender<(Key, T)>, patience: Duration) -> Option<Instant> {
        let mut out = lock(&self.out);
        if let Some(out) = out.get_mut(&device.key()) {
            let is_late = out.since.elapsed() >= patience;
            return (!is_late).then(|| {
                out.listeners.push(to.clone());
                out.since
            });
        }
        let (ask, all, asked) = (Arc::clone(&self.ask), Arc::clone(&self.out), device.clone());
        let run = move || {
            let answer = ask(&asked);
            let key = asked.key();
            let listeners = lock(&all).remove(&key).map(|out| out.listeners).unwrap_or_default();
            for listener in listeners {
                // Who does not listen any more has gone on without.
                let _ = listener.send((key.clone(), answer.clone()));
            }
        };
        thread::Builder::new().name(format!("ask {}", device.key().0)).spawn(run).ok()?;
        let since = Instant::now();
        // The thread looks for it here only when this lock is let go of.
        out.insert(device.key(), Out { since, listeners: vec![to.clone()] });
        Some(since)
    }
}

impl<D, T> Clone for Questions<D, T> {
    fn clone(&self) -> Self {
        Self { ask: Arc::clone(&self.ask), out: Arc::clone(&self.out) }
    }
}

impl<D, T> fmt::Debug for Questions<D, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").field("out", &lock(&self.out).keys()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No panic leaves half of a change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender};

    use deploy::disks::{DeviceNumber, Partition, TableKind, Transport};

    use super::*;

    /// A disk of 8 GiB that holds a system.
    pub(crate) fn disk(name: &str, serial: &str) -> Disk {
        let partition = |number: u32, name: &str| Partition {
            number,
            start_bytes: 1 << 20,
            size_bytes: 1 << 30,
            name: name.into(),
            signature: None,
        };
        Disk {
            path: format!("/dev/{name}"),
            name: name.into(),
            number: DeviceNumber { major: 254, minor: 0 },
            size_bytes: 8 << 30,
            logical_sector_bytes: 512,
            model: String::new(),
            vendor: String::new(),
            serial: serial.into(),
            wwn: String::new(),
            transport: Transport::Virtio,
            rotational: false,
            removable: false,
            read_only: false,
            bus_path: format!("pci0000:00/0000:00:04.0/virtio1/{name}"),
            diskseq: 1,
            holders: Vec::new(),
            mounted: false,
            contents: Contents {
                table: TableKind::Gpt,
                partitions: vec![partition(1, "EFI"), partition(2, "root")],
                ..Contents::default()
            },
        }
    }

    /// Long enough for a thread that is answered at once, and short for one that never is.
    const SOON: Duration = Duration::from_secs(2);

    /// Disks `dead..` answer when the other end of a channel says so, the others at once with their
    /// names.
    fn questions() -> (Questions<Disk, String>, Sender<()>, Arc<AtomicUsize>) {
        let (answer, blocked) = channel();
        let blocked: Mutex<Receiver<()>> = Mutex::new(blocked);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let ask = move |disk: &Disk| {
            if disk.name.starts_with("dead") {
                count.fetch_add(1, Ordering::Relaxed);
                // Closed at the end of a test.
                let _ = blocked.lock().unwrap().recv();
            }
            disk.name.clone()
        };
        (Questions::new(ask), answer, asked)
    }

    fn answers(questions: &Questions<Disk, String>, names: &[&str]) -> Vec<Option<String>> {
        let disks = names.iter().map(|name| disk(name, "")).collect();
        questions.ask(disks, SOON).into_iter().map(|(_, answer)| answer).collect()
    }

    #[test]
    fn a_dead_disk_hides_no_other_and_is_asked_once() {
        let (questions, answer, asked) = questions();
        let names = ["vda", "dead", "vdb"];
        for _ in 0..3 {
            let [first, dead, last] = &answers(&questions, &names)[..] else { panic!() };
            assert_eq!((first.as_deref(), last.as_deref()), (Some("vda"), Some("vdb")));
            assert_eq!((dead, asked.load(Ordering::Relaxed)), (&None, 1));
        }
        assert_eq!(lock(&questions.out).len(), 1);
        assert_eq!(lock(&questions.out)[&disk("dead", "").key()].listeners.len(), 1);
        // It answers late, and then like any other.
        answer.send(()).unwrap();
        answer.send(()).unwrap();
        while !lock(&questions.out).is_empty() {
            thread::yield_now();
        }
        assert_eq!(answers(&questions, &["dead"]), [Some("dead".into())]);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn who_asks_meanwhile_gets_the_same_answer() {
        let (questions, answer, asked) = questions();
        let ask = || questions.ask(vec![disk("dead", "")], Duration::from_hours(1));
        thread::scope(|scope| {
            let all = [scope.spawn(ask), scope.spawn(ask)];
            while lock(&questions.out).values().map(|out| out.listeners.len()).sum::<usize>() < 2 {
                thread::yield_now();
            }
            answer.send(()).unwrap();
            for one in all {
                assert_eq!(one.join().unwrap()[0].1.as_deref(), Some("dead"));
            }
        });
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn dead_disks_make_room_for_those_behind_them() {
        let (questions, answer, _) = questions();
        let dead: Vec<String> = (0..AT_ONCE).map(|number| format!("dead{number}")).collect();
        let mut names: Vec<&str> = dead.iter().map(String::as_str).collect();
        names.push("vda");
        let found = answers(&questions, &names);
        assert_eq!(found.last(), Some(&Some("vda".into())));
        assert!(found[..AT_ONCE].iter().all(Option::is_none));
        drop(answer);
    }

    #[test]
    fn silence_is_said_once() {
        let console = Arc::new(Console::silent());
        let disks = Disks::new(Arc::clone(&console));
        for _ in 0..2 {
            let told = disks.told(disk("vdb", ""), None, ANSWER);
            assert_eq!(told.contents.to_string(), "did not answer in 10 s");
        }
        assert!(!disks.told(disk("vdb", ""), Some(disk("vdb", "")), ANSWER).contents.is_silent);
        let said: Vec<String> = console.log();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0]
                .ends_with("disk: /dev/vdb did not answer in 10 s: it is left alone until it does")
        );
        assert!(said[1].ends_with("disk: /dev/vdb answers now"));
        let bootable = disks.bootable(vec![told_silent()]);
        let why = bootable[0].entries.as_ref().unwrap_err().to_string();
        assert_eq!(why, "did not answer in 10 s");
    }

    /// sysfs with disks of these names.
    pub(crate) fn machine(names: &[&str]) -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let dir = root.path().join("sys/block").join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("dev"), "254:0").unwrap();
            fs::write(dir.join("size"), "2048").unwrap();
        }
        let at = |dir: &str| root.path().join(dir);
        let places = Places { sys: at("sys"), dev: at("dev"), proc: at("proc") };
        (root, places)
    }

    /// Two disks, of which `vda` does not answer until the sender is dropped.
    pub(crate) fn with_a_dead_one() -> (tempfile::TempDir, Sender<()>, Disks) {
        let (root, places) = machine(&["vda", "vdb"]);
        let (release, blocked) = channel::<()>();
        let blocked = Mutex::new(blocked);
        let answer = move |disk: &Disk| {
            if disk.name == "vda" {
                let _ = blocked.lock().unwrap().recv();
            }
            disk.clone()
        };
        (root, release, Disks::that_answer(Arc::new(Console::silent()), places, answer))
    }

    #[test]
    fn a_dead_disk_is_listed_by_what_the_kernel_knows() {
        let (_root, release, disks) = with_a_dead_one();
        let found: Vec<String> = (disks.find(SOON).unwrap().iter())
            .map(|disk| format!("{disk}: {}", disk.contents))
            .collect();
        assert_eq!(found[0], "/dev/vda 1.0 MB virtio: did not answer in 2 s");
        assert_eq!(found[1], "/dev/vdb 1.0 MB virtio: data of an unknown kind");
        drop(release);
    }

    fn told_silent() -> Disk {
        Disk { contents: Contents::silent(ANSWER), ..disk("vdc", "") }
    }
}
