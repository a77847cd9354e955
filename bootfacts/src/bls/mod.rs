//! Boot loader entries: `/loader/entries/*.conf` (the Boot Loader
//! Specification, UAPI.1, type 1), as systemd-boot and Fedora's GRUB read them.

mod entry;

use crate::grub::Environment;
use crate::recipe::Recipe;
use crate::volume::Volume;
use crate::warnings::Warnings;
use crate::{BootFacts, Found, Origin, grub};

pub(crate) use self::entry::boot_counter;

use self::entry::Entry;

/// Where entries are: on a boot partition, and below `/boot` where that is a
/// mere directory.
const DIRECTORIES: [&str; 2] = ["/loader/entries", "/boot/loader/entries"];
/// Where systemd-boot's own settings are.
const LOADER_CONF: [&str; 2] = ["/loader/loader.conf", "/boot/loader/loader.conf"];
/// More entries than this are no boot menu.
const MAX_ENTRIES: usize = 256;

/// An entry and where it was found.
struct Candidate<'a> {
    volume: &'a Volume,
    path: String,
    entry: Entry,
}

/// The first of [`all`].
pub(crate) fn find(volumes: &[Volume], warnings: &mut Warnings) -> Option<BootFacts> {
    all(volumes, warnings).next()
}

/// The entries whose files are there, in the specification's order; a default
/// that is set goes first.
pub(crate) fn all<'a>(
    volumes: &'a [Volume],
    warnings: &'a mut Warnings,
) -> impl Iterator<Item = BootFacts> + 'a {
    let mut candidates = read_all(volumes, warnings);
    let environments: Vec<_> = if candidates.is_empty() {
        Vec::new()
    } else {
        volumes.iter().filter_map(|volume| grub::environment(volume, warnings)).collect()
    };
    let default = default_pattern(volumes, warnings)
        .or_else(|| environments.iter().find_map(|env| env.non_empty("saved_entry")));
    let is_default = move |candidate: &Candidate<'_>| {
        default.as_ref().is_some_and(|pattern| candidate.entry.is_called(pattern))
    };
    candidates.sort_by(|a, b| {
        is_default(b).cmp(&is_default(a)).then_with(|| a.entry.menu_order(&b.entry))
    });
    candidates.into_iter().filter_map(move |candidate| {
        let recipe = recipe(&candidate, &environments, warnings);
        let is_default = is_default(&candidate);
        let Candidate { volume, path, entry } = candidate;
        let title = entry.display_title();
        let source = format!("{} {path}, entry '{title}'", volume.name);
        let found = Found::on(volume, Origin::Entry, &path, title, is_default);
        recipe
            .locate(volume, found, source)
            .inspect_err(|error| warnings.failed(&format!("{} {path}", volume.name), error))
            .ok()
    })
}

/// The `default` pattern of `loader.conf`, if one is set.
pub(crate) fn default_pattern(volumes: &[Volume], warnings: &mut Warnings) -> Option<String> {
    for volume in volumes {
        for path in LOADER_CONF {
            let Some(text) = volume.text(path, warnings) else { continue };
            let found = entry::lines(&text).filter(|(key, _)| *key == "default").last();
            // `@saved` and the like are kept in the firmware, not in the image.
            if let Some((_, pattern)) = found.filter(|(_, pattern)| !pattern.starts_with('@')) {
                return Some(pattern.to_owned());
            }
        }
    }
    None
}

fn read_all<'a>(volumes: &'a [Volume], warnings: &mut Warnings) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for volume in volumes {
        for directory in DIRECTORIES {
            for name in volume.names(directory, warnings) {
                let Some(stem) = name.strip_suffix(".conf") else { continue };
                if candidates.len() == MAX_ENTRIES {
                    warnings.add(format!("{}: more than {MAX_ENTRIES} entries", volume.name));
                    return candidates;
                }
                let path = format!("{directory}/{name}");
                let Some(text) = volume.text(&path, warnings) else { continue };
                match Entry::parse(stem, &text) {
                    Some(entry) => candidates.push(Candidate { volume, path, entry }),
                    None => warnings.add(format!("{} {path}: names no kernel", volume.name)),
                }
            }
        }
    }
    candidates
}

/// The entry's files and command line. Where GRUB is the loader its variables
/// are put in; elsewhere a dollar sign is a dollar sign.
fn recipe(
    candidate: &Candidate<'_>,
    environments: &[Environment],
    warnings: &mut Warnings,
) -> Recipe {
    let Entry { linux, initrds, options, .. } = &candidate.entry;
    let cmdline = options.join(" ");
    if environments.is_empty() {
        return Recipe { kernel: linux.clone(), initrds: initrds.clone(), cmdline };
    }
    let mut expand = |text: &str| {
        let mut unresolved = Vec::new();
        let text = grub::expand(text, environments, &mut unresolved);
        for name in unresolved {
            let path = &candidate.path;
            warnings.add(format!("{} {path}: ${name} is not set, dropped", candidate.volume.name));
        }
        text
    };
    let initrds = initrds
        .iter()
        .flat_map(|path| expand(path).split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let initrds = initrds.collect();
    let cmdline = expand(&cmdline).split_whitespace().collect::<Vec<_>>().join(" ");
    Recipe { kernel: expand(linux), initrds, cmdline }
}
