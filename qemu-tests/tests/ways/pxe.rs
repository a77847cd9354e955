//! Machines that boot from the network: firmware, dnsmasq as `inaug pxe-config` has it, the
//! depot's script and files, the label. Each in a network of its own.

use crate::lab::{LABEL, Lab};
use crate::uki::Uki;
use crate::wire::{self, BRIDGE, Daemon, HOST, RANGE};
use anyhow::{Context, Result, ensure};
use qemu_tests::{Bus, Disk, Firmware, Machine, Nic, Running, deadline, environment};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// The card that machines boot from.
const MAC: &str = "52:54:00:1a:06:77";

/// Firmware waits for DHCP and TFTP, and an emulated UEFI takes its time before that.
const FIRMWARE: Duration = Duration::from_mins(1);

/// Where the depot listens.
const DEPOT: &str = "10.77.0.1:8080";

/// A lab that boots machines: a store, boot files, the depot and dnsmasq.
struct Depot {
    lab: Lab,
    serve: Daemon,
    dnsmasq: Daemon,
}

impl Depot {
    /// A depot that says `machines` of machines; dnsmasq gives addresses as `addresses` says.
    fn new(machines: &str, addresses: &[&str]) -> Result<Self> {
        let lab = Lab::new()?;
        let boot = lab.path("boot");
        fs::create_dir(&boot)?;
        fs::copy(environment::kernel()?, boot.join("vmlinuz"))?;
        fs::copy(environment::init()?, boot.join("initramfs.img"))?;
        fs::copy("/usr/lib/ipxe/ipxe.efi", boot.join("ipxe.efi"))?;
        fs::write(lab.path("machines.json"), machines)?;
        let path = |name: &str| lab.path(name).display().to_string();
        let (url, leases) = (format!("http://{DEPOT}"), path("leases"));
        let config = ["pxe-config", "--interface", BRIDGE, "--url", &url, "--leases", &leases];
        fs::write(lab.path("dnsmasq.conf"), inaug(&[&config[..], addresses].concat())?)?;
        let inaug = environment::inaug()?.display().to_string();
        let (store, boot, machines) = (path("store"), path("boot"), path("machines.json"));
        let serve = ["serve", "--store", &store, "--listen", DEPOT, "--boot", &boot];
        let serve = [&serve[..], &["--machines", &machines, "-v"]].concat();
        let serve = Daemon::start(&inaug, &serve, "machines boot from here")?;
        let dnsmasq = wire::dnsmasq(&path("dnsmasq.conf"))?;
        Ok(Self { lab, serve, dnsmasq })
    }

