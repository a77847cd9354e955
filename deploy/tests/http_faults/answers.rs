//! Rows in which the answer is another one: statuses, heads, lengths, ranges, redirects.

use crate::fault::{At, Fault, Framing, How, On, Rule, When};
use crate::run::{Expect, Row};
use deploy::Category::{Network, Verification};
use std::time::Duration;

const FINAL_STATUSES: [(&str, &[&str]); 10] = [
    ("204 No Content", &["found 204 No Content"]),
    ("304 Not Modified", &["found 304 Not Modified"]),
    ("400 Bad Request", &["found 400 Bad Request"]),
    ("401 Unauthorized", &["found 401 Unauthorized"]),
    ("403 Forbidden", &["found 403 Forbidden"]),
    ("405 Method Not Allowed", &["found 405 Method Not Allowed"]),
    ("407 Proxy Authentication Required", &["found 407 Proxy Authentication Required"]),
    ("416 Range Not Satisfiable", &["found 416 Range Not Satisfiable"]),
    ("451 Unavailable For Legal Reasons", &["found 451 Unavailable For Legal Reasons"]),
    ("300 Multiple Choices", &["found 300 Multiple Choices"]),
];

const PASSING_STATUSES: [(&str, &[&str]); 8] = [
    ("408 Request Timeout", &["found 408 Request Timeout"]),
    ("425 Too Early", &["found 425 Too Early"]),
    ("429 Too Many Requests", &["found 429 Too Many Requests"]),
    ("500 Internal Server Error", &["found 500 Internal Server Error"]),
    ("502 Bad Gateway", &["found 502 Bad Gateway"]),
    ("503 Service Unavailable", &["found 503 Service Unavailable"]),
    ("504 Gateway Timeout", &["found 504 Gateway Timeout"]),
    ("599 Whatever", &["found 599"]),
];

fn row(on: On, when: When, fault: Fault, expect: Expect) -> Row {
    let how_often = if when == When::Always { "always" } else { "once" };
    let name = format!("{} {how_often}, {on:?}", named(&fault));
    Row { name, rules: vec![Rule { on, when, fault }], lie: None, expect, replaced: false }
}

fn named(fault: &Fault) -> String {
    match fault {
        Fault::Raw(bytes) => format!("Raw \"{}\"", bytes.escape_ascii()),
        Fault::RawEndless(bytes) => format!("Endless \"{}\"", bytes.escape_ascii()),
        Fault::RawBefore(bytes) => format!("Before \"{}\"", bytes.escape_ascii()),
        other => format!("{other:?}"),
    }
}

/// Statuses that pass and that do not.
pub(crate) fn statuses() -> Vec<Row> {
    let mut rows = Vec::new();
    for (line, words) in FINAL_STATUSES {
        for on in On::ALL {
            let expect = Expect::Final(Network, words);
            rows.push(row(on, When::Always, Fault::Status(line, &[]), expect));
        }
    }
    for (line, words) in PASSING_STATUSES {
        for on in On::ALL {
            rows.push(row(on, When::Nth(1), Fault::Status(line, &[]), Expect::Right));
        }
        let expect = Expect::Tired(Network, words);
        rows.push(row(On::Pack, When::Always, Fault::Status(line, &[]), expect));
    }
    for line in ["404 Not Found", "410 Gone"] {
        for (on, words) in [
            (On::Label, &["no such label: fault/table is in none of: http://127"] as &[_]),
            (On::Manifest, &["cannot read manifest of label fault/table", "is not in the store"]),
            (On::Map, &["cannot read map of label fault/table", "is not in the store"]),
            (On::Pack, &["cannot fetch", "tried 1 times", "is not in the store http://127"]),
        ] {
            let expect = Expect::Final(Network, words);
            rows.push(row(on, When::Always, Fault::Status(line, &[]), expect));
        }
    }
    rows
}

/// Servers that say when to come again. That a long wait is cut short is held by the
/// unit test of the policy.
pub(crate) fn retry_after() -> Vec<Row> {
    let second = Duration::from_secs(1);
    let moment: &[&str] =
        &["date: Sun, 06 Nov 1994 08:49:37 GMT", "retry-after: Sun, 06 Nov 1994 08:49:38 GMT"];
    let mut rows = Vec::new();
    for on in On::ALL {
        for (line, headers) in [
            ("429 Too Many Requests", &["retry-after: 1"] as &[&str]),
            ("503 Service Unavailable", moment),
        ] {
            let fault = Fault::Status(line, headers);
            rows.push(row(on, When::Nth(1), fault, Expect::RightAfter(second)));
        }
    }
    for odd in [&["retry-after: soon"], &["retry-after: -5"], &["retry-after: 1e9"]] {
        let fault = Fault::Status("503 Service Unavailable", odd);
        rows.push(row(On::Pack, When::Nth(1), fault, Expect::Right));
    }
    rows
}

