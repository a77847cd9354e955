//! Which objects the store has, and where: looked up in the runs of its index, by any thread.
//!
//! In memory are the names of all packs, 40 bytes for each in the store and in each run.

use crate::Digest;
use crate::dir::index::{Kept, Record, Run, RunError, Sorter, Source, Spot, Written};
use crate::dir::index::{add_pack, open_all, unreadable};
use crate::dir::packs::has_ends;
use crate::dir::users::{User, register};
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Where objects are.
pub(crate) struct Catalog<'a> {
    store: &'a DirStore,
    /// Nothing that is relied on here is deleted while this is held.
    user: User,
    packs: Vec<PackRef>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    mounted: Vec<Mounted>,
    damaged: Vec<Digest>,
}

/// A run that is looked into.
struct Mounted {
    run: MountedRun,
    /// For each of its packs, the number in [`Catalog::packs`]; `None`: what it says of that
    /// pack is not to be believed.
    numbers: Vec<Option<u32>>,
}

enum MountedRun {
    /// One of the store's.
    Kept(Kept),
    /// Made by this push, of packs that no run of the store has.
    Made(Written),
}

impl<'a> Catalog<'a> {
    /// Opens the store's runs, and sees to it that what is found is not collected until this
    /// is dropped; what is being collected is not there. Packs that are in none, because they were put there by a push
    /// that was cut or by hand, are read now.
    pub(crate) fn read(store: &'a DirStore) -> Result<Self, DirError> {
        let user = register(store)?;
        let kept = open_all(store)?;
        let mut packs = store.packs_with_sizes()?;
        packs.retain(|pack| !user.condemned.packs.contains_key(&pack.digest));
        let catalog = Self { store, user, packs, state: RwLock::default() };
        let mut state = State::default();
        state.mounted.extend(kept.into_iter().map(|kept| catalog.mount(MountedRun::Kept(kept))));
        let mut missing = vec![true; catalog.packs.len()];
        for number in state.mounted.iter().flat_map(|mounted| mounted.numbers.iter().flatten()) {
            missing[*number as usize] = false;
        }
        let (missing, known): (Vec<_>, Vec<_>) =
            catalog.packs.iter().zip(missing).partition(|(_, missing)| *missing);
        for (pack, _) in known {
            catalog.check_ends(pack, &mut state);
        }
        let missing: Vec<_> = missing.into_iter().map(|(pack, _)| *pack).collect();
        catalog.make_run(&missing, &mut state)?;
        Ok(Self { state: RwLock::new(state), ..catalog })
    }

    fn mount(&self, run: MountedRun) -> Mounted {
        let number = |pack: &PackRef| self.packs.binary_search(pack).ok();
        let numbers = run.run().packs().iter().map(number);
        Mounted { numbers: numbers.map(|number| number.map(|n| n as u32)).collect(), run }
    }

    /// Believes nothing that the runs say of `pack` if it does not begin and end like a pack: a
    /// run knows what was written, not what is left of it.
    fn check_ends(&self, pack: &PackRef, state: &mut State) {
        if has_ends(self.store, pack) {
            return;
        }
        state.damaged.push(pack.digest);
        let of_it = |number: &Option<u32>| {
            number.and_then(|number| self.packs.get(number as usize)) == Some(pack)
        };
        let numbers = state.mounted.iter_mut().flat_map(|mounted| mounted.numbers.iter_mut());
        numbers.filter(|number| of_it(number)).for_each(|number| *number = None);
    }

    /// Reads the indexes of `packs`. One that cannot be read holds nothing that can be relied
    /// on; it is passed over and named.
    fn make_run(&self, packs: &[PackRef], state: &mut State) -> Result<(), DirError> {
        if packs.is_empty() {
            return Ok(());
        }
        let mut sorter = Sorter::new(self.store, packs.to_vec());
        let mut damaged = Vec::new();
        for (number, pack) in packs.iter().enumerate() {
            if !add_pack(self.store, pack, number as u32, &mut sorter)? {
                damaged.push(number);
                state.damaged.push(pack.digest);
            }
        }
        if let Some(written) = sorter.finish()? {
            let mut mounted = self.mount(MountedRun::Made(written));
            for number in damaged {
                mounted.numbers[number] = None;
            }
            state.mounted.push(mounted);
        }
        Ok(())
    }

    /// Where the object is: of several places that in the first pack, so that the state of the
    /// index makes no difference.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<Spot>, DirError> {
        loop {
            // Each repair takes one of the store's runs away: there is an end.
            match self.look(digest) {
                Ok(found) => return Ok(found),
                Err((Some(run), _)) => self.repair(&run)?,
                Err((None, error)) => return Err(unreadable(self.store, error)),
            }
        }
    }

    /// In case of an error also says which of the store's runs it was.
    fn look(&self, digest: &Digest) -> Result<Option<Spot>, (Option<Digest>, RunError)> {
        let mut best: Option<Spot> = None;
        for mounted in &self.state().mounted {
            let mut take = |record: &Record| {
                let number = mounted.numbers.get(record.spot.pack as usize).copied().flatten();
                let spot = number.map(|pack| Spot { pack, ..record.spot });
                best = best.into_iter().chain(spot).min();
                spot.is_some()
            };
            mounted.run.run().find(digest, &mut take).map_err(|error| match &mounted.run {
                MountedRun::Kept(kept) => (Some(kept.name), error),
                MountedRun::Made(_) => (None, error),
            })?;
        }
        Ok(best)
    }

    /// Replaces a run that is damaged by what the packs say themselves.
    fn repair(&self, name: &Digest) -> Result<(), DirError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let is_it = |mounted: &Mounted| matches!(&mounted.run, MountedRun::Kept(kept) if kept.name == *name);
        // Another thread may have met it as well, and been faster.
        let Some(at) = state.mounted.iter().position(is_it) else { return Ok(()) };
        let lost = state.mounted.swap_remove(at);
        crate::dir::index::remove(self.store, name);
        let numbers = lost.numbers.iter().flatten();
        let packs: Vec<_> = numbers.map(|number| self.packs[*number as usize]).collect();
        self.make_run(&packs, &mut state)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The packs; a [`Spot`]'s pack is a number of this table.
    pub(crate) fn packs(&self) -> &[PackRef] {
        &self.packs
    }

    /// Packs whose ends or index cannot be read: their objects count as missing.
    pub(crate) fn damaged(&self) -> Vec<Digest> {
        self.state().damaged.clone()
    }

    /// Whether the store had `pack`, whole.
    pub(crate) fn had(&self, pack: &PackRef) -> bool {
        self.packs.binary_search(pack).is_ok() && !self.state().damaged.contains(&pack.digest)
    }

    /// Whether the manifest and its map are being collected: not to be relied on.
    pub(crate) fn condemns(&self, manifest: &Digest) -> bool {
        self.user.condemned.manifests.contains_key(manifest)
    }

    /// Hands the runs that this push made to `take`, as what is to be kept.
    pub(crate) fn made<T>(&self, take: impl FnOnce(Vec<Source<'_>>) -> T) -> T {
        let state = self.state();
        let made = state.mounted.iter().filter_map(|mounted| match &mounted.run {
            MountedRun::Made(written) => Some(&written.run),
            MountedRun::Kept(_) => None,
        });
        take(made.map(Source::of).collect())
    }
}

impl MountedRun {
    fn run(&self) -> &Run {
        match self {
            Self::Kept(kept) => &kept.run,
            Self::Made(written) => &written.run,
        }
    }
}
