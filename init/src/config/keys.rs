//! The one table of all that init can be told. It makes parsing, `--help` and
//! the documentation.

use std::time::Duration;

use deploy::disks::Predicates;
use deploy::install::{parse_hostname, parse_password, parse_ssh_key};
use deploy::tree::Keep;
use deploy::volumes::FileSystem;
use store::http::{Proxy, redacted};
use store::label::LabelName;

use super::own_file;
use super::values::{add, add_named, choose, expected, link, seconds, size, store, why};
use super::{Mode, OnFail, Settings, Then};
use crate::net;

/// What every key of ours begins with, so that no other program's is meant.
pub(super) const PREFIX: &str = "inaugurator.";

/// A key, with all that is known of it.
pub(super) struct Key {
    /// Its whole name.
    pub(super) name: &'static str,
    /// The form of its value.
    pub(super) value: &'static str,
    /// What holds if it is not given.
    pub(super) default: &'static str,
    /// One sentence for a person.
    pub(super) help: &'static str,
    /// True if it may be given several times with different values.
    pub(super) repeats: bool,
    /// Takes the value, or says what would be right.
    pub(super) set: fn(&mut Settings, &str) -> Result<(), String>,
}

/// Every key, in the order of the help.
pub(super) const KEYS: [Key; 32] = [
    Key {
        name: "inaugurator.store",
        value: "URL|PATH|medium[=UUID][,...]",
        default: "(must be given)",
        help: "where labels and packs are, nearest first; medium: on the stick or CD-ROM that inaug \
               media made",
        repeats: false,
        set: |settings, value| {
            settings.store = value.split(',').map(link).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Key {
        name: "inaugurator.label",
        value: "NAME[+NAME...]",
        default: "(must be given)",
        help: "the label to deploy; several trees are joined",
        repeats: false,
        set: |settings, value| {
            let name = |name: &str| {
                name.parse::<LabelName>().map_err(|error| format!("a label: {}", error.reason))
            };
            settings.labels = value.split('+').map(name).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Key {
        name: "inaugurator.disk",
        value: "PREDICATE[,...]",
        default: "the only disk there is",
        help: "the disk to write: /dev/NAME, serial= wwn= model= vendor= bus-path= label= (globs), \
               size>= size<= size=, transport=, rotational=, removable=; all must match, one disk only",
        repeats: false,
        set: |settings, value| {
            settings.disk = Predicates::parse(value).map_err(|errors| {
                let each: Vec<String> = errors
                    .iter()
                    .map(|error| format!("{} instead of {:?}", error.expected, error.found))
                    .collect();
                each.join("; ")
            })?;
            Ok(())
        },
    },
    Key {
        name: "inaugurator.wipe",
        value: "TOKEN",
        default: "data that is not ours is never overwritten",
        help: "allows to overwrite the disk that a refusal printed this token for, and to lay it \
               out anew",
        repeats: false,
        set: |settings, value| {
            settings.wipe = Some(value.to_string());
            Ok(())
        },
    },
    Key {
        name: "inaugurator.nic",
        value: "MAC|NAME|driver=NAME",
        default: "every NIC with carrier",
        help: "the only NIC to use",
        repeats: false,
        set: |settings, value| {
            settings.network.nic =
                Some(net::NicChoice::parse(value).map_err(|error| expected(value, &error))?);
            Ok(())
        },
    },
    Key {
        name: "inaugurator.mode",
        value: "deploy|plan|boot|live|recovery",
        default: "deploy",
        help: "plan: print what would be done, and stop; boot: start what is on the disk, without \
               store, label and network, and write nothing; live: run the label, a tree, from memory, \
               and touch no disk; recovery: a menu on every console, \
               where a person looks, sets and deploys",
        repeats: false,
        set: |settings, value| choose(value, &Mode::WORDS, &mut settings.mode),
    },
    Key {
        name: "inaugurator.recovery-window",
        value: "SECONDS",
        default: "0",
        help: "how long to wait at least, before anything is written, for a person to press r for \
               the menu; the key is heard in any case until the plan is made",
        repeats: false,
        set: |settings, value| {
            settings.recovery_window = if value == "0" { Duration::ZERO } else { seconds(value)? };
            Ok(())
        },
    },
    Key {
        name: "inaugurator.verify",
        value: "yes|no",
        default: "yes",
        help: "read the disk back before it may boot",
        repeats: false,
        set: |settings, value| choose(value, &[("yes", true), ("no", false)], &mut settings.verify),
    },
    Key {
        name: "inaugurator.then",
        value: "kexec|reboot|poweroff",
        default: "kexec",
        help: "what follows success; a kexec that the kernel refuses becomes a reboot",
        repeats: false,
        set: |settings, value| choose(value, &Then::WORDS, &mut settings.then),
    },
    Key {
        name: "inaugurator.append",
        value: "\"WORDS\"",
        default: "nothing",
        help: "added to the kernel command line of the deployed system",
        repeats: false,
        set: |settings, value| {
            settings.append = value.to_string();
            Ok(())
        },
    },
    Key {
        name: "inaugurator.onfail",
        value: "retry|reboot|console|poweroff",
        default: "retry",
        help: "what follows failure; retry: several times with growing pauses, then reboot; \
               console: the menu of mode=recovery",
        repeats: false,
        set: |settings, value| choose(value, &OnFail::WORDS, &mut settings.onfail),
    },
    Key {
        name: "inaugurator.net-timeout",
        value: "SECONDS",
        default: "90",
        help: "how long to wait for a NIC that reaches the store",
        repeats: false,
        set: |settings, value| {
            settings.network.deadline = seconds(value)?;
            Ok(())
        },
    },
    Key {
        name: "inaugurator.keep",
        value: "PATH[,...]",
        default: "nothing",
        help: "of a tree: paths of the root that no label changes; may be given several times",
        repeats: true,
        set: |settings, value| {
            let paths: Vec<&str> = value.split(',').collect();
            Keep::new(&paths).map_err(|error| format!("paths in the root ({error})"))?;
            settings.keep.extend(paths.into_iter().map(str::to_string));
            Ok(())
        },
    },
    Key {
        name: "inaugurator.root-fs",
        value: "ext4|xfs|btrfs",
        default: "the one that is there, or ext4",
        help: "of a tree: the root file system; its mkfs has to be in the initramfs",
        repeats: false,
        set: |settings, value| {
            let mut kind = FileSystem::default();
            choose(value, &FileSystem::WORDS, &mut kind)?;
            settings.root_kind = Some(kind);
            Ok(())
        },
    },
    Key {
        name: "inaugurator.esp-size",
        value: "SIZE",
        default: "512Mi, less on small disks",
        help: "of a tree: the EFI system partition of a disk that is laid out",
        repeats: false,
        set: |settings, value| size(value, &mut settings.sizes.esp_bytes),
    },
    Key {
        name: "inaugurator.swap-size",
        value: "SIZE",
        default: "no swap",
        help: "of a tree: a swap partition",
        repeats: false,
        set: |settings, value| size(value, &mut settings.sizes.swap_bytes),
    },
    Key {
        name: "inaugurator.data-size",
        value: "SIZE",
        default: "no data partition",
        help: "of a tree: a partition that no label touches, mounted at /srv",
        repeats: false,
        set: |settings, value| size(value, &mut settings.sizes.data_bytes),
    },
    Key {
        name: "inaugurator.local-store",
        value: "SIZE",
        default: "nothing is kept",
        help: "of a tree: keep at most so much of what came from far on the data partition, in \
               .inaugurator/store, to be asked first the next time",
        repeats: false,
        set: |settings, value| size(value, &mut settings.local_store_bytes),
    },
    Key {
        name: "inaugurator.hostname",
        value: "NAME",
        default: "the label's",
        help: "of a tree: the deployed machine's name",
        repeats: false,
        set: |settings, value| {
            settings.own.hostname = Some(parse_hostname(value)?);
            Ok(())
        },
    },
    Key {
        name: "inaugurator.root-password",
        value: "HASH",
        default: "the label's",
        help: "of a tree: root's password as crypt(5) has it",
        repeats: false,
        set: |settings, value| {
            settings.own.root_password = Some(parse_password(value)?);
            Ok(())
        },
    },
    Key {
        name: "inaugurator.ssh-key",
        value: "\"KEY\"",
        default: "the label's",
        help: "of a tree: a public key by which root may log in; may be given several times",
        repeats: true,
        set: |settings, value| {
            settings.own.ssh_keys.push(parse_ssh_key(value)?);
            Ok(())
        },
    },
    Key {
        name: "inaugurator.file",
        value: "PATH=URL|PATH[,mode=OCTAL][,blake3=HEX]",
        default: "no file, mode=644, not checked",
        help: "of a tree: a file for the root, fetched by HTTP or taken from the initramfs (at most \
               4 MiB, all together 16 MiB), which has to have this digest; may be given several \
               times",
        repeats: true,
        set: |settings, value| own_file::add(&mut settings.files, value, store),
    },
    Key {
        name: "inaugurator.ntp",
        value: "HOST[,...]",
        default: "those of the lease, where a store is behind https",
        help: "servers that are asked for the time (SNTP) before the stores",
        repeats: false,
        set: |settings, value| {
            settings.ntp = value.split(',').map(net::parse_host).collect::<Result<_, _>>()?;
            if settings.ntp.len() > NTP_MAX {
                return Err(format!("at most {NTP_MAX} hosts"));
            }
            Ok(())
        },
    },
    Key {
        name: "proxy",
        value: "http://[USER:PASSWORD@]HOST[:PORT]",
        default: "stores are asked themselves",
        help: "asked in the place of stores behind URLs, as dracut.cmdline(7) writes it",
        repeats: false,
        set: |settings, value| {
            let found = redacted(value);
            let wrong = |error| format!("http://HOST:PORT instead of {found:?}{}", why(&error));
            Proxy::new(value, &[]).map_err(wrong)?;
            settings.proxy = Some(value.to_string());
            Ok(())
        },
    },
    Key {
        name: "inaugurator.no-proxy",
        value: "HOST[,...]",
        default: "none",
        help: "hosts that are asked without the proxy, each with all whose names end in it",
        repeats: false,
        set: |settings, value| {
            settings.no_proxy = value.split(',').map(str::to_string).collect();
            if settings.no_proxy.len() > NO_PROXY_MAX {
                return Err(format!("at most {NO_PROXY_MAX} hosts"));
            }
            Ok(())
        },
    },
    Key {
        name: "ip",
        value: "dhcp|ADDR::GATEWAY:NETMASK:HOST:NIC:none|...",
        default: "dhcp",
        help: "address, as dracut.cmdline(7) writes it; IPv6 by auto6, dhcp6, either6, link6 or in \
               brackets",
        repeats: false,
        set: |settings, value| {
            let arg = net::parse_ip(value).map_err(|error| expected(value, &error))?;
            settings.network.addressing = arg.addressing;
            settings.network.mtu = arg.mtu;
            settings.hostname = arg.hostname;
            settings.ip_nic = arg.nic;
            settings.network.nameservers.extend(arg.nameservers);
            Ok(())
        },
    },
    Key {
        name: "vlan",
        value: "NAME:NIC|auto",
        default: "none",
        help: "a VLAN on a NIC or a bond, its number at the end of NAME, as dracut.cmdline(7) writes \
               it; may be given several times; auto: those that a switch names by LLDP, where \
               nothing else leads to the store",
        repeats: true,
        set: |settings, value| {
            if value == AUTO {
                settings.network.auto_vlan = true;
                return Ok(());
            }
            let vlan = net::parse_vlan(value).map_err(|error| expected(value, &error))?;
            let is_taken = settings.network.has_layer(&vlan.name);
            add_named(&mut settings.network.vlans, vlan, is_taken)
        },
    },
    Key {
        name: "bond",
        value: "NAME[:NIC,...[:OPTIONS[:MTU]]]|auto",
        default: "none",
        help: "several NICs as one link, mode=active-backup or 802.3ad, as dracut.cmdline(7) writes \
               it; may be given several times; auto: those that a switch has as one link by LLDP, \
               where nothing else leads to the store",
        repeats: true,
        set: |settings, value| {
            if value == AUTO {
                settings.network.auto_bond = true;
                return Ok(());
            }
            let bond = net::parse_bond(value).map_err(|error| expected(value, &error))?;
            let is_taken = settings.network.has_layer(&bond.name);
            add_named(&mut settings.network.bonds, bond, is_taken)
        },
    },
    Key {
        name: "inaugurator.dhcp-release",
        value: "yes|no",
        default: "no",
        help: "give the leased address back before the deployed kernel is started, or the machine is \
               reset",
        repeats: false,
        set: |settings, value| {
            choose(value, &[("yes", true), ("no", false)], &mut settings.network.release)
        },
    },
    Key {
        name: "BOOTIF",
        value: "01-MAC",
        default: "none is first",
        help: "the NIC this machine was booted from, as PXELINUX and iPXE say it",
        repeats: false,
        set: |settings, value| {
            settings.network.bootif =
                Some(net::parse_bootif(value).map_err(|error| expected(value, &error))?);
            Ok(())
        },
    },
    Key {
        name: "rd.route",
        value: "NET/MASK:GATEWAY[:NIC]",
        default: "those of the lease",
        help: "a route, as dracut.cmdline(7) writes it; may be given several times",
        repeats: true,
        set: |settings, value| {
            let route = net::parse_route(value).map_err(|error| expected(value, &error))?;
            add(&mut settings.network.routes, route, net::ROUTES_MAX)
        },
    },
    Key {
        name: "nameserver",
        value: "ADDR",
        default: "those of the lease",
        help: "a resolver; may be given several times",
        repeats: true,
        set: |settings, value| {
            let server = net::parse_nameserver(value).map_err(|error| expected(value, &error))?;
            settings.network.nameservers.push(server);
            Ok(())
        },
    },
];

/// As switches say it.
const AUTO: &str = "auto";

/// Time servers in a list: one is believed, the others are for when it is off.
const NTP_MAX: usize = 4;

/// Hosts in a list that is asked without a proxy: a rack's are one suffix.
const NO_PROXY_MAX: usize = 32;
