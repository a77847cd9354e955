//! The depot's server: a store over HTTP/1.1, read only.
//!
//! Given a directory that is a store, answers GET and HEAD for its items under `/store/`, with
//! ranges, as any static web server would; it must never serve anything else of the directory.
//! Where it is told to, it boots machines from the network as well (see [`boot`]).

mod answer;
mod body;
mod boot;
mod listen;
mod log;
mod path;
mod range;
mod routes;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use boot::{Base, BootOptions, Booter, FileError, FilesError, UKI};
pub(crate) use routes::{BOOT_PATH, SCRIPT_PATH, STORE_PATH};

/// What to serve and where.
pub(crate) struct Options {
    /// The store's directory.
    pub(crate) dir: PathBuf,
    /// `HOST:PORT` or `:PORT` to listen on; port 0 takes a free one.
    pub(crate) listen: String,
    /// What machines boot from here, if they do.
    pub(crate) boot: Option<Booter>,
    /// Whether each request is a line on stderr.
    pub(crate) verbose: bool,
}

/// Serves until SIGTERM or SIGINT; `announce` is told the address once clients can connect.
pub(crate) fn serve(
    options: Options,
    announce: impl FnOnce(SocketAddr) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    runtime.block_on(async move {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listener = bind(&options.listen).await?;
        announce(listener.local_addr()?)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
        };
        let routes = routes::routes(options.dir, options.boot, options.verbose);
        listen::serve(listener, routes, stop).await;
        anyhow::Ok(())
    })?;
    // Reads that hang on a dead disk must not keep the process.
    runtime.shutdown_background();
    Ok(())
}

/// Serves the store in `dir` to this host alone, on a free port, for as long as `runtime` lives.
pub(crate) fn serve_beside(runtime: &Handle, dir: PathBuf) -> anyhow::Result<SocketAddr> {
    let listener = runtime.block_on(bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(listen::serve(
        listener,
        routes::routes(dir, None, false),
        std::future::pending(),
    ));
    Ok(address)
}

/// `:PORT` is that port of every address, as people write it for other servers.
async fn bind(address: &str) -> Result<TcpListener, ListenError> {
    let every = if address.starts_with(':') { "0.0.0.0" } else { "" };
    TcpListener::bind(format!("{every}{address}"))
        .await
        .map_err(|source| ListenError { address: address.to_owned(), source })
}

/// The server cannot listen where it was told to.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct ListenError {
    address: String,
    source: io::Error,
}
