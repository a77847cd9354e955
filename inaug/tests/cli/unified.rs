//! `inaug initramfs --uki`: one file to boot, of Debian's stub and real signatures.

use crate::support::{Bench, Ran, inaug};
use std::process::Command;

/// As much of a bzImage with an EFI stub as is looked at.
pub(crate) fn kernel() -> Vec<u8> {
    let mut kernel = vec![0; 0x2000];
    kernel[..2].copy_from_slice(b"MZ");
    kernel[0x3c] = 0x40;
    kernel[0x40..0x44].copy_from_slice(b"PE\0\0");
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x20e..0x210].copy_from_slice(&0x300_u16.to_le_bytes());
    kernel[0x500..0x50d].copy_from_slice(b"6.1.0-1-amd64");
    kernel
}

/// Builds `out` with `more` options.
fn build(bench: &Bench, out: &str, more: &[&str]) -> Ran {
    let (init, kernel) = (bench.file("init", b"\x7fELF"), bench.file("vmlinuz", &kernel()));
    let out = bench.text(out);
    let common = ["initramfs", "-o", &out, "--modules", "none", "--no-tools", "--init", &init];
    let uki = ["--uki", "--kernel", &kernel, "--cmdline", "console=ttyS0", "--json"];
    inaug(&[&common[..], &uki, more].concat())
}

#[test]
fn the_same_inputs_are_the_same_file_wherever_they_are() {
    let (here, there) = (Bench::new(), Bench::new());
    let document = build(&here, "a.efi", &[]).expect(0).json();
    build(&here, "b.efi", &[]).expect(0);
    build(&there, "c.efi", &[]).expect(0);
    let first = std::fs::read(here.path("a.efi")).unwrap();
    assert!(first == std::fs::read(here.path("b.efi")).unwrap());
    assert!(first == std::fs::read(there.path("c.efi")).unwrap());

    let uki = &document["uki"];
    assert_eq!(document["schema"], "inaug/initramfs/1");
    assert_eq!(uki["size_bytes"], first.len());
    assert_eq!(uki["release"], "6.1.0-1-amd64");
    assert_eq!(uki["cmdline"], "console=ttyS0");
    assert_eq!(uki["signed"], false);
    let names: Vec<_> = uki["sections"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, [".osrel", ".uname", ".cmdline", ".initrd", ".linux"]);
    assert_eq!(uki["sections"][3]["size_bytes"], document["packed_bytes"]);
    assert_eq!(uki["sections"][4]["size_bytes"], 0x2000);
}

#[test]
fn a_signature_is_of_the_whole_file_and_what_it_takes_is_said() {
    let bench = Bench::new();
    let (key, certificate) = (bench.text("key.pem"), bench.text("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let signed = ["--secure-boot-key", &key, "--secure-boot-cert", &certificate];
    let document = build(&bench, "signed.efi", &signed).expect(0).json();
    assert_eq!(document["uki"]["signed"], true);
    let verify = |file: &str| {
        let mut command = Command::new("sbverify");
        command.args(["--cert", &certificate, &bench.text(file)]).output().unwrap().status
    };
    assert!(verify("signed.efi").success());
    let mut bytes = std::fs::read(bench.path("signed.efi")).unwrap();
    let at = bytes.windows(13).position(|window| window == b"console=ttyS0").unwrap();
    bytes[at] ^= 1;
    bench.file("tampered.efi", &bytes);
    assert!(!verify("tampered.efi").success());

    // As firmware's own tools have it.
    let der = bench.text("cert.der");
    let made = Command::new("openssl")
        .args(["x509", "-in", &certificate, "-outform", "der", "-out", &der])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let wrong = ["--secure-boot-key", &key, "--secure-boot-cert", &der];
    let refused = build(&bench, "refused.efi", &wrong).expect(1);
    let said = format!("key {key} with the certificate {der}: expected both in PEM");
    assert!(refused.stdout.contains(&said), "{refused:#?}");

    let locked = bench.text("locked.pem");
    let made = Command::new("openssl")
        .args(["rsa", "-aes128", "-passout", "pass:secret", "-in", &key, "-out", &locked])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let signed = ["--secure-boot-key", &locked, "--secure-boot-cert", &certificate];
    let refused = build(&bench, "refused.efi", &signed).expect(1);
    assert!(refused.stdout.contains("locked.pem has a passphrase"), "{refused:#?}");
    assert!(!bench.path("refused.efi").exists());
}

#[test]
fn what_cannot_boot_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let nowhere = ["--stub", "/nowhere/stub"];
    let table: [(&[&str], i32, &str); 5] = [
        (&["--stub", "/dev/zero"], 1, "/dev/zero: expected at most 4194304 bytes, found more"),
        (&nowhere, 1, "cannot read /nowhere/stub"),
        (&["--secure-boot-key", "/nowhere/key"], 2, "--secure-boot-cert"),
        (&["--stub", "/bin/true"], 1, "stub: expected a PE executable"),
        (&["--cmdline", "twice"], 2, "--cmdline"),
    ];
    for (more, code, expected) in table {
        let ran = build(&bench, "out.efi", more).expect(code);
        assert!(format!("{ran:?}").contains(expected), "{expected}: {ran:#?}");
        assert!(!bench.path("out.efi").exists());
    }
    let other = bench.path("lib/modules/6.1.0-2-amd64");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("modules.dep"), "").unwrap();
    let tree = bench.path("").display().to_string();
    let ran = build(&bench, "out.efi", &["--kernel-tree", &tree]).expect(2);
    let expected =
        "vmlinuz is Linux 6.1.0-1-amd64, which does not load the modules of 6.1.0-2-amd64";
    assert!(ran.stdout.contains(expected), "{ran:#?}");
}
