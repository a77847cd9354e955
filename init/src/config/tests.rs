use super::*;

const STORE: &str = "inaugurator.store=http://10.0.2.2:8080/store";

fn parsed(rest: &str) -> Config {
    Config::parse(&format!("console=ttyS0 quiet {STORE} inaugurator.label=debian/12/demo {rest}"))
        .unwrap()
}

fn refused(line: &str) -> Vec<String> {
    Config::parse(line).unwrap_err().mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_least_that_must_be_said() {
    let config = parsed("");
    assert_eq!(config.store, ["http://10.0.2.2:8080/store"]);
    assert_eq!(config.label_text(), "debian/12/demo");
    let settings = config.settings;
    assert_eq!(
        (settings.then, settings.onfail, settings.mode),
        (Then::Kexec, OnFail::Retry, Mode::Deploy)
    );
    assert!(settings.verify && settings.disk.is_empty() && settings.append.is_empty());
}

#[test]
fn everything_said() {
    let config = parsed(
        "inaugurator.disk=transport=nvme,size>=100G inaugurator.nic=52:54:00:12:34:56 inaugurator.then=poweroff \
         inaugurator.append=\"console=ttyS0 debug\" inaugurator.onfail=console inaugurator.verify=no \
         inaugurator.mode=plan inaugurator.wipe=1a2b3c4d inaugurator.net-timeout=7 \
         ip=10.0.0.2::10.0.0.1:255.255.255.0:web1:eth0:none BOOTIF=01-52-54-00-12-34-57 \
         nameserver=10.0.0.3 nameserver=10.0.0.4 bond=bond0:eth0,eth1:mode=802.3ad vlan=vlan5:bond0 \
         vlan=vlan6:bond0",
    );
    let settings = config.settings;
    assert_eq!(settings.disk.to_string(), "transport=nvme,size>=100000000000");
    assert_eq!(settings.network.nic.unwrap().to_string(), "52:54:00:12:34:56");
    assert_eq!(settings.network.bootif.unwrap().to_string(), "52:54:00:12:34:57");
    assert_eq!(settings.network.nameservers.len(), 2);
    assert_eq!(settings.network.deadline.as_secs(), 7);
    let vlans: Vec<_> = settings.network.vlans.iter().map(|vlan| vlan.id).collect();
    assert_eq!((settings.network.bonds[0].ports.len(), vlans), (2, vec![5, 6]));
    assert_eq!(settings.hostname.as_deref(), Some("web1"));
    assert_eq!(
        (settings.then, settings.onfail, settings.mode),
        (Then::PowerOff, OnFail::Console, Mode::Plan)
    );
    assert_eq!(
        (settings.append.as_str(), settings.wipe.as_deref()),
        ("console=ttyS0 debug", Some("1a2b3c4d"))
    );
    assert!(!settings.verify);
}

#[test]
fn what_is_on_the_disk_needs_no_store_and_no_label() {
    let config = Config::parse("inaugurator.mode=boot inaugurator.disk=serial=A").unwrap();
    assert_eq!(config.settings.mode, Mode::Boot);
    assert!(config.store.is_empty() && config.labels.is_empty());
    assert_eq!(Config::parse("inaugurator.mode=plan").unwrap_err().mistakes.len(), 2);
}

#[test]
fn what_runs_from_memory_has_no_disk_and_nothing_after_it() {
    let own = "inaugurator.mode=live inaugurator.hostname=web1 inaugurator.then=kexec";
    assert_eq!(parsed(own).settings.mode, Mode::Live);
    let line = format!(
        "{STORE} inaugurator.label=a inaugurator.disk=serial=A inaugurator.wipe=1a2b3c4d \
         inaugurator.then=reboot inaugurator.mode=live inaugurator.data-size=1G"
    );
    let expected = [
        "inaugurator.disk=serial=A: contradicts inaugurator.mode=live, which touches no disk",
        "inaugurator.wipe=1a2b3c4d: contradicts inaugurator.mode=live, which touches no disk",
        "inaugurator.then=reboot: contradicts inaugurator.mode=live, which starts the label and \
         leaves nothing to be started later",
        "inaugurator.data-size=1G: contradicts inaugurator.mode=live, which touches no disk",
    ];
    assert_eq!(refused(&line), expected);
    assert_eq!(refused("inaugurator.mode=live").len(), 2);
}

#[test]
fn everything_said_of_a_tree() {
    let settings = parsed(
        "inaugurator.keep=/srv,var/lib/x inaugurator.keep=/home inaugurator.root-fs=xfs \
         inaugurator.esp-size=300Mi inaugurator.swap-size=2G inaugurator.data-size=10Gi \
         inaugurator.local-store=5Gi \
         inaugurator.hostname=web1 inaugurator.root-password=$6$salt$hash \
         inaugurator.ssh-key=\"ssh-ed25519 AAAAC3 a@b\" inaugurator.ssh-key=\"ssh-rsa AAAAB3\" \
         inaugurator.file=/etc/motd=http://h/m,mode=600 inaugurator.file=\"/etc/a b=/b\"",
    )
    .settings;
    assert_eq!(settings.keep, ["/srv", "var/lib/x", "/home"]);
    assert_eq!(settings.root_kind, Some(FileSystem::Xfs));
    let sizes = Sizes {
        esp_bytes: Some(300 << 20),
        swap_bytes: Some(2_000_000_000),
        data_bytes: Some(10 << 30),
    };
    assert_eq!(settings.sizes, sizes);
    assert_eq!(settings.local_store_bytes, Some(5 << 30));
    let file = |path: &str, from: &str, mode| {
        let (path, from) = (path.as_bytes().to_vec(), from.to_string());
        FileRequest { path, from, mode, digest: None }
    };
    assert_eq!(
        settings.files,
        [file("etc/motd", "http://h/m", 0o600), file("etc/a b", "/b", 0o644)]
    );
    let own = settings.own;
    assert_eq!(own.hostname.as_deref(), Some("web1"));
    assert_eq!(own.root_password.as_deref(), Some("$6$salt$hash"));
    assert_eq!(own.ssh_keys, ["ssh-ed25519 AAAAC3 a@b", "ssh-rsa AAAAB3"]);
}

#[test]
fn labels_are_joined_by_a_plus() {
    let line = format!("{STORE} inaugurator.label=debian/12+tools/1");
    assert_eq!(Config::parse(&line).unwrap().label_text(), "debian/12+tools/1");
    let line = format!(
        "{STORE} inaugurator.label=debian/12+ inaugurator.keep=/a,/ inaugurator.swap-size=0"
    );
    let refused = refused(&line);
    assert!(
        refused[0].starts_with("inaugurator.label=debian/12+: expected a label: "),
        "{refused:?}"
    );
    assert!(
        refused[1].starts_with("inaugurator.keep=/a,/: expected paths in the root"),
        "{refused:?}"
    );
    assert_eq!(
        refused[2],
        "inaugurator.swap-size=0: expected a size: digits and K M G T or Ki Mi Gi Ti, as in 20G"
    );
}

#[test]
fn the_nic_of_ip_is_taken_unless_one_is_named() {
    assert_eq!(parsed("ip=eth1:dhcp").settings.network.nic.unwrap().to_string(), "eth1");
    let named = parsed("ip=eth1:dhcp inaugurator.nic=eth2");
    assert_eq!(named.settings.network.nic.unwrap().to_string(), "eth2");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let found = refused(
        "inaugurator.stor=http://x inaugurator.lable=a inaugurator.then=halt inaugurator.verify \
         inaugurator.disk=sda,size>=big inaugurator.zzzzzz=1 inaugurator.label=../etc BOOTIF=01-52 \
         inaugurator.onfail=reboot inaugurator.onfail=retry inaugurator.net-timeout=0",
    );
    assert_eq!(
        found,
        [
            "inaugurator.stor=http://x: no such key; did you mean inaugurator.store= ?",
            "inaugurator.lable=a: no such key; did you mean inaugurator.label= ?",
            "inaugurator.then=halt: expected one of kexec, reboot, poweroff",
            "inaugurator.verify: expected inaugurator.verify=yes|no",
            "inaugurator.disk=sda,size>=big: expected predicate=value or a path under /dev; predicates are \
             path serial wwn model vendor bus-path label size transport rotational removable instead of \"sda\"; \
             a size: digits and K M G T or Ki Mi Gi Ti, as in size>=100G instead of \"size>=big\"",
            "inaugurator.zzzzzz=1: no such key; there are inaugurator.store inaugurator.label inaugurator.disk \
             inaugurator.wipe inaugurator.nic inaugurator.mode inaugurator.recovery-window inaugurator.verify inaugurator.then \
             inaugurator.append inaugurator.onfail inaugurator.net-timeout \
             inaugurator.keep inaugurator.root-fs inaugurator.esp-size inaugurator.swap-size \
             inaugurator.data-size inaugurator.local-store inaugurator.hostname inaugurator.root-password \
             inaugurator.ssh-key inaugurator.file inaugurator.ntp inaugurator.no-proxy \
             inaugurator.dhcp-release",
            "inaugurator.label=../etc: expected a label: each part starts with a letter or a digit",
            "BOOTIF=01-52: expected 01- and six hex pairs such as 01-52-54-00-12-34-56",
            "inaugurator.onfail=retry: contradicts inaugurator.onfail=reboot; say it once",
            "inaugurator.net-timeout=0: expected seconds from 1 to 86400",
            "inaugurator.store=URL|PATH|medium[=UUID][,...] is missing",
        ]
    );
}

#[test]
fn what_to_do_on_failure_is_known_even_when_the_rest_is_wrong() {
    assert_eq!(Config::parse("inaugurator.onfail=poweroff").unwrap_err().onfail, OnFail::PowerOff);
    assert_eq!(Config::parse("").unwrap_err().onfail, OnFail::Retry);
}

#[test]
fn saying_the_same_twice_is_harmless() {
    let config = parsed(STORE);
    assert_eq!(config.store.len(), 1);
}

#[test]
fn stores_are_urls_or_paths() {
    let line = |store: &str| format!("inaugurator.label=a inaugurator.store={store}");
    assert_eq!(
        Config::parse(&line("/srv/store,http://a/b")).unwrap().store,
        ["/srv/store", "http://a/b"]
    );
    for wrong in ["ftp://a", "http://", "http:///x", "store", "http://a,"] {
        assert_eq!(refused(&line(wrong)).len(), 1, "{wrong}");
    }
    assert_eq!(
        refused(&line("a:80")),
        [
            "inaugurator.store=a:80: expected http(s)://HOST/PATH or an absolute path instead of \"a:80\""
        ]
    );
}

#[test]
fn a_url_that_is_no_store_is_a_mistake_among_the_others() {
    let table = [
        ("ftp://h/s", "(expected http or https, found ftp)"),
        ("https:///s", ""),
        ("http://h:99999/s", "(invalid port number)"),
        ("http://h:http/s", "(invalid port number)"),
        ("http://h/s?token=x", "(expected no '?' and no '#')"),
        ("http://h/s#x", "(expected no '?' and no '#')"),
        ("http://", "(empty host)"),
    ];
    for (url, why) in table {
        let why = if why.is_empty() { String::new() } else { format!(" {why}") };
        assert_eq!(
            refused(&format!("inaugurator.store=/srv,{url} inaugurator.then=halt")),
            [
                &format!(
                    "inaugurator.store=/srv,{url}: expected http(s)://HOST/PATH or an absolute path \
                     instead of {url:?}{why}"
                ),
                "inaugurator.then=halt: expected one of kexec, reboot, poweroff",
                "inaugurator.label=NAME[+NAME...] is missing",
            ]
        );
    }
}

#[test]
fn a_misspelt_prefix_is_a_mistake() {
    let right = format!("{STORE} inaugurator.label=a");
    let table = [
        ("inaugurater.disk=sda", "inaugurator.disk"),
        ("inagurator.nic=eth0", "inaugurator.nic"),
        ("Inaugurator.wipe=x", "inaugurator.wipe"),
        ("INAUGURATOR.ONFIAL=console", "inaugurator.onfail"),
        ("inaugurate.disk", "inaugurator.disk"),
        ("inaugurator.Disk=sda", "inaugurator.disk"),
    ];
    for (typed, nearest) in table {
        assert_eq!(
            refused(&format!("{right} {typed}")),
            [format!("{typed}: no such key; did you mean {nearest}= ?")]
        );
    }
    assert_eq!(
        refused(&format!("{right} inaugurater.zzzzzz=1")),
        [
            "inaugurater.zzzzzz=1: no such key; there are inaugurator.store inaugurator.label inaugurator.disk \
             inaugurator.wipe inaugurator.nic inaugurator.mode inaugurator.recovery-window inaugurator.verify inaugurator.then \
             inaugurator.append inaugurator.onfail inaugurator.net-timeout \
             inaugurator.keep inaugurator.root-fs inaugurator.esp-size inaugurator.swap-size \
             inaugurator.data-size inaugurator.local-store inaugurator.hostname inaugurator.root-password \
             inaugurator.ssh-key inaugurator.file inaugurator.ntp inaugurator.no-proxy \
             inaugurator.dhcp-release"
        ]
    );
    parsed(
        "rd.break systemd.unit=rescue.target inauguration=1 moderator.x=1 i915.modeset=0 navigator.x",
    );
}

#[test]
fn the_error_reads_as_a_list() {
    let error = Config::parse("inaugurator.label=x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 mistake in the kernel command line:\n  inaugurator.store=URL|PATH|medium[=UUID][,...] is missing"
    );
}

#[test]
fn help_names_every_key() {
    let help = help();
    for key in &KEYS {
        assert!(help.contains(&format!("  {}={}\n", key.name, key.value)), "{}", key.name);
    }
}

#[test]
fn keys_that_mean_nothing_for_an_image_are_known() {
    let needed = "inaugurator.store=/s inaugurator.label=x";
    let table: [(&str, &[&str]); 3] = [
        ("inaugurator.verify=no", &[]),
        ("inaugurator.data-size=1G", &["inaugurator.data-size"]),
        (
            "inaugurator.hostname=a inaugurator.keep=srv",
            &["inaugurator.keep", "inaugurator.hostname"],
        ),
    ];
    for (more, expected) in table {
        let config = Config::parse(&format!("{needed} {more}")).unwrap();
        assert_eq!(config.settings.for_trees(), expected, "{more}");
    }
}
