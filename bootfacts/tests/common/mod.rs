//! Disk images made by the tools that make real ones, without root.
#![allow(dead_code, unreachable_pub)] // each test binary uses its part

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bootfacts::{Examination, Listing, Located};
use tempfile::TempDir;

pub const ROOT_UUID: &str = "3f8a6b1c-52f0-4a0e-9a5e-7c1d2e3f4a5b";
pub const ESP_ID: &str = "1a2b-3c4d";
const MIB: u64 = 1 << 20;

/// What goes into a file system.
pub enum Node {
    File(Vec<u8>),
    Link(&'static str),
}

pub fn file(bytes: impl AsRef<[u8]>) -> Node {
    Node::File(bytes.as_ref().to_vec())
}

/// `length` bytes without a run of zeroes, different for each seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8 | 1
    };
    std::iter::repeat_with(step).take(length).collect()
}

pub fn run(program: &str, arguments: &[&str], stdin: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("MTOOLS_SKIP_CHECK", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
}

/// A place for one test's files.
pub struct Bench(TempDir);

impl Bench {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An ext4 file system of `mib` MiB, with mke2fs' further `options`.
    pub fn ext4(&self, name: &str, mib: u64, options: &[&str], nodes: &[(&str, Node)]) -> PathBuf {
        let tree = self.path(&format!("{name}.tree"));
        fs::create_dir_all(&tree).unwrap();
        for (path, node) in nodes {
            let path = tree.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match node {
                Node::File(bytes) => fs::write(path, bytes).unwrap(),
                Node::Link(target) => symlink(target, path).unwrap(),
            }
        }
        let image = self.path(name);
        let (tree, size) = (tree.to_str().unwrap(), format!("{mib}M"));
        let mut arguments = vec!["-q", "-t", "ext4", "-U", ROOT_UUID, "-d", tree];
        arguments.extend(options);
        arguments.extend([image.to_str().unwrap(), &size]);
        run("mke2fs", &arguments, "");
        image
    }

    /// A vfat file system of `mib` MiB.
    pub fn vfat(&self, name: &str, mib: u64, options: &[&str], nodes: &[(&str, Node)]) -> PathBuf {
        let image = self.path(name);
        let image_name = image.to_str().unwrap();
        let kib = (mib * 1024).to_string();
        let id = ESP_ID.replace('-', "");
        let mut arguments = vec!["-C", "-i", &id];
        arguments.extend(options);
        arguments.extend([image_name, &kib]);
        run("mkfs.vfat", &arguments, "");
        for (path, node) in nodes {
            let Node::File(bytes) = node else { panic!("vfat has no links") };
            let mut directory = String::new();
            let (parents, _) = path.rsplit_once('/').unwrap();
            for part in parents.split('/').filter(|part| !part.is_empty()) {
                directory = format!("{directory}/{part}");
                let there = format!("::{directory}");
                let listed = Command::new("mdir").args(["-i", image_name, &there]).output();
                if !listed.unwrap().status.success() {
                    run("mmd", &["-i", image_name, &there], "");
                }
            }
            let source = self.path("mcopy.source");
            fs::write(&source, bytes).unwrap();
            let there = format!("::{path}");
            run("mcopy", &["-i", image_name, source.to_str().unwrap(), &there], "");
        }
        image
    }

    /// A GPT disk of 512-byte sectors with these file systems as partitions
    /// 1, 2, ...
    pub fn gpt(&self, name: &str, parts: &[&Path]) -> PathBuf {
        let disk = empty(&self.path(name), parts);
        let mut arguments = Vec::new();
        for (number, (start, length)) in (1..).zip(places(parts)) {
            let (first, last) = (start / 512, (start + length) / 512 - 1);
            arguments.push(format!("--new={number}:{first}:{last}"));
        }
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.push(disk.to_str().unwrap());
        run("sgdisk", &arguments, "");
        fill(&disk, parts)
    }

    /// As `gpt`, with sectors of 4096 bytes.
    pub fn gpt_4096(&self, name: &str, parts: &[&Path]) -> PathBuf {
        let disk = empty(&self.path(name), parts);
        let mut script = "g\n".to_owned();
        for (number, (start, length)) in (1..).zip(places(parts)) {
            let (first, last) = (start / 4096, (start + length) / 4096 - 1);
            writeln!(script, "n\n{number}\n{first}\n{last}").unwrap();
        }
        run("fdisk", &["-w", "never", "-b", "4096", disk.to_str().unwrap()], &(script + "w\n"));
        fill(&disk, parts)
    }

    /// An MBR disk: the first file system is a primary partition, the others
    /// are logical ones.
    pub fn mbr(&self, name: &str, parts: &[&Path]) -> PathBuf {
        let disk = empty(&self.path(name), parts);
        let mut script = "label: dos\n".to_owned();
        for (index, (start, length)) in places(parts).enumerate() {
            if index == 1 {
                writeln!(script, "{},,5", start / 512 - 64).unwrap();
            }
            writeln!(script, "{},{},83", start / 512, length / 512).unwrap();
        }
        run("sfdisk", &["-q", "-w", "never", disk.to_str().unwrap()], &script);
        fill(&disk, parts)
    }
}

fn empty(path: &Path, parts: &[&Path]) -> PathBuf {
    let disk = path.to_owned();
    let end = places(parts).map(|(start, length)| start + length).max().unwrap();
    File::create(&disk).unwrap().set_len(end + MIB).unwrap();
    disk
}

fn fill(disk: &Path, parts: &[&Path]) -> PathBuf {
    let file = File::options().write(true).open(disk).unwrap();
    for (part, (start, _)) in parts.iter().zip(places(parts)) {
        file.write_all_at(&fs::read(part).unwrap(), start).unwrap();
    }
    disk.to_owned()
}

/// Starts and lengths: one after the other, with a MiB between.
fn places<'a>(parts: &'a [&Path]) -> impl Iterator<Item = (u64, u64)> + 'a {
    let lengths = parts.iter().map(|part| fs::metadata(part).unwrap().len());
    lengths.scan(MIB, |start, length| {
        let here = *start;
        *start += length + MIB;
        Some((here, length))
    })
}

