//! What machines boot from a medium, and what they are told.

use crate::MediaError;
use deploy::disks::STORE_LABEL;
use std::fmt::Write;
use store::Digest;

/// The kernel, and what it is told.
#[derive(Debug, Clone)]
pub struct Boot {
    /// A bzImage.
    pub kernel: Vec<u8>,
    /// An initramfs with our PID 1.
    pub initramfs: Vec<u8>,
    /// Both with the command line as one executable for EFI firmware.
    pub uki: Vec<u8>,
    /// The kernel's command line.
    pub cmdline: String,
    /// What the operator told of it.
    pub told: Told,
}

/// What an operator told of a medium beside its labels; it is kept on a stick, so that a refresh
/// need not be told again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What is deployed without asking, as `inaugurator.label` has it; none if that is for the
    /// labels to say.
    pub default: Option<String>,
    /// Stores after the medium.
    pub chain: Vec<String>,
    /// Words for the command line.
    pub append: String,
}

/// The file on a stick, beside the store, that says what was told.
pub(crate) const TOLD: &str = "told";

/// The most of it that is read, bytes: more than a kernel's command line can have.
pub(crate) const TOLD_MAX_BYTES: u64 = 16 << 10;

impl Told {
    /// One line for each.
    pub(crate) fn encode(&self) -> String {
        let line = |text: &str| text.replace('\n', " ");
        format!(
            "default {}\nstore-chain {}\nappend {}\n",
            line(self.default.as_deref().unwrap_or_default()),
            line(&self.chain.join(",")),
            line(&self.append)
        )
    }

    /// What [`Told::encode`] wrote; lines of no meaning are passed over.
    pub(crate) fn decode(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("default", label)) if !label.is_empty() => {
                    told.default = Some(label.to_owned());
                }
                Some(("store-chain", chain)) if !chain.is_empty() => {
                    told.chain = chain.split(',').map(str::to_owned).collect();
                }
                Some(("append", words)) => words.clone_into(&mut told.append),
                _ => {}
            }
        }
        told
    }
}

/// The word of `inaugurator.store` for the medium itself.
pub const STORE_WORD: &str = "medium";

/// The command line of a medium: `label` is deployed, or with none a person is asked; `chain` are
/// stores after the medium, `append` words of the operator, which come in place of ours of the same
/// key.
pub fn command_line(label: Option<&str>, chain: &[String], append: &str) -> String {
    let mut stores = vec![STORE_WORD.to_owned()];
    stores.extend(chain.iter().cloned());
    let what = match label {
        Some(label) => format!("inaugurator.label={label}"),
        None => "inaugurator.mode=recovery".to_owned(),
    };
    let consoles = ["console=tty0".to_owned(), "console=ttyS0,115200".to_owned()];
    let ours = [format!("inaugurator.store={}", stores.join(",")), what];
    let theirs = words(append);
    let key = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    let is_said = |word: &String| theirs.iter().any(|their| key(their) == key(word));
    let mut all: Vec<String> =
        consoles.into_iter().chain(ours).filter(|word| !is_said(word)).collect();
    all.extend(theirs.iter().map(|word| of_kernel(word)));
    all.join(" ")
}

impl Boot {
    /// The files that GRUB reads, with their paths, on whatever medium.
    pub(crate) fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, MediaError> {
        Ok(vec![
            (KERNEL, self.kernel.clone()),
            (INITRAMFS, self.initramfs.clone()),
            (GRUB_CONFIG, self.grub_config()?.into_bytes()),
        ])
    }

    /// What tells these files from others.
    pub(crate) fn digest(&self) -> Digest {
        let parts = [&self.kernel[..], &self.initramfs, &self.uki, self.cmdline.as_bytes()];
        let text: String = parts.iter().fold(String::new(), |mut text, part| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", Digest::of(part));
            text
        });
        Digest::of(text.as_bytes())
    }

    fn grub_config(&self) -> Result<String, MediaError> {
        let words: Vec<String> =
            words(&self.cmdline).iter().map(|word| quoted(word)).collect::<Result<_, _>>()?;
        let words = words.join(" ");
        Ok(format!(
            "# A medium of the inaugurator ({STORE_LABEL}); inaug media --refresh makes it again.\n\
             if serial --unit=0 --speed=115200; then\n    terminal_input console serial\n    \
             terminal_output console serial\nfi\nset timeout=0\nset default=0\nmenuentry \
             Inaugurator {{\n    linux /{KERNEL} {words}\n    initrd /{INITRAMFS}\n}}\n"
        ))
    }
}

