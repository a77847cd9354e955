//! The line that is said every few seconds: for what, and for how long.

use std::time::Duration;

use crate::net::nic::Nic;

/// Characters for all cards: with what stands around them a line of a console's twice 80 columns.
const CARDS_MAX: usize = 150;

/// Characters for what one of several cards has heard.
const HEARD_MAX: usize = 60;

/// The line about `nics`, when so much time is `left`. Those with carrier come first, since something
/// may be heard there; what does not fit is counted.
pub(super) fn waiting(nics: &[Nic], left: Duration) -> String {
    let (with, without): (Vec<&Nic>, Vec<&Nic>) = nics.iter().partition(|nic| nic.carrier);
    let mut told: Vec<String> = Vec::new();
    let mut used = 0;
    for nic in with.iter().chain(&without) {
        let text = format!("{} ({})", nic.name, heard(nic, nics.len() > 1));
        let length = text.chars().count() + 2;
        if !told.is_empty() && used + length > CARDS_MAX {
            break;
        }
        used += length;
        told.push(text);
    }
    let cards = match (told.len(), nics.len() - told.len()) {
        (0, _) => "a network card".to_owned(),
        (_, 0) => told.join(", "),
        (_, more) => format!("{} and {more} more", told.join(", ")),
    };
    format!("waiting for {cards}; {} s left", left.as_secs())
}

/// What a card has heard last: what was before it is in the table, should it come to that.
fn heard(nic: &Nic, is_one_of_several: bool) -> String {
    let most = if is_one_of_several { HEARD_MAX } else { CARDS_MAX };
    let count = nic.heard.chars().count();
    if count <= most {
        return nic.heard.clone();
    }
    let cut: String = nic.heard.chars().take(most - 3).collect();
    format!("{}...", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(index: u32, carrier: bool, heard: &str) -> Nic {
        Nic {
            name: format!("eth{index}"),
            index,
            mac: "52:54:00:12:34:56".parse().unwrap(),
            bus: String::new(),
            pci_id: None,
            driver: None,
            is_up: true,
            carrier,
            speed_mbps: None,
            full_duplex: None,
            neighbor: None,
            heard: heard.into(),
        }
    }

    const ASKING: &str = "carrier up 31.0 s, 11 DISCOVER sent, no answer; 9 router solicitations sent, \
                          no answer";

    #[test]
    fn what_is_waited_for_and_how_long() {
        let left = Duration::from_secs(57);
        let table = [
            (vec![], "waiting for a network card; 57 s left"),
            (vec![nic(0, false, "no carrier")], "waiting for eth0 (no carrier); 57 s left"),
            (
                vec![nic(0, false, "no carrier"), nic(1, true, ASKING)],
                "waiting for eth1 (carrier up 31.0 s, 11 DISCOVER sent, no answer; 9 router...), eth0 \
                 (no carrier); 57 s left",
            ),
        ];
        for (nics, expected) in table {
            assert_eq!(waiting(&nics, left), expected);
        }
    }

    #[test]
    fn eight_cards_fit_a_line() {
        let long = "heard this and that, ".repeat(20);
        for heard in [ASKING, long.as_str(), "no carrier"] {
            for carrier in [false, true] {
                let nics: Vec<Nic> = (0..8).map(|index| nic(index, carrier, heard)).collect();
                let line = waiting(&nics, Duration::from_hours(24));
                assert!(line.len() < 200, "{line}");
                assert!(line.contains(" more; 86400 s left"), "{line}");
            }
        }
        let alone = waiting(&[nic(0, true, &long)], Duration::ZERO);
        assert!(alone.len() < 200, "{alone}");
    }
}
