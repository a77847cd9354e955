//! All that a disk could be booted by, for whoever chooses.

use std::fs::File;

use crate::warnings::Warnings;
use crate::{BootFacts, BootFactsError, bls, grub, kernels, uki, volume};

/// More than this is no list that a person chooses from.
const MAX_LISTED: usize = 256;

/// What a disk could be booted by.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The entries whose files are there; the first is what is started where nobody chooses. Their
    /// own warnings are empty.
    pub entries: Vec<BootFacts>,
    /// What was left out, or looked strange, and why; one sentence each.
    pub notes: Vec<String>,
}

/// Lists what `disk` could be booted by, in the order in which its boot loaders would show it, the
/// default first: entries by the Boot Loader Specification, unified kernels, the menu of each
/// `grub.cfg`. Only where none of these is there, a unified kernel in the place for removable media
/// and the newest kernel of each `/boot` count.
///
/// No file is read for where its bytes lie, so that a long list costs little:
/// [`read_located`](crate::read_located) gives the bytes of what is chosen. Fails only when the
/// disk cannot be read.
pub fn list(disk: &File) -> Result<Listing, BootFactsError> {
    let mut warnings = Warnings::default();
    let mut volumes = volume::open_all(disk, &mut warnings)?;
    for volume in &mut volumes {
        volume.fs.forgo_extents();
    }

    let entries: Vec<_> = bls::all(&volumes, &mut warnings).take(MAX_LISTED).collect();
    let unified: Vec<_> = uki::all(&volumes, &mut warnings).take(MAX_LISTED).collect();
    let mut all = systemd_boot(entries, unified);
    all.extend(grub::all(&volumes, &mut warnings));
    if all.is_empty() {
        all.extend(uki::removable(&volumes, &mut warnings));
    }
    if all.is_empty() {
        all = kernels::of_disk(&volumes, &mut warnings);
    }
    if all.len() > MAX_LISTED {
        all.truncate(MAX_LISTED);
        warnings.add(format!("image: more than {MAX_LISTED} entries"));
    }
    Ok(Listing { entries: all, notes: warnings.into_sentences() })
}

/// Both kinds of entries that systemd-boot reads: the default of its settings may be of either.
fn systemd_boot(mut entries: Vec<BootFacts>, mut unified: Vec<BootFacts>) -> Vec<BootFacts> {
    let is_default = |list: &[BootFacts]| list.first().is_some_and(|first| first.found.is_default);
    if is_default(&unified) && !is_default(&entries) {
        entries.insert(0, unified.remove(0));
    }
    entries.append(&mut unified);
    entries
}
