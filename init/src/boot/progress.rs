//! One line a second while a stage moves bytes.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use deploy::plan::human;
use deploy::{Meter, Snapshot};

use crate::console::Console;

/// Often enough to see a stall, seldom enough for a serial line.
const EVERY: Duration = Duration::from_secs(1);

/// Shows progress until it is dropped.
pub(super) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts to show what `meter` counts, as lines of `stage`. A machine that
    /// cannot start a thread deploys in silence.
    pub(super) fn show(console: &Arc<Console>, stage: &'static str, meter: &Arc<Meter>) -> Self {
        let (console, meter) = (Arc::clone(console), Arc::clone(meter));
        let (stop, stopped) = channel();
        let run = move || {
            let (mut before, mut at) = (meter.snapshot(), Instant::now());
            // Ends at once when the sender is dropped; until then it is a clock.
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let (now, time) = (meter.snapshot(), Instant::now());
                if let Some(text) = line(&before, &now, time - at) {
                    console.progress(stage, &text);
                }
                (before, at) = (now, time);
            }
        };
        let thread = thread::Builder::new().name("progress".into()).spawn(run).ok();
        Self { stop: Some(stop), thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the machine already.
            let _ = thread.join();
        }
    }
}

/// Percent, bytes, rates, time left and the limit, from two looks `elapsed`
/// apart; nothing where the stage has nothing to count. There is no percent of what is still
/// being found.
fn line(before: &Snapshot, now: &Snapshot, elapsed: Duration) -> Option<String> {
    if now.total_bytes == 0 {
        return None;
    }
    // The counters start again with each stage.
    let is_same_stage = before.is_open == now.is_open
        && (now.is_open || before.total_bytes == now.total_bytes)
        && before.done_bytes <= now.done_bytes;
    let done_before = if is_same_stage { before.done_bytes } else { 0 };
    let rate = rate(done_before, now.done_bytes, elapsed);
    let limit = now.limit_since(before).map_or("nothing", deploy::Limit::as_str);
    if now.is_open {
        let (done, rate) = (human(now.done_bytes), human(rate));
        return Some(format!("{done} looked through, {rate}/s, limit {limit}"));
    }
    let left_bytes = now.total_bytes.saturating_sub(now.done_bytes);
    let fetched = rate_of_fetch(before, now, elapsed);
    let left = match left_bytes.checked_div(rate) {
        Some(seconds) => format!("{seconds} s left"),
        // A piece that is still coming counts as a whole.
        None if !fetched.is_empty() => String::from("slow"),
        None => String::from("stalled"),
    };
    let percent = u128::from(now.done_bytes) * 100 / u128::from(now.total_bytes);
    Some(format!(
        "{percent:3}% {} of {}, {}/s{fetched}, {left}, limit {limit}",
        human(now.done_bytes),
        human(now.total_bytes),
        human(rate),
    ))
}

fn rate_of_fetch(before: &Snapshot, now: &Snapshot, elapsed: Duration) -> String {
    match rate(before.fetched_bytes, now.fetched_bytes, elapsed) {
        0 => String::new(),
        rate => format!(", net {}/s", human(rate)),
    }
}

/// Bytes a second.
fn rate(before: u64, now: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.as_millis().max(1);
    let bytes = u128::from(now.saturating_sub(before));
    u64::try_from(bytes * 1000 / millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let mut before = Snapshot::default();
        (before.done_bytes, before.total_bytes) = (100 << 20, 1 << 30);
        let mut now = before;
        (now.done_bytes, now.fetched_bytes) = (356 << 20, 64 << 20);
        assert_eq!(
            line(&before, &now, Duration::from_secs(2)).unwrap(),
            " 34% 356.0 MiB of 1.0 GiB, 128.0 MiB/s, net 32.0 MiB/s, 5 s left, limit nothing"
        );
        assert_eq!(
            line(&now, &now, Duration::from_secs(1)).unwrap(),
            " 34% 356.0 MiB of 1.0 GiB, 0 B/s, stalled, limit nothing"
        );
        let mut coming = now;
        coming.fetched_bytes += 100_000;
        assert_eq!(
            line(&now, &coming, Duration::from_secs(1)).unwrap(),
            " 34% 356.0 MiB of 1.0 GiB, 0 B/s, net 97.7 KiB/s, slow, limit nothing"
        );
        assert_eq!(line(&before, &Snapshot::default(), Duration::ZERO), None);
        let mut found = now;
        (found.is_open, found.total_bytes) = (true, 400 << 20);
        assert_eq!(
            line(&before, &found, Duration::from_secs(1)).unwrap(),
            "356.0 MiB looked through, 356.0 MiB/s, limit nothing"
        );
        before.total_bytes = 1 << 20;
        let first = line(&before, &now, Duration::from_secs(1)).unwrap();
        assert_eq!(
            first,
            " 34% 356.0 MiB of 1.0 GiB, 356.0 MiB/s, net 64.0 MiB/s, 1 s left, limit nothing"
        );
    }
}
