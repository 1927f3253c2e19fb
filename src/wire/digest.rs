//! Whether octets are those of before, told by a number that is kept.

use sha2::{Digest as _, Sha256};

/// The beginning of a SHA-256 of all `parts`, one behind the other: the same on every machine, in every version.
pub fn digest<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> u64 {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    u64::from_be_bytes(*hash.finalize().first_chunk().expect("32 octets"))
}

/// A token that somebody must know. What is kept tells nobody what it is, and comparing takes as long whatever is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// Of the token itself.
    pub fn new(token: &str) -> Token {
        Token(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether it is this one. The digests are compared: how far they agree tells nothing of the token.
    pub fn is(&self, said: &str) -> bool {
        *self == Token::new(said)
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, digest};

    #[test]
    fn a_token_is_known_by_who_knows_all_of_it() {
        let token = Token::new("0123456789abcdef");
        assert!(token.is("0123456789abcdef"));
        assert!(!token.is("0123456789abcdee") && !token.is("") && !token.is("0123456789abcdef0"));
        assert!(!format!("{token:?}").contains("0123456789abcdef"));
    }

    /// FIPS 180-2 Appendix B.1.
    #[test]
    fn it_is_that_of_the_standard() {
        assert_eq!(digest([&b"a"[..], b"bc"]), 0xba78_16bf_8f01_cfea);
    }
}
