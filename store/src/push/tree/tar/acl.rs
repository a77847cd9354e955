//! Access control lists: from text, as tar has them, to bytes, as Linux has them.

use super::header::Wrong;
use super::pax::decimal;

/// The attribute of a file's list.
pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";

/// The attribute of what a directory gives to what is made in it.
pub(super) const DEFAULT: &[u8] = b"system.posix_acl_default";

/// `POSIX_ACL_XATTR_VERSION` of `<linux/posix_acl_xattr.h>`.
const VERSION: u32 = 2;

/// `ACL_UNDEFINED_ID`: the entry is of no certain user or group.
const NO_ID: u32 = u32::MAX;

/// Entries of a list that says no more than a file's mode does.
const ENTRIES_OF_MODE: usize = 3;

/// What stands for names of users, which GNU tar writes.
const NUMBERS: &str = "numbers of users (tar --xattrs --xattrs-include='*' writes them too)";

/// An entry in the order that lists have: by tag, then by user or group.
type Entry = (u16, u32, u16);

/// The attribute's value for a list as acl(5) writes it, entries apart by commas or lines. `None`
/// for an access list that says no more than the mode does: the kernel keeps none either.
pub(super) fn from_text(text: &[u8], is_access: bool) -> Result<Option<Vec<u8>>, Wrong> {
    let mut entries = Vec::new();
    for line in text.split(|byte| matches!(byte, b',' | b'\n')) {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if !line.is_empty() {
            entries.push(entry(line)?);
        }
    }
    entries.sort_unstable();
    if entries.is_empty() || is_access && entries.len() == ENTRIES_OF_MODE {
        return Ok(None);
    }
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    Ok(Some(value))
}

/// `TAG:WHO:rwx`, and in star's archives `:ID` behind it.
fn entry(line: &[u8]) -> Result<Entry, Wrong> {
    let shown = || format!("{:?}", line.escape_ascii().to_string());
    let wrong = |expected: &str| (format!("{expected} in an access control list"), shown());
    let line = line.strip_prefix(b"default:").unwrap_or(line);
    let mut fields = line.split(|byte| *byte == b':');
    let tag = fields.next().unwrap_or_default();
    let (second, third) = (fields.next().unwrap_or_default(), fields.next());
    // Short forms leave out the empty field: "mask:r--".
    let (who, permissions) = third.map_or((&b""[..], second), |third| (second, third));
    let permissions = permissions_of(permissions).ok_or_else(|| wrong("permissions like r-x"))?;
    let is_someone = !who.is_empty();
    let tag = match (tag, is_someone) {
        (b"user" | b"u", false) => 1,
        (b"user" | b"u", true) => 2,
        (b"group" | b"g", false) => 4,
        (b"group" | b"g", true) => 8,
        (b"mask" | b"m", _) => 16,
        (b"other" | b"o", _) => 32,
        _ => return Err(wrong("user, group, mask or other")),
    };
    if !is_someone {
        return Ok((tag, NO_ID, permissions));
    }
    // Who a name is depends on the machine.
    let id = fields.next().and_then(decimal).or_else(|| decimal(who));
    let id = id.and_then(|id| u32::try_from(id).ok());
    Ok((tag, id.ok_or_else(|| wrong(NUMBERS))?, permissions))
}

fn permissions_of(text: &[u8]) -> Option<u16> {
    let bit = |letter: &u8| match letter {
        b'r' => Some(4),
        b'w' => Some(2),
        b'x' => Some(1),
        b'-' => Some(0),
        _ => None,
    };
    if text.is_empty() { None } else { text.iter().map(bit).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_every_form() {
        let full = "user::rw-\nuser:1000:r--\ngroup::r--\nmask::r--\nother::---\n";
        let short = "other::---,mask:r--,group::r-- #effective:r--,u:1000:r--,user::rw-";
        let star = "user::rw-,user:lisa:r--:1000,group::r--,mask::r--,other::---";
        let expected: Vec<u8> = [
            &[2, 0, 0, 0][..],
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 4, 0, 232, 3, 0, 0],
            &[4, 0, 4, 0, 255, 255, 255, 255],
            &[16, 0, 4, 0, 255, 255, 255, 255],
            &[32, 0, 0, 0, 255, 255, 255, 255],
        ]
        .concat();
        for text in [full, short, star] {
            assert_eq!(from_text(text.as_bytes(), true), Ok(Some(expected.clone())), "{text}");
        }
        let mode = b"user::rw-,group::r--,other::---";
        assert_eq!(from_text(mode, true), Ok(None));
        assert!(from_text(mode, false).unwrap().is_some());
    }

    #[test]
    fn names_of_users_mean_nothing_elsewhere() {
        let (expected, found) = from_text(b"user:lisa:rw-", true).unwrap_err();
        assert_eq!(expected, format!("{NUMBERS} in an access control list"));
        assert_eq!(found, "\"user:lisa:rw-\"");
        for bad in ["user::q", "nobody::r--", "user:99999999999:r--"] {
            assert!(from_text(bad.as_bytes(), true).is_err(), "{bad}");
        }
    }
}
