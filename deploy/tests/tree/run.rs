//! All stages, one after another.

use crate::shelf::Shelf;
use deploy::tree::{Gate, Inventory, Options, Plan, Root, plan, settle, verify, write};
use deploy::{Error, Meter, ReadBack, Snapshot};
use std::path::Path;
use std::sync::Arc;

/// What is to be deployed, and how.
pub(crate) struct Run<'a> {
    pub(crate) shelf: &'a Arc<Shelf>,
    pub(crate) labels: &'a [&'a str],
    pub(crate) to: &'a Path,
    pub(crate) options: Options,
    pub(crate) gate: Option<Arc<dyn Gate>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(shelf: &'a Arc<Shelf>, labels: &'a [&'a str], to: &'a Path) -> Self {
        Self { shelf, labels, to, options: Options::default(), gate: None }
    }

    pub(crate) fn with_gate(self, gate: Arc<dyn Gate>) -> Self {
        Self { gate: Some(gate), ..self }
    }

    pub(crate) fn keeping(mut self, paths: &[&str]) -> Self {
        self.options.keep = deploy::tree::Keep::new(paths).unwrap();
        self
    }

    pub(crate) fn plan(self, meter: &Arc<Meter>) -> Result<Plan, Error> {
        let (root, _) = Root::open_or_make(self.to).unwrap();
        let root = match self.gate {
            Some(gate) => root.with_gate(gate),
            None => root,
        };
        let root = Arc::new(root);
        let inventory = Inventory::take(&root, &self.options.keep, meter)?;
        let labels = self.labels.iter().map(|label| {
            deploy::label::resolve(&[self.shelf.as_source()], &label.parse().unwrap(), meter)
        });
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        plan(labels, root, inventory, self.options, Arc::clone(meter))
    }

    /// Deploys; the counters come with failures too.
    pub(crate) fn go(self) -> (Result<(), Error>, Snapshot) {
        let meter = Arc::new(Meter::new());
        let result = self.plan(&meter).and_then(|plan| {
            settle(verify(write(plan)?, ReadBack::Yes)?);
            Ok(())
        });
        (result, meter.snapshot())
    }

    /// Deploys, which must succeed, and reads nothing back.
    #[track_caller]
    pub(crate) fn unverified(self) {
        let meter = Arc::new(Meter::new());
        let written = self.plan(&meter).and_then(write);
        if let Err(error) = written.and_then(|written| verify(written, ReadBack::No)) {
            panic!("{}", chain(&error));
        }
    }

    /// Deploys, which must succeed.
    #[track_caller]
    pub(crate) fn done(self) -> Snapshot {
        let (result, done) = self.go();
        if let Err(error) = result {
            panic!("{}", chain(&error));
        }
        done
    }
}

/// An error with all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
