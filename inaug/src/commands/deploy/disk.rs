//! Trees onto disks of their own.

use super::Deployment;
use super::document::{Document, PlanDocument};
use super::progress::Progress;
use crate::exit::Usage;
use crate::output::Output;
use anyhow::Context;
use deploy::install::{Disk, Options, Own, Sizes, plan, settle, verify, write};
use deploy::tree::Keep;
use deploy::volumes::Access;
use deploy::{Error, Label};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Deploys `labels` onto the block device that the arguments name.
pub(super) fn run(
    deployment: &Deployment<'_>,
    labels: Vec<Label>,
    mut progress: Progress,
    output: &Output,
) -> anyhow::Result<()> {
    let Deployment { args, meter, .. } = deployment;
    let disk = Disk::open(&args.to)?;
    let options = options(deployment, &disk)?;
    let access = if args.plan { Access::AsItIs } else { Access::ReadOnly };
    let look = disk.look(&options.keep, access, meter)?;
    let mut seed = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut seed));
    read.context("cannot read random numbers from /dev/urandom")?;
    let planned = progress.stage("plan", || {
        anyhow::Ok(plan(disk, look, labels, options, Arc::clone(meter), &seed)?)
    })?;
    let document = PlanDocument::of_disk(&planned);
    if args.plan {
        drop((progress, planned));
        return Ok(output.answer(&document)?);
    }
    let read_back = deployment.read_back();
    let written = progress.stage("write", || anyhow::Ok(write(planned)?))?;
    let verified = progress.stage("verify", || anyhow::Ok(verify(written, read_back)?))?;
    let settled = progress.stage("settle", || {
        let settled = settle(verified)?;
        for label in settled.labels() {
            label.finish_near();
        }
        anyhow::Ok(settled)
    })?;
    let document = Document::of(document, settled.meter(), read_back, progress.finish());
    Ok(output.answer(&document.that_boots(&settled))?)
}

fn options(deployment: &Deployment<'_>, disk: &Disk) -> anyhow::Result<Options> {
    let (args, own) = (deployment.args, &deployment.args.disk);
    if args.local_store.is_some() {
        let sentence = "--local-store is for directories: a disk is mounted nowhere";
        return Err(Usage(sentence.to_owned()).into());
    }
    let keep = args.keep.iter().map(|path| path.as_bytes());
    Ok(Options {
        keep: Keep::new(keep).map_err(Error::TreeRefused)?,
        sizes: Sizes {
            esp_bytes: own.esp_size,
            swap_bytes: own.swap_size,
            data_bytes: own.data_size,
        },
        root_kind: own.root_fs,
        own: Own {
            hostname: own.hostname.clone(),
            root_password: own.root_password.clone(),
            ssh_keys: own.ssh_key.clone(),
            files: Vec::new(),
        },
        append: own.append.clone(),
        running: String::new(),
        anew: own.repartition || disk.is_blank(),
        how_anew: "say --repartition".to_owned(),
        local_store_bytes: None,
        only_planned: args.plan,
    })
}
