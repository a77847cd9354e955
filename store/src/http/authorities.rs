//! Who may sign the certificates of stores, and what is said of one that is not accepted.

use super::access::Clock;
use super::date;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::error::Error;
use std::io;
use std::sync::Arc;

/// A file of authorities is not longer: those of all browsers together take 220 KiB.
pub const AUTHORITIES_MAX_BYTES: usize = 2 << 20;

/// More are in no file (Mozilla's has some 140); each is kept in memory.
const AUTHORITIES_MAX: usize = 1024;

/// The layers of an error that are looked at: reqwest, hyper, two of I/O and rustls make five.
const LAYERS_MAX: usize = 16;

/// Authorities that are trusted. Without one, stores behind https are not asked.
#[derive(Debug, Clone, Default)]
pub struct Authorities(Option<Arc<RootCertStore>>);

/// A file that has no authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It is too large.
    #[error("expected a PEM file of at most {AUTHORITIES_MAX_BYTES} bytes, found {found}")]
    Length {
        /// Bytes.
        found: usize,
    },
    /// It is no PEM (RFC 7468).
    #[error("expected certificates in PEM")]
    Pem(#[source] pem::Error),
    /// None of what is in it is one.
    #[error("expected a certificate in PEM that can be an authority, found {found} that cannot")]
    None {
        /// Certificates in the file.
        found: usize,
    },
    /// There are too many.
    #[error("expected at most {AUTHORITIES_MAX} certificates")]
    Many,
}

impl Authorities {
    /// Those of a PEM file, such as `/etc/ssl/certs/ca-certificates.crt`. What cannot be an authority
    /// is passed over as long as one can.
    pub fn from_pem(file: &[u8]) -> Result<Self, AuthoritiesError> {
        if file.len() > AUTHORITIES_MAX_BYTES {
            return Err(AuthoritiesError::Length { found: file.len() });
        }
        let certificates = CertificateDer::pem_slice_iter(file).take(AUTHORITIES_MAX + 1);
        let certificates: Vec<_> =
            certificates.collect::<Result<_, _>>().map_err(AuthoritiesError::Pem)?;
        if certificates.len() > AUTHORITIES_MAX {
            return Err(AuthoritiesError::Many);
        }
        let found = certificates.len();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(AuthoritiesError::None { found });
        }
        Ok(Self(Some(Arc::new(roots))))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |roots| roots.len())
    }

    /// TLS 1.2 and 1.3 (RFC 5246, 8446) with servers whose certificates are good by `clock`.
    pub(super) fn client(&self, clock: Clock) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(clock));
        let roots = self.0.clone().unwrap_or_else(|| Arc::new(RootCertStore::empty()));
        let versions = builder.with_safe_default_protocol_versions()?;
        Ok(versions.with_root_certificates(roots).with_no_client_auth())
    }
}

/// What is wrong with the certificate of a server, after its name, where `error` says that.
pub(super) fn why_refused(error: &(dyn Error + 'static)) -> Option<String> {
    match found_in(error)? {
        rustls::Error::InvalidCertificate(error) => Some(sentence(error)),
        rustls::Error::NoCertificatesPresented => Some("is missing: it showed none".into()),
        _ => None,
    }
}

/// What TLS has to say, anywhere below `error`.
fn found_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut layer = Some(error);
    for _ in 0..LAYERS_MAX {
        let error = layer?;
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // The cause of an I/O error is that of the error within.
        layer = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn sentence(error: &CertificateError) -> String {
    let clock_says = |time: &UnixTime| format!("this machine's clock says {}", said(*time));
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("ended on {}; {}", said(*not_after), clock_says(time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("begins on {}; {}", said(*not_before), clock_says(time))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = match expected {
                ServerName::IpAddress(address) => std::net::IpAddr::from(*address).to_string(),
                name => name.to_str().into_owned(),
            };
            format!("is for another name: expected {expected}, found {}", names(presented))
        }
        CertificateError::UnknownIssuer => "is signed by no authority that is trusted here".into(),
        // An authority of the same name is trusted, and has another key.
        CertificateError::BadSignature => "has a signature that is not its authority's".into(),
        other => format!("is not accepted: {other}"),
    }
}

/// `DnsName("a")` and `IpAddress(10.0.0.1)`, as the library says them, without their kinds.
fn names(presented: &[String]) -> String {
    /// More would fill a screen.
    const SHOWN_MAX: usize = 5;
    let plain = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
        inner.trim_end_matches(')').trim_matches('"').to_owned()
    };
    let mut shown: Vec<String> = presented.iter().take(SHOWN_MAX).map(plain).collect();
    if presented.len() > SHOWN_MAX {
        shown.push("...".into());
    }
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}

fn said(time: UnixTime) -> String {
    date::utc(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_authorities_are_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (file, expected) in [
            ("", "expected a certificate in PEM that can be an authority, found 0 that cannot"),
            (
                "no PEM",
                "expected a certificate in PEM that can be an authority, found 0 that cannot",
            ),
            (broken, "expected a certificate in PEM that can be an authority, found 1 that cannot"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "expected certificates in PEM"),
            (
                &"\n".repeat(AUTHORITIES_MAX_BYTES + 1),
                "expected a PEM file of at most 2097152 bytes, found 2097153",
            ),
            (&broken.repeat(AUTHORITIES_MAX + 1), "expected at most 1024 certificates"),
        ] {
            let error = Authorities::from_pem(file.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn certificates_are_refused_in_one_sentence() {
        let time = |unix_s| UnixTime::since_unix_epoch(std::time::Duration::from_secs(unix_s));
        let names = vec!["DnsName(\"a.lab\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        for (error, expected) in [
            (
                CertificateError::ExpiredContext { time: time(86_400), not_after: time(1) },
                "ended on 1970-01-01 00:00:01 UTC; this machine's clock says 1970-01-02 00:00:00 UTC",
            ),
            (
                CertificateError::NotValidYetContext { time: time(1), not_before: time(86_400) },
                "begins on 1970-01-02 00:00:00 UTC; this machine's clock says 1970-01-01 00:00:01 \
                 UTC",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("depot.lab").unwrap(),
                    presented: names,
                },
                "is for another name: expected depot.lab, found a.lab, 10.0.0.1",
            ),
            (CertificateError::BadSignature, "has a signature that is not its authority's"),
            (CertificateError::UnknownIssuer, "is signed by no authority that is trusted here"),
        ] {
            let error = io::Error::other(rustls::Error::InvalidCertificate(error));
            assert_eq!(why_refused(&error).unwrap(), expected);
        }
        assert_eq!(why_refused(&io::Error::other(rustls::Error::DecryptError)), None);
    }
}
