//! A person at the serial line: the recovery console from the first look to the deployed system.

use crate::lab::{LABEL, Lab, machine};
use anyhow::{Result, ensure};
use qemu_tests::{Disk, Machine, Running, deadline};
use serde_json::json;

/// What the console asks with.
const PROMPT: &str = "recovery> ";

/// Types a command and returns what was said until the next prompt.
fn command(machine: &mut Running, line: &str) -> Result<String> {
    machine.type_line(line)?;
    machine.expect_until(PROMPT, deadline::INAUGURATE)
}

/// Whether all of `said` fits into 80 columns, but for what a terminal wraps by itself: the kernel's
/// lines and init's events.
fn check_width(said: &str) -> Result<()> {
    for row in said.lines().filter(|row| !row.starts_with('[')) {
        let width = row.trim_end().rsplit('\r').next().unwrap_or_default().chars().count();
        ensure!(width <= 80, "{width} columns: {row}");
    }
    Ok(())
}

fn is_blank(disk: &Disk) -> Result<bool> {
    Ok(std::fs::read(&disk.file)?.iter().all(|byte| *byte == 0))
}

#[test]
fn a_person_looks_around_and_deploys_by_hand() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let disk = Disk { serial: "SERIAL-1".into(), ..lab.disk("disk", 0)? };
    let mut machine = Machine {
        disks: vec![disk.clone()],
        ..machine(&store, LABEL, "inaugurator.mode=recovery")?
    }
    .start()?;
    let menu = machine.expect_until(PROMPT, deadline::BOOT)?;
    assert!(menu.contains("6 deploy [LABEL]"), "{menu}");

    let status = command(&mut machine, "1")?;
    assert!(status.contains("inaugurator.mode=recovery") && status.contains("memory"), "{status}");
    let disks = command(&mut machine, "disks")?;
    assert!(disks.contains("SERIAL-1") && disks.contains("blank"), "{disks}");
    let labels = command(&mut machine, "labels lab")?;
    assert!(labels.contains("1 lab/first") && labels.contains("image"), "{labels}");
    let network = command(&mut machine, "network")?;
    assert!(network.contains("address   10.0.2.15/24 on eth0"), "{network}");
    let unknown = command(&mut machine, "netwrok")?;
    assert!(unknown.contains("did you mean network?"), "{unknown}");
    let on_disk = command(&mut machine, "boot")?;
    assert!(on_disk.contains("no disk holds something to boot"), "{on_disk}");
    let plan = command(&mut machine, "plan 1")?;
    assert!(plan.contains("nothing was written"), "{plan}");

    machine.type_line("deploy 1")?;
    let asked = machine.expect_until("Serial of the disk to write: ", deadline::INAUGURATE)?;
    assert!(asked.contains("lost      nothing that is known"), "{asked}");
    let cancelled = command(&mut machine, "SERIAL-2")?;
    assert!(cancelled.contains("not confirmed, and nothing was written"), "{cancelled}");
    assert!(is_blank(&disk)?, "something was written");
    for said in [menu, status, disks, labels, network, on_disk, plan, asked, cancelled] {
        check_width(&said)?;
    }

    machine.type_line("deploy 1")?;
    machine.expect("Serial of the disk to write: ", deadline::INAUGURATE)?;
    machine.type_line("SERIAL-1")?;
    machine.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)
}

#[test]
fn a_failed_boot_is_mended_at_the_console() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let wrong = "http://10.0.2.2:1/store";
    let told = format!(
        "inaugurator.store={wrong} inaugurator.label={LABEL} inaugurator.net-timeout=5 \
         inaugurator.onfail=retry"
    );
    let kernel = qemu_tests::environment::kernel()?;
    let disk = lab.disk("disk", 0)?;
    let mut machine = Machine {
        memory_mib: 256,
        disks: vec![disk.clone()],
        ..Machine::direct(kernel, qemu_tests::environment::init()?, &told)
    }
    .start()?;
    machine.expect("press Enter to stop here", deadline::INAUGURATE)?;
    machine.type_line("")?;
    machine.expect(PROMPT, deadline::COMMAND)?;
    let wrong = command(&mut machine, "set stor=http://x")?;
    assert!(wrong.contains("did you mean inaugurator.store= ?"), "{wrong}");
    command(&mut machine, &format!("set store={}", store.guest_url()))?;
    let settings = command(&mut machine, "set")?;
    assert!(settings.contains(&format!("* inaugurator.store={}", store.guest_url())), "{settings}");
    machine.type_line("retry")?;
    machine.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)
}

#[test]
fn a_key_stops_the_boot_before_a_byte_is_written() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let disk = lab.disk("disk", 0)?;
    let mut machine = Machine {
        disks: vec![disk.clone()],
        ..machine(&store, LABEL, "console=tty0 inaugurator.recovery-window=600")?
    }
    .start()?;
    machine.expect("press r for the recovery console", deadline::BOOT)?;
    // On the keyboard beside the screen; what follows is typed on the serial line.
    let key = json!({ "keys": [{ "type": "qcode", "data": "r" }] });
    machine.monitor().execute("send-key", &key)?;
    machine.expect(
        "stopped by a key before anything of the label was written",
        deadline::INAUGURATE,
    )?;
    machine.expect(PROMPT, deadline::COMMAND)?;
    assert!(is_blank(&disk)?, "something was written");
    command(&mut machine, "set recovery-window=0")?;
    machine.type_line("poweroff")?;
    machine.wait_exit(deadline::POWER_OFF)?;
    assert!(is_blank(&disk)?, "something was written");
    Ok(())
}
