//! What is kept of a boot in a directory.

use crate::output::Output;
use anyhow::Context;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;

/// The report.
const REPORT: &str = "report.json";

/// Everything that a boot may leave there.
const FILES: [&str; 4] = ["console.log", REPORT, "test.stdout", "test.stderr"];

/// Makes the directory, and removes what an earlier boot left there: it would pass for this one's.
pub(super) fn clear(directory: Option<&Path>) -> anyhow::Result<()> {
    let Some(directory) = directory else { return Ok(()) };
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for path in FILES.map(|name| directory.join(name)) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the report. The boot is over: what became of it counts, whether this succeeds or not.
pub(super) fn report(directory: Option<&Path>, document: &impl Serialize) {
    let Some(directory) = directory else { return };
    let path = directory.join(REPORT);
    let text = serde_json::to_vec_pretty(document).map_err(io::Error::from);
    let written = text.and_then(|mut text| {
        text.push(b'\n');
        fs::write(&path, text)
    });
    if let Err(error) = written {
        Output::warning(&format!("cannot write {}: {error}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_boot_left_is_gone_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("new/artifacts");
        clear(Some(&at)).unwrap();
        for name in FILES.into_iter().chain(["mine"]) {
            fs::write(at.join(name), "old").unwrap();
        }
        clear(Some(&at)).unwrap();
        let left: Vec<_> =
            fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["mine"]);
        fs::create_dir(at.join(REPORT)).unwrap();
        let error = clear(Some(&at)).unwrap_err().to_string();
        assert!(error.starts_with("cannot remove "), "{error}");
    }
}
