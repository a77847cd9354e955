//! The executable around an initramfs, signed where a key is given.

use crate::args::UkiArgs;
use crate::exit::Usage;
use anyhow::Context;
use deploy::tools::{Tool, ToolError};
use initramfs::KernelTree;
use initramfs::uki::{Parts, STUB, SectionSize, assemble, read_kernel, read_stub};
use std::fs;
use std::path::{Path, PathBuf};

/// What was made of what.
pub(super) struct Made {
    pub(super) bytes: Vec<u8>,
    pub(super) kernel: PathBuf,
    pub(super) release: String,
    pub(super) stub: PathBuf,
    pub(super) cmdline: String,
    pub(super) sections: Vec<SectionSize>,
    pub(super) signed: bool,
}

/// The executable, where one is wanted. `modules` is the kernel whose modules the initramfs has.
pub(super) fn make(
    args: &UkiArgs,
    modules: Option<&KernelTree>,
    initrd: &[u8],
) -> anyhow::Result<Option<Made>> {
    if !args.uki {
        return Ok(None);
    }
    let path = kernel(args, modules)?;
    let kernel = read_kernel(&path)?;
    let stub = read_stub(args.stub.as_deref())?;
    let cmdline = args.cmdline.clone().unwrap_or_default();
    let parts = Parts { stub: &stub, kernel: &kernel, initrd, cmdline: &cmdline };
    let uki = assemble(&parts)?;
    if let Some(modules) = modules.filter(|modules| modules.version != uki.release) {
        let sentence = format!(
            "{} is Linux {}, which does not load the modules of {}",
            path.display(),
            uki.release,
            modules.version
        );
        return Err(Usage(sentence).into());
    }
    let key = args.secure_boot_key.as_deref().zip(args.secure_boot_cert.as_deref());
    let bytes = match key {
        Some((key, certificate)) => sign(&uki.bytes, key, certificate)?,
        None => uki.bytes,
    };
    Ok(Some(Made {
        bytes,
        kernel: path,
        release: uki.release,
        stub: args.stub.clone().unwrap_or_else(|| STUB.into()),
        cmdline,
        sections: uki.sections,
        signed: key.is_some(),
    }))
}

/// The kernel's file: the one that is given, or the one that belongs to the modules.
fn kernel(args: &UkiArgs, modules: Option<&KernelTree>) -> anyhow::Result<PathBuf> {
    let beside = |tree: &KernelTree| tree.root.join(format!("boot/vmlinuz-{}", tree.version));
    let kernel = args.kernel.clone().or_else(|| modules.map(beside));
    kernel.ok_or_else(|| {
        let sentence = "which kernel? Give --kernel, or --kernel-version or --kernel-tree";
        Usage(sentence.to_owned()).into()
    })
}

/// The executable with a signature of its digest behind it. Only sbsign(1) reads the key.
fn sign(unsigned: &[u8], key: &Path, certificate: &Path) -> anyhow::Result<Vec<u8>> {
    let scratch = tempfile::tempdir().context("a directory to sign in")?;
    let (from, to) = (scratch.path().join("unsigned.efi"), scratch.path().join("signed.efi"));
    fs::write(&from, unsigned).with_context(|| format!("cannot write {}", from.display()))?;
    let explain = |error| explain(error, key, certificate);
    let tool = Tool::named("sbsign").map_err(explain)?;
    let options = [("--key", key), ("--cert", certificate), ("--output", &to)];
    let tool =
        options.iter().fold(tool, |tool, (option, path)| tool.arg(option).arg(path.display()));
    tool.arg(from.display()).run().map_err(explain)?;
    fs::read(&to).with_context(|| format!("cannot read {}", to.display()))
}

/// What OpenSSL complains of where it may not ask for a passphrase.
const ASKS: &str = "problems getting password";

fn explain(error: ToolError, key: &Path, certificate: &Path) -> anyhow::Error {
    let (key, certificate) = (key.display(), certificate.display());
    let what = match &error {
        ToolError::Missing { .. } => "sbsign, of package sbsigntool, makes signatures".to_owned(),
        ToolError::Failed { complaint, .. } if complaint.contains(ASKS) => {
            format!("{key} has a passphrase: give a key without one (openssl pkey -in {key})")
        }
        _ => format!(
            "cannot sign by the key {key} with the certificate {certificate}: expected both in \
             PEM, the certificate that of the key"
        ),
    };
    anyhow::Error::new(error).context(what)
}
