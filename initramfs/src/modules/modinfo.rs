//! The `.modinfo` section of a module: `key=value` strings, each ended by a NUL (modinfo(8)).

use object::{Object, ObjectSection};

/// All values of `key`, in the order of the section.
pub(super) fn values(module: &[u8], key: &str) -> Result<Vec<String>, String> {
    let file = object::File::parse(module).map_err(|error| error.to_string())?;
    let section = file.section_by_name(".modinfo").ok_or("it has no .modinfo section")?;
    let data = section.data().map_err(|error| error.to_string())?;
    let values = data.split(|&byte| byte == 0).filter_map(|entry| {
        let (found, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        (found == key).then(|| value.to_owned())
    });
    Ok(values.collect())
}
