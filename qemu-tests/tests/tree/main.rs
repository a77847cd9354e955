//! Trees on machines' disks, from power-on to the comparison with what was pushed, which is made
//! from outside by tools that share no code with ours.

#[path = "../lab/mod.rs"]
mod lab;

mod cuts;
mod debian;
mod dirt;
mod outside;
mod steps;
