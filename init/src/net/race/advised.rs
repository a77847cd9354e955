//! What switches say while the race runs: it is told, and where the operator wants it, done.

use super::{NICS_MAX, Race, Say};
use crate::net::NetError;
use crate::net::lldp::{Advice, Aggregate, Heard, Tagged, advice};

/// Pieces of advice that are said or done, each once: several for every NIC.
const ADVISED_MAX: usize = 4 * NICS_MAX;

impl Race<'_> {
    /// Hears switches, and says or does what they advise for NICs that lead nowhere.
    pub(super) fn hear(&mut self, say: Say<'_>) -> Result<(), NetError> {
        for heard in self.ears.hear() {
            say(&format!("network: {heard}"));
        }
        let advice = self.advice();
        if self.tell_advice(&advice, say) && (self.config.auto_bond || self.config.auto_vlan) {
            self.follow(&advice);
            self.list(say)?;
        }
        Ok(())
    }

    /// What switches say about the NICs as they are now.
    fn advice(&mut self) -> Advice {
        let now = self.now();
        let mut numbers = std::mem::take(&mut self.numbers);
        let heard = self.links().into_iter().filter_map(|index| {
            let mut contenders = self.of_link(index).peekable();
            let neighbor = self.ears.neighbor(index)?;
            let name = &contenders.peek()?.nic.name;
            let leads_nowhere = contenders.all(|contender| contender.leads_nowhere(now));
            Some(Heard { index, name, neighbor, leads_nowhere })
        });
        let advice = advice(&heard.collect::<Vec<_>>(), &mut numbers);
        self.numbers = numbers;
        advice
    }

    /// Says what was not said; whether anything was.
    fn tell_advice(&mut self, advice: &Advice, say: Say<'_>) -> bool {
        let (bond, tag) = (self.config.auto_bond, self.config.auto_vlan);
        let bonds = advice.aggregates.iter().map(|one| if bond { one.said() } else { one.hint() });
        let vlans = advice.tagged.iter().map(|one| if tag { one.said() } else { one.hint() });
        let mut is_new = false;
        for text in bonds.chain(vlans) {
            if self.advised.len() < ADVISED_MAX && self.advised.insert(text.clone()) {
                say(&format!("network: {text}"));
                is_new = true;
            }
        }
        is_new
    }

    /// Has links made as the operator lets switches say it.
    fn follow(&mut self, advice: &Advice) {
        let Advice { aggregates, tagged } = advice;
        let (bond, tag) = (self.config.auto_bond, self.config.auto_vlan);
        let bonds = aggregates.iter().filter(|_| bond).map(Aggregate::bond);
        // Without the aggregate there is no link to carry them.
        let tagged = tagged.iter().filter(|one| tag && (bond || one.is_on_a_card()));
        self.stack.add(bonds.collect(), tagged.flat_map(Tagged::vlans));
    }
}
