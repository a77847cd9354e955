//! A static store over HTTP/1.1, right or spoilt: what is read and what is answered. Sockets are
//! the caller's, the kernel's or smoltcp's.

mod cuts;
mod date;
mod fault;
mod reply;
mod request;

pub use cuts::Cuts;
pub use fault::{ALWAYS, Fault, Misbehaviour, strike};
pub use reply::{After, Reply, reply, tunnel};
pub use request::{HEAD_BYTES, Range, Request, read_request};

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// GET or HEAD; of a tunnel CONNECT.
    pub method: String,
    /// With its leading slash.
    pub path: String,
    /// As sent; 0 where the reply was not HTTP.
    pub status: u16,
    /// The first byte of the body, counted from the start of the file.
    pub start: u64,
    /// Of the body.
    pub bytes: u64,
    /// Whether a fault struck.
    pub spoilt: bool,
}
