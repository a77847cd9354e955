//! Programs that init runs, each with the libraries that it is linked with and no others.
//!
//! A library is looked for as ld.so(8) does without a cache: in the program's own run path, then
//! in the directories that distributions link their loader for. It is packed under the path at
//! which it was found, where the same loader finds it again.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadRef};

use crate::Error;
use crate::archive::{Archive, Node};

/// Where loaders look, by distribution: Debian, Fedora, and what is older than both.
const LIBRARY_DIRECTORIES: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// Where programs are looked for by their names.
const PROGRAM_DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// A program needs fewer libraries than this; more is a circle or a mistake.
const LIBRARIES_MAX: usize = 256;

/// No program or library that belongs into an initramfs is larger, bytes.
const FILE_MAX_BYTES: u64 = 64 << 20;

/// What was packed.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// The programs' paths.
    pub(crate) programs: Vec<String>,
    /// The libraries' paths, sorted.
    pub(crate) libraries: Vec<String>,
    pub(crate) bytes: u64,
}

/// The path of the program `name` below `root`, if it is there.
pub fn find_program(root: &Path, name: &str) -> Option<String> {
    let paths = PROGRAM_DIRECTORIES.iter().map(|directory| format!("{directory}/{name}"));
    paths.into_iter().find(|path| below(root, path).is_file())
}

/// Packs each program of `programs`, absolute paths below `root`, and what it needs.
pub(crate) fn pack(
    archive: &mut Archive,
    root: &Path,
    programs: &[String],
) -> Result<Packed, Error> {
    let mut packed = Packed::default();
    let mut libraries = BTreeSet::new();
    for program in programs {
        let bytes = read(root, program)?;
        let mut wanted: VecDeque<String> = needs(root, program, &bytes)?.into();
        packed.bytes += bytes.len() as u64;
        archive.add(program, Node::File { permissions: 0o755, bytes })?;
        packed.programs.push(program.clone());
        while let Some(path) = wanted.pop_front() {
            if !libraries.insert(path.clone()) {
                continue;
            }
            if libraries.len() > LIBRARIES_MAX {
                let detail = format!("it needs more than {LIBRARIES_MAX} libraries");
                return Err(Error::NotAProgram { path: below(root, program), detail });
            }
            let bytes = read(root, &path)?;
            wanted.extend(needs(root, &path, &bytes)?);
            packed.bytes += bytes.len() as u64;
            archive.add(&path, Node::File { permissions: 0o755, bytes })?;
        }
    }
    packed.libraries = libraries.into_iter().collect();
    Ok(packed)
}

/// A path of the tree as one of this host.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn read(root: &Path, path: &str) -> Result<Vec<u8>, Error> {
    let file = resolved(root, below(root, path));
    let failed = |source| Error::Read { path: file.clone(), source };
    if fs::metadata(&file).map_err(failed)?.len() > FILE_MAX_BYTES {
        return Err(Error::TooLarge { path: file, limit: FILE_MAX_BYTES });
    }
    fs::read(&file).map_err(failed)
}

/// Follows an absolute link within the tree rather than into this host.
fn resolved(root: &Path, file: PathBuf) -> PathBuf {
    match fs::read_link(&file) {
        Ok(to) if to.is_absolute() => root
            .join(to.components().filter(|part| *part != Component::RootDir).collect::<PathBuf>()),
        _ => file,
    }
}

/// What an ELF file says of others: its loader, and the names of libraries (gABI, chapter 5).
#[derive(Debug, Default, PartialEq, Eq)]
struct Links {
    loader: Option<String>,
    libraries: Vec<String>,
    run_path: Vec<String>,
}

/// The paths of all that the file at `path` needs at once.
fn needs(root: &Path, path: &str, bytes: &[u8]) -> Result<Vec<String>, Error> {
    let wrong = |detail: String| Error::NotAProgram { path: below(root, path), detail };
    let links = Links::of(bytes).map_err(wrong)?;
    let directories: Vec<&str> =
        links.run_path.iter().map(String::as_str).chain(LIBRARY_DIRECTORIES).collect();
    let mut found: Vec<String> = links.loader.into_iter().collect();
    for name in links.libraries {
        let places = directories.iter().map(|directory| format!("{directory}/{name}"));
        let place = places.into_iter().find(|place| below(root, place).is_file());
        let missing = || wrong(format!("it needs {name}, looked in {}", directories.join(", ")));
        found.push(place.ok_or_else(missing)?);
    }
    Ok(found)
}

