//! `inaug serve --boot`, asked by a plain TCP client as iPXE and firmware ask, and the
//! configuration of dnsmasq beside it.

use crate::support::{Bench, Server, image, inaug};
use std::fs::File;
use std::process::Stdio;

const MAC: &str = "52:54:00:ab:34:56";

/// What iPXE asks of that machine.
const ASKED: &str = "GET /boot.ipxe?mac=52-54-00-ab-34-56&uuid=&serial=A%201";

/// A server of boot files that says `machines` of machines, and its log.
fn booting(machines: &str) -> (Bench, Server) {
    let bench = Bench::new();
    bench.push("lab/web", &image(1, 16));
    std::fs::create_dir(bench.path("boot")).unwrap();
    bench.file("boot/vmlinuz", b"a kernel");
    bench.file("boot/initramfs.img", b"an initramfs");
    let (boot, file) = (bench.text("boot"), bench.file("machines.json", machines.as_bytes()));
    let log = Stdio::from(File::create(bench.path("log")).unwrap());
    let options = ["--boot", &boot, "--machines", &file];
    let server = Server::start_with(&bench.store(), &options, log);
    (bench, server)
}

fn log(bench: &Bench) -> String {
    std::fs::read_to_string(bench.path("log")).unwrap()
}

fn script(server: &Server, request: &str, fields: &[&str]) -> String {
    let answer = server.ask(request, fields);
    assert_eq!((answer.status, answer.field("cache-control")), (200, "no-store"));
    assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
    String::from_utf8(answer.body).unwrap()
}

