//! The host of a URL, and of which family of addresses it is.

use std::net::IpAddr;

use store::http::Proxy;
use store::is_url;

use crate::config::Settings;
use crate::net::{Addressing, Ipv6Mode, NetConfig};

/// The host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// It is reached as it stands there.
    Address(IpAddr),
    /// A resolver has to be asked.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// That of `http://user:password@host:port/path` (RFC 3986, 3.2), if there is one.
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        if let Some(bracketed) = place.strip_prefix('[') {
            let (address, _) = bracketed.split_once(']')?;
            return address.parse().ok().map(Self::Address);
        }
        let host = place.split(':').next().filter(|host| !host.is_empty())?;
        Some(host.parse().map_or(Self::Name(host), Self::Address))
    }

    fn family(self) -> Option<Family> {
        match self {
            Self::Address(IpAddr::V4(_)) => Some(Family::V4),
            Self::Address(IpAddr::V6(_)) => Some(Family::V6),
            Self::Name(_) => None,
        }
    }
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// The network as the operator wants it. Where everything that is asked has an address of one family,
/// nobody asks for an address of the other: it could not win, and to try it takes time.
pub(super) fn network_of(settings: &Settings) -> NetConfig {
    let mut config = settings.network.clone();
    if config.addressing == Addressing::Any {
        let proxy = settings.proxy().ok().flatten();
        let by = proxy.as_ref().map(Proxy::name);
        let asked = asked(settings).map(|url| {
            let is_proxied = proxy.as_ref().is_some_and(|proxy| proxy.is_for(url));
            by.filter(|_| is_proxied).unwrap_or(url)
        });
        config.addressing = addressing(asked);
    }
    config
}

/// Every URL of the settings that may be asked.
fn asked(settings: &Settings) -> impl Iterator<Item = &str> {
    let stores = settings.store.iter();
    let all = stores.chain(settings.files.iter().map(|file| &file.from));
    all.map(String::as_str).filter(|text| is_url(text))
}

fn addressing<'a>(urls: impl Iterator<Item = &'a str>) -> Addressing {
    let mut families = urls.map(|url| Host::of(url).and_then(Host::family));
    match families.next().flatten() {
        Some(first) if families.all(|other| other == Some(first)) => match first {
            Family::V4 => Addressing::Dhcp,
            Family::V6 => Addressing::Ipv6(Ipv6Mode::Either),
        },
        _ => Addressing::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        let address = |text: &str| Some(Host::Address(text.parse().unwrap()));
        for (url, expected) in [
            ("http://depot.lab", Some(Host::Name("depot.lab"))),
            ("http://depot.lab:8080/store/", Some(Host::Name("depot.lab"))),
            ("http://u:p@depot.lab/store", Some(Host::Name("depot.lab"))),
            ("http://10.0.2.2:80/", address("10.0.2.2")),
            ("http://u@10.0.2.2?a", address("10.0.2.2")),
            ("http://[fe80::1]:80/", address("fe80::1")),
            ("http://[fe80::1", None),
            ("http://[depot]/", None),
            ("http://:80/", None),
            ("/srv/store", None),
        ] {
            assert_eq!(Host::of(url), expected, "{url}");
        }
    }

    #[test]
    fn only_the_family_that_can_lead_to_a_store_is_asked_for() {
        let v6 = Addressing::Ipv6(Ipv6Mode::Either);
        for (urls, expected) in [
            (&["http://10.0.2.2/"][..], Addressing::Dhcp),
            (&["http://10.0.2.2/", "http://192.0.2.1:80"], Addressing::Dhcp),
            (&["http://[2001:db8::1]/"], v6),
            (&["http://10.0.2.2/", "http://[2001:db8::1]/"], Addressing::Any),
            (&["http://10.0.2.2/", "http://depot.lab"], Addressing::Any),
            (&["http://depot.lab"], Addressing::Any),
            (&[], Addressing::Any),
        ] {
            assert_eq!(addressing(urls.iter().copied()), expected, "{urls:?}");
        }
    }

    #[test]
    fn a_proxy_is_what_has_to_be_reached() {
        let line = "inaugurator.store=http://10.0.2.2/ proxy=http://[2001:db8::1]:3128";
        let addressing = |line: &str| network_of(&Settings::parse(line).unwrap()).addressing;
        assert_eq!(addressing(line), Addressing::Ipv6(Ipv6Mode::Either));
        let line = format!("{line} inaugurator.no-proxy=10.0.2.2");
        assert_eq!(addressing(&line), Addressing::Dhcp);
    }

    #[test]
    fn what_the_operator_wants_stays() {
        let mut settings = Settings::default();
        settings.store = vec!["http://10.0.2.2/".into()];
        settings.network.addressing = Addressing::Ipv6(Ipv6Mode::Auto);
        let addressing = network_of(&settings).addressing;
        assert_eq!(addressing, Addressing::Ipv6(Ipv6Mode::Auto));
    }
}
