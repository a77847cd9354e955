//! Maps of sparse members: which bytes of the file the archive has.

use super::header::{Block, Wrong, unsigned};
use super::pax::{Records, decimal};

/// More stretches than this are no file that somebody made, bytes of memory that none needs.
pub(super) const STRETCHES_MAX: usize = 1 << 20;

/// Data of a file as (offset, length) in bytes, in order; between them are holes.
pub(super) type Stretches = Vec<(u64, u64)>;

/// How the map of a member is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sparse {
    /// Here, with the file's length.
    Map(Stretches, u64),
    /// Before the content, of a file of this length.
    Ahead(u64),
}

/// The stretches in an old GNU header or in a block that follows it, and whether another follows.
pub(super) fn of_block(block: &Block, first: bool) -> Result<(Stretches, bool), Wrong> {
    let (start, count, more) = if first { (386, 4, 482) } else { (0, 21, 504) };
    let (fields, _) = block[start..start + 24 * count].as_chunks::<24>();
    let mut found = Stretches::new();
    for field in fields.iter().take_while(|field| field[0] != 0) {
        let offset = unsigned("stretch's offset", &field[..12])?;
        found.push((offset, unsigned("stretch's length", &field[12..])?));
    }
    Ok((found, block[more] != 0))
}

/// Length of the whole file in an old GNU header, bytes.
pub(super) fn real_size(block: &Block) -> Result<u64, Wrong> {
    unsigned("sparse file's size", &block[483..495])
}

/// What the records of a member say, if they say it is sparse: GNU's formats 0.0, 0.1 and 1.0.
pub(super) fn of_records(records: &Records) -> Result<Option<Sparse>, Wrong> {
    if let Some(major) = records.number("GNU.sparse.major")? {
        let minor = records.number("GNU.sparse.minor")?.unwrap_or(0);
        if (major, minor) != (1, 0) {
            return Err(("sparse format 0.0, 0.1 or 1.0".into(), format!("{major}.{minor}")));
        }
        let size = records.number("GNU.sparse.realsize")?;
        return Ok(Some(Sparse::Ahead(size.ok_or_else(|| missing("realsize"))?)));
    }
    let Some(size) = records.number("GNU.sparse.size")? else { return Ok(None) };
    let numbers: Option<Vec<u64>> = if let Some(map) = records.get("GNU.sparse.map") {
        map.split(|byte| *byte == b',').map(decimal).collect()
    } else {
        let pairs = records.starting(b"GNU.sparse.");
        let wanted = |name: &[u8]| matches!(name, b"offset" | b"numbytes");
        pairs.filter(|(name, _)| wanted(name)).map(|(_, value)| decimal(value)).collect()
    };
    let numbers = numbers.ok_or_else(|| missing("map"))?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > STRETCHES_MAX {
        return Err(missing("map"));
    }
    Ok(Some(Sparse::Map(pairs.iter().map(|[offset, length]| (*offset, *length)).collect(), size)))
}

fn missing(what: &str) -> Wrong {
    (format!("GNU.sparse.{what} of a sparse file"), "none that can be read".into())
}

/// Checks that the stretches are in order, within `size_bytes`, and that they are all that the
/// archive has of the file.
pub(super) fn check(stretches: &Stretches, size_bytes: u64, stored: u64) -> Result<(), Wrong> {
    let mut end = 0;
    for (offset, length) in stretches {
        let stretch = || format!("{length} bytes at {offset}");
        if *offset < end {
            return Err((format!("stretches in order, from {end} on"), stretch()));
        }
        end = offset.saturating_add(*length);
        if end > size_bytes {
            return Err((format!("stretches within {size_bytes} bytes"), stretch()));
        }
    }
    let sum: u64 = stretches.iter().map(|(_, length)| length).sum();
    if sum == stored {
        return Ok(());
    }
    Err((format!("stretches of {stored} bytes"), sum.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(pairs: &[(&str, &str)]) -> Records {
        let mut records = Records::default();
        for (name, value) in pairs {
            let record = format!(" GNU.sparse.{name}={value}\n");
            records.add(format!("{}{record}", record.len() + 2).as_bytes()).unwrap();
        }
        records
    }

    #[test]
    fn three_ways_to_write_a_map() {
        let expected = Ok(Some(Sparse::Map(vec![(0, 5), (100, 7)], 200)));
        let zero = [
            ("size", "200"),
            ("numblocks", "2"),
            ("offset", "0"),
            ("numbytes", "5"),
            ("offset", "100"),
            ("numbytes", "7"),
        ];
        assert_eq!(of_records(&records(&zero)), expected);
        assert_eq!(of_records(&records(&[("size", "200"), ("map", "0,5,100,7")])), expected);
        let one = [("major", "1"), ("minor", "0"), ("realsize", "200")];
        assert_eq!(of_records(&records(&one)), Ok(Some(Sparse::Ahead(200))));
        assert_eq!(of_records(&records(&[])), Ok(None));
        for bad in [
            &[("major", "2"), ("realsize", "1")][..],
            &[("major", "1")],
            &[("size", "9"), ("map", "1")],
            &[("size", "9"), ("map", "x,1")],
        ] {
            assert!(of_records(&records(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn stretches_are_in_order_and_within_the_file() {
        for (stretches, stored, is_right) in [
            (vec![(0, 5), (5, 5)], 10, true),
            (vec![(20, 0)], 0, true),
            (vec![(0, 5), (4, 1)], 6, false),
            (vec![(0, 21)], 21, false),
            (vec![(u64::MAX, 1)], 1, false),
            (vec![(0, 5)], 4, false),
        ] {
            assert_eq!(check(&stretches, 20, stored).is_ok(), is_right, "{stretches:?}");
        }
    }
}
