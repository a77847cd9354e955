//! Runs one row of the table and judges how it ended.

use crate::common::deploy_metered;
use crate::fault::{Fault, How, On, Rule};
use crate::server::{Served, Server};
use crate::shelf::{Copy, LABEL, Shelf};
use crate::tap::{Tap, twice};
use deploy::{Category, Meter, ReadBack};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::http::{HttpStore, Timeouts};
use store::source::{Item, Source};

/// Waits scaled down, so that the table takes a minute; two seconds are long for a
/// server in the same process even while other tests use all cores.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    silence: Duration::from_secs(2),
    rate_window: Duration::from_secs(3),
    rate_min_bytes: 4096,
};

/// What firmware boots by: zeroes until all is proven.
const HEAD_BYTES: usize = deploy::Mark::OFFSET;

/// Tries of one thing (`deploy/src/retry.rs`).
const TRIES: usize = 6;

/// The longest object.
const OBJECT_BYTES: u64 = 64 << 10;

/// Fetches that may be under way at once: each may meet a final fault by itself.
const WORKERS_MAX: usize = 8;

/// How a row has to end.
#[derive(Debug)]
pub(crate) enum Expect {
    /// With the right bytes, the fault ridden out.
    Right,
    /// The same; the server sends more than is asked for, so that what came twice says nothing.
    RightAtAnyCost,
    /// The same, and the fault is no fault to the client: nothing is asked again.
    RightAtOnce,
    /// The same, and between fault and next request this is waited at least.
    RightAfter(Duration),
    /// With these words in the chain of errors, at once.
    Final(Category, &'static [&'static str]),
    /// The same after all tries.
    Tired(Category, &'static [&'static str]),
}

/// Damage done to a store.
pub(crate) type Lie = Box<dyn Fn(&Copy) + Send + Sync>;

/// One row of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rules: Vec<Rule>,
    pub(crate) lie: Option<Lie>,
    pub(crate) expect: Expect,
    /// Whether the run after it, without faults, meets the replaced label.
    pub(crate) replaced: bool,
}

/// How a row ended.
pub(crate) struct Outcome {
    /// As it is printed.
    pub(crate) line: String,
    /// What was not as expected.
    pub(crate) wrong: Vec<String>,
}

/// What is wrong where nothing may be asked again.
const ASKED_AGAIN: &str = "asked again";

/// Runs a row. Where nothing may be asked again and all else is right it has a second chance:
/// on a machine under load a good server may be silent for too long.
pub(crate) fn run(shelf: &Shelf, row: &Row) -> Outcome {
    let outcome = run_once(shelf, row);
    if outcome.wrong == [ASKED_AGAIN] { run_once(shelf, row) } else { outcome }
}

/// What is on the disk before: nothing or, for every other name, an older image that boots.
fn older<'a>(shelf: &'a Shelf, row: &Row) -> Option<&'a [u8]> {
    let sum: u32 = row.name.bytes().map(u32::from).sum();
    sum.is_multiple_of(2).then_some(&*shelf.two.image)
}

/// Deploys, judges, mends the store, and deploys again onto the same target.
fn run_once(shelf: &Shelf, row: &Row) -> Outcome {
    let place = tempfile::tempdir().unwrap();
    let mut root = shelf.one.path();
    if let Some(lie) = &row.lie {
        root = place.path().join("store");
        lie(&shelf.one.copy(&root));
    }
    let server = Server::start(&root, &shelf.two.path(), row.rules.clone());
    let target = place.path().join("disk");
    if let Some(older) = older(shelf, row) {
        fs::write(&target, older).unwrap();
    }
    let meter = Arc::new(Meter::new());
    let watched = Arc::new(Tap::new(&server.url(), TIMEOUTS));
    let source: Arc<dyn Source> = Arc::clone(&watched) as _;
    let end = End {
        ended: deploy_metered(&source, LABEL, &target, ReadBack::Yes, &meter),
        served: server.served(),
        arrived: watched.taken(),
        retries: meter.snapshot().retries,
    };
    let mut wrong = end.judge(row, shelf, &target);

    let after = if row.replaced { &shelf.two } else { &shelf.one };
    server.mend(&after.path());
    let source: Arc<dyn Source> = Arc::new(HttpStore::new(&server.url(), TIMEOUTS).unwrap());
    match deploy_metered(&source, LABEL, &target, ReadBack::Yes, &Arc::default()) {
        Err(error) => wrong.push(format!("run again: {}", chain(&error))),
        Ok(()) => wrong.extend(first_bytes_differ(&target, &after.image, "run again")),
    }
    Outcome { line: format!("{} | {end}", row.name), wrong }
}

/// How the run with the fault ended.
struct End {
    ended: Result<(), deploy::Error>,
    served: Vec<Served>,
    arrived: Vec<(Item, Range<u64>)>,
    retries: u64,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outcome = self.ended.as_ref().map_or_else(chain, |()| "right".into());
        let twice = (self.arrived_twice(), self.sent_twice());
        write!(f, "{outcome} | {} | {} | {}", self.retries, twice.0, twice.1)
    }
}

impl End {
    fn strikes(&self) -> usize {
        self.served.iter().filter(|reply| reply.struck).count()
    }

