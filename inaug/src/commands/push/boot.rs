//! How the image that is pushed boots: as the operator says, else as the image itself says.

use crate::args::PushArgs;
use crate::exit::Usage;
use crate::output::Output;
use anyhow::Context;
use bootfacts::{BootFacts, Located, examine, read_located};
use std::fs::File;
use std::io::{self, Read, Write};
use store::Hasher;
use store::push::{BootInput, PAYLOAD_MAX_BYTES, PayloadInput};
use tempfile::NamedTempFile;

/// What is read at once, bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// How to boot the image, with the files that must stay until it is pushed.
#[derive(Default)]
pub(super) struct Found {
    /// How to boot it; `None` leaves it to its own boot loader.
    pub(super) input: Option<BootInput>,
    #[allow(dead_code, reason = "dropping them removes the files")]
    pub(super) temporary: Vec<NamedTempFile>,
}

/// Says how `image` boots. Nothing bootable in the image is a warning: it may be meant so.
pub(super) fn find(args: &PushArgs, image: &File) -> anyhow::Result<Found> {
    if args.no_boot {
        return Ok(Found::default());
    }
    if let (Some(kernel), Some(cmdline)) = (&args.kernel, &args.cmdline) {
        let input = BootInput {
            kernel: PayloadInput::File(kernel.clone()),
            initrd: args.initrd.clone().map(PayloadInput::File),
            cmdline: cmdline.clone(),
            source: "given when it was pushed".to_owned(),
        };
        return Ok(Found { input: Some(input), temporary: Vec::new() });
    }
    let examined = examine(image).context("cannot look for a kernel in the image")?;
    examined.warnings.iter().for_each(|warning| Output::warning(warning));
    match examined.facts {
        Some(facts) => from_image(args, image, facts),
        None if args.cmdline.is_some() => {
            let sentence = "--cmdline without --kernel, and no kernel was found in the image";
            Err(Usage(sentence.to_owned()).into())
        }
        None => {
            Output::warning("no kernel was found in the image: its own boot loader must boot it");
            Ok(Found::default())
        }
    }
}

fn from_image(args: &PushArgs, image: &File, facts: BootFacts) -> anyhow::Result<Found> {
    let mut temporary = Vec::new();
    let mut payload = |located: &Located| {
        payload(image, located, &mut temporary)
            .with_context(|| format!("cannot read {} in the image", located.path))
    };
    let kernel = payload(&facts.kernel)?;
    let initrd = facts.initrd.as_ref().map(payload).transpose()?;
    let (cmdline, source) = match &args.cmdline {
        Some(given) => (given.clone(), format!("{}, command line given", facts.source)),
        None => (facts.cmdline, facts.source),
    };
    Ok(Found { input: Some(BootInput { kernel, initrd, cmdline, source }), temporary })
}

/// Bytes that lie in the image as they are stay there; others are stored beside it.
fn payload(
    image: &File,
    located: &Located,
    temporary: &mut Vec<NamedTempFile>,
) -> anyhow::Result<PayloadInput> {
    let mut bytes = read_located(image, located)?;
    if let Some(extents) = &located.extents {
        let digest = digest(&mut *bytes)?;
        let extents = extents.iter().map(|extent| (extent.offset_bytes, extent.length_bytes));
        let size_bytes = located.size_bytes;
        return Ok(PayloadInput::Extents { size_bytes, digest, extents: extents.collect() });
    }
    beside(bytes, temporary)
}

/// Keeps `bytes` in a file until the push is done: they are stored beside the content.
pub(super) fn beside(
    bytes: Box<dyn Read>,
    temporary: &mut Vec<NamedTempFile>,
) -> anyhow::Result<PayloadInput> {
    let mut file = NamedTempFile::new()?;
    io::copy(&mut bytes.take(PAYLOAD_MAX_BYTES + 1), &mut file)?;
    file.flush()?;
    let path = file.path().to_owned();
    temporary.push(file);
    Ok(PayloadInput::File(path))
}

fn digest(bytes: &mut dyn Read) -> io::Result<store::Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&buffer[..length]),
        }
    }
}
