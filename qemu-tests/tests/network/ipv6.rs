//! A site of IPv6 only, as QEMU's user network plays it: a router that advertises a prefix, and nobody
//! who speaks IPv4.

use crate::lab::{LABEL, Lab, machine};
use anyhow::{Result, ensure};
use qemu_tests::{IPV6_ONLY, Nic, StaticServer, deadline};

#[test]
fn a_machine_is_deployed_where_there_is_only_ipv6() -> Result<()> {
    let lab = Lab::new()?;
    let server = StaticServer::of_ipv6(lab.store())?;
    let disk = lab.disk("v6.disk", 0)?;
    let path = disk.file.clone();
    let nic = Nic { options: IPV6_ONLY.to_owned(), ..Nic::default() };
    let mut machine = qemu_tests::Machine {
        disks: vec![disk],
        nics: vec![nic],
        ..machine(&server, LABEL, "inaugurator.then=poweroff")?
    }
    .start()?;
    machine.expect("init: powering off", deadline::INAUGURATE)?;
    let said = machine.console().text();
    machine.kill()?;
    ensure!(lab.holds(&path, LABEL)?, "other bytes\n{said}");
    ensure!(said.contains("address fd00:7e57::"), "no address of the router\n{said}");
    Ok(())
}
