//! GRUB's variables, and its environment block (`grubenv`).

use std::collections::BTreeMap;

/// First line of an environment block (GRUB's manual, "The GRUB environment
/// block").
const SIGNATURE: &str = "# GRUB Environment Block";
/// A variable longer than this is dropped: the whole block has 1024 bytes, and
/// `set a=$a$a` in a loop of lines must not fill the memory.
const MAX_VALUE_BYTES: usize = 16 * 1024;
/// Configurations set some dozen.
const MAX_VARIABLES: usize = 1024;
/// What every GRUB that is met today can do; generated files ask for these
/// before they use `--id` or `search --hint`.
const FEATURES: [&str; 3] =
    ["feature_menuentry_id", "feature_platform_search_hint", "feature_timeout_style"];

/// The variables of one GRUB.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of a saved block; only GRUB's own if `text` is none.
    pub(crate) fn saved(text: &str) -> Self {
        let mut environment = Self::default();
        for name in FEATURES {
            environment.set(name, "y");
        }
        if !text.starts_with(SIGNATURE) {
            return environment;
        }
        for (name, value) in text.lines().skip(1).filter_map(|line| line.split_once('=')) {
            environment.set(name, &unescape(value));
        }
        environment
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let has_room = self.0.len() < MAX_VARIABLES || self.0.contains_key(name);
        if has_room && value.len() <= MAX_VALUE_BYTES {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variable's value, if it is set to anything.
    pub(crate) fn non_empty(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }
}

/// Backslashes keep a byte from meaning something in the block.
fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// Splits a variable's name off what follows a dollar sign: `{name}` or
/// `name`. `None` if it is not a variable.
pub(super) fn variable(rest: &str) -> Option<(&str, &str)> {
    if let Some(braced) = rest.strip_prefix('{') {
        return braced.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    // `$1`, `$?` and the like only mean something inside functions.
    let starts_well = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts_well && end > 0).then(|| rest.split_at(end))
}

/// `text` with the variables of the first environment that has them. Names
/// that none has go to `unresolved` and leave nothing in the text.
pub(crate) fn expand(
    text: &str,
    environments: &[Environment],
    unresolved: &mut Vec<String>,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let Some((name, after)) = variable(after) else {
            out.push('$');
            rest = after;
            continue;
        };
        match environments.iter().find_map(|environment| environment.get(name)) {
            Some(value) if out.len() <= MAX_VALUE_BYTES => out.push_str(value),
            Some(_) => {}
            None => unresolved.push(name.to_owned()),
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_as_grub_editenv_writes_it() {
        let text = "# GRUB Environment Block\n# WARNING: Do not edit\nsaved_entry=abc-6.5\n\
                    kernelopts=root=UUID=1 ro \nodd=a\\\\b\n######";
        let environment = Environment::saved(text);
        assert_eq!(environment.get("saved_entry"), Some("abc-6.5"));
        assert_eq!(environment.get("kernelopts"), Some("root=UUID=1 ro "));
        assert_eq!(environment.get("odd"), Some("a\\b"));
        assert_eq!(Environment::saved("saved_entry=1").get("saved_entry"), None);
    }

    #[test]
    fn variables_in_text() {
        let environment = Environment::saved("# GRUB Environment Block\na=1\nb_2=two\n");
        for (text, expected, missing) in [
            ("plain", "plain", vec![]),
            ("$a-${b_2}x$b_2", "1-twoxtwo", vec![]),
            ("x $none y ${nor this} $", "x  y  $", vec!["none", "nor this"]),
            ("$1 ${unclosed", "$1 ${unclosed", vec![]),
        ] {
            let mut unresolved = Vec::new();
            let environments = std::slice::from_ref(&environment);
            assert_eq!(expand(text, environments, &mut unresolved), expected);
            assert_eq!(unresolved, missing, "{text}");
        }
    }
}
