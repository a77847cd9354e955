//! PID 1 of the inaugurator: everything around the engine.
//!
//! ```text
//! mounts    file systems, settings          devices   drivers as hardware appears
//! console   lines to every console, typed   signals   children, Ctrl-Alt-Del
//! config    kernel command line -> Config   net       NICs -> Network
//! boot      the stages, in order            kexec     the deployed kernel
//! report    a failure on one screen         onfail    what follows it
//! disks     which there are, each asked      ondisk    what they hold to be booted
//! power     what else ends it               machine   what every stage has at hand
//! stop      leaving off at a key             wall_clock what time it is
//! access    authorities, token, proxy        sntp      asked of a server
//! recovery  a menu for a person             window    a key that leads there
//! ```
//!
//! Never: a shell, a fixed sleep in place of an event, an end of PID 1.

pub mod access;
pub mod boot;
pub mod clock;
pub mod config;
pub mod console;
pub mod crash;
pub mod devices;
pub mod disks;
pub mod kexec;
mod kmsg;
pub mod machine;
pub mod mounts;
pub mod net;
pub mod ondisk;
pub mod onfail;
pub mod power;
pub mod recovery;
pub mod report;
pub mod signals;
pub mod sntp;
pub mod stop;
pub mod wall_clock;
pub mod window;

mod sys;
