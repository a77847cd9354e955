//! H and T: stores behind TLS, tokens, proxies, and clocks by which certificates are judged.

use crate::case::{Bench, Case, LABEL, ROUTER, Ran, dhcp, router};
use anyhow::{Context, Result, ensure};
use qemu_tests::{Fault, Misbehaviour, environment};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use wire::{Host, Proxy};

/// 2 January 2060, 03:04:05: after the floor of whatever is tested, which is when it was built, and
/// what an RTC without a century can be set to (1970 to 2069).
const SERVER_S: u64 = 2_840_238_245;

/// Until a network that leads to no store is given up.
const SOON: &str = "inaugurator.net-timeout=8";

/// What a store asks for.
const TOKEN: &str = "a-token.of~the+lab";

/// The name of the store behind the router, and the router's address.
const NAMES: [&str; 2] = ["depot.lab", "10.77.0.1"];

/// Valid as long as the machines of the tests could meet it.
const LONG: (i32, i32) = (2020, 2100);

/// Valid only by the clock of the time server.
const LATER: (i32, i32) = (2059, 2065);

pub(crate) fn cases(bench: &Bench) -> Result<Vec<Case>> {
    let authority = Authority::new("lab")?;
    let carried = Carried::new(bench, &authority)?;
    let mut all = certificates(bench, &authority, &carried)?;
    all.extend(clocks(bench, &authority, &carried)?);
    all.extend(tokens(bench, &authority, &carried)?);
    all.extend(proxies(bench, &authority, &carried)?);
    Ok(all)
}

/// What the machine's initramfs has.
struct Carried {
    authority: PathBuf,
    both: PathBuf,
    token: PathBuf,
}

impl Carried {
    fn new(bench: &Bench, authority: &Authority) -> Result<Self> {
        let (ca, token) = (bench.path("ca.pem"), bench.path("token"));
        fs::write(&ca, authority.0.pem())?;
        fs::write(&token, format!("{TOKEN}\n"))?;
        let made = |name: &str, options: &[&str]| -> Result<PathBuf> {
            let output = bench.path(name);
            let mut command = Command::new(environment::inaug()?);
            command.args(["initramfs", "--modules", "none", "--no-tools", "--init"]);
            command.arg(environment::init_program()?).arg("-o").arg(&output).args(options);
            let done = command.output()?;
            ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            Ok(output)
        };
        let (ca, token) = (ca.to_str().context("a path")?, token.to_str().context("a path")?);
        Ok(Self {
            authority: made("ca.img", &["--ca", ca])?,
            both: made("both.img", &["--ca", ca, "--token", token])?,
            token: made("token.img", &["--token", token])?,
        })
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// A store's side of TLS, for these names, from one new year to another.
    fn server(&self, names: &[&str], years: (i32, i32)) -> Result<Arc<ServerConfig>> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names)?;
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(Arc::new(builder.with_single_cert(vec![certificate], key)?))
    }
}

/// A machine that carries the authority, and a router with the store behind TLS.
fn case(name: &'static str, bench: &Bench, carried: &Carried, tls: Arc<ServerConfig>) -> Case {
    let case = Case {
        url: "https://10.77.0.1",
        init: Some(carried.authority.clone()),
        ..Case::of(name, bench)
    };
    let host = router(&case.shelf).with_tls(tls);
    case.routed_by(host)
}

