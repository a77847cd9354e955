//! `if`, as far as it compares texts.

/// One `if` with its branches so far. `None` stands for "cannot be known
/// without the machine": such branches all count.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Branches {
    /// Whether an earlier branch was taken for certain.
    is_decided: bool,
    /// Whether every earlier branch was not taken for certain.
    is_open: bool,
    current: Option<bool>,
}

impl Branches {
    /// `if condition`.
    pub(super) fn start(condition: Option<bool>) -> Self {
        Self { is_decided: false, is_open: true, current: Some(false) }.next(condition)
    }

    /// `elif condition`, or `else` with `Some(true)`.
    pub(super) fn next(self, condition: Option<bool>) -> Self {
        let is_decided = self.is_decided || (self.is_open && self.current == Some(true));
        let is_open = self.is_open && self.current == Some(false);
        let current = match condition {
            _ if is_decided => Some(false),
            Some(true) if !is_open => None,
            condition => condition,
        };
        Self { is_decided, is_open, current }
    }

    /// Whether the branch's commands count.
    pub(super) fn is_active(self) -> bool {
        self.current != Some(false)
    }
}

/// Decides the words after `if`: `[ -z A ]`, `[ -n A ]`, `[ A ]`, `[ A = B ]`,
/// `[ A != B ]`, each after `!` too.
pub(super) fn decide(words: &[String]) -> Option<bool> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (["[", tested @ .., "]"] | ["test", tested @ ..]) = words.as_slice() else { return None };
    match tested {
        ["!", negated @ ..] => test(negated).map(|holds| !holds),
        _ => test(tested),
    }
}

fn test(words: &[&str]) -> Option<bool> {
    match words {
        [] => Some(false),
        [text] | ["-n", text] => Some(!text.is_empty()),
        ["-z", text] => Some(text.is_empty()),
        [a, "=" | "==", b] => Some(a == b),
        [a, "!=", b] => Some(a != b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        for (text, expected) in [
            ("[ xa = xa ]", Some(true)),
            ("[ xa != xa ]", Some(false)),
            ("[ ! -z a ]", Some(true)),
            ("[ a ]", Some(true)),
            ("[ ]", Some(false)),
            ("[ -s /boot/grub/grubenv ]", None),
            ("loadfont unicode", None),
        ] {
            let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            assert_eq!(decide(&words), expected, "{text}");
        }
    }

    #[test]
    fn branches() {
        let (yes, no, unknown) = (Some(true), Some(false), None);
        for (conditions, expected) in [
            ([yes, yes, yes], [true, false, false]),
            ([no, yes, yes], [false, true, false]),
            ([no, no, yes], [false, false, true]),
            ([unknown, no, yes], [true, false, true]),
            ([unknown, yes, yes], [true, true, true]),
            ([no, unknown, yes], [false, true, true]),
        ] {
            let first = Branches::start(conditions[0]);
            let second = first.next(conditions[1]);
            let third = second.next(conditions[2]);
            let found = [first, second, third].map(Branches::is_active);
            assert_eq!(found, expected, "{conditions:?}");
        }
    }
}
