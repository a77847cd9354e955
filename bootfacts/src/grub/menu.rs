//! The menu that a configuration makes, and which of its items is meant.

/// A `menuentry` or a `submenu`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) title: String,
    pub(super) id: Option<String>,
    /// The submenu that it is in, by its place in the list.
    pub(super) parent: Option<usize>,
    pub(super) is_submenu: bool,
    /// The words after `linux`: the kernel and its command line.
    pub(super) linux: Vec<String>,
    /// The words after `initrd`.
    pub(super) initrds: Vec<String>,
    /// The UUID that it searches its `$root` by.
    pub(super) search_uuid: Option<String>,
    /// Variables in its lines that are not set.
    pub(super) unresolved: Vec<String>,
}

impl Item {
    pub(super) fn kernel(&self) -> Option<&str> {
        self.linux.first().map(String::as_str)
    }

    /// The words after the kernel, those with spaces in quotes, as GRUB's
    /// loader hands them to the kernel.
    pub(super) fn cmdline(&self) -> String {
        let words = self
            .linux
            .iter()
            .skip(1)
            .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { word.clone() });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// The item that `default` means: a number, a title or an id, with `>` into
/// submenus. A submenu means its first item, as it does when the timeout ends.
pub(super) fn select<'a>(items: &'a [Item], default: &str) -> Option<&'a Item> {
    let mut parent = None;
    for part in default.split('>') {
        parent = Some(child(items, parent, part)?);
    }
    // Each step goes further into a list that only points backwards.
    while let Some(index) = parent {
        let item = items.get(index)?;
        if !item.is_submenu {
            return item.kernel().map(|_| item);
        }
        parent = Some(child(items, Some(index), "0")?);
    }
    None
}

fn child(items: &[Item], parent: Option<usize>, name: &str) -> Option<usize> {
    let mut children = items.iter().enumerate().filter(|(_, item)| item.parent == parent);
    if let Ok(number) = name.parse::<usize>() {
        return children.nth(number).map(|(index, _)| index);
    }
    let is_called =
        |item: &Item| item.title == name || item.id.as_deref().is_some_and(|id| id == name);
    children.find(|(_, item)| is_called(item)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let item = |title: &str, parent, is_submenu| Item {
            title: title.to_owned(),
            id: Some(format!("id-{title}")),
            parent,
            is_submenu,
            linux: if is_submenu { vec![] } else { vec!["/k".to_owned()] },
            ..Item::default()
        };
        let items = [
            item("a", None, false),
            item("more", None, true),
            item("b", Some(1), false),
            item("c", Some(1), false),
            item("empty", None, true),
        ];
        for (default, expected) in [
            ("0", Some("a")),
            ("1", Some("b")),
            ("1>1", Some("c")),
            ("more>c", Some("c")),
            ("id-more>id-b", Some("b")),
            ("2", None),
            ("7", None),
            ("1>9", None),
            ("a>0", None),
        ] {
            let found = select(&items, default).map(|item| item.title.as_str());
            assert_eq!(found, expected, "{default}");
        }
    }
}
