//! Which kernel carries the inaugurator, and the initramfs for it.

use super::label_files::LabelFiles;
use super::stores::Found;
use crate::args::BootKernel;
use crate::commands::initramfs::{DEFAULT_TOOL, init_beside_us};
use crate::exit::Usage;
use anyhow::Context;
use initramfs::{Embed, INDEXES, KernelTree, Modules, Options, build, find_program, module_files};
use serde::Serialize;
use std::cmp::Ordering;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use store::manifest::{Kind, Place};

/// Where installed kernels are.
const BOOT: &str = "/boot";

/// Where a tree may have its modules.
const MODULES: [&str; 2] = ["usr/lib/modules/", "lib/modules/"];

/// Where a bzImage says where its version is, less 0x200, and how far that may be (the kernel's
/// Documentation/arch/x86/boot.rst, `kernel_version`).
const VERSION_POINTER_AT: u64 = 0x20e;
const VERSION_MAX_BYTES: usize = 128;

/// What QEMU starts.
pub(super) struct Payload {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    pub(super) choice: Choice,
}

/// Which kernel it is.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Choice {
    /// `given`, `label` or `host`.
    pub(super) from: &'static str,
    /// Its release.
    pub(super) version: Option<String>,
    /// In words.
    pub(super) what: String,
}

/// A kernel, and its modules; none if it has everything built in.
struct Kernel {
    file: PathBuf,
    modules: Option<KernelTree>,
    choice: Choice,
}

/// The kernel and initramfs that were asked for, or else those of a label, or this host's. What has
/// to be made is made in `work`.
pub(super) fn choose(
    args: &BootKernel,
    embed: Vec<Embed>,
    labels: &[Found],
    work: &Path,
) -> anyhow::Result<Payload> {
    if let (Some(kernel), Some(initramfs)) = (&args.kernel, &args.initramfs) {
        for file in [kernel, initramfs] {
            File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        }
        let choice = Choice::of("given", version_of(kernel), &kernel.display().to_string());
        return Ok(Payload { kernel: kernel.clone(), initramfs: initramfs.clone(), choice });
    }
    let kernel = kernel(args, labels, work)?;
    let has_tree = labels.iter().any(|found| matches!(found.label.manifest.kind, Kind::Tree(_)));
    let init = args.init.clone().map_or_else(init_beside_us, Ok)?;
    let initramfs = work.join("initramfs.img");
    let tools_from = PathBuf::from("/");
    let tools: Vec<String> = find_program(&tools_from, DEFAULT_TOOL).into_iter().collect();
    if tools.is_empty() && has_tree {
        let sentence = "a tree needs mke2fs to make its root: install Debian's package e2fsprogs";
        return Err(anyhow::Error::msg(sentence));
    }
    let modules = if kernel.modules.is_some() { Modules::Thin } else { Modules::None };
    let options = Options {
        init,
        modules,
        kernel: kernel.modules,
        tools,
        tools_from,
        embed,
        ..Options::default()
    };
    fs::write(&initramfs, build(&options)?.bytes)
        .with_context(|| format!("cannot write {}", initramfs.display()))?;
    Ok(Payload { kernel: kernel.file, initramfs, choice: kernel.choice })
}

fn kernel(args: &BootKernel, labels: &[Found], work: &Path) -> anyhow::Result<Kernel> {
    if let Some(root) = &args.kernel_tree {
        let tree = KernelTree::only(root)?;
        let what = format!("{} of {}", tree.version, root.display());
        return installed(tree, "given", &what);
    }
    if let Some(version) = &args.kernel_version {
        let tree = KernelTree { root: PathBuf::from("/"), version: version.clone() };
        return installed(tree, "given", &format!("{version} of this host"));
    }
    // Of joined trees the last one's, as with everything that several of them have.
    for found in labels.iter().rev() {
        if let Some(own) = of_label(found, &work.join("label"))? {
            return Ok(own);
        }
    }
    of_host()
}

impl Choice {
    fn of(from: &'static str, version: Option<String>, what: &str) -> Self {
        Self { from, version, what: what.to_owned() }
    }
}

/// The kernel beside whose modules `tree` is.
fn installed(tree: KernelTree, from: &'static str, what: &str) -> anyhow::Result<Kernel> {
    let file = tree.root.join("boot").join(format!("vmlinuz-{}", tree.version));
    File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let choice = Choice::of(from, Some(tree.version.clone()), what);
    Ok(Kernel { file, modules: Some(tree), choice })
}

