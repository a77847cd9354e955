//! `inaug push`: an image or a tree into the store, under a label.

mod archive;
mod boot;
mod diffs;
mod directory;
mod document;
mod tree;
mod trim;
mod unpack;

use super::open::directory;
use crate::args::PushArgs;
use crate::output::Output;
use crate::text;
use anyhow::Context;
use document::Document;
use indicatif::ProgressBar;
use std::fs::File;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use store::dir::DirStore;
use store::push::{Done, Progress, PushImage, PushReport, push_image};

/// Pushes what is given.
pub(crate) fn run(args: PushArgs, output: &Output) -> anyhow::Result<()> {
    let (label, store) = (args.label.clone(), args.store.store.clone());
    let bases = diffs::bases(&store, &args.base)?;
    let bar = Bar(Output::bar("push", 0));
    let pushed = match args.input.image.clone() {
        Some(image) => push_disk_image(args, image, &bar),
        None => tree::push(args, &bar),
    };
    bar.0.finish_and_clear();
    let (report, boot) = pushed?;
    let diffs = diffs::make(&store, &report.manifest, &bases)?;
    Ok(output.answer(&Document::of(&label, &store, boot.as_ref(), &report, diffs))?)
}

/// What a push did, and how what was pushed boots.
type Pushed = (PushReport, Option<store::push::BootInput>);

fn push_disk_image(args: PushArgs, path: PathBuf, bar: &Bar) -> anyhow::Result<Pushed> {
    let directory = directory(&args.store.store, "push")?;
    let image =
        File::open(&path).with_context(|| format!("cannot open the image {}", path.display()))?;
    let boot = boot::find(&args, &image)?;
    // Held until the push is done: nobody mounts a device whose free space was looked at.
    let trimmed = args.trim.then(|| trim::find(&path)).transpose()?;
    let (free, _held) = trimmed.unzip();
    let store = DirStore::create(directory)?;
    let request = PushImage {
        label: args.label,
        image: path,
        sector_bytes: None,
        boot: boot.input.clone(),
        facts: args.facts,
        pushed_unix_s: now_unix_s()?,
        force: args.force,
        level: args.level,
        free,
    };
    Ok((push_image(&store, &request, bar)?, request.boot))
}

fn now_unix_s() -> anyhow::Result<u64> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(since_1970.context("this machine's clock is before 1970")?.as_secs())
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn advance(&self, done: &Done) {
        // How long a tree is, is known at its end.
        self.0.set_length(done.total_bytes.max(done.read_bytes));
        self.0.set_position(done.read_bytes);
        let (new, packed) = (text::size(done.new_bytes), text::size(done.packed_bytes));
        self.0.set_message(format!("new {new}, packed {packed}"));
    }
}
