//! What a store asks for before it gives anything: a bearer token (RFC 6750).

use reqwest::header::{HeaderValue, InvalidHeaderValue};
use std::fmt;

/// A token longer than this fits into no server's head (nginx, Apache: 8 KiB for all of it), bytes.
pub const TOKEN_MAX_BYTES: usize = 4096;

/// A token that is never shown to people.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

/// What is no token. Says nothing of its characters.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Its length is wrong.
    #[error("expected a token of 1 to {TOKEN_MAX_BYTES} bytes, found {found}")]
    Length {
        /// Bytes, without blanks around it.
        found: usize,
    },
    /// It has characters that none may have.
    #[error("expected a token of letters, digits and - . _ ~ + / =, found another at byte {at}")]
    Character {
        /// Counted from 1.
        at: usize,
    },
    /// It cannot be sent.
    #[error("a token that cannot be sent")]
    Header(#[from] InvalidHeaderValue),
}

impl Token {
    /// Reads what a file has: the token (RFC 6750, section 2.1), with or without blanks and an end of
    /// line around it.
    pub fn parse(file: &[u8]) -> Result<Self, TokenError> {
        let token = file.trim_ascii();
        if !(1..=TOKEN_MAX_BYTES).contains(&token.len()) {
            return Err(TokenError::Length { found: token.len() });
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if let Some(at) = token.iter().position(|byte| !is_allowed(*byte)) {
            return Err(TokenError::Character { at: at + 1 });
        }
        let mut header = HeaderValue::from_bytes(&[b"Bearer ", token].concat())?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// The value of `Authorization` (RFC 9110, section 11.6.2).
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_one_word_of_their_alphabet_and_never_shown() {
        let long = [b'a'; TOKEN_MAX_BYTES + 1];
        for (file, expected) in [
            (&b"a-._~+/9==\n"[..], "Bearer a-._~+/9=="),
            (&long[1..], &format!("Bearer {}", "a".repeat(TOKEN_MAX_BYTES))),
            (&long, "expected a token of 1 to 4096 bytes, found 4097"),
            (b" \n", "expected a token of 1 to 4096 bytes, found 0"),
            (
                b"secret secret",
                "expected a token of letters, digits and - . _ ~ + / =, found another at byte 7",
            ),
            (
                b"a\r\nHost: b",
                "expected a token of letters, digits and - . _ ~ + / =, found another at byte 2",
            ),
        ] {
            let parsed = Token::parse(file);
            assert!(!format!("{parsed:?}").contains("secret"));
            let said = match parsed {
                Ok(token) => token.header().to_str().unwrap().to_owned(),
                Err(error) => error.to_string(),
            };
            assert_eq!(said, expected);
        }
    }
}
