//! The executable around an initramfs, signed where a key is given.

use crate::args::UkiArgs;
use crate::commands::sign::sign;
use crate::exit::Usage;
use initramfs::KernelTree;
use initramfs::uki::{Parts, STUB, SectionSize, assemble, read_kernel, read_stub};
use std::path::PathBuf;

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
