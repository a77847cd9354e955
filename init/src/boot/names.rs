//! Whether the host of a URL has an address. Asked on its own before a connection is tried: then it can
//! be said which resolver does not answer, not only that no connection came about.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::host::Host;

/// What getaddrinfo(3) says where no resolver could be asked (`EAI_AGAIN`), in the words of glibc and
/// of musl.
const NOBODY: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

/// Looks the host of `url` up for at most `within`; why it has no address, if it has none. `resolvers`
/// are those that the kernel's stack was given.
pub(super) fn look_up(url: &str, resolvers: &[IpAddr], within: Duration) -> Result<(), String> {
    let Some(Host::Name(host)) = Host::of(url) else {
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
    match addresses(host, 80, within) {
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
pub(super) fn addresses(
    host: &str,
    port: u16,
    within: Duration,
) -> Option<io::Result<Vec<SocketAddr>>> {
    let (tell, told) = channel();
    let host = host.to_owned();
    let asks = move || {
        // Nobody listens any more where it took too long.
        let _ = tell.send((host.as_str(), port).to_socket_addrs().map(Iterator::collect));
    };
    if let Err(error) = thread::Builder::new().name("names".into()).spawn(asks) {
        return Some(Err(error));
    }
    told.recv_timeout(within).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
