//! A set of record types as windows of bits (RFC 4034 §4.1.2).

use std::collections::BTreeMap;

use crate::files::lexer::Fault;
use crate::files::rdata::fields::Fields;
use crate::files::rdata::rtype;

/// Reads type names to the end of the record and writes their windows behind `out`.
pub(super) fn read(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut windows: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while fields.peek().is_some() {
        let word = fields.word("type")?;
        let [window, bit] =
            rtype(word).ok_or_else(|| fields.fault("no record type is called `%`"))?.to_be_bytes();
        let bits = windows.entry(window).or_default();
        let octet = usize::from(bit / 8);
        if bits.len() <= octet {
            bits.resize(octet + 1, 0);
        }
        bits[octet] |= 0x80 >> (bit % 8);
    }
    for (window, bits) in windows {
        out.push(window);
        out.push(u8::try_from(bits.len()).expect("at most 32 octets hold 256 bits"));
        out.extend(bits);
    }
    Ok(())
}

/// Whether `wire` is such a set: windows rising, each of 1 to 32 octets.
pub(super) fn is_sound(mut wire: &[u8]) -> bool {
    let mut before = None;
    while !wire.is_empty() {
        let [window, len, rest @ ..] = wire else { return false };
        let len = usize::from(*len);
        if before >= Some(*window) || !(1..=32).contains(&len) || rest.len() < len {
            return false;
        }
        before = Some(*window);
        wire = &rest[len..];
    }
    true
}
