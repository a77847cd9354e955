//! What can be said at the menu: one table makes parsing, the menu and the help.

use std::path::Path;

use super::screen::titled;
use crate::config::nearest::nearest;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Status,
    Network,
    Disks,
    Labels,
    Plan,
    Deploy,
    Live,
    Boot,
    Set,
    Unset,
    Log,
    GoOn,
    Reboot,
    PowerOff,
    Shell,
    Help,
}

struct Entry {
    command: Command,
    /// Its words; the first is the one that is shown.
    names: &'static [&'static str],
    /// What may follow it.
    arguments: &'static str,
    help: &'static str,
}

/// Where a shell is, if there is one.
pub(super) const SHELL: &str = "/bin/sh";

/// The menu, numbered from 1.
const TABLE: [Entry; 16] = [
    Entry {
        command: Command::Status,
        names: &["status"],
        arguments: "",
        help: "this machine, its settings, what happened so far",
    },
    Entry {
        command: Command::Network,
        names: &["network", "net"],
        arguments: "[up]",
        help: "the network cards, what was heard; up: raise it now",
    },
    Entry {
        command: Command::Disks,
        names: &["disks", "disk"],
        arguments: "",
        help: "each disk, and what is on it",
    },
    Entry {
        command: Command::Labels,
        names: &["labels", "label"],
        arguments: "[TEXT]",
        help: "the labels of the store, with TEXT in their names",
    },
    Entry {
        command: Command::Plan,
        names: &["plan"],
        arguments: "[LABEL]",
        help: "what deploying would do; nothing is written",
    },
    Entry {
        command: Command::Deploy,
        names: &["deploy"],
        arguments: "[LABEL]",
        help: "put a label on a disk, which has to be confirmed",
    },
    Entry {
        command: Command::Live,
        names: &["live"],
        arguments: "[LABEL]",
        help: "run a label from memory; no disk is touched",
    },
    Entry {
        command: Command::Boot,
        names: &["boot"],
        arguments: "[NUMBER]",
        help: "start what is on a disk; nothing is written",
    },
    Entry {
        command: Command::Set,
        names: &["set"],
        arguments: "[KEY=VALUE]",
        help: "change a setting of the command line, or show them",
    },
    Entry {
        command: Command::Unset,
        names: &["unset"],
        arguments: "KEY",
        help: "take a setting back to its default",
    },
    Entry {
        command: Command::Log,
        names: &["log"],
        arguments: "[kernel] [TEXT]",
        help: "what init said, or the kernel, with TEXT in it",
    },
    Entry {
        command: Command::GoOn,
        names: &["continue", "retry"],
        arguments: "",
        help: "boot on, as the settings say",
    },
    Entry {
        command: Command::Reboot,
        names: &["reboot"],
        arguments: "",
        help: "reset the machine",
    },
    Entry {
        command: Command::PowerOff,
        names: &["poweroff", "halt"],
        arguments: "",
        help: "switch the machine off",
    },
    Entry { command: Command::Help, names: &["help", "?"], arguments: "", help: "this menu" },
    Entry {
        command: Command::Shell,
        names: &["shell", "sh"],
        arguments: "",
        help: "a shell on this terminal; exit comes back here",
    },
];

/// The table as this image has it: a shell only where one was built in.
fn table() -> impl Iterator<Item = (usize, &'static Entry)> {
    let has_shell = Path::new(SHELL).exists();
    let table = TABLE.iter().filter(move |entry| has_shell || entry.command != Command::Shell);
    table.enumerate().map(|(index, entry)| (index + 1, entry))
}

/// A line as a command with what follows it; or what to answer.
pub(super) fn parse(line: &str) -> Result<(Command, &str), String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (word, rest) = (word.to_lowercase(), rest.trim());
    let number = word.parse::<usize>().ok();
    let found = table()
        .find(|(index, entry)| number == Some(*index) || entry.names.contains(&word.as_str()));
    if let Some((_, Entry { command, names, arguments, .. })) = found {
        // A line that some other program said is no command.
        let is_command = rest.is_empty() || !arguments.is_empty();
        let name = names[0];
        return if is_command {
            Ok((*command, rest))
        } else {
            Err(format!("{name} takes nothing after it\n"))
        };
    }
    let names = || table().flat_map(|(_, entry)| entry.names.iter().copied());
    Err(match nearest(&word, names()) {
        Some(right) => format!("{word:?} is none of the commands; did you mean {right}?\n"),
        None => format!("{word:?} is none of the commands; help shows them\n"),
    })
}

/// The menu as a screen.
pub(super) fn menu(version: &str) -> String {
    let rows = table().map(|(index, entry)| {
        let words = format!("{} {}", entry.names[0], entry.arguments);
        format!("{index:3} {words:20} {}", entry.help)
    });
    titled(&format!("recovery console, inaugurator {version}"), rows)
}

#[cfg(test)]
mod tests {
    use super::super::screen::fits;
    use super::*;

    #[test]
    fn numbers_and_names_are_the_same() {
        let table = [
            ("status", Ok((Command::Status, ""))),
            ("1", Ok((Command::Status, ""))),
            ("NET", Ok((Command::Network, ""))),
            ("labels  debian/12 ", Ok((Command::Labels, "debian/12"))),
            ("6 debian/12", Ok((Command::Deploy, "debian/12"))),
            ("live debian/12", Ok((Command::Live, "debian/12"))),
            ("retry", Ok((Command::GoOn, ""))),
            ("set append=a  b", Ok((Command::Set, "append=a  b"))),
            ("12 reboot               reset the machine", Err("continue takes nothing after it\n")),
            ("stauts", Err("\"stauts\" is none of the commands; did you mean status?\n")),
            ("xyzzy", Err("\"xyzzy\" is none of the commands; help shows them\n")),
            ("99", Err("\"99\" is none of the commands; help shows them\n")),
            ("0", Err("\"0\" is none of the commands; help shows them\n")),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line), expected.map_err(str::to_string), "{line}");
        }
    }

    #[test]
    fn the_menu_fits() {
        let menu = menu("0.1.0");
        assert!(fits(&menu) && !menu.contains(">\n"), "{menu}");
        assert!(menu.contains("\n  6 deploy [LABEL]       put a label on a disk, which"), "{menu}");
    }
}
