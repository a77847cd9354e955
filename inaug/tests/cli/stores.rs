//! A store's life: push, labels, show, diff, verify, rm.

use crate::support::{Bench, Server, damage, image, inaug};

#[test]
fn a_label_is_pushed_listed_shown_and_removed() {
    let bench = Bench::new();
    let bytes = image(1, 64);
    let path = bench.file("one.img", &bytes);
    let push = ["push", "debian/12/demo", "--image", &path, "--no-boot", "--fact", "git=1a2b"];
    let pushed = bench.run(&push).expect(0);
    assert!(pushed.stdout.starts_with("pushed    debian/12/demo, which is new\n"), "{pushed:#?}");
    assert_eq!(pushed.stderr, "", "no progress where no terminal is");
    let again = bench.run(&push).expect(0);
    assert!(again.stdout.contains("which is the same as before\n"), "{again:#?}");

    let show = bench.run(&["show", "debian/12/demo"]).expect(0).stdout;
    for line in [
        "label     debian/12/demo\n",
        "kind      image\n",
        "fact      git=1a2b\n",
        "size      256 KiB (262144 bytes)\n",
        "sectors   512 bytes\n",
        "table     no GPT\n",
        "content   224 KiB of data, 32.0 KiB of zeroes\n",
        "boot      by its own boot loader: no kernel is known\n",
    ] {
        assert!(show.contains(line), "{line:?} in {show}");
    }

    bench.push("fedora__44", &image(2, 16));
    let names = |glob: &str| {
        let table = bench.run(&["labels", glob]).expect(0).stdout;
        let rows = table.lines().skip(1);
        rows.map(|row| row.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("*"), ["debian/12/demo", "fedora/44"]);
    assert_eq!(names("debian/*"), ["debian/12/demo"]);
    assert_eq!(names("suse*"), [""; 0]);

    let removed = bench.run(&["rm", "fedora/44"]).expect(0);
    let expected =
        format!("removed fedora/44 from {}; its bytes stay in the packs until gc\n", bench.store());
    assert_eq!(removed.stdout, expected);
    assert_eq!(names("*"), ["debian/12/demo"]);
}

#[test]
fn labels_and_show_over_http_are_the_same_as_from_the_directory() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    bench.push("b/c", &image(2, 16));
    let server = Server::start(&bench.store());
    for arguments in [&["labels"][..], &["labels", "b*"], &["show", "b/c"], &["diff", "a", "b/c"]] {
        let here = bench.run(arguments).expect(0);
        let there = inaug(&[arguments, &["--store", &server.url()]].concat()).expect(0);
        assert_eq!(here.stdout, there.stdout, "{arguments:?}");
    }
}

#[test]
fn what_is_not_there_is_said() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let store = bench.store();
    let server = Server::start(&store);
    let url = server.url().trim_end_matches('/').to_owned();
    for (arguments, code, sentence) in [
        (vec!["show", "b", "--store", &store], 1, format!("label b is not in the store {store}")),
        (vec!["rm", "b", "--store", &store], 1, format!("label b is not in the store {store}")),
        (
            vec!["diff", "a", "b", "--store", &store],
            1,
            format!("label b is not in the store {store}"),
        ),
        (vec!["verify", "b", "--store", &store], 1, format!("label b is not in the store {store}")),
        (vec!["show", "b", "--store", &url], 1, format!("label b is not in the store {url}")),
    ] {
        let ran = inaug(&arguments).expect(code);
        assert_eq!(
            ran.stderr.lines().next(),
            Some(&*format!("inaug: {sentence}")),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_store_that_does_not_answer_is_a_network_failure() {
    // The port was free a moment ago and nobody listens there now.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/store", listener.local_addr().unwrap());
    drop(listener);
    let ran = inaug(&["show", "a", "--store", &url]).expect(4);
    assert!(ran.stderr.starts_with(&format!("inaug: label a from {url}")), "{}", ran.stderr);
}

#[test]
fn diff_counts_what_must_move() {
    let bench = Bench::new();
    let old = image(1, 512);
    let mut new = old.clone();
    // A MiB of other bytes in the middle, and a MiB that is also at the start.
    new.splice(1 << 20..2 << 20, image(9, 256)[..1 << 20].iter().copied());
    bench.push("old", &old);
    bench.push("new", &new);

    let same = bench.run(&["diff", "old", "old", "--json"]).expect(0).json();
    assert_eq!(same["fetch_objects"], 0);
    assert_eq!(same["fetch_packed_bytes"], 0);
    assert_eq!(same["manifest_bytes"], 0);
    assert_eq!(
        same["kept_bytes"].as_u64().unwrap() + same["zero_bytes"].as_u64().unwrap(),
        2 << 20
    );

    let moved = bench.run(&["diff", "old", "new", "--json"]).expect(0).json();
    let number = |field: &str| moved[field].as_u64().unwrap();
    assert!(number("fetch_objects") > 0);
    assert!((800 << 10..1200 << 10).contains(&number("fetch_bytes")), "{moved}");
    assert!(number("fetch_packed_bytes") >= number("fetch_bytes"), "random bytes do not compress");
    let parts = ["fetch_bytes", "moved_bytes", "repeated_bytes", "kept_bytes", "zero_bytes"];
    assert_eq!(parts.map(number).iter().sum::<u64>(), 2 << 20, "{moved}");
}

#[test]
fn damage_is_found_and_named() {
    for (part, object) in
        [("packs", "pack"), ("manifests", "manifest"), ("maps", "map"), ("labels", "label")]
    {
        let bench = Bench::new();
        bench.push("a", &image(1, 64));
        bench.run(&["verify"]).expect(0);
        bench.run(&["verify", "a"]).expect(0);
        damage(&bench.stored(part)[0]);
        for arguments in [&["verify"][..], &["verify", "a"]] {
            let ran = bench.run(arguments).expect(3);
            assert!(ran.stderr.contains(&format!("first: {object} ")), "{part}: {ran:#?}");
            assert!(ran.stdout.contains("hurts a\n"), "{part}: {ran:#?}");
        }
    }
}
