//! `inaug deploy`: the engine on this host, onto a file, a block device or a directory.

mod disk;
mod document;
mod progress;
mod tree;

use super::open_chain;
use crate::args::DeployArgs;
use crate::exit::Usage;
use crate::output::Output;
use deploy::label::{manifest_of, resolve};
use deploy::plan::plan_seeded;
use deploy::settle::settle;
use deploy::verify::verify;
use deploy::write::write;
use deploy::{Label, Meter, ReadBack, Target};
use document::{Document, PlanDocument};
use progress::Progress;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use store::near::Near;
use store::source::Source;

/// What the ways to deploy have in common.
struct Deployment<'a> {
    args: &'a DeployArgs,
    chain: Vec<Arc<dyn Source>>,
    near: Option<Arc<Near>>,
    meter: Arc<Meter>,
}

/// Deploys the label, or shows what that would take.
pub(crate) fn run(args: &DeployArgs, output: &Output) -> anyhow::Result<()> {
    let chain = open_chain(&args.store, &args.access)?;
    let near = args.local_store.as_ref().and_then(|path| near(path, args.local_store_size));
    let meter = Arc::new(Meter::new());
    let mut progress = Progress::start(&meter);
    let deployment = Deployment { args, chain, near, meter };
    if args.to.is_dir() {
        return tree::run(&deployment, None, progress, output);
    }
    let labels = progress.stage("label", || deployment.labels())?;
    if labels[0].manifest.image().is_none() && !args.to.exists() {
        return tree::run(&deployment, Some(labels), progress, output);
    }
    if labels[0].manifest.image().is_none() && is_block_device(&args.to) {
        return disk::run(&deployment, labels, progress, output);
    }
    run_image(&deployment, labels, progress, output)
}

fn is_block_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

/// The store beside the target. One that cannot be used is passed over: all comes from far then.
fn near(path: &Path, max_bytes: u64) -> Option<Arc<Near>> {
    match Near::open(path, max_bytes) {
        Ok(near) => Some(Arc::new(near)),
        Err(error) => {
            let causes = anyhow::Error::from(error);
            Output::warning(&format!("the local store is passed over: {causes:#}"));
            None
        }
    }
}

impl Deployment<'_> {
    fn labels(&self) -> anyhow::Result<Vec<Label>> {
        let labels = self.args.label.0.iter().map(|name| {
            let label = resolve(&self.chain, name, &self.meter)?;
            Ok(match &self.near {
                Some(near) => label.with_near(Arc::clone(near), &self.meter),
                None => label,
            })
        });
        labels.collect()
    }

    fn read_back(&self) -> ReadBack {
        if self.args.no_verify { ReadBack::No } else { ReadBack::Yes }
    }
}

fn run_image(
    deployment: &Deployment<'_>,
    labels: Vec<Label>,
    mut progress: Progress,
    output: &Output,
) -> anyhow::Result<()> {
    let Deployment { args, chain, meter, .. } = deployment;
    let [label] = <[Label; 1]>::try_from(labels).map_err(|labels| {
        Usage(format!("{} labels: only trees are joined, in a directory", labels.len()))
    })?;
    if !args.keep.is_empty() {
        return Err(Usage("--keep is for directories".to_owned()).into());
    }
    let seeds: Result<Vec<_>, _> =
        args.seed.iter().map(|held| manifest_of(chain, held, meter)).collect();
    let seeds = seeds?;
    let is_new = !args.to.exists();
    let target = Target::open(&args.to)?;
    let planned = progress
        .stage("plan", || anyhow::Ok(plan_seeded(label, target, &seeds, Arc::clone(meter))?))?;
    let plan = PlanDocument::of(&planned);
    if args.plan {
        drop((progress, planned));
        // Opening made it; a plan leaves nothing.
        if is_new {
            std::fs::remove_file(&args.to)?;
        }
        return Ok(output.answer(&plan)?);
    }
    let read_back = deployment.read_back();
    let written = progress.stage("write", || anyhow::Ok(write(planned)?))?;
    let verified = progress.stage("verify", || anyhow::Ok(verify(written, read_back)?))?;
    let settled = progress.stage("settle", || {
        let settled = settle(verified);
        settled.label().finish_near();
        settled
    });
    let document = Document::of(plan, settled.meter(), read_back, progress.finish());
    Ok(output.answer(&document)?)
}
