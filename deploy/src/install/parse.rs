//! What operators say of a machine's own files, checked before any of it is written.

use store::tree::walk::RESERVED_NAME;
use store::tree::{check_path, parent};

/// What a deployment makes itself, and what makes it so: another file there would be lost, or would
/// be in the way.
const MADE: [(&str, &str); 8] = [
    ("etc/fstab", "names this disk's partitions"),
    ("etc/inaugurator", "says which label this is"),
    ("etc/hostname", "is the machine's name, which has a setting of its own"),
    ("etc/machine-id", "is this machine's"),
    ("etc/shadow", "has root's password, which has a setting of its own"),
    ("root/.ssh/authorized_keys", "has the keys, which have a setting of their own"),
    ("boot/efi", "is where the EFI system partition is mounted"),
    ("boot/grub/grub.cfg", "is GRUB's menu for this disk"),
];

/// `HOST_NAME_MAX` of Linux, bytes.
const HOSTNAME_MAX_BYTES: usize = 64;

/// A machine's name (hostname(5)), or what would be right.
pub fn parse_hostname(text: &str) -> Result<String, String> {
    let is_good = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-')
    };
    if text.len() <= HOSTNAME_MAX_BYTES && text.split('.').all(is_good) {
        return Ok(text.to_owned());
    }
    Err(format!("letters, digits and '-', joined by '.', at most {HOSTNAME_MAX_BYTES} in all"))
}

/// The hash of a password (crypt(5)), or what would be right. A password in the clear is none:
/// it would be a password that nobody knows.
pub fn parse_password(text: &str) -> Result<String, String> {
    let is_good = text.starts_with('$')
        && text.matches('$').count() >= 3
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if is_good {
        return Ok(text.to_owned());
    }
    Err("a hash as crypt(5) has it, such as `openssl passwd -6` prints".to_owned())
}

/// A line of `authorized_keys` (sshd(8)), or what would be right.
pub fn parse_ssh_key(text: &str) -> Result<String, String> {
    let is_kind = |word: &str| {
        ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| word.starts_with(start))
    };
    let mut words = text.split_ascii_whitespace().skip_while(|word| !is_kind(word));
    let is_good = words.next().is_some()
        && words.next().is_some_and(|key| key.starts_with("AAAA"))
        && !text.contains(char::is_control);
    if is_good {
        return Ok(text.trim().to_owned());
    }
    Err("a public key such as `ssh-ed25519 AAAA... comment`".to_owned())
}

/// The path of a machine's own file in the root, without the `/` at its start, or what would be
/// right.
pub fn parse_file_path(text: &str) -> Result<Vec<u8>, String> {
    let path = text.strip_prefix('/').unwrap_or(text).as_bytes();
    if path.is_empty() || path.split(|byte| *byte == b'/').next() == Some(RESERVED_NAME) {
        return Err(format!("the path of a file in the root instead of {text:?}"));
    }
    check_path(path).map_err(|(expected, found)| format!("{expected} instead of {found}"))?;
    match MADE.iter().find(|(made, _)| meet(path, made.as_bytes())) {
        Some((made, why)) => Err(format!("another path than {text:?}: /{made} {why}")),
        None => Ok(path.to_vec()),
    }
}

/// Whether two files cannot both be there: their paths are the same, or one is below the other.
pub fn meet(one: &[u8], other: &[u8]) -> bool {
    let is_below = |below: &[u8], above: &[u8]| {
        std::iter::successors(Some(below), |path| parent(path)).any(|path| path == above)
    };
    is_below(one, other) || is_below(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hashes_and_keys() {
        let long = "x".repeat(65);
        for (text, is_good) in [
            ("web1", true),
            ("web-1.lab.example", true),
            ("", false),
            ("a..b", false),
            ("-a", false),
            ("a b", false),
            (&long, false),
        ] {
            assert_eq!(parse_hostname(text).is_ok(), is_good, "{text:?}");
        }
        for (text, is_good) in [
            ("$6$salt$hash/.", true),
            ("$y$j9T$salt$hash", true),
            ("secret", false),
            ("$6$a:b$c", false),
            ("", false),
        ] {
            assert_eq!(parse_password(text).is_ok(), is_good, "{text:?}");
        }
        for (text, is_good) in [
            ("ssh-ed25519 AAAAC3 me@here", true),
            ("from=\"10.0.0.0/8\" ssh-rsa AAAAB3", true),
            ("ssh-ed25519", false),
            ("AAAAC3", false),
            ("ssh-rsa AAAA\nssh-rsa AAAA", false),
        ] {
            assert_eq!(parse_ssh_key(text).is_ok(), is_good, "{text:?}");
        }
    }

    #[test]
    fn paths_of_own_files() {
        for (text, expected) in [
            ("/etc/motd", Ok("etc/motd")),
            ("etc/fstab.d", Ok("etc/fstab.d")),
            ("/usr/.inaugurator", Ok("usr/.inaugurator")),
            ("", Err("the path of a file in the root instead of \"\"")),
            ("/", Err("the path of a file in the root instead of \"/\"")),
            (
                "/.inaugurator/store",
                Err("the path of a file in the root instead of \"/.inaugurator/store\""),
            ),
            (
                "/etc/fstab",
                Err("another path than \"/etc/fstab\": /etc/fstab names this disk's partitions"),
            ),
            (
                "/etc/inaugurator/x",
                Err("another path than \"/etc/inaugurator/x\": /etc/inaugurator says which label \
                     this is"),
            ),
            ("/etc", Err("another path than \"/etc\": /etc/fstab names this disk's partitions")),
        ] {
            let found = parse_file_path(text).map(|path| String::from_utf8(path).unwrap());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text:?}");
        }
        for text in ["/../etc/passwd", "/etc//motd", "/etc/./motd", "/etc/motd/", "//etc/motd"] {
            assert!(parse_file_path(text).is_err(), "{text}");
        }
    }
}
