//! Paths without symbolic links, on a file system that knows its links.

use std::collections::VecDeque;

use super::{MAX_PATH_BYTES, check_size, components};
use crate::BootFactsError;

/// As many symbolic links in one path as Linux follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;
/// Steps to resolve one path, links included.
const MAX_STEPS: usize = 1000;

/// `path` without symbolic links; `..` at the root stays there. `read_link` gives the target of
/// what stands at a path whose directories are none: `None` if it is no symbolic link.
pub(super) fn resolve(
    path: &str,
    read_link: impl Fn(&str) -> Result<Option<String>, BootFactsError>,
) -> Result<String, BootFactsError> {
    let mut todo: VecDeque<String> = components(path)?.into_iter().map(str::to_owned).collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    for _ in 0..MAX_STEPS {
        let Some(name) = todo.pop_front() else { return Ok(joined(&done)) };
        if name == ".." {
            done.pop();
            continue;
        }
        done.push(name);
        let here = joined(&done);
        let Some(target) = read_link(&here)? else { continue };
        links += 1;
        check_size(&here, target.len() as u64, MAX_PATH_BYTES as u64)?;
        if links > MAX_LINKS {
            break;
        }
        if target.starts_with('/') {
            done.clear();
        } else {
            done.pop();
        }
        for name in components(&target)?.into_iter().rev() {
            todo.push_front(name.to_owned());
        }
    }
    let object = path.to_owned();
    Err(BootFactsError::TooMany { object, things: "symbolic links", limit: MAX_LINKS })
}

fn joined(names: &[String]) -> String {
    format!("/{}", names.join("/"))
}
