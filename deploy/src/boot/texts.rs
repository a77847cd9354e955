//! The texts that boot loaders and the deployed system read.

use crate::layout::Guid;

/// Where the kernel is at most waited for by a boot loader, seconds: enough for a person to press
/// a key, and nothing that is felt in a rack.
const TIMEOUT_S: u32 = 1;

/// What is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What people call it: the labels.
    pub title: String,
    /// What tells it from others: the short digest of its manifest.
    pub version: String,
    /// Path of the kernel, as the boot loader finds it.
    pub kernel: String,
    /// Path of the initrd.
    pub initrd: Option<String>,
    /// The whole command line.
    pub cmdline: String,
}

/// The entry for boot loaders that follow the Boot Loader Specification (UAPI.1).
pub fn bls_entry(entry: &Entry) -> String {
    let Entry { title, version, kernel, initrd, cmdline } = entry;
    let initrd = initrd.as_ref().map_or_else(String::new, |initrd| format!("initrd {initrd}\n"));
    format!(
        "title {title}\nversion {version}\nsort-key inaugurator\nlinux {kernel}\n{initrd}\
         options {cmdline}\n"
    )
}

/// systemd-boot's loader.conf(5). `entry` is the name of the entry's file.
pub fn loader_config(entry: &str) -> String {
    format!("timeout {TIMEOUT_S}\ndefault {entry}\nconsole-mode keep\n")
}

/// GRUB's own configuration, in the root. A BIOS has no serial console of its own: where the
/// kernel gets one, the menu is on it as well.
pub fn grub_config(entry: &Entry) -> String {
    let Entry { title, version, kernel, initrd, cmdline } = entry;
    let serial = serial(cmdline).map_or_else(String::new, |(unit, speed)| {
        format!(
            "if [ \"$grub_platform\" = pc ]; then\n    serial --unit={unit} --speed={speed}\n    \
             terminal_input console serial\n    terminal_output console serial\nfi\n"
        )
    });
    let initrd = initrd.as_ref().map(|initrd| format!("    initrd {}\n", quoted(initrd)));
    let words: Vec<String> = cmdline.split_whitespace().map(quoted).collect();
    format!(
        "# {title} ({version}), made by the inaugurator; the next deployment makes it again.\n\
         set timeout={TIMEOUT_S}\nset default=0\n{serial}menuentry {} {{\n    linux {} {}\n{}}}\n",
        quoted(title),
        quoted(kernel),
        words.join(" "),
        initrd.unwrap_or_default(),
    )
}

/// Words of a command line that say where the root is, and how it is mounted, or name what another
/// disk has: the last one counts, and one of a label would be it.
const OF_THE_DISK: [&str; 9] =
    ["root", "rootfstype", "rootflags", "rootdelay", "ro", "rw", "BOOT_IMAGE", "initrd", "resume"];

