use super::*;

fn facts() -> Facts {
    Facts {
        nics: vec!["eth0 52:54:00:12:34:56 virtio0 1af4:1000 virtio_net carrier: carrier".into()],
        cards: Vec::new(),
        disks: vec!["/dev/vda 8.5 GB virtio: blank".into()],
        driverless: Vec::new(),
        memory_bytes: 494_444_544,
        memory_free_bytes: 441_581_568,
        clock_unix_s: 1_795_304_459,
        up_ms: 12_345,
        kernel: "6.12.90".into(),
        version: "0.1.0".into(),
        events: vec!["[    2.001] init: hello".into(), "[    3.002] net: eth0 has carrier".into()],
    }
}

fn report() -> Report {
    Report {
        stage: "label".into(),
        category: "network".into(),
        causes: vec![
            "cannot read label record debian/12/demo from http://10.0.2.2:8080/store".into(),
            "connection refused".into(),
        ],
        attempt: 2,
        facts: facts(),
    }
}

#[test]
fn a_failure_on_one_screen() {
    let expected = "\
== FAILED: label (attempt 2) == Linux 6.12.90 =================================
cannot read label record debian/12/demo from http://10.0.2.2:8080/store
because: connection refused
-------------------------------------------------------------------------------
NIC  eth0 52:54:00:12:34:56 virtio0 1af4:1000 virtio_net carrier: carrier
disk /dev/vda 8.5 GB virtio: blank
RAM  441.5 MB free of 494.4 MB, clock 2026-11-21 23:40:59 UTC, up 12.3 s
last events:
  [    2.001] init: hello
  [    3.002] net: eth0 has carrier
";
    assert_eq!(screen(&report()), expected);
}

#[test]
fn much_is_cut_to_80_by_24_and_steers_no_terminal() {
    let many = |word: &str| {
        (0..100).map(|n| format!("{word}{n} {}", "long ".repeat(40))).collect::<Vec<_>>()
    };
    let facts = Facts {
        nics: many("eth"),
        disks: many("sd"),
        driverless: many("\x1b[2Jstorage "),
        events: many("event"),
        ..facts()
    };
    let report = Report { causes: many("cause"), facts, ..report() };
    let text = screen(&report);
    assert_eq!(text.lines().count(), HEIGHT);
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    assert!(!text.contains('\x1b'));
    for part in
        ["NIC  and 98 more", "disk and 98 more", "?    and 99 more", "more rows)", "  event99 "]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn nothing_at_all_still_says_so() {
    let text = screen(&Report::default());
    assert!(text.contains("NIC  none: no driver, or no card\ndisk none: no driver, or no disk\n"));
}

#[test]
fn json_says_the_same() {
    let expected = "{\"stage\":\"label\",\"category\":\"network\",\"causes\":[\"cannot read label record debian/12/demo from \
        http://10.0.2.2:8080/store\",\"connection refused\"],\"attempt\":2,\"nics\":[\"eth0 52:54:00:12:34:56 \
        virtio0 1af4:1000 virtio_net carrier: carrier\"],\"cards\":[],\"disks\":[\"/dev/vda 8.5 GB virtio: blank\"],\
        \"driverless\":[],\"memory_bytes\":494444544,\"memory_free_bytes\":441581568,\"clock_unix_s\":1795304459,\
        \"up_ms\":12345,\"kernel\":\"6.12.90\",\"version\":\"0.1.0\",\"events\":[\"[    2.001] init: hello\",\
        \"[    3.002] net: eth0 has carrier\"]}";
    assert_eq!(json(&report()), expected);
}

#[test]
fn causes_are_a_chain_without_repetition() {
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Link>>);
    let inner = Link("refused", None);
    let middle = Link("cannot connect: refused", Some(Box::new(inner)));
    let outer = Link("no label", Some(Box::new(middle)));
    assert_eq!(causes(&outer), ["no label", "cannot connect: refused"]);
}

#[test]
fn long_lines_are_broken_at_blanks() {
    assert_eq!(wrap("short", WIDTH), ["short"]);
    let rows = wrap(&format!("  /dev/vda {}", "word ".repeat(30).trim()), WIDTH);
    assert_eq!(rows.len(), 3);
    assert!(rows[0].starts_with("  /dev") && rows[1].starts_with("    word"));
    assert_eq!(wrap(&"x".repeat(100), WIDTH).len(), 1);
}
