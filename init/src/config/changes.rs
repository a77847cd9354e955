//! What a person changes of the command line while the machine runs.

use super::keys::{KEYS, Key, PREFIX};
use super::words::{self, Word};
use super::{Mistake, Mistakes, Settings, unknown};

/// Words changed at most: more than there are keys, of which some may be given several times.
const CHANGES_MAX: usize = 64;

/// Changes to a command line: keys that are taken out of it, and words put at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    without: Vec<String>,
    added: Vec<Word>,
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Not a word of ours, or not one that can be understood.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// A command line has no way to write it.
    #[error("{typed}: a value with a \" cannot be said on a command line")]
    Quote {
        /// As typed.
        typed: String,
    },
    /// There are too many.
    #[error("more than {CHANGES_MAX} changes; reboot, and say it on the command line")]
    TooMany,
}

/// A mistake as an error by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(Mistake);

impl Changes {
    /// `line` with the changes.
    pub fn apply(&self, line: &str) -> String {
        let words = words::split(line);
        let kept = words.iter().filter(|word| !self.without.contains(&word.key));
        let all: Vec<String> = kept.chain(&self.added).map(quoted).collect();
        all.join(" ")
    }

    /// Takes in `KEY=VALUE` as typed, the prefix left out or not: the rest of the line is the value,
    /// quotes around it are taken off. Checked together with what `line` says. A key that may be
    /// given several times gets one value more.
    pub fn set(&mut self, typed: &str, line: &str) -> Result<(), ChangeError> {
        let (name, value) = typed.split_once('=').unwrap_or((typed, ""));
        let key = key(name)?;
        let value = value.trim();
        let value = value.strip_prefix('"').map_or(value, |v| v.strip_suffix('"').unwrap_or(v));
        if value.contains('"') {
            return Err(ChangeError::Quote { typed: typed.into() });
        }
        let mut changed = self.clone();
        if !key.repeats {
            changed.remove(key.name);
        }
        let typed = format!("{}={value}", key.name);
        changed.added.push(Word { typed, key: key.name.into(), value: Some(value.into()) });
        if changed.added.len() > CHANGES_MAX {
            return Err(ChangeError::TooMany);
        }
        let word = |mistake: &Mistake| match mistake {
            Mistake::BadValue { typed, .. } | Mistake::Twice { typed, .. } => {
                typed.split_once('=').is_some_and(|(name, _)| name == key.name)
            }
            _ => false,
        };
        let understood = Settings::parse(&changed.apply(line));
        // Other mistakes of the line were there before, and are not this change's.
        let mistakes = understood.err().map(|Mistakes { mistakes, .. }| mistakes);
        if let Some(wrong) = mistakes.into_iter().flatten().find(word) {
            return Err(Wrong(wrong).into());
        }
        *self = changed;
        Ok(())
    }

    /// Takes a key back: its default holds, whatever `line` says. What stands there and is no key
    /// is taken out as well, or a misspelt one could not be mended.
    pub fn unset(&mut self, name: &str, line: &str) -> Result<(), ChangeError> {
        let name = name.trim();
        let stands = [name.to_string(), format!("{PREFIX}{name}")].into_iter().find(|full| {
            full.starts_with(PREFIX) && words::split(line).iter().any(|word| word.key == *full)
        });
        match stands {
            Some(full) => self.remove(&full),
            None => self.remove(key(name)?.name),
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        self.added.retain(|word| word.key != name);
        if !self.without.iter().any(|taken| taken == name) {
            self.without.push(name.to_string());
        }
    }

    /// What of `line` is ours, with the changes: each key with its value, and whether it was changed.
    pub fn shown(&self, line: &str) -> Vec<(String, String, bool)> {
        let line = self.apply(line);
        let words = words::split(&line).into_iter().filter(|word| {
            word.key.starts_with(PREFIX) || KEYS.iter().any(|key| key.name == word.key)
        });
        words
            .map(|word| {
                let changed = self.added.contains(&word);
                (word.key, word.value.unwrap_or_default(), changed)
            })
            .collect()
    }
}

/// The key of this name, with or without its prefix.
fn key(name: &str) -> Result<&'static Key, Wrong> {
    let find = |name: &str| KEYS.iter().find(|key| key.name == name);
    let full = format!("{PREFIX}{name}");
    if let Some(key) = find(name).or_else(|| find(&full)) {
        return Ok(key);
    }
    let typed = if name.starts_with(PREFIX) { name.to_string() } else { full };
    let word = Word { typed: typed.clone(), key: typed.clone(), value: None };
    let mistake = unknown(&word).unwrap_or(Mistake::NoSuchKey { typed, nearest: None });
    Err(Wrong(mistake))
}

