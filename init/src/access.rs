//! How stores behind URLs are reached: whom the initramfs trusts, the token that it carries, and the
//! proxy of the command line.
//!
//! Both files are put there by `inaug initramfs`; what is not there is not used. The environment is
//! not looked at.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use store::http::{
    AUTHORITIES_MAX_BYTES, Access, Authorities, AuthoritiesError, HttpStoreError, TOKEN_MAX_BYTES,
    Token, TokenError, check, is_same_origin,
};

use crate::config::Settings;
use crate::wall_clock;

/// Certificates of authorities, PEM.
const AUTHORITIES: &str = "etc/inaugurator/ca.pem";

/// The token for stores.
const TOKEN: &str = "etc/inaugurator/token";

/// With blanks around it, a token's file is not longer, bytes.
const TOKEN_FILE_MAX_BYTES: usize = TOKEN_MAX_BYTES + 64;

/// What the initramfs carries cannot be used, or is missing.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("/{path}")]
    Read {
        /// Which.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The authorities are none.
    #[error("/{AUTHORITIES}")]
    Authorities(#[from] AuthoritiesError),
    /// The token is none.
    #[error("/{TOKEN}")]
    Token(#[from] TokenError),
    /// Nobody says whose certificate is right.
    #[error(
        "{url}: this initramfs carries no authority that signs certificates; make it with inaug \
         initramfs --ca FILE"
    )]
    NoAuthorities {
        /// The first that is behind https.
        url: String,
    },
    /// The proxy's address is none.
    #[error("proxy")]
    Proxy(#[from] HttpStoreError),
}

/// How what `settings` name is reached.
pub(crate) fn of(settings: &Settings) -> Result<Access, AccessError> {
    carried(Path::new("/"), settings)
}

fn carried(root: &Path, settings: &Settings) -> Result<Access, AccessError> {
    let authorities = match read(root, AUTHORITIES, AUTHORITIES_MAX_BYTES)? {
        Some(file) => Authorities::from_pem(&file)?,
        None => Authorities::default(),
    };
    if authorities.count() == 0 {
        no_https(settings)?;
    }
    let token = read(root, TOKEN, TOKEN_FILE_MAX_BYTES)?.map(|file| Token::parse(&file));
    Ok(Access {
        authorities,
        clock: wall_clock::judge_of_certificates(),
        token: token.transpose()?,
        proxy: settings.proxy()?,
    })
}

/// Refuses what could not be asked.
fn no_https(settings: &Settings) -> Result<(), AccessError> {
    let files = settings.files.iter().map(|file| &file.from);
    let mut urls = settings.store.iter().chain(files);
    match urls.find(|url| url.to_lowercase().starts_with("https:")) {
        Some(url) => {
            // Its password is nobody's business.
            let url = url.rsplit_once('@').map_or(url.as_str(), |(_, place)| place).to_owned();
            Err(AccessError::NoAuthorities { url })
        }
        None => Ok(()),
    }
}

/// At most `max_bytes` and one of a file, if it is there.
fn read(root: &Path, path: &'static str, max_bytes: usize) -> Result<Option<Vec<u8>>, AccessError> {
    let file = match File::open(root.join(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| AccessError::Read { path, source })?,
    };
    let mut bytes = Vec::new();
    let read = file.take(max_bytes as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| AccessError::Read { path, source })?;
    Ok(Some(bytes))
}

/// The same for a file behind `url`: the token is for the stores' own hosts.
pub(crate) fn for_file(access: &Access, url: &str, stores: &[String]) -> Access {
    let access = access.clone();
    if stores.iter().any(|store| is_same_origin(store, url)) {
        access
    } else {
        access.without_token()
    }
}

/// What a person should know who gave a token, if something.
pub(crate) fn warning(access: &Access, stores: &[String]) -> Option<String> {
    access.token.as_ref()?;
    let is_plain =
        |store: &&String| store.to_lowercase().starts_with("http://") && check(store).is_ok();
    let store = stores.iter().find(is_plain)?;
    let place = store.rsplit_once('@').map_or(store.as_str(), |(_, place)| place);
    Some(format!("the token is sent to {place} without TLS: who is on the way can read it"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::report::causes;

    fn said(root: &Path, line: &str) -> String {
        match carried(root, &Settings::parse(line).unwrap()) {
            Ok(access) => {
                let (count, has_token) = (access.authorities.count(), access.token.is_some());
                format!("{count} authorities, token {has_token}")
            }
            Err(error) => causes(&error).join(": "),
        }
    }

    #[test]
    fn what_the_initramfs_carries_is_taken_or_spoken_of() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let plain = "inaugurator.store=http://depot/store";
        assert_eq!(said(root, plain), "0 authorities, token false");
        for line in [
            "inaugurator.store=/srv,https://u:p@depot/store",
            "inaugurator.store=/srv inaugurator.file=/a=https://u:p@depot/store",
        ] {
            let expected = "depot/store: this initramfs carries no authority that signs \
                            certificates; make it with inaug initramfs --ca FILE";
            assert_eq!(said(root, line), expected);
        }
        fs::create_dir_all(root.join("etc/inaugurator")).unwrap();
        fs::write(root.join(TOKEN), "abc\n").unwrap();
        assert_eq!(said(root, plain), "0 authorities, token true");
        fs::write(root.join(TOKEN), "a b").unwrap();
        assert!(
            said(root, plain).starts_with("/etc/inaugurator/token: expected a token of letters")
        );
        fs::write(root.join(AUTHORITIES), "nothing").unwrap();
        assert!(said(root, plain).starts_with("/etc/inaugurator/ca.pem: expected a certificate"));
    }

    #[test]
    fn the_token_is_for_the_stores_own_hosts() {
        let access = Access { token: Some(Token::parse(b"abc").unwrap()), ..Access::default() };
        let stores = ["https://depot/store".to_owned(), "http://near:8080".to_owned()];
        for (url, expected) in [
            ("https://depot/files/a", true),
            ("https://depot:443/a", true),
            ("http://depot/a", false),
            ("https://other/a", false),
            ("http://near:8080/a", true),
            ("http://near/a", false),
        ] {
            assert_eq!(for_file(&access, url, &stores).token.is_some(), expected, "{url}");
        }
        let warned = warning(&access, &stores).unwrap();
        assert!(
            warned.starts_with("the token is sent to http://near:8080 without TLS"),
            "{warned}"
        );
        assert_eq!(warning(&access, &stores[..1]), None);
        assert_eq!(warning(&Access::default(), &stores), None);
    }
}
