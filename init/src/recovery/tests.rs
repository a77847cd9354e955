//! The console as a person at a terminal has it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use ::deploy::disks::Disk;

use super::{Left, run};
use crate::boot::{Failure, Stage};
use crate::console::on_sockets;
use crate::disks::tests::machine as sysfs;
use crate::disks::{Disks, tests::disk};
use crate::machine::Machine;
use crate::window::Stopped;

/// What a person who leaves after so long was shown, having typed `typed`; and how the console ended.
fn typed(names: &[&str], typed: &str) -> (String, Left) {
    let (console, [mut terminal, _other]) = on_sockets();
    let (_root, places) = sysfs(names);
    let answer = |listed: &Disk| Disk { contents: disk("", "").contents, ..listed.clone() };
    let disks = Disks::that_answer(Arc::clone(&console), places, answer);
    let machine = Machine::of(console, disks);
    terminal.write_all(typed.as_bytes()).unwrap();
    let asked = Failure::of(Stage::Config, Stopped::Asked);
    let left = run(&machine, &asked, Some(Duration::from_millis(500)));
    (shown(&mut terminal), left)
}

fn shown(terminal: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    // It ends with an error: there is no more, and the other end is open.
    let _ = terminal.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

const MANY: [&str; 14] = [
    "sda", "sdb", "sdc", "sdd", "sde", "sdf", "sdg", "sdh", "sdi", "sdj", "sdk", "sdl", "sdm",
    "sdn",
];

#[test]
fn pages_are_turned_and_a_command_ends_them() {
    let (shown, left) = typed(&MANY, "disks\r\rb\rstauts\rhelp\r");
    let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("no {text:?} in {shown}"));
    let (first, second) = (at("== disks: 1 to 5 of 14 "), at("== disks: 6 to 10 of 14 "));
    let wrong = at("\"stauts\" is none of these, and no command");
    let menu = shown.rfind("== recovery console").unwrap();
    assert!(first < second && second < wrong && wrong < menu, "{shown}");
    assert_eq!(shown.matches("== disks: 1 to 5 of 14 ").count(), 2, "{shown}");
    assert!(!shown.contains("11 to 14"), "{shown}");
    assert_eq!(left, Left::Nobody);
}

#[test]
fn a_line_that_chatters_is_nobody_and_answers_that_make_no_sense_keep_nobody() {
    let (_, left) = typed(&[], "\r\nDebian GNU/Linux 12 host ttyS0\r\n\r\nhost login: \r\n");
    assert_eq!(left, Left::Nobody);
    let (shown, left) = typed(&MANY, "disks\rlogin:\rPassword:\rlogin:\r");
    assert_eq!(left, Left::Nobody);
    assert_eq!(shown.matches("is none of these").count(), 3, "{shown}");
    assert!(!shown.contains("given up"), "{shown}");
}