    /// One that says that the machine gets the lab's label.
    fn of_label(addresses: &[&str]) -> Result<Self> {
        let words = "console=ttyS0 panic=-1 inaugurator.onfail=poweroff";
        let machine = format!(r#"{{"mac": "{MAC}", "label": "{LABEL}", "append": "{words}"}}"#);
        Self::new(&format!(r#"{{"machines": [{machine}]}}"#), addresses)
    }

    /// A machine with an empty disk that boots from `nic` first.
    fn machine(&self, nic: Nic) -> Result<Machine> {
        let nic = Nic { mac: MAC.into(), boots: Some(1), ..nic };
        let disk: Disk = self.lab.disk("disk", 0)?;
        Ok(Machine { nics: vec![nic], disks: vec![disk], ..Machine::default() })
    }

    /// One with UEFI, whose own network drivers boot it; without IPv6, for which it would wait.
    fn uefi_machine(&self) -> Result<Machine> {
        let machine = self.machine(Nic::on_tap("tap0"))?;
        let extra = without("IPv6Support").to_vec();
        Ok(Machine { firmware: Firmware::Ovmf, extra, ..machine })
    }

    /// Waits for the witness of the deployed label, and says when what came.
    fn inaugurates(&self, machine: &mut Running, power_on: Instant) -> Result<()> {
        machine.expect("init: inaugurator", FIRMWARE)?;
        let init = power_on.elapsed();
        machine.expect(&self.lab.image.greeting()[..], deadline::INAUGURATE)?;
        let witness = power_on.elapsed();
        println!("power-on to PID 1 {init:.1?}, to the deployed system's {witness:.1?}");
        machine.wait_exit(deadline::POWER_OFF)?;
        for line in self.serve.log().lines().filter(|line| line.contains(" GET /boot")) {
            println!("{line}");
        }
        ensure!(self.lab.holds(&self.lab.path("disk"), LABEL)?, "the disk is not the label");
        Ok(())
    }
}

/// QEMU's words for OVMF without a part of its network.
fn without(part: &str) -> [String; 2] {
    ["-fw_cfg".to_owned(), format!("name=opt/org.tianocore/{part},string=n")]
}

fn inaug(words: &[&str]) -> Result<String> {
    let output = Command::new(environment::inaug()?).args(words).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn range() -> [&'static str; 2] {
    ["--range", RANGE]
}

#[test]
fn a_bios_boots_by_ipxe_from_the_card_that_bootif_names() -> Result<()> {
    wire::plug_in(&["tap0", "tap1"])?;
    let depot = Depot::of_label(&range())?;
    let mut machine = depot.machine(Nic { rom: true, ..Nic::on_tap("tap1") })?;
    machine.nics.insert(0, Nic::on_tap("tap0"));
    let power_on = Instant::now();
    let mut machine = machine.start()?;
    machine.expect(&format!("this machine gets {LABEL} from http://{DEPOT}")[..], FIRMWARE)?;
    depot.inaugurates(&mut machine, power_on)?;
    let console = machine.console().text();
    let tried = console.lines().find(|line| line.contains("trying the store"));
    let tried = tried.context("no card tried the store")?;
    ensure!(
        tried.contains("net: eth1 has lease"),
        "another card than BOOTIF's came first: {tried}"
    );
    Ok(())
}

#[test]
fn uefi_gets_ipxe_by_tftp_and_boots_by_it() -> Result<()> {
    wire::plug_in(&["tap0"])?;
    let depot = Depot::of_label(&range())?;
    let machine = depot.uefi_machine()?;
    let power_on = Instant::now();
    let mut machine = machine.start()?;
    machine.expect("NBP filename is ipxe.efi", FIRMWARE)?;
    depot.inaugurates(&mut machine, power_on)?;
    ensure!(depot.dnsmasq.log().contains("sent /usr/lib/ipxe/ipxe.efi"), "not by TFTP");
    Ok(())
}

#[test]
fn beside_another_dhcp_server_a_proxy_says_what_a_bios_boots() -> Result<()> {
    beside_another(|depot| depot.machine(Nic { rom: true, ..Nic::on_tap("tap0") })).map(drop)
}

#[test]
fn beside_another_dhcp_server_a_proxy_says_what_uefi_boots() -> Result<()> {
    let depot = beside_another(Depot::uefi_machine)?;
    ensure!(depot.dnsmasq.log().contains("sent /usr/lib/ipxe/ipxe.efi"), "not by TFTP");
    Ok(())
}

/// Boots a machine where another server gives the addresses.
fn beside_another(machine: impl FnOnce(&Depot) -> Result<Machine>) -> Result<Depot> {
    wire::plug_in(&["tap0"])?;
    let depot = Depot::of_label(&["--proxy", &format!("{HOST}/24")])?;
    let _other = wire::other_dhcp()?;
    let machine = machine(&depot)?;
    let power_on = Instant::now();
    let mut machine = machine.start()?;
    depot.inaugurates(&mut machine, power_on)?;
    let line = "from 10.77.0.2, trying the store";
    ensure!(machine.console().text().contains(line), "the address is not the other server's");
    Ok(depot)
}

#[test]
fn uefi_boots_one_file_over_http() -> Result<()> {
    wire::plug_in(&["tap0"])?;
    let [key, range] = range();
    let depot = Depot::new("{}", &[key, range, "--uki"])?;
    let words = format!(
        "console=ttyS0 panic=-1 inaugurator.store=http://{DEPOT}/store/ inaugurator.label={LABEL} \
         inaugurator.onfail=poweroff"
    );
    let uki = depot.lab.path("boot/inaugurator.efi").display().to_string();
    let kernel = environment::kernel()?.display().to_string();
    let init = environment::init_program()?.display().to_string();
    let build = ["initramfs", "--modules", "none", "--init", &init, "-o", &uki];
    inaug(&[&build[..], &["--uki", "--kernel", &kernel, "--cmdline", &words]].concat())?;
    let mut machine = depot.uefi_machine()?;
    // Else the firmware's PXE, which is tried first, boots it.
    machine.extra.extend(without("IPv4PXESupport"));
    let power_on = Instant::now();
    let mut machine = machine.start()?;
    machine.expect(&format!("URI: http://{DEPOT}/boot/inaugurator.efi")[..], FIRMWARE)?;
    depot.inaugurates(&mut machine, power_on)
}

/// Firmware tries PXE first, then HTTP, both of the same card, and only then the disk.
#[test]
fn uefi_whose_machine_is_to_boot_its_disk_comes_up_from_it() -> Result<()> {
    wire::plug_in(&["tap0"])?;
    let machines = format!(
        r#"{{"default": {{"label": "{LABEL}"}},
        "machines": [{{"name": "kept", "mac": "{MAC}", "boot": "disk"}}]}}"#
    );
    let depot = Depot::new(&machines, &range())?;
    let store = depot.lab.serve(vec![])?;
    let medium = Uki::ours(&depot.lab, &store, &[])?.on_disk(Bus::VirtioBlk)?;
    let disk = Disk { boot_index: Some(2), ..medium };
    let before = fs::read(&disk.file)?;
    let file = disk.file.clone();
    let machine = Machine { disks: vec![disk], ..depot.uefi_machine()? };
    let mut machine = machine.start()?;
    machine.expect("kept boots from its disk", FIRMWARE)?;
    machine.expect(&format!("URI: http://{DEPOT}/boot/ipxe.efi")[..], FIRMWARE)?;
    machine.expect("kept boots from its disk", FIRMWARE)?;
    // What only the disk's command line says.
    let line = machine.expect_line("Command line:", FIRMWARE)?;
    ensure!(line.contains("inaugurator.disk=serial=TARGET"), "not the disk's: {line}");
    machine.kill()?;
    let log = depot.serve.log();
    ensure!(!log.contains("/boot/vmlinuz") && !log.contains("inaugurator.efi"), "{log}");
    ensure!(fs::read(file)? == before, "something was written");
    Ok(())
}

#[test]
fn an_unknown_machine_is_told_how_to_be_added_and_boots_from_its_disk() -> Result<()> {
    wire::plug_in(&["tap0"])?;
    let depot = Depot::new("{}", &range())?;
    let machine = depot.machine(Nic { rom: true, ..Nic::on_tap("tap0") })?;
    let mut machine = machine.start()?;
    let told = format!("{{ \"mac\": \"{MAC}\", \"label\": \"...\" }}");
    machine.expect(&told[..], FIRMWARE)?;
    machine.expect("booting from the disk", FIRMWARE)?;
    // Any key but Ctrl-B ends the wait.
    machine.type_line("")?;
    machine.expect("Booting from Hard Disk", FIRMWARE)?;
    let said = format!("a machine (mac {MAC}, QEMU ");
    ensure!(depot.serve.log().contains(&said), "the operator was not told: {}", depot.serve.log());
    Ok(())
}
