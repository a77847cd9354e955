//! `grub.cfg`, as far as Debian's and Fedora's `grub-mkconfig` write it, and as
//! people write it who only want a kernel started.
//!
//! Not a GRUB: conditions are decided where they compare texts, else both
//! branches count; functions, loops and modules do nothing.

mod condition;
mod env;
mod menu;
mod script;
mod words;

use crate::recipe::Recipe;
use crate::volume::Volume;
use crate::warnings::Warnings;
use crate::{BootFacts, BootFactsError, Found, Origin};

use self::menu::Item;
use self::script::Script;

pub(crate) use self::env::{Environment, expand};

/// Where GRUB keeps its files, on a root and on a boot partition.
const DIRECTORIES: [&str; 4] = ["/boot/grub", "/boot/grub2", "/grub", "/grub2"];
/// How often one configuration may hand over to another.
const MAX_REDIRECTS: usize = 4;
/// Items whose files are looked for before the menu is given up.
const MAX_ITEMS_TRIED: usize = 32;
/// Items that are listed: more are no menu that a person reads.
const MAX_ITEMS_LISTED: usize = 128;
/// Directories of vendors on an EFI system partition: one for each system that was ever installed.
const MAX_VENDORS: usize = 64;

/// A configuration file on a volume.
struct Config<'a> {
    volume: &'a Volume,
    path: String,
    script: Script,
}

/// What the default entry of the first configuration with a usable one boots.
pub(crate) fn find(volumes: &[Volume], warnings: &mut Warnings) -> Option<BootFacts> {
    places(volumes, warnings).into_iter().find_map(|(volume, path)| {
        let config = follow(read(volume, path, warnings)?, volumes, warnings)?;
        items(config, MAX_ITEMS_TRIED, volumes, warnings).next()
    })
}

/// The entries of all configurations whose files are there; of each the default first, the others
/// as in its menu.
pub(crate) fn all(volumes: &[Volume], warnings: &mut Warnings) -> Vec<BootFacts> {
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut entries = Vec::new();
    for (volume, path) in places(volumes, warnings) {
        let Some(config) = read(volume, path, warnings) else { continue };
        let Some(config) = follow(config, volumes, warnings) else { continue };
        // Stubs of several vendors hand over to the same.
        let name = (config.volume.name.clone(), config.path.clone());
        if !seen.contains(&name) {
            seen.push(name);
            entries.extend(items(config, MAX_ITEMS_LISTED, volumes, warnings));
        }
    }
    entries
}

/// Where configurations may be, the likeliest first.
fn places<'a>(volumes: &'a [Volume], warnings: &mut Warnings) -> Vec<(&'a Volume, String)> {
    let on_root = volumes.iter().flat_map(|volume| {
        DIRECTORIES.iter().map(move |directory| (volume, format!("{directory}/grub.cfg")))
    });
    let mut places: Vec<_> = on_root.collect();
    for volume in volumes {
        let vendors = volume.names("/EFI", warnings).into_iter().take(MAX_VENDORS);
        places.extend(vendors.map(|vendor| (volume, format!("/EFI/{vendor}/grub.cfg"))));
    }
    places
}

/// GRUB's variables on `volume` once its configuration has run; `None` if it
/// has none.
pub(crate) fn environment(volume: &Volume, warnings: &mut Warnings) -> Option<Environment> {
    DIRECTORIES.iter().find_map(|directory| {
        let saved = volume.text(&format!("{directory}/grubenv"), warnings);
        let config = volume.text(&format!("{directory}/grub.cfg"), warnings);
        if saved.is_none() && config.is_none() {
            return None;
        }
        let environment = Environment::saved(&saved.unwrap_or_default());
        Some(Script::run(&config.unwrap_or_default(), environment).environment)
    })
}

fn read<'a>(volume: &'a Volume, path: String, warnings: &mut Warnings) -> Option<Config<'a>> {
    let text = volume.text(&path, warnings)?;
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let saved = volume.text(&format!("{directory}/grubenv"), warnings).unwrap_or_default();
    let script = Script::run(&text, Environment::saved(&saved));
    Some(Config { volume, path, script })
}

