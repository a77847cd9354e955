//! Work done by several threads whose results come out in the order it went in.

use std::any::Any;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

/// Puts work in; dropped, it ends the threads once all work is done.
pub(crate) struct Submit<I, O> {
    work: SyncSender<(I, SyncSender<O>)>,
    results: SyncSender<Receiver<O>>,
}

/// Gives results in the order of the work.
pub(crate) struct Results<O>(Receiver<Receiver<O>>);

/// The other side is gone: it failed and says why.
#[derive(Debug)]
pub(crate) struct Closed;

/// What a thread that panicked said (`std::panic`: a string, or nothing known).
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("nothing").to_owned()
}

/// Starts `threads` threads in `scope`, each with a worker made by `worker`. At most about
/// twice as many pieces of work as threads are held at any time.
pub(crate) fn lane<'scope, I, O, W>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    worker: impl Fn() -> W,
) -> (Submit<I, O>, Results<O>)
where
    I: Send + 'scope,
    O: Send + 'scope,
    W: FnMut(I) -> O + Send + 'scope,
{
    let (work, queue) = sync_channel::<(I, SyncSender<O>)>(threads);
    let (results, ordered) = sync_channel(2 * threads);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..threads {
        let (queue, mut worker) = (Arc::clone(&queue), worker());
        scope.spawn(move || {
            while let Some((input, result)) = next(&queue) {
                // Nobody waits for the result any more when the reader has failed.
                result.send(worker(input)).ok();
            }
        });
    }
    (Submit { work, results }, Results(ordered))
}

fn next<T>(queue: &Mutex<Receiver<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl<I, O> Submit<I, O> {
    /// Hands over one piece of work; waits while too much is under way.
    pub(crate) fn submit(&self, input: I) -> Result<(), Closed> {
        let (sender, receiver) = sync_channel(1);
        self.results.send(receiver).map_err(|SendError(_)| Closed)?;
        self.work.send((input, sender)).map_err(|SendError(_)| Closed)
    }
}

impl<O> Iterator for Results<O> {
    type Item = O;

    /// The next result; `None` after the last.
    fn next(&mut self) -> Option<O> {
        self.0.recv().ok()?.recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::scope;

    #[test]
    fn results_come_in_the_order_of_the_work() {
        let squares: Vec<u64> = scope(|scope| {
            let (submit, results) = lane(scope, 3, || |n: u64| n * n);
            scope.spawn(move || (0..1000).for_each(|n| submit.submit(n).unwrap()));
            results.collect()
        });
        assert_eq!(squares, (0..1000).map(|n| n * n).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_that_is_gone_ends_the_work() {
        scope(|scope| {
            let (submit, results) = lane(scope, 2, || |n: u64| n);
            drop(results);
            assert!(submit.submit(1).is_err());
        });
    }
}
