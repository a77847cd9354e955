//! Any image over any earlier content, with any cut and any single fault, run again until it
//! ends: equals the image. Whatever looks bootable on the way is what was there before or
//! the image, to the byte.

use super::disk::{Disk, cut_after};
use super::fault::{Fault, Kind};
use super::noise::Noise;
use super::oracle::{Judge, Verdict, says_finished};
use super::picture::{MARK, MIB, Picture, Table};
use super::run::{Stock, run, sentence};
use deploy::target::TargetKind;
use deploy::{Category, Mark};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Runs that are cut off or have a fault; the one after them has to end.
const TROUBLED_RUNS: u64 = 3;

/// Most operations of a run; a cut is before.
const OPERATIONS: u64 = 160;

/// Cases of an ordinary run.
const CASES: u32 = 96;

/// States looked at after a run that failed.
const STATES: u64 = 6;

/// What a disk held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Blank,
    Noise,
    /// The same content in another order, deployed by us.
    OldLabel,
    /// The image itself, some blocks of it damaged.
    Damaged,
    /// Another label's deployment that was cut off.
    HalfDone,
}

#[derive(Debug, Clone)]
struct Case {
    table: Table,
    runs: Vec<u8>,
    rotated: usize,
    before: Before,
    /// The disk is larger than the image by this, bytes.
    more: usize,
    kind: TargetKind,
    cuts: Vec<Option<u64>>,
    /// In which of the runs the fault is, and its seed.
    fault: Option<(usize, u64)>,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let table = prop::sample::select(vec![Table::Gpt, Table::Gpt, Table::Mbr, Table::None]);
    let before = prop::sample::select(vec![
        Before::Blank,
        Before::Noise,
        Before::OldLabel,
        Before::OldLabel,
        Before::Damaged,
        Before::HalfDone,
    ]);
    let more = prop::sample::select(vec![0, 8192, 3 * MIB / 2]);
    let device =
        prop::sample::select(vec![TargetKind::Device, TargetKind::Device, TargetKind::File]);
    let cuts = prop::collection::vec(prop::option::of(0..OPERATIONS), TROUBLED_RUNS as usize);
    let fault = prop::option::weighted(0.8, (0_usize..2, any::<u64>()));
    let what = (table, prop::collection::vec(0_u8..12, 2..10), 0_usize..6);
    (what, before, more, device, cuts, fault, any::<u64>()).prop_map(
        |((table, runs, rotated), before, more, kind, cuts, fault, seed)| {
            // A file is as long as its image, but for what it was before.
            let more = if kind == TargetKind::File { 0 } else { more };
            Case { table, runs, rotated, before, more, kind, cuts, fault, seed }
        },
    )
}

impl Case {
    fn picture(&self) -> Picture {
        Picture::of_runs(self.table, 2, &self.runs, 40)
    }

    /// An older label: the runs in another order, and one that is no more.
    fn older(&self) -> Picture {
        let mut runs = self.runs.clone();
        runs.rotate_left(self.rotated % self.runs.len());
        runs[0] = 13;
        Picture::of_runs(
            if self.table == Table::None { Table::None } else { Table::Gpt },
            1,
            &runs,
            40,
        )
    }

    /// What is on the disk before the first run.
    fn base(&self, stock: &Stock) -> Vec<u8> {
        let size = self.picture().image().len() + self.more;
        let mut noise = vec![0; size];
        match self.before {
            Before::Blank => return noise,
            _ => Noise::of(self.seed).fill(&mut noise),
        }
        match self.before {
            Before::OldLabel => stock.deployed("old", noise),
            Before::Damaged => {
                let mut disk = stock.deployed("new", noise);
                let at = MIB + Noise::of(self.seed).below(size - MIB - 20_000);
                disk[at..at + 20_000].fill(0x77);
                disk
            }
            Before::HalfDone => {
                let disk = Disk::with(noise);
                disk.ail([cut_after(self.seed % OPERATIONS)], self.seed);
                // How far it comes is not the matter here.
                let _ = run(&stock.source, "old", &disk, TargetKind::Device);
                disk.crash(self.seed);
                disk.content()
            }
            Before::Blank | Before::Noise => noise,
        }
    }