/// Lengths that are wrong, missing, doubled or never come true.
pub(crate) fn lengths() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut each = |framing, expect: fn(On) -> Expect| {
        let fault = Fault::Framing(framing);
        rows.extend(On::ALL.map(|on| row(on, When::Always, fault.clone(), expect(on))));
    };
    each(Framing::Doubled, |_| Expect::RightAtOnce);
    each(Framing::Close, |_| Expect::RightAtOnce);
    each(Framing::Chunked, |_| Expect::RightAtOnce);
    each(Framing::Surplus, |_| Expect::RightAtOnce);
    each(Framing::DoubledOther, |_| {
        Expect::Tired(Network, &["error sending request", "content-length"])
    });
    each(Framing::LengthText("-1"), |_| {
        Expect::Tired(Network, &["error sending request", "content-length"])
    });
    each(Framing::LengthText("many"), |_| {
        Expect::Tired(Network, &["error sending request", "content-length"])
    });
    each(Framing::LengthOff(-1), |on| match on {
        On::Label => Expect::Final(Verification, &["expected an end of the last line, found none"]),
        On::Map => Expect::Final(Verification, &["cannot read map", "check", "expected"]),
        On::Manifest | On::Pack => {
            Expect::Final(Network, &["expected Content-Length: ", ", found "])
        }
    });
    each(Framing::LengthOff(1), |on| match on {
        On::Label | On::Map => Expect::Tired(Network, &["expected ", " bytes, found "]),
        On::Manifest | On::Pack => {
            Expect::Final(Network, &["expected Content-Length: ", ", found "])
        }
    });
    each(Framing::LengthText("4611686018427387904"), |on| match on {
        On::Label | On::Map => {
            Expect::Final(Network, &["expected at most ", " bytes, found 4611686018427387904"])
        }
        On::Manifest | On::Pack => {
            Expect::Final(Network, &["expected Content-Length: ", "found 4611686018427387904"])
        }
    });
    each(Framing::ChunkedMore, |on| match on {
        On::Label => Expect::Final(Verification, &["cannot read label", "expected", "found"]),
        On::Map => Expect::Final(Verification, &["cannot read map", "check", "expected"]),
        On::Manifest | On::Pack => Expect::Final(Network, &["expected ", " bytes, found more"]),
    });
    each(Framing::Endless, |on| match on {
        On::Label | On::Map => Expect::Final(Network, &["expected at most ", " or more"]),
        On::Manifest | On::Pack => Expect::Final(Network, &["expected ", " bytes, found more"]),
    });
    for on in On::ALL {
        let open = Fault::Framing(Framing::ChunkedOpen);
        rows.push(row(on, When::Nth(1), open.clone(), Expect::Right));
        let expect = Expect::Tired(Network, &["nothing came for 2 s, after "]);
        rows.push(row(on, When::Always, open, expect));
        let other = Fault::Framing(Framing::DoubledOther);
        rows.push(row(on, When::Nth(1), other, Expect::Right));
    }
    rows
}

/// Heads that promise something else than was asked for.
pub(crate) fn heads() -> Vec<Row> {
    let mut rows = Vec::new();
    let gzip = Fault::Header(&["content-encoding: gzip", "vary: accept-encoding"]);
    let plain = Fault::Header(&["content-encoding: identity"]);
    for on in On::ALL {
        let expect = Expect::Final(Network, &["expected no content encoding, found gzip"]);
        rows.push(row(on, When::Always, gzip.clone(), expect));
        rows.push(row(on, When::Always, plain.clone(), Expect::RightAtOnce));
        let expect = Expect::Final(Network, &["found text/html: perhaps the page of a captive"]);
        rows.push(row(on, When::Always, Fault::Html(Some("text/html")), expect));
        let expect = match on {
            On::Label => Expect::Final(Verification, &["cannot read label", "expected"]),
            On::Map => Expect::Final(Verification, &["cannot read map", "magic", "<html><b"]),
            On::Manifest => {
                Expect::Final(Verification, &["cannot read manifest", "magic", "<html><b"])
            }
            On::Pack => Expect::Final(Network, &["expected ", "found "]),
        };
        rows.push(row(on, When::Always, Fault::Html(None), expect));
    }
    let unsaid = Expect::Final(Network, &["expected Content-Range: bytes ", "found none"]);
    for on in [On::Manifest, On::Pack] {
        let other = || Expect::Final(Network, &["expected Content-Range: bytes ", "found bytes "]);
        if on == On::Pack {
            rows.push(row(on, When::Always, Fault::RangeEarlier, other()));
        }
        rows.push(row(on, When::Always, Fault::RangeShorter, other()));
    }
    rows.push(row(On::Pack, When::Always, Fault::RangeUnsaid, unsaid));
    let expect = || Expect::Final(Network, &["expected status 200, found 206 Partial Content"]);
    for on in [On::Label, On::Map] {
        rows.push(row(on, When::Always, Fault::PartForWhole, expect()));
    }
    rows.push(row(On::Manifest, When::Always, Fault::WholeForRange, Expect::RightAtAnyCost));
    let first = When::Covering(store::pack::HEADER.len() as u64);
    rows.push(row(On::Pack, first, Fault::WholeForRange, Expect::RightAtAnyCost));
    let ranges = &["expected status 206 with bytes ", "the server does not do ranges"];
    let expect = Expect::Final(Network, ranges);
    rows.push(row(On::Pack, When::Always, Fault::WholeForRange, expect));
    rows
}

