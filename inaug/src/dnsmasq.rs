//! The configuration of dnsmasq for machines that boot from the network: a pure function to text,
//! and the only place where it is written (scripts and tests take it from here).
//!
//! Who asks is told by the client's architecture (RFC 4578, option 93; numbers by IANA, "Processor
//! Architecture Types"), iPXE by its option 175. Option names are those of dnsmasq(8).

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

/// What the configuration depends on.
#[derive(Debug)]
pub(crate) struct Config<'a> {
    pub(crate) interface: &'a str,
    pub(crate) addresses: Addresses,
    pub(crate) router: Option<Ipv4Addr>,
    pub(crate) dns: Option<Ipv4Addr>,
    /// The URL of the script for iPXE.
    pub(crate) script: &'a str,
    /// The URL of what UEFI boots over HTTP.
    pub(crate) http: &'a str,
    /// Where iPXE is.
    pub(crate) tftp: &'a Path,
    /// iPXE for UEFI.
    pub(crate) efi: &'a str,
    pub(crate) leases: Option<&'a Path>,
}

/// Who gives addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Addresses {
    /// dnsmasq does.
    Range(Range),
    /// Another server does, beside this host.
    Proxy(Host),
}

/// Addresses to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    first: Ipv4Addr,
    last: Ipv4Addr,
    mask: Ipv4Addr,
}

/// This host's own address, and its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    address: Ipv4Addr,
    mask: Ipv4Addr,
}

/// The kinds of machine that boot by TFTP: dnsmasq's tag, its name for `pxe-service`, the numbers of
/// option 93. Firmware in the field says 7 or 9 for the same thing.
const KINDS: [(&str, &str, &[u16]); 3] =
    [("bios", "x86PC", &[0]), ("efi7", "BC_EFI", &[7]), ("efi9", "X86-64_EFI", &[9])];

/// UEFI's HTTP boot on x86-64.
const HTTP: u16 = 16;

/// In the directory of a running dnsmasq, `port=0` would turn off the DNS that it serves.
const HEADER: &str = "# Made by inaug pxe-config; see docs/pxe.md.\n\
                      # For a dnsmasq of its own: dnsmasq --keep-in-foreground -C FILE. In\n\
                      # /etc/dnsmasq.d/ it turns off the DNS server that is configured there.\n";

/// A lease outlives an inaugurator, which does not renew it.
const LEASE: &str = "12h";

/// The configuration as dnsmasq reads it.
pub(crate) fn config(config: &Config) -> String {
    let mut text = String::from(HEADER);
    let mut line = |words: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{words}");
    };
    line("port=0".into());
    line(format!("interface={}\nbind-interfaces\nexcept-interface=lo", config.interface));
    match config.addresses {
        Addresses::Range(range) => {
            let Range { first, last, mask } = range;
            line(format!("dhcp-range={first},{last},{mask},{LEASE}\ndhcp-authoritative"));
            let told = |address: Option<Ipv4Addr>| {
                address.map(|one| format!(",{one}")).unwrap_or_default()
            };
            line(format!("dhcp-option=option:router{}", told(config.router)));
            line(format!("dhcp-option=option:dns-server{}", told(config.dns)));
        }
        Addresses::Proxy(Host { address, mask }) => {
            line(format!("dhcp-range={},proxy,{mask}", network_of(address, mask)));
        }
    }
    if let Some(leases) = config.leases {
        line(format!("dhcp-leasefile={}", leases.display()));
    }
    line(format!("enable-tftp\ntftp-root={}", config.tftp.display()));
    line("\n# What firmware asks for iPXE by TFTP, by its architecture.".into());
    for (tag, service, numbers) in KINDS {
        let file = if tag == "bios" { "undionly.kpxe" } else { config.efi };
        for number in numbers {
            line(format!("dhcp-match=set:{tag},option:client-arch,{number}"));
        }
        match config.addresses {
            Addresses::Range(_) => line(format!("dhcp-boot=tag:{tag},tag:!ipxe,{file}")),
            Addresses::Proxy(_) => {
                line(format!("pxe-service=tag:!ipxe,{service},\"iPXE\",{file}"));
            }
        }
    }
    line("\n# iPXE, from TFTP or from a card's ROM, asks the depot what to boot.".into());
    line("dhcp-match=set:ipxe,175".into());
    match config.addresses {
        Addresses::Range(_) => {
            line(format!("dhcp-boot=tag:ipxe,{}", config.script));
            // ipxe.org/cfg/no-pxedhcp: it would wait for a proxy's answer.
            line("dhcp-option=tag:ipxe,encap:175,176,1b".into());
        }
        // Without the address of a server iPXE overlooks what a proxy says.
        Addresses::Proxy(Host { address, .. }) => {
            line(format!("dhcp-boot=tag:ipxe,{},,{address}", config.script));
        }
    }
    if let Addresses::Range(_) = config.addresses {
        // As a proxy dnsmasq answers clients of PXE alone.
        line("\n# UEFI that boots over HTTP: the answer must name its vendor class.".into());
        line(format!("dhcp-match=set:http,option:client-arch,{HTTP}"));
        line("dhcp-option-force=tag:http,option:vendor-class,HTTPClient".into());
        line(format!("dhcp-boot=tag:http,tag:!ipxe,{}", config.http));
    }
    text
}

