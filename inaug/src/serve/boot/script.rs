//! Scripts for iPXE: pure functions to text.
//!
//! A machine asks twice. The first script, the same for all, asks again with what the machine is
//! known by; the second is the machine's own. Whatever fails after the first is said and tried
//! again from it, so that a depot that comes back, or a changed machines file, is enough; a machine
//! that cannot fetch the first goes on to what its firmware tries next. Commands are
//! those of iPXE of 2015 and later.

use super::asked::Asked;
use super::base::Base;
use super::cmdline::{self, Word};
use super::files::{INITRAMFS, KERNEL};
use super::identity::Identity;
use super::machines::{Does, Entry};
use super::words;
use crate::serve::{BOOT_PATH, SCRIPT_PATH, STORE_PATH};

/// The longest pause before a machine tries again, seconds: long enough to read what failed and
/// to press a key.
const AGAIN_S: u32 = 10;

/// How long a machine says that it is unknown before it goes on to its disk, seconds.
const UNKNOWN_S: u32 = 15;

/// What a machine says of itself; `netX` is the card that iPXE booted from.
const WHO: &str = "mac=${netX/mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring}\
                   &manufacturer=${manufacturer:uristring}&product=${product:uristring}\
                   &buildarch=${buildarch:uristring}&platform=${platform:uristring}";

/// The first script: asks again, and says who asks.
pub(crate) fn first(base: &Base) -> String {
    let url = base.at(SCRIPT_PATH);
    let ask = format!("chain --autofree --replace {url}?{WHO} || goto failed");
    format!(
        "#!ipxe\n:ask\n{ask}\n:failed\n\
         echo inaugurator: {url} does not say what this machine boots\n{}goto ask\n",
        pause()
    )
}

/// The script of a machine: what `entry` says; `None` says nothing of it. `file` is where the
/// operator can say something.
pub(crate) fn of_machine(base: &Base, asked: &Asked, entry: Option<&Entry>, file: &str) -> String {
    let Some(entry) = entry else { return unknown(base, asked, file) };
    let name = entry.name.as_deref().unwrap_or("this machine");
    match &entry.does {
        Does::Deploy(label) => {
            let says = format!("{name} gets {label} from {base}");
            boot(base, &says, &entry.does, &entry.append)
        }
        Does::Recovery => {
            let says = format!("{name} gets a console to recover it, from {base}");
            boot(base, &says, &entry.does, &entry.append)
        }
        Does::Disk => disk(name),
    }
}

/// Boots the inaugurator.
fn boot(base: &Base, says: &str, does: &Does, append: &[Word]) -> String {
    let (kernel, initramfs) = (file_url(base, KERNEL), file_url(base, INITRAMFS));
    let cmdline = cmdline::line(&base.at(STORE_PATH), &does.word(), append);
    let again = base.at(SCRIPT_PATH);
    format!(
        "#!ipxe\n\
         echo inaugurator: {says}\n\
         kernel --name {KERNEL} {kernel} {cmdline} || goto no_kernel\n\
         initrd --name {INITRAMFS} {initramfs} || goto no_initramfs\n\
         boot || goto no_boot\n\
         :no_kernel\n\
         echo inaugurator: cannot fetch the kernel, {kernel}\n\
         goto again\n\
         :no_initramfs\n\
         echo inaugurator: cannot fetch the initramfs, {initramfs}\n\
         goto again\n\
         :no_boot\n\
         echo inaugurator: the firmware does not start {kernel}\n\
         :again\n\
         imgfree\n\
         {pause}\
         chain --autofree --replace {again} || goto again\n",
        pause = pause()
    )
}

fn file_url(base: &Base, name: &str) -> String {
    format!("{}{name}", base.at(BOOT_PATH))
}

/// Waits, or gives a person the shell.
fn pause() -> String {
    format!(
        "prompt --key 0x02 --timeout {AGAIN_S}000 inaugurator: trying again in {AGAIN_S} s, \
         Ctrl-B for a shell && shell ||\n"
    )
}

/// Leaves to the firmware: an error is what makes UEFI go on to its next entry.
const LEAVE: &str = "exit 1\n";

fn disk(name: &str) -> String {
    format!("#!ipxe\necho inaugurator: {name} boots from its disk\n{LEAVE}")
}

