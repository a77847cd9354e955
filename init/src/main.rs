//! PID 1 of the inaugurator. See the library for what it consists of.

use std::process::ExitCode;

use init::boot::{boot, fail};
use init::config;
use init::machine::Machine;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        return explain();
    }
    let machine = Machine::start();
    let mut attempt = 1;
    loop {
        let Err(failure) = boot(&machine);
        attempt = fail(&machine, &failure, attempt);
    }
}

/// Run by hand, init only says what it can be told: its work is on disks.
#[allow(clippy::print_stdout)] // the one answer of `--help`
fn explain() -> ExitCode {
    println!("init: the inaugurator's PID 1; it puts a labelled image on this machine's disk.\n");
    print!("{}", config::help());
    let asked = std::env::args().nth(1).is_some_and(|word| word == "--help" || word == "-h");
    if asked { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
