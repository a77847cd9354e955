//! What a machine says of itself when it asks for its script.

use super::identity::Identity;
use super::words;

/// A machine that asks, by the query of its request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Who it is, in the order in which it is looked up: a card before the board it is on.
    pub(crate) identities: Vec<Identity>,
    manufacturer: String,
    product: String,
    /// `x86_64/efi` and the like.
    platform: String,
}

impl Asked {
    /// Reads a query; `None` if it says nothing of who asks, as in the first request of all.
    ///
    /// What is empty, no right word, or the same in many machines was not filled in by the firmware, and is passed over.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let mut asked = Self::default();
        let (mut mac, mut uuid, mut serial) = (None, None, None);
        let mut is_machine = false;
        // To forms a + is a blank, to iPXE it is a plus.
        let query = query.replace('+', "%2B");
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            match &*key {
                "mac" => mac = value.parse().ok().map(Identity::Mac),
                "uuid" => uuid = value.parse().ok().map(Identity::Uuid),
                "serial" => serial = Identity::serial(value).ok(),
                "manufacturer" => asked.manufacturer = words::shown(value),
                "product" => asked.product = words::shown(value),
                "buildarch" => asked.platform = words::shown(value),
                "platform" => {
                    asked.platform = format!("{}/{}", asked.platform, words::shown(value));
                }
                _ => {}
            }
            is_machine |= matches!(&*key, "mac" | "uuid" | "serial");
        }
        asked.identities = [mac, uuid, serial].into_iter().flatten().collect();
        is_machine.then_some(asked)
    }

    /// Who asks, as text that may be shown.
    pub(crate) fn who(&self) -> String {
        let mut all: Vec<_> =
            self.identities.iter().map(|one| words::shown(&one.to_string())).collect();
        let model = format!("{} {}", self.manufacturer, self.product);
        all.push(model.trim().to_owned());
        all.push(self.platform.clone());
        all.retain(|text| !text.is_empty());
        all.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_who_asks() {
        let uuid = "4c4c4544-0042-3510-8054-b9c04f503733";
        let query = format!(
            "mac=52-54-00-ab-34-56&uuid={uuid}&serial=A%201+&manufacturer=Dell%20Inc.&product=R630\
             &buildarch=x86_64&platform=efi"
        );
        let asked = Asked::parse(&query).unwrap();
        let expected =
            format!("mac 52:54:00:ab:34:56, uuid {uuid}, serial A 1+, Dell Inc. R630, x86_64/efi");
        assert_eq!(asked.who(), expected);
        assert_eq!(asked.identities.len(), 3);
    }

    #[test]
    fn what_is_no_word_is_passed_over_and_nothing_is_nobody() {
        assert_eq!(Asked::parse(""), None);
        assert_eq!(Asked::parse("x=1&product=a"), None);
        assert_eq!(Asked::parse("mac=&uuid=&serial="), Some(Asked::default()));
        let many = "serial=Default%20string&uuid=03000200-0400-0500-0006-000700080009";
        assert_eq!(Asked::parse(many), Some(Asked::default()));
        let asked = Asked::parse("mac=%0a&uuid=zz&serial=%20%0areboot%20%24%7bip%7d").unwrap();
        assert_eq!(asked.who(), "serial reboot ??ip?");
    }
}
