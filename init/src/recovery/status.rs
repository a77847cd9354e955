//! `status`: the machine, the settings in force, what happened so far.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use deploy::disks::size_text;

use super::Session;
use super::screen::{PAGE_ROWS, fact, titled};
use crate::clock::since_boot;
use crate::devices::driverless;
use crate::report::{date, memory};

/// What the screen says.
#[derive(Debug, Clone, Default)]
struct Status {
    /// Who made the machine, what it is, its serial number.
    machine: String,
    firmware: String,
    cpus: usize,
    memory_bytes: u64,
    memory_free_bytes: u64,
    clock_unix_s: u64,
    up_s: u64,
    kernel: String,
    version: String,
    network: String,
    /// Devices without a driver.
    driverless: Vec<String>,
    /// Words in force; those that were changed here are marked.
    settings: Vec<String>,
    failure: Option<(String, Vec<String>)>,
    events: Vec<String>,
}

/// Rows of settings, devices, and causes.
const LISTED: usize = 4;
/// Events that are shown whatever else is.
const EVENTS_MIN: usize = 3;

impl Session<'_> {
    pub(super) fn status(&self) {
        let (memory_bytes, memory_free_bytes) =
            memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let network = self.machine.network();
        let status = Status {
            machine: machine(Path::new("/sys/class/dmi/id")),
            firmware: firmware(Path::new("/sys")),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes,
            memory_free_bytes,
            clock_unix_s: clock.as_secs(),
            up_s: since_boot().as_secs(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION").into(),
            network: network.map_or("not up".into(), |network| network.to_string()),
            driverless: driverless(Path::new("/sys")).iter().map(ToString::to_string).collect(),
            settings: self.setting_rows(),
            failure: self.failure.clone(),
            events: self.machine.console.log(),
        };
        self.show(&screen(&status));
    }
}

/// The screen.
fn screen(status: &Status) -> String {
    let Status { kernel, version, cpus, .. } = status;
    let (free, memory) = (size_text(status.memory_free_bytes), size_text(status.memory_bytes));
    let (clock, up_s) = (date::utc(status.clock_unix_s), status.up_s);
    let mut rows = fact("machine", &status.machine);
    rows.extend(fact("firmware", &status.firmware));
    rows.extend(fact("memory", &format!("{free} free of {memory}, {cpus} CPUs")));
    rows.extend(fact("time", &format!("{clock}, up {up_s} s")));
    rows.extend(fact("version", &format!("inaugurator {version}, Linux {kernel}")));
    rows.extend(fact("network", &status.network));
    rows.extend(some("no driver", &status.driverless));
    rows.extend(some("settings", &status.settings));
    if let Some((stage, causes)) = &status.failure {
        let mut failed = fact("failed", &format!("{stage}: {}", causes.join(": ")));
        if failed.len() > LISTED {
            failed.truncate(LISTED);
        }
        rows.extend(failed);
    }
    rows.truncate(PAGE_ROWS - EVENTS_MIN);
    let left = PAGE_ROWS - rows.len();
    let last = status.events.len().saturating_sub(left);
    rows.extend(status.events[last..].iter().cloned());
    titled("status", rows)
}

/// A few of a list after their word.
fn some(word: &str, all: &[String]) -> Vec<String> {
    let shown = if all.len() > LISTED { LISTED - 1 } else { all.len() };
    let mut rows: Vec<String> = all[..shown].iter().map(|one| format!("{one:.200}")).collect();
    if shown < all.len() {
        rows.push(format!("and {} more", all.len() - shown));
    }
    let rows = rows
        .iter()
        .enumerate()
        .map(|(index, row)| format!("{:10}{row}", if index == 0 { word } else { "" }));
    rows.collect()
}

/// What the firmware says of the machine (`/sys/class/dmi/id`).
fn machine(dmi: &Path) -> String {
    let read = |name| fs::read_to_string(dmi.join(name)).unwrap_or_default().trim().to_string();
    let words = [read("sys_vendor"), read("product_name")].join(" ");
    let serial = read("product_serial");
    match (words.trim(), serial.as_str()) {
        ("", _) => "unknown: the firmware does not say".into(),
        (words, "") => words.into(),
        (words, serial) => format!("{words}, serial {serial}"),
    }
}

