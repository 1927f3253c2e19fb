//! The head of a record: `[owner] [ttl] [class] type`, the TTL and the class in either order (RFC 1035 §5.1).

use std::ops::Range;

use crate::files::lexer::{Fault, Token, decimal, shown};
use crate::files::rdata;
use crate::files::ttl::{TTL_S_MAX, TimeError, seconds};
use crate::wire::name::Name;
use crate::zone::record::rtype;

/// What stands between a record's owner and its data.
pub(super) struct Head {
    /// The TTL, where one is written.
    pub(super) ttl_s: Option<u32>,
    /// The type.
    pub(super) rtype: u16,
    /// The octets of the type.
    pub(super) at: Range<usize>,
    /// The index of the first token of the data.
    pub(super) fields: usize,
}

impl Head {
    /// Reads `tokens` from `next` on, behind the owner if there is one; there is at least one token.
    pub(super) fn read(text: &str, tokens: &[Token], mut next: usize) -> Result<Head, Fault> {
        let (mut ttl, mut class) = (None, false);
        loop {
            let Some(&token) = tokens.get(next) else {
                let last = tokens[next - 1].span();
                return Err(Fault::new(last, "the record ends before its type")
                    .remedy("a record is `owner [ttl] [class] type data`"));
            };
            next += 1;
            let word = token.written(text);
            if !token.is_word() {
                let what = format!("`{}` stands where the type ought to", shown(&text[token.span()]));
                return Err(Fault::new(token.span(), what).remedy("types are not quoted"));
            }
            if word.starts_with(|first: char| first.is_ascii_digit()) {
                if ttl.replace(ttl_s(text, token)?).is_some() {
                    return Err(Fault::new(token.span(), "the record has two TTLs"));
                }
            } else if is_class(word) {
                if !matches!(word.to_ascii_uppercase().as_str(), "IN" | "CLASS1") {
                    return Err(Fault::new(token.span(), format!("a record of class `{}`", shown(word)))
                        .remedy("steerdns serves the class IN alone"));
                }
                if std::mem::replace(&mut class, true) {
                    return Err(Fault::new(token.span(), "the record has two classes"));
                }
            } else {
                let rtype = type_of(text, token)?;
                return Ok(Head { ttl_s: ttl, rtype, at: token.span(), fields: next });
            }
        }
    }
}

/// The name that `token` writes, completed by `origin`.
pub(super) fn name(text: &str, token: Token, origin: &Name) -> Result<Name, Fault> {
    let word = token.written(text);
    if !token.is_word() {
        let what = format!("`{}` is no name: names are not quoted", shown(&text[token.span()]));
        return Err(Fault::new(token.span(), what));
    }
    Name::parse(word, Some(origin))
        .map_err(|error| Fault::new(token.span(), format!("`{}` is no name: {error}", shown(word))))
}

/// The TTL that `token` writes.
pub(super) fn ttl_s(text: &str, token: Token) -> Result<u32, Fault> {
    let word = token.written(text);
    let fault = |what: &str| Fault::new(token.span(), format!("`{}` {what}", shown(word)));
    match seconds(word) {
        Ok(ttl_s) if ttl_s <= TTL_S_MAX => Ok(ttl_s),
        Ok(_) | Err(TimeError::Large) => {
            Err(fault("is too long for a TTL: 2147483647 is the most (RFC 2181 §8)"))
        }
        Err(TimeError::Form) => {
            Err(fault("is no TTL").remedy("write seconds, or numbers with units of `w d h m s`: `1h30m`"))
        }
    }
}

fn is_class(word: &str) -> bool {
    let numbered = word.get(..5).is_some_and(|front| front.eq_ignore_ascii_case("class"));
    let named = ["IN", "CH", "HS", "CS", "ANY", "NONE"].iter().any(|class| word.eq_ignore_ascii_case(class));
    named || (numbered && decimal(&word[5..]).is_some())
}

fn type_of(text: &str, token: Token) -> Result<u16, Fault> {
    let word = token.written(text);
    let Some(rtype) = rdata::rtype(word) else {
        let fault = Fault::new(token.span(), format!("no record type is called `{}`", shown(word)));
        if ["ALIAS", "ANAME"].iter().any(|other| word.eq_ignore_ascii_case(other)) {
            return Err(Fault::new(token.span(), format!("`{}`: steerdns resolves no name of others", shown(word)))
                .remedy("name it by CNAME; where that cannot stand, as at the apex, make it a service with clusters of its own"));
        }
        return Err(match nearest_type(word) {
            Some(near) => fault.remedy(format!("there is `{near}`")),
            None => fault.remedy("a type without a name here is written `TYPE123` (RFC 3597)"),
        });
    };
    if rdata::is_meta(rtype) {
        let what = format!("`{}` stands in messages, never in a zone", shown(word));
        return Err(Fault::new(token.span(), what));
    }
    if matches!(rtype, rtype::RRSIG | rtype::NSEC | rtype::NSEC3 | rtype::NSEC3PARAM) {
        let what = format!("steerdns serves no `{}` from a file", shown(word));
        return Err(Fault::new(token.span(), what)
            .remedy("its answers change, so signatures over a file cannot hold: give the unsigned zone"));
    }
    Ok(rtype)
}

/// The usual type whose name is nearest to `word`.
fn nearest_type(word: &str) -> Option<&'static str> {
    const USUAL: [&str; 24] = [
        "A", "AAAA", "CAA", "CDNSKEY", "CDS", "CNAME", "DNAME", "DNSKEY", "DS", "HINFO", "HTTPS", "LOC",
        "MX", "NAPTR", "NS", "PTR", "RP", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT",
    ];
    let word = word.to_ascii_uppercase();
    let near = USUAL.iter().map(|usual| (strsim::osa_distance(&word, usual), *usual)).min()?;
    (near.0 * 2 <= word.len()).then_some(near.1)
}