pub(crate) const KERNEL: &str = "inaug/linux";
pub(crate) const INITRAMFS: &str = "inaug/initrd";
pub(crate) const GRUB_CONFIG: &str = "boot/grub/grub.cfg";
/// Where firmware looks on a medium (UEFI 2.10, 3.5.1.1).
pub(crate) const UKI: &str = "EFI/BOOT/BOOTX64.EFI";

/// Words as the kernel splits them: by blanks, except between double quotes, which go.
fn words(line: &str) -> Vec<String> {
    let mut in_quote = false;
    let is_gap = |c: char| {
        in_quote ^= c == '"';
        c.is_whitespace() && !in_quote
    };
    let words = line.split(is_gap).filter(|word| !word.is_empty());
    words.map(|word| word.replace('"', "")).collect()
}

/// A word as the kernel takes it.
fn of_kernel(word: &str) -> String {
    if word.contains(char::is_whitespace) { format!("\"{word}\"") } else { word.to_owned() }
}

/// A word as GRUB's shell takes it. GRUB puts double quotes around one with blanks, and backslashes
/// before quotes, which the kernel does not know.
fn quoted(word: &str) -> Result<String, MediaError> {
    match word.chars().find(|c| !matches!(c, ' '..='~') || matches!(c, '\'' | '\\')) {
        Some(found) => Err(MediaError::CommandLine { word: word.to_owned(), found }),
        None => Ok(format!("'{word}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_says_what_it_is_and_the_operator_has_the_last_word() {
        let far = ["http://depot/".to_owned()];
        let table: [(Option<&str>, &[String], &str, &str); 5] = [
            (
                Some("debian/12"),
                &[],
                "",
                "console=tty0 console=ttyS0,115200 inaugurator.store=medium \
                 inaugurator.label=debian/12",
            ),
            (
                None,
                &far,
                "quiet",
                "console=tty0 console=ttyS0,115200 inaugurator.store=medium,http://depot/ \
                 inaugurator.mode=recovery quiet",
            ),
            (
                Some("a"),
                &[],
                "console=ttyS1 inaugurator.append=\"x y\"",
                "inaugurator.store=medium inaugurator.label=a console=ttyS1 \
                 \"inaugurator.append=x y\"",
            ),
            (
                Some("a"),
                &[],
                "inaugurator.store=http://x",
                "console=tty0 console=ttyS0,115200 inaugurator.label=a inaugurator.store=http://x",
            ),
            (
                Some("a"),
                &[],
                "inaugurator.label=b",
                "console=tty0 console=ttyS0,115200 inaugurator.store=medium inaugurator.label=b",
            ),
        ];
        for (label, chain, append, expected) in table {
            assert_eq!(command_line(label, chain, append), expected);
        }
    }

    #[test]
    fn what_was_told_is_read_as_it_was_written() {
        let full = Told {
            default: Some("a+b".to_owned()),
            chain: vec!["http://a/".to_owned(), "http://b/".to_owned()],
            append: "quiet \"a=x y\"".to_owned(),
        };
        for told in [Told::default(), full] {
            assert_eq!(Told::decode(&told.encode()), told);
        }
        assert_eq!(Told::decode("later 1\n\ndefault"), Told::default());
    }

    #[test]
    fn grub_hands_every_word_on_as_it_is() {
        let of = |cmdline: &str| Boot {
            kernel: vec![],
            initramfs: vec![],
            uki: vec![],
            cmdline: cmdline.to_owned(),
            told: Told::default(),
        };
        let text = of("inaugurator.disk=size>=100G \"a=x y\"").grub_config().unwrap();
        assert!(text.contains("linux /inaug/linux 'inaugurator.disk=size>=100G' 'a=x y'\n"));
        for cmdline in ["a=it's", "a=\\x", "a=\u{fc}"] {
            assert!(of(cmdline).grub_config().is_err());
        }
    }
}
