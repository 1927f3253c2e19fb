//! `domain`'s door: our fields as its `Scanner`, its record data as wire octets, its words as our sentences.

use std::convert::Infallible;
use std::fmt;

use domain::base::charstr::CharStr;
use domain::base::iana::Rtype;
use domain::base::name::{Name, ParsedName};
use domain::base::rdata::{ComposeRecordData, ParseRecordData};
use domain::base::scan::{ConvertSymbols, EntrySymbol, Scanner, ScannerError, Symbol};
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::dep::octseq::parse::Parser;
use domain::dep::octseq::str::Str;
use domain::rdata::ZoneRecordData;

use crate::files::lexer::{Fault, Token};
use crate::files::rdata::fields::{Fields, RDATA_OCTETS_MAX};
use crate::files::rdata::{a, layout};
use crate::files::ttl::seconds;
use crate::zone::record::rtype as known;

/// Reads the fields of a type that `domain` has and writes their wire form behind `out`.
pub(super) fn read(rtype: u16, fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut scan = Scan { fields, rtype };
    match ZoneRecordData::<Vec<u8>, Name<Vec<u8>>>::scan(Rtype::from_int(rtype), &mut scan) {
        Ok(data) => {
            data.compose_rdata(out).unwrap_or_else(|never: Infallible| match never {});
            fields.bounded(out)
        }
        Err(Said::Ours(fault)) => Err(fault),
        Err(Said::Theirs(what)) => Err(sentence(rtype, fields, what)),
    }
}

/// Whether `wire` is uncompressed data of a type; every octet string is, of one that `domain` has not.
pub(super) fn is_sound(rtype: u16, wire: &[u8]) -> bool {
    let mut parser = Parser::from_ref(wire);
    let data = ZoneRecordData::<&[u8], ParsedName<&[u8]>>::parse_rdata(Rtype::from_int(rtype), &mut parser);
    let Ok(Some(data)) = data else { return false };
    if matches!(data, ZoneRecordData::Unknown(_)) {
        return true;
    }
    // What is composed again is the same unless there were compressed names or octets behind the end.
    let mut again = Vec::new();
    data.compose_rdata(&mut again).unwrap_or_else(|never: Infallible| match never {});
    let least = match rtype {
        known::DS | known::CDS | known::DNSKEY | known::CDNSKEY => 5,
        known::TLSA => 4,
        known::SSHFP => 3,
        _ => 1,
    };
    again == wire && wire.len() >= least
}

/// RDATA as a master file has it; of a type that `domain` has not, in hexadecimal digits (RFC 3597 §5).
pub(super) fn written(rtype: u16, wire: &[u8]) -> String {
    let mut parser = Parser::from_ref(wire);
    let data = ZoneRecordData::<&[u8], ParsedName<&[u8]>>::parse_rdata(Rtype::from_int(rtype), &mut parser);
    match data {
        Ok(Some(data)) => data.display_zonefile(DisplayKind::Simple).to_string(),
        _ => {
            let digits: String = wire.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("\\# {} {digits}", wire.len())
        }
    }
}