fn certificates(bench: &Bench, authority: &Authority, carried: &Carried) -> Result<Vec<Case>> {
    let good = || authority.server(&NAMES, LONG);
    let refused = |name, tls, says| Case {
        told: SOON,
        check: asked_for_nothing,
        ..case(name, bench, carried, tls).fails(says)
    };
    let mut chain = case(
        "certificate that ended, and another store",
        bench,
        carried,
        authority.server(&NAMES, (2010, 2011))?,
    );
    chain.url = "https://10.77.0.1,https://10.77.0.3";
    let second = authority.server(&["10.77.0.3"], LONG)?;
    let second = Host::at([10, 77, 0, 3].into()).serving(chain.shelf.clone()).with_tls(second);
    chain.network.stations.push((0, second.into()));
    Ok(vec![
        Case { url: "https://depot.lab", ..case("store behind TLS", bench, carried, good()?) },
        case("pack over TLS cut by RST", bench, carried, good()?)
            .spoilt(vec![Misbehaviour::once("packs/", Fault::TearBody { after_bytes: 300_000 })]),
        refused(
            "certificate that ended",
            authority.server(&NAMES, (2010, 2011))?,
            &["eth0 does not reach the store: label lab/small: the certificate of \
                 https://10.77.0.1 ended on 2011-01-01 00:00:00 UTC; this machine's clock says 20"],
        ),
        refused(
            "certificate that has not begun",
            authority.server(&NAMES, (2090, 2100))?,
            &["the certificate of https://10.77.0.1 begins on 2090-01-01 00:00:00 UTC; this \
               machine's clock says 20"],
        ),
        refused(
            "certificate for another name",
            authority.server(&["depot.lab", "10.77.0.9"], LONG)?,
            &[
                "the certificate of https://10.77.0.1 is for another name: expected 10.77.0.1, found \
               depot.lab, 10.77.0.9",
            ],
        ),
        refused(
            "certificate by a stranger",
            Authority::new("stranger")?.server(&NAMES, LONG)?,
            &[
                "the certificate of https://10.77.0.1 is signed by no authority that is trusted here",
            ],
        ),
        Case {
            init: None,
            ..refused(
                "https without an authority",
                good()?,
                &[
                    "https://10.77.0.1: this initramfs carries no authority that signs certificates; make \
               it with inaug initramfs --ca FILE",
                ],
            )
        },
        chain,
    ])
}

fn asked_for_nothing(ran: &Ran) -> Result<()> {
    ensure!(ran.served.is_empty(), "a store was asked whose certificate is not right");
    Ok(())
}

fn clocks(bench: &Bench, authority: &Authority, carried: &Carried) -> Result<Vec<Case>> {
    let at = |name, clock, says| -> Result<Case> {
        let mut case = Case {
            url: "https://depot.lab",
            clock: Some(clock),
            init: Some(carried.authority.clone()),
            says,
            ..Case::of(name, bench)
        };
        case.shelf.set_clock(SERVER_S);
        let host = router(&case.shelf).with_tls(authority.server(&NAMES, LATER)?);
        case = case.routed_by(Host { clock_s: Some(SERVER_S), ..host });
        Ok(case)
    };
    let by_lease = |case: Case| {
        let more = vec![(42, ROUTER.octets().to_vec())];
        case.leased_by([wire::Dhcp { more, ..dhcp() }])
    };
    Ok(vec![
        by_lease(at(
            "TLS, clock of 1970, time server of the lease",
            "1970-01-01T00:00:10",
            &[
                "clock: set to 2060-01-02 03:04:",
                " UTC by NTP server 10.77.0.1 (was 20",
                "the machine's own clock (RTC) is set right",
            ],
        )?),
        by_lease(at(
            "TLS, clock of 2040, time server of the lease",
            "2040-02-29T12:00:00",
            &["set to 2060-01-02 03:04:", " by NTP server 10.77.0.1 (was 2040-02-29 12:00:"],
        )?),
        Case {
            told: "inaugurator.ntp=depot.lab",
            ..at(
                "TLS, clock of 2040, time server of the operator",
                "2040-02-29T12:00:00",
                &["set to 2060-01-02 03:04:", " by NTP server depot.lab (was 2040-02-29 12:00:"],
            )?
        },
        Case {
            told: SOON,
            ..at("TLS, clock of 2040, no time server", "2040-02-29T12:00:00", &[])?
        }
        .fails(&["begins on 2059-01-01 00:00:00 UTC; this machine's clock says 2040-02-29 12:0"]),
        contradicted(by_lease(at(
            "TLS, time server of the lease, another clock at the store",
            "2040-02-29T12:00:00",
            &["set to 2060-01-02 03:04:", " by NTP server 10.77.0.1 (was 2040-02-29 12:00:"],
        )?)),
        Case {
            told: "inaugurator.ntp=10.77.0.77",
            clock: Some("2060-06-01T00:00:00"),
            says: &["NTP server 10.77.0.77 does not answer"],
            ..at("TLS, time server that is off", "2060-06-01T00:00:00", &[])?
        },
    ])
}

