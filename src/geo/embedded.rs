//! The country of every address as the regional registries record it: what maps the world where operators configure no
//! database. Made by `examples/embed_countries.rs`, compiled into the program.
//!
//! ```text
//! steerdns country table 1            lines of text: what it is, from whom, of when, under which licence
//! source: ...
//!                                     an empty line, then one Zstandard frame (RFC 8878):
//! n (1 octet), n country codes        the places; place 0 is nothing known
//! IPv4, then IPv6 by upper halves:
//!   count (4 octets, big-endian)      of stretches
//!   count lengths                     LEB128; the last one, which ends the family, is 0
//!   count places (1 octet each)
//! ```

use std::fmt;
use std::io::Read;

use ruzstd::decoding::StreamingDecoder;

use super::database::{self, Database};
use super::place::{Country, Place};
use super::places::{Places, Stretch, extend};

static TABLE: &[u8] = include_bytes!("../../geoip/countries.table");

/// What the first line of a table says.
const FORMAT: &str = "steerdns country table 1";

/// More than the table ever unpacks to: half a million stretches of a few octets.
const UNPACKED_OCTETS_MAX: u64 = 16 << 20;

/// Where the embedded table comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The data that it was made of.
    pub source: &'static str,
    /// The day of that data, such as `2026-06-17`.
    pub date: &'static str,
    /// The same in seconds since 1970.
    pub build_epoch: u64,
    /// The licence of the data.
    pub licence: &'static str,
    /// Whose they are.
    pub copyright: &'static str,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, {} ({})", self.source, self.date, self.licence, self.copyright)
    }
}

/// Where the embedded table comes from.
pub fn about() -> About {
    about_of(TABLE).expect("the table is compiled in, and a test reads it")
}

/// The embedded table as a database. It is unpacked anew at each call: some 20 ms.
pub fn database() -> Database {
    let about = about();
    let places = places_of(TABLE).expect("the table is compiled in, and a test reads it");
    let about = database::About {
        kind: "country table".into(),
        build_epoch: about.build_epoch,
        octets: TABLE.len(),
        networks: (places.v4.len() + places.v6.len()) as u64,
        records: places.known.len() - 1,
        ipv4: true,
        ipv6: true,
    };
    Database::made("embedded country table", about, places)
}

/// The header's lines and what follows the empty one.
fn split(table: &[u8]) -> Option<(&str, &[u8])> {
    let end = table.windows(2).position(|pair| pair == b"\n\n")?;
    Some((std::str::from_utf8(&table[..end]).ok()?, &table[end + 2..]))
}

fn about_of(table: &'static [u8]) -> Option<About> {
    let (header, _) = split(table)?;
    let mut lines = header.lines();
    if lines.next()? != FORMAT {
        return None;
    }
    let value = |key: &str| lines.clone().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    Some(About {
        source: value("source")?,
        date: value("date")?,
        build_epoch: value("build-epoch")?.parse().ok()?,
        licence: value("licence")?,
        copyright: value("copyright")?,
    })
}

fn places_of(table: &[u8]) -> Option<Places> {
    let (_, frame) = split(table)?;
    let mut unpacked = Vec::new();
    StreamingDecoder::new(frame).ok()?.take(UNPACKED_OCTETS_MAX).read_to_end(&mut unpacked).ok()?;
    let (codes, rest) =
        unpacked.split_first().and_then(|(&n, rest)| rest.split_at_checked(usize::from(n) * 2))?;
    let mut known = vec![Place::default()];
    for code in codes.chunks_exact(2) {
        let country = Country::parse(std::str::from_utf8(code).ok()?);
        known.push(Place { country, ..Place::default() });
    }
    let (v4, rest) = stretches(rest, known.len())?;
    let (v6, rest) = stretches(rest, known.len())?;
    rest.is_empty().then(|| Places { known, v4: v4.into(), v6: v6.into() })
}

/// One family, whose addresses are `A`s, and what follows it.
fn stretches<A: TryFrom<u64>>(octets: &[u8], places: usize) -> Option<(Vec<Stretch<A>>, &[u8])> {
    let (count, mut rest) = octets.split_first_chunk()?;
    let count = u32::from_be_bytes(*count) as usize;
    let mut starts = Vec::with_capacity(count.min(octets.len()));
    let mut next: u64 = 0;
    for _ in 0..count {
        starts.push(A::try_from(next).ok()?);
        next = next.checked_add(leb128(&mut rest)?)?;
    }
    let (ids, rest) = rest.split_at_checked(count)?;
    let mut stretches = Vec::with_capacity(count);
    for (start, &id) in starts.into_iter().zip(ids) {
        (usize::from(id) < places).then(|| extend(&mut stretches, start, id.into()))?;
    }
    (!stretches.is_empty()).then_some((stretches, rest))
}

/// A number of 7 bits an octet, the lowest first.
fn leb128(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn country(places: &Places, address: &str) -> String {
        let place = places.at(address.parse::<IpAddr>().unwrap());
        place.country.map_or_else(|| "-".into(), |country| country.to_string())
    }

    #[test]
    fn it_says_whence_it_comes() {
        let about = about();
        assert!(about.source.contains("registr") && about.copyright.contains("nro.net"));
        assert_eq!(about.licence, "CC BY 4.0");
        assert_eq!(about.date.len(), 10);
    }

    #[test]
    fn it_knows_addresses_of_every_continent() {
        let database = database();
        for (address, code) in [
            ("193.0.6.139", "NL"),
            ("200.160.2.3", "BR"),
            ("196.216.2.1", "ZA"),
            ("133.1.2.3", "JP"),
            ("8.8.8.8", "US"),
            ("1.0.0.1", "AU"),
            ("2001:67c:2e8::1", "NL"),
            ("2804:14d::1", "BR"),
            ("192.168.1.1", "-"),
        ] {
            assert_eq!(country(database.places(), address), code, "{address}");
        }
    }

    #[test]
    fn it_covers_nine_tenths_of_what_can_be_routed() {
        let places = database().places().clone();
        // Left out: 0/8, 10/8, 127/8, 224/3: never routed.
        let routable = |address: u32| ![0, 10, 127].contains(&(address >> 24)) && address >> 29 != 7;
        let sample = (0..1 << 20).map(|n: u32| n << 12 | 1).filter(|address| routable(*address));
        let (mut known, mut all) = (0, 0);
        for address in sample {
            all += 1;
            known += u32::from(places.at(IpAddr::from(address.to_be_bytes())).country.is_some());
        }
        assert!(f64::from(known) / f64::from(all) > 0.9, "{known} of {all}");
    }

    #[test]
    fn a_damaged_table_is_refused_whole() {
        assert!(places_of(b"steerdns country table 1\n\n").is_none());
        for cut in [1, 100, TABLE.len() / 2] {
            assert!(places_of(&TABLE[..TABLE.len() - cut]).is_none(), "{cut}");
        }
    }
}
