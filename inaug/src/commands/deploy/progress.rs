//! How far a deployment is: each stage timed, and shown where a person sits.

use crate::output::Output;
use deploy::{Meter, Snapshot};
use indicatif::ProgressBar;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the bar is drawn anew: fluent, and no work.
const REDRAW: Duration = Duration::from_millis(200);

/// The stages so far and the bar of the one that runs.
pub(super) struct Progress {
    bar: ProgressBar,
    stages: Vec<(&'static str, f64)>,
    painter: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Shows what `meter` counts.
    pub(super) fn start(meter: &Arc<Meter>) -> Self {
        let bar = Output::bar("", 0);
        let painter = (!bar.is_hidden()).then(|| paint(bar.clone(), Arc::clone(meter)));
        Self { bar, stages: Vec::new(), painter }
    }

    /// Runs a stage and takes its time.
    pub(super) fn stage<T>(&mut self, name: &'static str, run: impl FnOnce() -> T) -> T {
        self.bar.set_prefix(name);
        self.bar.reset_eta();
        let start = Instant::now();
        let result = run();
        self.stages.push((name, start.elapsed().as_secs_f64()));
        result
    }

    /// The stages and their seconds, in order.
    pub(super) fn finish(mut self) -> Vec<(&'static str, f64)> {
        std::mem::take(&mut self.stages)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let Some((stop, painter)) = self.painter.take() else { return };
        drop(stop);
        // A painter that is gone has nothing left to do.
        let _ = painter.join();
        self.bar.finish_and_clear();
    }
}

/// Draws until the sender is dropped.
fn paint(bar: ProgressBar, meter: Arc<Meter>) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = channel();
    let painter = std::thread::spawn(move || {
        let mut last = Snapshot::default();
        while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
            let now = meter.snapshot();
            if now.is_open {
                bar.unset_length();
            } else {
                bar.set_length(now.total_bytes);
            }
            bar.set_position(now.done_bytes);
            let limit = now.limit_since(&last).map_or("", deploy::Limit::as_str);
            bar.set_message(format!("limit {limit}"));
            last = now;
        }
    });
    (stop, painter)
}
