//! What is said of a NIC: what it brought so far, and what is wrong with it.

use std::time::Duration;

use super::{Contender, State};
use crate::net::nic::Nic;

/// Notes kept for one NIC; the oldest go first. A flapping link writes one per change.
const NOTES_MAX: usize = 6;

impl Contender {
    /// The NIC with everything that was heard.
    pub(in crate::net) fn report(&self, now: Duration) -> Nic {
        let mut parts: Vec<String> = self.notes.iter().cloned().collect();
        let told = !parts.is_empty();
        match (&self.state, self.carrier_since) {
            (State::Unwanted(why), _) => parts.push(why.clone()),
            (State::Ready(ready), _) if ready.attempts > 0 => {}
            (State::Broken { .. }, _) if told => {}
            (_, None) if told => parts.push("no carrier now".to_owned()),
            (_, None) => parts.push("no carrier".to_owned()),
            _ => parts.push(self.progress(now)),
        }
        Nic { heard: parts.join("; "), ..self.nic.clone() }
    }

    pub(super) fn progress(&self, now: Duration) -> String {
        let up = now.saturating_sub(self.carrier_since.unwrap_or(now)).as_secs_f32();
        match &self.state {
            State::Unwanted(_) | State::Idle | State::Broken { .. } => {
                format!("carrier up {up:.1} s")
            }
            State::Asking(asking) => {
                format!("carrier up {up:.1} s, {}", asking.client.heard())
            }
            State::Probing(probing) => {
                let address = probing.answer.address;
                format!("carrier up {up:.1} s, looking whether others have {address}")
            }
            State::Ready(ready) => format!("carrier up {up:.1} s, {}", ready.network.source()),
        }
    }

    /// Adds to what is told about this NIC; a repetition is not told twice.
    pub(in crate::net) fn note(&mut self, note: String) {
        if self.notes.back() == Some(&note) {
            return;
        }
        if self.notes.len() >= NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }

    /// What is wrong with the answer that is tried, unless it was said already.
    pub(in crate::net) fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }
}
