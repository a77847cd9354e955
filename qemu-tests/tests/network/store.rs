//! H: the store over HTTP. The full matrix of answers is in deploy's `http_faults`; here is what is
//! another matter on a wire and with a machine's own stack.

use crate::case::{Bench, Case, ROUTER, Ran, dhcp};
use anyhow::{Result, ensure};
use qemu_tests::{Fault, Misbehaviour};
use std::time::Duration;
use wire::{Host, Manner, Port, Restart, Shelf};

/// Until a network that leads to no store is given up.
const SOON: &str = "inaugurator.net-timeout=6";

/// The longest object, bytes: what one cut may cost.
const OBJECT_BYTES: u64 = 64 << 10;

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut all = breaks(bench);
    all.extend(heads(bench));
    all.extend(mirrors(bench));
    all
}

fn breaks(bench: &Bench) -> Vec<Case> {
    let once = |name, path, fault| {
        Case { check: fetched_once, ..Case::of(name, bench) }
            .spoilt(vec![Misbehaviour::once(path, fault)])
    };
    let tear = |after_bytes| Fault::TearBody { after_bytes };
    vec![
        once("pack cut by FIN", "packs/", Fault::CutBody { after_bytes: 300_000 }),
        once("pack cut by RST", "packs/", tear(300_000)),
        once("pack cut by RST before its first byte", "packs/", tear(0)),
        once("label cut by RST", "labels/", tear(1)),
        once("manifest cut by FIN", "manifests/", Fault::CutBody { after_bytes: 100 }),
        once("map cut by RST", "maps/", tear(10)),
        Case::of("every connection torn once", bench)
            .spoilt(vec![Misbehaviour { times: 8, ..Misbehaviour::once("packs/", tear(200_000)) }]),
        once("label: silence instead of a head", "labels/", Fault::Silence),
        once("pack: silence in the head", "packs/", Fault::HalfHead),
        once("pack: silence in the body", "packs/", Fault::Stall { after_bytes: 300_000 }),
        once("connection closed instead of a head", "packs/", Fault::Hangup),
        Case::of("300 kB/s for each request", bench)
            .spoilt(vec![Misbehaviour::always("packs/", Fault::Slow(300_000))]),
        Case {
            says: &["KiB/s, slow, limit net"],
            ..Case::of("100 kB/s for each request", bench)
                .spoilt(vec![Misbehaviour::always("packs/", Fault::Slow(100_000))])
        },
        restarted(bench),
        Case {
            told: "inaugurator.net-timeout=6",
            ..Case::of("the label at a byte a second", bench)
                .spoilt(vec![Misbehaviour::always("labels/", Fault::Slow(1))])
        }
        .fails(&["eth0 does not reach the store", "nothing came for"]),
    ]
}

fn heads(bench: &Bench) -> Vec<Case> {
    let case =
        |name, path, fault| Case::of(name, bench).spoilt(vec![Misbehaviour::always(path, fault)]);
    let twice = |name, fault| {
        Case::of(name, bench)
            .spoilt(vec![Misbehaviour { times: 2, ..Misbehaviour::once("packs/", fault) }])
    };
    vec![
        Case {
            told: SOON,
            ..case("portal for everything", "", Fault::Portal).fails(&[
                "eth0 does not reach the store: http://10.77.0.1 answers with a page of HTML \
                 (a portal, or a proxy's own)",
            ])
        },
        Case {
            told: SOON,
            ..case("portal that does not say what it is", "", Fault::QuietPortal)
                .fails(&["http://10.77.0.1 answers with a page of HTML"])
        },
        Case {
            told: SOON,
            ..case("redirect to a login", "labels/", Fault::Redirect("https://login.lab/".into()))
                .fails(&["eth0 does not reach the store", "a redirect to https://login.lab/"])
        },
        portal_and_store(bench),
        case("portal for packs", "packs/", Fault::Portal)
            .fails(&["perhaps the page of a captive portal"]),
        case("gzip that a proxy added", "packs/", Fault::SaysGzip)
            .fails(&["expected no content encoding, found gzip"]),
        case("Content-Length too long", "packs/", Fault::WrongLength(99_999_999))
            .fails(&["expected Content-Length:", "found 99999999"]),
        case("Content-Length too short", "packs/", Fault::WrongLength(7))
            .fails(&["expected Content-Length:", "found 7"]),
        case("no Content-Length", "", Fault::NoLength),
        case("two Content-Lengths", "packs/", Fault::TwoLengths).fails(&["content-length"]),
        case("another Content-Range", "packs/", Fault::OtherRange)
            .fails(&["expected Content-Range: bytes"]),
        case("200 for a range", "packs/", Fault::IgnoreRange)
            .fails(&["status 200: the server does not do ranges"]),
        case("404 for packs", "packs/", Fault::Status(404)).fails(&["is not in the store"]),
        case("403 for the label", "labels/", Fault::Status(403)).fails(&["403 Forbidden"]),
        case("400 for packs", "packs/", Fault::Status(400)).fails(&["found 400 Bad Request"]),
        case("401 for packs", "packs/", Fault::Status(401)).fails(&["found 401 Unauthorized"]),
        twice("500 twice", Fault::Status(500)),
        twice("502 twice", Fault::Status(502)),
        twice("504 twice", Fault::Status(504)),
        twice("429 with Retry-After", Fault::Later { status: 429, after_s: 3 }),
        twice("503 with Retry-After", Fault::Later { status: 503, after_s: 3 }),
        Case::of("503 three times", bench).spoilt(vec![Misbehaviour {
            times: 3,
            ..Misbehaviour::once("packs/", Fault::Status(503))
        }]),
        Case {
            says: &["1 of the pieces came wrong once, right the second time"],
            ..Case::of("a bit of a pack flipped once", bench)
                .spoilt(vec![Misbehaviour::once("packs/", flip())])
        },
        case("a bit of a pack flipped always", "packs/", flip()).fails(&[
            "write: FAILED: object",
            "expected",
            "found",
        ]),
        Case {
            told: SOON,
            ..case("redirects without end", "labels/", Fault::Redirect("/labels/lab__small".into()))
                .fails(&["at most 5 redirects"])
        },
    ]
}

