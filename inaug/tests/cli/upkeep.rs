//! Looking after stores: copy, rename, gc, verify --heal.

use crate::support::{Bench, Server, damage, image, inaug};
use serde_json::Value;

fn names(bench: &Bench, store: &str) -> Vec<String> {
    let labels = inaug(&["labels", "--store", &bench.text(store), "--json"]).expect(0).json();
    let rows = labels["labels"].as_array().unwrap();
    rows.iter().map(|row| row["label"].as_str().unwrap().to_owned()).collect()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
}

#[test]
fn labels_are_copied_from_a_directory_and_over_http() {
    let bench = Bench::new();
    bench.push("debian/1", &image(1, 64));
    bench.push("debian/2", &[image(1, 48), image(2, 16)].concat());
    bench.push("other", &image(3, 16));
    let store = bench.store();
    let server = Server::start(&store);
    for (from, to) in [(store.clone(), "one"), (server.url(), "two")] {
        let to_path = bench.text(to);
        let copy = |labels: &[&str], more: &[&str]| {
            inaug(&[&["copy"], labels, &["--from", &from, "--to", &to_path], more].concat())
        };
        let document = copy(&["debian/*"], &["--json"]).expect(0).json();
        assert_eq!(document["schema"], "inaug/copy/1");
        let rows = document["labels"].as_array().unwrap();
        let sent = |row: usize| rows[row]["sent_bytes"].as_u64().unwrap();
        assert_eq!([&rows[0]["change"], &rows[1]["change"]], ["new", "new"]);
        assert_eq!(sent(0), 64 * 7 / 8 * 4096);
        assert!(sent(1) < sent(0) / 2, "{document:#}");
        assert_eq!(names(&bench, to), ["debian/1", "debian/2"]);

        let again = copy(&["debian/1", "other"], &[]).expect(0).stdout;
        assert!(
            again.starts_with(
                "copied    debian/1: the same as before; sent 0 objects of 0 bytes, packed 0 bytes\n\
                 copied    other: new; sent "
            ),
            "{again}"
        );
        inaug(&["verify", "--store", &to_path]).expect(0);
        let missing = copy(&["suse/*"], &[]).expect(1);
        assert_eq!(missing.stderr, format!("inaug: no label of {from} matches suse/*\n"));
        copy(&["none"], &[]).expect(1);
    }
}

#[test]
fn a_label_that_names_something_else_is_not_copied_over() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let (store, to) = (bench.store(), bench.text("to"));
    let file = bench.file("other.img", &image(2, 16));
    inaug(&["push", "a", "--image", &file, "--no-boot", "--store", &to]).expect(0);
    let copy = ["copy", "a", "--from", &store, "--to", &to];
    let refused = inaug(&copy).expect(6);
    assert!(refused.stderr.trim_end().ends_with("; --force replaces it"), "{refused:#?}");
    let forced = inaug(&[&copy[..], &["--force", "--json"]].concat()).expect(0).json();
    assert_eq!(forced["labels"][0]["change"], "replaced");
    damage(&bench.stored("packs")[0]);
    let wrong = inaug(&["copy", "a", "--from", &store, "--to", &bench.text("third")]).expect(3);
    assert!(wrong.stderr.starts_with("inaug: object "), "{wrong:#?}");
    let nobody = inaug(&["copy", "a", "--from", &bench.text("none"), "--to", &to]).expect(5);
    assert!(nobody.stderr.contains("is not a store"), "{nobody:#?}");
}

#[test]
fn a_label_gets_another_name() {
    let bench = Bench::new();
    bench.push("old", &image(1, 16));
    bench.push("taken", &image(2, 16));
    let store = bench.store();
    let renamed = bench.run(&["rename", "old", "new/name"]).expect(0);
    assert_eq!(renamed.stdout, format!("renamed old to new/name in {store}\n"));
    assert_eq!(names(&bench, "store"), ["new/name", "taken"]);
    bench.run(&["rename", "old", "else"]).expect(1);
    let refused = bench.run(&["rename", "new/name", "taken"]).expect(6);
    assert!(refused.stderr.contains("label taken is there in the store"), "{refused:#?}");
    bench.run(&["rename", "taken", "taken"]).expect(6);
    let forced = bench.run(&["rename", "new/name", "taken", "--force", "--json"]).expect(0).json();
    assert_eq!(forced["schema"], "inaug/rename/1");
    assert!(forced["replaced"].is_string());
    assert_eq!(names(&bench, "store"), ["taken"]);
    bench.run(&["verify"]).expect(0);
}

