//! How much memory it takes: once here, where the archive is handed to the kernel, and once in
//! the next kernel, which unpacks it.

/// What the next kernel, its services, and the first files that they write take, bytes. Debian with
/// systemd and a login prompt takes some 90 MB besides its root.
const RUNNING_BYTES: u64 = 128 << 20;

/// What a node takes in tmpfs besides the pages of its content, bytes: inode and directory entry.
const NODE_BYTES: u64 = 1024;

/// Files in memory take whole pages.
pub(super) const PAGE_BYTES: u64 = 4096;

/// tmpfs, which an initramfs is unpacked into, takes one part in so many of all memory at most
/// (tmpfs(5)); of all that there is when it is made, while the archive is still held.
const TMPFS_SHARE: u64 = 2;

/// What of it is for files that the system writes into its root: logs, caches, keys. What is in
/// /run and /tmp is in file systems of its own.
const WRITTEN_BYTES: u64 = 32 << 20;

/// The memory of this machine, and what starting a kernel takes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it, bytes.
    pub total_bytes: u64,
    /// What can be had now, bytes.
    pub available_bytes: u64,
    /// How often kernel and initramfs are in memory at the worst moment.
    pub copies: u64,
    /// What is needed besides them, bytes.
    pub margin_bytes: u64,
}

/// What a label takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Takes {
    /// The archive, bytes.
    pub(super) archive_bytes: u64,
    /// The kernel, bytes.
    pub(super) kernel_bytes: u64,
    /// Its content in whole pages, bytes.
    pub(super) pages_bytes: u64,
    /// How many nodes it has.
    pub(super) nodes: u64,
}

impl Takes {
    /// How much memory a machine like this one has to have, bytes.
    pub(super) fn needs_bytes(&self, memory: &Memory) -> u64 {
        let images = self.archive_bytes.saturating_add(self.kernel_bytes);
        let here = images
            .saturating_mul(memory.copies)
            .saturating_add(memory.margin_bytes)
            .saturating_add(memory.total_bytes.saturating_sub(memory.available_bytes));
        here.max(self.next_bytes())
    }

    /// The same for the next kernel.
    fn next_bytes(&self) -> u64 {
        let unpacked = self.unpacked_bytes();
        let both = unpacked.saturating_add(self.archive_bytes).saturating_add(RUNNING_BYTES);
        let root = unpacked.saturating_add(WRITTEN_BYTES).saturating_mul(TMPFS_SHARE);
        let held = self.archive_bytes.saturating_add(self.kernel_bytes);
        both.max(root.saturating_add(held))
    }

    /// The root in the next kernel's memory, bytes.
    pub(super) fn unpacked_bytes(&self) -> u64 {
        self.pages_bytes.saturating_add(self.nodes.saturating_mul(NODE_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_worse_of_the_two_moments_counts() {
        let memory = Memory {
            total_bytes: 1000 * MIB,
            available_bytes: 950 * MIB,
            copies: 3,
            margin_bytes: 32 * MIB,
        };
        // Archive, kernel, pages in MiB, nodes; what is needed in MiB.
        let table = [
            // Handing it over: three times 210, the margin, and what is used already.
            ([200, 10, 200], 1024, 3 * 210 + 32 + 50),
            // Next to nothing: the next kernel has to run in it.
            ([1, 1, 1], 1024, 1 + 1 + 1 + 128),
            // Small files fill pages: the archive is short, and its root is not. Its tmpfs has half
            // of what the archive and the kernel leave, and is not full from the start.
            ([1, 1, 100], 1024, 2 * (100 + 1 + 32) + 1 + 1),
            ([10, 10, 900], 102_400, 2 * (900 + 100 + 32) + 10 + 10),
            // It would be handed over, and its root would be a little too long for its tmpfs.
            ([300, 10, 300], 32_768, 2 * (300 + 32 + 32) + 300 + 10),
        ];
        for ([archive, kernel, pages], nodes, expected) in table {
            let takes = Takes {
                archive_bytes: archive * MIB,
                kernel_bytes: kernel * MIB,
                pages_bytes: pages * MIB,
                nodes,
            };
            assert_eq!(takes.needs_bytes(&memory) / MIB, expected, "{archive} {pages}");
        }
        let endless = Takes { archive_bytes: u64::MAX, ..Takes::default() };
        assert_eq!(endless.needs_bytes(&memory), u64::MAX);
    }
}
