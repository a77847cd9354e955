//! Links that are made of others, as the operator asks for them: `vlan=` and `bond=`.
//!
//! Follows dracut.cmdline(7), "VLAN" and "Bonding". Unlike there, a network card may be named by its
//! address or its driver as well, since what the kernel calls it is seldom known beforehand.

use super::args::{ArgError, NicChoice, is_kernel_name, parse_mtu_of};

/// Links of one kind that may be asked for: more than any machine boots with.
pub const LAYERS_MAX: usize = 16;

/// Ports of one bond.
const PORTS_MAX: usize = 16;

/// How often a bond looks whether its ports have carrier, if nothing is said, milliseconds: what the
/// kernel's documentation suggests. Its own default is never.
pub(super) const MIIMON_MS: u32 = 100;

/// Longest time for `miimon=`, milliseconds.
const MIIMON_MAX_MS: u32 = 10_000;

/// `IFNAMSIZ` without the zero at its end.
const NAME_MAX: usize = 15;

/// Tagged frames on a link (IEEE 802.1Q).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// What the link is called.
    pub name: String,
    /// The number in the tag, 1 to 4094.
    pub id: u16,
    /// The link that carries it: a network card, or a bond by its name.
    pub on: NicChoice,
}

/// Several cards as one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// What the link is called.
    pub name: String,
    /// Its ports.
    pub ports: Vec<NicChoice>,
    /// How they work together.
    pub mode: BondMode,
    /// How often their carrier is looked at, milliseconds.
    pub miimon_ms: u32,
    /// MTU in bytes to set.
    pub mtu: Option<u16>,
}

/// How the ports of a bond work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BondMode {
    /// One at a time; the switch knows nothing of it.
    ActiveBackup,
    /// All at once, agreed upon with the switch (IEEE 802.3ad, LACP).
    Lacp {
        /// The switch is asked to speak every second, not every 30 s.
        fast: bool,
        /// What is hashed to choose a port.
        hash: HashPolicy,
    },
}

/// What of a frame chooses the port that it leaves by (`xmit_hash_policy` of the kernel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashPolicy {
    /// Ethernet addresses.
    Layer2,
    /// Ethernet and IP addresses.
    Layer23,
    /// IP addresses and ports.
    Layer34,
}

const VLAN_FORMS: &str = "<name>:<if>, the name ending in the number, such as vlan5:eth0 or \
    eth0.5:eth0; 1 to 4094";
const BOND_FORMS: &str = "<name>[:<if>[,<if>...][:<options>[:<mtu>]]], such as \
    bond0:eth0,eth1:mode=802.3ad; a MAC address with -";

/// Parses the value of `vlan=`.
pub fn parse_vlan(text: &str) -> Result<Vlan, ArgError> {
    let wrong = || ArgError::new("vlan=", text, VLAN_FORMS);
    let (name, on) = text.split_once(':').ok_or_else(wrong)?;
    let digits = name.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let id = digits.parse().ok().filter(|id| (1..=4094).contains(id)).ok_or_else(wrong)?;
    if digits.len() == name.len() || !is_kernel_name(name, NAME_MAX) {
        return Err(wrong());
    }
    let on = NicChoice::parse(on)?;
    if matches!(&on, NicChoice::Name(card) if card == name) {
        return Err(ArgError::new("vlan=", text, "a name other than that of what carries it"));
    }
    Ok(Vlan { name: name.to_owned(), id, on })
}

/// Parses the value of `bond=`. Without ports it is of `eth0` and `eth1`, as in dracut; other than
/// there, the mode that works with any switch is the default.
pub fn parse_bond(text: &str) -> Result<Bond, ArgError> {
    let wrong = || ArgError::new("bond=", text, BOND_FORMS);
    let mut fields = text.split(':');
    let name = fields.next().filter(|name| is_kernel_name(name, NAME_MAX)).ok_or_else(wrong)?;
    let ports = fields.next().filter(|ports| !ports.is_empty()).unwrap_or("eth0,eth1");
    let options = fields.next().unwrap_or_default();
    let mtu = fields.next().filter(|mtu| !mtu.is_empty());
    if fields.next().is_some() {
        return Err(wrong());
    }
    let ports = ports.split(',').map(NicChoice::parse).collect::<Result<Vec<_>, _>>()?;
    if ports.len() > PORTS_MAX {
        return Err(ArgError::new("bond=", text, "at most 16 ports"));
    }
    if ports.iter().any(|port| matches!(port, NicChoice::Name(card) if card == name)) {
        return Err(ArgError::new("bond=", text, "a name other than those of its ports"));
    }
    let (mode, miimon_ms) = bond_options(options)?;
    let mtu = mtu.map(|mtu| parse_mtu_of("bond= MTU", mtu)).transpose()?;
    Ok(Bond { name: name.to_owned(), ports, mode, miimon_ms, mtu })
}