/// A label's command line without what only the disk says that it is put on.
pub fn without_root(cmdline: &str) -> String {
    let key = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    let words = cmdline.split_whitespace().filter(|word| !OF_THE_DISK.contains(&&*key(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// The command line of the next kernel: the label's, what the operator adds, and our own consoles
/// unless one of these names one, so that a machine that was watched on a serial line still is.
pub fn next_command_line(label: &str, append: &str, ours: &str) -> String {
    let is_console = |word: &&str| word.starts_with("console=");
    let has_console =
        label.split_whitespace().chain(append.split_whitespace()).any(|word| is_console(&word));
    let carried = ours.split_whitespace().filter(|word| !has_console && is_console(word));
    let mut words = vec![label.trim(), append.trim()];
    words.extend(carried);
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

/// Number and speed of the first serial line among the consoles of a command line.
fn serial(cmdline: &str) -> Option<(u32, u32)> {
    let consoles = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("console=ttyS"));
    consoles.into_iter().find_map(|console| {
        let (unit, options) = console.split_once(',').unwrap_or((console, ""));
        let end = options.find(|c: char| !c.is_ascii_digit()).unwrap_or(options.len());
        // What the kernel takes where nothing is said (Documentation/admin-guide/serial-console.rst).
        let speed = if end == 0 { 9600 } else { options[..end].parse().ok()? };
        Some((unit.parse().ok()?, speed))
    })
}

/// A word as GRUB's shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=,:@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What a deployed system mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    /// UUID of the root's file system, as text.
    pub root_uuid: String,
    /// Its kind.
    pub root_kind: &'static str,
    /// The EFI system partition, and where it is mounted.
    pub esp: (Guid, String),
    /// The swap partition.
    pub swap: Option<Guid>,
    /// The data partition.
    pub data: Option<Guid>,
}

/// fstab(5). What is not the root may be missing: a machine that boots can be repaired.
pub fn fstab(mounts: &Mounts) -> String {
    let Mounts { root_uuid, root_kind, esp: (esp, at), swap, data } = mounts;
    let options = if *root_kind == "ext4" { "errors=remount-ro" } else { "defaults" };
    let line = |guid: &Guid, rest: &str| format!("PARTUUID={guid} {rest}\n");
    let lines = [
        format!("UUID={root_uuid} / {root_kind} {options} 0 1\n"),
        line(esp, &format!("{at} vfat umask=0077,nofail 0 2")),
        swap.map_or_else(String::new, |swap| line(&swap, "none swap nofail 0 0")),
        data.map_or_else(String::new, |data| line(&data, "/srv auto nofail 0 2")),
    ];
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            title: "debian/12/demo".into(),
            version: "0a1b2c3d4e5f".into(),
            kernel: "/boot/vmlinuz-6.1".into(),
            initrd: Some("/boot/initrd.img-6.1".into()),
            cmdline: "root=UUID=1-2 ro console=tty0 console=ttyS1,115200n8 a='b c;$'".into(),
        }
    }

    #[test]
    fn an_entry_is_what_the_specification_says() {
        let expected = "title debian/12/demo\nversion 0a1b2c3d4e5f\nsort-key inaugurator\n\
            linux /boot/vmlinuz-6.1\ninitrd /boot/initrd.img-6.1\n\
            options root=UUID=1-2 ro console=tty0 console=ttyS1,115200n8 a='b c;$'\n";
        assert_eq!(bls_entry(&entry()), expected);
    }

    #[test]
    fn a_menu_takes_no_word_for_a_command_and_talks_on_the_serial_line() {
        let text = grub_config(&entry());
        let expected = "if [ \"$grub_platform\" = pc ]; then\n    \
            serial --unit=1 --speed=115200\n    terminal_input console serial\n    \
            terminal_output console serial\nfi\nmenuentry debian/12/demo {\n    \
            linux /boot/vmlinuz-6.1 root=UUID=1-2 ro console=tty0 console=ttyS1,115200n8 \
            'a='\\''b' 'c;$'\\'''\n    initrd /boot/initrd.img-6.1\n}\n";
        assert!(text.ends_with(expected), "{text}");
        let silent = Entry { cmdline: "ro".into(), initrd: None, ..entry() };
        assert!(!grub_config(&silent).contains("serial"));
    }

    #[test]
    fn consoles_are_carried_over_unless_the_label_names_its_own() {
        let ours = "quiet console=tty0 inaugurator.label=x console=ttyS0,115200";
        let table = [
            ("root=/dev/vda2 ro", "", "root=/dev/vda2 ro console=tty0 console=ttyS0,115200"),
            ("root=/dev/vda2", "debug", "root=/dev/vda2 debug console=tty0 console=ttyS0,115200"),
            ("root=x console=ttyS1", "debug", "root=x console=ttyS1 debug"),
            ("root=x", "console=hvc0", "root=x console=hvc0"),
            ("", "", "console=tty0 console=ttyS0,115200"),
        ];
        for (label, append, expected) in table {
            assert_eq!(next_command_line(label, append, ours), expected);
        }
    }

    #[test]
    fn a_label_does_not_say_where_the_root_is() {
        let table = [
            ("root=/dev/sda9 quiet", "quiet"),
            ("BOOT_IMAGE=/vmlinuz ro rootflags=subvol=x rw resume=/dev/sda2", ""),
            ("rootwait roots=1 ro.x=2  console=tty0", "rootwait roots=1 ro.x=2 console=tty0"),
        ];
        for (label, expected) in table {
            assert_eq!(without_root(label), expected);
        }
    }

    #[test]
    fn serial_lines_are_found_with_their_speed() {
        let table = [
            ("console=ttyS0", Some((0, 9600))),
            ("quiet console=tty0 console=ttyS2,9600n8", Some((2, 9600))),
            ("console=ttyS0,115200", Some((0, 115_200))),
            ("console=ttyAMA0 console=hvc0", None),
            ("console=ttySx", None),
        ];
        for (line, expected) in table {
            assert_eq!(serial(line), expected, "{line}");
        }
    }

    #[test]
    fn fstab_names_what_there_is() {
        let guid = Guid([0x11; 16]);
        let mut mounts = Mounts {
            root_uuid: "aa".into(),
            root_kind: "ext4",
            esp: (guid, "/boot/efi".into()),
            swap: None,
            data: None,
        };
        let id = "PARTUUID=11111111-1111-1111-1111-111111111111";
        let root = "UUID=aa / ext4 errors=remount-ro 0 1\n";
        let esp = format!("{id} /boot/efi vfat umask=0077,nofail 0 2\n");
        assert_eq!(fstab(&mounts), format!("{root}{esp}"));
        (mounts.swap, mounts.data) = (Some(guid), Some(guid));
        let more = format!("{id} none swap nofail 0 0\n{id} /srv auto nofail 0 2\n");
        assert_eq!(fstab(&mounts), format!("{root}{esp}{more}"));
    }
}
