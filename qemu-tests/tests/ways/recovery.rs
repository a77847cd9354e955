//! A person at the serial line: the recovery console from the first look to the deployed system.

use crate::lab::{LABEL, Lab, machine, push_tree};
use anyhow::{Result, ensure};
use qemu_tests::{Ailment, Disk, Fault, Machine, Misbehaviour, ROOT_TYPE, Running, deadline};
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

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

/// A store with an image, and a tree called `lab/tree`.
fn with_a_tree() -> Result<Lab> {
    let lab = Lab::new()?;
    let tree = lab.path("tree");
    std::fs::create_dir_all(tree.join("etc"))?;
    std::fs::write(tree.join("etc/hostname"), "lab\n")?;
    push_tree(&lab.store(), "lab/tree", &tree)?;
    Ok(lab)
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

#[test]
fn a_disk_that_does_not_answer_hides_no_other() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let good = Disk { serial: "SERIAL-1".into(), ..lab.disk("good", 0)? };
    // As fast as it likes, until the console is there.
    let ailment = Some(Ailment::Slow { bytes_per_s: 1 << 40 });
    let dead = Disk { ailment, ..lab.disk("dead", 0)? };
    let mut machine =
        Machine { disks: vec![dead, good], ..machine(&store, LABEL, "inaugurator.mode=recovery")? }
            .start()?;
    machine.expect(PROMPT, deadline::BOOT)?;
    let limits = json!({ "path": "/objects/slow0", "property": "limits",
        "value": { "bps-total": 1 } });
    machine.monitor().execute("qom-set", &limits)?;

    let disks = command(&mut machine, "disks")?;
    assert!(disks.contains("did not answer in 10 s") && disks.contains("SERIAL-1"), "{disks}");
    let again = command(&mut machine, "disks")?;
    assert!(again.contains("did not answer in 10 s") && again.contains("SERIAL-1"), "{again}");
    assert!(!again.contains("left alone"), "said once: {again}");
    check_width(&again)?;
    machine.type_line("deploy")?;
    machine.expect("Label (lab/first): ", deadline::COMMAND)?;
    machine.type_line("")?;
    machine.expect("Number or path of the disk: ", deadline::INAUGURATE)?;
    machine.type_line("1")?;
    machine.expect("/dev/vda did not answer in 10 s", deadline::COMMAND)?;
    machine.expect("Number or path of the disk: ", deadline::COMMAND)?;
    machine.type_line("2")?;
    machine.expect("Serial of the disk to write: ", deadline::INAUGURATE)?;
    machine.type_line("SERIAL-1")?;
    machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
    machine.kill()
}

/// A stranger's disk: a GPT with a root that lost power, so that its journal is not carried out.
fn unclean(lab: &Lab) -> Result<Disk> {
    let (disk, mounted) = (lab.path("foreign"), lab.path("mounted"));
    let made = Disk::empty(&mounted, 640 << 20)?;
    let table = format!("label: gpt\nstart=2048, size=1048576, type={ROOT_TYPE}\n");
    let script = "printf %s \"$1\" | sfdisk -q \"$2\" && \
         mkfs.ext4 -q -F -L theirs -E offset=1048576 \"$2\" 512M && \
         mount -o loop,offset=1048576,sizelimit=536870912 \"$2\" \"$3\" && \
         echo theirs >\"$3/file\" && sync \"$3/file\" \"$3\" && \
         cp --sparse=always \"$2\" \"$4\"; s=$?; umount \"$3\"; exit $s";
    let at = tempfile::tempdir()?;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", script, "sh", &table]).arg(&mounted).arg(at.path());
    let output = shell.arg(&disk).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut incompatible = [0; 4];
    File::open(&disk)?.read_exact_at(&mut incompatible, (1 << 20) + 1024 + 96)?;
    ensure!(incompatible[0] & 4 != 0, "its journal is empty: {incompatible:?}");
    Ok(Disk { file: disk, ..made })
}