/// Addresses make no sense.
#[derive(Debug, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct AddressError(&'static str);

impl FromStr for Range {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = AddressError("FIRST-LAST/LEN, such as 192.168.7.100-192.168.7.200/24");
        let parse = || {
            let (range, length) = text.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            let mask = mask(length)?;
            let together = network_of(first, mask) == network_of(last, mask);
            (first <= last && together).then_some(Self { first, last, mask })
        };
        parse().ok_or(wrong)
    }
}

impl FromStr for Host {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parse = || {
            let (address, length) = text.split_once('/')?;
            let mask = mask(length)?;
            Some(Self { address: address.parse().ok()?, mask })
        };
        parse().ok_or(AddressError("ADDR/LEN, such as 192.168.7.1/24"))
    }
}

/// The mask of a prefix of `length` bits; a network of machines has 8 to 30.
fn mask(length: &str) -> Option<Ipv4Addr> {
    let length: u32 = length.parse().ok()?;
    (8..=30).contains(&length).then(|| Ipv4Addr::from_bits(u32::MAX << (32 - length)))
}

fn network_of(address: Ipv4Addr, mask: Ipv4Addr) -> Ipv4Addr {
    address & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        let range: Range = "10.0.0.10-10.0.0.20/24".parse().unwrap();
        assert_eq!(range.mask, Ipv4Addr::new(255, 255, 255, 0));
        for wrong in
            ["10.0.0.10", "10.0.0.10-10.0.0.20", "10.0.0.20-10.0.0.10/24", "10.0.0.1-10.0.1.1/24"]
        {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
        let host: Host = "10.0.7.9/23".parse().unwrap();
        assert_eq!(network_of(host.address, host.mask), Ipv4Addr::new(10, 0, 6, 0));
        for wrong in ["10.0.0.0", "10.0.0.0/31", "10.0.0.0/x", "a/24"] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_gives_no_address() {
        let proxy = Config {
            interface: "eth1",
            addresses: Addresses::Proxy("10.0.0.1/24".parse().unwrap()),
            router: None,
            dns: None,
            script: "http://d/boot.ipxe",
            http: "http://d/boot/ipxe.efi",
            tftp: Path::new("/usr/lib/ipxe"),
            efi: "ipxe.efi",
            leases: None,
        };
        let text = config(&proxy);
        assert!(text.contains("\ndhcp-range=10.0.0.0,proxy,255.255.255.0\n"), "{text}");
        assert!(text.contains("\ndhcp-boot=tag:ipxe,http://d/boot.ipxe,,10.0.0.1\n"), "{text}");
        assert!(text.contains("\npxe-service=tag:!ipxe,x86PC,\"iPXE\",undionly.kpxe\n"), "{text}");
        assert!(!text.contains("dhcp-authoritative"), "{text}");
        assert!(!text.contains("HTTPClient"), "{text}");
        let range = Config {
            addresses: Addresses::Range("10.0.0.10-10.0.0.20/24".parse().unwrap()),
            ..proxy
        };
        let text = config(&range);
        assert!(text.contains("\ndhcp-range=10.0.0.10,10.0.0.20,255.255.255.0,12h\n"), "{text}");
        assert!(text.contains("\ndhcp-option=option:router\n"), "{text}");
        assert!(text.contains("\ndhcp-boot=tag:efi9,tag:!ipxe,ipxe.efi\n"), "{text}");
        let http = "\ndhcp-boot=tag:http,tag:!ipxe,http://d/boot/ipxe.efi\n";
        assert!(text.contains(http), "{text}");
    }
}