fn bond_options(options: &str) -> Result<(BondMode, u32), ArgError> {
    let (mut is_lacp, mut fast, mut hash) = (false, false, HashPolicy::Layer2);
    let mut miimon_ms = MIIMON_MS;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let wrong = |expected| ArgError::new("bond= option", option, expected);
        match option.split_once('=').unwrap_or((option, "")) {
            ("mode", value) => {
                is_lacp = match value {
                    "active-backup" | "1" => false,
                    "802.3ad" | "4" => true,
                    _ => return Err(wrong("mode=active-backup or mode=802.3ad")),
                }
            }
            ("miimon", value) => {
                miimon_ms = (value.parse().ok())
                    .filter(|time| (1..=MIIMON_MAX_MS).contains(time))
                    .ok_or_else(|| wrong("miimon= and 1 to 10000 milliseconds"))?;
            }
            ("lacp_rate", "slow" | "0") => fast = false,
            ("lacp_rate", "fast" | "1") => fast = true,
            ("xmit_hash_policy", "layer2" | "0") => hash = HashPolicy::Layer2,
            ("xmit_hash_policy", "layer3+4" | "1") => hash = HashPolicy::Layer34,
            ("xmit_hash_policy", "layer2+3" | "2") => hash = HashPolicy::Layer23,
            _ => {
                return Err(wrong(
                    "mode=, miimon=, lacp_rate=slow|fast, xmit_hash_policy=layer2|layer2+3|layer3+4",
                ));
            }
        }
    }
    let mode = if is_lacp { BondMode::Lacp { fast, hash } } else { BondMode::ActiveBackup };
    Ok((mode, miimon_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NicChoice {
        NicChoice::Name(text.into())
    }

    #[test]
    fn vlans() {
        for (text, expected_name, id) in [
            ("vlan5:eth0", "vlan5", 5),
            ("vlan0005:eth0", "vlan0005", 5),
            ("eth0.5:eth0", "eth0.5", 5),
            ("eth0.4094:eth0", "eth0.4094", 4094),
        ] {
            let expected = Vlan { name: expected_name.into(), id, on: name("eth0") };
            assert_eq!(parse_vlan(text), Ok(expected));
        }
        let on_mac = parse_vlan("vlan7:52:54:00:12:34:56").unwrap();
        assert_eq!(on_mac.on.to_string(), "52:54:00:12:34:56");
        for text in [
            "",
            "vlan5",
            "vlan0:eth0",
            "vlan4095:eth0",
            "5:eth0",
            "vlan5:",
            "vlan 5:eth0",
            "eth5:eth5",
        ] {
            assert!(parse_vlan(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bonds() {
        let two = vec![name("eth0"), name("eth1")];
        let plain = Bond {
            name: "bond0".into(),
            ports: two.clone(),
            mode: BondMode::ActiveBackup,
            miimon_ms: 100,
            mtu: None,
        };
        let fast = BondMode::Lacp { fast: true, hash: HashPolicy::Layer34 };
        let table = [
            ("bond0", plain.clone()),
            ("bond0:eth0,eth1", plain.clone()),
            ("bond0:eth0,eth1:mode=1", plain.clone()),
            (
                "bond0:eth0,eth1:mode=802.3ad,lacp_rate=fast,xmit_hash_policy=layer3+4:9000",
                Bond { mode: fast, mtu: Some(9000), ..plain.clone() },
            ),
            (
                "up:52-54-00-12-34-56,driver=igb:miimon=50",
                Bond {
                    name: "up".into(),
                    ports: vec![
                        NicChoice::Mac("52:54:00:12:34:56".parse().unwrap()),
                        NicChoice::Driver("igb".into()),
                    ],
                    miimon_ms: 50,
                    ..plain
                },
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parse_bond(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            (
                "bond0:eth0:mode=balance-rr",
                "bond= option \"mode=balance-rr\": expected mode=active",
            ),
            ("bond0:eth0:miimon=0", "bond= option \"miimon=0\": expected miimon= and 1 to 10000"),
            ("bond0:eth0:arp_interval=5", "bond= option \"arp_interval=5\": expected mode="),
            ("bond0:eth0::68", "bond= MTU \"68\": expected a number of bytes from 576"),
            ("bond0:eth0:::", "bond= \"bond0:eth0:::\": expected <name>"),
            ("", "bond= \"\": expected <name>"),
            ("eth0", "bond= \"eth0\": expected a name other than"),
            ("eth2:eth1,eth2", "bond= \"eth2:eth1,eth2\": expected a name other than"),
        ] {
            let error = parse_bond(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