/// The kind of firmware, its version, and whether Secure Boot is on (UEFI 2.10, 3.3: the byte after
/// the four of the variable's attributes).
fn firmware(sys: &Path) -> String {
    let variable = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let kind = if sys.join("firmware/efi").exists() { "UEFI" } else { "BIOS" };
    let read = |name| fs::read_to_string(sys.join("class/dmi/id").join(name)).unwrap_or_default();
    let version = format!("{} {}", read("bios_vendor").trim(), read("bios_version").trim());
    let secure = match fs::read(sys.join(variable)).ok().and_then(|bytes| bytes.get(4).copied()) {
        Some(1) => ", Secure Boot on",
        Some(_) => ", Secure Boot off",
        None => "",
    };
    format!("{kind} {}{secure}", version.trim())
}

#[cfg(test)]
mod tests {
    use super::super::screen::fits;
    use super::*;

    fn status() -> Status {
        Status {
            machine: "QEMU Standard PC (i440FX + PIIX, 1996)".into(),
            firmware: "BIOS SeaBIOS 1.16.2-debian-1.16.2-1".into(),
            cpus: 2,
            memory_bytes: 494_444_544,
            memory_free_bytes: 441_581_568,
            clock_unix_s: 1_795_304_459,
            up_s: 12,
            kernel: "6.12.90".into(),
            version: "0.1.0".into(),
            network: "eth0 10.0.2.15/24, gateway 10.0.2.2, leased by 10.0.2.2 for 86400 s".into(),
            driverless: Vec::new(),
            settings: vec!["inaugurator.store=http://10.0.2.2:8080/store".into()],
            failure: Some(("label".into(), vec!["no such label: a/b".into()])),
            events: vec!["[    2.001] init: hello".into()],
        }
    }

    #[test]
    fn the_machine_on_one_screen() {
        let expected = "\
== status =====================================================================
machine   QEMU Standard PC (i440FX + PIIX, 1996)
firmware  BIOS SeaBIOS 1.16.2-debian-1.16.2-1
memory    441.5 MB free of 494.4 MB, 2 CPUs
time      2026-11-21 23:40:59 UTC, up 12 s
version   inaugurator 0.1.0, Linux 6.12.90
network   eth0 10.0.2.15/24, gateway 10.0.2.2, leased by 10.0.2.2 for 86400 s
settings  inaugurator.store=http://10.0.2.2:8080/store
failed    label: no such label: a/b
[    2.001] init: hello
";
        assert_eq!(screen(&status()), expected);
    }

    #[test]
    fn much_is_cut() {
        let many: Vec<String> = (0..99).map(|n| format!("{n} {}", "long ".repeat(60))).collect();
        let status = Status {
            machine: "word ".repeat(100),
            driverless: many.clone(),
            settings: many.clone(),
            failure: Some(("disk".into(), many.clone())),
            events: many,
            ..status()
        };
        let screen = screen(&status);
        assert!(fits(&screen), "{screen}");
        assert!(screen.lines().last().unwrap().starts_with("98 long"), "{screen}");
    }

    #[test]
    fn machines_are_named() {
        let sys = tempfile::tempdir().unwrap();
        let dmi = sys.path().join("class/dmi/id");
        assert_eq!(machine(&dmi), "unknown: the firmware does not say");
        fs::create_dir_all(&dmi).unwrap();
        for (name, text) in
            [("sys_vendor", "Acme\n"), ("product_serial", "S1 \n"), ("bios_version", "2")]
        {
            fs::write(dmi.join(name), text).unwrap();
        }
        assert_eq!(machine(&dmi), "Acme, serial S1");
        assert_eq!(firmware(sys.path()), "BIOS 2");
        let variables = sys.path().join("firmware/efi/efivars");
        fs::create_dir_all(&variables).unwrap();
        let secure = variables.join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        fs::write(secure, [6, 0, 0, 0, 1]).unwrap();
        assert_eq!(firmware(sys.path()), "UEFI 2, Secure Boot on");
    }
}
