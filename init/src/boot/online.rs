//! A store behind a network that may be lost and found again: nothing is asked of it in between.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use store::source::{Body, Item, Source, SourceError};

use crate::net::InUse;

/// A search for another network ends by itself; this only guards against waiting for ever.
const SEARCH: Duration = Duration::from_mins(30);

/// A store that is asked when there is a network, or nobody looks for one any more. So a network that is
/// lost costs a fetch one try, and not all of them within seconds.
pub(super) struct Online {
    pub(super) inner: Arc<dyn Source>,
    pub(super) network: InUse,
}

impl Source for Online {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        // Without a network the store's own error says so.
        let _ = self.network.wait(SEARCH);
        let asking = self.network.asking();
        let body = self.inner.open(item, range)?;
        asking.heard();
        let reader = Listening { inner: body.reader, network: self.network.clone() };
        Ok(Body { reader: Box::new(reader), ..body })
    }
}

/// Lets the keeper of the network know whether anything comes.
struct Listening {
    inner: Box<dyn Read + Send>,
    network: InUse,
}

impl Read for Listening {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let asking = self.network.asking();
        let count = self.inner.read(into)?;
        asking.heard();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    /// Tells when it is asked.
    struct Asked(Sender<()>);

    impl Source for Asked {
        fn name(&self) -> &'static str {
            "asked"
        }

        fn open(&self, _: &Item, _: Option<Range<u64>>) -> Result<Body, SourceError> {
            self.0.send(()).unwrap();
            Ok(Body { length_bytes: None, total_bytes: None, reader: Box::new(io::empty()) })
        }
    }

    #[test]
    fn nothing_is_asked_while_a_network_is_looked_for() {
        let (network, (tell, told)) = (InUse::default(), channel());
        let store = Online { inner: Arc::new(Asked(tell)), network: network.clone() };
        store.open(&Item::LabelList, None).unwrap();
        told.recv().unwrap();
        network.lose();
        thread::scope(|scope| {
            let asking = scope.spawn(|| store.open(&Item::LabelList, None).map(drop));
            assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
            network.leave();
            asking.join().unwrap().unwrap();
        });
        told.recv().unwrap();
    }
}
