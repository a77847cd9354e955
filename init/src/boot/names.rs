//! Whether the host of a URL has an address. Asked on its own before a connection is tried: then it can
//! be said which resolver does not answer, not only that no connection came about.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// What getaddrinfo(3) says where no resolver could be asked (`EAI_AGAIN`), in the words of glibc and
/// of musl.
const NOBODY: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

/// Looks the host of `url` up for at most `within`; why it has no address, if it has none. `resolvers`
/// are those that the kernel's stack was given.
pub(super) fn look_up(url: &str, resolvers: &[IpAddr], within: Duration) -> Result<(), String> {
    let Some(host) = host(url).filter(|host| host.parse::<IpAddr>().is_err()) else {
        return Ok(());
    };
    if resolvers.is_empty() {
        return Err(format!("no resolver was given that knows the host {host}"));
    }
    let asked = match resolvers {
        [one] => format!("the resolver {one}"),
        several => {
            let all: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("the resolvers {}", all.join(", "))
        }
    };
    let nobody = || format!("no answer from {asked}, which was asked for the host {host}");
    match found(host, within) {
        Some(Ok(_)) => Ok(()),
        None => Err(nobody()),
        Some(Err(error)) if NOBODY.iter().any(|text| error.to_string().contains(text)) => {
            Err(nobody())
        }
        Some(Err(error)) => Err(format!("{asked} does not know the host {host}: {error}")),
    }
}

/// What the system's resolver library says, if it says something in time. Where it does not, its
/// thread ends by itself: the library has bounds of its own.
fn found(host: &str, within: Duration) -> Option<io::Result<Vec<SocketAddr>>> {
    let (tell, told) = channel();
    let host = host.to_owned();
    let asks = move || {
        // Nobody listens any more where it took too long.
        let _ = tell.send((host.as_str(), 80).to_socket_addrs().map(Iterator::collect));
    };
    if let Err(error) = thread::Builder::new().name("names".into()).spawn(asks) {
        return Some(Err(error));
    }
    told.recv_timeout(within).ok()
}

/// The host of `http://user:password@host:port/path`; an IPv6 address has none to be looked up.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let host = place.split(':').next()?;
    (!host.is_empty() && !host.starts_with('[')).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, expected) in [
            ("http://depot.lab", Some("depot.lab")),
            ("http://depot.lab:8080/store/", Some("depot.lab")),
            ("http://u:p@depot.lab/store", Some("depot.lab")),
            ("http://10.0.2.2:80/", Some("10.0.2.2")),
            ("http://[fe80::1]:80/", None),
            ("/srv/store", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn addresses_are_not_looked_up_and_who_knows_no_resolver_is_told() {
        assert_eq!(look_up("http://10.0.2.2/a", &[], Duration::ZERO), Ok(()));
        let error = look_up("http://depot.lab/a", &[], Duration::ZERO).unwrap_err();
        assert_eq!(error, "no resolver was given that knows the host depot.lab");
        let one = [IpAddr::from([10, 0, 2, 3])];
        let error = look_up("http://depot.invalid/a", &one, Duration::ZERO).unwrap_err();
        assert_eq!(
            error,
            "no answer from the resolver 10.0.2.3, which was asked for the host depot.invalid"
        );
    }
}