/// A word as the kernel would split it.
fn quoted(word: &Word) -> String {
    match &word.value {
        Some(value) if value.contains(char::is_whitespace) => format!("{}=\"{value}\"", word.key),
        None if word.typed.contains(char::is_whitespace) => format!("\"{}\"", word.typed),
        _ => word.typed.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "console=ttyS0 inaugurator.label=a/b inaugurator.append=\"x y\" quiet";

    fn after(changes: &[&str]) -> String {
        let mut all = Changes::default();
        for change in changes {
            all.set(change, LINE).unwrap();
        }
        all.apply(LINE)
    }

    #[test]
    fn a_change_takes_the_place_of_what_the_line_says() {
        assert_eq!(after(&[]), LINE);
        assert_eq!(
            after(&["label=c", "store=/srv", "inaugurator.label=d"]),
            "console=ttyS0 inaugurator.append=\"x y\" quiet inaugurator.store=/srv \
             inaugurator.label=d"
        );
        assert_eq!(
            after(&["append=console=ttyS1 debug", "append=\"a b\""]),
            "console=ttyS0 inaugurator.label=a/b quiet inaugurator.append=\"a b\""
        );
        assert!(after(&["keep=/a", "keep=/b"]).ends_with("keep=/a inaugurator.keep=/b"));
        assert!(after(&["ip=dhcp"]).ends_with(" ip=dhcp"));
    }

    #[test]
    fn what_is_wrong_is_said_as_on_the_command_line_and_changes_nothing() {
        let table = [
            ("lable=a", "inaugurator.lable: no such key; did you mean inaugurator.label= ?"),
            (
                "mode=later",
                "inaugurator.mode=later: expected one of deploy, plan, boot, live, recovery",
            ),
            ("mode", "inaugurator.mode=: expected inaugurator.mode=deploy|plan|boot|live|recovery"),
            (
                "append=a \"b\" c",
                "append=a \"b\" c: a value with a \" cannot be said on a command line",
            ),
        ];
        for (typed, expected) in table {
            let mut changes = Changes::default();
            assert_eq!(changes.set(typed, LINE).unwrap_err().to_string(), expected);
            assert_eq!(changes, Changes::default());
        }
        // A mistake that was there before keeps nothing else from being set, and can be mended.
        let line = "inaugurator.then=later inaugurator.label=a";
        let mut changes = Changes::default();
        changes.set("label=b", line).unwrap();
        changes.set("then=reboot", line).unwrap();
        assert_eq!(changes.apply(line), "inaugurator.label=b inaugurator.then=reboot");
    }

    #[test]
    fn a_key_is_taken_back_and_the_settings_are_shown() {
        let mut changes = Changes::default();
        changes.set("disk=/dev/vda", LINE).unwrap();
        changes.unset("append", LINE).unwrap();
        let shown = changes.shown(LINE);
        let expected =
            [("inaugurator.label", "a/b", false), ("inaugurator.disk", "/dev/vda", true)];
        assert_eq!(shown, expected.map(|(key, value, new)| (key.into(), value.into(), new)));
        changes.unset("inaugurator.disk", LINE).unwrap();
        assert!(changes.unset("dsik", LINE).is_err() && changes.unset("", LINE).is_err());
        assert_eq!(changes.shown(LINE).len(), 1);
        // A misspelt key of the line goes, and nothing that is not ours.
        for typed in ["lable", "inaugurator.lable"] {
            let (mut changes, line) = (Changes::default(), "console=ttyS0 inaugurator.lable=x");
            changes.unset(typed, line).unwrap();
            assert_eq!(changes.apply(line), "console=ttyS0");
            assert!(changes.unset("console", line).is_err());
        }
    }

    #[test]
    fn changes_are_bounded() {
        let mut changes = Changes::default();
        for number in 0..CHANGES_MAX {
            changes.set(&format!("keep=/{number}"), "").unwrap();
        }
        assert_eq!(changes.set("keep=/more", ""), Err(ChangeError::TooMany));
    }
}
