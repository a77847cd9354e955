//! `inaug serve`: the store over HTTP.

use super::open_dir;
use crate::args::ServeArgs;
use crate::output::Output;
use crate::serve::{Options, STORE_PATH, serve};
use serde::Serialize;
use std::fmt;

/// Serves until told to stop.
pub(crate) fn run(args: &ServeArgs, output: &Output) -> anyhow::Result<()> {
    let store = open_dir(&args.store.store, "serve")?;
    let dir = store.path().display().to_string();
    let options = Options {
        dir: store.path().to_owned(),
        listen: args.listen.clone(),
        verbose: args.verbose,
    };
    serve(options, |address| {
        let url = format!("http://{address}{STORE_PATH}");
        Ok(output.answer(&Document { schema: "inaug/serve/1", store: dir, url })?)
    })
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    store: String,
    url: String,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "serving {} at {}", self.store, self.url)
    }
}
