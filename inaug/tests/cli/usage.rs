//! What is typed wrong, or would do harm.

use crate::support::{Bench, command, image, inaug};

#[test]
fn wrong_usage_is_two() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["push"],
        &["push", "x"],
        &["push", "x", "--image", "i"],
        &["push", "x", "--store", "s", "--image", "i", "--fact", "novalue"],
        &["push", "x", "--store", "s", "--image", "i", "--level", "0"],
        &["push", "x", "--store", "s", "--image", "i", "--initrd", "r"],
        &["push", "x", "--store", "s", "--image", "i", "--kernel", "k"],
        &["push", "x", "--store", "s", "--image", "i", "--no-boot", "--cmdline", "quiet"],
        &["push", ".hidden", "--store", "s", "--image", "i"],
        &["show", "a//b", "--store", "s"],
        &["show", "x"],
        &["labels"],
        &["labels", "--store", "a,b"],
        &["rm", "x", "--store", "http://127.0.0.1:9/store"],
        &["serve", "--store", "s"],
        &["copy", "a", "--from", "s"],
        &["copy", "--from", "s", "--to", "d"],
        &["copy", "a//b", "--from", ".", "--to", "d"],
        &["copy", "a", "--from", "s", "--to", "http://127.0.0.1:9/store"],
        &["rename", "a", "--store", "s"],
        &["rename", "a", ".b", "--store", "s"],
        &["gc", "--store", "s", "--max-size", "much"],
        &["gc", "--store", "http://127.0.0.1:9/store"],
        &["verify", "--store", "s", "--heal"],
        &["initramfs", "-o", "out", "--modules", "thin", "--init", "/bin/true"],
        &["initramfs", "-o", "out", "--modules", "some"],
        &["initramfs", "-o", "out", "--modules", "none", "--embed", "file=relative"],
        &["boot", "x"],
        &["boot", "--store", "s"],
        &["boot", "a//b", "--store", "s"],
        &["boot", "x", "--store", "s", "--memory", "64"],
        &["boot", "x", "--store", "s", "--cpus", "0"],
        &["boot", "x", "--store", "s", "--disk", "much"],
        &["boot", "x", "--store", "s", "--disk", "1G", "--disk-file", "f"],
        &["boot", "x", "--store", "s", "--expect", "a", "--test", "b"],
        &["boot", "x", "--store", "s", "--timeout", "0"],
        &["boot", "x", "--store", "s", "--kernel", "k"],
        &["boot", "x", "--store", "s", "--initramfs", "i"],
        &["boot", "x", "--store", "s", "--kernel-tree", "t", "--kernel-version", "v"],
        &["boot", "x", "--store", "s", "--kernel", "k", "--initramfs", "i", "--init", "j"],
    ] {
        let ran = inaug(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:#?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{arguments:?}: {ran:#?}");
    }
}

#[test]
fn sentences_name_what_is_wrong() {
    let bench = Bench::new();
    let store = bench.store();
    for (arguments, code, expected) in [
        (
            &["labels", "--store", "a,b"][..],
            2,
            "inaug: --store names several stores, expected one: a,b\n".to_owned(),
        ),
        (
            &["rm", "x", "--store", "http://h/store"],
            2,
            "inaug: rm works on a store's directory, and http://h/store is a URL: run it where \
             the directory is\n"
                .to_owned(),
        ),
        (
            &["push", "x", "--store", &store, "--image", "/no/such.img"],
            1,
            "inaug: cannot open the image /no/such.img\n  because: No such file or directory (os \
             error 2)\n"
                .to_owned(),
        ),
        (
            &["serve", "--store", &store, "--listen", "127.0.0.1:0"],
            5,
            format!(
                "inaug: {store} is not a store: expected a file inaug-store that says \
                 \"inaug-store 1\\n\", found No such file or directory (os error 2)\n"
            ),
        ),
    ] {
        let ran = inaug(arguments).expect(code);
        assert_eq!(ran.stderr, expected);
    }
}

#[test]
fn a_label_is_not_replaced_unless_told_to() {
    let bench = Bench::new();
    let old = bench.push("a", &image(1, 16)).json()["manifest"].as_str().unwrap().to_owned();
    let image_path = bench.file("other.img", &image(2, 16));
    let again = ["push", "a", "--image", &image_path, "--no-boot"];
    let refused = bench.run(&again).expect(6);
    let start = format!("inaug: label a is {old} in the store {}: expected ", bench.store());
    assert!(refused.stderr.starts_with(&start), "{}", refused.stderr);
    assert!(refused.stderr.ends_with("; --force replaces it\n"), "{}", refused.stderr);
    assert!(bench.run(&["show", "a"]).stdout.contains(&old));

    let forced = bench.run(&[&again[..], &["--force", "--json"]].concat()).expect(0).json();
    assert_eq!(forced["change"], "replaced");
    assert_eq!(forced["replaced"], old.as_str());
}

#[test]
fn the_store_can_come_from_the_environment_and_a_flag_wins() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let from_environment = |arguments: &[&str], store: &str| {
        let output = command(arguments).env("INAUG_STORE", store).output().unwrap();
        crate::support::Ran::from(output)
    };
    from_environment(&["show", "a"], &bench.store()).expect(0);
    from_environment(&["show", "a"], "/nowhere").expect(5);
    from_environment(&["show", "a", "--store", &bench.store()], "/nowhere").expect(0);
}

#[test]
fn an_initramfs_is_the_same_bytes_each_time() {
    let bench = Bench::new();
    let init = bench.file("init", b"\x7fELF not really");
    let extra = bench.file("extra", b"kept");
    let embed = format!("{extra}=/etc/extra");
    let build = |out: &str| {
        let out = bench.text(out);
        let arguments =
            ["initramfs", "-o", &out, "--modules", "none", "--init", &init, "--embed", &embed];
        let document = inaug(&[&arguments[..], &["--json"]].concat()).expect(0).json();
        (document, std::fs::read(out).unwrap())
    };
    let ((document, first), (_, second)) = (build("one"), build("two"));
    assert!(first == second);
    assert!(first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "zstd's magic number");
    assert_eq!(document["schema"], "inaug/initramfs/1");
    assert_eq!(document["packed_bytes"], first.len());
    assert_eq!(document["init_bytes"], 15);
}
