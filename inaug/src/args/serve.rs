//! What `inaug serve` is told.

use super::StoreDirArg;
use crate::serve::Base;
use std::path::PathBuf;

/// Serve a store over HTTP, read only, at /store/, and machines that boot from the network
///
/// Prints its URL once clients can connect. Stops on SIGTERM or SIGINT after the answers being
/// sent, at most ten seconds later. Any static web server can serve a store's directory as well.
///
/// With --boot, machines can boot from here: `chain http://HOST/boot.ipxe` in iPXE is all that one
/// has to be told, by hand or by DHCP (see inaug pxe-config).
#[derive(Debug, clap::Args)]
#[command(after_long_help = MACHINES_FILE)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) store: StoreDirArg,

    /// Where to listen, such as 127.0.0.1:8080, or :8080 for every address; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: String,

    /// Boot machines from this directory, at /boot/: a kernel named vmlinuz, an initramfs named
    /// initramfs.img, and whatever else is to be had there, such as inaugurator.efi or ipxe.efi
    #[arg(long, value_name = "DIR")]
    pub(crate) boot: Option<PathBuf>,

    /// Which machine boots what: a JSON file, read again when it changes. A machine that it says
    /// nothing of is told so, and boots from its disk
    #[arg(long, value_name = "FILE", requires = "boot")]
    pub(crate) machines: Option<PathBuf>,

    /// The http:// URL by which machines reach this server [default: where they asked]
    #[arg(long, value_name = "URL", requires = "boot")]
    pub(crate) url: Option<Base>,

    /// Print a line on stderr for each request
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const MACHINES_FILE: &str = r#"The file of --machines:
  {
    "default": { "label": "debian/12/web", "append": "console=ttyS0,115200" },
    "machines": [
      { "name": "db1", "mac": "52:54:00:12:34:56", "label": "debian/12/db",
        "append": "inaugurator.hostname=db1" },
      { "uuid": "4c4c4544-0042-3510-8054-b9c04f503733", "boot": "recovery" },
      { "serial": "B9C0F503", "boot": "disk" }
    ]
  }
A machine is known by mac (one, or a list), uuid or serial: the first of these, in this order, that
the file names decides. It boots label (several joined by +), or boot: recovery (a console) or disk.
append is put on the inaugurator's command line: that of the default first, then the machine's own.
What a machine does not say is as in the default; without a default, machines that are not listed
boot from their disks. Fields that are not known, and values that iPXE would take for commands, are
errors."#;
