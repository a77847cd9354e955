//! One entry file: its keys, and where it goes in the menu.

use std::cmp::Ordering;

use crate::{glob, version};

/// What an entry says, as far as it matters for loading a kernel.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The file's name without `.conf` and boot counter.
    id: String,
    title: String,
    version: String,
    sort_key: Option<String>,
    machine_id: String,
    /// Whether the boot counter says that it failed too often.
    is_bad: bool,
    pub(super) linux: String,
    pub(super) initrds: Vec<String>,
    pub(super) options: Vec<String>,
}

impl Entry {
    /// The entry in the file `stem.conf`; `None` if it names no kernel.
    pub(super) fn parse(stem: &str, text: &str) -> Option<Self> {
        let (id, is_bad) = boot_counter(stem);
        let mut entry = Self { id: id.to_owned(), is_bad, ..Self::default() };
        for (key, value) in lines(text) {
            let value = value.to_owned();
            match key {
                "title" => entry.title = value,
                "version" => entry.version = value,
                "sort-key" => entry.sort_key = Some(value),
                "machine-id" => entry.machine_id = value,
                "linux" => entry.linux = value,
                "initrd" => entry.initrds.push(value),
                "options" => entry.options.push(value),
                _ => {}
            }
        }
        (!entry.linux.is_empty()).then_some(entry)
    }

    /// The order of the menu, first entry first ("Sorting" in the
    /// specification).
    pub(super) fn menu_order(&self, other: &Self) -> Ordering {
        self.is_bad
            .cmp(&other.is_bad)
            .then_with(|| self.sort_key.is_none().cmp(&other.sort_key.is_none()))
            .then_with(|| {
                let both = self.sort_key.as_ref().zip(other.sort_key.as_ref());
                both.map_or(Ordering::Equal, |(mine, theirs)| {
                    mine.cmp(theirs)
                        .then_with(|| self.machine_id.cmp(&other.machine_id))
                        .then_with(|| version::compare(&other.version, &self.version))
                })
            })
            .then_with(|| version::compare(&other.id, &self.id))
    }

    /// Whether a `default` pattern, with or without `.conf`, means this entry.
    pub(super) fn is_called(&self, pattern: &str) -> bool {
        glob::matches(pattern, &self.id) || glob::matches(pattern, &format!("{}.conf", self.id))
    }

    /// What to call the entry before a person.
    pub(super) fn display_title(&self) -> &str {
        if self.title.is_empty() { &self.id } else { &self.title }
    }
}

/// The keys and values of an entry or of `loader.conf`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(key, value)| (key, value.trim()))
}

/// Splits `+LEFT` or `+LEFT-DONE` off a name; none left means that it is bad
/// ("Boot counting").
pub(crate) fn boot_counter(stem: &str) -> (&str, bool) {
    let Some((id, counter)) = stem.rsplit_once('+') else { return (stem, false) };
    let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
    match (left.parse::<u32>(), done.parse::<u32>()) {
        (Ok(left), Ok(_)) => (id, left == 0),
        _ => (stem, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stem: &str, more: &str) -> Entry {
        Entry::parse(stem, &format!("linux /k\n{more}")).unwrap()
    }

    #[test]
    fn keys_repeat_where_they_may() {
        let text = "# a comment\ntitle\tDebian  12 \nlinux  /k\ninitrd /a\ninitrd /b\n\
                    options root=/dev/sda1\noptions quiet\nunknown x\nlonely\n";
        let entry = Entry::parse("debian+2-1", text).unwrap();
        assert_eq!(entry.id, "debian");
        assert_eq!(entry.title, "Debian  12");
        assert_eq!(entry.initrds, ["/a", "/b"]);
        assert_eq!(entry.options, ["root=/dev/sda1", "quiet"]);
        assert_eq!(Entry::parse("x", "title no kernel\n"), None);
    }

    #[test]
    fn the_menu_in_order() {
        let expected = [
            entry("a", "sort-key debian\nversion 6.10"),
            entry("b", "sort-key debian\nversion 6.9"),
            entry("c", "sort-key fedora\nversion 7"),
            entry("x-6.1.0-10", ""),
            entry("x-6.1.0-9", ""),
            entry("x-0-rescue", ""),
            entry("z-9+0-3", ""),
        ];
        let mut sorted = expected.to_vec();
        sorted.reverse();
        sorted.sort_by(Entry::menu_order);
        assert_eq!(sorted, expected);
    }

    #[test]
    fn patterns_with_and_without_the_suffix() {
        let entry = entry("debian-6.1+3", "");
        for (pattern, expected) in
            [("debian-6.1", true), ("debian-6.1.conf", true), ("debian-*", true), ("*.2", false)]
        {
            assert_eq!(entry.is_called(pattern), expected, "{pattern}");
        }
    }
}
