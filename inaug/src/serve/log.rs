//! What the server says on stderr while it runs. A closed stderr is no reason to stop serving.

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::Response;
use axum::http::header::{CONTENT_LENGTH, RANGE};
use axum::middleware::Next;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Instant;

/// One line for a request: who, what, status, bytes promised, milliseconds to the first byte.
pub(crate) async fn each(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let range = request.headers().get(RANGE).cloned();
    let response = next.run(request).await;
    let length = response.headers().get(CONTENT_LENGTH);
    let shown = |value: Option<&axum::http::HeaderValue>| {
        value.map_or_else(|| "-".to_owned(), |value| value.to_str().unwrap_or("?").to_owned())
    };
    line(&format!(
        "{peer} {method} {path} {} {} {} {} ms",
        shown(range.as_ref()),
        response.status().as_u16(),
        shown(length),
        started.elapsed().as_millis()
    ));
    response
}

/// Something that an operator waits for.
pub(crate) fn event(what: &str) {
    line(&format!("inaug serve: {what}"));
}

/// Something went wrong that serving goes on after.
pub(crate) fn problem(what: &str, error: &dyn Display) {
    line(&format!("inaug serve: {what}: {error}"));
}

fn line(text: &str) {
    // Nothing is left to tell this to.
    let _ = writeln!(io::stderr(), "{text}");
}
