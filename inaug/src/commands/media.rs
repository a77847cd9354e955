//! `inaug media`: sticks and CD-ROMs for machines without network.

mod boot;
mod document;

use super::open::open_patient;
use crate::args::MediaArgs;
use crate::exit::{Refused, Usage};
use crate::output::Output;
use anyhow::Context;
use deploy::disks::{Places, inspect, may_overwrite, wipe_token};
use document::Document;
use media::boot::command_line;
use media::{Load, disc, refresh, stick};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use store::is_url;
use store::label::LabelName;

/// Makes the medium, or brings it to other labels.
pub(crate) fn run(args: &MediaArgs, output: &Output) -> anyhow::Result<()> {
    let kind = Kind::of(args)?;
    let default = default(args)?;
    let chain = chain(args)?;
    let cmdline = command_line(default.map(LabelName::as_str), &chain, &args.append);
    let boot = boot::boot(&args.boot, cmdline)?;
    let source = open_patient(&args.store.store, "--store")?;
    let load = Load { source: &*source, labels: &args.labels, boot: &boot };
    let bar = Output::bar("copy", 0);
    let progress = |name: &LabelName, done, total| {
        bar.set_message(name.to_string());
        bar.set_length(total);
        bar.set_position(done);
    };
    let made = match kind {
        Kind::Image => stick::image(&args.output, &load, args.size, &progress)?,
        Kind::Device => {
            check_wipe(args)?;
            stick::device(&args.output, &load, &progress)?
        }
        Kind::Disc => disc::image(&args.output, &load, &progress)?,
        Kind::Refresh => {
            let refreshed = refresh::refresh(&args.output, &load, &progress)?;
            bar.finish_and_clear();
            return Ok(output.answer(&Document::refreshed(args, &boot, refreshed))?);
        }
    };
    bar.finish_and_clear();
    Ok(output.answer(&Document::made(args, &boot, made))?)
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

/// The label that is deployed without asking.
fn default(args: &MediaArgs) -> Result<Option<&LabelName>, Usage> {
    match (&args.default, args.labels.as_slice()) {
        (Some(name), labels) if !labels.contains(name) => {
            Err(Usage(format!("--default {name} is not among the labels of the medium")))
        }
        (Some(name), _) => Ok(Some(name)),
        (None, [only]) => Ok(Some(only)),
        (None, _) => Ok(None),
    }
}

fn chain(args: &MediaArgs) -> Result<Vec<String>, Usage> {
    let Some(chain) = &args.store_chain else { return Ok(Vec::new()) };
    let one = |store: &str| match store.trim() {
        store if is_url(store) => Ok(store.to_owned()),
        other => Err(Usage(format!("--store-chain: expected http:// URLs, found {other:?}"))),
    };
    chain.split(',').map(one).collect()
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
