//! What can be wrong with a disk.

use std::fmt;

/// A disk's fault, as QEMU makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// Requests of this kind fail (`blkdebug`).
    Fails {
        /// Which requests.
        what: Access,
        /// Those that reach this sector of 512 bytes; `None` is any.
        sector: Option<u64>,
        /// Only the first one.
        once: bool,
        /// What the host says: 5 is EIO, 28 is ENOSPC.
        errno: u32,
    },
    /// So many bytes pass in a second (`throttle`).
    Slow {
        /// Read and written together.
        bytes_per_s: u64,
    },
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Any read.
    Read,
    /// A read after the first write to the disk.
    ReadAfterWrite,
    /// Any write.
    Write,
    /// A flush of the disk's cache.
    Flush,
}

impl Ailment {
    /// The objects that QEMU needs for disk `index`, as arguments.
    pub(crate) fn objects(&self, index: usize) -> Vec<String> {
        match self {
            Self::Fails { .. } => Vec::new(),
            Self::Slow { bytes_per_s } => vec![
                "-object".into(),
                format!("throttle-group,id=slow{index},x-bps-total={bytes_per_s}"),
            ],
        }
    }

    /// The node that stands between a raw disk and its file: its options below `file.`.
    pub(crate) fn node(&self, index: usize) -> String {
        match self {
            Self::Slow { .. } => format!("file.driver=throttle,file.throttle-group=slow{index}"),
            Self::Fails { what, sector, once, errno } => {
                let sector = sector.map(|at| format!(",file.inject-error.0.sector={at}"));
                let once = if *once { "on" } else { "off" };
                format!(
                    "file.driver=blkdebug,file.inject-error.0.errno={errno},\
                     file.inject-error.0.once={once}{},{}",
                    sector.unwrap_or_default(),
                    what.rule(),
                )
            }
        }
    }
}

impl Ailment {
    /// What the options of the file below that node begin with.
    pub(crate) fn child(&self) -> &'static str {
        match self {
            Self::Fails { .. } => "file.image.",
            Self::Slow { .. } => "file.file.",
        }
    }
}

impl Access {
    /// blkdebug's rule number 0: an event that the raw driver sends, or `none` for always.
    fn rule(self) -> &'static str {
        match self {
            Self::Read => "file.inject-error.0.event=none,file.inject-error.0.iotype=read",
            Self::Write => "file.inject-error.0.event=none,file.inject-error.0.iotype=write",
            Self::Flush => "file.inject-error.0.event=none,file.inject-error.0.iotype=flush",
            Self::ReadAfterWrite => {
                "file.inject-error.0.event=read_aio,file.inject-error.0.iotype=read,\
                 file.inject-error.0.state=2,file.set-state.0.event=write_aio,\
                 file.set-state.0.state=1,file.set-state.0.new_state=2"
            }
        }
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow { bytes_per_s } => write!(f, "passes {bytes_per_s} bytes a second"),
            Self::Fails { what, sector, once, errno } => {
                let often = if *once { "once" } else { "always" };
                write!(f, "{what:?} fails {often} (errno {errno})")?;
                sector.map_or(Ok(()), |sector| write!(f, " at sector {sector}"))
            }
        }
    }
}