/// The kernel that a tree boots, with the modules that are needed of it.
fn of_label(found: &Found, into: &Path) -> anyhow::Result<Option<Kernel>> {
    let (source, label) = (&*found.source, &found.label);
    let Some(boot) = &label.manifest.boot else { return Ok(None) };
    let Place::Path(path) = &boot.kernel.place else { return Ok(None) };
    let of_modules = |path: &[u8]| MODULES.iter().any(|at| path.starts_with(at.as_bytes()));
    let files = LabelFiles::of(source, label, &|found| found == path || of_modules(found))?;
    let file = into.join("vmlinuz");
    files.copy(source, &[(path.clone(), file.clone())])?;
    let version = version_of(&file);
    let what = format!("{} of the label", version.as_deref().unwrap_or("/boot's"));
    let choice = Choice::of("label", version.clone(), &what);
    let Some(version) = version else { return Ok(Some(Kernel { file, modules: None, choice })) };
    let directory = MODULES.iter().map(|at| format!("{at}{version}/").into_bytes());
    let mut has = directory.filter(|at| files.paths().any(|path| path.starts_with(at)));
    let Some(directory) = has.next() else {
        return Ok(Some(Kernel { file, modules: None, choice }));
    };
    let tree = KernelTree { root: into.to_owned(), version };
    let copy_of = |name: &str| {
        let to = into.join("lib/modules").join(&tree.version).join(name);
        ([directory.as_slice(), name.as_bytes()].concat(), to)
    };
    let is_there = |(path, _): &(Vec<u8>, PathBuf)| files.paths().any(|found| found == path);
    let indexes: Vec<_> = INDEXES.into_iter().map(copy_of).filter(is_there).collect();
    files.copy(source, &indexes)?;
    let modules = module_files(&tree, Modules::Thin)?;
    files.copy(source, &modules.iter().map(|name| copy_of(name)).collect::<Vec<_>>())?;
    Ok(Some(Kernel { file, modules: Some(tree), choice }))
}

/// The newest kernel of this host that can be read and has its modules.
fn of_host() -> anyhow::Result<Kernel> {
    let names = fs::read_dir(BOOT).into_iter().flatten().flatten();
    let versions = names
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("vmlinuz-")?.to_owned()));
    let mut versions: Vec<String> = versions
        .filter(|version| Path::new("/lib/modules").join(version).is_dir())
        .filter(|version| File::open(Path::new(BOOT).join(format!("vmlinuz-{version}"))).is_ok())
        .collect();
    versions.sort_by(|one, other| by_version(one, other));
    let Some(version) = versions.pop() else {
        let sentence = "which kernel? The label brings none that can be used here, and this host \
                        has none in /boot that may be read and has its modules: give --kernel-tree, \
                        or --kernel with --initramfs";
        return Err(Usage(sentence.to_owned()).into());
    };
    let what = format!("{version} of this host, the newest");
    installed(KernelTree { root: PathBuf::from("/"), version }, "host", &what)
}

/// A stretch of a version: digits are a number, and numbers come before text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stretch<'a> {
    Number(u64),
    Text(&'a str),
}

/// Order of versions as people see it: 6.1.0-9 is before 6.1.0-10.
fn by_version(one: &str, other: &str) -> Ordering {
    stretches(one).cmp(&stretches(other))
}

fn stretches(version: &str) -> Vec<Stretch<'_>> {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let mut rest = version;
    let mut all = Vec::new();
    while let Some(first) = rest.as_bytes().first() {
        let differs = |byte: &u8| is_digit(byte) != is_digit(first);
        let end = rest.bytes().position(|byte| differs(&byte)).unwrap_or(rest.len());
        let (stretch, after) = rest.split_at(end);
        // A number that is too long for one is compared as text.
        all.push(stretch.parse().map_or(Stretch::Text(stretch), Stretch::Number));
        rest = after;
    }
    all
}

/// The release that a bzImage says it is.
fn version_of(kernel: &Path) -> Option<String> {
    let file = File::open(kernel).ok()?;
    let mut pointer = [0; 2];
    file.read_exact_at(&mut pointer, VERSION_POINTER_AT).ok()?;
    let pointer = u64::from(u16::from_le_bytes(pointer));
    let mut text = vec![0; VERSION_MAX_BYTES];
    let length = file.read_at(&mut text, pointer + 0x200).ok().filter(|_| pointer > 0)?;
    let text = text[..length].split(|byte| *byte == 0 || *byte == b' ').next()?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+_~".contains(byte);
    let is_version = text.first().is_some_and(u8::is_ascii_digit) && text.iter().all(is_plain);
    is_version.then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{by_version, version_of};

    #[test]
    fn versions_are_ordered_as_people_do() {
        let mut versions = [
            "6.1.0-9-amd64",
            "6.12.1",
            "6.1.0-50-cloud-amd64",
            "6.1.0-50-amd64",
            "5.10.0-30-amd64",
        ];
        versions.sort_by(|one, other| by_version(one, other));
        let expected = [
            "5.10.0-30-amd64",
            "6.1.0-9-amd64",
            "6.1.0-50-amd64",
            "6.1.0-50-cloud-amd64",
            "6.12.1",
        ];
        assert_eq!(versions, expected);
    }

    #[test]
    fn a_kernel_says_its_version_and_another_file_says_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; 0x400];
        assert_eq!(version_of(file.path()), None);
        std::fs::write(file.path(), &bytes).unwrap();
        assert_eq!(version_of(file.path()), None);
        bytes[0x20e] = 0x40;
        bytes[0x240..0x258].copy_from_slice(b"6.1.0-50-cloud-amd64 (x)");
        std::fs::write(file.path(), &bytes).unwrap();
        assert_eq!(version_of(file.path()).as_deref(), Some("6.1.0-50-cloud-amd64"));
    }
}
