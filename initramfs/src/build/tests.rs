use std::io::Read;
use std::path::Path;

use super::*;

fn options(dir: &Path) -> Options {
    let init = dir.join("init");
    fs::write(&init, b"\x7fELF and so on").unwrap();
    Options { init, modules: Modules::None, ..Options::default() }
}

#[test]
fn same_input_same_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = build(&options(a.path())).unwrap();
    let second = build(&options(b.path())).unwrap();
    assert!(first.bytes == second.bytes);
    assert_eq!(first.report, second.report);
    assert_eq!(first.report.entries, DIRECTORIES.len() + 1 + DEVICES.len() + 1); // /lib, /init
    assert_eq!(first.report.init_bytes, 14);
}

#[test]
fn a_machine_of_256_mib_can_unpack_it() {
    let dir = tempfile::tempdir().unwrap();
    let built = build(&options(dir.path())).unwrap();
    let mut decoder = zstd::Decoder::new(built.bytes.as_slice()).unwrap();
    decoder.window_log_max(23).unwrap();
    let mut newc = Vec::new();
    decoder.read_to_end(&mut newc).unwrap();
    assert_eq!(newc.len() as u64, built.report.unpacked_bytes);
    assert!(newc.starts_with(b"070701"));
}

#[test]
fn embeds_files() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("key");
    fs::write(&source, "RWQ...").unwrap();
    let embed = |destination: &str| Options {
        embed: vec![Embed { source: source.clone(), destination: destination.into(), mode: 0o400 }],
        ..options(dir.path())
    };
    let plain = build(&options(dir.path())).unwrap().report.entries;
    assert_eq!(build(&embed("/etc/inaugurator/key")).unwrap().report.entries, plain + 2);
    assert_eq!(
        build(&embed("/init")).unwrap_err().to_string(),
        "\"/init\" cannot be in the archive: it is there twice"
    );
}

#[test]
fn refusals() {
    let dir = tempfile::tempdir().unwrap();
    let thin = Options { modules: Modules::Thin, ..options(dir.path()) };
    assert_eq!(
        build(&thin).unwrap_err().to_string(),
        "modules are wanted, so the kernel's directory and release must be given"
    );
    let missing = Options { init: "/nowhere/init".into(), ..Options::default() };
    assert_eq!(build(&missing).unwrap_err().to_string(), "cannot read /nowhere/init");
}
