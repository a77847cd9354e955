//! One file to boot: a unified kernel image that firmware itself starts.

use crate::lab::{LABEL, Lab, told};
use anyhow::{Context, Result, ensure};
use qemu_tests::{
    Bus, Disk, ESP_TYPE, Firmware, Machine, Running, StaticServer, TestImage, deadline, environment,
};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Debian's key for machines of tests: its passphrase is no secret.
const KEY: &str = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const CERTIFICATE: &str = "/usr/share/ovmf/PkKek-1-snakeoil.pem";

/// Beside what every machine is told; the disk, since the medium may be one too.
const CMDLINE: &str = "console=ttyS0 inaugurator.disk=serial=TARGET";

/// Firmware's memory, the file in it twice, and 256 MiB to inaugurate.
const MEMORY_MIB: u32 = 512;

/// The first line of PID 1, and what it says where the deployed kernel takes over.
const FIRST: &str = "init: inaugurator ";
const KEXEC: &str = "kexec: starting the deployed kernel";

/// What OVMF says of an executable that Secure Boot does not let it start.
const DENIED: &str = "Access Denied";

/// Contents of sections begin at multiples of this.
const FILE_ALIGNMENT: usize = 512;

#[test]
fn one_file_boots_from_a_disk_a_stick_and_a_url_and_inaugurates() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let uki = Uki::ours(&lab, &store, &[])?;
    for bus in [Bus::VirtioBlk, Bus::Usb] {
        let medium = uki.on_disk(bus)?;
        let started = Instant::now();
        let mut machine = machine(&lab, &format!("{bus:?}"), Firmware::Ovmf, medium)?.start()?;
        inaugurates(&lab, &mut machine, started)?;
    }
    // Where the store is, so that one server has all that a site needs.
    fs::copy(&uki.file, lab.store().join("boot.efi"))?;
    let url = format!("{}/boot.efi", store.guest_url());
    let disks = vec![target(&lab, "Http")?];
    let by_http = Machine { name: "Http".into(), disks, ..Machine::by_http(&url) };
    let started = Instant::now();
    inaugurates(&lab, &mut by_http.start()?, started)
}

#[test]
fn under_secure_boot_what_was_signed_boots_and_what_was_changed_does_not() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let signed = Uki::ours(&lab, &store, &by_debians_key(&lab)?)?;
    let started = Instant::now();
    let medium = signed.on_disk(Bus::VirtioBlk)?;
    let mut machine = machine(&lab, "signed", Firmware::SecureBoot, medium)?.start()?;
    inaugurates(&lab, &mut machine, started)?;

    let bytes = fs::read(&signed.file)?;
    let cmdline = bytes.windows(CMDLINE.len()).position(|window| window == CMDLINE.as_bytes());
    let cmdline = cmdline.context("the command line is in no section")?;
    let initrd = (cmdline + CMDLINE.len()).next_multiple_of(FILE_ALIGNMENT);
    for (what, at) in [("cmdline", cmdline), ("initrd", initrd + 100_000)] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&signed.file, changed)?;
        is_denied(&signed, what)?;
    }
    is_denied(&Uki::ours(&lab, &store, &[])?, "unsigned")
}

#[test]
fn a_kernel_that_is_locked_down_starts_what_the_firmwares_key_signed_and_says_why_not_another()
-> Result<()> {
    let unsigned = left(&Lab::new()?)?;
    let expected = "it is locked down (integrity) and this kernel has no signature";
    ensure!(unsigned.contains(expected), "{unsigned}");

    // Debian's key is in Debian's shim, which is not in this way of booting, and not in firmware.
    let debians = TestImage::of(environment::debian_kernel()?, environment::witness()?);
    let other = left(&Lab::of(debians)?)?;
    let expected = "it is locked down (integrity) and does not accept this kernel's signature";
    ensure!(other.contains(expected), "{other}");

    let work = tempfile::tempdir()?;
    let (key, signed) = (work.path().join("key"), work.path().join("vmlinuz"));
    debians_key(&key)?;
    let mut sbsign = Command::new("sbsign");
    sbsign.arg("--key").arg(&key).args(["--cert", CERTIFICATE, "--output"]).arg(&signed);
    run(sbsign.arg(environment::kernel()?))?;
    let started = left(&Lab::of(TestImage::of(&signed, environment::witness()?))?)?;
    ensure!(started.contains(KEXEC), "{started}");
    Ok(())
}

/// The line by which Debian's kernel, booted under Secure Boot, leaves for the label's kernel.
fn left(lab: &Lab) -> Result<String> {
    let store = lab.serve(vec![])?;
    let signed = Uki::debians(lab, &store, &by_debians_key(lab)?)?;
    let medium = signed.on_disk(Bus::VirtioBlk)?;
    let mut machine = machine(lab, "locked", Firmware::SecureBoot, medium)?.start()?;
    let left = machine.expect(["rebooting instead", KEXEC], deadline::INAUGURATE)?;
    if left.which == 1 {
        machine.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    }
    machine.wait_exit(deadline::POWER_OFF)?;
    Ok(left.line)
}

