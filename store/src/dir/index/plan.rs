//! Which runs to merge.

/// A run has at least this many times the records of all smaller ones together. So there are
/// at most about log3 of all blocks, nine for a million objects; and a record is written
/// again only when its run grows by half.
const GROWTH: u64 = 2;

/// Of runs with `records` each, the numbers of those that are to be merged with `new` more
/// records; smallest first.
pub(super) fn absorbed(new: u64, records: &[u64]) -> Vec<usize> {
    let mut smallest_first: Vec<usize> = (0..records.len()).collect();
    smallest_first.sort_by_key(|number| records[*number]);
    let mut sum = new;
    let fits = |number: &usize| {
        let absorb = sum > 0 && records[*number] < sum.saturating_mul(GROWTH);
        sum = sum.saturating_add(if absorb { records[*number] } else { 0 });
        absorb
    };
    smallest_first.into_iter().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_runs_are_taken_until_one_is_large_enough() {
        for (new, records, expected) in [
            (0, &[5, 1][..], &[][..]),
            (10, &[20], &[]),
            (10, &[19], &[0]),
            (10, &[140, 15, 40], &[1, 2]),
            (10, &[90, 15, 40], &[1, 2, 0]),
            (1, &[], &[]),
        ] {
            assert_eq!(absorbed(new, records), expected, "{new} to {records:?}");
        }
    }

    #[test]
    fn a_million_objects_in_any_pushes_are_few_runs() {
        for push in [1_u64, 73, 999, 6400] {
            let mut runs: Vec<u64> = Vec::new();
            let mut written = 0;
            for _ in 0..1_000_000 / push {
                let taken = absorbed(push, &runs);
                let sum = push + taken.iter().map(|number| runs[*number]).sum::<u64>();
                let mut number = 0;
                runs.retain(|_| {
                    number += 1;
                    !taken.contains(&(number - 1))
                });
                runs.push(sum);
                written += sum;
            }
            assert!(runs.len() <= 13, "{push}: {runs:?}");
            assert!(written <= 1_000_000 * 13, "{push}: {written} records written");
        }
    }
}
