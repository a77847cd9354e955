//! Trees by seed: few names and few contents, so that two of them have much in common, in other
//! places and of other kinds.

use crate::model::{Item, Tree, meta, noise};
use store::tree::{Meta, Xattr};

/// Numbers by seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u64) as usize]
    }
}

/// A tree of some nodes.
pub(crate) fn tree(seed: u64) -> Tree {
    let mut dice = Dice::new(seed);
    let mut tree = Tree::new();
    for _ in 0..dice.roll(30) {
        let depth = 1 + dice.roll(3);
        let names: Vec<&str> = (0..depth).map(|_| dice.pick(&["a", "b", "c", "d\n"])).collect();
        let path = names.join("/").into_bytes();
        let item = item(&mut dice, &tree, &path);
        let meta = metadata(&mut dice);
        tree.put(&path, item, meta);
    }
    // A link whose first name has come to lie after it is none.
    let links: Vec<_> = tree
        .0
        .iter()
        .filter_map(|(names, (item, _))| match item {
            Item::Link(to) => Some((names.clone(), to.clone())),
            _ => None,
        })
        .collect();
    for (names, to) in links {
        let to_names: Vec<Vec<u8>> = to.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        let is_first = matches!(tree.0.get(&to_names), Some((item, _)) if is_linkable(item));
        if to_names >= names || !is_first {
            tree.0.remove(&names);
        }
    }
    tree
}

fn is_linkable(item: &Item) -> bool {
    !matches!(item, Item::Directory | Item::Link(_))
}

fn item(dice: &mut Dice, tree: &Tree, path: &[u8]) -> Item {
    match dice.roll(12) {
        0 => Item::Directory,
        1 => Item::Symlink(dice.pick(&[&b"a"[..], b"../b", b"/nowhere/\xff"]).to_vec()),
        2 => Item::Fifo,
        3 if rustix::process::geteuid().is_root() => Item::Device(1, dice.roll(3) as u32 + 3),
        4 | 5 => {
            let linkable: Vec<_> = tree
                .0
                .iter()
                .filter(|(names, (item, _))| is_linkable(item) && names.join(&b'/') < path.to_vec())
                .map(|(names, _)| names.join(&b'/'))
                .collect();
            match linkable.len() as u64 {
                0 => Item::File(Vec::new()),
                count => Item::Link(linkable[dice.roll(count) as usize].clone()),
            }
        }
        _ => Item::File(content(dice)),
    }
}

fn content(dice: &mut Dice) -> Vec<u8> {
    let seed = dice.roll(5);
    match dice.roll(6) {
        0 => Vec::new(),
        1 => vec![0; 5000],
        2 | 3 => noise(seed, 100 + seed as usize),
        4 => noise(seed, 300_000),
        _ => [noise(seed, 70_000), vec![0; 90_000], noise(seed + 1, 90_000)].concat(),
    }
}

fn metadata(dice: &mut Dice) -> Meta {
    let mut meta = meta(dice.pick(&[0o644, 0o600, 0o755, 0o4755, 0o444]), 1_200_000_000);
    meta.mtime_s += dice.roll(2).cast_signed();
    if rustix::process::geteuid().is_root() {
        (meta.uid, meta.gid) = (dice.pick(&[0, 0, 1000]), dice.pick(&[0, 0, 7]));
        // Directories of this mode give their group to what is made in them.
        if dice.roll(3) == 0 {
            meta.mode |= 0o2000;
        }
    }
    if dice.roll(4) == 0 {
        meta.xattrs =
            vec![Xattr { name: b"user.a".to_vec(), value: vec![b'0' + dice.roll(2) as u8] }];
    }
    meta
}
