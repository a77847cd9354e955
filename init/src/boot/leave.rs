//! After success: the deployed kernel from here, or a reset, or off.

use std::convert::Infallible;
use std::fs::File;
use std::io;

use deploy::boot::next_command_line;
use deploy::{Error, Settled, install};
use store::manifest::{Boot, Payload};

use super::failure::{At, Cause, Failure, Stage};
use crate::config::{Config, Then};
use crate::kexec::{self, ImageError, ProvenImage, fits};
use crate::machine::Machine;
use crate::power::{self, leave};
use crate::report;

/// A deployed label, as far as starting it goes.
pub(super) trait Bootable {
    /// Kernel and initrd, where the label names them.
    fn boot(&self) -> Option<&Boot>;

    /// Copies one of them, proven.
    fn copy(&self, file: &'static str, payload: &Payload, into: &File) -> Result<(), Error>;

    /// The kernel's command line, given what the operator adds and our own.
    fn command_line(&self, boot: &Boot, append: &str, ours: &str) -> String;
}

impl Bootable for Settled {
    fn boot(&self) -> Option<&Boot> {
        self.boot()
    }

    fn copy(&self, file: &'static str, payload: &Payload, into: &File) -> Result<(), Error> {
        self.copy(file, payload, into)
    }

    fn command_line(&self, boot: &Boot, append: &str, ours: &str) -> String {
        next_command_line(&boot.cmdline, append, ours)
    }
}

impl Bootable for install::Settled {
    fn boot(&self) -> Option<&Boot> {
        self.boot()
    }

    fn copy(&self, file: &'static str, payload: &Payload, into: &File) -> Result<(), Error> {
        self.copy(file, payload, into)
    }

    /// That of its own boot loader, in which all of this is.
    fn command_line(&self, _: &Boot, _: &str, _: &str) -> String {
        self.command_line().unwrap_or_default().to_owned()
    }
}

/// Leaves as the operator said. A kexec that cannot be becomes a reboot, whatever
/// the reason: the disk is proven and boots by itself. Only boot files that are
/// not what the label says are a failure, since the disk may hold the same.
pub(super) fn go(
    machine: &Machine,
    config: &Config,
    settled: &dyn Bootable,
) -> Result<Infallible, Failure> {
    let console = &machine.console;
    match (config.settings.then, settled.boot()) {
        (Then::PowerOff, _) => reset(machine, config, power::Leave::PowerOff),
        (Then::Reboot, _) => reset(machine, config, power::Leave::Reboot),
        (Then::Kexec, None) => {
            console.say("kexec", "the label names no kernel; its own boot loader takes over");
            reset(machine, config, power::Leave::Reboot)
        }
        (Then::Kexec, Some(boot)) => {
            let Err(cause) = next(machine, config, settled, boot);
            if is_wrong_file(&cause) {
                return Err(cause).at(Stage::Leave);
            }
            let why = report::causes(&cause).join(": ");
            console.say("kexec", &format!("{why}; rebooting instead"));
            reset(machine, config, power::Leave::Reboot)
        }
    }
}

/// Resets the machine, or switches it off, with its clock set right.
fn reset(machine: &Machine, config: &Config, how: power::Leave) -> ! {
    finish(machine, config);
    leave(how, &machine.console)
}

/// What is to be done last, when nothing is fetched any more.
fn finish(machine: &Machine, config: &Config) {
    if config.settings.network.release {
        machine.give_back_network();
    }
    machine.clock.settle(&machine.console);
}

/// True if a boot file was read well and is another than the label's.
fn is_wrong_file(cause: &Cause) -> bool {
    match cause {
        Cause::Image(ImageError::NotProven { .. }) => true,
        Cause::Engine(error) => matches!(**error, Error::BootFile { .. }),
        _ => false,
    }
}

/// Starts the deployed kernel, or says why not.
fn next(
    machine: &Machine,
    config: &Config,
    settled: &dyn Bootable,
    boot: &Boot,
) -> Result<Infallible, Cause> {
    fits(images_bytes(boot), report::memory_available())?;
    let (kernel, initrd) = images(settled, boot)?;
    let line = settled.command_line(boot, &config.settings.append, &machine.command_line);
    let initrd = initrd.as_ref().map(ProvenImage::sealed);
    finish(machine, config);
    Ok(kexec::go(&machine.console, "the deployed", kernel.sealed(), initrd, &line)?)
}

fn images_bytes(boot: &Boot) -> u64 {
    let initrd_bytes = boot.initrd.as_ref().map_or(0, |initrd| initrd.size_bytes);
    boot.kernel.size_bytes.saturating_add(initrd_bytes)
}

fn images(
    settled: &dyn Bootable,
    boot: &Boot,
) -> Result<(ProvenImage, Option<ProvenImage>), Cause> {
    let kernel = image(settled, "kernel", &boot.kernel)?;
    let initrd = boot.initrd.as_ref().map(|initrd| image(settled, "initrd", initrd)).transpose()?;
    Ok((kernel, initrd))
}

fn image(
    settled: &dyn Bootable,
    what: &'static str,
    payload: &Payload,
) -> Result<ProvenImage, Cause> {
    ProvenImage::make(what, payload.digest, payload.size_bytes, |file| {
        let failed = |source: io::Error| Error::HandOver { file: what, source };
        file.set_len(payload.size_bytes).map_err(failed).map_err(Cause::from)?;
        settled.copy(what, payload, file).map_err(Cause::from)
    })
}

#[cfg(test)]
mod tests {
    use store::Digest;

    use crate::kexec::KexecError;

    use super::*;

    #[test]
    fn only_wrong_files_are_a_failure() {
        let digest = Digest::of(b"");
        let not_proven = ImageError::NotProven {
            what: "kernel",
            expected: digest,
            expected_bytes: 1,
            found: digest,
            found_bytes: 0,
        };
        let other =
            Error::BootFile { file: "initrd", label: "a".into(), expected: digest, found: digest };
        let no_space = || io::Error::from(io::ErrorKind::StorageFull);
        let table: [(Cause, bool); 6] = [
            (not_proven.into(), true),
            (other.into(), true),
            (
                ImageError::TooLarge { what: "initrd", name: String::new(), found: 1 << 30 }.into(),
                false,
            ),
            (
                ImageError::Hold { what: "initrd", name: String::new(), source: no_space() }.into(),
                false,
            ),
            (Error::HandOver { file: "initrd", source: no_space() }.into(), false),
            (KexecError::CommandLineTooLong { found: 3000 }.into(), false),
        ];
        for (cause, expected) in table {
            assert_eq!(is_wrong_file(&cause), expected, "{cause}");
        }
    }
}