#[test]
fn what_no_label_needs_is_deleted() {
    let bench = Bench::new();
    bench.push("a", &image(1, 64));
    bench.push("b", &image(2, 64));
    bench.run(&["rm", "a"]).expect(0);
    let pending = bench.run(&["gc"]).expect(0).stdout;
    assert!(pending.starts_with("deleted   0 files, 0 bytes\npending   3 files, "), "{pending}");
    assert_eq!(bench.stored("packs").len(), 2);
    let dry = bench.run(&["gc", "--grace", "0", "--dry-run", "--json"]).expect(0).json();
    assert_eq!((&dry["schema"], &dry["dry_run"]), (&"inaug/gc/1".into(), &true.into()));
    let done = bench.run(&["gc", "--grace", "0", "--json"]).expect(0).json();
    for field in ["removed", "removed_bytes", "pending", "repacked", "size_bytes"] {
        assert_eq!(done[field], dry[field], "{field}");
    }
    assert_eq!(done["removed"].as_array().unwrap().len(), 3);
    assert_eq!(bench.stored("packs").len(), 1);
    assert_eq!(bench.stored("manifests").len(), 1);
    bench.run(&["verify"]).expect(0);
    let none = bench.run(&["gc", "--grace", "0"]).expect(0).stdout;
    assert!(none.starts_with("deleted   0 files, 0 bytes\nneeded    "), "{none}");
}

#[test]
fn labels_make_room_but_not_those_that_are_kept() {
    let bench = Bench::new();
    for (name, seed) in [("keep/a", 1), ("b", 2), ("c", 3)] {
        bench.push(name, &image(seed, 64));
    }
    let gc = ["gc", "--grace", "0", "--max-size", "300Ki", "--keep", "keep/*"];
    let dry = bench.run(&[&gc[..], &["--dry-run"]].concat()).expect(0).stdout;
    assert!(dry.starts_with("to remove label b, not used for the longest time\n"), "{dry}");
    assert_eq!(names(&bench, "store").len(), 3);
    let done = bench.run(&[&gc[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(strings(&done["labels"]), ["b", "c"]);
    assert_eq!(names(&bench, "store"), ["keep/a"]);
    let kept = bench.run(&["gc", "--max-size", "1Ki", "--keep", "keep/*"]).expect(0).stdout;
    assert!(kept.contains("too much  what is to be kept takes "), "{kept}");
    bench.run(&["verify"]).expect(0);
}

#[test]
fn a_depot_knows_which_labels_are_of_use() {
    let bench = Bench::new();
    for (name, seed) in [("a", 1), ("b", 2)] {
        bench.push(name, &image(seed, 64));
    }
    let server = Server::start(&bench.store());
    let before = server.ask("GET /store/labels/a", &[]);
    let again = server.ask("GET /store/labels/a", &[]);
    assert_eq!(before.field("etag"), again.field("etag"), "a use is no change");
    let gc = ["gc", "--grace", "0", "--max-size", "300Ki", "--json"];
    let done = bench.run(&gc).expect(0).json();
    assert_eq!(strings(&done["labels"]), ["b"]);
}

#[test]
fn a_damaged_store_is_healed_from_another() {
    let bench = Bench::new();
    bench.push("a", &image(1, 64));
    bench.push("b", &image(2, 64));
    let (store, second) = (bench.store(), bench.text("second"));
    inaug(&["copy", "a", "--from", &store, "--to", &second]).expect(0);
    let server = Server::start(&second);
    for pack in bench.stored("packs") {
        damage(&pack);
    }
    let partly = bench.run(&["verify", "--heal", &server.url(), "--json"]).expect(3).json();
    assert_eq!(partly["schema"], "inaug/verify/1");
    assert!(partly["healed"]["taken_objects"].as_u64().unwrap() > 0);
    assert_eq!(strings(&partly["healed"]["obstacles"]).len(), 1, "{partly:#}");
    bench.run(&["verify", "a"]).expect(0);
    let third = Bench::new();
    third.push("b", &image(2, 64));
    let healed = bench.run(&["verify", "--heal", &third.store()]).expect(0).stdout;
    assert!(healed.contains("\nremoved   pack "), "{healed}");
    assert!(healed.ends_with("\nall       as it should be\n"), "{healed}");
    bench.run(&["verify"]).expect(0);
}
