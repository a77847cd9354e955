//! What is where on the server.

use super::answer::answer;
use super::log;
use super::path::Served;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CACHE_CONTROL};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the store is.
pub(crate) const STORE_PATH: &str = "/store/";

/// All paths of the server for the store in `dir`; with `verbose` each request is a line on
/// stderr.
pub(crate) fn routes(dir: PathBuf, verbose: bool) -> Router {
    let routes = Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(store)
        .with_state(Arc::from(dir));
    if verbose { routes.layer(middleware::from_fn(log::each)) } else { routes }
}

async fn index() -> &'static str {
    "Inaugurator depot.\n\n/store/    the store, read only: inaug deploy LABEL --store http://HOST/store\n\
     /healthz   ok, while this runs\n"
}

/// Everything that is no route: a file of the store, or nothing.
async fn store(
    State(dir): State<Arc<Path>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(served) = uri.path().strip_prefix(STORE_PATH).and_then(Served::parse) else {
        return not_found();
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        let refusal = [(ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, refusal, "the store is read only\n")
            .into_response();
    }
    // Opening may wait for a disk.
    let answered =
        tokio::task::spawn_blocking(move || answer(&dir, &served, &method, &headers)).await;
    answered.map_err(io::Error::from).flatten().unwrap_or_else(|error| failure(&error))
}

fn not_found() -> Response<Body> {
    // What is not there now may be pushed the next moment.
    (StatusCode::NOT_FOUND, [(CACHE_CONTROL, "no-store")], "not found\n").into_response()
}

/// The operator reads why; a client learns that it is not the client's fault.
fn failure(error: &io::Error) -> Response<Body> {
    if error.kind() == io::ErrorKind::NotFound {
        return not_found();
    }
    log::problem("a file of the store cannot be read", error);
    (StatusCode::INTERNAL_SERVER_ERROR, "the store cannot be read\n").into_response()
}
