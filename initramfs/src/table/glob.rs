//! Patterns of `modules.alias`.

/// Does `pattern` match the whole of `modalias`?
///
/// The subset of fnmatch(3) that depmod writes: `*`, `?`, and `[...]` with ranges and with `!`
/// or `^` for "none of". As in kmod, `-` and `_` are the same character outside brackets. A
/// bracket that is never closed is an ordinary character. Takes at most
/// `pattern.len() * modalias.len()` steps, without recursion.
pub fn matches(pattern: &str, modalias: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), modalias.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where to go on when the rest does not fit: the last star takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, read));
            continue;
        }
        match text.get(read) {
            None if at == pattern.len() => return true,
            None => return false,
            Some(&byte) => {
                if let Some(length) = one(&pattern[at..], byte) {
                    at += length;
                    read += 1;
                    continue;
                }
            }
        }
        let Some((after_star, taken)) = retry else { return false };
        at = after_star;
        read = taken + 1;
        retry = Some((after_star, read));
    }
}

/// Length of the pattern's first element if it matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match pattern.iter().skip(2).position(|&b| b == b']') {
            // A `]` right after `[` is a member, not the end: hence the search from 2.
            Some(position) => {
                let end = position + 2;
                in_set(&pattern[1..end], byte).then_some(end + 1)
            }
            None => (byte == b'[').then_some(1),
        },
        literal => (folded(literal) == folded(byte)).then_some(1),
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let (negated, set) = match set {
        [b'!' | b'^', rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, set),
    };
    let mut rest = set;
    let mut found = false;
    loop {
        rest = match rest {
            [from, b'-', to, rest @ ..] => {
                found |= (*from..=*to).contains(&byte);
                rest
            }
            [member, rest @ ..] => {
                found |= *member == byte;
                rest
            }
            [] => return found != negated,
        }
    }
}

fn folded(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}
