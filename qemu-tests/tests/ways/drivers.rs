//! What an image lacks is said.

use crate::lab::told;
use anyhow::Result;
use qemu_tests::{Machine, Nic, NicModel, StaticServer, deadline, environment};

#[test]
fn a_card_without_a_driver_is_named_with_its_modalias() -> Result<()> {
    let store = tempfile::tempdir()?;
    let store = StaticServer::of(store.path())?;
    // Debian's cloud kernel has no drivers for cards of metal.
    let (kernel, init) = (environment::debian_kernel()?, environment::init_thin()?);
    let line = told(&store, "lab/first", "inaugurator.net-timeout=1");
    let nics = vec![Nic::of(NicModel::E1000e)];
    let mut machine = Machine { nics, ..Machine::direct(kernel, init, &line) }.start()?;
    machine.expect(
        "network 0000:00:03.0 8086:10d3 has no driver in this image: pci:v00008086d000010D3",
        deadline::INAUGURATE,
    )?;
    machine.expect("FAILED", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::INAUGURATE)
}