/// The store's clock is another: the time server's is kept.
fn contradicted(case: Case) -> Case {
    case.shelf.set_clock(SERVER_S + 100_000_000);
    Case { check: is_set_once, ..case }
}

fn is_set_once(ran: &Ran) -> Result<()> {
    ensure!(!ran.console.contains(", the store 20"), "the store was believed too");
    Ok(())
}

fn tokens(bench: &Bench, authority: &Authority, carried: &Carried) -> Result<Vec<Case>> {
    let wanting = |name, init: &PathBuf| -> Result<Case> {
        let case = case(name, bench, carried, authority.server(&NAMES, LONG)?);
        case.shelf.require_token(TOKEN);
        Ok(Case { init: Some(init.clone()), told: SOON, check: is_never_shown, ..case })
    };
    Ok(vec![
        wanting("token over TLS", &carried.both)?,
        wanting("token that is missing", &carried.authority)?
            .fails(&["found 401 Unauthorized: no token was sent"]),
        Case {
            url: "http://10.77.0.1",
            says: &["the token is sent to http://10.77.0.1 without TLS"],
            ..wanting("token in the clear", &carried.token)?
        },
    ])
}

fn is_never_shown(ran: &Ran) -> Result<()> {
    ensure!(!ran.console.contains(TOKEN), "the token is on the console");
    Ok(())
}

fn proxies(bench: &Bench, authority: &Authority, carried: &Carried) -> Result<Vec<Case>> {
    let by = |name, url| -> Result<Case> {
        let case = Case {
            url,
            told: "proxy=http://10.77.0.1:3128 inaugurator.net-timeout=8",
            init: Some(carried.authority.clone()),
            ..Case::of(name, bench)
        };
        let tls = authority.server(&["depot.far"], LONG)?;
        let proxy = Proxy { shelf: case.shelf.clone(), tls };
        let host = Host { shelf: None, proxy: Some(proxy), ..router(&case.shelf) };
        Ok(case.routed_by(host))
    };
    let mut refusing = by("proxy that opens no tunnel", "https://depot.far")?;
    refusing = refusing.spoilt(vec![Misbehaviour::always("depot.far:443", Fault::Status(403))]);
    Ok(vec![
        Case {
            check: by_tunnel,
            says: BY_PROXY,
            ..by("proxy with a tunnel", "https://depot.far/")?
        },
        by("proxy by whole URLs", "http://depot.far")?,
        refusing.fails(&["from https://depot.far: the proxy http://10.77.0.1:3128"]),
        Case {
            told: "proxy=http://10.77.0.1:3129 inaugurator.net-timeout=8",
            ..by("proxy that is off", "http://depot.far")?
        }
        .fails(&["from http://depot.far: the proxy http://10.77.0.1:3129"]),
        Case {
            told: "proxy=http://10.77.0.1:3128 inaugurator.no-proxy=10.77.0.1",
            url: "http://10.77.0.1",
            ..Case::of("store that is asked without the proxy", bench)
        },
    ])
}

const BY_PROXY: &[&str] = &["stores are asked by way of the proxy http://10.77.0.1:3128"];

fn by_tunnel(ran: &Ran) -> Result<()> {
    let tunnel = ran.served.iter().find(|served| served.method == "CONNECT");
    ensure!(tunnel.is_some_and(|served| served.path == "depot.far:443"), "no tunnel");
    ensure!(
        ran.served.iter().any(|served| served.path.starts_with("/packs/")),
        "no pack of {LABEL}"
    );
    Ok(())
}
