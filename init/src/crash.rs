//! A panic of ours must not end PID 1: the kernel would panic with the reason
//! scrolled away. It prints the report and reboots.

use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::system::RebootCommand;

use crate::config::OnFail;
use crate::console::Console;
use crate::disks::Disks;
use crate::power::{Leave, force_after, leave};
use crate::report::{self, Facts, Report};

/// Time for a person to read or photograph the screen.
const READ_IT: Duration = Duration::from_secs(30);
/// If printing hangs (the panic may have been in the console), the machine is
/// reset all the same.
const PRINT_IT: Duration = Duration::from_mins(1);

/// From here on a panic in any thread prints the report, waits, and reboots (or
/// powers off, if `onfail` says so by then).
pub fn take_over(console: Arc<Console>, disks: Disks, onfail: Arc<Mutex<OnFail>>) {
    panic::set_hook(Box::new(move |info| {
        force_after(READ_IT + PRINT_IT, RebootCommand::Restart);
        let report = Report {
            stage: "init (a bug)".into(),
            category: "other".into(),
            causes: vec![message(info)],
            attempt: 1,
            facts: Facts::gather(&console, &disks, None),
        };
        console.show(&report::screen(&report));
        console.show(&format!("{}\n", report::json(&report)));
        console.say("init", &format!("this is a bug; going on in {} s", READ_IT.as_secs()));
        thread::sleep(READ_IT);
        let onfail = *onfail.lock().unwrap_or_else(PoisonError::into_inner);
        let how = if onfail == OnFail::PowerOff { Leave::PowerOff } else { Leave::Reboot };
        leave(how, &console);
    }));
}

/// What the panic said and where.
fn message(info: &PanicHookInfo<'_>) -> String {
    let text = info.payload_as_str().unwrap_or("no message");
    match info.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text.to_string(),
    }
}
