//! SvcParams of SVCB and HTTPS records (RFC 9460 §2.1, §7, appendix A).

use std::collections::BTreeMap;

use domain::utils::base64;

use crate::files::lexer::{Fault, Token, decimal};
use crate::files::rdata::fields::Fields;

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;

/// The registered keys that have a name.
const KEYS: [(&str, u16); 9] = [
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6HINT),
    ("dohpath", DOHPATH),
    ("ohttp", OHTTP),
];

/// Reads the parameters to the end of the record and writes them behind `out`, in the order of their keys.
pub(super) fn read(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut params: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    let mut mandatory: Option<Token> = None;
    while let Some(token) = fields.take() {
        let written = token.written(fields.text);
        let (word, has_value) = match written.split_once('=') {
            Some((word, _)) if !token.is_quoted() => (word, true),
            _ => (written, false),
        };
        let Some(key) = key(word).filter(|_| !token.is_quoted()) else {
            return Err(fields.fault("`%` begins with no SvcParamKey").remedy(
                "the keys are `mandatory`, `alpn`, `no-default-alpn`, `port`, `ipv4hint`, `ech`, `ipv6hint`, \
                 `dohpath`, `ohttp`, and `key0` to `key65535`",
            ));
        };
        let mut octets: Vec<(u8, bool)> = token.symbols(fields.text).collect();
        octets.drain(..(word.len() + usize::from(has_value)).min(octets.len()));
        let plain: Vec<u8> = octets.iter().map(|&(octet, _)| octet).collect();
        if key == MANDATORY {
            mandatory = Some(token);
        }
        let generic = word.starts_with("key");
        let value = if generic && is_sound_value(key, &plain) { Some(plain) } else { value(key, &plain) };
        let value =
            value.ok_or_else(|| fields.fault("`%` has no value of its key's form").remedy(form(key)))?;
        if params.insert(key, value).is_some() {
            return Err(fields
                .fault("`%` gives a key for the second time")
                .remedy("a key stands once (RFC 9460 §2.1)"));
        }
    }
    let listed = params.get(&MANDATORY).map_or(&[][..], Vec::as_slice);
    for pair in listed.chunks_exact(2) {
        let key = u16::from_be_bytes([pair[0], pair[1]]);
        if !params.contains_key(&key) {
            let span = mandatory.map_or_else(|| fields.last(), |token| token.span());
            return Err(Fault::new(
                span,
                format!("`mandatory` lists `{}`, which the record lacks", word(key)),
            )
            .remedy("add that key, or take it out of the list (RFC 9460 §8)"));
        }
    }
    for (key, value) in params {
        out.extend(key.to_be_bytes());
        let len = u16::try_from(value.len())
            .map_err(|_| fields.fault("a SvcParamValue of more than 65535 octets"))?;
        out.extend(len.to_be_bytes());
        out.extend(value);
    }
    fields.bounded(out)
}

/// Whether `wire` is a list of parameters: keys strictly rising, values of the form that their keys ask.
pub(super) fn is_sound(mut wire: &[u8]) -> bool {
    let mut before = None;
    while !wire.is_empty() {
        let [k0, k1, l0, l1, rest @ ..] = wire else { return false };
        let (key, len) = (u16::from_be_bytes([*k0, *k1]), usize::from(u16::from_be_bytes([*l0, *l1])));
        if before >= Some(key) || rest.len() < len || !is_sound_value(key, &rest[..len]) {
            return false;
        }
        before = Some(key);
        wire = &rest[len..];
    }
    true
}

fn key(word: &str) -> Option<u16> {
    if let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == word) {
        return Some(*key);
    }
    decimal(word.strip_prefix("key")?).and_then(|key| u16::try_from(key).ok())
}

fn word(key: u16) -> String {
    KEYS.iter()
        .find(|(_, known)| *known == key)
        .map_or_else(|| format!("key{key}"), |(name, _)| (*name).to_string())
}

/// The sentence that tells what a key's value looks like.
fn form(key: u16) -> &'static str {
    match key {
        MANDATORY => "`mandatory` takes other keys of the record, each once, with commas between",
        ALPN => "`alpn` takes protocols of 1 to 255 octets, with commas between",
        NO_DEFAULT_ALPN | OHTTP => "this key takes no value",
        PORT => "`port` takes a number from 0 to 65535",
        IPV4HINT => "`ipv4hint` takes IPv4 addresses, with commas between",
        ECH => "`ech` takes base64",
        IPV6HINT => "`ipv6hint` takes IPv6 addresses, with commas between",
        DOHPATH => "`dohpath` takes a URI template with `{?dns}` in it (RFC 9461 §5)",
        _ => "a value of at most 65535 octets",
    }
}

