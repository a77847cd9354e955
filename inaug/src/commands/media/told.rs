//! What machines are told by a medium: the options, and what a stick was told before.

use crate::args::MediaArgs;
use crate::exit::Usage;
use crate::output::Output;
use media::boot::{self, Told};
use store::http::{HttpStoreError, check};
use store::is_url;
use store::label::LabelName;

/// What is told; where an option is not given, it is as it was `before`.
pub(super) fn told(args: &MediaArgs, labels: &[LabelName], before: Told) -> Result<Told, Usage> {
    Ok(Told {
        default: default(args, labels)?.or_else(|| kept(before.default, labels)),
        chain: match &args.store_chain {
            Some(chain) => {
                chain.split(',').map(|text| store(text.trim())).collect::<Result<_, _>>()?
            }
            None => before.chain,
        },
        append: args.append.clone().unwrap_or(before.append),
    })
}

/// The line for that: of several labels without a default a person chooses.
pub(super) fn command_line(told: &Told, labels: &[LabelName]) -> String {
    let label = match (told.default.as_deref(), labels) {
        (None, [only]) => Some(only.as_str()),
        (default, _) => default,
    };
    boot::command_line(label, &told.chain, &told.append)
}

fn default(args: &MediaArgs, labels: &[LabelName]) -> Result<Option<String>, Usage> {
    let Some(default) = &args.default else { return Ok(None) };
    if let Some(other) = default.0.iter().find(|name| !labels.contains(name)) {
        return Err(Usage(format!("--default {other} is not among the labels of the medium")));
    }
    let names: Vec<&str> = default.0.iter().map(LabelName::as_str).collect();
    Ok(Some(names.join("+")))
}

/// The default of before, as long as the medium has its labels.
fn kept(default: Option<String>, labels: &[LabelName]) -> Option<String> {
    let default = default?;
    if default.split('+').all(|name| labels.iter().any(|label| label.as_str() == name)) {
        return Some(default);
    }
    Output::warning(&format!("{default}, the --default of before, is not on the medium any more"));
    None
}

/// A store as `inaugurator.store` takes it, by the same parser.
fn store(text: &str) -> Result<String, Usage> {
    let wrong = |why: &str| {
        Err(Usage(format!("--store-chain: expected http:// or https:// URLs, found {text:?}{why}")))
    };
    if !is_url(text) {
        return wrong("");
    }
    match check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(HttpStoreError::Url { reason, .. }) => wrong(&format!(" ({reason})")),
        Err(error) => wrong(&format!(" ({error})")),
    }
}