/// Follows `configfile` from a stub to the configuration with the menu.
fn follow<'a>(
    mut config: Config<'a>,
    volumes: &'a [Volume],
    warnings: &mut Warnings,
) -> Option<Config<'a>> {
    for _ in 0..MAX_REDIRECTS {
        if !config.script.items.is_empty() {
            return Some(config);
        }
        let target = without_device(config.script.redirect.as_deref()?).to_owned();
        let places = order(volumes, config.script.search_uuid.as_deref(), config.volume);
        config = places.into_iter().find_map(|volume| read(volume, target.clone(), warnings))?;
    }
    let object = config.path;
    let error =
        BootFactsError::TooMany { object, things: "configuration files", limit: MAX_REDIRECTS };
    warnings.failed(&config.volume.name, &error);
    None
}

/// The default item, then the others, as far as their files are there. At most `tried_most` are
/// looked for.
fn items<'a>(
    config: Config<'a>,
    tried_most: usize,
    volumes: &'a [Volume],
    warnings: &'a mut Warnings,
) -> impl Iterator<Item = BootFacts> + 'a {
    let Config { volume, path, script } = config;
    let config_name = format!("{} {path}", volume.name);
    let wanted = script.environment.non_empty("default").unwrap_or_else(|| "0".to_owned());
    let chosen = menu::select(&script.items, &wanted);
    if chosen.is_none() {
        warnings.add(format!("{config_name}: there is no default entry '{wanted}'"));
    }
    let is_chosen = |item: &Item| chosen.is_some_and(|chosen| std::ptr::eq(item, chosen));
    let bootable = script.items.iter().filter(|item| item.kernel().is_some());
    let mut items: Vec<(bool, Item)> =
        bootable.map(|item| (is_chosen(item), item.clone())).collect();
    items.sort_by_key(|(is_default, _)| !is_default);
    items.into_iter().take(tried_most).filter_map(move |(is_default, item)| {
        let source = format!("{config_name}, entry '{}'", item.title);
        let found = Found::on(volume, Origin::Grub, &path, &item.title, is_default);
        let places = order(volumes, item.search_uuid.as_deref(), volume);
        boot_item(&item, &places, &found, &source)
            .inspect(|_| note_unresolved(&item, &source, warnings))
            .inspect_err(|error| warnings.failed(&source, error))
            .ok()
    })
}

fn note_unresolved(item: &Item, source: &str, warnings: &mut Warnings) {
    for name in &item.unresolved {
        warnings.add(format!("{source}: ${name} is not set, dropped"));
    }
}

/// Looks for the item's kernel on each place in turn.
fn boot_item(
    item: &Item,
    places: &[&Volume],
    found: &Found,
    source: &str,
) -> Result<BootFacts, BootFactsError> {
    let recipe = Recipe {
        kernel: without_device(item.kernel().unwrap_or_default()).to_owned(),
        initrds: item.initrds.iter().map(|path| without_device(path).to_owned()).collect(),
        cmdline: item.cmdline(),
    };
    let mut first_error = None;
    for volume in places {
        match recipe.locate(volume, found.clone(), source.to_owned()) {
            Ok(facts) => return Ok(facts),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| BootFactsError::Missing {
        volume: "any volume".to_owned(),
        path: recipe.kernel,
    }))
}

/// Where to look for files: on the volume that `search` would set `$root` to,
/// on the configuration's own, on the others.
fn order<'a>(volumes: &'a [Volume], uuid: Option<&str>, own: &'a Volume) -> Vec<&'a Volume> {
    let mut places: Vec<_> = volumes.iter().collect();
    let is_named =
        |volume: &Volume| uuid.is_some_and(|uuid| uuid.to_lowercase() == volume.fs.uuid());
    places.sort_by_key(|volume| (!is_named(volume), !std::ptr::eq(*volume, own)));
    places
}

/// `(hd0,gpt2)/vmlinuz` without the device: which one it will be on the
/// machine is not known, and `$root` is looked for by its UUID.
fn without_device(path: &str) -> &str {
    match path.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, path)) => path,
        None => path,
    }
}
