//! `init::net` against a real DHCP server, in network namespaces of its own.
//!
//! Each test runs in a network and mount namespace that its thread enters and nobody else sees: the
//! machine's NICs are one end of virtual cables, their other ends are in namespaces with dnsmasq. All
//! of it goes away with the thread. Needs root, iproute2 and dnsmasq-base; says so and passes where
//! they are missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dhcp;
mod keeper;
mod lab;
mod slaac;
