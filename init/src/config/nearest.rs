//! The right word nearest to a misspelt one.

/// A word further away than this is not proposed: it would be a guess.
const MAX_DISTANCE: usize = 3;
/// Longer words are not compared: no key is as long.
const MAX_WORD_BYTES: usize = 64;

/// The one of `right` that `typed` was probably meant to be.
pub(crate) fn nearest<'a>(typed: &str, right: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > MAX_WORD_BYTES {
        return None;
    }
    // A short word must be nearly right: any three letters are within three of any other three.
    let limit = MAX_DISTANCE.min(typed.chars().count() / 2);
    right
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// True if `typed` was probably meant to be `right`, and is not.
pub(super) fn is_misspelt(typed: &str, right: &str) -> bool {
    typed != right
        && typed.len() <= MAX_WORD_BYTES
        && distance(&typed.to_lowercase(), right) <= MAX_DISTANCE
}

/// How many letters must be put in, left out, changed, or swapped with their
/// neighbour to make `a` into `b` (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let table =
            [("", "", 0), ("label", "label", 0), ("lable", "label", 1), ("disc", "disk", 1)];
        for (a, b, expected) in table {
            assert_eq!(distance(a, b), expected);
            assert_eq!(distance(b, a), expected);
        }
    }

    #[test]
    fn only_what_is_near_is_proposed() {
        let right = || ["store", "label", "disk", "nic", "then"].into_iter();
        let table = [
            ("stor", Some("store")),
            ("lables", Some("label")),
            ("dsik", Some("disk")),
            ("xyz", None),
            ("n", None),
            ("", None),
        ];
        for (typed, expected) in table {
            assert_eq!(nearest(typed, right()), expected, "{typed}");
        }
        assert_eq!(nearest(&"a".repeat(1000), right()), None);
    }
}
