//! How the next kernel is told to run a root that is its initramfs.

use crate::boot::{next_command_line, without_root};

/// PID 1 where nothing else is said.
const INIT: &str = "/sbin/init";

/// Words that name PID 1.
const NAMES_INIT: [&str; 2] = ["init=", "rdinit="];

/// PID 1 by the label's and the operator's words: the last one counts.
pub(super) fn init<'a>(label: &'a str, append: &'a str) -> &'a str {
    let words = label.split_whitespace().chain(append.split_whitespace());
    let mut named = words.filter_map(|word| word.strip_prefix(NAMES_INIT[0]));
    named.next_back().unwrap_or(INIT)
}

/// The whole command line. A kernel whose initramfs has what `rdinit=` names looks for no other
/// root (`kernel_init_freeable` in init/main.c).
pub(super) fn command_line(label: &str, append: &str, running: &str) -> String {
    let plain = |line: &str| {
        let is_other = |word: &&str| !NAMES_INIT.iter().any(|name| word.starts_with(name));
        line.split_whitespace().filter(is_other).collect::<Vec<_>>().join(" ")
    };
    let own = format!("{} rdinit={}", plain(&without_root(label)), init(label, append));
    next_command_line(&own, &plain(append), running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_root_is_looked_for() {
        let ours = "inaugurator.mode=live console=ttyS0";
        let table = [
            ("root=UUID=1 ro quiet", "", "quiet rdinit=/sbin/init console=ttyS0"),
            ("root=UUID=1 console=tty0", "debug", "console=tty0 rdinit=/sbin/init debug"),
            ("resume=/dev/sda2 init=/bin/a", "", "rdinit=/bin/a console=ttyS0"),
            ("init=/bin/a rdinit=/b", "init=/bin/c d", "rdinit=/bin/c d console=ttyS0"),
            ("", "", "rdinit=/sbin/init console=ttyS0"),
        ];
        for (label, append, expected) in table {
            assert_eq!(command_line(label, append, ours), expected, "{label} {append}");
        }
    }
}
