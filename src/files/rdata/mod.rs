//! RDATA: from what stands behind a record's type to wire octets, uncompressed, names absolute.
//!
//! The crate `domain` reads the types that it has; nothing of it leaves this folder. What it lacks or reads
//! otherwise than NSD and Knot is read here: `layout` (URI, SPF, AFSDB, …), `loc`, and `svcb`, whose keys with
//! a `9` or a `z` and whose escaped protocols `domain` refuses.

mod apl;
mod fields;
mod layout;
mod loc;
mod scanner;
mod svcb;
mod type_bitmap;

use std::ops::Range;
use std::str::FromStr;

use domain::base::iana::Rtype;

use crate::files::lexer::{Fault, Token, decimal};
use crate::files::rdata::fields::Fields;
use crate::wire::name::wire_len;
use crate::zone::record::rtype as known;

/// The first of the types that are questions or accompany messages and are never stored (RFC 6895 §3.1).
const META_FIRST: u16 = 128;
/// The last of them.
const META_LAST: u16 = 255;

/// The type that `word` names, in either case: a mnemonic, or `TYPE123` (RFC 3597 §5).
pub(in crate::files) fn rtype(word: &str) -> Option<u16> {
    let numbered = word.get(..4).filter(|front| front.eq_ignore_ascii_case("type"));
    if numbered.is_some() {
        return decimal(&word[4..]).and_then(|number| u16::try_from(number).ok());
    }
    layout::rtype(word).or_else(|| Rtype::from_str(word).ok().map(Rtype::to_int))
}

/// How a type is written.
pub(in crate::files) fn mnemonic(rtype: u16) -> String {
    layout::mnemonic(rtype).map_or_else(|| Rtype::from_int(rtype).to_string(), str::to_string)
}

/// RDATA (uncompressed wire octets of `rtype`) as a master file has it.
pub(in crate::files) fn written(rtype: u16, wire: &[u8]) -> String {
    scanner::written(rtype, wire)
}

/// Whether no zone can hold records of this type: it stands in messages alone.
pub(in crate::files) fn is_meta(rtype: u16) -> bool {
    matches!(rtype, 0 | known::OPT | META_FIRST..=META_LAST)
}

/// The RDATA of a record of `rtype`, whose fields are `tokens`, behind the type at `at`.
///
/// `origin` (wire octets) completes relative names.
pub(in crate::files) fn read(
    rtype: u16,
    text: &str,
    tokens: &[Token],
    at: Range<usize>,
    origin: &[u8],
) -> Result<Box<[u8]>, Fault> {
    let mut fields = Fields::new(text, origin, tokens, at);
    if fields.peek().is_some_and(|token| token.is_word() && token.written(text) == "\\#") {
        return generic(rtype, &mut fields);
    }
    let mut out = Vec::new();
    let read = match rtype {
        known::LOC => loc::read(&mut fields, &mut out),
        known::SVCB | known::HTTPS => service_binding(&mut fields, &mut out),
        _ => match layout::of(rtype) {
            Some(layout) => layout.read(&mut fields, &mut out),
            None => scanner::read(rtype, &mut fields, &mut out),
        },
    };
    read.map_err(|fault| written_as(rtype, fault))?;
    if fields.take().is_some() {
        return Err(written_as(rtype, fields.fault(&format!("`%` is more than {} holds", a(rtype)))));
    }
    Ok(out.into())
}

/// Priority, target and parameters (RFC 9460 §2.1).
fn service_binding(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.extend(&fields.number("priority", u16::MAX.into())?.to_be_bytes()[2..]);
    fields.name("target", out)?;
    svcb::read(fields, out)
}

/// `\# length hex` (RFC 3597 §5): any type; of a known one it must be what its text form could have given.
fn generic(rtype: u16, fields: &mut Fields<'_>) -> Result<Box<[u8]>, Fault> {
    let marker = fields.take().map(|token| token.span());
    let len = fields.number("length", u16::MAX.into())?;
    let length = fields.last();
    let mut out = Vec::new();
    fields.hex(&mut out)?;
    if out.len() != len as usize {
        return Err(Fault::new(length, format!("the length says {len}, and {} octets follow", out.len())));
    }
    if !is_sound(rtype, &out) {
        let span = marker.unwrap_or(length);
        let fault = Fault::new(span, format!("these octets are no data of {}", a(rtype)));
        return Err(match layout::fields(rtype) {
            Some(fields) => fault.remedy(format!("write it in its own form: `{fields}`")),
            None => fault,
        });
    }
    Ok(out.into())
}

/// Whether `wire` is of the form of `rtype`, where that is known.
fn is_sound(rtype: u16, wire: &[u8]) -> bool {
    match rtype {
        known::LOC => loc::is_sound(wire),
        known::SVCB | known::HTTPS => {
            let target = wire.get(2..).and_then(wire_len);
            target.is_some_and(|target| svcb::is_sound(&wire[2 + target..]))
        }
        _ => match layout::of(rtype) {
            Some(layout) => layout.is_sound(wire),
            None => scanner::is_sound(rtype, wire),
        },
    }
}

/// `an MX`, `a TXT`.
pub(in crate::files) fn a(rtype: u16) -> String {
    let mnemonic = mnemonic(rtype);
    let spelt_with_vowel = mnemonic.starts_with(['A', 'E', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X']);
    let spoken_as_word =
        ["HIP", "LOC", "MAILA", "MAILB", "NAPTR", "NULL", "RESINFO", "SIG"].contains(&&*mnemonic);
    let article = if spelt_with_vowel && !spoken_as_word { "an" } else { "a" };
    format!("{article} {mnemonic}")
}

/// The same mistake, with how the type is written.
fn written_as(rtype: u16, fault: Fault) -> Fault {
    match (&fault.remedy, layout::fields(rtype)) {
        (None, Some(fields)) => fault.remedy(format!("{} is written `{fields}`", a(rtype))),
        _ => fault,
    }
}
