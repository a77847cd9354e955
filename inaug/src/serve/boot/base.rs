//! Where machines reach this server: what the URLs in scripts begin with.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The longest name of a host and its port: a DNS name has at most 253 characters (RFC 1035).
const HOST_MAX: usize = 260;

/// The longest URL, bytes: it is on every kernel's command line, which has an end.
pub(crate) const BASE_MAX: usize = 300;

/// An http:// URL without the slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base(String);

/// A URL is of no use in a script.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected http://HOST[:PORT][/PATH] of letters, digits, '.', '-' and '_', at most {BASE_MAX} \
     bytes"
)]
pub(crate) struct BaseError;

impl Base {
    /// What a client called us, by the `Host` field of its request (RFC 9110, 7.2); `None` if that
    /// is no host. It comes back to the client in a script, so nothing else may be in it.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        let (name, port) = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        let v6 = host.starts_with('[');
        let character = |c: u8| match c {
            b'.' | b'-' | b'_' => !v6,
            b':' => v6,
            c => c.is_ascii_alphanumeric(),
        };
        let named = !name.is_empty() && name.bytes().all(character);
        (named && is_port(port) && host.len() <= HOST_MAX).then(|| Self(format!("http://{host}")))
    }

    /// The host, if it is a name that somebody has to resolve.
    pub(crate) fn host_name(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("http://")?;
        let host = rest.split(['/', ':']).next()?;
        (!host.starts_with('[') && host.parse::<Ipv4Addr>().is_err()).then_some(host)
    }

    /// The URL of `path` at the server, which starts with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

fn is_port(text: &str) -> bool {
    // A number alone would do with a sign before it.
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let number = |port: &str| digits(port) && port.parse::<u16>().is_ok();
    text.is_empty() || text.strip_prefix(':').is_some_and(number)
}

impl FromStr for Base {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Self, BaseError> {
        let rest = text.strip_prefix("http://").ok_or(BaseError)?.trim_end_matches('/');
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let base = Self::of_host(host).ok_or(BaseError)?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"/.-_~".contains(&c);
        let base = Self(base.at(path));
        let is_right = path.bytes().all(plain) && base.0.len() <= BASE_MAX;
        if is_right { Ok(base) } else { Err(BaseError) }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_are_hosts() {
        for host in ["depot", "depot:8080", "10.0.2.2", "my_depot.lab", "[fd00::1]", "[fd00::1]:80"]
        {
            assert_eq!(Base::of_host(host).unwrap().to_string(), format!("http://{host}"));
        }
        for wrong in [
            "", ":80", "a b", "a/b", "a:b", "a:", "a:80:80", "a:65536", "a:+80", "a\n", "${ip}",
            "a&&b", "[]", "[fd00::1", "[a.b]", "fd00::1", "a@b", "a?b",
        ] {
            assert_eq!(Base::of_host(wrong), None, "{wrong:?}");
        }
        assert_eq!(Base::of_host(&"a".repeat(300)), None);
    }

    #[test]
    fn urls_lose_the_slash_at_their_end() {
        let url = |text: &str| text.parse::<Base>().ok().map(|base| base.to_string());
        assert_eq!(url("http://depot").as_deref(), Some("http://depot"));
        assert_eq!(url("http://depot:80/a/b/").as_deref(), Some("http://depot:80/a/b"));
        for wrong in
            ["depot", "https://depot", "http://", "http://a/b?c", "http://a/${b}", "http://a/ b"]
        {
            assert_eq!(url(wrong), None, "{wrong:?}");
        }
        assert_eq!(url(&format!("http://a/{}", "b".repeat(BASE_MAX))), None);
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let name = |text: &str| text.parse::<Base>().unwrap().host_name().map(str::to_owned);
        assert_eq!(name("http://depot:8080/a").as_deref(), Some("depot"));
        assert_eq!(name("http://10.0.0.1.lab/").as_deref(), Some("10.0.0.1.lab"));
        for address in ["http://10.0.0.1:8080", "http://[fd00::1]:80/a"] {
            assert_eq!(name(address), None, "{address}");
        }
    }
}
