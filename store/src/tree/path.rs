//! Paths of a tree: what they may be, and their order.

use alloc::format;
use alloc::string::{String, ToString};
use core::cmp::Ordering;

/// The longest name of a file, bytes: `NAME_MAX` of Linux (limits.h).
pub const NAME_MAX_BYTES: usize = 255;

/// The longest path, bytes: sixteen times what the kernel takes in one call. A tree that is
/// deeper is a loop or a mistake.
pub const PATH_MAX_BYTES: usize = 64 << 10;

/// Compares two paths in the order of trees: component by component, as bytes.
pub fn compare(one: &[u8], other: &[u8]) -> Ordering {
    // `/` sorts before every byte of a name; the rest of the bytes are in their order.
    let key = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    one.iter().map(key).cmp(other.iter().map(key))
}

/// The directory that holds `path`; `None` for the root.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(path.iter().rposition(|byte| *byte == b'/').map_or(&[], |at| &path[..at]))
}

/// The last component of `path`; empty for the root.
pub fn name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(path, |at| &path[at + 1..])
}

/// Says what is wrong with a path that no tree may have: as (expected, found).
pub fn check_path(path: &[u8]) -> Result<(), (&'static str, String)> {
    if path.is_empty() {
        return Ok(());
    }
    if path.len() > PATH_MAX_BYTES {
        return Err(("a path of at most 65536 bytes", format!("{} bytes", path.len())));
    }
    if path.contains(&0) {
        return Err(("a path without zero bytes", path.escape_ascii().to_string()));
    }
    let shown = |name: &[u8]| format!("{:?}", name.escape_ascii().to_string());
    for name in path.split(|byte| *byte == b'/') {
        if matches!(name, b"" | b"." | b"..") {
            return Err(("names other than \"\", \".\" and \"..\"", shown(name)));
        }
        if name.len() > NAME_MAX_BYTES {
            return Err(("names of at most 255 bytes", format!("one of {}", name.len())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn what_is_in_a_directory_follows_it_at_once() {
        let mut paths: Vec<&[u8]> = alloc::vec![b"a.b", b"a/b", b"", b"a", b"a/b/c", b"a-b", b"b"];
        paths.sort_by(|one, other| compare(one, other));
        let expected: [&[u8]; 7] = [b"", b"a", b"a/b", b"a/b/c", b"a-b", b"a.b", b"b"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn parents_and_names() {
        type Row = (&'static [u8], Option<&'static [u8]>, &'static [u8]);
        let table: [Row; 4] = [
            (b"", None, b""),
            (b"a", Some(b""), b"a"),
            (b"a/b", Some(b"a"), b"b"),
            (b"a/b/c.d", Some(b"a/b"), b"c.d"),
        ];
        for (path, expected_parent, expected_name) in table {
            assert_eq!((parent(path), name(path)), (expected_parent, expected_name));
        }
    }

    #[test]
    fn what_climbs_or_is_no_name_is_refused() {
        let long = [b'a'; NAME_MAX_BYTES + 1];
        let bad: [&[u8]; 8] = [b"/a", b"a/", b"a//b", b"..", b"a/../b", b"./a", b"a\0b", &long];
        for path in bad {
            assert!(check_path(path).is_err(), "{}", path.escape_ascii());
        }
        let good: [&[u8]; 5] = [b"", b"a", b"..a/...", b"\xff\n/ ", &long[1..]];
        for path in good {
            assert_eq!(check_path(path), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_lists_of_names(
            one in prop::collection::vec("[a/.\\x01]{1,2}", 0..4),
            other in prop::collection::vec("[a/.\\x01]{1,2}", 0..4),
        ) {
            let path = |names: &[String]| names.join("/").into_bytes();
            let (one, other) = (path(&one), path(&other));
            let list = |path: &[u8]| -> Vec<Vec<u8>> {
                if path.is_empty() { return Vec::new(); }
                path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
            };
            prop_assume!(check_path(&one).is_ok() && check_path(&other).is_ok());
            prop_assert_eq!(compare(&one, &other), list(&one).cmp(&list(&other)));
        }
    }
}
