//! A network while it is in use.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use init::net::{InUse, Keeper, Keeping, NetConfig, Network};

use crate::lab::{Lab, SHORT, StoreTry, ip, run, store_of, store_v6_of};

/// Enough for any of these on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A lease that is soon renewed: dnsmasq grants none of less than two minutes, and puts T1 a second
/// before T2 where T2 comes early.
const SOON: [&str; 2] = ["--no-ping", "--dhcp-option=option:T2,5"];

/// A network that is kept, and what is heard of it.
struct Kept {
    _keeper: Keeper, // until it is dropped
    first: Network,
    said: Receiver<String>,
    in_use: InUse,
}

impl Kept {
    /// Raises the network over which the store of `network` is reached, and keeps it; later the store
    /// of `then` has to be reached.
    fn new(config: NetConfig, network: u8, then: u8) -> Self {
        Self::by(config, Box::new(store_of(network)), Box::new(store_of(then)))
    }

    fn by(config: NetConfig, mut reach: StoreTry, then: StoreTry) -> Self {
        let mut first = run(&config, &mut reach).0.unwrap();
        // dnsmasq puts it at half of a lease of IPv6, a minute at least.
        if let Some(lease) = first.lease.as_mut().filter(|_| first.address.is_ipv6()) {
            lease.renew_s = 1;
        }
        let ((tell, said), in_use) = (channel(), InUse::default());
        let keeping = Keeping {
            config,
            reach: then,
            say: Box::new(move |line| {
                eprintln!("{line}");
                let _ = tell.send(line.to_owned());
            }),
            in_use: in_use.clone(),
        };
        let keeper = Keeper::begin(first.clone(), keeping).unwrap();
        Self { _keeper: keeper, first, said, in_use }
    }

    /// Waits for a line with `text`.
    fn says(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let line = self.said.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("never said: {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for the network that takes the place of this one.
    fn finds(&self) -> Network {
        let why = self.says("looking for a way to the store");
        assert!(self.in_use.wait(PATIENCE), "{why}, and nothing was found");
        self.in_use.network().unwrap()
    }

    fn is_as_before(&self) -> bool {
        self.in_use.network().is_some_and(|now| now.address == self.first.address)
    }
}

#[test]
fn a_lease_is_renewed_while_it_is_in_use() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.dhcp(1, &SOON);
    lab.store(1);
    let kept = Kept::new(lab.config(), 1, 1);
    assert_eq!(kept.first.lease.unwrap().renew_s, 4);
    let line = kept.says("renewed");
    assert_eq!(line, "nic0 lease renewed by 10.77.1.1 for 3600 s, and will be from now on");
    assert!(ip("-o -4 addr show nic0").contains(&kept.first.address.to_string()));
    assert!(kept.is_as_before());
}

#[test]
fn other_settings_that_come_with_a_renewal_are_left_for_the_next_boot() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.store(1);
    lab.dhcp(1, &SOON);
    let kept = Kept::new(lab.config(), 1, 1);
    lab.end_dhcp(1);
    lab.dhcp(1, &[&SOON[..], &["--dhcp-option=3,10.77.1.7"]].concat());
    kept.says("nic0 lease renewed");
    assert!(ip("route").contains("default via 10.77.1.1 dev nic0"), "{}", ip("route"));
    assert!(kept.is_as_before());
}

#[test]
fn where_the_lease_is_refused_another_is_asked_for() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.store(1);
    lab.dhcp(1, &SOON);
    let kept = Kept::new(lab.config(), 1, 1);
    lab.end_dhcp(1);
    let range = "--dhcp-range=10.77.1.150,10.77.1.160,255.255.255.0,1h";
    lab.dhcp(1, &[&SOON[..], &[range]].concat());
    let now = kept.finds();
    assert_ne!(now.address, kept.first.address);
    let addresses = ip("-o -4 addr show nic0");
    assert!(addresses.contains(&now.address.to_string()), "{addresses}");
    assert!(!addresses.contains(&kept.first.address.to_string()), "{addresses}");
}

#[test]
fn where_the_link_is_lost_another_takes_its_place() {
    let Some(mut lab) = Lab::new() else { return };
    for (name, network) in [("nic0", 1), ("nic1", 2)] {
        Lab::plug(name, network);
        lab.dhcp(network, &["--no-ping"]);
        lab.store(network);
    }
    let kept = Kept::new(lab.config(), 1, 2);
    assert_eq!(kept.first.nic.name, "nic0");
    ip("-n far1 link set far1 down");
    kept.says("nic0 carrier lost");
    let now = kept.finds();
    assert_eq!((now.nic.name.as_str(), now.gateway), ("nic1", Some([10, 77, 2, 1].into())));
    assert!(ip("route").starts_with("default via 10.77.2.1 dev nic1"));
}

#[test]
fn a_link_that_comes_back_soon_is_waited_for() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.dhcp(1, &["--no-ping"]);
    lab.store(1);
    let kept = Kept::new(lab.config(), 1, 1);
    ip("-n far1 link set far1 down");
    kept.says("nic0 carrier lost; it may come back for 5 s");
    ip("-n far1 link set far1 up");
    kept.says("nic0 carrier up");
    assert!(kept.is_as_before());
}

#[test]
fn what_is_found_nowhere_is_given_up_after_as_long_as_at_the_start() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.dhcp(1, &["--no-ping"]);
    lab.store(1);
    let kept = Kept::new(NetConfig { deadline: SHORT, ..lab.config() }, 1, 1);
    ip("link del nic0");
    kept.says("nic0: the network card is gone; looking for a way to the store");
    assert!(kept.in_use.wait(PATIENCE) && kept.in_use.network().is_none());
    kept.says("no network card appeared within ");
}

#[test]
fn a_keeper_that_looks_for_a_network_can_be_ended() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.dhcp(1, &["--no-ping"]);
    lab.store(1);
    let kept = Kept::new(NetConfig { deadline: PATIENCE, ..lab.config() }, 1, 1);
    ip("link del nic0");
    kept.says("looking for a way to the store");
    let Kept { _keeper: keeper, in_use, .. } = kept;
    drop(keeper);
    assert!(in_use.wait(Duration::ZERO) && in_use.network().is_none());
}

#[test]
fn a_lease_of_ipv6_is_renewed() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.router(1, "100,2001:db8:1::1ff,64,2m", &[]);
    lab.store_v6(1);
    let kept = Kept::by(lab.config(), Box::new(store_v6_of(1)), Box::new(store_v6_of(1)));
    let line = kept.says("renewed");
    assert!(line.ends_with(" for 120 s, and will be from now on"), "{line}");
    assert!(ip("-6 -o addr show nic0").contains(&kept.first.address.to_string()));
    assert!(kept.is_as_before());
}

#[test]
fn a_router_that_goes_is_followed_by_another_way() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    lab.router(1, ",ra-only", &["--ra-param=far1,4,1800"]);
    let kept = Kept::by(lab.config(), Box::new(store_v6_of(1)), Box::new(store_v6_of(1)));
    let line = kept.says("address is still of router");
    assert!(line.ends_with(" for 1800 s, and will be from now on"), "{line}");
    lab.end_dhcp(1);
    // What a router says that is switched off: dnsmasq says it with a lifetime of none.
    lab.router(1, ",ra-only", &["--ra-param=far1,4,0"]);
    kept.says("is no router any more; looking for a way to the store");
    assert!(kept.in_use.wait(PATIENCE));
    let now = kept.in_use.network().unwrap();
    assert_eq!((now.address, now.gateway), (kept.first.address, None));
}