    /// The faults of run number `number`. A disk that folds addresses and is cut off has content
    /// where boot code belongs, which no order of writes prevents: it is let run to its end. Files
    /// fold none.
    fn faults(&self, number: usize, size: u64) -> Vec<Fault> {
        let own = self.fault.filter(|(run, _)| *run == number);
        let own = own.map(|(_, seed)| Fault::any(seed, size));
        let is_file = self.kind == TargetKind::File;
        let own = own.filter(|own| !(is_file && matches!(own.kind, Kind::Folds { .. })));
        let folds = own.as_ref().is_some_and(|own| matches!(own.kind, Kind::Folds { .. }));
        let cut = self.cuts.get(number).copied().flatten().filter(|_| !folds).map(cut_after);
        own.into_iter().chain(cut).collect()
    }
}

/// What may be after a run that failed, and after the power failed as well.
fn check_states(
    case: &Case,
    disk: &Disk,
    judge: &Judge,
    base: &[u8],
    said: &str,
) -> Result<(), TestCaseError> {
    let crashed = (0..STATES).map(|number| disk.crashed(case.seed.wrapping_add(number)));
    for (number, state) in std::iter::once(disk.content()).chain(crashed).enumerate() {
        let verdict = judge.look(&state);
        prop_assert!(
            !matches!(verdict, Verdict::Wrong(_)),
            "state {number}: {verdict:?} after {said}"
        );
        // A disk that is not as it was is ours to write. One without a table has the mark only
        // until its last block but one is written.
        if case.fault.is_none() && case.table != Table::None && case.kind == TargetKind::Device {
            let untouched = state == base;
            let owned = Mark::read(&state[..MIB]).is_some_and(|mark| mark.owns(&state[..MIB]));
            prop_assert!(untouched || owned, "state {number} is nobody's");
        }
    }
    Ok(())
}

fn check_end(case: &Case, disk: &Disk, judge: &Judge) -> Result<(), TestCaseError> {
    let crashed = (0..STATES).map(|number| disk.crashed(number));
    for content in std::iter::once(disk.content()).chain(crashed) {
        let whole = judge.is_whole(&content);
        prop_assert!(whole.is_ok(), "it ended well, and the disk {whole:?}");
        let marked = case.table != Table::None && case.kind == TargetKind::Device;
        prop_assert_eq!(says_finished(&content), marked);
        if marked {
            prop_assert!(Mark::read(&content[..MIB]).unwrap().owns(&content[..MIB]));
            prop_assert!(content[MARK.start + 512..MARK.end].iter().all(|byte| *byte == 0));
        }
    }
    Ok(())
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let (new, old) = (case.picture(), case.older());
    let stock = Stock::of(&[("old", &old), ("new", &new)]);
    let base = case.base(&stock);
    let size = base.len() as u64;
    let disk = Disk::with(base.clone());
    let judge = Judge::new(&base, &new, case.kind == TargetKind::Device);
    for number in 0..=TROUBLED_RUNS as usize {
        disk.ail(case.faults(number, size), case.seed);
        let ended = run(&stock.source, "new", &disk, case.kind).ended;
        let mut judge = judge.clone();
        judge.forgive(&disk.damaged());
        match ended {
            Ok(()) => {
                disk.ail([], 0);
                check_end(case, &disk, &Judge::new(&base, &new, case.kind == TargetKind::Device))?;
                return Ok(());
            }
            Err(error) => {
                let said = format!("{} by {}", sentence(&error), disk.ails());
                let category = error.category();
                let fits = matches!(category, Category::Storage | Category::Verification);
                prop_assert!(fits && said.contains("the disk"), "{said}");
                prop_assert!(disk.struck() > 0, "no fault, and yet: {said}");
                check_states(case, &disk, &judge, &base, &said)?;
            }
        }
        if (case.seed >> number) & 1 == 1 {
            disk.crash(case.seed);
        }
    }
    prop_assert!(false, "it does not end");
    Ok(())
}

/// Driven by a seed, so that a run can be had again: `PROPTEST_RNG_SEED` and `PROPTEST_CASES` ask
/// for others and more.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cut_and_faulty_and_run_again_it_ends_as_the_image(case in cases()) {
        check(&case)?;
    }
}