#[test]
fn each_machine_gets_its_own_script() {
    let (bench, server) = booting(
        r#"{"default": {"label": "lab/web", "append": "console=ttyS0"},
            "machines": [{"name": "db1", "serial": "A 1", "label": "lab/db"},
                         {"mac": "52:54:00:ab:34:57", "boot": "disk"}]}"#,
    );
    let first = script(&server, "GET /boot.ipxe", &[]);
    assert!(first.contains("chain --autofree --replace http://test/boot.ipxe?mac=${netX/mac"));
    let db = script(&server, ASKED, &[]);
    let told = "inaugurator.store=http://test/store/ inaugurator.label=lab/db console=ttyS0 ||";
    assert!(db.contains(told) && db.contains("kernel --name vmlinuz http://test/boot/vmlinuz "));
    let disk = script(&server, "GET /boot.ipxe?mac=52-54-00-ab-34-57", &[]);
    assert!(disk.ends_with("boots from its disk\nexit 1\n"), "{disk}");
    let other = script(&server, "GET /boot.ipxe?mac=52-54-00-ab-34-58", &[]);
    assert!(other.contains("inaugurator.label=lab/web console=ttyS0 ||"), "{other}");
    let expected = format!("inaug serve: db1 (mac {MAC}, serial A 1) boots lab/db\n");
    assert!(log(&bench).starts_with(&expected), "{}", log(&bench));
    let head = server.ask("HEAD /boot.ipxe", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_machine_of_which_nothing_is_said_is_told_how_to_be_added() {
    let (bench, server) = booting("{}");
    let script = script(&server, ASKED, &[]);
    let hint = format!("echo {{ \"mac\": \"{MAC}\", \"label\": \"...\" }}\n");
    assert!(script.contains(&hint) && script.ends_with("exit 1\n"), "{script}");
    assert!(script.contains(&bench.text("machines.json")), "{script}");
}

#[test]
fn nothing_that_is_asked_becomes_a_command() {
    let (bench, server) = booting("{}");
    let asked = "GET /boot.ipxe?mac=x%0Areboot&serial=%0Areboot%20%26%26%20%24%7Bip%7D%20%1B[2J\
                 &product=%0D%0Areboot%20%7C%7C%20reboot";
    let script = script(&server, asked, &[]);
    assert!(!script.contains("\nreboot") && !script.contains('\r'), "{script}");
    assert!(!script.contains("${") && !script.contains('\u{1b}'), "{script}");
    // Only those that the script itself has.
    assert_eq!((script.matches("&&").count(), script.matches("||").count()), (1, 1), "{script}");
    assert!(!log(&bench).contains('\u{1b}') && log(&bench).lines().count() == 1);
    for host in ["a b", "a/../b", "${ip}", "a&&b", "x:y", ""] {
        let mut stream = server.connect();
        let request =
            format!("GET /boot.ipxe HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let answer = std::io::read_to_string(stream).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{host}: {answer}");
    }
}

#[test]
fn boot_files_have_ranges_and_tags_and_nothing_else_is_served() {
    let (bench, server) = booting("{}");
    std::os::unix::fs::symlink("vmlinuz", bench.path("boot/vmlinuz.old")).unwrap();
    bench.file("boot/inaugurator.efi", b"MZ");
    bench.file("boot/.hidden", b"no");
    let whole = server.ask("GET /boot/vmlinuz", &[]);
    assert_eq!((whole.status, &*whole.body), (200, &b"a kernel"[..]));
    assert_eq!(whole.field("cache-control"), "no-cache");
    let part = server.ask("GET /boot/vmlinuz.old", &["Range: bytes=2-4"]);
    assert_eq!((part.status, &*part.body), (206, &b"ker"[..]));
    let same = format!("If-None-Match: {}", whole.field("etag"));
    assert_eq!(server.ask("GET /boot/vmlinuz", &[&same]).status, 304);
    let uki = server.ask("HEAD /boot/inaugurator.efi", &[]);
    assert_eq!((uki.status, uki.field("content-length")), (200, "2"));
    assert_eq!(uki.field("content-type"), "application/efi");
    assert!(!log(&bench).contains("boots inaugurator.efi"));
    assert_eq!(server.ask("GET /boot/inaugurator.efi", &[]).status, 200);
    let said = "127.0.0.1 boots inaugurator.efi, whatever is said of machines\n";
    assert!(log(&bench).ends_with(said), "{}", log(&bench));
    assert_eq!(server.ask("POST /boot/vmlinuz", &[]).status, 405);
    std::fs::create_dir(bench.path("boot/dir")).unwrap();
    for path in ["", ".hidden", "../machines.json", "%2e%2e/machines.json", "dir", "dir/", "none"] {
        assert_eq!(server.ask(&format!("GET /boot/{path}"), &[]).status, 404, "{path}");
    }
}

#[test]
fn a_changed_file_counts_at_once_and_a_broken_one_does_not() {
    let (bench, server) = booting("{}");
    assert!(script(&server, ASKED, &[]).contains("was not told"));
    let of = |label: &str| format!(r#"{{"machines": [{{"mac": "{MAC}", "label": "{label}"}}]}}"#);
    bench.file("machines.json", of("lab/a").as_bytes());
    assert!(script(&server, ASKED, &[]).contains("inaugurator.label=lab/a"));
    bench.file("machines.json", br#"{"machines": [{"mac": "52", "label": "lab/b"}]}"#);
    for _ in 0..2 {
        assert!(script(&server, ASKED, &[]).contains("inaugurator.label=lab/a"));
    }
    std::fs::remove_file(bench.path("machines.json")).unwrap();
    assert!(script(&server, ASKED, &[]).contains("inaugurator.label=lab/a"));
    bench.file("machines.json", of("lab/c").as_bytes());
    assert!(script(&server, ASKED, &[]).contains("inaugurator.label=lab/c"));
    let file = bench.text("machines.json");
    let complaint = format!(
        "inaug serve: {file} is used as it was before: machines[0] (mac \"52\"): mac: \"52\": \
         expected six hex pairs such as 52:54:00:12:34:56\n"
    );
    let log = log(&bench);
    assert_eq!(log.matches(&complaint).count(), 1, "{log}");
    assert!(log.contains("used as it was before: No such file"), "{log}");
}

#[test]
fn what_cannot_boot_a_machine_is_an_error_at_the_start() {
    let (bench, server) = booting("{}");
    let serve = |options: &[&str]| {
        let store = bench.store();
        inaug(&[&["serve", "--store", &store, "--listen", &server.address], options].concat())
    };
    let boot = bench.text("boot");
    let wrong = bench.file("wrong.json", br#"{"machines": [{"mac": "52"}]}"#);
    let ran = serve(&["--boot", &boot, "--machines", &wrong]).expect(2);
    let expected =
        format!("inaug: {wrong} has a mistake\n  because: machines[0] (mac \"52\"): mac: \"52\": ");
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
    serve(&["--boot", &boot, "--machines", "/nonexistent"]).expect(5);
    serve(&["--boot", &boot, "--url", "ftp://x"]).expect(2);
    serve(&["--machines", &wrong]).expect(2);
    std::fs::remove_file(bench.path("boot/initramfs.img")).unwrap();
    let ran = serve(&["--boot", &boot]).expect(5);
    assert!(ran.stderr.contains("has no initramfs.img"), "{}", ran.stderr);
}

#[test]
fn behind_a_proxy_the_url_is_told() {
    let (bench, _) = booting("{}");
    let boot = bench.text("boot");
    let options = ["--boot", &boot, "--url", "http://depot/lab/"];
    let server = Server::start_with(&bench.store(), &options, Stdio::inherit());
    let script = script(&server, "GET /boot.ipxe", &["X-Forwarded-Host: other"]);
    assert!(script.contains(" http://depot/lab/boot.ipxe?mac="), "{script}");
    let (_, plain) = (bench, Server::start(&booting("{}").0.store()));
    assert_eq!(plain.ask("GET /boot.ipxe", &[]).status, 404);
    assert_eq!(plain.ask("GET /boot/vmlinuz", &[]).status, 404);
}

#[test]
fn dnsmasq_is_configured_for_an_interface_and_a_network() {
    let base = ["pxe-config", "--interface", "eth1", "--url", "http://10.0.0.1:8080"];
    let run = |more: &[&str]| inaug(&[&base, more].concat());
    let ran = run(&["--range", "10.0.0.100-10.0.0.200/24"]).expect(0);
    for line in [
        "interface=eth1\n",
        "dhcp-range=10.0.0.100,10.0.0.200,255.255.255.0,12h\n",
        "dhcp-boot=tag:ipxe,http://10.0.0.1:8080/boot.ipxe\n",
        "dhcp-boot=tag:http,tag:!ipxe,http://10.0.0.1:8080/boot/ipxe.efi\n",
    ] {
        assert!(ran.stdout.contains(line), "{line} is not in {}", ran.stdout);
    }
    let range = ["--range", "10.0.0.100-10.0.0.200/24"];
    let http = |more: &[&str]| {
        let out = run(&[&range, more].concat()).expect(0).stdout;
        out.lines().find_map(|line| Some(line.strip_prefix("dhcp-boot=tag:http,")?.to_owned()))
    };
    let of = |name| Some(format!("tag:!ipxe,http://10.0.0.1:8080/boot/{name}"));
    assert_eq!(http(&["--uki"]), of("inaugurator.efi"));
    assert_eq!(http(&["--efi", "efi/snponly.efi"]), of("snponly.efi"));
    let ran = run(&["--proxy", "10.0.0.1/24", "--json"]).expect(0);
    assert_eq!(ran.json()["schema"], "inaug/pxe-config/1");
    let named = ["pxe-config", "--interface", "eth1", "--url", "http://depot:8080"];
    let ran = inaug(&[&named[..], &range].concat()).expect(2);
    assert!(ran.stderr.contains("no machine would find depot: give --dns"), "{}", ran.stderr);
    inaug(&[&named[..], &range, &["--dns", "10.0.0.2"]].concat()).expect(0);
    inaug(&[&named[..], &["--proxy", "10.0.0.1/24"]].concat()).expect(0);
    run(&["--proxy", "10.0.0.1/24", "--uki"]).expect(2);
    run(&[]).expect(2);
    run(&["--range", "10.0.0.200-10.0.0.100/24"]).expect(2);
    run(&["--proxy", "10.0.0.1/24", "--router", "10.0.0.1"]).expect(2);
    run(&["--proxy", "10.0.0.1/24", "--efi", "a,b"]).expect(2);
}
