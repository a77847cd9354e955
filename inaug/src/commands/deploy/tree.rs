//! Trees onto directories.

use super::Deployment;
use super::document::{Document, PlanDocument, Proof};
use super::progress::Progress;
use crate::exit::Usage;
use crate::output::Output;
use deploy::tree::{Inventory, Keep, Options, Root, plan, settle, verify, write};
use deploy::{Error, Label, ReadBack, Target};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::is_url;

/// Deploys onto the directory that the arguments name; `labels` where they are known already.
pub(super) fn run(
    deployment: &Deployment<'_>,
    labels: Option<Vec<Label>>,
    mut progress: Progress,
    output: &Output,
) -> anyhow::Result<()> {
    let Deployment { args, meter, .. } = deployment;
    if !args.seed.is_empty() {
        return Err(Usage("--seed is for images".to_owned()).into());
    }
    let keep = keep(deployment)?;
    let (root, is_new) = Root::open_or_make(&args.to).map_err(Error::from)?;
    let root = Arc::new(root);
    let _made = Made(is_new.then_some(&args.to));
    if !args.plan {
        root.claim().map_err(Error::TreeRefused)?;
    }
    // Reads and hashes while the label is asked for.
    let taking = Inventory::start(Arc::clone(&root), keep.clone(), Arc::clone(meter));
    let labels = match labels {
        Some(labels) => Ok(labels),
        None => progress.stage("label", || deployment.labels()),
    };
    let labels = match labels {
        Ok(labels) if labels[0].manifest.image().is_none() => labels,
        other => {
            taking.stop();
            other?;
            // An image goes onto a file or a device: this says what was given instead.
            Target::open(&args.to)?;
            return Ok(());
        }
    };
    if let Err(error) = refuse(&root, deployment, &keep) {
        taking.stop();
        return Err(error);
    }
    let inventory = progress.stage("inventory", || anyhow::Ok(taking.finish()?))?;
    let options = Options { keep, ..Options::default() };
    let planned = progress.stage("plan", || {
        anyhow::Ok(plan(labels, Arc::clone(&root), inventory, options, Arc::clone(meter))?)
    })?;
    let document = PlanDocument::of_tree(&planned);
    if args.plan {
        drop((progress, planned));
        return Ok(output.answer(&document)?);
    }
    let read_back = deployment.read_back();
    let written = progress.stage("write", || anyhow::Ok(write(planned)?))?;
    let verified = progress.stage("verify", || anyhow::Ok(verify(written, read_back)?))?;
    let settled = progress.stage("settle", || {
        let settled = settle(verified);
        for label in settled.labels() {
            label.finish_near();
        }
        settled
    });
    let proof = match (read_back, settled.is_read_back()) {
        (_, true) => Proof::ReadBack,
        (ReadBack::Yes, false) => Proof::Compared,
        (ReadBack::No, false) => Proof::None,
    };
    let document = Document::of(document, settled.meter(), proof, progress.finish());
    Ok(output.answer(&document)?)
}

/// A directory that was made for a deployment: it goes again where nothing comes into it, because
/// only the plan was asked for, or nothing can come of it.
struct Made<'a>(Option<&'a PathBuf>);

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // One that something is in is not removed (rmdir(2)).
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// What stays as it is: what is said to, and a local store in the directory.
fn keep(deployment: &Deployment<'_>) -> anyhow::Result<Keep> {
    let args = deployment.args;
    let mut paths: Vec<Vec<u8>> = args.keep.iter().map(|path| path.as_bytes().to_vec()).collect();
    paths.extend(args.local_store.as_deref().and_then(|store| within(&args.to, store)));
    Ok(Keep::new(paths).map_err(Error::TreeRefused)?)
}

/// The path of `inner` in the directory `outer`, if it is in it.
fn within(outer: &Path, inner: &Path) -> Option<Vec<u8>> {
    let (outer, inner) = (outer.canonicalize().ok()?, inner.canonicalize().ok()?);
    inner.strip_prefix(outer).ok().map(|path| path.as_os_str().as_bytes().to_vec())
}

fn refuse(root: &Root, deployment: &Deployment<'_>, keep: &Keep) -> anyhow::Result<()> {
    let args = deployment.args;
    root.refuse_own_root().map_err(Error::TreeRefused)?;
    let kept: Vec<_> = keep.paths().map(|path| root.name().join(OsStr::from_bytes(path))).collect();
    let is_kept = |store: &Path| {
        let store = store.canonicalize().ok();
        let kept = kept.iter().filter_map(|path| path.canonicalize().ok());
        store.is_some_and(|store| kept.into_iter().any(|path| store.starts_with(path)))
    };
    let stores = args.store.split(',').map(str::trim).filter(|store| !is_url(store));
    for store in stores.map(Path::new).filter(|store| !is_kept(store)) {
        root.refuse_store(store).map_err(Error::TreeRefused)?;
    }
    Ok(())
}
