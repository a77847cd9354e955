//! How long a test waits before it gives up. Written for KVM; every wait
//! stretches them by [`Accel::deadline_factor`](crate::accel::Accel). They are
//! generous: a right machine never meets one, so only a failure is slow.

use std::time::Duration;

/// From power-on to the first line of PID 1.
pub const BOOT: Duration = Duration::from_secs(20);

/// From power-on to a deployed label of the test image's size, kexec included.
pub const INAUGURATE: Duration = Duration::from_mins(1);

/// From the start of a real Debian's kernel to its login prompt.
pub const DEBIAN: Duration = Duration::from_mins(1);

/// From the last expected line to the end of QEMU.
pub const POWER_OFF: Duration = Duration::from_secs(20);

/// For one command on a console, and for a login.
pub const COMMAND: Duration = Duration::from_secs(20);

/// From the command to the end of QEMU: a real system stops its services first.
pub const SHUT_DOWN: Duration = Duration::from_secs(40);

/// For one answer of QEMU's monitor. Not stretched: the monitor is native code.
pub const MONITOR: Duration = Duration::from_mins(1);