impl Links {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        let text = |error: object::read::Error| error.to_string();
        let header = FileHeader64::<Endianness>::parse(bytes).map_err(text)?;
        let endian = header.endian().map_err(text)?;
        if header.e_machine(endian) != elf::EM_X86_64 {
            return Err("it is not for x86-64".to_owned());
        }
        let mut links = Self::default();
        let segments = header.program_headers(endian, bytes).map_err(text)?;
        for segment in segments {
            if let Some(loader) = segment.interpreter(endian, bytes).map_err(text)? {
                links.loader = Some(utf8(loader)?);
            }
            if let Some(entries) = segment.dynamic(endian, bytes).map_err(text)? {
                let strings = Strings { bytes, segments, endian, entries };
                links.libraries = strings.of(elf::DT_NEEDED)?;
                let paths = [strings.of(elf::DT_RPATH)?, strings.of(elf::DT_RUNPATH)?].concat();
                let each = paths.iter().flat_map(|path| path.split(':'));
                // Relative to the program (`$ORIGIN`) is nothing that a distribution's tools use.
                links.run_path =
                    each.filter(|path| path.starts_with('/')).map(str::to_owned).collect();
            }
        }
        Ok(links)
    }
}

/// The entries of a dynamic section, and where their strings are.
struct Strings<'a> {
    bytes: &'a [u8],
    segments: &'a [elf::ProgramHeader64<Endianness>],
    endian: Endianness,
    entries: &'a [elf::Dyn64<Endianness>],
}

impl Strings<'_> {
    /// The strings of all entries with this tag.
    fn of(&self, tag: u32) -> Result<Vec<String>, String> {
        let value = |wanted: u32| {
            self.entries
                .iter()
                .filter(move |entry| entry.tag32(self.endian) == Some(wanted))
                .map(|entry| entry.d_val(self.endian))
        };
        let Some(address) = value(elf::DT_STRTAB).next() else { return Ok(Vec::new()) };
        let table = self.offset(address).ok_or("its strings are in no segment")?;
        value(tag)
            .map(|at| {
                let at = table.saturating_add(at);
                let end = self.bytes.len() as u64;
                let string = self.bytes.read_bytes_at_until(at..end, 0);
                utf8(string.map_err(|()| "a string of it has no end".to_owned())?)
            })
            .collect()
    }

    /// Where in the file what is loaded at `address` lies.
    fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().filter(|segment| segment.p_type(self.endian) == elf::PT_LOAD).find_map(
            |segment| {
                let within = address.checked_sub(segment.p_vaddr(self.endian))?;
                (within < segment.p_filesz(self.endian))
                    .then(|| segment.p_offset(self.endian).saturating_add(within))
            },
        )
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("{:?} is no text", bytes.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_host_is_packed_with_what_it_needs_and_no_more() {
        let program = find_program(Path::new("/"), "mke2fs").unwrap();
        let mut archive = Archive::default();
        let packed = pack(&mut archive, Path::new("/"), std::slice::from_ref(&program)).unwrap();
        assert_eq!(packed.programs, [program.as_str()]);
        let has = |name: &str| packed.libraries.iter().any(|path| path.contains(name));
        for name in ["/ld-linux-x86-64.so.2", "/libext2fs.so.2", "/libc.so.6", "/libuuid.so.1"] {
            assert!(has(name), "{name} is not in {:?}", packed.libraries);
        }
        assert!(!has("libselinux") && packed.libraries.len() < 12, "{:?}", packed.libraries);
        assert_eq!(archive.file(&program).unwrap(), fs::read(&program).unwrap());
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let tree = tempfile::tempdir().unwrap();
        let program = find_program(Path::new("/"), "mke2fs").unwrap();
        fs::create_dir_all(tree.path().join("usr/sbin")).unwrap();
        fs::copy(&program, tree.path().join("usr/sbin/mke2fs")).unwrap();
        let programs = [find_program(tree.path(), "mke2fs").unwrap()];
        let refused = pack(&mut Archive::default(), tree.path(), &programs).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("/usr/sbin/mke2fs: expected a program: it needs lib"), "{text}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("script"), "#!/bin/sh\n").unwrap();
        let refused = pack(&mut Archive::default(), tree.path(), &["/script".to_owned()]);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("/script: expected a program: "), "{text}");
        for end in 0..200 {
            let bytes = &fs::read("/proc/self/exe").unwrap()[..end];
            assert!(Links::of(bytes).is_err());
        }
    }
}
