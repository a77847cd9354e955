//! Signatures for Secure Boot.

use anyhow::Context;
use deploy::tools::{Tool, ToolError};
use std::fs;
use std::path::Path;

/// The executable with a signature of its digest behind it. Only sbsign(1) reads the key.
pub(super) fn sign(unsigned: &[u8], key: &Path, certificate: &Path) -> anyhow::Result<Vec<u8>> {
    let scratch = tempfile::tempdir().context("a directory to sign in")?;
    let (from, to) = (scratch.path().join("unsigned.efi"), scratch.path().join("signed.efi"));
    fs::write(&from, unsigned).with_context(|| format!("cannot write {}", from.display()))?;
    let explain = |error| explain(error, key, certificate);
    let tool = Tool::named("sbsign").map_err(explain)?;
    let options = [("--key", key), ("--cert", certificate), ("--output", &to)];
    let tool =
        options.iter().fold(tool, |tool, (option, path)| tool.arg(option).arg(path.display()));
    tool.arg(from.display()).run().map_err(explain)?;
    fs::read(&to).with_context(|| format!("cannot read {}", to.display()))
}

/// What OpenSSL complains of where it may not ask for a passphrase.
const ASKS: &str = "problems getting password";

fn explain(error: ToolError, key: &Path, certificate: &Path) -> anyhow::Error {
    let (key, certificate) = (key.display(), certificate.display());
    let what = match &error {
        ToolError::Missing { .. } => "sbsign, of package sbsigntool, makes signatures".to_owned(),
        ToolError::Failed { complaint, .. } if complaint.contains(ASKS) => {
            format!("{key} has a passphrase: give a key without one (openssl pkey -in {key})")
        }
        _ => format!(
            "cannot sign by the key {key} with the certificate {certificate}: expected both in \
             PEM, the certificate that of the key"
        ),
    };
    anyhow::Error::new(error).context(what)
}
