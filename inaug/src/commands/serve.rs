//! `inaug serve`: the store over HTTP, and machines that boot from the network.

use super::open_dir;
use crate::args::ServeArgs;
use crate::output::Output;
use crate::serve::{BootOptions, Booter, Options, SCRIPT_PATH, STORE_PATH, serve};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;

/// Serves until told to stop.
pub(crate) fn run(args: &ServeArgs, output: &Output) -> anyhow::Result<()> {
    let store = open_dir(&args.store.store, "serve")?;
    let dir = store.path().display().to_string();
    let options = Options {
        dir: store.path().to_owned(),
        listen: args.listen.clone(),
        boot: booter(args)?,
        verbose: args.verbose,
    };
    serve(options, |address| {
        let base = format!("http://{address}");
        let reached = args.url.as_ref().map_or_else(|| reached(address), ToString::to_string);
        let script = args.boot.as_ref().map(|_| format!("{reached}{SCRIPT_PATH}"));
        let url = format!("{base}{STORE_PATH}");
        Ok(output.answer(&Document { schema: "inaug/serve/1", store: dir, url, script })?)
    })
}

/// Where others reach `address`: one that stands for every address is none of this host's.
fn reached(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("http://HOST:{}", address.port());
    }
    format!("http://{address}")
}

fn booter(args: &ServeArgs) -> anyhow::Result<Option<Booter>> {
    let Some(dir) = args.boot.clone() else { return Ok(None) };
    let options = BootOptions { dir, machines: args.machines.clone(), url: args.url.clone() };
    Booter::open(options).map(Some)
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    store: String,
    url: String,
    /// The URL of the script for iPXE, where machines can boot from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "serving {} at {}", self.store, self.url)?;
        let Some(script) = &self.script else { return Ok(()) };
        writeln!(f, "machines boot from here by: chain {script}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_not_told() {
        for (listening, expected) in [
            ("127.0.0.1:80", "http://127.0.0.1:80"),
            ("0.0.0.0:8080", "http://HOST:8080"),
            ("[::]:8080", "http://HOST:8080"),
            ("[fd00::1]:80", "http://[fd00::1]:80"),
        ] {
            assert_eq!(reached(listening.parse().unwrap()), expected);
        }
    }
}
