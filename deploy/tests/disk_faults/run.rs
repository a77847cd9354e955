//! Runs of the engine on a disk in memory.

use super::common::{Shop, finish, resolve};
use super::disk::Disk;
use super::picture::Picture;
use deploy::target::TargetKind;
use deploy::{Error, Meter, ReadBack, Snapshot};
use std::sync::Arc;
use store::source::Source;

/// How a run ended, and what it took.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ended: Result<(), Error>,
    pub(crate) snapshot: Snapshot,
}

/// All stages on `disk`.
pub(crate) fn run(source: &Arc<dyn Source>, label: &str, disk: &Disk, kind: TargetKind) -> Ran {
    let meter = Arc::new(Meter::new());
    let ended = resolve(source, label, &meter)
        .and_then(|label| deploy::plan::plan(label, disk.target(kind), Arc::clone(&meter)))
        .and_then(|plan| finish(plan, ReadBack::Yes));
    Ran { ended, snapshot: meter.snapshot() }
}

/// A store that has some pictures as labels.
pub(crate) struct Stock {
    _shop: Shop,
    pub(crate) source: Arc<dyn Source>,
}

impl Stock {
    pub(crate) fn of(pictures: &[(&str, &Picture)]) -> Self {
        let shop = Shop::new();
        let mut source = None;
        for (label, picture) in pictures {
            source = Some(shop.push(label, &picture.image()));
        }
        Self { source: source.unwrap(), _shop: shop }
    }

    /// A disk of `before` on which `label` was put without any fault.
    pub(crate) fn deployed(&self, label: &str, before: Vec<u8>) -> Vec<u8> {
        let disk = Disk::with(before);
        run(&self.source, label, &disk, TargetKind::Device).ended.unwrap();
        disk.content()
    }
}

/// An error with all its causes, as it is printed.
pub(crate) fn sentence(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
