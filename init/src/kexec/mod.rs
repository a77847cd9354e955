//! Starting the deployed kernel from here, without the firmware.
//!
//! Given sealed images and a command line, [`load`] gives them to the kernel and
//! returns [`Loaded`], and [`Loaded::start`] jumps. A kernel that refuses says why;
//! the caller then reboots. See `kexec_file_load(2)` and `reboot(2)`.

mod image;
mod memory;

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsFd;

use deploy::disks::size_text;
use rustix::io::Errno;
use rustix::system::{RebootCommand, reboot};

use crate::console::Console;
pub use image::{ImageError, MAX_IMAGE_BYTES, ProvenImage, SealedImage};
pub use memory::{COPIES, MARGIN_BYTES, TooLittleMemory, fits};

/// `COMMAND_LINE_SIZE` of x86-64, without the zero that ends it: a longer one is cut by the kernel.
const MAX_COMMAND_LINE_BYTES: usize = 2047;

/// Why the next kernel cannot be started from here. A reset still can.
#[derive(Debug, thiserror::Error)]
pub enum KexecError {
    /// The command line does not fit.
    #[error(
        "the next kernel's command line is {found} bytes, at most {MAX_COMMAND_LINE_BYTES} fit"
    )]
    CommandLineTooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// The command line holds a zero byte.
    #[error("the next kernel's command line holds a zero byte")]
    CommandLineZero(#[source] std::ffi::NulError),
    /// The kernel refused the images.
    #[error("the kernel refuses kexec: {reason}")]
    Refused {
        /// What is known about why.
        reason: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The images are loaded and the jump was refused.
    #[error("the kernel did not jump to the loaded kernel")]
    NotStarted(#[source] io::Error),
}

/// A kernel that is loaded and can be jumped to.
#[derive(Debug)]
pub struct Loaded(());

/// Says what comes next, loads it and jumps. `whose` kernel it is, is for the person who reads.
pub fn go(
    console: &Console,
    whose: &str,
    kernel: &SealedImage,
    initrd: Option<&SealedImage>,
    command_line: &str,
) -> Result<Infallible, KexecError> {
    let initrd_text = initrd
        .map_or("no initrd".into(), |image| format!("initrd {}", size_text(image.size_bytes())));
    let kernel_text = size_text(kernel.size_bytes());
    console.say("kexec", &format!("kernel {kernel_text}, {initrd_text}: {command_line}"));
    let loaded = load(kernel, initrd, command_line)?;
    console.say("kexec", &format!("starting {whose} kernel"));
    loaded.start()
}

/// Gives the kernel what comes next.
pub fn load(
    kernel: &SealedImage,
    initrd: Option<&SealedImage>,
    command_line: &str,
) -> Result<Loaded, KexecError> {
    if command_line.len() > MAX_COMMAND_LINE_BYTES {
        return Err(KexecError::CommandLineTooLong { found: command_line.len() });
    }
    let line = CString::new(command_line).map_err(KexecError::CommandLineZero)?;
    crate::sys::kexec_file_load(kernel.as_fd(), initrd.map(AsFd::as_fd), &line)
        .map(|()| Loaded(()))
        .map_err(|source| KexecError::Refused { reason: reason(&source, &Policy::read()), source })
}

impl Loaded {
    /// Writes everything out and jumps. Returns only if the kernel refuses.
    pub fn start(self) -> Result<Infallible, KexecError> {
        // A reset is what follows a refusal, so it is what follows a hang too.
        crate::power::write_out(RebootCommand::Restart);
        match reboot(RebootCommand::Kexec) {
            Ok(()) => Err(KexecError::NotStarted(io::Error::other("reboot(2) returned"))),
            Err(errno) => Err(KexecError::NotStarted(errno.into())),
        }
    }
}

/// What this kernel allows.
#[derive(Debug, Default)]
struct Policy {
    /// `/sys/kernel/security/lockdown`: `none [integrity] confidentiality`.
    lockdown: String,
    /// `kernel.kexec_load_disabled`.
    disabled: bool,
}

impl Policy {
    fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default().trim().to_string();
        let disabled = text("/proc/sys/kernel/kexec_load_disabled") == "1";
        Self { lockdown: text("/sys/kernel/security/lockdown"), disabled }
    }

    fn locked_down(&self) -> Option<&str> {
        let (_, rest) = self.lockdown.split_once('[')?;
        rest.split_once(']').map(|(mode, _)| mode).filter(|mode| *mode != "none")
    }
}

/// The reason in words, from the error and what the kernel allows.
fn reason(error: &io::Error, policy: &Policy) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM) if policy.disabled => {
            "it was switched off (kernel.kexec_load_disabled=1)".into()
        }
        // What verify_pefile_signature() of Linux says where there is no signature at all.
        Some(Errno::NODATA) => match policy.locked_down() {
            Some(mode) => format!("it is locked down ({mode}) and this kernel has no signature"),
            None => "it starts signed kernels only, and this one has no signature".into(),
        },
        Some(Errno::PERM | Errno::ACCESS | Errno::KEYREJECTED | Errno::NOKEY | Errno::BADMSG) => {
            match policy.locked_down() {
                Some(mode) => {
                    format!(
                        "it is locked down ({mode}) and does not accept this kernel's signature"
                    )
                }
                None => {
                    "it does not accept this kernel's signature, or kexec is not permitted".into()
                }
            }
        }
        Some(Errno::NOSYS) => "it has no kexec_file_load (CONFIG_KEXEC_FILE)".into(),
        Some(Errno::NOEXEC) => "the next kernel is in no format it can start".into(),
        Some(Errno::NOMEM | Errno::ADDRNOTAVAIL) => {
            "there is not enough free memory for the images".into()
        }
        Some(Errno::BUSY) => "another kernel is being loaded".into(),
        _ => "for no reason known here".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why() {
        let locked =
            Policy { lockdown: "none [integrity] confidentiality".into(), disabled: false };
        let disabled = Policy { disabled: true, ..Policy::default() };
        let open = Policy { lockdown: "[none] integrity".into(), disabled: false };
        let table = [
            (
                Errno::PERM,
                &locked,
                "it is locked down (integrity) and does not accept this kernel's signature",
            ),
            (Errno::PERM, &disabled, "it was switched off (kernel.kexec_load_disabled=1)"),
            (
                Errno::PERM,
                &open,
                "it does not accept this kernel's signature, or kexec is not permitted",
            ),
            (
                Errno::NOKEY,
                &locked,
                "it is locked down (integrity) and does not accept this kernel's signature",
            ),
            (
                Errno::NODATA,
                &locked,
                "it is locked down (integrity) and this kernel has no signature",
            ),
            (Errno::NODATA, &open, "it starts signed kernels only, and this one has no signature"),
            (Errno::NOSYS, &open, "it has no kexec_file_load (CONFIG_KEXEC_FILE)"),
            (Errno::NOEXEC, &open, "the next kernel is in no format it can start"),
            (Errno::IO, &open, "for no reason known here"),
        ];
        for (errno, policy, expected) in table {
            assert_eq!(reason(&errno.into(), policy), expected);
        }
    }

    #[test]
    fn command_lines_that_do_not_fit_are_refused_before_the_kernel_cuts_them() {
        let digest = store::Digest::of(b"");
        let image = ProvenImage::make("kernel", digest, 0, |_| Ok::<_, ImageError>(())).unwrap();
        let error = load(image.sealed(), None, &"x".repeat(2048)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the next kernel's command line is 2048 bytes, at most 2047 fit"
        );
        let error = load(image.sealed(), None, "a\0b").unwrap_err();
        assert_eq!(error.to_string(), "the next kernel's command line holds a zero byte");
    }
}