/// The wire form of a value whose char-string escapes are resolved; `None` where it is not of the key's form.
fn value(key: u16, plain: &[u8]) -> Option<Vec<u8>> {
    let text = || std::str::from_utf8(plain).ok();
    match key {
        MANDATORY => {
            let mut keys = text()?.split(',').map(self::key).collect::<Option<Vec<u16>>>()?;
            keys.sort_unstable();
            let once = keys.windows(2).all(|pair| pair[0] != pair[1]) && keys.first() != Some(&MANDATORY);
            once.then(|| keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => {
            let mut wire = Vec::new();
            for id in list(plain)? {
                wire.push(u8::try_from(id.len()).ok().filter(|&len| len > 0)?);
                wire.extend(id);
            }
            Some(wire)
        }
        PORT => Some(u16::try_from(decimal(text()?)?).ok()?.to_be_bytes().to_vec()),
        IPV4HINT => text()?.split(',').try_fold(Vec::new(), |mut wire, address| {
            wire.extend(address.parse::<std::net::Ipv4Addr>().ok()?.octets());
            Some(wire)
        }),
        ECH => base64::decode::<Vec<u8>>(text()?).ok().filter(|octets| !octets.is_empty()),
        IPV6HINT => text()?.split(',').try_fold(Vec::new(), |mut wire, address| {
            wire.extend(address.parse::<std::net::Ipv6Addr>().ok()?.octets());
            Some(wire)
        }),
        _ => is_sound_value(key, plain).then(|| plain.to_vec()),
    }
}

fn is_sound_value(key: u16, wire: &[u8]) -> bool {
    match key {
        MANDATORY => {
            let keys: Vec<u16> =
                wire.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            !keys.is_empty()
                && wire.len().is_multiple_of(2)
                && keys[0] != MANDATORY
                && keys.windows(2).all(|pair| pair[0] < pair[1])
        }
        ALPN => strings(wire),
        NO_DEFAULT_ALPN | OHTTP => wire.is_empty(),
        PORT => wire.len() == 2,
        IPV4HINT => !wire.is_empty() && wire.len().is_multiple_of(4),
        ECH => !wire.is_empty(),
        IPV6HINT => !wire.is_empty() && wire.len().is_multiple_of(16),
        DOHPATH => std::str::from_utf8(wire).is_ok_and(|path| path.contains("{?dns}")),
        _ => true,
    }
}

/// Whether `wire` is a list of strings, none empty, each with its length in front.
fn strings(mut wire: &[u8]) -> bool {
    let some = !wire.is_empty();
    while let Some((&len, rest)) = wire.split_first() {
        if len == 0 || rest.len() < usize::from(len) {
            return false;
        }
        wire = &rest[usize::from(len)..];
    }
    some
}

/// The items of a comma-separated list, in which `\,` and `\\` stand for themselves (RFC 9460 appendix A.1).
fn list(plain: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut items = vec![Vec::new()];
    let mut octets = plain.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b',' => items.push(Vec::new()),
            b'\\' => {
                let escaped = octets.next().filter(|octet| matches!(octet, b',' | b'\\'))?;
                items.last_mut()?.push(*escaped);
            }
            _ => items.last_mut()?.push(octet),
        }
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_within_an_item_are_escaped() {
        assert_eq!(list(br"f\\oo\,bar,h2"), Some(vec![br"f\oo,bar".to_vec(), b"h2".to_vec()]));
        assert_eq!(list(br"a\b"), None);
        assert_eq!(list(b"a,,b").map(|items| items.len()), Some(3));
    }

    #[test]
    fn keys_have_names_or_numbers() {
        assert_eq!(key("alpn"), Some(1));
        assert_eq!(key("key65279"), Some(65_279));
        for bad in ["ALPN", "key", "key65536", "key+1", "zoo"] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_wire_form_has_rising_keys() {
        assert!(is_sound(b""));
        assert!(is_sound(&[0, 1, 0, 3, 2, b'h', b'2', 0, 3, 0, 2, 1, 187]));
        assert!(!is_sound(&[0, 3, 0, 2, 1, 187, 0, 1, 0, 3, 2, b'h', b'2']));
        assert!(!is_sound(&[0, 3, 0, 2, 1]));
        assert!(!is_sound(&[0, 0, 0, 2, 0, 0]));
    }
}
