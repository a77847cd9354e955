//! The inaugurator's command line, made of what we say and of what the operator appends.
//!
//! A line has at most one value of most keys, and init refuses two. So whoever is nearer to the
//! machine decides: its entry before the default, and both before what we say ourselves.

use super::base::BASE_MAX;
use super::files::INITRAMFS;

/// `COMMAND_LINE_SIZE` of x86-64, without the zero that ends it: the kernel cuts a longer one.
const LINE_MAX: usize = 2047;

/// What [`ours`] takes of it at most: its words, the longest URL, and a card's address.
const OURS_MAX: usize = 90 + BASE_MAX;

/// The longest rest: what is to be done, and the operator's words.
pub(super) const WORDS_MAX: usize = LINE_MAX - OURS_MAX;

/// Keys of init that do not begin with [`PREFIX`], of which there can be one.
const FOREIGN: [&str; 3] = ["ip", "proxy", "BOOTIF"];

/// What all other keys of init begin with; those of others are not ours to judge.
const PREFIX: &str = "inaugurator.";

/// Keys of init that may be given several times.
const REPEATED: [&str; 3] = ["inaugurator.keep", "inaugurator.ssh-key", "inaugurator.file"];

/// A word of a command line, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word(String);

impl Word {
    /// The key, where there can be only one value of it.
    pub(super) fn single(&self) -> Option<&str> {
        let typed = self.0.strip_prefix('"').unwrap_or(&self.0);
        let (key, _) = typed.split_once('=')?;
        let is_single = key.starts_with(PREFIX) && !REPEATED.contains(&key);
        (is_single || FOREIGN.contains(&key)).then_some(key)
    }
}

/// Splits `text` as the kernel does (`next_arg` in its lib/cmdline.c): by blanks, except between
/// double quotes. `None` if a quote is open at the end: it would reach over what follows.
pub(super) fn words(text: &str) -> Option<Vec<Word>> {
    let mut in_quote = false;
    let is_gap = |c: char| {
        in_quote ^= c == '"';
        c.is_whitespace() && !in_quote
    };
    let words = text.split(is_gap).filter(|word| !word.is_empty());
    let words = words.map(|word| Word(word.to_owned())).collect();
    (!in_quote).then_some(words)
}

/// `first` and then `nearer`, which replaces what it says too.
pub(super) fn joined(first: &[Word], nearer: &[Word]) -> Vec<Word> {
    let is_said = |word: &&Word| {
        let key = word.single();
        key.is_some() && nearer.iter().any(|other| other.single() == key)
    };
    first.iter().filter(|word| !is_said(word)).chain(nearer).cloned().collect()
}

/// How long `does` and `append` are as a line.
pub(super) fn length(does: &str, append: &[Word]) -> usize {
    append.iter().fold(does.len(), |sum, word| sum + 1 + word.0.len())
}

/// The line of a machine that is to do `does`, which nothing appended can change. `initrd=` is for
/// UEFI, where the kernel looks for it by that name.
pub(super) fn line(store: &str, does: &str, append: &[Word]) -> String {
    let does = Word(does.to_owned());
    let does = [does];
    // What is left of `append` where `does` is nearer, before it.
    let append = joined(append, &does);
    let (_, append) = append.split_last().unwrap_or((&does[0], &[]));
    let all = joined(&ours(store), &[&does, append].concat());
    all.iter().map(|word| word.0.as_str()).collect::<Vec<_>>().join(" ")
}

fn ours(store: &str) -> [Word; 3] {
    [
        format!("initrd={INITRAMFS}"),
        "BOOTIF=01-${netX/mac:hexhyp}".to_owned(),
        format!("inaugurator.store={store}"),
    ]
    .map(Word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Word> {
        words(text).unwrap()
    }

    #[test]
    fn words_are_split_as_the_kernel_does() {
        let typed = |text| split(text).into_iter().map(|word| word.0).collect::<Vec<_>>();
        assert_eq!(typed(" a  b=1 "), ["a", "b=1"]);
        assert_eq!(typed(r#"a="b  c" "d=e f""#), [r#"a="b  c""#, r#""d=e f""#]);
        assert_eq!(words(r#"a="b c"#), None);
    }

    #[test]
    fn what_is_nearer_replaces_a_key_that_has_one_value() {
        for (first, nearer, expected) in [
            ("quiet inaugurator.disk=a", "inaugurator.disk=b", "quiet inaugurator.disk=b"),
            ("console=tty0", "console=ttyS0", "console=tty0 console=ttyS0"),
            (
                "inaugurator.keep=/a",
                "inaugurator.keep=/b",
                "inaugurator.keep=/a inaugurator.keep=/b",
            ),
            ("\"inaugurator.append=a b\"", "inaugurator.append=c", "inaugurator.append=c"),
            ("ip=dhcp nameserver=1.1.1.1", "ip=off", "nameserver=1.1.1.1 ip=off"),
        ] {
            assert_eq!(joined(&split(first), &split(nearer)), split(expected), "{first} {nearer}");
        }
    }

    #[test]
    fn the_line_has_one_store_and_does_what_it_should() {
        let of = |append| line("http://d/store/", "inaugurator.mode=recovery", &split(append));
        let begins = "initrd=initramfs.img BOOTIF=01-${netX/mac:hexhyp} ";
        let store = "inaugurator.store=http://d/store/ inaugurator.mode=recovery";
        assert_eq!(of("quiet"), format!("{begins}{store} quiet"));
        let other = "inaugurator.store=/srv inaugurator.mode=plan BOOTIF=01-a";
        let expected =
            "initrd=initramfs.img inaugurator.mode=recovery inaugurator.store=/srv BOOTIF=01-a";
        assert_eq!(of(other), expected);
    }

    #[test]
    fn the_longest_line_is_not_cut() {
        let base = "b".repeat(BASE_MAX);
        let card = "52-54-00-00-00-01";
        let (does, word) = ("d", Word("w".repeat(WORDS_MAX - 2)));
        assert_eq!(length(does, std::slice::from_ref(&word)), WORDS_MAX);
        let line = line(&format!("{base}/store/"), does, &[word]);
        let line = line.replace("${netX/mac:hexhyp}", card);
        assert!((LINE_MAX - 20..=LINE_MAX).contains(&line.len()), "{}", line.len());
    }

    /// What init takes several times is said in its one table.
    #[test]
    fn keys_are_those_of_init() {
        let keys = include_str!("../../../../init/src/config/keys.rs");
        let mut found = Vec::new();
        for key in keys.split("name: \"").skip(1) {
            let name = key.split('"').next().unwrap();
            let word = Word(format!("{name}=x"));
            assert_eq!(word.single().is_none(), key.contains("repeats: true"), "{name}");
            found.push(name);
        }
        assert!(REPEATED.iter().chain(&FOREIGN).all(|key| found.contains(key)), "{found:?}");
    }
}
