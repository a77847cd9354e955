//! How long each stage of a boot took, as far as its console tells.

use std::time::Duration;

/// Stages of the inaugurator, as its lines name them.
const OF_THE_INAUGURATOR: [&str; 9] =
    ["config", "net", "label", "disk", "plan", "write", "verify", "settle", "kexec"];

/// From power-on to the inaugurator's first line.
const KERNEL: &str = "kernel";

/// From the start of the deployed kernel to what was waited for.
const SYSTEM: &str = "system";

/// The stages so far.
#[derive(Debug, Default)]
pub(super) struct Stages {
    /// When each had its last line, since power-on; in the order of their first lines.
    last: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// A whole line, and when it came.
    pub(super) fn line(&mut self, line: &str, at: Duration) {
        if let Some(stage) = stage_of(line) {
            self.note(stage, at);
        }
    }

    /// What was waited for has come.
    pub(super) fn up(&mut self, at: Duration) {
        self.note(SYSTEM, at);
    }

    /// The command in the deployed system has ended.
    pub(super) fn tested(&mut self, at: Duration) {
        self.note("test", at);
    }

    /// Seconds from the last line of the stage before to its own last line.
    pub(super) fn seconds(&self) -> Vec<(&'static str, f64)> {
        let mut before = Duration::ZERO;
        let mut took = |(stage, at): &(&'static str, Duration)| {
            let seconds = at.saturating_sub(before).as_secs_f64();
            before = before.max(*at);
            (*stage, (seconds * 1000.0).round() / 1000.0)
        };
        self.last.iter().map(&mut took).collect()
    }

    fn note(&mut self, stage: &'static str, at: Duration) {
        match self.last.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, last)) => *last = at,
            None => self.last.push((stage, at)),
        }
    }
}

/// What a line of the inaugurator says after its clock, which has three decimals where the kernel's
/// has six: `[    2.914] label: ...`.
pub(super) fn of_inaugurator(line: &str) -> Option<&str> {
    let (clock, said) = line.strip_prefix('[')?.split_once("] ")?;
    let (seconds, decimals) = clock.trim_start().split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (decimals.len() == 3 && digits(decimals) && digits(seconds)).then_some(said)
}

fn stage_of(line: &str) -> Option<&'static str> {
    let said = of_inaugurator(line)?;
    if said.starts_with("init: inaugurator ") {
        return Some(KERNEL);
    }
    let (word, _) = said.split_once(": ")?;
    OF_THE_INAUGURATOR.into_iter().find(|stage| *stage == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_lasts_from_the_one_before_to_its_own_last_line() {
        let mut stages = Stages::default();
        for (at_ms, line) in [
            (100, "SeaBIOS (version 1.16.2)"),
            (2000, "[    1.796] init: inaugurator 0.1.0, Linux 6.1.0-56-cloud-amd64"),
            (2100, "[    1.843] config: label a from b"),
            (2200, "[    2.206] modules: virtio"),
            (2500, "[    2.730] net: eth0 is there"),
            (3000, "[    2.805] net: eth0 has a lease"),
            (3500, "[    0.500000] net: the kernel's own line"),
            (4000, "[    2.914] kexec: starting the deployed kernel"),
        ] {
            stages.line(line, Duration::from_millis(at_ms));
        }
        stages.up(Duration::from_secs(10));
        stages.tested(Duration::from_millis(10_250));
        let expected = [
            ("kernel", 2.0),
            ("config", 0.1),
            ("net", 0.9),
            ("kexec", 1.0),
            ("system", 6.0),
            ("test", 0.25),
        ];
        assert_eq!(stages.seconds(), expected);
    }

    #[test]
    fn lines_are_ours_by_their_clock() {
        for (line, expected) in [
            ("[    2.914] label: x", Some("label: x")),
            ("[12345.914] a", Some("a")),
            ("[    2.914000] x: y", None),
            ("[  OK  ] Started x", None),
            ("2.914] x", None),
            ("", None),
        ] {
            assert_eq!(of_inaugurator(line), expected, "{line}");
        }
    }
}
