//! Why there is no network.

use std::fmt;
use std::io;
use std::time::Duration;

use thiserror::Error;

use super::args::NicChoice;
use super::nic::Nic;
use super::table::{Card, table};

/// Why there is no network.
#[derive(Debug, Error)]
pub enum NetError {
    /// The kernel refused what every later step needs.
    #[error("cannot {action}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A person ended the wait.
    #[error("no network yet, and a person ended the wait")]
    Interrupted,
    /// No NIC reached the store before the deadline.
    #[error("{0}")]
    NoNetwork(Box<Failure>),
}

impl NetError {
    pub(super) fn kernel(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Kernel { action, source }
    }
}

/// What every NIC brought until the deadline.
#[derive(Debug, Clone)]
pub struct Failure {
    /// How long was waited.
    pub waited: Duration,
    /// The operator's choice of NIC, if there was one.
    pub wanted: Option<NicChoice>,
    /// The NICs, those that vanished again included.
    pub nics: Vec<Nic>,
    /// All cards of the machine, those without a driver too, for people and programs.
    pub cards: Vec<Card>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.waited.as_secs_f32();
        if self.nics.is_empty() {
            write!(f, "no network card appeared within {seconds:.1} s")?;
            if self.cards.is_empty() {
                return f.write_str(": no driver, or none there");
            }
        } else {
            write!(f, "no network card reached the store within {seconds:.1} s")?;
            if let Some(wanted) = &self.wanted
                && !self.nics.iter().any(|nic| nic.is(wanted))
            {
                write!(f, ", and none is {wanted}")?;
            }
        }
        table(&self.cards).iter().try_for_each(|row| write!(f, "\n{row}"))
    }
}
