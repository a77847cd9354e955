//! The one disk that the operator means, or why there is none.

use std::fmt;

use super::carriers::carries_store;
use super::wipe::in_use_by;
use super::{DeviceNumber, Disk, Predicates};

/// Why no disk was chosen. Lists every disk with its reason, one per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The kernel shows no disk at all.
    #[error("this machine has no disk: the kernel shows none (is a driver missing?)")]
    NoDisks,
    /// There are disks, and none will do.
    #[error("no disk matches {wanted}:{}", Lines(.refused))]
    NoneMatches {
        /// What was asked for.
        wanted: String,
        /// Each disk with why not.
        refused: Vec<String>,
    },
    /// More than one will do.
    #[error(
        "{} disks match {wanted}; name one of them with inaugurator.disk=:{}",
        .matching.len(),
        Lines(.matching)
    )]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Each disk that matches.
        matching: Vec<String>,
    },
}

/// Lines below a sentence, indented.
struct Lines<'a>(&'a [String]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Chooses the disk among `disks` that all of `wanted` match; exactly one may.
///
/// Never one that is empty, read-only, in use, `booted_from`, a medium that carries a store, or removable (a
/// removable one may be asked for by `removable=yes` or by its exact path). Nor one that did not
/// answer: where it could be the one that is meant, none is chosen in its place.
pub fn select<'a>(
    disks: &'a [Disk],
    wanted: &Predicates,
    booted_from: Option<DeviceNumber>,
) -> Result<&'a Disk, SelectError> {
    let reasons = |disk: &Disk| {
        let mut reasons = unfit(disk, wanted, booted_from);
        reasons.extend(wanted.mismatches(disk));
        reasons
    };
    let why_not = |disk: &Disk| {
        let silent = disk.contents.unreadable.clone().filter(|_| disk.contents.is_silent);
        silent.into_iter().chain(reasons(disk)).collect::<Vec<_>>().join("; ")
    };
    let matching: Vec<&Disk> = disks.iter().filter(|disk| reasons(disk).is_empty()).collect();
    match matching.as_slice() {
        [disk] if !disk.contents.is_silent => Ok(disk),
        [] if disks.is_empty() => Err(SelectError::NoDisks),
        [] | [_] => Err(SelectError::NoneMatches {
            wanted: wanted.to_string(),
            refused: disks.iter().map(|disk| format!("{disk}: {}", why_not(disk))).collect(),
        }),
        several => Err(SelectError::Ambiguous {
            wanted: wanted.to_string(),
            matching: several.iter().map(|disk| format!("{disk}: {}", disk.contents)).collect(),
        }),
    }
}

