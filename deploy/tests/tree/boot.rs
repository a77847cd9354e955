//! What a tree is booted with is handed over, whether it is in the tree or beside it.

use crate::fidelity::{deployed, push_booting};
use crate::noise;
use std::io::{Read, Seek};
use store::push::{BootInput, PayloadInput};

#[test]
fn kernels_and_initrds_in_the_tree_and_beside_it_are_handed_over() {
    // With blocks of zeroes, which are no objects, in the middle and at the end.
    let kernel = [noise(300_000, 1), vec![0; 200_000], noise(70_001, 2), vec![0; 9000]].concat();
    let initrd = noise(400_000, 3);
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir_all(root.join("boot")).unwrap();
    std::fs::write(root.join("boot/initrd"), &initrd).unwrap();
    let beside = place.path().join("kernel");
    std::fs::write(&beside, &kernel).unwrap();
    let boot = BootInput {
        kernel: PayloadInput::File(beside),
        initrd: Some(PayloadInput::Tree(b"boot/initrd".to_vec())),
        cmdline: "quiet".to_owned(),
        source: "the operator".to_owned(),
    };
    let store = push_booting(place.path(), &root, Some(boot));
    let settled = deployed(&store, &place.path().join("to")).unwrap();
    let boot = settled.boot().unwrap();
    for (payload, expected) in [(&boot.kernel, &kernel), (boot.initrd.as_ref().unwrap(), &initrd)] {
        let mut copy = tempfile::tempfile().unwrap();
        settled.copy("boot file", payload, &copy).unwrap();
        let mut found = Vec::new();
        copy.rewind().unwrap();
        copy.read_to_end(&mut found).unwrap();
        assert!(found == *expected);
    }
}
