//! Types whose RDATA is a row of plain fields: what `domain` lacks, as a table; and how all are written.

use crate::files::lexer::{Fault, decimal};
use crate::files::rdata::fields::Fields;
use crate::files::rdata::{apl, type_bitmap};
use crate::wire::name::wire_len;

/// One field of a row.
#[derive(Clone, Copy, Debug)]
enum Field {
    U8,
    U16,
    U32,
    /// An algorithm of DNSSEC, by number or name.
    Algorithm,
    /// A kind of certificate (RFC 4398 §2.1), by number or name.
    CertificateType,
    Ipv4,
    Name,
    String,
    /// One string or more, to the end of the record.
    Strings,
    /// One string or two.
    OneOrTwoStrings,
    /// The octets of one string without a length in front, to the end of the record.
    Rest,
    /// Hexadecimal digits to the end of the record.
    Hex,
    /// Base64 to the end of the record.
    Base64,
    /// Record types to the end of the record.
    Types,
    /// Address prefixes to the end of the record (RFC 3123).
    Prefixes,
    /// So many octets as pairs of hexadecimal digits with `-` between (RFC 7043).
    Pairs(usize),
    /// Four groups of hexadecimal digits with `:` between (RFC 6742 §2).
    Locator,
}

/// A row of fields.
pub(super) struct Layout {
    rtype: u16,
    mnemonic: &'static str,
    fields: &'static [(&'static str, Field)],
}

