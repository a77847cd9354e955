//! What operators say of a machine's own files, checked before any of it is written.

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
}