/// What rules a disk out whatever the operator asks for.
fn unfit(disk: &Disk, wanted: &Predicates, booted_from: Option<DeviceNumber>) -> Vec<String> {
    let table = [
        (disk.size_bytes == 0, "no medium in it"),
        (disk.read_only, "read-only"),
        (booted_from == Some(disk.number), "this machine was booted from it"),
        (carries_store(disk), "it is a medium that carries a store (file system INAUG-STORE)"),
        (disk.removable && !wanted.allows_removable(), "removable, and removable=yes is not said"),
    ];
    let mut reasons: Vec<String> =
        table.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why.to_string()).collect();
    reasons.extend(in_use_by(disk));
    reasons
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::disk;
    use super::super::{Contents, Signature, Transport};
    use super::*;

    fn chosen<'a>(disks: &'a [Disk], wanted: &str) -> Result<&'a str, String> {
        let wanted = Predicates::parse(wanted).unwrap();
        let booted = Some(DeviceNumber { major: 8, minor: 16 });
        select(disks, &wanted, booted).map(|disk| disk.path.as_str()).map_err(|e| e.to_string())
    }

    fn machine() -> Vec<Disk> {
        let nvme = Disk {
            transport: Transport::Nvme,
            model: "Fast One".into(),
            serial: "ABC123".into(),
            size_bytes: 500_107_862_016,
            ..disk("nvme0n1")
        };
        let stick = Disk {
            transport: Transport::Usb,
            removable: true,
            number: DeviceNumber { major: 8, minor: 16 },
            ..disk("sdb")
        };
        vec![disk("vda"), nvme, stick, Disk { size_bytes: 0, removable: true, ..disk("sdc") }]
    }

    #[test]
    fn the_only_disk_needs_no_predicate() {
        assert_eq!(chosen(&[disk("vda")], ""), Ok("/dev/vda"));
        assert_eq!(chosen(&machine(), "transport=nvme"), Ok("/dev/nvme0n1"));
        assert_eq!(chosen(&machine(), "size>=100G,serial=ABC*"), Ok("/dev/nvme0n1"));
        assert_eq!(chosen(&machine(), "/dev/vda"), Ok("/dev/vda"));
    }

    #[test]
    fn two_disks_are_refused_and_listed() {
        assert_eq!(
            chosen(&machine(), "").unwrap_err(),
            "2 disks match any disk; name one of them with inaugurator.disk=:\n  \
             /dev/vda 8.5 GB virtio: blank\n  \
             /dev/nvme0n1 500.1 GB nvme Fast One serial ABC123: blank"
        );
    }

    #[test]
    fn each_disk_says_why_not() {
        assert_eq!(
            chosen(&machine(), "model=Slow*").unwrap_err(),
            "no disk matches model=Slow*:\n  \
             /dev/vda 8.5 GB virtio: model is \"\", wanted model=Slow*\n  \
             /dev/nvme0n1 500.1 GB nvme Fast One serial ABC123: model is \"Fast One\", wanted model=Slow*\n  \
             /dev/sdb 8.5 GB usb: this machine was booted from it; removable, and removable=yes is \
             not said; model is \"\", wanted model=Slow*\n  \
             /dev/sdc 0 B virtio: no medium in it; removable, and removable=yes is not said; \
             model is \"\", wanted model=Slow*"
        );
        assert_eq!(
            chosen(&[], "").unwrap_err(),
            "this machine has no disk: the kernel shows none (is a driver missing?)"
        );
    }

    #[test]
    fn removable_wants_to_be_named_and_used_is_never_chosen() {
        let card = Disk { removable: true, ..disk("mmcblk0") };
        assert!(chosen(std::slice::from_ref(&card), "").is_err());
        assert!(chosen(std::slice::from_ref(&card), "path=/dev/mmc*").is_err());
        assert_eq!(chosen(std::slice::from_ref(&card), "removable=yes"), Ok("/dev/mmcblk0"));
        assert_eq!(chosen(std::slice::from_ref(&card), "/dev/mmcblk0"), Ok("/dev/mmcblk0"));
        for disk in [
            Disk { mounted: true, ..disk("vda") },
            Disk { read_only: true, ..disk("vda") },
            Disk { holders: vec!["dm-0".into()], ..disk("vda") },
        ] {
            assert!(chosen(&[disk], "/dev/vda").is_err());
        }
    }

    #[test]
    fn a_medium_with_a_store_is_never_chosen_whatever_is_said() {
        let store = Signature { kind: "ext4", label: "INAUG-STORE".into(), id: String::new() };
        let stick = Disk {
            contents: Contents { whole: Some(store), ..Contents::default() },
            removable: true,
            ..disk("sdb")
        };
        for wanted in ["/dev/sdb", "removable=yes", "label=INAUG-STORE", ""] {
            let refused = chosen(std::slice::from_ref(&stick), wanted).unwrap_err();
            assert!(refused.contains("it is a medium that carries a store"), "{refused}");
        }
    }

    #[test]
    fn a_disk_that_did_not_answer_is_not_chosen_nor_replaced_by_another() {
        let silent =
            |name| Disk { contents: Contents::silent(Duration::from_secs(10)), ..disk(name) };
        let disks = [Disk { serial: "S1".into(), ..disk("vda") }, silent("vdb")];
        assert_eq!(chosen(&disks, "serial=S1"), Ok("/dev/vda"));
        assert_eq!(chosen(&disks, "/dev/vda"), Ok("/dev/vda"));
        assert_eq!(
            chosen(&disks, "").unwrap_err(),
            "2 disks match any disk; name one of them with inaugurator.disk=:\n  \
             /dev/vda 8.5 GB virtio serial S1: blank\n  \
             /dev/vdb 8.5 GB virtio: did not answer in 10 s"
        );
        assert_eq!(
            chosen(&[silent("vda")], "").unwrap_err(),
            "no disk matches any disk:\n  /dev/vda 8.5 GB virtio: did not answer in 10 s"
        );
    }

    #[test]
    fn data_does_not_hide_a_disk_from_the_choice() {
        let used = Disk { contents: Contents::default(), ..disk("vda") };
        assert_eq!(chosen(&[used], ""), Ok("/dev/vda"));
    }
}
