//! All at once, killed at random.

use crate::act::Act;
use crate::child::{Said, Worker};
use crate::whole::{check, garbage};
use crate::world::{CONTENTS, States, World, begin, end};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use store::label::LabelName;

/// Events, reads not counted, of a run where `INAUG_SOAK_EVENTS` says nothing else.
const EVENTS: u64 = 300;

/// One worker in so many is killed after an event.
const KILL_ONE_IN: u64 = 5;

/// What a worker does for all its life, and which labels are its own to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Pushes, renames and removes labels of its own; puts one that stays in the second store.
    Writer(u64),
    /// Copies from the second store, and removes what it copied.
    Copier,
    Reader,
    Collector,
}

const ROLES: [Role; 7] = [
    Role::Writer(0),
    Role::Writer(1),
    Role::Copier,
    Role::Reader,
    Role::Reader,
    Role::Collector,
    Role::Collector,
];

/// Labels that a writer has.
const OWN: u64 = 4;

struct Crowd {
    world: World,
    contents: Vec<store::Digest>,
    random: u64,
    states: States,
    said: (Sender<Said>, Receiver<Said>),
    workers: BTreeMap<u64, (Role, Worker, Option<Act>)>,
    next: u64,
    /// Collectors that wait for another to end.
    waiting: Vec<u64>,
    /// How often something came of something.
    events: u64,
    counts: BTreeMap<String, u64>,
}

#[test]
fn nothing_is_lost_whoever_is_killed() {
    let events = std::env::var("INAUG_SOAK_EVENTS").map_or(EVENTS, |text| text.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let world = World::at(root.path());
    let contents = world.prepare();
    let mut crowd = Crowd {
        world,
        contents,
        random: seed(),
        states: States::new(),
        said: channel(),
        workers: BTreeMap::new(),
        next: 0,
        waiting: Vec::new(),
        events: 0,
        counts: BTreeMap::new(),
    };
    crowd.prepare();
    let start = Instant::now();
    for role in ROLES {
        crowd.hire(role);
    }
    while crowd.events < events {
        crowd.event();
    }
    crowd.finish();
    println!("event | count");
    for (event, count) in &crowd.counts {
        println!("{event} | {count}");
    }
    println!("all but reads, in {:.0} s | {events}", start.elapsed().as_secs_f64());
}

/// Another one each time, unless `INAUG_SOAK_SEED` says which.
fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("INAUG_SOAK_SEED").map_or(since, |text| text.parse().unwrap());
    println!("seed {seed}");
    seed | 1
}

fn label(text: &str) -> LabelName {
    text.parse().unwrap()
}

impl Crowd {
    /// Labels that stay for ever, and those of the second store.
    fn prepare(&mut self) {
        let store = self.world.store();
        for content in 0..3 {
            let name = label(&format!("stays/{content}"));
            self.world.push(&store, &name, content).unwrap();
            end(&mut self.states, &name, Some(content));
        }
        let second = self.world.second();
        for content in 0..CONTENTS {
            self.world.push(&second, &label(&format!("far/{content}")), content).unwrap();
        }
    }

    fn hire(&mut self, role: Role) {
        let (root, number) = (self.world.root.clone(), self.next);
        self.next += 1;
        let worker = Worker::start(&root, &self.contents, number, self.said.0.clone());
        self.workers.insert(number, (role, worker, None));
        self.order(number);
    }

    /// What comes next for the worker.
    fn order(&mut self, number: u64) {
        let Some((role, ..)) = self.workers.get(&number) else { return };
        let role = *role;
        let (one, other) = (self.random(OWN), self.random(OWN));
        let content = self.random(CONTENTS);
        let act = match role {
            Role::Collector => Act::Collect,
            Role::Copier => {
                let name = label(&format!("far/{content}"));
                if self.random(3) == 0 { Act::Remove(name) } else { Act::Take(name) }
            }
            Role::Reader => {
                let there = self.states.iter().filter(|(_, states)| !states.contains(&None));
                let names: Vec<LabelName> = there.map(|(name, _)| name.clone()).collect();
                let name = &names[self.random(names.len() as u64) as usize];
                let order = format!("read {name}");
                return self.send(number, &order, None);
            }
            Role::Writer(writer) => {
                let own = |number: u64| label(&format!("writer{writer}/{number}"));
                match self.random(8) {
                    0 | 1 => Act::Remove(own(one)),
                    2 if one != other => Act::Rename(own(one), own(other)),
                    3 => Act::Give(own(one)),
                    _ => Act::Push(own(one), content),
                }
            }
        };
        self.begin(&act);
        self.send(number, &act.to_string(), Some(act.clone()));
    }

