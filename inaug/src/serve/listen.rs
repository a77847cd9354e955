//! Connections: taken, bounded, and let finish when the server is told to stop.

use super::log;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections open at once; more wait in the kernel's queue. A rack of 500 machines with four
/// connections each fits.
pub(crate) const CONNECTIONS_MAX: usize = 2048;

/// A connection holds its socket and the file it is being sent.
const FILES_PER_CONNECTION: usize = 2;

/// Files kept free for everything else.
const FILES_RESERVED: usize = 64;

/// A client's request must have come whole, and a kept connection must be used again, within
/// this; longer than a machine pauses between two requests while its disk catches up.
const REQUEST_WITHIN: Duration = Duration::from_mins(1);

/// A client that takes nothing for this long is gone: its disk would have to stand still.
const STALLED_AFTER: Duration = Duration::from_mins(2);

/// The longest head of a request, bytes (hyper takes no less than 8 KiB); ours take 300.
const HEAD_MAX_BYTES: usize = 16 << 10;

/// Header fields in a request; ours have five, proxies add some.
const FIELDS_MAX: usize = 64;

/// What answers that are being sent get after SIGTERM; clients resume, and service managers
/// kill after about ninety seconds.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Pause after `accept` failed for want of memory or files: only others can free them, and no
/// event tells when they did.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Answers clients of `listener` until `stop` is done.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(connections_max()));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, peer, slot) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &slots) => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    log::problem("cannot take a connection", &error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let service =
            TowerToHyperService::new(routes.clone().layer(axum::Extension(ConnectInfo(peer))));
        let connection = protocol().serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that hangs up or sends nonsense is its own problem: it sees it too.
            let _ = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    let finished = tokio::time::timeout(FINISH_WITHIN, graceful.shutdown()).await;
    if finished.is_err() {
        log::problem("stopped", &format!("answers still being sent after {FINISH_WITHIN:?}"));
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // An answer's last small piece goes out at once.
    stream.set_nodelay(true)?;
    // tcp(7): also ends a connection whose peer acknowledges but never takes anything.
    sockopt::set_tcp_user_timeout(&stream, STALLED_AFTER.as_millis() as u32)?;
    Ok((stream, peer, slot))
}

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(FIELDS_MAX);
    protocol
}

/// How many connections the limit of open files leaves room for, after raising it as far as
/// this process may (getrlimit(2); the usual soft limit of 1024 is too low for a rack).
fn connections_max() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = (CONNECTIONS_MAX * FILES_PER_CONNECTION + FILES_RESERVED) as u64;
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let mut files = limit.current.unwrap_or(wanted);
    if files < allowed {
        let raised = Rlimit { current: Some(allowed), maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => files = allowed,
            Err(error) => log::problem("cannot raise the limit of open files", &error),
        }
    }
    let room = (files as usize).saturating_sub(FILES_RESERVED) / FILES_PER_CONNECTION;
    room.clamp(1, CONNECTIONS_MAX)
}
