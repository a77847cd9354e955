//! A link that comes and goes: each time it is back within the grace, and nothing gets done.

use std::collections::VecDeque;
use std::time::Duration;

/// Losses of carrier that are taken for a bad cable. A card or a switch that negotiates anew loses it
/// once or twice.
const FLAPS_MAX: usize = 6;

/// Within so much time.
const WITHIN: Duration = Duration::from_mins(1);

/// When carrier was lost; times are since any one moment.
#[derive(Debug, Default)]
pub(super) struct Flaps(VecDeque<Duration>);

impl Flaps {
    /// Carrier was lost `now`; what that says of the link, if it is too often.
    pub(super) fn lost(&mut self, now: Duration) -> Option<String> {
        self.0.push_back(now);
        self.0.retain(|at| *at + WITHIN > now);
        (self.0.len() >= FLAPS_MAX)
            .then(|| format!("carrier lost {} times within {} s", self.0.len(), WITHIN.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_lost_often_is_told_from_one_that_is_lost_now_and_then() {
        let last = |every_s: u64| {
            let mut flaps = Flaps::default();
            (0..10).find_map(|n| flaps.lost(Duration::from_secs(n * every_s)).map(|why| (n, why)))
        };
        assert_eq!(last(2), Some((5, "carrier lost 6 times within 60 s".to_owned())));
        assert_eq!(last(11), Some((5, "carrier lost 6 times within 60 s".to_owned())));
        assert_eq!(last(12), None);
    }
}
