//! Pushing a tree.

use super::archive::{self, Archive};
use super::boot::{Found, beside};
use super::directory::Directory;
use super::{Bar, Pushed, now_unix_s};
use crate::args::{MountsArg, PushArgs};
use crate::commands::open::directory;
use crate::exit::Usage;
use crate::output::Output;
use anyhow::{Context, bail};
use bootfacts::{Located, Tree, examine_tree, read_located_in_tree};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use store::dir::DirStore;
use store::push::{BootInput, PayloadInput, PushTree, TreeInput, push_tree};
use store::tree::walk::Mounts;

/// What a path of `--kernel` or `--initrd` begins with that is one of the tree's.
const IN_TREE: &str = "tree:";

/// Pushes the tree that `args` name.
pub(super) fn push(args: PushArgs, bar: &Bar) -> anyhow::Result<Pushed> {
    let directory = directory(&args.store.store, "push")?.to_owned();
    match (args.input.tree.clone(), args.input.tar.clone()) {
        (Some(path), _) => push_directory(args, path, &directory, bar),
        (None, Some(path)) => push_archive(args, &path, &directory, bar),
        (None, None) => Err(Usage("nothing to push: --image, --tree or --tar".into()).into()),
    }
}

fn push_directory(
    args: PushArgs,
    path: PathBuf,
    store: &Path,
    bar: &Bar,
) -> anyhow::Result<Pushed> {
    let tree: Rc<dyn Tree> = Rc::new(Directory::new(&path));
    let boot = find_boot(&args, &tree, Some(&path))?;
    let mounts = match args.of_tree.mounts {
        MountsArg::Refuse => Mounts::Refuse,
        MountsArg::Empty => Mounts::Empty,
        MountsArg::Include => Mounts::Include,
    };
    let allow_changed = args.of_tree.allow_changed;
    let input = TreeInput::Directory { path, mounts, allow_changed };
    push_input(args, input, &boot, &DirStore::create(store)?, bar)
}

fn push_archive(args: PushArgs, path: &Path, store: &Path, bar: &Bar) -> anyhow::Result<Pushed> {
    let store = DirStore::create(store)?;
    let archive = Rc::new(archive::read(&store, path, args.of_tree.relative)?);
    let tree: Rc<dyn Tree> = Rc::new(Archive::new(&archive));
    let boot = find_boot(&args, &tree, None)?;
    drop(tree);
    let Some(archive) = Rc::into_inner(archive) else {
        bail!("the archive {} is still being looked at", path.display());
    };
    push_input(args, TreeInput::Tar(archive), &boot, &store, bar)
}

fn push_input(
    args: PushArgs,
    input: TreeInput,
    boot: &Found,
    store: &DirStore,
    bar: &Bar,
) -> anyhow::Result<Pushed> {
    let request = PushTree {
        label: args.label,
        input,
        boot: boot.input.clone(),
        facts: args.facts,
        pushed_unix_s: now_unix_s()?,
        force: args.force,
        level: args.level,
    };
    Ok((push_tree(store, &request, bar)?, request.boot))
}

/// Says how the tree boots. Nothing bootable in it is no warning: many trees are joined with one
/// that has a kernel.
fn find_boot(args: &PushArgs, tree: &Rc<dyn Tree>, root: Option<&Path>) -> anyhow::Result<Found> {
    if args.no_boot {
        return Ok(Found::default());
    }
    if let (Some(kernel), Some(cmdline)) = (&args.kernel, &args.cmdline) {
        let input = BootInput {
            kernel: given(kernel, root),
            initrd: args.initrd.as_deref().map(|initrd| given(initrd, root)),
            cmdline: cmdline.clone(),
            source: "given when it was pushed".to_owned(),
        };
        return Ok(Found { input: Some(input), temporary: Vec::new() });
    }
    let examined = examine_tree(tree);
    examined.warnings.iter().for_each(|warning| Output::warning(warning));
    let Some(facts) = examined.facts else {
        if args.cmdline.is_none() {
            return Ok(Found::default());
        }
        let sentence = "--cmdline without --kernel, and no kernel was found in the tree";
        return Err(Usage(sentence.to_owned()).into());
    };
    let mut temporary = Vec::new();
    let mut payload = |located: &Located| {
        if located.is_whole_file {
            let path = located.path.trim_start_matches('/').as_bytes();
            return Ok(PayloadInput::Tree(path.to_vec()));
        }
        read_located_in_tree(tree, located)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| beside(bytes, &mut temporary))
            .with_context(|| format!("cannot read {} in the tree", located.path))
    };
    let kernel = payload(&facts.kernel)?;
    let initrd = facts.initrd.as_ref().map(payload).transpose()?;
    let (cmdline, source) = match &args.cmdline {
        Some(given) => (given.clone(), format!("{}, command line given", facts.source)),
        None => (facts.cmdline, facts.source),
    };
    Ok(Found { input: Some(BootInput { kernel, initrd, cmdline, source }), temporary })
}

/// A kernel or initrd as it was given: in the tree, or a file beside it.
fn given(path: &Path, root: Option<&Path>) -> PayloadInput {
    let bytes = path.as_os_str().as_bytes();
    if let Some(inside) = bytes.strip_prefix(IN_TREE.as_bytes()) {
        let slashes = inside.iter().take_while(|byte| **byte == b'/').count();
        return PayloadInput::Tree(inside[slashes..].to_vec());
    }
    let whole = |path: &Path| path.canonicalize().ok();
    let inside = root.and_then(whole).zip(whole(path)).and_then(|(root, path)| {
        path.strip_prefix(root).ok().map(|inside| inside.as_os_str().as_bytes().to_vec())
    });
    inside.map_or_else(|| PayloadInput::File(path.to_owned()), PayloadInput::Tree)
}
