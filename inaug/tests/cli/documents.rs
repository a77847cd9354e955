//! `--json`: one document on stdout, with the fields that were promised.

use crate::support::{Bench, image, inaug};
use serde_json::Value;

#[track_caller]
fn check(document: &Value, schema: &str, fields: &[&str]) {
    assert_eq!(document["schema"], schema);
    for field in fields {
        assert!(document.get(field).is_some(), "{field} in {document:#}");
    }
}

#[test]
fn every_command_prints_its_document() {
    let bench = Bench::new();
    let pushed = bench.push("a", &image(1, 64)).json();
    check(
        &pushed,
        "inaug/push/1",
        &[
            "label",
            "store",
            "manifest",
            "change",
            "replaced",
            "image_bytes",
            "zero_bytes",
            "trimmed_bytes",
            "objects",
            "new_objects",
            "new_bytes",
            "new_packed_bytes",
            "reused_bytes",
            "packs",
            "damaged_packs",
            "index_failure",
            "cleaned_files",
            "boot_source",
            "seconds",
            "total_seconds",
        ],
    );
    let run = |arguments: &[&str]| bench.run(&[arguments, &["--json"]].concat()).expect(0).json();
    let labels = run(&["labels"]);
    check(&labels, "inaug/labels/1", &["store"]);
    let row = &labels["labels"][0];
    for field in ["label", "kind", "size_bytes", "pushed_unix_s", "manifest", "facts"] {
        assert!(row.get(field).is_some(), "{field} in {row:#}");
    }
    assert_eq!(row["manifest"], pushed["manifest"]);

    let show = run(&["show", "a"]);
    check(
        &show,
        "inaug/show/1",
        &[
            "label",
            "store",
            "kind",
            "manifest",
            "pushed_unix_s",
            "facts",
            "size_bytes",
            "sector_bytes",
            "gpt",
            "data_bytes",
            "zero_bytes",
            "objects",
            "segments",
            "manifest_bytes",
            "packed_bytes",
            "packs",
            "boot",
        ],
    );
    check(
        &run(&["diff", "a", "a"]),
        "inaug/diff/1",
        &[
            "old",
            "new",
            "manifest_bytes",
            "fetch_objects",
            "fetch_bytes",
            "fetch_frames",
            "fetch_packed_bytes",
            "moved_bytes",
            "kept_bytes",
            "repeated_bytes",
            "zero_bytes",
        ],
    );
    check(&run(&["verify"]), "inaug/verify/1", &["store", "label", "packs", "objects", "damages"]);
    check(&run(&["rm", "a"]), "inaug/rm/1", &["label", "store"]);
}

#[test]
fn a_kernel_that_is_given_is_kept_beside_the_image() {
    let bench = Bench::new();
    let image_path = bench.file("a.img", &image(1, 64));
    let (kernel, initrd) = (image(5, 20), image(6, 3));
    let (kernel_path, initrd_path) =
        (bench.file("vmlinuz", &kernel), bench.file("initrd", &initrd));
    let with_kernel = ["--kernel", &*kernel_path, "--initrd", &initrd_path, "--cmdline", "quiet"];
    bench.run(&[&["push", "a", "--image", &image_path][..], &with_kernel].concat()).expect(0);
    let boot = &bench.run(&["show", "a", "--json"]).expect(0).json()["boot"];
    for (file, bytes) in [("kernel", kernel), ("initrd", initrd)] {
        assert_eq!(boot[file]["size_bytes"], bytes.len());
        assert_eq!(boot[file]["digest"], store::Digest::of(&bytes).to_string());
        assert_eq!(boot[file]["place"], "beside");
    }
    assert_eq!(boot["cmdline"], "quiet");
    assert_eq!(boot["source"], "given when it was pushed");
}

#[test]
fn a_failure_is_a_document_too() {
    let ran = inaug(&["show", "a", "--store", "/nowhere", "--json"]).expect(5);
    let document = ran.json();
    check(&document, "inaug/failure/1", &["error"]);
    assert_eq!(document["exit_code"], 5);
    let first = document["error"][0].as_str().unwrap();
    assert!(ran.stderr.starts_with(&format!("inaug: {first}\n")), "{ran:#?}");
}
