//! What must not be deployed is refused in a sentence that names it, and the disk does
//! not boot.

mod lab;

use anyhow::Result;
use lab::{LABEL, Lab, machine};
use qemu_tests::{Disk, Fault, Machine, Misbehaviour};

/// Runs a machine that must fail; its console has to say all of `words`.
fn fails(
    lab: &Lab,
    faults: Vec<Misbehaviour>,
    label: &str,
    more: &str,
    words: &[&str],
) -> Result<()> {
    let disk = lab.disk("disk", 0)?;
    fails_on(lab, faults, label, more, words, disk)
}

fn fails_on(
    lab: &Lab,
    faults: Vec<Misbehaviour>,
    label: &str,
    more: &str,
    words: &[&str],
    disk: Disk,
) -> Result<()> {
    let store = lab.serve(faults)?;
    let file = disk.file.clone();
    let mut machine = Machine { disks: vec![disk], ..machine(&store, label, more)? }.start()?;
    let console = lab::failure(&mut machine)?;
    // The screen wraps long lines; what is said is the same.
    let flat: String = console.split_whitespace().collect();
    for word in words {
        let wanted: String = word.split_whitespace().collect();
        assert!(flat.contains(&wanted), "not said: {word}\n{console}");
    }
    assert!(lab::cannot_boot(&file)?, "the disk looks bootable");
    Ok(())
}

#[test]
fn a_flipped_bit_anywhere_is_refused_with_the_objects_name() -> Result<()> {
    let lab = Lab::new()?;
    let digest = |directory: &str| -> Result<String> {
        let path = lab.stored(directory)?;
        Ok(path.file_name().unwrap_or_default().to_string_lossy().into_owned())
    };
    let (pack, manifest) = (digest("packs")?, digest("manifests")?);
    let table = [
        ("packs/", 500_000, vec![pack.as_str(), "expected", "found"]),
        ("maps/", 60, vec!["map of manifest", &manifest[..12], "expected", "found"]),
        ("manifests/", 40, vec!["manifest", &manifest[..12], "expected", "found"]),
        ("labels/", 20, vec!["label lab/first", "expected", "found"]),
    ];
    for (path, offset, words) in table {
        let faults = vec![Misbehaviour::always(path, Fault::FlipBit { offset })];
        fails(&lab, faults, LABEL, "", &words)?;
    }
    Ok(())
}

#[test]
fn a_store_without_the_label_or_with_a_broken_server_is_said() -> Result<()> {
    let lab = Lab::new()?;
    fails(&lab, vec![], "lab/absent", "", &["no such label: lab/absent"])?;
    let gone = vec![Misbehaviour::always("packs/", Fault::Status(404))];
    fails(&lab, gone, LABEL, "", &["pack", "is not in the store"])?;
    let broken = vec![Misbehaviour::always("maps/", Fault::Status(500))];
    fails(&lab, broken, LABEL, "", &["map of", "found 500"])
}

#[test]
fn a_disk_that_does_not_fit_is_refused_before_anything_is_written() -> Result<()> {
    let lab = Lab::new()?;
    let small = Disk::empty(lab.path("small"), 8 << 20)?;
    fails_on(&lab, vec![], LABEL, "", &["label lab/first needs", "8388608 (8.0 MiB)"], small)?;
    let four_k = Disk { sector_size: 4096, ..lab.disk("4k", 0)? };
    let words = ["is for 512-byte sectors", "has 4096"];
    fails_on(&lab, vec![], LABEL, "", &words, four_k)
}

#[test]
fn a_misspelt_key_is_answered_with_the_right_one_and_all_mistakes_come_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let more = "inaugurator.verfy=no inaugurator.then=later";
    fails(&lab, vec![], LABEL, more, &["inaugurator.verfy", "inaugurator.verify", "later"])
}

#[test]
fn a_disk_with_somebody_elses_data_is_refused_until_its_token_is_given() -> Result<()> {
    let lab = Lab::new()?;
    let disk = lab.disk("foreign", 0)?;
    // A file system of somebody's, right at the start of the disk.
    let made = std::process::Command::new("mke2fs").args(["-q", "-F"]).arg(&disk.file).status()?;
    assert!(made.success());
    let store = lab.serve(vec![])?;
    let mut refused =
        Machine { disks: vec![disk.clone()], ..machine(&store, LABEL, "")? }.start()?;
    let console = lab::failure(&mut refused)?;
    let token = console.split("inaugurator.wipe=").nth(1).unwrap_or_default();
    let token: String = token.chars().take_while(char::is_ascii_alphanumeric).collect();
    assert!(!token.is_empty(), "{console}");
    let more = format!("inaugurator.wipe={token} inaugurator.then=poweroff");
    let mut allowed =
        Machine { disks: vec![disk.clone()], ..machine(&store, LABEL, &more)? }.start()?;
    allowed.expect("the disk boots by itself", qemu_tests::deadline::INAUGURATE)?;
    allowed.wait_exit(qemu_tests::deadline::POWER_OFF)?;
    assert!(lab.holds(&disk.file, LABEL)?);
    Ok(())
}
