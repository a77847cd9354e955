//! What the machine that pushes does; `pusher` and the test that judges it both go by this.

/// One push of that machine.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    /// The label.
    pub label: &'static str,
    /// The image: noise of each of these seeds, [`PUSH_PART_BYTES`] of each.
    pub seeds: &'static [u64],
    /// The label names another image already.
    pub replaces: bool,
}

/// A label, another one that shares half of its image, and the first one anew.
pub const PUSHES: [Push; 3] = [
    Push { label: "crash/a", seeds: &[1, 2], replaces: false },
    Push { label: "crash/b", seeds: &[2, 3], replaces: false },
    Push { label: "crash/a", seeds: &[1, 4], replaces: true },
];

/// Long enough for a few frames of a pack.
pub const PUSH_PART_BYTES: usize = 768 << 10;

/// What is written when a push has returned, each push at its own place, bytes.
pub const NOTE_BYTES: usize = 4096;