/// Who found the mistake.
#[derive(Debug)]
enum Said {
    Ours(Fault),
    Theirs(&'static str),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Ours(fault) => f.write_str(&fault.what),
            Said::Theirs(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Said {}

impl From<Fault> for Said {
    fn from(fault: Fault) -> Said {
        Said::Ours(fault)
    }
}

impl ScannerError for Said {
    fn custom(msg: &'static str) -> Said {
        Said::Theirs(msg)
    }

    fn end_of_entry() -> Said {
        Said::Theirs("the record ends too early")
    }

    fn short_buf() -> Said {
        Said::Theirs("the record is too long")
    }

    fn trailing_tokens() -> Said {
        Said::Theirs("more than the record holds")
    }
}

/// What `domain` said of the last field taken, as a sentence that shows it.
fn sentence(rtype: u16, fields: &Fields<'_>, what: &str) -> Fault {
    let of = a(rtype);
    let field = field(rtype, fields.taken().saturating_sub(1));
    let sentence = match what {
        "expected decimal number" => format!("`%` is no {field}: a number ought to stand there"),
        "decimal number overflow" => format!("`%` is too large for the {field} of {of}"),
        "expected IPv4 address" => "`%` is no IPv4 address".to_string(),
        "expected IPv6 address" => "`%` is no IPv6 address".to_string(),
        "expected hex digits" => "`%` is not hexadecimal".to_string(),
        "uneven number of hex digits" => "an odd number of hexadecimal digits".to_string(),
        "illegal Base 64 data" | "trailing Base 64 data" => "`%` is not base64".to_string(),
        "incomplete Base 64 data" => "the base64 is cut short".to_string(),
        "unknown record type with concrete data" => {
            return Fault::new(fields.last(), format!("the text form of {of} is not known here"))
                .remedy("write its data as `\\# length hexadecimal` (RFC 3597)");
        }
        _ if what.starts_with("expected ") => format!("`%` is no {field} of {of}"),
        _ => format!("`%` does not fit {of}: {}", what.to_lowercase()),
    };
    fields.fault(&sentence)
}

/// What the field of that index is called; the last goes on to the end.
fn field(rtype: u16, index: usize) -> String {
    let names = layout::fields(rtype).unwrap_or_else(|| "field".to_string());
    let names: Vec<&str> = names.split(' ').filter(|name| *name != "…").collect();
    names.get(index).or(names.last()).map_or_else(String::new, |name| (*name).to_string())
}

/// The fields of one record, in the form in which `domain` asks for them.
struct Scan<'a, 'f> {
    fields: &'f mut Fields<'a>,
    rtype: u16,
}

impl Scan<'_, '_> {
    fn token(&mut self) -> Result<Token, Said> {
        let what = field(self.rtype, self.fields.taken());
        Ok(self.fields.needed(&what)?)
    }

    /// The symbols of the next token.
    fn symbols(&mut self) -> Result<Vec<Symbol>, Said> {
        let index = self.fields.taken();
        let token = self.token()?;
        if let Some(respelled) = self.respelled(index, token)? {
            return Ok(respelled.chars().map(Symbol::Char).collect());
        }
        Ok(symbols(token, self.fields.text).collect())
    }

    /// Times with units (SOA) and names of algorithms, as the numbers for which they stand.
    fn respelled(&self, index: usize, token: Token) -> Result<Option<String>, Said> {
        let written = token.written(self.fields.text);
        match (self.rtype, index) {
            (known::SOA, 3..=6) => match seconds(written) {
                Ok(seconds) => Ok(Some(seconds.to_string())),
                Err(_) => {
                    let what = field(known::SOA, index);
                    Err(self.fields.fault(&format!("`%` is no {what}: that is seconds, or `1h30m`")).into())
                }
            },
            (known::DS | known::CDS, 1) | (known::DNSKEY | known::CDNSKEY, 2) => {
                let named = layout::ALGORITHMS.iter().find(|(name, _)| name.eq_ignore_ascii_case(written));
                Ok(named.map(|(_, number)| number.to_string()))
            }
            _ => Ok(None),
        }
    }
}

fn symbols(token: Token, text: &str) -> impl Iterator<Item = Symbol> {
    token.symbols(text).map(|(octet, escaped)| match octet {
        0x21..=0x7e if !escaped => Symbol::Char(char::from(octet)),
        b' ' if !escaped => Symbol::Char(' '),
        _ => Symbol::DecimalEscape(octet),
    })
}

impl Scanner for Scan<'_, '_> {
    type Octets = Vec<u8>;
    type OctetsBuilder = Vec<u8>;
    type Name = Name<Vec<u8>>;
    type Error = Said;

    fn has_space(&self) -> bool {
        false
    }

    fn continues(&mut self) -> bool {
        self.fields.peek().is_some()
    }

    fn scan_symbols<F>(&mut self, mut op: F) -> Result<(), Said>
    where
        F: FnMut(Symbol) -> Result<(), Said>,
    {
        self.symbols()?.into_iter().try_for_each(&mut op)
    }

    fn scan_entry_symbols<F>(&mut self, mut op: F) -> Result<(), Said>
    where
        F: FnMut(EntrySymbol) -> Result<(), Said>,
    {
        while let Some(token) = self.fields.take() {
            symbols(token, self.fields.text).try_for_each(|symbol| op(symbol.into()))?;
            op(EntrySymbol::EndOfToken)?;
        }
        Ok(())
    }

    fn convert_token<C: ConvertSymbols<Symbol, Said>>(&mut self, mut convert: C) -> Result<Vec<u8>, Said> {
        let mut out = Vec::new();
        for symbol in self.symbols()? {
            out.extend(convert.process_symbol(symbol)?.unwrap_or_default());
        }
        out.extend(convert.process_tail()?.unwrap_or_default());
        Ok(out)
    }

    fn convert_entry<C: ConvertSymbols<EntrySymbol, Said>>(
        &mut self,
        mut convert: C,
    ) -> Result<Vec<u8>, Said> {
        // An IPSECKEY of algorithm 0 has no key (RFC 4025 §2.6); nothing else ends before its last field.
        if self.fields.peek().is_none() && Rtype::from_int(self.rtype) != Rtype::IPSECKEY {
            self.token()?;
        }
        let mut out = Vec::new();
        while let Some(token) = self.fields.take() {
            for symbol in symbols(token, self.fields.text) {
                out.extend(convert.process_symbol(symbol.into())?.unwrap_or_default());
            }
            self.fields.bounded(&out)?;
        }
        out.extend(convert.process_tail()?.unwrap_or_default());
        Ok(out)
    }

    fn scan_octets(&mut self) -> Result<Vec<u8>, Said> {
        let octets = self.token()?.octets(self.fields.text);
        self.fields.bounded(&octets)?;
        Ok(octets)
    }

    fn scan_ascii_str<F, T>(&mut self, op: F) -> Result<T, Said>
    where
        F: FnOnce(&str) -> Result<T, Said>,
    {
        let index = self.fields.taken();
        let token = self.token()?;
        match self.respelled(index, token)? {
            Some(respelled) => op(&respelled),
            // `str::parse` would take it; RFC 1035 numbers have no sign.
            None if token.written(self.fields.text).starts_with('+') => {
                Err(Said::Theirs("expected a number"))
            }
            None => op(token.written(self.fields.text)),
        }
    }

    fn scan_name(&mut self) -> Result<Name<Vec<u8>>, Said> {
        let what = field(self.rtype, self.fields.taken());
        let mut octets = Vec::new();
        self.fields.name(&what, &mut octets)?;
        Name::from_octets(octets).map_err(|_| Said::Theirs("a name that is none"))
    }

    fn scan_charstr(&mut self) -> Result<CharStr<Vec<u8>>, Said> {
        let what = field(self.rtype, self.fields.taken());
        let mut octets = Vec::new();
        self.fields.string(&what, &mut octets)?;
        octets.remove(0);
        CharStr::from_octets(octets).map_err(|_| Said::Theirs("a string that is too long"))
    }

    fn scan_string(&mut self) -> Result<Str<Vec<u8>>, Said> {
        let octets = self.scan_octets()?;
        Str::from_utf8(octets).map_err(|_| Said::Theirs("not UTF-8"))
    }

    fn scan_charstr_entry(&mut self) -> Result<Vec<u8>, Said> {
        let what = field(self.rtype, self.fields.taken());
        let mut out = Vec::new();
        while self.fields.peek().is_some() && out.len() <= RDATA_OCTETS_MAX {
            self.fields.string(&what, &mut out)?;
        }
        if out.is_empty() {
            self.fields.needed(&what)?;
        }
        Ok(out)
    }

    fn scan_opt_unknown_marker(&mut self) -> Result<bool, Said> {
        Ok(false) // `\#` was seen to before, for all types alike
    }

    fn octets_builder(&mut self) -> Result<Vec<u8>, Said> {
        Ok(Vec::new())
    }
}
