//! Processes that act until they are told to end, or killed.

use crate::act::Act;
use crate::whole::{Seen, read};
use crate::world::World;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use store::Digest;

const ROOT: &str = "INAUG_SOAK_ROOT";
const CONTENTS: &str = "INAUG_SOAK_CONTENTS";

/// A process, and where its orders go.
pub struct Worker {
    child: Child,
    orders: ChildStdin,
}

/// What a worker has said.
#[derive(Debug)]
pub struct Said {
    /// The worker's number.
    pub worker: u64,
    /// The line; `None`: it has ended.
    pub line: Option<String>,
}

impl Worker {
    /// Starts a process; what it says comes with its number.
    pub fn start(root: &Path, contents: &[Digest], number: u64, said: Sender<Said>) -> Self {
        let contents: Vec<String> = contents.iter().map(ToString::to_string).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child::obeys", "--exact", "--nocapture"])
            .env(ROOT, root)
            .env(CONTENTS, contents.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            let lines = lines
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("said ").map(ToOwned::to_owned));
            for line in lines.map(Some).chain([None]) {
                // Nobody listens when the test has ended.
                said.send(Said { worker: number, line }).ok();
            }
        });
        Self { orders: child.stdin.take().unwrap(), child }
    }

    /// Gives an order: an act, or `read LABEL`. A process that was killed takes none.
    pub fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").ok();
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Not a test of its own: what the processes run.
#[test]
fn obeys() {
    let (Ok(root), Ok(contents)) = (std::env::var(ROOT), std::env::var(CONTENTS)) else { return };
    let world = World::at(Path::new(&root));
    let contents: Vec<Digest> = contents.split(' ').map(|word| word.parse().unwrap()).collect();
    for order in std::io::stdin().lines().map_while(Result::ok) {
        let done = match order.strip_prefix("read ") {
            Some(label) => {
                let label = label.parse().unwrap();
                read(&world.store(), &label, &contents).map(|seen| match seen {
                    Seen::Whole(content) => format!("read {content}"),
                    Seen::Gone => "read nothing".to_owned(),
                })
            }
            None => order.parse::<Act>().and_then(|act| act.run(&world)).map(ToOwned::to_owned),
        };
        match done {
            Ok(done) => println!("\nsaid {done}"),
            Err(error) => println!("\nsaid FAILED {error}"),
        }
    }
}
