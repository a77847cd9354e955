//! Extended headers (POSIX pax), and what the members of a tree need of their records.

use super::acl;
use super::header::{Header, Wrong};
use crate::tree::walk::is_kept;
use crate::tree::{XATTRS_MAX_BYTES, Xattr};

/// Attributes as star and GNU tar write them.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Records by name: of one member, or of all that follow.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Adds the records in the content of an extended header: "LENGTH NAME=VALUE\n", where the
    /// length is that of all of it, in decimal.
    pub(super) fn add(&mut self, mut content: &[u8]) -> Result<(), Wrong> {
        while !content.is_empty() {
            let (record, rest) = split(content).ok_or_else(|| wrong(content))?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or_else(|| wrong(content))?;
            self.0.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            content = rest;
        }
        Ok(())
    }

    /// The value of `name`, the last one given; one that is empty takes back what was said.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let all = self.0.iter().rev();
        let found = all.into_iter().find(|(key, _)| key == name.as_bytes());
        found.map(|(_, value)| &value[..]).filter(|value| !value.is_empty())
    }

    /// All values of a name that starts with `prefix`, in order.
    pub(super) fn starting<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let rest = move |(key, value): &'a (Vec<u8>, Vec<u8>)| {
            key.strip_prefix(prefix).map(|rest| (rest, &value[..]))
        };
        self.0.iter().filter_map(rest)
    }

    /// A number in decimal.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Wrong> {
        let Some(value) = self.get(name) else { return Ok(None) };
        decimal(value).map(Some).ok_or_else(|| number_wrong(name, value))
    }

    /// What these say instead of `header`; the nanoseconds of the modification time.
    pub(super) fn apply(&self, header: &mut Header) -> Result<u32, Wrong> {
        if let Some(path) = self.get("path") {
            header.path = path.to_vec();
        }
        if let Some(target) = self.get("linkpath") {
            header.target = target.to_vec();
        }
        for (name, field) in
            [("size", &mut header.size_bytes), ("uid", &mut header.uid), ("gid", &mut header.gid)]
        {
            *field = self.number(name)?.unwrap_or(*field);
        }
        let Some(mtime) = self.get("mtime") else { return Ok(0) };
        let (seconds, nanoseconds) = time(mtime).ok_or_else(|| number_wrong("mtime", mtime))?;
        header.mtime_s = seconds;
        Ok(nanoseconds)
    }

    /// The attributes that trees keep, in order.
    pub(super) fn xattrs(&self) -> Result<Vec<Xattr>, Wrong> {
        let mut found: Vec<Xattr> = Vec::new();
        for (name, value) in self.starting(XATTR) {
            let name = unescaped(name);
            if is_kept(&name) {
                found.retain(|xattr| xattr.name != name);
                found.push(Xattr { name, value: value.to_vec() });
            }
        }
        for (record, name) in
            [("SCHILY.acl.access", acl::ACCESS), ("SCHILY.acl.default", acl::DEFAULT)]
        {
            // As an attribute it has numbers, which mean the same everywhere.
            let is_there = found.iter().any(|xattr| xattr.name == name);
            let text = self.get(record).filter(|_| !is_there);
            if let Some(value) = text.map(|text| acl::from_text(text, name == acl::ACCESS)) {
                found.extend(value?.map(|value| Xattr { name: name.to_vec(), value }));
            }
        }
        found.sort();
        let bytes: usize = found.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum();
        if bytes > XATTRS_MAX_BYTES {
            let expected = format!("attributes of at most {XATTRS_MAX_BYTES} bytes");
            return Err((expected, bytes.to_string()));
        }
        Ok(found)
    }
}

/// The first record without its length and end, and what follows it.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = content.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&content[..space])?).ok()?;
    if length <= space || length > content.len() {
        return None;
    }
    let (record, rest) = content.split_at(length);
    Some((record[space + 1..].strip_suffix(b"\n")?, rest))
}

fn wrong(content: &[u8]) -> Wrong {
    let found = &content[..content.len().min(40)];
    let expected = "a record \"LENGTH NAME=VALUE\" of an extended header";
    (expected.to_owned(), format!("{:?}", found.escape_ascii().to_string()))
}

fn number_wrong(name: &str, found: &[u8]) -> Wrong {
    (format!("a number as {name}"), format!("{:?}", found.escape_ascii().to_string()))
}

/// A number in decimal digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// Seconds with a fraction, as seconds before it and nanoseconds.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (is_negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    let digits: Vec<u8> = fraction.iter().copied().chain([b'0'; 9]).take(9).collect();
    let nanoseconds = u32::try_from(decimal(&digits)?).ok()?;
    Some(match (is_negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

/// The name of an attribute, where GNU tar writes `=` as `%3D` and `%` as `%25`.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', b'3', b'D' | b'd', after @ ..] => (b'=', after),
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            _ => (*first, after),
        };
        plain.push(byte);
        rest = after;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_they_say() {
        let mut records = Records::default();
        records.add(b"12 path=a=b\n17 linkpath=a\n/b\n10 path=x\n8 size=\n").unwrap();
        assert_eq!(records.get("path"), Some(&b"x"[..]));
        assert_eq!(records.get("linkpath"), Some(&b"a\n/b"[..]));
        assert_eq!((records.get("size"), records.get("uid")), (None, None));
        for bad in [&b"12 path=a"[..], b"x", b"3 a\n", b"99999999999999999999 a=b\n", b"8 path\nx"]
        {
            assert!(Records::default().add(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn times_have_fractions() {
        for (text, expected) in [
            (&b"12"[..], Some((12, 0))),
            (b"12.5", Some((12, 500_000_000))),
            (b"1.0000000019", Some((1, 1))),
            (b"-1", Some((-1, 0))),
            (b"-86400.000000001", Some((-86401, 999_999_999))),
            (b"x", None),
            (b"1.x", None),
            (b"", None),
        ] {
            assert_eq!(time(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn attributes_have_names_with_any_byte() {
        let mut records = Records::default();
        for (name, value) in [("user.a%3Db%25", "1"), ("security.selinux", "no"), ("user.0", "")] {
            let record = format!(" SCHILY.xattr.{name}={value}\n");
            records.add(format!("{}{record}", record.len() + 2).as_bytes()).unwrap();
        }
        let found = records.xattrs().unwrap();
        let xattr = |name: &str, value: &str| Xattr { name: name.into(), value: value.into() };
        assert_eq!(found, [xattr("user.0", ""), xattr("user.a=b%", "1")]);
    }
}