/// Names of DNSSEC algorithms (RFC 4034 appendix A.1 and its successors).
pub(super) const ALGORITHMS: [(&str, u8); 16] = [
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Names of kinds of certificates (RFC 4398 §2.1).
const CERTIFICATE_TYPES: [(&str, u16); 10] = [
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

const STRINGS: &[(&str, Field)] = &[("string", Field::Strings)];

/// The types read here. Those that `domain` knows by number alone have their mnemonics here, too.
const LAYOUTS: &[Layout] = &[
    row(18, "AFSDB", &[("subtype", Field::U16), ("hostname", Field::Name)]),
    row(19, "X25", &[("address", Field::String)]),
    row(20, "ISDN", &[("address", Field::OneOrTwoStrings)]),
    row(21, "RT", &[("preference", Field::U16), ("host", Field::Name)]),
    row(
        25,
        "KEY",
        &[
            ("flags", Field::U16),
            ("protocol", Field::U8),
            ("algorithm", Field::Algorithm),
            ("key", Field::Base64),
        ],
    ),
    row(26, "PX", &[("preference", Field::U16), ("map822", Field::Name), ("mapx400", Field::Name)]),
    row(
        27,
        "GPOS",
        &[("longitude", Field::String), ("latitude", Field::String), ("altitude", Field::String)],
    ),
    row(36, "KX", &[("preference", Field::U16), ("exchanger", Field::Name)]),
    row(
        37,
        "CERT",
        &[
            ("type", Field::CertificateType),
            ("key-tag", Field::U16),
            ("algorithm", Field::Algorithm),
            ("certificate", Field::Base64),
        ],
    ),
    row(42, "APL", &[("prefix", Field::Prefixes)]),
    row(49, "DHCID", &[("data", Field::Base64)]),
    row(
        53,
        "SMIMEA",
        &[
            ("usage", Field::U8),
            ("selector", Field::U8),
            ("matching-type", Field::U8),
            ("certificate", Field::Hex),
        ],
    ),
    row(56, "NINFO", STRINGS),
    row(62, "CSYNC", &[("serial", Field::U32), ("flags", Field::U16), ("type", Field::Types)]),
    row(99, "SPF", STRINGS),
    row(104, "NID", &[("preference", Field::U16), ("node", Field::Locator)]),
    row(105, "L32", &[("preference", Field::U16), ("locator", Field::Ipv4)]),
    row(106, "L64", &[("preference", Field::U16), ("locator", Field::Locator)]),
    row(107, "LP", &[("preference", Field::U16), ("name", Field::Name)]),
    row(108, "EUI48", &[("address", Field::Pairs(6))]),
    row(109, "EUI64", &[("address", Field::Pairs(8))]),
    row(256, "URI", &[("priority", Field::U16), ("weight", Field::U16), ("target", Field::Rest)]),
    row(258, "AVC", STRINGS),
    row(261, "RESINFO", STRINGS),
    row(262, "WALLET", STRINGS),
];

/// How the other types are written: what a sentence calls their fields.
const WRITTEN: &[(u16, &str)] = &[
    (1, "address"),
    (2, "nameserver"),
    (5, "target"),
    (6, "mname rname serial refresh retry expire minimum"),
    (12, "target"),
    (13, "cpu os"),
    (15, "preference exchange"),
    (16, "string …"),
    (17, "mailbox text-name"),
    (28, "address"),
    (29, "latitude longitude altitude"),
    (33, "priority weight port target"),
    (35, "order preference flags services regexp replacement"),
    (39, "target"),
    (43, "key-tag algorithm digest-type digest"),
    (44, "algorithm type fingerprint"),
    (45, "precedence gateway-type algorithm gateway key"),
    (48, "flags protocol algorithm key"),
    (52, "usage selector matching-type data"),
    (59, "key-tag algorithm digest-type digest"),
    (60, "flags protocol algorithm key"),
    (61, "key"),
    (63, "serial scheme algorithm digest"),
    (64, "priority target key=value …"),
    (65, "priority target key=value …"),
    (257, "flags tag value"),
];

const fn row(rtype: u16, mnemonic: &'static str, fields: &'static [(&'static str, Field)]) -> Layout {
    Layout { rtype, mnemonic, fields }
}

/// The row of a type that is read here.
pub(super) fn of(rtype: u16) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.rtype == rtype)
}

/// The type with a row here that `word` names.
pub(super) fn rtype(word: &str) -> Option<u16> {
    LAYOUTS.iter().find(|layout| layout.mnemonic.eq_ignore_ascii_case(word)).map(|layout| layout.rtype)
}

/// The mnemonic of a type with a row here.
pub(super) fn mnemonic(rtype: u16) -> Option<&'static str> {
    of(rtype).map(|layout| layout.mnemonic)
}

/// What the fields of a type are called, in their order.
pub(super) fn fields(rtype: u16) -> Option<String> {
    let written = WRITTEN.iter().find(|(known, _)| *known == rtype).map(|(_, fields)| (*fields).to_string());
    written.or_else(|| {
        let names: Vec<&str> = of(rtype)?.fields.iter().map(|(name, _)| *name).collect();
        Some(names.join(" "))
    })
}

impl Layout {
    /// Reads the row and writes its wire form behind `out`.
    pub(super) fn read(&self, fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        for (what, field) in self.fields {
            match field {
                Field::U8 => out.extend(&fields.number(what, u8::MAX.into())?.to_be_bytes()[3..]),
                Field::U16 => out.extend(&fields.number(what, u16::MAX.into())?.to_be_bytes()[2..]),
                Field::U32 => out.extend(fields.number(what, u32::MAX)?.to_be_bytes()),
                Field::Algorithm => out.push(named(fields, what, &ALGORITHMS)?),
                Field::CertificateType => out.extend(named(fields, what, &CERTIFICATE_TYPES)?.to_be_bytes()),
                Field::Ipv4 => out.extend(fields.ipv4(what)?.octets()),
                Field::Name => fields.name(what, out)?,
                Field::String => fields.string(what, out)?,
                Field::Strings => {
                    fields.string(what, out)?;
                    while fields.peek().is_some() {
                        fields.string(what, out)?;
                    }
                }
                Field::OneOrTwoStrings => {
                    fields.string(what, out)?;
                    if fields.peek().is_some() {
                        fields.string("subaddress", out)?;
                    }
                }
                Field::Rest => {
                    let octets = fields.needed(what)?.octets(fields.text);
                    out.extend(octets);
                    fields.bounded(out)?;
                }
                Field::Hex => {
                    let before = out.len();
                    fields.hex(out)?;
                    if out.len() == before {
                        fields.needed(what)?;
                    }
                }
                Field::Base64 => fields.base64(what, out)?,
                Field::Types => type_bitmap::read(fields, out)?,
                Field::Prefixes => apl::read(fields, out)?,
                Field::Pairs(octets) => groups(fields, what, '-', *octets, 2, out)?,
                Field::Locator => groups(fields, what, ':', 4, 4, out)?,
            }
        }
        Ok(())
    }

    /// Whether `wire` is such a row.
    pub(super) fn is_sound(&self, mut wire: &[u8]) -> bool {
        for (_, field) in self.fields {
            let taken = match field {
                Field::U8 => Some(1),
                Field::Algorithm => Some(1),
                Field::U16 | Field::CertificateType => Some(2),
                Field::U32 => Some(4),
                Field::Ipv4 => Some(4),
                Field::Locator => Some(8),
                Field::Pairs(octets) => Some(*octets),
                Field::Name => wire_len(wire),
                Field::String => string_len(wire),
                Field::Strings => strings_len(wire, usize::MAX),
                Field::OneOrTwoStrings => strings_len(wire, 2),
                Field::Rest => Some(wire.len()),
                Field::Hex | Field::Base64 => Some(wire.len()).filter(|&len| len > 0),
                Field::Types => type_bitmap::is_sound(wire).then_some(wire.len()),
                Field::Prefixes => apl::is_sound(wire).then_some(wire.len()),
            };
            match taken.and_then(|taken| wire.get(taken..)) {
                Some(rest) => wire = rest,
                None => return false,
            }
        }
        wire.is_empty()
    }
}

/// A number of `T`, or one of its names in either case.
fn named<T: Copy + TryFrom<u64>>(
    fields: &mut Fields<'_>,
    what: &str,
    names: &[(&str, T)],
) -> Result<T, Fault> {
    let word = fields.word(what)?;
    let name = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
    name.or_else(|| decimal(word).and_then(|number| T::try_from(number).ok()))
        .ok_or_else(|| fields.fault(&format!("`%` is no {what}: neither a number nor a known name")))
}

fn string_len(wire: &[u8]) -> Option<usize> {
    wire.first().map(|&len| 1 + usize::from(len))
}

fn strings_len(wire: &[u8], most: usize) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    while at < wire.len() {
        at += string_len(&wire[at..])?;
        count += 1;
    }
    (1..=most).contains(&count).then_some(at)
}

/// `count` groups of exactly `digits` hexadecimal digits, `between` between them.
fn groups(
    fields: &mut Fields<'_>,
    what: &str,
    between: char,
    count: usize,
    digits: usize,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let word = fields.word(what)?;
    let parts: Vec<&str> = word.split(between).collect();
    // A locator's groups may drop leading zeros (RFC 6742 §2.1.3), an EUI's may not (RFC 7043 §3.2).
    let fits = |part: &&str| match between {
        ':' => (1..=digits).contains(&part.len()),
        _ => part.len() == digits,
    };
    let is_hex = |part: &&str| part.bytes().all(|octet| octet.is_ascii_hexdigit());
    if parts.len() != count || !parts.iter().all(|part| fits(part) && is_hex(part)) {
        return Err(fields.fault(&format!(
            "`%` is no {what}: that is {count} groups of {digits} hexadecimal digits with `{between}` between"
        )));
    }
    for part in parts {
        let value = u16::from_str_radix(part, 16).expect("at most four hexadecimal digits");
        out.extend(&value.to_be_bytes()[2 - digits / 2..]);
    }
    Ok(())
}
