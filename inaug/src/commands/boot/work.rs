//! The directory for a machine's own files.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Whoever prepares a machine may still be making files when this is given up: what came while it
/// was removed is removed again, so often at most.
const REMOVALS: usize = 5;

/// Gone with everything in it when dropped.
pub(super) struct Work(PathBuf);

impl Work {
    pub(super) fn new() -> anyhow::Result<Self> {
        let made = TempDir::with_prefix("inaug-boot-");
        Ok(Self(made.context("a directory for the machine")?.keep()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Under its old name nobody finds it any more.
        let gone = self.0.with_extension("gone");
        let _ = fs::rename(&self.0, &gone);
        for _ in 0..REMOVALS {
            let left = [&gone, &self.0].into_iter().filter(|path| path.exists());
            // What cannot be removed stays: there is nobody to tell.
            if left.map(fs::remove_dir_all).count() == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Work;
    use std::fs;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn what_is_made_while_it_is_removed_goes_as_well() {
        let work = Work::new().unwrap();
        let (path, (send, begun)) = (work.path().to_owned(), channel());
        let inside = path.clone();
        let maker = thread::spawn(move || {
            // Like whoever copies files of a label: until one cannot be made.
            for number in 0..100_000 {
                if fs::write(inside.join(number.to_string()), "x").is_err() {
                    return;
                }
                let _ = send.send(());
            }
        });
        begun.recv().unwrap();
        drop(work);
        maker.join().unwrap();
        assert!(!path.exists() && !path.with_extension("gone").exists());
    }
}