/// A unified kernel image, in the lab's directory.
pub(crate) struct Uki {
    file: PathBuf,
}

impl Uki {
    /// Of our kernel, told to take the lab's label.
    pub(crate) fn ours(lab: &Lab, store: &StaticServer, signed: &[OsString]) -> Result<Self> {
        let kernel = environment::kernel()?.into_os_string();
        let kernel = ["--modules".into(), "none".into(), "--kernel".into(), kernel];
        Self::of(lab, &told(store, LABEL, CMDLINE), &[&kernel, signed].concat())
    }

    /// Of Debian's kernel, the same.
    fn debians(lab: &Lab, store: &StaticServer, signed: &[OsString]) -> Result<Self> {
        let kernel = ["--kernel-tree".into(), environment::debian_tree()?.into_os_string()];
        Self::of(lab, &told(store, LABEL, CMDLINE), &[&kernel, signed].concat())
    }

    fn of(lab: &Lab, cmdline: &str, options: &[OsString]) -> Result<Self> {
        let file = lab.path("boot.efi");
        let mut command = Command::new(environment::inaug()?);
        command.args(["initramfs", "--uki", "--no-tools", "--cmdline", cmdline, "-o"]).arg(&file);
        run(command.arg("--init").arg(environment::init_program()?).args(options))?;
        Ok(Self { file })
    }

    /// A disk with this on its EFI system partition, where firmware looks on media.
    pub(crate) fn on_disk(&self, bus: Bus) -> Result<Disk> {
        let file = self.file.with_extension(format!("{bus:?}"));
        // The table before and behind it, and what FAT keeps for itself.
        let mib = fs::metadata(&self.file)?.len().div_ceil(1 << 20) + 4;
        let disk = Disk::empty(&file, (mib + 2) << 20)?;
        let table = format!("label: gpt\nstart=1MiB, size={mib}MiB, type={ESP_TYPE}\n");
        let table_file = self.file.with_extension("table");
        fs::write(&table_file, table)?;
        run(Command::new("sfdisk").arg("--quiet").arg(&file).stdin(fs::File::open(table_file)?))?;
        let at = format!("{}@@1M", file.display());
        let sectors = (mib << 11).to_string();
        run(Command::new("mformat").args(["-i", &at, "-T", &sectors, "::"]))?;
        run(Command::new("mmd").args(["-i", &at, "::/EFI", "::/EFI/BOOT"]))?;
        run(Command::new("mcopy")
            .args(["-i", &at])
            .arg(&self.file)
            .arg("::/EFI/BOOT/BOOTX64.EFI"))?;
        Ok(Disk { bus, ..disk })
    }
}

/// Debian's key without its passphrase.
fn debians_key(to: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    run(openssl.args(["pkey", "-passin", "pass:snakeoil", "-in", KEY, "-out"]).arg(to))
}

/// Options that sign by the key that these machines' firmware has.
fn by_debians_key(lab: &Lab) -> Result<[OsString; 4]> {
    let key = lab.path("key");
    debians_key(&key)?;
    Ok(["--secure-boot-key".into(), key.into(), "--secure-boot-cert".into(), CERTIFICATE.into()])
}

/// A machine that boots from `medium` and may deploy onto an empty disk.
fn machine(lab: &Lab, name: &str, firmware: Firmware, medium: Disk) -> Result<Machine> {
    let disks = vec![medium, target(lab, name)?];
    let (name, memory_mib) = (name.to_owned(), MEMORY_MIB);
    Ok(Machine { name, firmware, disks, memory_mib, ..Machine::default() })
}

fn target(lab: &Lab, name: &str) -> Result<Disk> {
    Ok(Disk { serial: "TARGET".into(), ..lab.disk(name, 0)? })
}

/// Waits until the deployed image greets, and says how long it took to PID 1.
fn inaugurates(lab: &Lab, machine: &mut Running, started: Instant) -> Result<()> {
    machine.expect(FIRST, deadline::INAUGURATE)?;
    println!("{:>6.1} s to PID 1", started.elapsed().as_secs_f64());
    machine.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)
}

/// Firmware says that it does not start it, and the machine gets no further.
fn is_denied(uki: &Uki, what: &str) -> Result<()> {
    let disks = vec![uki.on_disk(Bus::VirtioBlk)?];
    let nics = vec![];
    let firmware = Firmware::SecureBoot;
    let mut machine =
        Machine { name: what.into(), firmware, disks, nics, ..Machine::default() }.start()?;
    let seen = machine.expect([DENIED, "Linux version", FIRST], deadline::BOOT)?;
    ensure!(seen.which == 0, "{what}: it booted: {}", seen.line);
    machine.kill()
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
