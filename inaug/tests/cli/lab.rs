//! `scripts/lab`: what it refuses before it gives anybody an address.

use crate::support::Bench;
use std::process::Command;

/// A network of its own with a card, and the script in it.
const IN_A_NETWORK: &str = "ip link add lab0 type bridge && ip link set lab0 up && $0 && \
                            exec \"$LAB\" \"$@\"";

/// Runs it after `network`, and returns what it says.
fn refused(bench: &Bench, network: &str, options: &str) -> String {
    let network = IN_A_NETWORK.replace("$0", network);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lab");
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", &network, "lab"])
        .args(options.split_whitespace())
        .env("LAB", script)
        .env("XDG_CACHE_HOME", bench.path("cache"))
        .env("XDG_STATE_HOME", bench.path("state"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{options}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_lab_gives_no_address_in_a_network_that_may_be_anothers() {
    let bench = Bench::new();
    let plain = "ip address add 10.9.0.1/24 dev lab0";
    let leased = "ip address add 10.9.0.1/24 dev lab0 valid_lft 999 preferred_lft 999";
    let world = format!("{plain} && ip route add default via 10.9.0.2");
    let small = "ip address add 10.9.0.1/29 dev lab0";
    for (network, options, expected) in [
        ("true", "--interface lab1", "there is no network card lab1"),
        ("true", "--interface lab0", "lab0 has no IPv4 address"),
        (leased, "--interface lab0", "lab0 got its address from a DHCP server: use --proxy"),
        (&world, "--interface lab0", "lab0 has this host's default route"),
        (small, "--interface lab0", "--range must say which addresses to give"),
        // Behind all that, the store is what is missing.
        (&world, "--interface lab0 --my-network", "/nowhere is no store"),
        (leased, "--interface lab0 --proxy", "/nowhere is no store"),
        (plain, "--interface lab0", "/nowhere is no store"),
    ] {
        let said = refused(&bench, network, &format!("--store /nowhere {options}"));
        assert!(said.contains(expected), "{network}, {options}: {said}");
    }
}

#[test]
fn a_lab_refuses_options_that_say_nothing_together() {
    let bench = Bench::new();
    for (options, expected) in [
        ("--store /s", "--interface must say"),
        ("--interface lab0", "--store must say"),
        ("--interface lab0 --store /s --uki", "--label must say which"),
        ("--interface lab0 --store /s --uki --label a --proxy", "which no --proxy reaches"),
        ("--interface lab0 --store /s --machines m --label a", "leave --label and --append out"),
        ("--interface lab0 --store /s --secure-boot-key k", "--secure-boot-key is for --uki"),
        ("--interface lab0 --store /s --proxy --dns 1.1.1.1", "--proxy gives no addresses"),
        ("--interface", "--interface wants a value"),
        ("--interfaces", "'--interfaces' is not an option"),
    ] {
        let said = refused(&bench, "true", options);
        assert!(said.contains(expected), "{options}: {said}");
    }
}

#[test]
fn a_lab_deploys_only_labels_that_are_there_and_keeps_files_as_they_are() {
    let bench = Bench::new();
    bench.push("lab/web", &crate::support::image(1, 16));
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_inaug")).parent().unwrap();
    let options = format!(
        "--interface lab0 --store {} --programs {} --label lab/web+No!",
        bench.store(),
        programs.display()
    );
    let said = refused(&bench, "ip address add 10.9.0.1/24 dev lab0", &options);
    assert!(said.contains("has no No!"), "{said}");
    assert!(!bench.path("state/inaugurator/lab/machines.json").exists());
}
