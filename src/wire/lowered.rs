//! The name of a question, lower-cased and hashed as it is read: what the zones are asked with.

use super::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};
use super::query::{BUFFER_MIN, HEADER};

type Words = [u64; NAME_OCTETS_MAX.div_ceil(8) + 1];

/// The name of a question in lower case, as words, with its hash: what the zones are asked with.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// Its octets, zeros behind them up to a whole word, and one word more.
    words: Words,
    len: usize,
    labels: usize,
    hash: u64,
}

impl Default for Lowered {
    fn default() -> Lowered {
        Lowered { words: [0; size_of::<Words>() / 8], len: 0, labels: 0, hash: 0 }
    }
}

impl Lowered {
    /// Reads the uncompressed name behind the header; gives where it ends, which may lie beyond the packet.
    #[inline]
    pub(super) fn read(&mut self, front: &[u8; BUFFER_MIN]) -> Option<usize> {
        let mut at = HEADER;
        let mut labels = 0;
        let mut longest = 0;
        loop {
            if at >= HEADER + NAME_OCTETS_MAX {
                return None;
            }
            let octet = usize::from(front[at]);
            at += 1 + octet;
            if octet == 0 {
                break;
            }
            longest |= octet;
            labels += 1;
        }
        // Any length above 63 has one of the two high bits.
        if longest > LABEL_OCTETS_MAX {
            return None;
        }
        self.len = at - HEADER;
        self.labels = labels;
        self.hash = fill(&mut self.words, &front[HEADER..], self.len);
        Some(at)
    }

    /// The name of these wire octets.
    pub fn of(octets: &[u8]) -> Lowered {
        let mut padded = [0; NAME_OCTETS_MAX + 9];
        padded[..octets.len()].copy_from_slice(octets);
        let mut name = Lowered::default();
        name.hash = fill(&mut name.words, &padded, octets.len());
        name.len = octets.len();
        let mut at = 0;
        while octets[at] != 0 {
            at += 1 + usize::from(octets[at]);
            name.labels += 1;
        }
        name
    }

    /// How many octets it has.
    #[inline]
    pub fn octet_count(&self) -> usize {
        self.len
    }

    /// How many labels it has, without the root label.
    #[inline]
    pub fn label_count(&self) -> usize {
        self.labels
    }

    /// Its hash: equal names have equal ones.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Its words: the octets, zeros behind them.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.words[..(self.len + 7) >> 3]
    }

    /// The octet at a place.
    #[inline]
    pub fn octet(&self, at: usize) -> u8 {
        (self.words[at / 8] >> (at % 8 * 8)) as u8
    }

    /// Whether its first label is `_why`.
    #[inline]
    pub fn starts_with_why(&self) -> bool {
        self.words[0] & 0xff_ffff_ffff == u64::from_le_bytes(*b"\x04_why\0\0\0")
    }

    /// Whether it is the name of these octets, which are in lower case.
    pub fn is(&self, octets: &[u8]) -> bool {
        self.len == octets.len() && octets.iter().enumerate().all(|(at, octet)| self.octet(at) == *octet)
    }

    /// The octets, copied.
    pub fn octets(&self) -> Vec<u8> {
        (0..self.len).map(|at| self.octet(at)).collect()
    }

    /// What is left of the name behind its first `octets` octets, which end a label.
    pub fn suffix(&self, octets: usize, into: &mut Lowered) {
        let len = self.len - octets;
        let (skip, shift) = (octets / 8, octets % 8 * 8);
        let mut hash = SEED ^ len as u64;
        for at in 0..len.div_ceil(8) {
            let low = self.words[skip + at] >> shift;
            let high = if shift == 0 { 0 } else { self.words[skip + at + 1] << (64 - shift) };
            into.words[at] = low | high; // behind the name are zeros already
            hash = fold(hash, into.words[at]);
        }
        into.hash = finish(hash);
        into.len = len;
    }
}

/// Lower-cases and hashes the first `len` octets of `name`, which is a word longer than they are at least.
#[inline]
fn fill(words: &mut Words, name: &[u8], len: usize) -> u64 {
    let mut hash = SEED ^ len as u64;
    let (octets, _) = name.as_chunks();
    let (whole, rest) = (len / 8, len % 8);
    for (word, octets) in words[..whole].iter_mut().zip(&octets[..whole]) {
        *word = lower(u64::from_le_bytes(*octets));
        hash = fold(hash, *word);
    }
    let last = lower(u64::from_le_bytes(octets[whole]) & !(u64::MAX << (8 * rest)));
    words[whole] = last;
    // `suffix` reads one word beyond.
    words[whole + 1] = 0;
    finish(if rest == 0 { hash } else { fold(hash, last) })
}

/// ASCII letters in lower case, eight octets at a time. Length octets are at most 63 and stay.
#[inline]
fn lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    let from_a = low + (0x80 - 0x41) * EACH;
    let above_z = low + (0x7f - 0x5a) * EACH;
    let upper = (from_a ^ above_z) & !word & (0x80 * EACH);
    word | upper >> 2
}

/// Names in the table are an operator's, not an attacker's: a fixed multiply-and-fold is enough, and the
/// table's probes are bounded by how it was filled.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn fold(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

#[inline]
fn finish(hash: u64) -> u64 {
    let mixed = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ mixed >> 29
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;
    use proptest::prelude::*;

    #[test]
    fn a_suffix_is_the_name_it_would_be_alone() {
        for text in ["a.bc.def.ghij.klmno.example.com.", "x.", "abcdefg.abcdefgh.abcdefghi.a."] {
            let whole = Name::parse(text, None).unwrap();
            let lowered = Lowered::of(whole.octets());
            let mut at = 0;
            let mut name = whole.clone();
            while let Some(parent) = name.parent() {
                at += 1 + name.labels().next().unwrap().len();
                name = parent;
                let mut suffix = Lowered::default();
                lowered.suffix(at, &mut suffix);
                let alone = Lowered::of(name.octets());
                assert_eq!((suffix.words(), suffix.hash()), (alone.words(), alone.hash()), "{name}");
            }
        }
    }

    proptest! {
        /// Upper and lower case are one name.
        #[test]
        fn case_does_not_matter(label in "[a-zA-Z0-9@\\[`{-]{1,63}") {
            let upper = Lowered::of(&[&[label.len() as u8], label.to_ascii_uppercase().as_bytes(), &[0]].concat());
            let lower = Lowered::of(&[&[label.len() as u8], label.to_ascii_lowercase().as_bytes(), &[0]].concat());
            prop_assert_eq!(upper.words(), lower.words());
            prop_assert_eq!(upper.hash(), lower.hash());
        }
    }
}