fn flip() -> Fault {
    Fault::FlipBit { offset: 1_000_000 }
}

/// After label, manifest and map, in the middle of a pack.
fn restarted(bench: &Bench) -> Case {
    let case = Case::of("store restarted in the middle", bench).spoilt(vec![Misbehaviour {
        times: 2,
        ..Misbehaviour::once("packs/", Fault::Slow(200_000))
    }]);
    case.shelf.restarts(Restart { after_requests: 8, off_for: Duration::from_secs(3) });
    case
}

/// The first card is in a network where a portal answers for everybody.
fn portal_and_store(bench: &Bench) -> Case {
    let [portal, good] = [1, 0].map(|segment| Port { segment, ..Port::default() });
    let mut case = Case {
        says: &[
            "eth0 does not reach the store: http://10.77.0.1 answers with a page of HTML",
            "eth1 has lease 10.77.0.100/24",
        ],
        ..Case::of("portal before one card, the store before another", bench).on([portal, good])
    };
    let guests = Shelf::of(bench.store(), vec![Misbehaviour::always("", Fault::Portal)]);
    case.network.stations.push((1, dhcp().into()));
    case.network.stations.push((1, Host::at(ROUTER).serving(guests).into()));
    // The network with the store is the slower one.
    let thinks_for = Duration::from_millis(1500);
    case.leased_by([dhcp().behaving(Manner { thinks_for, ..Manner::default() })])
}

fn mirrors(bench: &Bench) -> Vec<Case> {
    let pair = |name, faults| {
        let mut case = Case { url: "http://10.77.0.3,http://10.77.0.1", ..Case::of(name, bench) };
        let near = Shelf::of(bench.store(), faults);
        case.network.stations.push((0, Host::at([10, 77, 0, 3].into()).serving(near).into()));
        case
    };
    let packs = |fault| vec![Misbehaviour::always("packs/", fault)];
    vec![
        Case {
            says: &["not all from http://10.77.0.3"],
            ..pair("one mirror corrupt", packs(Fault::FlipBit { offset: 1_000_000 }))
        },
        Case {
            says: &["not all from http://10.77.0.3"],
            ..pair("one mirror at 1 kB/s", packs(Fault::Slow(1000)))
        },
        pair("one mirror cut again and again", packs(Fault::CutBody { after_bytes: 100_000 })),
        Case {
            url: "http://10.77.0.9,http://10.77.0.1",
            ..Case::of("one mirror that is off", bench)
        },
    ]
}

/// Of what was fetched, no more than an object came twice.
fn fetched_once(ran: &Ran) -> Result<()> {
    let mut packs: Vec<_> = ran.served.iter().filter(|s| s.path.starts_with("/packs/")).collect();
    packs.sort_by_key(|served| (&served.path, served.start));
    let (mut twice, mut last) = (0, ("", 0));
    for served in packs {
        let end = served.start + served.bytes;
        let covered = if last.0 == served.path { last.1 } else { 0 };
        twice += covered.min(end).saturating_sub(served.start);
        last = (&served.path, covered.max(end));
    }
    ensure!(twice <= OBJECT_BYTES, "{twice} bytes were fetched twice");
    Ok(())
}