    /// Bytes of packs that the server sent more than once.
    fn sent_twice(&self) -> u64 {
        let packs = self.served.iter().filter(|reply| On::of(&reply.path) == Some(On::Pack));
        twice(packs.map(|reply| (&reply.path, reply.bytes.clone())))
    }

    /// Bytes of packs that were handed to the engine more than once.
    fn arrived_twice(&self) -> u64 {
        twice(self.arrived.iter().map(|(item, range)| (item, range.clone())))
    }

    fn judge(&self, row: &Row, stores: &Shelf, target: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.strikes() == 0 && row.lie.is_none() {
            wrong.push("the fault was not met".into());
        }
        let right = match &row.expect {
            Expect::Final(category, words) | Expect::Tired(category, words) => {
                wrong.extend(self.sentence(*category, words));
                false
            }
            _ => true,
        };
        match &self.ended {
            Err(error) if right => wrong.push(chain(error)),
            Ok(()) => wrong.extend(first_bytes_differ(target, &stores.one.image, "the run")),
            Err(_) => wrong.extend(boots(target, older(stores, row))),
        }
        match &row.expect {
            Expect::Right => wrong.extend(self.ridden_out(row)),
            Expect::RightAfter(least) => {
                wrong.extend(self.ridden_out(row));
                let waited = self.waited();
                if waited < *least {
                    wrong.push(format!("waited {waited:?}, not {least:?}"));
                }
            }
            Expect::RightAtOnce if self.retries > 0 => wrong.push(ASKED_AGAIN.into()),
            // What came wrong is asked for once more, by each that fetches.
            Expect::Final(..)
                if self.retries > row.lie.as_ref().map_or(0, |_| WORKERS_MAX as u64) =>
            {
                wrong.push(ASKED_AGAIN.into());
            }
            Expect::Final(..) if self.strikes() > WORKERS_MAX => wrong.push(ASKED_AGAIN.into()),
            Expect::Tired(..) => wrong.extend(self.tired(row)),
            _ => {}
        }
        wrong
    }

    /// All tries were made and, where it is a pack that was asked for, counted in the sentence.
    fn tired(&self, row: &Row) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.strikes() < TRIES {
            wrong.push("gave up early".to_owned());
        }
        let counted = format!("tried {TRIES} times");
        let said = self.ended.as_ref().map_or_else(chain, |()| String::new());
        if row.rules.iter().all(|rule| rule.on == On::Pack) && !said.contains(&counted) {
            wrong.push(format!("{counted:?} is not said in: {said}"));
        }
        wrong
    }

    /// What a cut costs: no more than an object is fetched twice.
    fn ridden_out(&self, row: &Row) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.retries == 0 {
            wrong.push("nothing was asked again".to_owned());
        }
        // On a machine under load a good server may be silent for too long: one fault more.
        let most = OBJECT_BYTES * self.retries;
        let only_ours = self.retries <= self.strikes() as u64;
        // What is torn or refused by its head may be lost after it was sent: then only what
        // arrived can be counted.
        let all_arrive = |rule: &Rule| match rule.fault {
            Fault::Break(_, how) => how != How::Rst,
            _ => false,
        };
        let sent =
            if only_ours && row.rules.iter().all(all_arrive) { self.sent_twice() } else { 0 };
        for (what, twice) in [("arrived", self.arrived_twice()), ("sent", sent)] {
            if twice > most {
                wrong.push(format!("{twice} bytes were {what} twice, more than {most}"));
            }
        }
        wrong
    }

    fn sentence(&self, category: Category, words: &[&str]) -> Vec<String> {
        let Err(error) = &self.ended else { return vec!["it ended right".into()] };
        let text = chain(error);
        let mut wrong = Vec::new();
        if error.category() != category {
            wrong.push(format!("category {:?}, not {category:?}", error.category()));
        }
        let missing = words.iter().filter(|word| !text.contains(**word));
        wrong.extend(missing.map(|word| format!("{word:?} is not said in: {text}")));
        wrong
    }

    /// From the first fault to the next request for the same.
    fn waited(&self) -> Duration {
        let struck = self.served.iter().position(|served| served.struck).unwrap();
        let (fault, later) = (&self.served[struck], &self.served[struck + 1..]);
        let same = |served: &&Served| (&served.path, &served.asked) == (&fault.path, &fault.asked);
        let next = later.iter().find(same).unwrap();
        next.at - fault.at
    }
}

/// The error and all its causes.
fn chain(error: &deploy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap();
        cause = error.source();
    }
    text
}

fn first_bytes_differ(target: &Path, image: &[u8], run: &str) -> Option<String> {
    let disk = fs::read(target).unwrap();
    // A file that was longer keeps its length, as a disk does.
    (disk.get(..image.len()) != Some(image)).then(|| format!("{run} ended with other bytes"))
}

/// After a failure nothing boots but what was there before and is whole.
fn boots(target: &Path, older: Option<&[u8]>) -> Option<String> {
    let disk = fs::read(target).unwrap_or_default(); // it may have failed before there was any
    if older == Some(&*disk) {
        return None;
    }
    disk.iter().take(HEAD_BYTES).any(|byte| *byte != 0).then(|| "what is there may boot".into())
}
