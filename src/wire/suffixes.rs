//! Compression (RFC 1035 §4.1.4): what of a name stands in the message already.

use std::collections::HashMap;

/// The farthest that a pointer reaches: 14 bits.
pub const POINTER_REACH: usize = 0x3fff;

/// Suffixes of names, and where they stand in a message.
#[derive(Clone, Debug, Default)]
pub struct Suffixes {
    known: HashMap<Box<[u8]>, u16>,
    /// Whether letters are told apart by their case.
    exact: bool,
}

impl Suffixes {
    /// Of a message in which names keep their case (RFC 5936 §3.4).
    pub fn exact() -> Suffixes {
        Suffixes { exact: true, ..Suffixes::default() }
    }

    /// As names are compared here.
    fn key(&self, octets: &[u8]) -> Box<[u8]> {
        if self.exact { octets.into() } else { octets.to_ascii_lowercase().into() }
    }

    /// A name stands at `at`, uncompressed; so do all its suffixes.
    pub fn stands(&mut self, octets: &[u8], at: usize) {
        let mut label = 0;
        while octets[label] != 0 {
            self.known.insert(self.key(&octets[label..]), (at + label) as u16);
            label += 1 + usize::from(octets[label]);
        }
    }

    /// Where a name stands, given in lower case unless they are told apart.
    pub fn at(&self, octets: &[u8]) -> Option<u16> {
        self.known.get(octets).copied()
    }

    /// Appends a name to `body`, which begins at `before` in the message, as short as it gets; gives where in `body` the pointer
    /// stands that ends it, if one does. Names that begin beyond `reach` are not pointed at later.
    pub fn write(&mut self, octets: &[u8], body: &mut Vec<u8>, before: usize, reach: usize) -> Option<usize> {
        let key = self.key(octets);
        let mut at = 0;
        while octets[at] != 0 {
            if let Some(offset) = self.at(&key[at..]) {
                let pointer = body.len();
                body.extend((0xc000 | offset).to_be_bytes());
                return Some(pointer);
            }
            let offset = before + body.len();
            if offset <= reach {
                self.known.insert(key[at..].into(), offset as u16);
            }
            let next = at + 1 + usize::from(octets[at]);
            body.extend(&octets[at..next]);
            at = next;
        }
        body.push(0);
        None
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}

/// How many octets stand before the names of RDATA that may be compressed, and how many such names there are: RFC 3597 §4
/// allows it in types of RFC 1035 alone.
pub fn compressible(rtype: u16, rdata: &[u8]) -> (usize, usize) {
    let (fixed, names) = match rtype {
        2 | 5 | 12 => (0, 1), // NS, CNAME, PTR
        15 => (2, 1),         // MX
        6 => (0, 2),          // SOA
        _ => (rdata.len(), 0),
    };
    (fixed.min(rdata.len()), names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_with_a_pointer_to_the_longest_suffix_that_stands() {
        let (mut suffixes, mut body) = (Suffixes::default(), Vec::new());
        suffixes.stands(b"\x01a\x07Example\0", 12);
        assert_eq!(suffixes.write(b"\x01b\x01A\x07eXample\0", &mut body, 30, POINTER_REACH), Some(2));
        assert_eq!(body, b"\x01b\xc0\x0c");
        assert_eq!(suffixes.write(b"\x01b\x01a\x07example\0", &mut body, 30, POINTER_REACH), Some(4));
        assert_eq!(body[4..], *b"\xc0\x1e");
        assert_eq!(suffixes.write(b"\0", &mut body, 30, POINTER_REACH), None);
        assert_eq!(body[6..], *b"\0");
    }

    #[test]
    fn where_case_is_kept_another_case_is_another_name() {
        let (mut suffixes, mut body) = (Suffixes::exact(), Vec::new());
        suffixes.stands(b"\x07EXAMPLE\0", 12);
        assert_eq!(suffixes.write(b"\x01a\x07example\0", &mut body, 30, POINTER_REACH), None);
        assert_eq!(suffixes.write(b"\x01b\x07example\0", &mut body, 30, POINTER_REACH), Some(13));
    }

    #[test]
    fn beyond_its_reach_nothing_is_pointed_at() {
        let (mut suffixes, mut body) = (Suffixes::default(), Vec::new());
        assert_eq!(suffixes.write(b"\x01a\0", &mut body, 100, 99), None);
        assert_eq!(suffixes.write(b"\x01a\0", &mut body, 100, 99), None);
        assert_eq!(body, b"\x01a\0\x01a\0");
    }
}