/// Debian's generated configuration for the test's UUID, with boot files in
/// `prefix`.
pub fn debian_grub_cfg(prefix: &str) -> String {
    include_str!("../data/debian-grub.cfg").replace("ROOTUUID", ROOT_UUID).replace("PREFIX", prefix)
}

/// A unified kernel with these sections.
pub fn uki(sections: &[(&str, &[u8])]) -> Vec<u8> {
    const ALIGN: usize = 512;
    let mut image = vec![0; 4096];
    image[..2].copy_from_slice(b"MZ");
    image[0x3c] = 0x80;
    image[0x80..0x84].copy_from_slice(b"PE\0\0");
    image[0x84..0x86].copy_from_slice(&0x8664_u16.to_le_bytes());
    image[0x86..0x88].copy_from_slice(&(sections.len() as u16).to_le_bytes());
    image[0x94..0x96].copy_from_slice(&240_u16.to_le_bytes());
    for (index, (name, bytes)) in sections.iter().enumerate() {
        let at = 0x98 + 240 + 40 * index;
        let raw = bytes.len().next_multiple_of(ALIGN);
        let start = image.len();
        image[at..at + name.len()].copy_from_slice(name.as_bytes());
        for (field, value) in [(8, bytes.len()), (16, raw), (20, start)] {
            image[at + field..at + field + 4].copy_from_slice(&(value as u32).to_le_bytes());
        }
        image.extend_from_slice(bytes);
        image.resize(start + raw, 0);
    }
    image
}

pub fn examine(image: &Path) -> Examination {
    bootfacts::examine(&File::open(image).unwrap()).unwrap()
}

pub fn list(image: &Path) -> Listing {
    bootfacts::list(&File::open(image).unwrap()).unwrap()
}

/// The bytes by the extents if there are any, which must add up, and by
/// `read_located`, which must agree.
pub fn contents(image: &Path, located: &Located) -> Vec<u8> {
    let file = File::open(image).unwrap();
    let mut read = Vec::new();
    bootfacts::read_located(&file, located).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read.len() as u64, located.size_bytes, "{}", located.path);
    if let Some(extents) = &located.extents {
        let mut pasted = Vec::new();
        for extent in extents {
            let start = pasted.len();
            pasted.resize(start + extent.length_bytes as usize, 0);
            file.read_exact_at(&mut pasted[start..], extent.offset_bytes).unwrap();
        }
        assert!(pasted == read, "{}: extents hold something else", located.path);
    }
    read
}
