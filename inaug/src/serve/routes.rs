//! What is where on the server.

use super::answer::{Resource, answer};
use super::boot::{Booter, UKI};
use super::log;
use super::path::Served;
use axum::body::Body;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, RANGE};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::dir::DirStore;
use store::source::Item;

/// Where the store is.
pub(crate) const STORE_PATH: &str = "/store/";

/// Where the boot files are.
pub(crate) const BOOT_PATH: &str = "/boot/";

/// Where the script for iPXE is.
pub(crate) const SCRIPT_PATH: &str = "/boot.ipxe";

/// What is served.
struct Depot {
    /// The store's directory.
    store: PathBuf,
    boot: Option<Booter>,
}

/// All paths of the server for the store in `store`, and for machines that boot; with `verbose`
/// each request is a line on stderr.
pub(crate) fn routes(store: PathBuf, boot: Option<Booter>, verbose: bool) -> Router {
    let routes = Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { "ok\n" }))
        .route(SCRIPT_PATH, get(script))
        .fallback(file)
        .with_state(Arc::new(Depot { store, boot }));
    if verbose { routes.layer(middleware::from_fn(log::each)) } else { routes }
}

async fn index(State(depot): State<Arc<Depot>>) -> String {
    let boot = "/boot.ipxe  what a machine boots: chain http://HOST/boot.ipxe\n\
                /boot/      the files for it\n";
    format!(
        "Inaugurator depot.\n\n\
         /store/    the store, read only: inaug deploy LABEL --store http://HOST/store\n{}\
         /healthz   ok, while this runs\n",
        if depot.boot.is_some() { boot } else { "" }
    )
}

/// The script for a machine. It depends on who asks, and may be another the next moment.
async fn script(
    State(depot): State<Arc<Depot>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    if depot.boot.is_none() {
        return not_found();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let script = move || depot.boot.as_ref()?.script(&host, &query.unwrap_or_default());
    // The machines file is read anew.
    match tokio::task::spawn_blocking(script).await {
        Ok(Some(script)) => {
            let fields = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
            (fields, script).into_response()
        }
        Ok(None) => (StatusCode::BAD_REQUEST, "the Host field is no host\n").into_response(),
        Err(error) => failure("a script cannot be made", &error.into()),
    }
}

/// Everything that is no route: a file of the store, a boot file, or nothing.
async fn file(
    State(depot): State<Arc<Depot>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let path = uri.path();
    let served = path.strip_prefix(STORE_PATH).and_then(Served::parse);
    let Some(resource) = served.as_ref().map_or_else(
        || depot.boot.as_ref()?.file(path.strip_prefix(BOOT_PATH)?),
        |served| Some(served.resource(&depot.store)),
    ) else {
        return not_found();
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        let refusal = [(ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, refusal, "it is read only\n").into_response();
    }
    let is_start = method == Method::GET && !headers.contains_key(RANGE);
    let boots = (is_start && path.strip_prefix(BOOT_PATH) == Some(UKI)).then_some(peer.ip());
    // Opening may wait for a disk.
    let answered = tokio::task::spawn_blocking(move || {
        let answered = answer(&resource, &method, &headers);
        if let (Ok(_), Some(served)) = (&answered, &served) {
            used(&depot.store, served);
        }
        if let (Ok(_), Some(machine)) = (&answered, boots) {
            log::event(&format!("{machine} boots {UKI}, whatever is said of machines"));
        }
        answered.map_err(|error| (resource, error))
    });
    match answered.await {
        Ok(Ok(response)) => response,
        Ok(Err((resource, error))) => unreadable(&resource, &error),
        Err(error) => failure("a file cannot be read", &error.into()),
    }
}

/// Lets gc know that a label is of use. A depot that may only read the store cannot; the kernel
/// then notes some of it by itself (mount(8), `relatime`).
fn used(store: &Path, served: &Served) {
    if let Served::Item(Item::Label(name)) = served
        && let Ok(store) = DirStore::open(store)
    {
        store.touch_label(name).ok();
    }
}

fn not_found() -> Response<Body> {
    // What is not there now may be pushed the next moment.
    (StatusCode::NOT_FOUND, [(CACHE_CONTROL, "no-store")], "not found\n").into_response()
}

fn unreadable(resource: &Resource, error: &io::Error) -> Response<Body> {
    if error.kind() == io::ErrorKind::NotFound {
        return not_found();
    }
    failure(&format!("{} cannot be read", resource.path.display()), error)
}

/// The operator reads why; a client learns that it is not the client's fault.
fn failure(what: &str, error: &io::Error) -> Response<Body> {
    log::problem(what, error);
    (StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read\n").into_response()
}
