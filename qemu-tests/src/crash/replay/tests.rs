use super::*;

const SECTOR_BYTES: usize = 512;

fn asked(states: usize, seed: u64) -> Asked {
    Asked { states, seed, sector_bytes: SECTOR_BYTES }
}

fn write(sector: usize, sectors: usize, byte: u8) -> Entry {
    Entry::Write {
        at: sector * SECTOR_BYTES,
        bytes: vec![byte; sectors * SECTOR_BYTES],
        durable: false,
    }
}

/// The first byte of each sector of each state.
fn states_of(entries: Vec<Entry>, sectors: usize) -> HashSet<Vec<u8>> {
    let mut found = HashSet::new();
    let base = vec![0; sectors * SECTOR_BYTES];
    let log = WriteLog { entries };
    replay(&base, &log, asked(2000, 1), |_, disk| {
        assert!(disk.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|b| *b == sector[0])));
        found.insert(disk.iter().step_by(SECTOR_BYTES).copied().collect());
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn writes_without_a_flush_survive_in_every_combination() {
    let found = states_of(vec![write(0, 1, 1), write(1, 1, 2)], 2);
    assert_eq!(found, [[0, 0], [1, 0], [0, 2], [1, 2]].map(|state| state.to_vec()).into());
}

#[test]
fn a_flush_orders_what_is_before_and_after() {
    let found = states_of(vec![write(0, 1, 1), Entry::Flush, write(1, 1, 2)], 2);
    assert_eq!(found, [[0, 0], [1, 0], [1, 2]].map(|state| state.to_vec()).into());
}

#[test]
fn a_write_is_torn_at_every_sector() {
    let found = states_of(vec![write(0, 3, 1)], 3);
    assert_eq!(found.len(), 8, "{found:?}");
}

#[test]
fn overlapping_writes_may_change_places_but_not_over_a_flush() {
    let found = states_of(vec![write(0, 1, 1), write(0, 1, 2)], 1);
    assert_eq!(found, [[0], [1], [2]].map(|state| state.to_vec()).into());
    let found = states_of(vec![write(0, 1, 1), Entry::Flush, write(0, 1, 2), Entry::Flush], 1);
    assert_eq!(found, [[0], [1], [2]].map(|state| state.to_vec()).into());
}

#[test]
fn a_durable_write_is_there_once_it_is_done() {
    let durable = Entry::Write { at: 0, bytes: vec![2; SECTOR_BYTES], durable: true };
    let base = vec![0; 2 * SECTOR_BYTES];
    let log = WriteLog { entries: vec![write(0, 1, 1), durable, write(1, 1, 3)] };
    replay(&base, &log, asked(500, 1), |cut, disk| {
        assert!(cut.done < 2 || disk[0] == 2, "{cut:?}");
        Ok(())
    })
    .unwrap();
    assert_eq!(last_state(&base, &log)[..1], [2]);
}

#[test]
fn a_discard_leaves_zeroes() {
    let base = vec![5; 4 * SECTOR_BYTES];
    let log = WriteLog { entries: vec![Entry::Discard { at: 512, length: 1024 }, Entry::Flush] };
    let last = last_state(&base, &log);
    let firsts: Vec<u8> = last.iter().step_by(SECTOR_BYTES).copied().collect();
    assert_eq!(firsts, [5, 0, 0, 5]);
}

#[test]
fn the_same_seed_makes_the_same_states() {
    let entries: Vec<Entry> = (0..50).map(|n| write(n % 8, 2, n as u8)).collect();
    let log = WriteLog { entries };
    let run = |seed| {
        let mut states = Vec::new();
        let base = vec![0; 16 * SECTOR_BYTES];
        let replayed = replay(&base, &log, asked(300, seed), |_, disk| {
            states.push(disk.to_vec());
            Ok(())
        });
        (replayed.unwrap(), states)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(4).1, run(5).1);
    assert!(run(3).0.distinct > 200, "{:?}", run(3).0);
}