/// Nothing is known to be wanted: it must not be lost that a machine was started for another
/// reason, so it goes on to its disk.
fn unknown(base: &Base, asked: &Asked, file: &str) -> String {
    let mut lines = vec![
        format!("inaugurator: {base} was not told what this machine boots"),
        format!("inaugurator: it is {}", asked.who()),
        format!("inaugurator: to add it, put one of these into \"machines\" of {file}"),
    ];
    lines.extend(asked.identities.iter().filter_map(hint));
    let echoes = lines.join("\necho ");
    format!(
        "#!ipxe\necho {echoes}\n\
         prompt --key 0x02 --timeout {UNKNOWN_S}000 inaugurator: booting from the disk in \
         {UNKNOWN_S} s, Ctrl-B for a shell && shell ||\n{LEAVE}"
    )
}

/// An entry to be copied by a person; `None` of what cannot be shown as it is.
fn hint(identity: &Identity) -> Option<String> {
    let (field, value) = match identity {
        Identity::Mac(mac) => ("mac", mac.to_string()),
        Identity::Uuid(uuid) => ("uuid", uuid.to_string()),
        Identity::Serial(serial) => ("serial", serial.clone()),
    };
    let line = || format!("{{ \"{field}\": \"{value}\", \"label\": \"...\" }}");
    (words::shown(&value) == value).then(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        "http://depot:8080".parse().unwrap()
    }

    #[test]
    fn the_first_script_asks_again_with_who_asks() {
        let script = first(&base());
        let ask = script.lines().nth(2).unwrap();
        let begin =
            "chain --autofree --replace http://depot:8080/boot.ipxe?mac=${netX/mac:hexhyp}&";
        assert!(ask.starts_with(begin) && ask.ends_with(" || goto failed"), "{ask}");
    }

    #[test]
    fn a_machine_is_told_its_store_label_and_words() {
        let entry = Entry {
            name: Some("db1".into()),
            does: Does::Deploy("lab/db".into()),
            append: cmdline::words("console=ttyS0 quiet").unwrap(),
        };
        let script = of_machine(&base(), &Asked::default(), Some(&entry), "f");
        let kernel = "kernel --name vmlinuz http://depot:8080/boot/vmlinuz initrd=initramfs.img \
                      BOOTIF=01-${netX/mac:hexhyp} inaugurator.store=http://depot:8080/store/ \
                      inaugurator.label=lab/db console=ttyS0 quiet || goto no_kernel\n";
        assert!(script.starts_with("#!ipxe\n") && script.contains(kernel), "{script}");
        assert!(script.contains("echo inaugurator: db1 gets lab/db from http://depot:8080\n"));

        let recovery = Entry { does: Does::Recovery, ..entry.clone() };
        let script = of_machine(&base(), &Asked::default(), Some(&recovery), "f");
        assert!(script.contains(" inaugurator.mode=recovery console=ttyS0"), "{script}");
        let disk = Entry { does: Does::Disk, ..entry };
        let script = of_machine(&base(), &Asked::default(), Some(&disk), "f");
        assert_eq!(script, "#!ipxe\necho inaugurator: db1 boots from its disk\nexit 1\n");
    }

    #[test]
    fn every_goto_has_its_label() {
        let entry = Entry { name: None, does: Does::Recovery, append: Vec::new() };
        let asked = Asked::default();
        for script in [
            first(&base()),
            of_machine(&base(), &asked, Some(&entry), "f"),
            of_machine(&base(), &asked, None, "f"),
        ] {
            for (_, label) in script.lines().filter_map(|line| line.split_once("goto ")) {
                let found = script.lines().any(|line| line == format!(":{label}"));
                assert!(found, "{label} in {script}");
            }
        }
    }

    #[test]
    fn an_unknown_machine_is_told_how_to_be_added_and_injects_nothing() {
        let query = "mac=52-54-00-ab-34-56&serial=x%0areboot%20%26%26%20%24%7bip%7d%22\
                     &uuid=4c4c4544-0042-3510-8054-b9c04f503733";
        let asked = Asked::parse(query).unwrap();
        let script = of_machine(&base(), &asked, None, "/etc/machines.json");
        for line in [
            "echo { \"mac\": \"52:54:00:ab:34:56\", \"label\": \"...\" }\n",
            "echo { \"uuid\": \"4c4c4544-0042-3510-8054-b9c04f503733\", \"label\": \"...\" }\n",
            "into \"machines\" of /etc/machines.json\n",
        ] {
            assert!(script.contains(line), "{line} is not in {script}");
        }
        assert!(!script.contains("\"serial\""), "what is not shown as it is matches nothing");
        assert!(script.ends_with("exit 1\n") && !script.contains("\nreboot"), "{script}");
    }
}
