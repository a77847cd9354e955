//! Whom to trust, what to show, and by whose hands: read from the files that options name, for stores
//! that are asked here and for machines that are made here.

use crate::args::AccessArgs;
use crate::exit::Usage;
use crate::output::Output;
use anyhow::Context;
use initramfs::Embed;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use store::http::{
    AUTHORITIES_MAX_BYTES, Access, Authorities, Clock, Proxy, TOKEN_MAX_BYTES, Token,
};

/// Whom this host trusts, as Debian's package ca-certificates keeps it.
const OF_HOST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where init looks for authorities.
const CA: &str = "/etc/inaugurator/ca.pem";

/// Where init looks for the token.
const TOKEN: &str = "/etc/inaugurator/token";

/// How the stores of `chain`, joined by commas, are reached.
pub(super) fn of(args: &AccessArgs, chain: &str) -> anyhow::Result<Access> {
    let token = args.token_file.as_deref().map(token).transpose()?;
    if token.is_some()
        && let Some(store) = stores(chain).find(|store| store.to_lowercase().starts_with("http:"))
    {
        let place = store.rsplit_once('@').map_or(store, |(_, place)| place);
        let text =
            format!("the token is sent to {place} without TLS: who is on the way can read it");
        Output::warning(&text);
    }
    let proxy = args.proxy.as_deref().map(|url| Proxy::new(url, &args.no_proxy)).transpose();
    Ok(Access {
        authorities: authorities(args, chain)?,
        clock: Clock::default(),
        token,
        proxy: proxy.map_err(|error| Usage(format!("--proxy: {error}")))?,
    })
}

fn stores(chain: &str) -> impl Iterator<Item = &str> {
    chain.split(',').map(str::trim)
}

/// Read only where a store is behind https.
fn authorities(args: &AccessArgs, chain: &str) -> anyhow::Result<Authorities> {
    if !stores(chain).any(|store| store.to_lowercase().starts_with("https:")) {
        return Ok(Authorities::default());
    }
    match &args.ca {
        Some(file) => ca(file),
        None if Path::new(OF_HOST).exists() => ca(Path::new(OF_HOST)),
        None => {
            let sentence = format!(
                "whom to trust to sign the certificates of https stores? There is no {OF_HOST}: \
                 give --ca FILE"
            );
            Err(Usage(sentence).into())
        }
    }
}

fn ca(file: &Path) -> anyhow::Result<Authorities> {
    let bytes = read(file, AUTHORITIES_MAX_BYTES)?;
    Authorities::from_pem(&bytes).with_context(|| format!("authorities of {}", file.display()))
}

fn token(file: &Path) -> anyhow::Result<Token> {
    let bytes = read(file, TOKEN_MAX_BYTES + 64)?;
    Token::parse(&bytes).with_context(|| format!("token of {}", file.display()))
}

/// At most `max_bytes` and one of a file.
fn read(path: &Path, max_bytes: usize) -> anyhow::Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// What a machine carries to reach its stores; refused where it could not be used there.
pub(super) fn carried(
    authorities: Option<&Path>,
    token_file: Option<&Path>,
) -> anyhow::Result<Vec<Embed>> {
    let mut all = Vec::new();
    if let Some(file) = authorities {
        ca(file)?;
        all.push(Embed { source: file.to_owned(), destination: CA.to_owned(), mode: 0o644 });
    }
    if let Some(file) = token_file {
        token(file)?;
        all.push(Embed { source: file.to_owned(), destination: TOKEN.to_owned(), mode: 0o600 });
    }
    Ok(all)
}

/// The same by the options for stores that are asked here.
pub(super) fn carried_too(args: &AccessArgs) -> anyhow::Result<Vec<Embed>> {
    carried(args.ca.as_deref(), args.token_file.as_deref())
}
