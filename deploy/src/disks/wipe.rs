//! The interlock: never a disk with data that is not ours, unless the operator names it.

use store::Digest;

use super::{Disk, size_text};

/// Why a disk may not be overwritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something is using the disk.
    #[error("{path} is in use ({by}): release it first")]
    InUse {
        /// The disk.
        path: String,
        /// What uses it.
        by: String,
    },
    /// The disk holds data and no token was given.
    #[error(
        "{path} ({size}) holds data that is not ours: {contents}; \
         to overwrite it, say inaugurator.wipe={token}"
    )]
    HoldsData {
        /// The disk.
        path: String,
        /// Its size as text.
        size: String,
        /// What is on it.
        contents: String,
        /// The token that allows it.
        token: String,
    },
    /// The disk holds data and the token given is of another disk, or of what
    /// was on this one before.
    #[error(
        "{path} ({size}) holds data that is not ours: {contents}; inaugurator.wipe={given} \
         names another disk or other contents, this is {token}"
    )]
    OtherToken {
        /// The disk.
        path: String,
        /// Its size as text.
        size: String,
        /// What is on it.
        contents: String,
        /// The token as given.
        given: String,
        /// The token of this disk.
        token: String,
    },
}

/// Says whether `disk` may be overwritten.
///
/// `ours` is the engine's word that the disk holds a label of ours, or an
/// unfinished deployment of one. A blank disk may always be written, a used one
/// never. `wipe` is what the operator said in `inaugurator.wipe=`.
pub fn may_overwrite(disk: &Disk, ours: bool, wipe: Option<&str>) -> Result<(), Refusal> {
    if let Some(by) = in_use_by(disk) {
        return Err(Refusal::InUse { path: disk.path.clone(), by });
    }
    let token = wipe_token(disk);
    if ours || disk.contents.is_blank() || wipe == Some(token.as_str()) {
        return Ok(());
    }
    let (path, size) = (disk.path.clone(), size_text(disk.size_bytes));
    let contents = disk.contents.to_string();
    Err(match wipe {
        None => Refusal::HoldsData { path, size, contents, token },
        Some(given) => Refusal::OtherToken { path, size, contents, given: given.into(), token },
    })
}

/// Who uses the disk, if anyone.
pub(super) fn in_use_by(disk: &Disk) -> Option<String> {
    match (disk.holders.as_slice(), disk.mounted) {
        ([], false) => None,
        ([], true) => Some("mounted".into()),
        (holders, _) => Some(format!("held by {}", holders.join(", "))),
    }
}

/// The token that names this disk with what it holds now: eight hex digits.
///
/// Made of what stays the same between boots (serial, world wide name, model,
/// size, identities of the table and file systems), so it can be put on a kernel
/// command line; it changes when the disk gets a new table or file systems, so
/// that an old token left in a boot entry does not wipe new data.
pub fn wipe_token(disk: &Disk) -> String {
    let facts = [
        disk.serial.as_str(),
        &disk.wwn,
        &disk.model,
        &disk.size_bytes.to_string(),
        &disk.contents.identity(),
    ];
    let mut token = Digest::of(facts.join("\n").as_bytes()).short();
    token.truncate(8);
    token
}

#[cfg(test)]
mod tests {
    use super::super::tests::disk;
    use super::super::{Contents, Signature};
    use super::*;

    fn used() -> Disk {
        let whole = Signature { kind: "ext4", label: "data".into(), id: "0a0b".into() };
        Disk { contents: Contents { whole: Some(whole), ..Contents::default() }, ..disk("vda") }
    }

    #[test]
    fn blank_and_our_own_disks_are_written_without_a_word() {
        assert_eq!(may_overwrite(&disk("vda"), false, None), Ok(()));
        assert_eq!(may_overwrite(&used(), true, None), Ok(()));
    }

    #[test]
    fn data_wants_the_token_that_the_refusal_prints() {
        let token = wipe_token(&used());
        let refused = may_overwrite(&used(), false, None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "/dev/vda (8.5 GB) holds data that is not ours: ext4 \"data\"; \
                 to overwrite it, say inaugurator.wipe={token}"
            )
        );
        assert_eq!(may_overwrite(&used(), false, Some(&token)), Ok(()));
        let refused = may_overwrite(&used(), false, Some("yes")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "/dev/vda (8.5 GB) holds data that is not ours: ext4 \"data\"; inaugurator.wipe=yes \
                 names another disk or other contents, this is {token}"
            )
        );
    }

    #[test]
    fn a_used_disk_is_never_written() {
        let mounted = Disk { mounted: true, ..disk("vda") };
        let held = Disk { holders: vec!["dm-0".into(), "md1".into()], ..disk("vda") };
        let token = wipe_token(&held);
        for (disk, expected) in [
            (mounted, "/dev/vda is in use (mounted): release it first"),
            (held, "/dev/vda is in use (held by dm-0, md1): release it first"),
        ] {
            let refused = may_overwrite(&disk, true, Some(&token)).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
    }

    #[test]
    fn token_names_disk_and_contents_not_the_boot() {
        let token = wipe_token(&used());
        assert_eq!(token.len(), 8);
        let next_boot = Disk { path: "/dev/vdb".into(), name: "vdb".into(), diskseq: 9, ..used() };
        assert_eq!(wipe_token(&next_boot), token);
        for other in [
            Disk { serial: "x".into(), ..used() },
            Disk { size_bytes: 1, ..used() },
            Disk { contents: Contents::default(), ..used() },
        ] {
            assert_ne!(wipe_token(&other), token);
        }
    }
}
