use super::*;
use std::io;

const STARTS: &str = "[    3.914] kexec: starting the deployed kernel\n";

/// Watches a machine to which this happens, in this order.
fn watched(is_test: bool, events: Vec<Event>) -> Seen {
    let (send, inbox) = Inbox::new();
    for event in events {
        send.send(event).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(1000);
    let wanted = Wanted { expect: None, labels: Vec::new(), is_test, deadline, timeout_s: 1000 };
    // While `send` is there a wait for what never comes would go on.
    watch(wanted, &inbox, &mut Show::on(io::sink(), false))
}

fn console(text: &str) -> Event {
    Event::Console(text.as_bytes().to_vec())
}

fn status(text: &str) -> Event {
    Event::Status(text.as_bytes().to_vec())
}

#[test]
fn a_status_that_comes_after_the_machines_end_counts() {
    let seen = watched(true, vec![status("up "), Event::Off, status("running\nstatus 7\n")]);
    assert_eq!((seen.outcome, seen.test), (Outcome::Tested(7), Test::Begun));
    assert_eq!(seen.system.as_deref(), Some("running"));
}

#[test]
fn a_test_has_begun_or_has_not() {
    let off = || [Event::Off, Event::StatusEnd];
    for (said, test) in [("", Test::Waiting), ("up\n", Test::Begun), ("up degraded\n", Test::Begun)]
    {
        for end in [off().into_iter().collect::<Vec<_>>(), off().into_iter().rev().collect()] {
            let seen = watched(true, std::iter::once(status(said)).chain(end).collect());
            assert_eq!((seen.outcome, seen.test), (Outcome::Ended(None), test), "{said}");
        }
    }
    let seen = watched(true, vec![status("failed mktemp -d: full\n")]);
    assert_eq!(seen.outcome, Outcome::NotStarted("mktemp -d: full".into()));
    assert_eq!(seen.test, Test::Waiting);
}

#[test]
fn a_panic_is_watched_to_its_end_or_to_the_machines() {
    let panic = "[    1.2] Kernel panic - not syncing: VFS\n";
    let expected = Outcome::Panicked(panic.trim().into());
    let end = "[    1.4] ---[ end Kernel panic - not syncing: VFS ]---\n";
    for rest in [console(end), Event::Off] {
        let seen = watched(false, vec![console(panic), console("[    1.3] Call Trace:\n"), rest]);
        assert_eq!(seen.outcome, expected);
    }
}

#[test]
fn a_prompt_in_pieces_is_the_goal() {
    let seen = watched(false, vec![console(STARTS), console("debian lo"), console("gin: ")]);
    assert_eq!(seen.outcome, Outcome::Reached("debian login:".into()));
}
