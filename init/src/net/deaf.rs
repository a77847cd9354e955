//! A card that has carrier and hears nothing: a switch that hangs, a port that was put elsewhere, a card
//! whose receiver is stuck. Nothing of the link tells it, and a store that is silent may be the store.
//!
//! So who is next to the machine is asked for itself, by ARP or neighbour solicitation, which every host
//! answers whatever its load. Whoever answers nothing to several of them is not there.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Network;
use super::conversation::AddressProbe;
use super::packet::PacketSocket;

/// Silence of all that is asked of stores after which neighbours are asked: what a store may take for
/// an answer is longer than any frame is lost.
pub(super) const SILENCE: Duration = Duration::from_secs(8);

/// Rounds of questions, one after the other: a link that is busy loses some.
pub(super) const ROUNDS: u32 = 4;

/// From one round to the next.
const ROUND: Duration = Duration::from_secs(1);

/// Neighbours asked: one that answers is enough.
const ASKED_MAX: usize = 4;

/// Frames read at a time.
const FRAMES_PER_TURN: usize = 64;

/// Where the kernel lists those that it has spoken to (proc(5)).
const ARP_TABLE: &str = "/proc/net/arp";

/// What neighbours say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Neighbors {
    /// One answers, or nobody wants to know any more.
    Answer,
    /// None of these does.
    Silent(Vec<IpAddr>),
    /// None is known.
    Unknown,
}

/// Asks those who are next to the machine, for so many seconds at most, or until `stop` is readable.
pub(super) fn ask_neighbors(
    network: &Network,
    rounds: u32,
    stop: &OwnedFd,
) -> io::Result<Neighbors> {
    let table = fs::read_to_string(ARP_TABLE).unwrap_or_default();
    let asked = neighbors((&network.nic.name, network.address), network.gateway, &table);
    if asked.is_empty() {
        return Ok(Neighbors::Unknown);
    }
    let began = Instant::now();
    for round in 0..rounds {
        if has_answer(network, &asked, (began, ROUND * (round + 1)), stop)? {
            return Ok(Neighbors::Answer);
        }
    }
    Ok(Neighbors::Silent(asked))
}

/// Who is next to the machine, as far as it is known: the router, and of IPv4 whom the kernel has
/// spoken to.
fn neighbors((name, own): (&str, IpAddr), router: Option<IpAddr>, table: &str) -> Vec<IpAddr> {
    let is_v4 = own.is_ipv4();
    let of_table = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let address: Ipv4Addr = fields.next()?.parse().ok()?;
        (is_v4 && fields.last()? == name).then_some(IpAddr::from(address))
    });
    let router = router.filter(|router| router.is_ipv4() == is_v4);
    let mut found: Vec<IpAddr> = Vec::new();
    for address in router.into_iter().chain(of_table) {
        if found.len() < ASKED_MAX && !found.contains(&address) && address != own {
            found.push(address);
        }
    }
    found
}

/// One round, until somebody answers or it is over.
fn has_answer(
    network: &Network,
    asked: &[IpAddr],
    (began, end): (Instant, Duration),
    stop: &OwnedFd,
) -> io::Result<bool> {
    let probe = |address: &IpAddr| AddressProbe::new(network.nic.mac, *address, began.elapsed());
    let mut probes: Vec<AddressProbe> = asked.iter().map(probe).collect();
    let Some(protocol) = probes.first().map(AddressProbe::protocol) else { return Ok(false) };
    let socket = PacketSocket::open(&network.nic.name, protocol)?;
    loop {
        for probe in &mut probes {
            if let Some(frame) = probe.poll(began.elapsed()) {
                // A question that cannot be sent is not answered.
                let _ = socket.send(&frame);
            }
        }
        for _ in 0..FRAMES_PER_TURN {
            let Ok(Some(frame)) = socket.receive() else { break };
            if probes.iter().any(|probe| probe.conflict(&frame).is_some()) {
                return Ok(true);
            }
        }
        let now = began.elapsed();
        if now >= end {
            return Ok(false);
        }
        let due = probes.iter().filter(|probe| !probe.is_over(now)).map(AddressProbe::next_at);
        let next = due.min().unwrap_or(end).min(end);
        // Rounded up, or the loop would spin through the last millisecond.
        let wait = next.saturating_sub(now) + Duration::from_millis(1);
        let mut fds = [
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) if fds[0].any() == Some(true) => return Ok(true),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
10.0.2.3         0x1         0x2         52:55:0a:00:02:03     *        eth0
10.0.2.2         0x1         0x2         52:55:0a:00:02:02     *        eth0
10.9.9.9         0x1         0x2         52:55:0a:00:02:02     *        eth1
nonsense
";

    #[test]
    fn the_router_is_asked_first_and_then_whom_the_kernel_knows() {
        let v4 = |last| IpAddr::from([10, 0, 2, last]);
        let own = ("eth0", v4(15));
        assert_eq!(neighbors(own, Some(v4(2)), TABLE), [v4(2), v4(3)]);
        assert_eq!(neighbors(own, None, TABLE), [v4(3), v4(2)]);
        assert_eq!(neighbors(own, None, ""), Vec::<IpAddr>::new());
        let (router, own_v6) = ("fe80::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        assert_eq!(neighbors(("eth0", own_v6), Some(router), TABLE), [router]);
        let many: Vec<_> = (3..90).map(|n| format!("10.0.2.{n} 0x1 0x2 x * eth0")).collect();
        assert_eq!(neighbors(own, None, &many.join("\n")).len(), ASKED_MAX);
    }
}
