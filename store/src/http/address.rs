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

/// `text` without the passwords of URLs in it, whether these can be parsed or not.
pub fn redacted(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(['/', '?', '#', ',', ' ']).unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, place)) => {
                shown.push_str(user.split(':').next().unwrap_or_default());
                shown.push('@');
                shown.push_str(place);
            }
            None => shown.push_str(authority),
        }
        rest = path;
    }
    shown + rest
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
        Err(error) => return wrong(redacted(text).chars().take(200).collect(), error.to_string()),
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
    fn passwords_are_not_shown_whatever_stands_around_them() {
        for (text, expected) in [
            ("proxy=https://u:secret@p:3128", "proxy=https://u@p:3128"),
            ("http://u:secret@p:99999/a@b", "http://u@p:99999/a@b"),
            ("/srv,http://u:se@cret@a/s,http://:secret@b", "/srv,http://u@a/s,http://@b"),
            (
                "inaugurator.file=/a=http://u:secret@h/f,mode=600",
                "inaugurator.file=/a=http://u@h/f,mode=600",
            ),
            ("plain", "plain"),
            ("http://h/s", "http://h/s"),
        ] {
            assert_eq!(redacted(text), expected);
        }
        let error = check("http://u:secret@h:99999/").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

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
