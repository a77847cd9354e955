//! A file (or several, one after the other) and where its bytes lie.

use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;

use crate::BootFactsError;
use crate::extents::{self, Extent, ExtentReader};
use crate::fs::{FileSystem, Kind, Tree, TreeVolume};
use crate::image::Window;

/// Boot loaders start each further initrd at a multiple of this many bytes,
/// since the kernel takes a bare cpio archive only there
/// (Documentation/driver-api/early-userspace/buffer-format.rst).
const INITRD_ALIGNMENT_BYTES: u64 = 4;

/// Bytes found in the image.
#[derive(Debug, Clone)]
pub struct Located {
    /// The path with symbolic links resolved; a section of a unified kernel as
    /// `path#.section`; several files joined by `, `.
    pub path: String,
    /// How many bytes.
    pub size_bytes: u64,
    /// Where in the image the bytes lie, in order; lengths add up to
    /// `size_bytes`. `None` if they do not lie there as they are (a hole in the
    /// file, padding between files); [`read_located`] gives the bytes in
    /// either case.
    pub extents: Option<Vec<Extent>>,
    /// Whether this is one file, whole: then its bytes are those at `path`.
    pub is_whole_file: bool,
    pieces: Vec<Piece>,
}

/// What is needed to read bytes that have no extents: a range of one file.
#[derive(Debug, Clone)]
struct Piece {
    /// The volume's place in the image, and the kind of its file system; none for a tree.
    volume: Option<(Extent, Kind)>,
    path: String,
    start_bytes: u64,
    length_bytes: u64,
    /// Zeroes that follow.
    padding_bytes: u64,
}

impl Located {
    /// A whole file of the file system of `kind` in `volume`.
    pub(crate) fn file(
        volume: &Window,
        kind: Kind,
        path: String,
        size_bytes: u64,
        extents: Option<Vec<Extent>>,
    ) -> Self {
        let Window { offset_bytes, length_bytes, .. } = *volume;
        let volume = Extent { offset_bytes, length_bytes };
        Self::whole(Some((volume, kind)), path, size_bytes, extents)
    }

    /// A whole file of a tree.
    pub(crate) fn in_tree(path: String, size_bytes: u64) -> Self {
        Self::whole(None, path, size_bytes, None)
    }

    fn whole(
        volume: Option<(Extent, Kind)>,
        path: String,
        size_bytes: u64,
        extents: Option<Vec<Extent>>,
    ) -> Self {
        let piece = Piece {
            volume,
            path: path.clone(),
            start_bytes: 0,
            length_bytes: size_bytes,
            padding_bytes: 0,
        };
        Self { path, size_bytes, extents, is_whole_file: true, pieces: vec![piece] }
    }

    /// A named range of a whole file. The caller has checked that it lies
    /// inside.
    pub(crate) fn section(&self, name: &str, start_bytes: u64, length_bytes: u64) -> Self {
        let mut pieces = self.pieces.clone();
        for piece in &mut pieces {
            piece.start_bytes = start_bytes;
            piece.length_bytes = length_bytes;
        }
        let extents =
            self.extents.as_ref().map(|list| extents::slice(list, start_bytes, length_bytes));
        let path = format!("{}#{name}", self.path);
        Self { path, size_bytes: length_bytes, extents, is_whole_file: false, pieces }
    }

    /// The bytes, of files that are all on `volume`.
    pub(crate) fn reader(&self, volume: &FileSystem) -> Result<Box<dyn Read>, BootFactsError> {
        let mut all: Box<dyn Read> = Box::new(io::empty());
        for piece in &self.pieces {
            all = Box::new(all.chain(piece.reader(volume)?));
        }
        Ok(all)
    }

    /// Several files as the one sequence a boot loader makes of them; `None`
    /// for no files.
    pub(crate) fn concatenate(files: Vec<Self>) -> Option<Self> {
        files.into_iter().reduce(|mut all, next| {
            let padding_bytes =
                all.size_bytes.next_multiple_of(INITRD_ALIGNMENT_BYTES) - all.size_bytes;
            if let Some(last) = all.pieces.last_mut() {
                last.padding_bytes = padding_bytes;
            }
            all.extents = match (all.extents, next.extents) {
                (Some(mut list), Some(more)) if padding_bytes == 0 => {
                    for extent in more {
                        extents::push(&mut list, extent);
                    }
                    Some(list)
                }
                _ => None,
            };
            all.is_whole_file = false;
            all.path = format!("{}, {}", all.path, next.path);
            all.size_bytes += padding_bytes + next.size_bytes;
            all.pieces.extend(next.pieces);
            all
        })
    }
}

/// A reader of exactly the bytes of `located`, which must have been found in
/// the same `image`.
pub fn read_located(image: &File, located: &Located) -> Result<Box<dyn Read>, BootFactsError> {
    let window = Window::whole(image)?;
    if let Some(extents) = &located.extents {
        return Ok(Box::new(ExtentReader::new(window, extents.clone())));
    }
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for piece in &located.pieces {
        let Some((place, kind)) = piece.volume else {
            let (volume, path) = ("the image".to_owned(), piece.path.clone());
            return Err(BootFactsError::Missing { volume, path });
        };
        let volume = window.part(place.offset_bytes, place.length_bytes)?;
        let volume = FileSystem::open(volume, kind)?;
        all = Box::new(all.chain(piece.reader(&volume)?));
    }
    Ok(all)
}

/// A reader of exactly the bytes of `located`, which must have been found in
/// the same `tree`.
pub fn read_located_in_tree(
    tree: &Rc<dyn Tree>,
    located: &Located,
) -> Result<Box<dyn Read>, BootFactsError> {
    located.reader(&FileSystem::Tree(TreeVolume::whole(tree)))
}

impl Piece {
    fn reader(&self, volume: &FileSystem) -> Result<impl Read + use<>, BootFactsError> {
        let mut file = volume.located_reader(&self.path)?;
        io::copy(&mut file.by_ref().take(self.start_bytes), &mut io::sink())
            .map_err(|source| BootFactsError::File { path: self.path.clone(), source })?;
        Ok(file.take(self.length_bytes).chain(io::repeat(0).take(self.padding_bytes)))
    }
}
