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
    let config = config(&Config {
        interface: &args.interface,
        addresses,
        router: args.router,
        dns: args.dns,
        script: &args.url.at(SCRIPT_PATH),
        uki: &format!("{}{UKI}", args.url.at(BOOT_PATH)),
        tftp: &args.tftp,
        efi: &args.efi,
        leases: args.leases.as_deref(),
    });
    Ok(output.answer(&Document { schema: "inaug/pxe-config/1", config })?)
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
