//! What the kernel's own IPv6 is told (Documentation/networking/ip-sysctl.rst).

use std::io;
use std::path::Path;

const CONF: &str = "/proc/sys/net/ipv6/conf";

/// Settings of links that are made later.
pub(in crate::net) const LATER_LINKS: &str = "default";

/// Whether the kernel has IPv6.
pub(in crate::net) fn is_there() -> bool {
    Path::new(CONF).exists()
}

/// The link called `name` takes no address and no route from routers by itself.
pub(in crate::net) fn ignore_routers(name: &str) -> io::Result<()> {
    match std::fs::write(Path::new(CONF).join(name).join("accept_ra"), "0") {
        // A kernel without IPv6, or a link that is gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
