//! Whether octets are those of before, told by a number that is kept.

use sha2::{Digest as _, Sha256};

/// The beginning of a SHA-256 of all `parts`, one behind the other: the same on every machine, in every version.
pub fn digest<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> u64 {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    u64::from_be_bytes(*hash.finalize().first_chunk().expect("32 octets"))
}

#[cfg(test)]
mod tests {
    use super::digest;

    /// FIPS 180-2 Appendix B.1.
    #[test]
    fn it_is_that_of_the_standard() {
        assert_eq!(digest([&b"a"[..], b"bc"]), 0xba78_16bf_8f01_cfea);
    }
}
