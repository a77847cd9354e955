use proptest::prelude::*;

use super::*;

const TEXT: &str = "inaug-modules\t2\t6.1.0-56-cloud-amd64
m\tfailover\t/lib/modules/6.1.0-56-cloud-amd64/kernel/net/core/failover.ko\t
m\tnet_failover\t/lib/modules/6.1.0-56-cloud-amd64/kernel/drivers/net/net_failover.ko\tfailover
m\tvirtio_net\t/lib/modules/6.1.0-56-cloud-amd64/kernel/drivers/net/virtio_net.ko\tfailover,net_failover
a\tvirtio:d00000001v*\tvirtio_net
l\tfailover
z\tvirtio_net
";

#[test]
fn reads_and_writes_the_same_text() {
    let table = Table::parse(TEXT).unwrap();
    assert_eq!(table.kernel, "6.1.0-56-cloud-amd64");
    assert_eq!(table.modules["virtio_net"].depends, ["failover", "net_failover"]);
    assert_eq!(table.always, ["failover"]);
    assert_eq!(table.last, ["virtio_net"]);
    assert_eq!(table.encode(), TEXT);
}

#[test]
fn finds_what_a_device_needs_in_load_order() {
    let table = Table::parse(TEXT).unwrap();
    assert_eq!(table.for_modalias("virtio:d00000001v00001AF4"), ["virtio_net"]);
    assert_eq!(table.for_modalias("virtio:d00000002v00001AF4"), [""; 0]);
    let names = |name| table.load_order(name).into_iter().map(|m| m.0).collect::<Vec<_>>();
    assert_eq!(names("virtio_net"), ["failover", "net_failover", "virtio_net"]);
    assert_eq!(names("e1000"), [""; 0]);
}

#[test]
fn patterns() {
    let ahci = "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01";
    let cases = [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abcb", false),
        ("a*b*c", "aXbYbZc", true),
        ("*aab", "aaaab", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("a[bc]d", "acd", true),
        ("a[bc]d", "aed", false),
        ("a[0-9A-F]d", "aEd", true),
        ("a[!0-9]d", "a5d", false),
        ("a[^0-9]d", "axd", true),
        ("a[]]d", "a]d", true),
        ("a[-x]d", "a-d", true),
        ("a[b", "a[b", true),
        ("a[b", "ab", false),
        // kmod's rule, and not inside brackets.
        ("crypto-crc32c", "crypto_crc32c", true),
        ("a[_]b", "a-b", false),
        // Lines of Debian's modules.alias with the modalias of QEMU's devices.
        ("pci:v*d*sv*sd*bc01sc06i01*", ahci, true),
        ("pci:v00008086d00002922sv*sd*bc*sc*i*", ahci, true),
        ("pci:v00008086d00002923sv*sd*bc*sc*i*", ahci, false),
        ("pci:v*d*sv*sd*bc01sc08i02*", ahci, false),
        ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
        ("acpi*:QEMU0002:*", "acpi:QEMU0002:", true),
        ("scsi:t-0x00*", "scsi:t-0x00", true),
        (
            "usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*",
            "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00",
            true,
        ),
    ];
    for (pattern, modalias, expected) in cases {
        assert_eq!(matches(pattern, modalias), expected, "{pattern} on {modalias}");
    }
}

#[test]
fn many_stars_do_not_explode() {
    let pattern = "*a".repeat(2000) + "b";
    assert!(!matches(&pattern, &"a".repeat(20_000)));
}

#[test]
fn refusals_name_the_line() {
    let head = "inaug-modules\t2\t6.1\n";
    let cases = [
        (
            String::new(),
            "module table: expected a first line `inaug-modules 2 <kernel>`, found \"\"",
        ),
        (
            "inaug-modules\t3\t6.1\n".into(),
            "module table: expected a first line `inaug-modules 2 <kernel>`, \
             found \"inaug-modules\\t3\\t6.1\"",
        ),
        (
            head.to_owned() + "x\ty\n",
            "module table, line 2: expected m, a, l or z, found \"x\\ty\"",
        ),
        (
            head.to_owned() + "m\ta\tb.ko\t\n",
            "module table, line 2: expected m, a, l or z, found \"m\\ta\\tb.ko\\t\"",
        ),
        (
            head.to_owned() + "l\tnvme\n",
            "module table: \"nvme\" is referred to but not in the archive",
        ),
        (" ".repeat(MAX_BYTES + 1), "module table: expected at most 8388608 bytes, found 8388609"),
    ];
    for (text, expected) in cases {
        assert_eq!(Table::parse(&text).unwrap_err().to_string(), expected);
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "[mal\t\n/,a-c]{0,200}") {
        let text = format!("{MAGIC}\t{VERSION}\tk\n{text}");
        if let Ok(table) = Table::parse(&text) {
            prop_assert_eq!(Table::parse(&table.encode()).unwrap(), table);
        }
    }

    #[test]
    fn a_text_matches_itself_and_a_star(text in "[ -Z_a-z]{0,40}") {
        let literal = text.replace(['*', '?'], "x");
        prop_assert!(matches(&literal, &literal));
        prop_assert!(matches("*", &text));
    }
}
