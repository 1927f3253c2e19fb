//! APL: address prefixes (RFC 3123).

use std::net::IpAddr;

use crate::files::lexer::{Fault, decimal};
use crate::files::rdata::fields::Fields;

/// Reads `[!]family:address/length` to the end of the record (RFC 3123 §5).
pub(super) fn read(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    while fields.peek().is_some() {
        let word = fields.word("prefix")?;
        let item = item(word).ok_or_else(|| {
            fields
                .fault("`%` is no address prefix")
                .remedy("it is written `1:192.0.2.0/24` or `!2:2001:db8::/32`")
        })?;
        out.extend(item);
        fields.bounded(out)?;
    }
    Ok(())
}

fn item(word: &str) -> Option<Vec<u8>> {
    let (negated, word) = match word.strip_prefix('!') {
        Some(word) => (0x80, word),
        None => (0, word),
    };
    let (family, prefix) = word.split_once(':')?;
    let (address, bits) = prefix.split_once('/')?;
    let (family, octets, bits_max) = match (family, address.parse().ok()?) {
        ("1", IpAddr::V4(address)) => (1u16, address.octets().to_vec(), 32),
        ("2", IpAddr::V6(address)) => (2u16, address.octets().to_vec(), 128),
        _ => return None,
    };
    let bits = u8::try_from(decimal(bits)?).ok().filter(|&bits| bits <= bits_max)?;
    // Trailing zero octets are left out (RFC 3123 §4).
    let len = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    let mut wire = family.to_be_bytes().to_vec();
    wire.push(bits);
    wire.push(negated | u8::try_from(len).ok()?);
    wire.extend(&octets[..len]);
    Some(wire)
}

/// Whether `wire` is a row of prefixes.
pub(super) fn is_sound(mut wire: &[u8]) -> bool {
    while !wire.is_empty() {
        let [_, _, _, len, rest @ ..] = wire else { return false };
        let len = usize::from(len & 0x7f);
        if rest.len() < len || rest[..len].last() == Some(&0) {
            return false;
        }
        wire = &rest[len..];
    }
    true
}
