//! Firmware that drivers asked for and that the image does not have, by the kernel's log.

use std::collections::BTreeSet;

use crate::kmsg;

/// Files told of at most, over all devices.
const FILES_MAX: usize = 64;

/// Longest name of a file that is told, characters.
const NAME_MAX: usize = 80;

/// What the kernel says of a file that is not there (`_request_firmware` in
/// `drivers/base/firmware_loader/main.c`), after the driver and the device.
const FAILED: (&str, &str) = ("Direct firmware load for ", " failed with error ");

/// Of the devices at `places`, such as `0000:00:03.0`, each with a file that it misses, once.
pub(crate) fn firmware_missing(places: &BTreeSet<&str>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let take = |record: &str| {
        if let Some(missing) = missing(record, places)
            && found.len() < FILES_MAX
            && !found.contains(&missing)
        {
            found.push(missing);
        }
    };
    // Without a log nothing is known to be missing.
    let _ = kmsg::records(take);
    found
}

/// The device and the file of one record, if it is such a one.
fn missing(record: &str, places: &BTreeSet<&str>) -> Option<(String, String)> {
    let (_, text) = record.split_once(';')?;
    let (device, rest) = text.lines().next()?.split_once(FAILED.0)?;
    let (file, _) = rest.split_once(FAILED.1)?;
    // `bnx2 0000:02:00.0: `: a place has colons of its own.
    let place = device.split_once(' ')?.1.trim().trim_end_matches(':');
    let file = file.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
    places.contains(place).then(|| (place.to_owned(), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_which_file_was_not_there() {
        let places = BTreeSet::from(["0000:02:00.0", "1-1:1.0"]);
        let found = |place: &str, file: &str| Some((place.to_owned(), file.to_owned()));
        let table = [
            (
                "4,512,1093345,-;bnx2 0000:02:00.0: Direct firmware load for \
                 bnx2/bnx2-mips-09-6.2.1b.fw failed with error -2\n SUBSYSTEM=pci\n",
                found("0000:02:00.0", "bnx2/bnx2-mips-09-6.2.1b.fw"),
            ),
            (
                "4,1,1,-;r8152 1-1:1.0: Direct firmware load for rtl_nic/rtl8153a-4.fw failed with \
                 error -2",
                found("1-1:1.0", "rtl_nic/rtl8153a-4.fw"),
            ),
            (
                "4,1,1,-;tg3 0000:03:00.0: Direct firmware load for tigon/tg3.bin failed with error -2",
                None,
            ),
            ("4,1,1,-;bnx2 0000:02:00.0: Direct firmware load for x", None),
            ("6,1,1,-;bnx2 0000:02:00.0 eth0: NIC Link is Up", None),
            ("", None),
        ];
        for (record, expected) in table {
            assert_eq!(missing(record, &places), expected, "{record}");
        }
    }
}
