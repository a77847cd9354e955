//! A file that the operator gives the machine, as it is said: `PATH=URL|PATH[,mode=...][,blake3=...]`.

use deploy::install::{meet, parse_file_path};
use store::Digest;

/// So many files, and no more: with their addresses they fill the longest command line there is.
const FILES_MAX: usize = 32;

/// Permission bits of a file of which none are said.
const MODE: u16 = 0o644;

/// With setuid, setgid and sticky.
const MODE_MAX: u16 = 0o7777;

/// A file of the machine's own, not fetched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// Its path in the root, without a `/` at its start.
    pub path: Vec<u8>,
    /// Where its content is: a URL, or an absolute path of the initramfs.
    pub from: String,
    /// Its permission bits.
    pub mode: u16,
    /// What its content has to be, where that is said.
    pub digest: Option<Digest>,
}

/// Adds what `value` says to `files`, or says what would be right. `address` checks a URL or a path.
pub(super) fn add(
    files: &mut Vec<FileRequest>,
    value: &str,
    address: impl Fn(&str) -> Result<String, String>,
) -> Result<(), String> {
    let file = parse(value, address)?;
    // A boot loader and a PXE ROM may both say the same.
    if files.contains(&file) {
        return Ok(());
    }
    if files.len() == FILES_MAX {
        return Err(format!("at most {FILES_MAX} files"));
    }
    if let Some(other) = files.iter().find(|other| meet(&other.path, &file.path)) {
        return Err(format!("another path: there is already /{}", other.path.escape_ascii()));
    }
    files.push(file);
    Ok(())
}

fn parse(
    value: &str,
    address: impl Fn(&str) -> Result<String, String>,
) -> Result<FileRequest, String> {
    let form = || "PATH=URL|PATH[,mode=OCTAL][,blake3=HEX]".to_string();
    let (path, mut rest) = value.split_once('=').ok_or_else(form)?;
    let path = parse_file_path(path)?;
    let (mut mode, mut digest) = (None, None);
    // From the end: addresses may have commas.
    while let Some((before, last)) = rest.rsplit_once(',') {
        let is_first = match last.split_once('=') {
            Some(("mode", text)) => mode.replace(octal(text)?).is_none(),
            Some(("blake3", text)) => digest.replace(blake3(text)?).is_none(),
            _ => break,
        };
        if !is_first {
            return Err(form());
        }
        rest = before;
    }
    let from = address(rest)?;
    if rest.ends_with('/') || rest.splitn(4, '/').count() < 4 && !rest.starts_with('/') {
        return Err(format!("the address of a file instead of {rest:?}"));
    }
    Ok(FileRequest { path, from, mode: mode.unwrap_or(MODE), digest })
}

fn octal(text: &str) -> Result<u16, String> {
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u16::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= MODE_MAX);
    mode.ok_or_else(|| format!("mode= with octal digits up to {MODE_MAX:o} instead of {text:?}"))
}

fn blake3(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|error| format!("blake3= with a digest ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    fn add_all(values: &[&str]) -> Result<Vec<FileRequest>, String> {
        let mut files = Vec::new();
        values.iter().try_for_each(|value| add(&mut files, value, |from| Ok(from.to_string())))?;
        Ok(files)
    }

    #[test]
    fn files_are_said_with_mode_and_digest() {
        let file = |from: &str, mode, digest| {
            let (path, from) = (b"etc/motd".to_vec(), from.to_string());
            FileRequest { path, from, mode, digest }
        };
        let empty = Some(Digest::of(b""));
        let table = [
            ("etc/motd=/motd", file("/motd", 0o644, None)),
            ("/etc/motd=http://h/m,mode=600", file("http://h/m", 0o600, None)),
            ("/etc/motd=http://h/a,b=c", file("http://h/a,b=c", 0o644, None)),
            (
                &format!("/etc/motd=http://h/a,b,blake3={HEX},mode=4755"),
                file("http://h/a,b", 0o4755, empty),
            ),
        ];
        for (value, expected) in table {
            assert_eq!(add_all(&[value]), Ok(vec![expected]), "{value}");
        }
    }

    #[test]
    fn what_is_no_file_is_said() {
        let form = "PATH=URL|PATH[,mode=OCTAL][,blake3=HEX]";
        let table: [(&str, &str); 11] = [
            ("/etc/motd", form),
            ("/a=/b,mode=1,mode=1", form),
            ("/a=/b,mode=8", "mode= with octal digits up to 7777 instead of \"8\""),
            ("/a=/b,mode=+7", "mode= with octal digits up to 7777 instead of \"+7\""),
            ("/a=/b,mode=", "mode= with octal digits up to 7777 instead of \"\""),
            ("/a=/b,mode=10000", "mode= with octal digits up to 7777 instead of \"10000\""),
            (
                "/a=/b,blake3=AB",
                "blake3= with a digest (not a digest: \"AB\": expected 64 lower-case hex digits)",
            ),
            ("/a=http://h/", "the address of a file instead of \"http://h/\""),
            ("/a=http://h", "the address of a file instead of \"http://h\""),
            ("/a=/", "the address of a file instead of \"/\""),
            (
                "/etc/fstab=/b",
                "another path than \"/etc/fstab\": /etc/fstab names this disk's partitions",
            ),
        ];
        for (value, expected) in table {
            assert_eq!(add_all(&[value]), Err(expected.to_string()), "{value}");
        }
    }

    #[test]
    fn files_do_not_get_into_each_others_way() {
        assert_eq!(add_all(&["/a=/b", "a=/b", "/c=/b"]).unwrap().len(), 2);
        for second in ["/a=/c", "/a/b=/c"] {
            let refused = add_all(&["/a=/b", second]).unwrap_err();
            assert_eq!(refused, "another path: there is already /a", "{second}");
        }
        let all: Vec<String> = (0..=FILES_MAX).map(|number| format!("/{number}=/b")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(add_all(&all[1..]).unwrap().len(), FILES_MAX);
        assert_eq!(add_all(&all).unwrap_err(), "at most 32 files");
    }
}