#[test]
fn a_plan_leaves_a_strangers_journal_as_it_is() -> Result<()> {
    let lab = with_a_tree()?;
    let store = lab.serve(vec![])?;
    let disk = unclean(&lab)?;
    let before = lab.path("before");
    std::fs::copy(&disk.file, &before)?;
    let mut machine = Machine {
        disks: vec![disk.clone()],
        ..machine(&store, "lab/tree", "inaugurator.mode=recovery")?
    }
    .start()?;
    machine.expect(PROMPT, deadline::BOOT)?;
    let disks = command(&mut machine, "disks")?;
    assert!(disks.contains("ext4 \"theirs\""), "{disks}");
    for label in ["lab/tree", LABEL] {
        let plan = command(&mut machine, &format!("plan {label}"))?;
        assert!(plan.contains("only a plan was asked for, and nothing was written"), "{plan}");
    }
    machine.type_line("poweroff")?;
    machine.wait_exit(deadline::POWER_OFF)?;
    let same = Command::new("cmp").arg(&before).arg(&disk.file).output()?;
    ensure!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    Ok(())
}

#[test]
fn a_store_that_stalls_is_left_at_a_key() -> Result<()> {
    let lab = Lab::new()?;
    // The label answers, so that the network is up; what it names does not.
    let stall = Misbehaviour::always("manifests/", Fault::Stall { after_bytes: 0 });
    let store = lab.serve(vec![stall])?;
    let disk = lab.disk("disk", 0)?;
    let mut machine =
        Machine { disks: vec![disk.clone()], ..machine(&store, LABEL, "")? }.start()?;
    store.wait_spoilt(deadline::INAUGURATE)?;
    // Each within less than the silence that a store is allowed, and all its tries.
    machine.type_line("r")?;
    machine.expect("stopping: the recovery console follows", deadline::COMMAND)?;
    machine.expect("stopped by a key before anything", deadline::COMMAND)?;
    machine.expect(PROMPT, deadline::COMMAND)?;
    machine.type_line("plan")?;
    machine.expect("Label (lab/first): ", deadline::COMMAND)?;
    machine.type_line("")?;
    machine.expect("no answer yet; Ctrl-C gives up", deadline::COMMAND)?;
    machine.type_line("\u{3}")?;
    machine.expect("giving up", deadline::COMMAND)?;
    machine.expect(PROMPT, deadline::COMMAND)?;
    // The store answers again: what was left behind is in nobody's way.
    store.misbehave(vec![]);
    let plan = command(&mut machine, &format!("plan {LABEL}"))?;
    assert!(plan.contains("only a plan was asked for, and nothing was written"), "{plan}");
    assert!(is_blank(&disk)?, "something was written");
    machine.kill()
}

#[test]
fn what_is_there_is_started_and_what_is_in_the_way_goes_when_confirmed() -> Result<()> {
    let lab = with_a_tree()?;
    let store = lab.serve(vec![])?;
    let disk = Disk { serial: "SERIAL-1".into(), ..lab.disk("disk", 1 << 30)? };
    let disks = vec![disk.clone()];
    let mut deploys =
        Machine { disks: disks.clone(), ..machine(&store, LABEL, "inaugurator.then=poweroff")? }
            .start()?;
    deploys.expect("the disk boots by itself", deadline::INAUGURATE)?;
    deploys.wait_exit(deadline::POWER_OFF)?;
    let before = lab.path("before");
    std::fs::copy(&disk.file, &before)?;

    let mut machine =
        Machine { disks, ..machine(&store, LABEL, "inaugurator.mode=recovery")? }.start()?;
    machine.expect(PROMPT, deadline::BOOT)?;
    machine.type_line("deploy lab/tree")?;
    let asked = machine.expect_until("Serial of the disk to write: ", deadline::INAUGURATE)?;
    assert!(asked.contains("lost      EVERYTHING that is on this disk now"), "{asked}");
    let cancelled = command(&mut machine, "y")?;
    assert!(cancelled.contains("not confirmed, and nothing was written"), "{cancelled}");
    machine.type_line(&format!("deploy {LABEL}"))?;
    machine.expect("already holds lab/first: nothing would be written", deadline::INAUGURATE)?;
    machine.expect("Start it (y, anything else cancels)? ", deadline::COMMAND)?;
    let cancelled = command(&mut machine, "SERIAL-1")?;
    assert!(cancelled.contains("not confirmed, and nothing was written"), "{cancelled}");
    machine.type_line(&format!("deploy {LABEL}"))?;
    machine.expect("Start it (y, anything else cancels)? ", deadline::INAUGURATE)?;
    machine.type_line("y")?;
    machine.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)?;
    let same = Command::new("cmp").arg(&before).arg(&disk.file).output()?;
    ensure!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    Ok(())
}
