//! A server that is asked in a store's place (RFC 9110, section 3.7): by a whole URL for http, for a
//! tunnel (CONNECT) for https. The environment is not looked at.

use super::address::{self, HttpStoreError};
use reqwest::Url;
use std::net::IpAddr;
use std::sync::Arc;

/// A proxy, and who is asked without it.
#[derive(Debug, Clone)]
pub struct Proxy {
    url: Url,
    name: Arc<str>,
    without: Arc<[String]>,
}

impl Proxy {
    /// The proxy at `http://[USER:PASSWORD@]HOST[:PORT]`. Hosts in `without` are asked themselves: a
    /// name with all that end in it, an address, or `*` for every host.
    pub fn new(text: &str, without: &[String]) -> Result<Self, HttpStoreError> {
        let url = address::parse(text)?;
        if url.scheme() != "http" || url.path() != "/" {
            return Err(HttpStoreError::Url {
                url: address::shown(&url),
                reason: "expected http://HOST:PORT of a proxy".into(),
            });
        }
        let name = address::shown(&url).trim_end_matches('/').into();
        let without = without.iter().map(|host| host.trim().trim_start_matches('.').to_lowercase());
        Ok(Self { url, name, without: without.filter(|host| !host.is_empty()).collect() })
    }

    /// Its URL, the password left out.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the store at `url` is asked by way of it.
    pub fn is_for(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| self.is_between(&url))
    }

    /// The address to ask instead of `url`, if that is not asked itself.
    pub(super) fn in_place_of(&self, url: &Url) -> Option<Url> {
        self.is_between(url).then(|| self.url.clone())
    }

    pub(super) fn is_between(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        let is_address = host.parse::<IpAddr>().is_ok();
        let is_without = |word: &String| {
            let is_below =
                || host.strip_suffix(word.as_str()).is_some_and(|rest| rest.ends_with('.'));
            word == "*" || *word == host || !is_address && is_below()
        };
        !self.without.iter().any(is_without)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_a_proxy_are_named_by_their_ends() {
        let without = ["lab", ".example.com", "10.0.0.1", "fd00::1", " Depot "].map(str::to_owned);
        let proxy = Proxy::new("http://u:secret@proxy:3128", &without).unwrap();
        assert_eq!(proxy.name(), "http://u@proxy:3128");
        for (url, expected) in [
            ("http://lab/", false),
            ("https://depot.lab/store", false),
            ("http://collab/", true),
            ("http://a.example.com:8080/", false),
            ("http://example.com/", false),
            ("http://10.0.0.1/", false),
            ("http://10.0.0.10/", true),
            ("http://[fd00::1]/", false),
            ("http://DEPOT/", false),
            ("http://other/", true),
        ] {
            assert_eq!(proxy.is_for(url), expected, "{url}");
        }
        assert!(!Proxy::new("http://proxy", &["*".to_owned()]).unwrap().is_for("http://other/"));
    }

    #[test]
    fn proxies_are_hosts() {
        for url in ["https://proxy:3128", "http://proxy:3128/path", "proxy:3128", "socks5://proxy"]
        {
            assert!(Proxy::new(url, &[]).is_err(), "{url}");
        }
    }
}
