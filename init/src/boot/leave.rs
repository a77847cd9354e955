//! After success: the deployed kernel from here, or a reset, or off.

use std::convert::Infallible;
use std::io;

use deploy::Settled;
use deploy::disks::size_text;
use store::manifest::{Boot, Payload};

use super::failure::{At, Cause, Failure, Stage};
use crate::config::{Config, Then};
use crate::kexec::{KexecError, ProvenImage, load, next_command_line};
use crate::machine::Machine;
use crate::power::{self, leave};
use crate::report;

/// Leaves as the operator said. A kexec that this kernel refuses becomes a reboot:
/// the disk boots by itself.
pub(super) fn go(
    machine: &Machine,
    config: &Config,
    settled: &Settled,
) -> Result<Infallible, Failure> {
    let console = &machine.console;
    match (config.settings.then, settled.boot()) {
        (Then::PowerOff, _) => leave(power::Leave::PowerOff, console),
        (Then::Reboot, _) => leave(power::Leave::Reboot, console),
        (Then::Kexec, None) => {
            console.say("kexec", "the label names no kernel; its own boot loader takes over");
            leave(power::Leave::Reboot, console)
        }
        (Then::Kexec, Some(boot)) => {
            let (kernel, initrd) = images(settled, boot).at(Stage::Leave)?;
            let append = &config.settings.append;
            let line = next_command_line(&boot.cmdline, append, &machine.command_line);
            let Err(refused) = kexec(machine, &kernel, initrd.as_ref(), &line);
            console.say("kexec", &report::causes(&refused).join(": "));
            console.say("kexec", "rebooting instead");
            leave(power::Leave::Reboot, console)
        }
    }
}

fn kexec(
    machine: &Machine,
    kernel: &ProvenImage,
    initrd: Option<&ProvenImage>,
    line: &str,
) -> Result<Infallible, KexecError> {
    let initrd_text = initrd
        .map_or("no initrd".into(), |image| format!("initrd {}", size_text(image.size_bytes())));
    let kernel_text = size_text(kernel.size_bytes());
    machine.console.say("kexec", &format!("kernel {kernel_text}, {initrd_text}: {line}"));
    let loaded = load(kernel, initrd, line)?;
    machine.console.say("kexec", "starting the deployed kernel");
    loaded.start()
}

fn images(settled: &Settled, boot: &Boot) -> Result<(ProvenImage, Option<ProvenImage>), Cause> {
    let kernel = image(settled, "kernel", &boot.kernel)?;
    let initrd = boot.initrd.as_ref().map(|initrd| image(settled, "initrd", initrd)).transpose()?;
    Ok((kernel, initrd))
}

fn image(settled: &Settled, what: &'static str, payload: &Payload) -> Result<ProvenImage, Cause> {
    ProvenImage::make(what, payload.digest, payload.size_bytes, |file| {
        let failed = |source: io::Error| deploy::Error::HandOver { file: what, source };
        file.set_len(payload.size_bytes).map_err(failed).map_err(Cause::from)?;
        settled.copy(what, payload, file).map_err(Cause::from)
    })
}
