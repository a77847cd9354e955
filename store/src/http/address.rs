//! Which URLs can be a store's.

use reqwest::Url;

/// A store behind a URL that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum HttpStoreError {
    /// It is no URL, or none of a store.
    #[error("store URL {url:?}: {reason}")]
    Url {
        /// As given, its password left out.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody is trusted to say whose certificate is right.
    #[error("{url}: no authority is trusted to sign certificates")]
    NoAuthorities {
        /// The store's, its password left out.
        url: String,
    },
    /// TLS cannot be spoken.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be made.
    #[error("HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Whether `text` is the URL of a store, http or https. Nothing is sent.
pub fn check(text: &str) -> Result<(), HttpStoreError> {
    parse(text).map(drop)
}

/// Whether both URLs are of the same scheme, host and port (RFC 6454).
pub fn is_same_origin(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.origin().is_tuple() && one.origin() == other.origin(),
        _ => false,
    }
}

/// The URL as people may see it.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_password(None).ok(); // only URLs without a host refuse, and there are none
    shown.into()
}

pub(super) fn parse(text: &str) -> Result<Url, HttpStoreError> {
    let parsed = Url::parse(text);
    let wrong = |url: String, reason: String| Err(HttpStoreError::Url { url, reason });
    let mut url = match parsed {
        Ok(url) => url,
        Err(error) => return wrong(text.chars().take(200).collect(), error.to_string()),
    };
    let shown = shown(&url);
    // The parser of URLs passes over a third slash and takes the path for the host, and writes blanks
    // in another way.
    if text.split_once("://").is_some_and(|(_, rest)| rest.starts_with('/')) {
        return wrong(shown, "expected a host".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c == '"') {
        return wrong(shown, "expected no blanks and no quotes".into());
    }
    if !matches!(url.scheme(), "http" | "https") {
        let reason = format!("expected http or https, found {}", url.scheme());
        return wrong(shown, reason);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong(shown, "expected no '?' and no '#'".into());
    }
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_no_stores_are_refused_without_their_password() {
        for (url, expected) in [
            ("ftp://host/", "store URL \"ftp://host/\": expected http or https, found ftp"),
            ("http://", "store URL \"http://\": empty host"),
            ("https:///host", "store URL \"https://host/\": expected a host"),
            ("http://u:secret@h/?q", "store URL \"http://u@h/?q\": expected no '?' and no '#'"),
        ] {
            assert_eq!(check(url).unwrap_err().to_string(), expected);
        }
        // The URL standard knows no zones.
        for url in ["http://[fe80::1%25eth0]/store", "http://[fe80::1%eth0]/store"] {
            assert!(check(url).is_err(), "{url}");
        }
        assert!(check("https://u:secret@h/s").is_ok());
    }
}
