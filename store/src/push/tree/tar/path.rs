//! Paths of members, as the tree has them.

/// The path in the tree for a path in an archive: without `.` and doubled slashes. `None` if it
/// leads out, being absolute or having `..` in it, unless it is to be taken `relative`: then it
/// starts after that, as tar itself takes it (GNU tar's manual, "Absolute File Names").
pub(super) fn in_tree(path: &[u8], relative: bool) -> Option<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let names: Vec<&[u8]> = names.collect();
    let climb = names.iter().rposition(|name| *name == b"..");
    if !relative && (climb.is_some() || path.first() == Some(&b'/')) {
        return None;
    }
    Some(names[climb.map_or(0, |at| at + 1)..].join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_is_told() {
        for (path, plain, relative) in [
            ("./", Some(""), ""),
            ("./a//b/./c/", Some("a/b/c"), "a/b/c"),
            ("/etc/passwd", None, "etc/passwd"),
            ("a/../../b", None, "b"),
            ("..", None, ""),
            ("..a/b..", Some("..a/b.."), "..a/b.."),
        ] {
            let found = in_tree(path.as_bytes(), false);
            assert_eq!(found.as_deref(), plain.map(str::as_bytes), "{path}");
            assert_eq!(in_tree(path.as_bytes(), true).unwrap(), relative.as_bytes(), "{path}");
        }
    }
}