    fn send(&mut self, number: u64, order: &str, act: Option<Act>) {
        if let Some((_, worker, under_way)) = self.workers.get_mut(&number) {
            *under_way = act;
            worker.order(order);
        }
    }

    /// What labels may be while `act` is under way.
    fn begin(&mut self, act: &Act) {
        let states = &mut self.states;
        match act {
            Act::Push(name, content) => begin(states, name, Some(*content)),
            Act::Take(name) => begin(states, name, Some(far(name))),
            Act::Remove(name) => begin(states, name, None),
            Act::Rename(old, new) => {
                for state in states.get(old).cloned().unwrap_or_default() {
                    begin(states, new, state);
                }
                begin(states, old, None);
            }
            Act::Give(_) | Act::Collect => {}
        }
    }

    /// What labels are when `act` is done.
    fn end(&mut self, act: &Act, done: &str) {
        let states = &mut self.states;
        match (act, done) {
            (Act::Push(name, content), _) => end(states, name, Some(*content)),
            (Act::Take(name), "copied") => end(states, name, Some(far(name))),
            (Act::Remove(name), _) => end(states, name, None),
            (Act::Rename(old, new), "renamed") => {
                let mut new_states = states.remove(old).unwrap_or_default();
                new_states.remove(&None);
                states.insert(new.clone(), new_states);
                end(states, old, None);
            }
            _ => {}
        }
    }

    fn event(&mut self) {
        let Said { worker, line } = self.said.1.recv().unwrap();
        let Some((role, _, act)) = self.workers.get(&worker) else { return };
        let (role, act) = (*role, act.clone());
        let line = line.unwrap_or_else(|| panic!("{role:?} ended at {act:?}"));
        let words: Vec<&str> = line.split(' ').collect();
        let what = match words[0] {
            "read" if words[1] == "nothing" => "read: no such label".to_owned(),
            "read" => "read whole".to_owned(),
            // A copy that began before a collection ends in a sentence, as any reader of a map
            // of before may; the label is as it was.
            "FAILED" if words[1] == "stale:" => {
                "copy: a pack that it knew was collected".to_owned()
            }
            "FAILED" => panic!("{act:?}: {line}"),
            _ => format!("{}: {line}", kind(act.as_ref())),
        };
        *self.counts.entry(what).or_default() += 1;
        if let Some(act) = act {
            self.end(&act, &line);
        }
        // Reads are too many to be counted among the rest.
        let counts = !["gone", "another collects"].contains(&&*line) && role != Role::Reader;
        self.events += u64::from(counts);
        if counts && self.random(KILL_ONE_IN) == 0 {
            self.kill_one();
        }
        if line == "another collects" {
            return self.waiting.push(worker);
        }
        self.order(worker);
        if role == Role::Collector {
            self.wake();
        }
    }

    /// Lets those collect who could not.
    fn wake(&mut self) {
        for worker in std::mem::take(&mut self.waiting) {
            self.order(worker);
        }
    }

    /// Whoever it is, whatever it is doing.
    fn kill_one(&mut self) {
        let numbers: Vec<u64> = self.workers.keys().copied().collect();
        let number = numbers[self.random(numbers.len() as u64) as usize];
        let Some((role, worker, act)) = self.workers.remove(&number) else { return };
        worker.kill();
        let what = if role == Role::Reader { "read" } else { kind(act.as_ref()) };
        *self.counts.entry(format!("killed: {what}")).or_default() += 1;
        self.hire(role);
        if role == Role::Collector {
            self.wake();
        }
    }

    fn finish(&mut self) {
        let workers = std::mem::take(&mut self.workers);
        for (_, worker, _) in workers.into_values() {
            worker.kill();
        }
        let store = self.world.store();
        check(&store, &self.contents, &self.states);
        let collected = Act::Collect.run(&self.world).unwrap();
        assert!(collected.starts_with("collected"), "{collected}");
        check(&store, &self.contents, &self.states);
        let (live, dead) = garbage(&store);
        println!("at the end {live} bytes of objects are needed, {dead} are not");
    }

    fn random(&mut self, below: u64) -> u64 {
        // xorshift64 (Marsaglia).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below
    }
}

fn far(name: &LabelName) -> u64 {
    name.as_str().rsplit('/').next().unwrap().parse().unwrap()
}

fn kind(act: Option<&Act>) -> &'static str {
    match act {
        Some(Act::Push(..)) => "push",
        Some(Act::Remove(_)) => "rm",
        Some(Act::Rename(..)) => "rename",
        Some(Act::Give(_)) => "copy to another store",
        Some(Act::Take(_)) => "copy from another store",
        Some(Act::Collect) => "gc",
        None => "read",
    }
}
