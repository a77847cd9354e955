//! What a cable and the port behind it do to frames, both ways.

use crate::frame::{flip_tcp_payload, tcp_payload_bytes};
use crate::noise::Noise;
use std::time::Duration;

/// A frame that is overtaken comes this much later: behind what is sent at once, before a sender
/// takes it for lost.
const OVERTAKEN: Duration = Duration::from_millis(3);

/// Of Ethernet's header: what a "maximum" of IP does not count.
const ETHERNET_HEADER: usize = 14;

/// TCP payloads of this size and more are bodies of answers: a changed head is another matter.
const BODY: usize = 1000;

/// What is wrong with a port. All of it may strike at once; nothing does by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Spanning tree: so long after the first frame since the cable was plugged in, nothing passes.
    pub silent_for: Duration,
    /// Frames that are lost, of a hundred.
    pub lost_percent: u32,
    /// Frames that come twice, of a hundred.
    pub doubled_percent: u32,
    /// Frames that later ones overtake, of a hundred.
    pub overtaken_percent: u32,
    /// Frames with a changed bit, of a thousand, and how.
    pub corrupt: Option<(u32, Corruption)>,
    /// Each frame takes so long.
    pub delay: Duration,
    /// Longer packets vanish without a word (no ICMP), bytes of IP.
    pub packet_max: Option<usize>,
    /// Nothing passes at all, and the carrier stays.
    pub dead: bool,
}

/// How a frame is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// As on a bad cable: the checksum tells.
    Told,
    /// By a box that makes checksums anew: nobody can tell but who knows the content.
    Hidden,
}

/// A port's faults and what they remember.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) faults: Faults,
    /// When spanning tree lets frames pass.
    opens: Option<Duration>,
}

impl Line {
    pub(crate) fn of(faults: Faults) -> Self {
        Self { faults, opens: None }
    }

    /// The cable was pulled out: spanning tree begins anew.
    pub(crate) fn replug(&mut self) {
        self.opens = None;
    }

    /// What becomes of a frame: none, or one, or two of them, each when.
    pub(crate) fn pass(
        &mut self,
        now: Duration,
        mut frame: Vec<u8>,
        noise: &mut Noise,
    ) -> Vec<(Duration, Vec<u8>)> {
        let faults = self.faults;
        let opens = *self.opens.get_or_insert(now + faults.silent_for);
        let is_too_long = faults.packet_max.is_some_and(|max| frame.len() > max + ETHERNET_HEADER);
        if faults.dead || now < opens || is_too_long || percent(noise, faults.lost_percent) {
            return Vec::new();
        }
        if let Some((per_mille, how)) = faults.corrupt {
            corrupt(&mut frame, per_mille, how, noise);
        }
        let late =
            if percent(noise, faults.overtaken_percent) { OVERTAKEN } else { Duration::ZERO };
        let at = now + faults.delay + late;
        let again = percent(noise, faults.doubled_percent).then(|| (at, frame.clone()));
        again.into_iter().chain([(at, frame)]).collect()
    }
}

fn percent(noise: &mut Noise, percent: u32) -> bool {
    // A port without faults draws nothing, so that others' draws do not depend on it.
    percent > 0 && noise.number() % 100 < u64::from(percent)
}

fn corrupt(frame: &mut [u8], per_mille: u32, how: Corruption, noise: &mut Noise) {
    let length = tcp_payload_bytes(frame);
    if length < BODY || noise.number() % 1000 >= u64::from(per_mille) {
        return;
    }
    let byte = (noise.number() % length as u64) as usize;
    match how {
        Corruption::Hidden => flip_tcp_payload(frame, byte),
        Corruption::Told => {
            let at = frame.len() - length + byte;
            frame[at] ^= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(faults: Faults, frames: usize) -> usize {
        let (mut line, mut noise) = (Line::of(faults), Noise::of(1));
        (0..frames).map(|_| line.pass(Duration::ZERO, vec![0; 100], &mut noise).len()).sum()
    }

    #[test]
    fn faults_strike_as_often_as_they_say() {
        let none = Faults::default();
        for (faults, expected) in [
            (none, 1000..=1000),
            (Faults { dead: true, ..none }, 0..=0),
            (Faults { lost_percent: 10, ..none }, 860..=940),
            (Faults { doubled_percent: 10, ..none }, 1060..=1140),
            (Faults { packet_max: Some(86), ..none }, 1000..=1000),
            (Faults { packet_max: Some(85), ..none }, 0..=0),
        ] {
            let found = passes(faults, 1000);
            assert!(expected.contains(&found), "{faults:?}: {found}");
        }
    }

    #[test]
    fn spanning_tree_is_silent_from_the_first_frame_and_anew_after_the_cable() {
        let silent_for = Duration::from_secs(30);
        let mut line = Line::of(Faults { silent_for, ..Faults::default() });
        let mut noise = Noise::of(1);
        let mut at = |line: &mut Line, s| line.pass(Duration::from_secs(s), vec![0], &mut noise);
        assert_eq!([5, 34, 35].map(|s| at(&mut line, s).len()), [0, 0, 1]);
        line.replug();
        assert_eq!([40, 69, 70].map(|s| at(&mut line, s).len()), [0, 0, 1]);
    }
}
