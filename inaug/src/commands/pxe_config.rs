//! `inaug pxe-config`: dnsmasq for machines that boot from the network.

use crate::args::PxeConfigArgs;
use crate::dnsmasq::{Addresses, Config, config};
use crate::exit::Usage;
use crate::output::Output;
use crate::serve::{BOOT_PATH, SCRIPT_PATH, UKI};
use serde::Serialize;
use std::fmt;

/// Prints the configuration.
pub(crate) fn run(args: &PxeConfigArgs, output: &Output) -> anyhow::Result<()> {
    let addresses = match (args.addresses.range, args.addresses.proxy) {
        (Some(range), None) => Addresses::Range(range),
        (None, Some(network)) => Addresses::Proxy(network),
        _ => return Err(Usage("expected either --range or --proxy".to_owned()).into()),
    };
    check_resolver(args)?;
    // Its own name in the directory of boot files, wherever TFTP has it.
    let ipxe = args.efi.rsplit('/').next().unwrap_or_default();
    let http = if args.uki { UKI } else { ipxe };
    let config = config(&Config {
        interface: &args.interface,
        addresses,
        router: args.router,
        dns: args.dns,
        script: &args.url.at(SCRIPT_PATH),
        http: &format!("{}{http}", args.url.at(BOOT_PATH)),
        tftp: &args.tftp,
        efi: &args.efi,
        leases: args.leases.as_deref(),
    });
    Ok(output.answer(&Document { schema: "inaug/pxe-config/1", config })?)
}

/// Machines that get their addresses from us resolve no name unless they are told who does.
fn check_resolver(args: &PxeConfigArgs) -> anyhow::Result<()> {
    match args.url.host_name() {
        Some(name) if args.addresses.range.is_some() && args.dns.is_none() => {
            let sentence = format!(
                "no machine would find {name}: give --dns, or --url with this host's address"
            );
            Err(Usage(sentence).into())
        }
        _ => Ok(()),
    }
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    /// As dnsmasq reads it.
    config: String,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.config)
    }
}
