//! `inaug media`: sticks and CD-ROMs for machines without network.

mod boot;
mod document;
mod stop;
mod told;

use super::access;
use super::open::open_patient;
use crate::args::MediaArgs;
use crate::exit::{Refused, Usage};
use crate::output::Output;
use crate::text;
use anyhow::Context;
use deploy::disks::{Places, inspect, may_overwrite, wipe_token};
use document::Document;
use indicatif::ProgressBar;
use media::boot::Told;
use media::refresh::{Others, Stick};
use media::{Load, Step, disc, place, stick};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use stop::Stop;
use store::label::LabelName;

/// Makes the medium, or brings it to other labels.
pub(crate) fn run(args: &MediaArgs, output: &Output) -> anyhow::Result<()> {
    let stop = Stop::by_signals()?;
    stop.or(make(args, output, &stop))
}

fn make(args: &MediaArgs, output: &Output, stop: &Stop) -> anyhow::Result<()> {
    let kind = Kind::of(args)?;
    let labels = labels(args);
    let stick = match kind {
        Kind::Refresh => Some(Stick::open(&args.output)?),
        _ => None,
    };
    let before = stick.as_ref().map_or_else(|| Ok(Told::default()), Stick::told)?;
    let told = told::told(args, &labels, before)?;
    let boot = boot::boot(
        &args.boot,
        access::carried_too(&args.store.access)?,
        told.clone(),
        told::command_line(&told, &labels),
    )?;
    let source = stop.over(open_patient(&args.store.store, &args.store.access, "--store")?);
    let load = Load { source: &source, labels: &labels, boot: &boot };
    let bar = Output::bar("copy", 0);
    let progress = |step: Step<'_>| show(&bar, step);
    let document = match (kind, stick) {
        (Kind::Refresh, Some(stick)) => {
            let others = if args.remove { Others::Remove } else { Others::Refuse };
            Document::refreshed(args, &boot, stick.refresh(&load, others, &progress)?)
        }
        (Kind::Device, _) => {
            check_wipe(args)?;
            Document::made(args, &boot, stick::device(&args.output, &load, &progress)?)
        }
        (Kind::Disc, _) => {
            Document::made(args, &boot, disc::image(&args.output, &load, &progress)?)
        }
        (Kind::Image | Kind::Refresh, _) => {
            let made = stick::image(&args.output, &load, args.size, &progress)?;
            Document::made(args, &boot, made)
        }
    };
    bar.finish_and_clear();
    document.warnings().iter().for_each(|warning| Output::warning(warning));
    Ok(output.answer(&document)?)
}

/// Each label once, in the order in which they were named.
fn labels(args: &MediaArgs) -> Vec<LabelName> {
    let mut labels: Vec<LabelName> = Vec::new();
    for label in &args.labels {
        if !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    labels
}

/// A bar for what is copied, or where there is no terminal a line, and a line for what nobody knows
/// how far it is.
fn show(bar: &ProgressBar, step: Step<'_>) {
    match step {
        Step::Copy { label, done_bytes, total_bytes } => {
            if bar.is_hidden() && bar.message() != label.as_str() {
                Output::note(&format!("copying {label}, {}", text::size(total_bytes)));
            }
            bar.set_message(label.to_string());
            bar.set_length(total_bytes);
            bar.set_position(done_bytes);
        }
        Step::Phase(what) => bar.suspend(|| Output::note(what)),
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Disc,
    Device,
    Refresh,
}

impl Kind {
    fn of(args: &MediaArgs) -> anyhow::Result<Self> {
        let path = &args.output;
        place::check(path)?;
        let is_disc = path.extension().is_some_and(|name| name.eq_ignore_ascii_case("iso"));
        let metadata = fs::metadata(path);
        let is_device = metadata.as_ref().is_ok_and(|found| found.file_type().is_block_device());
        let kind = match (args.refresh, is_disc, is_device) {
            (true, true, false) => {
                return Err(Usage("a CD-ROM cannot be refreshed: make it anew".to_owned()).into());
            }
            (true, ..) => Self::Refresh,
            (false, _, true) => Self::Device,
            (false, true, _) => Self::Disc,
            (false, false, _) => Self::Image,
        };
        if args.size.is_some() && matches!(kind, Self::Disc | Self::Device) {
            let sentence = "--size is for images of sticks: a CD-ROM is as large as it has to be, \
                            and of a device all is taken";
            return Err(Usage(sentence.to_owned()).into());
        }
        if args.wipe.is_some() && kind != Self::Device {
            return Err(Usage("--wipe is for block devices".to_owned()).into());
        }
        Ok(kind)
    }
}

/// Refuses a device that somebody uses or that holds data, unless its token was given.
fn check_wipe(args: &MediaArgs) -> anyhow::Result<()> {
    let path = fs::canonicalize(&args.output)
        .with_context(|| format!("cannot open {}", args.output.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_whole = |name: &String| Path::new("/sys/block").join(name).exists();
    let Some(name) = name.filter(is_whole) else {
        return Err(Usage(format!("{}: expected a whole disk", path.display())).into());
    };
    let disk = inspect(&Places::default(), &name)
        .with_context(|| format!("cannot look at {}", path.display()))?;
    if let Err(refusal) = may_overwrite(&disk, false, args.wipe.as_deref()) {
        let text = refusal.to_string().replace("say inaugurator.wipe=", "say --wipe ");
        return Err(Refused(text.replace("inaugurator.wipe=", "--wipe ")).into());
    }
    // A token that is right, or one that nobody needed.
    match &args.wipe {
        Some(given) if *given != wipe_token(&disk) => {
            Err(Usage(format!("--wipe {given} names another disk than {disk}")).into())
        }
        _ => Ok(()),
    }
}
