//! Order of versions by the Version Format Specification (UAPI.10), the one
//! that the Boot Loader Specification sorts entries by.

use std::cmp::Ordering;

/// Compares two versions: `6.1.0-9` is before `6.1.0-10`, `6.2~rc1` before
/// `6.2`.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        a = skip_foreign(a);
        b = skip_foreign(b);
        match step(&mut a, &mut b) {
            Ordering::Equal if a.is_empty() && b.is_empty() => return Ordering::Equal,
            Ordering::Equal => {}
            decided => return decided,
        }
    }
}

/// Compares and consumes one component.
fn step(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    if let Some(order) = separator(b'~', a, b) {
        return order;
    }
    if a.is_empty() || b.is_empty() {
        return b.is_empty().cmp(&a.is_empty());
    }
    for mark in [b'-', b'^', b'.'] {
        if let Some(order) = separator(mark, a, b) {
            return order;
        }
    }
    if a[0].is_ascii_digit() || b[0].is_ascii_digit() {
        numbers(take(a, u8::is_ascii_digit), take(b, u8::is_ascii_digit))
    } else {
        take(a, u8::is_ascii_alphabetic).cmp(take(b, u8::is_ascii_alphabetic))
    }
}

/// Whoever has the mark alone is the older one; if both have it, it is
/// consumed.
fn separator(mark: u8, a: &mut &[u8], b: &mut &[u8]) -> Option<Ordering> {
    match (a.first() == Some(&mark), b.first() == Some(&mark)) {
        (true, true) => {
            *a = &a[1..];
            *b = &b[1..];
            Some(Ordering::Equal)
        }
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    }
}

/// By value, however many digits: without leading zeroes the longer is larger.
fn numbers(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().position(|&d| d != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn take<'a>(bytes: &mut &'a [u8], belongs: fn(&u8) -> bool) -> &'a [u8] {
    let end = bytes.iter().position(|b| !belongs(b)).unwrap_or(bytes.len());
    let (head, tail) = bytes.split_at(end);
    *bytes = tail;
    head
}

fn skip_foreign(bytes: &[u8]) -> &[u8] {
    let known = |b: &u8| b.is_ascii_alphanumeric() || b"~-^.".contains(b);
    &bytes[bytes.iter().position(known).unwrap_or(bytes.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_specifications_examples_in_order() {
        let ascending = [
            "122.1~rc1",
            "122.1",
            "122.1-1",
            "122.1-2",
            "122.1^20220512",
            "122.1.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn kernels() {
        for (older, newer) in [
            ("6.1.0-9-amd64", "6.1.0-10-amd64"),
            ("5.19", "6.1"),
            ("0-rescue-abc", "6.5.6-300.fc39.x86_64"),
            ("6.1.009", "6.1.10"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
        }
        assert_eq!(compare("1.007", "1.7"), Ordering::Equal);
        assert_eq!(compare("a_1", "a1"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn is_an_order(a in ".{0,12}", b in ".{0,12}") {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
