//! A directory as a tree that boot facts are looked for in.

use bootfacts::{Tree, TreeEntry};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The directory. Nothing is followed out of it, whatever stands there: each name of a path is
/// opened in the directory before it, and never a symbolic link.
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The tree below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// What holds `path`, and its name there: `.` for the root.
    fn holder<'a>(&self, path: &'a str) -> Result<(OwnedFd, &'a str), Errno> {
        const HELD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        let mut directory = openat(CWD, &self.root, HELD, Mode::empty())?;
        let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
        let mut last = ".";
        while let Some(name) = names.next() {
            if matches!(name, "." | "..") {
                return Err(Errno::INVAL);
            }
            if names.peek().is_none() {
                last = name;
                break;
            }
            directory = openat(&directory, name, HELD | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok((directory, last))
    }

    /// The link `name` of `directory`. One that is no text is none that a configuration names.
    fn link(directory: &OwnedFd, name: &str) -> Result<TreeEntry, Errno> {
        let target = readlinkat(directory, name, Vec::new())?.into_string();
        Ok(target.map_or(TreeEntry::Other, |target| TreeEntry::Symlink { target }))
    }
}

impl Tree for Directory {
    fn look(&self, path: &str) -> io::Result<Option<TreeEntry>> {
        let found = self.holder(path).and_then(|(directory, name)| {
            let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => TreeEntry::Directory,
                FileType::RegularFile => {
                    TreeEntry::File { size_bytes: u64::try_from(stat.st_size).unwrap_or_default() }
                }
                FileType::Symlink => Self::link(&directory, name)?,
                _ => TreeEntry::Other,
            })
        });
        match found {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let (directory, name) = self.holder(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entries = Dir::new(openat(&directory, name, flags, Mode::empty())?)?;
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry?.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        let (directory, name) = self.holder(path)?;
        // Without waiting, should there be a named pipe by now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(Box::new(File::from(openat(&directory, name, flags, Mode::empty())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootfacts::examine_tree;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;
    use std::rc::Rc;

    fn examine(root: &Path) -> Option<(String, String)> {
        let tree: Rc<dyn Tree> = Rc::new(Directory::new(root));
        let facts = examine_tree(&tree).facts?;
        let mut bytes = String::new();
        tree.open(&facts.kernel.path).unwrap().read_to_string(&mut bytes).unwrap();
        Some((facts.kernel.path, bytes))
    }

    #[test]
    fn nothing_outside_of_the_tree_is_read() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("tree"), place.path().join("outside"));
        create_dir_all(outside.join("efi/loader/entries")).unwrap();
        create_dir_all(&root).unwrap();
        write(outside.join("efi/vmlinuz"), "secret").unwrap();
        let entry = "title X\nlinux /vmlinuz\n";
        write(outside.join("efi/loader/entries/x.conf"), entry).unwrap();
        for target in [outside.clone(), "../outside".into()] {
            symlink(&target, root.join("boot")).unwrap();
            assert_eq!(examine(&root), None, "{}", target.display());
            let tree = Directory::new(&root);
            assert_eq!(tree.look("/boot/efi").unwrap(), None);
            assert!(tree.names("/boot/efi").is_err());
            assert!(tree.names("/boot").is_err());
            assert!(tree.open("/boot/efi/vmlinuz").is_err());
            std::fs::remove_file(root.join("boot")).unwrap();
        }
        assert!(Directory::new(&root).look("/../outside").is_err());
        // What is meant there is in the tree.
        create_dir_all(root.join("outside/efi/loader/entries")).unwrap();
        write(root.join("outside/efi/vmlinuz"), "own").unwrap();
        write(root.join("outside/efi/loader/entries/x.conf"), entry).unwrap();
        symlink("../outside", root.join("boot")).unwrap();
        let own = ("/outside/efi/vmlinuz".to_owned(), "own".to_owned());
        assert_eq!(examine(&root), Some(own));
    }

    #[test]
    fn what_is_there_is_told() {
        let root = tempfile::tempdir().unwrap();
        create_dir_all(root.path().join("a/b")).unwrap();
        write(root.path().join("a/c"), "four").unwrap();
        symlink("c", root.path().join("a/d")).unwrap();
        let tree = Directory::new(root.path());
        let table = [
            ("/", Some(TreeEntry::Directory)),
            ("/a/b", Some(TreeEntry::Directory)),
            ("/a/c", Some(TreeEntry::File { size_bytes: 4 })),
            ("/a/d", Some(TreeEntry::Symlink { target: "c".into() })),
            ("/a/c/e", None),
            ("/f", None),
        ];
        for (path, expected) in table {
            assert_eq!(tree.look(path).unwrap(), expected, "{path}");
        }
        let mut names = tree.names("/a").unwrap();
        names.sort();
        assert_eq!(names, ["b", "c", "d"]);
        assert_eq!(tree.names("/").unwrap(), ["a"]);
    }
}
