//! What `inaug pxe-config` is told.

use crate::dnsmasq::{Host, Range};
use crate::serve::Base;
use std::path::PathBuf;

/// Print a configuration for dnsmasq that boots machines from `inaug serve --boot`
///
/// Machines with a BIOS or UEFI get iPXE by TFTP, UEFI's HTTP boot gets it from the depot's /boot/,
/// and all that have iPXE get the script of the depot, which asks the machines file. Addresses are given from --range; with
/// --proxy the DHCP server that is there gives them, and stays as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct PxeConfigArgs {
    /// The network card that the machines are reached by
    #[arg(long, value_name = "NAME", value_parser = parse_interface)]
    pub(crate) interface: String,

    /// The http:// URL by which machines reach `inaug serve`, with its port
    #[arg(long, value_name = "URL")]
    pub(crate) url: Base,

    #[command(flatten)]
    pub(crate) addresses: Addresses,

    /// The gateway that machines are told [default: none]
    #[arg(long, value_name = "ADDR", conflicts_with = "proxy")]
    pub(crate) router: Option<std::net::Ipv4Addr>,

    /// The resolver that machines are told [default: none]
    #[arg(long, value_name = "ADDR", conflicts_with = "proxy")]
    pub(crate) dns: Option<std::net::Ipv4Addr>,

    /// Where iPXE is: undionly.kpxe for a BIOS, and the one of --efi
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/ipxe", value_parser = parse_path)]
    pub(crate) tftp: PathBuf,

    /// iPXE for UEFI: ipxe.efi has drivers of its own, snponly.efi uses the firmware's
    #[arg(long, value_name = "NAME", default_value = "ipxe.efi", value_parser = parse_word)]
    pub(crate) efi: String,

    /// Let UEFI's HTTP boot get /boot/inaugurator.efi instead of iPXE, for machines with Secure
    /// Boot: its label is in the file, and the machines file does not apply
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) uki: bool,

    /// Where dnsmasq keeps what addresses it gave [default: where Debian's does]
    #[arg(long, value_name = "FILE", value_parser = parse_path)]
    pub(crate) leases: Option<PathBuf>,
}

/// Who gives addresses.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Addresses {
    /// The first and last address to give, and the length of the network's prefix
    #[arg(long, value_name = "FIRST-LAST/LEN")]
    pub(crate) range: Option<Range>,

    /// The DHCP server that is there gives them; this host's own address, such as 192.168.7.1/24
    #[arg(long, value_name = "ADDR/LEN")]
    pub(crate) proxy: Option<Host>,
}

/// dnsmasq has commas between values, and no quoting for the rest of a line.
fn parse_word(text: &str) -> Result<String, String> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-/".contains(&c);
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("expected letters, digits, '.', '_', '-' and '/'".to_owned())
}

fn parse_path(text: &str) -> Result<PathBuf, String> {
    let path = parse_word(text)?;
    if path.starts_with('/') {
        Ok(path.into())
    } else {
        Err("expected an absolute path".to_owned())
    }
}

/// Names of network interfaces are shorter than 16 bytes (`IFNAMSIZ`).
fn parse_interface(text: &str) -> Result<String, String> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if (1..16).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("expected the name of a network interface, such as eth1".to_owned())
}