/// What is not, or not quite, HTTP.
pub(crate) fn protocol() -> Vec<Row> {
    let mut rows = Vec::new();
    for on in On::ALL {
        for raw in [b"\x15\x03\x03\x00\x02\x02\x16" as &[u8], b"220 ftp\r\n", b"<html>no</html>"] {
            let expect = Expect::Tired(Network, &["error sending request", "invalid HTTP"]);
            rows.push(row(on, When::Always, Fault::Raw(raw), expect));
            rows.push(row(on, When::Nth(1), Fault::Raw(raw), Expect::Right));
        }
        let hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        rows.push(row(on, When::Always, Fault::RawBefore(hints), Expect::RightAtOnce));
    }
    let endless = Fault::RawEndless(b"HTTP/1.1 200 OK\r\nx-a: b\r\nx-a: b\r\n");
    let expect = Expect::Tired(Network, &["error sending request"]);
    rows.push(row(On::Label, When::Always, endless, expect));
    let endless = Fault::RawEndless(b"HTTP/1.1 100 Continue\r\n\r\n");
    let expect = Expect::Tired(Network, &["nothing came for 2 s"]);
    rows.push(row(On::Label, When::Always, endless, expect));
    rows
}

/// Redirects that lead somewhere and that do not.
pub(crate) fn redirects() -> Vec<Row> {
    let mut rows = Vec::new();
    for on in On::ALL {
        rows.push(row(on, When::Always, Fault::RedirectOnce, Expect::RightAtOnce));
        for (fault, words) in [
            (
                Fault::RedirectLoop,
                &["expected at most 5 redirects within the scheme, found more redirects"] as &[_],
            ),
            (
                Fault::Status("301 Moved", &["location: https://127.0.0.1:1/"]),
                &["redirects within the scheme, found a redirect to https://127.0.0.1:1/"],
            ),
            (Fault::Status("302 Found", &["location: ftp://h/x"]), &["a redirect to ftp://h/x"]),
            (Fault::Status("302 Found", &[]), &["found 302 Found"]),
        ] {
            rows.push(row(on, When::Always, fault, Expect::Final(Network, words)));
        }
    }
    let nobody = Fault::Status("302 Found", &["location: http://127.0.0.1:1/"]);
    let expect = Expect::Tired(Network, &["Connection refused"]);
    rows.push(row(On::Label, When::Always, nobody, expect));
    rows
}

/// The store is replaced or restarted in the middle.
pub(crate) fn in_the_middle() -> Vec<Row> {
    let mut rows = Vec::new();
    for on in On::ALL {
        let mut restarted = row(on, When::Nth(1), Fault::Restart, Expect::Right);
        restarted.name = format!("store restarted, {on:?}");
        rows.push(restarted);
    }
    let gone: [(On, usize, &[&str]); 4] = [
        (On::Manifest, 1, &["cannot read manifest of label", "is not in the store"]),
        (On::Map, 1, &["cannot read map of label", "is not in the store"]),
        (On::Pack, 1, &["cannot fetch", "is not in the store"]),
        (On::Pack, 2, &["cannot fetch", "is not in the store"]),
    ];
    for (on, nth, words) in gone {
        let expect = Expect::Final(Network, words);
        let mut replaced = row(on, When::Nth(nth), Fault::Replace, expect);
        replaced.name = format!("label replaced and its old content gone, {on:?} {nth}");
        replaced.replaced = true;
        rows.push(replaced);
    }
    rows.push(two_at_once());
    rows
}

/// A cut, and an error when it is asked again.
fn two_at_once() -> Row {
    let cut = Fault::Break(At::After(300_000), How::Rst);
    let busy = Fault::Status("503 Service Unavailable", &[]);
    let rule = |nth, fault| Rule { on: On::Pack, when: When::Nth(nth), fault };
    let rules = vec![rule(1, cut.clone()), rule(2, busy.clone()), rule(3, cut), rule(4, busy)];
    let name = "cut, 503, cut, 503, Pack".to_owned();
    Row { name, rules, lie: None, expect: Expect::Right, replaced: false }
}
