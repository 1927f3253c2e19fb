//! A GeoIP database in MaxMind's format (.mmdb), read whole at load.

use std::fmt;
use std::net::IpAddr;

use maxminddb::{MaxMindDbError, Reader};

use super::layer::most;
use super::place::{Place, Prefix};
use super::places::{Catalogue, Places, Stretch, extend};
use super::record::Record;
use super::subdivisions::Names;
use super::tree::{self, Leaf, Tree, Walk};
use crate::both::both;

/// What one database says of every address. A file of IPv4 says nothing of IPv6, and an IPv6 network around ::/96 (where
/// IPv4 hangs in a file of both) nothing of IPv4.
///
/// Its octets are not kept: whatever is wrong with the file is found when it is read.
#[derive(Clone, Debug)]
pub struct Database {
    name: String,
    about: About,
    places: Places,
}

/// The facts about a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its own word for what it is, such as `GeoLite2-City`.
    pub kind: String,
    /// When it was built, in seconds since 1970.
    pub build_epoch: u64,
    /// The size of the file.
    pub octets: usize,
    /// Networks that it has a record for, both families together.
    pub networks: u64,
    /// Distinct records.
    pub records: usize,
    /// Whether it says anything of IPv4 addresses.
    pub ipv4: bool,
    /// Whether it says anything of IPv6 addresses.
    pub ipv6: bool,
}

/// Why a file cannot be used as a GeoIP database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseError {
    /// It is not a MaxMind database, or a broken one.
    Broken {
        /// The file.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// It is one, but no record of it holds anything that we read.
    Silent {
        /// The file.
        name: String,
        /// Its own word for what it is.
        kind: String,
    },
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseError::Broken { name, cause } => {
                write!(f, "`{name}` is not a readable GeoIP database: {cause}")
            }
            DatabaseError::Silent { name, kind } => write!(
                f,
                "`{name}` (`{kind}`) holds no country, subdivision, coordinates or AS number of any address"
            ),
        }
    }
}

impl std::error::Error for DatabaseError {}

impl Database {
    /// Reads a whole file; `name` is what operators know it by.
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<Database, DatabaseError> {
        let broken =
            |error: MaxMindDbError| DatabaseError::Broken { name: name.into(), cause: error.to_string() };
        let reader = Reader::from_source(bytes.as_slice()).map_err(broken)?;
        let metadata = reader.metadata();
        let (nodes, record_bits) = (metadata.node_count, metadata.record_size);
        let astray =
            |error: tree::Broken| DatabaseError::Broken { name: name.into(), cause: error.to_string() };
        let tree = Tree::new(&bytes, nodes, record_bits, metadata.ip_version == 6).map_err(astray)?;
        let (v4, v6) = both(|| tree.v4(), || tree.v6());
        let (v4, v6) = (v4.map_err(astray)?, v6.map_err(astray)?);

        let numbers = Numbers::of([&v4, &v6]);
        let places = decoded(&reader, &numbers.first).map_err(broken)?;
        let mut catalogue = Catalogue::with_capacity(places.len() + 1);
        let ids: Vec<u32> = places.into_iter().map(|place| catalogue.id(place)).collect();
        let id = |leaf: Leaf| match leaf {
            Leaf::Record(offset) => ids[numbers.of_record(offset)],
            Leaf::Nothing | Leaf::Divided(_) => 0,
        };
        let at = |walk: &Walk, leaf: Leaf| match leaf {
            Leaf::Divided(number) => {
                let parts = walk.divided[number as usize].iter();
                most(&parts.map(|&(leaf, addresses)| (id(leaf), addresses)).collect::<Vec<_>>())
            }
            leaf => id(leaf),
        };
        let stretched_v4 = || stretches(&v4, at, |key| (key >> 32) as u32);
        let (stretches_v4, stretches_v6) = both(stretched_v4, || stretches(&v6, at, |key| key));
        let knows = |walk: &Walk| walk.records.iter().any(|record| id(Leaf::Record(record.0)) != 0);
        let (ipv4, ipv6) = (knows(&v4), knows(&v6));
        let kind = metadata.database_type.clone();
        if !ipv4 && !ipv6 {
            return Err(DatabaseError::Silent { name: name.into(), kind });
        }
        let (octets, records, networks) = (bytes.len(), ids.len(), v4.networks + v6.networks);
        let about = About { kind, build_epoch: metadata.build_epoch, octets, networks, records, ipv4, ipv6 };
        let places = Places { known: catalogue.places, v4: stretches_v4.into(), v6: stretches_v6.into() };
        Ok(Database { name: name.into(), about, places })
    }

    /// A database that was not read from a file: the embedded one.
    pub(super) fn made(name: &str, about: About, places: Places) -> Database {
        Database { name: name.into(), about, places }
    }

    /// What operators know it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The facts about it.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What it says of every address.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What it says of `address`, and the widest network around it of which it says the same throughout;
    /// `None` where it knows nothing.
    pub fn lookup(&self, address: IpAddr) -> Option<(Place, Prefix)> {
        let place = *self.places.at(address);
        (place != Place::default()).then(|| (place, self.places.network(address)))
    }
}

/// The stretches of a family, which are walked by other keys.
fn stretches<A>(walk: &Walk, at: impl Fn(&Walk, Leaf) -> u32, start: impl Fn(u64) -> A) -> Vec<Stretch<A>> {
    let mut stretches = Vec::with_capacity(walk.runs.len());
    for &(key, leaf) in &walk.runs {
        extend(&mut stretches, start(key), at(walk, leaf));
    }
    stretches.shrink_to_fit();
    stretches
}

/// The places of records, of each of which one address is given.
fn decoded(reader: &Reader<&[u8]>, records: &[IpAddr]) -> Result<Vec<Place>, MaxMindDbError> {
    let names = Names::new();
    let place = |&address: &IpAddr| -> Result<Place, MaxMindDbError> {
        let record: Option<Record> = reader.lookup(address)?.decode()?;
        Ok(record.unwrap_or_default().place(&names))
    };
    let places = |records: &[IpAddr]| records.iter().map(place).collect::<Result<Vec<_>, _>>();
    let (first, second) = records.split_at(records.len() / 2);
    let (first, second) = both(|| places(first), || places(second));
    let mut first = first?;
    first.extend(second?);
    Ok(first)
}

/// The records of a database, numbered by their offsets in the data section without hashing: real ones have half a million records
/// for fifteen million networks.
struct Numbers {
    /// Bit by bit, by offset: whether a record is there.
    there: Vec<u64>,
    /// How many are there before each word.
    before: Vec<u32>,
    /// Of each record one address.
    first: Vec<IpAddr>,
}

impl Numbers {
    fn of(walks: [&Walk; 2]) -> Numbers {
        let records = || walks.iter().flat_map(|walk| &walk.records);
        let last = records().map(|record| record.0).max().unwrap_or(0);
        let mut there = vec![0_u64; last as usize / 64 + 1];
        for (offset, _) in records() {
            there[*offset as usize / 64] |= 1 << (offset % 64);
        }
        let mut before = Vec::with_capacity(there.len());
        let mut sum = 0;
        for word in &there {
            before.push(sum);
            sum += word.count_ones();
        }
        let first = vec![IpAddr::from([0; 4]); sum as usize];
        let mut numbers = Numbers { there, before, first };
        for (offset, address) in records() {
            let number = numbers.of_record(*offset);
            numbers.first[number] = *address;
        }
        numbers
    }

    /// The number of a record that is there.
    #[inline]
    fn of_record(&self, offset: u32) -> usize {
        let (word, bit) = (offset as usize / 64, offset % 64);
        let before = self.there[word] & ((1 << bit) - 1);
        (self.before[word] + before.count_ones()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::place::{Continent, Country, Point, Subdivision};
    use crate::geo::samples::made;
    use maxminddb_writer::metadata::IpVersion;
    use serde::Serialize;

    fn read(version: IpVersion, networks: &[(&str, serde_json::Value)]) -> Database {
        Database::new("test.mmdb", made(version, networks)).unwrap()
    }

    fn lookup(database: &Database, address: &str) -> Option<(Place, String)> {
        let (place, prefix) = database.lookup(address.parse().unwrap())?;
        Some((place, prefix.to_string()))
    }

    fn sao_paulo() -> Place {
        Place {
            continent: Some(Continent::SouthAmerica),
            country: Country::parse("BR"),
            subdivision: Subdivision::parse("BR-SP"),
            point: Point::new(-23.5, -46.625),
            asn: Some(64500),
        }
    }

    #[test]
    fn one_place_is_read_from_every_schema() {
        let schemas = [
            // GeoIP2 Enterprise; City, DB-IP and IP2Location lack the traits.
            serde_json::json!({
                "continent": {"code": "SA", "names": {"en": "South America"}},
                "country": {"iso_code": "BR", "names": {"en": "Brazil"}},
                "subdivisions": [{"iso_code": "SP"}, {"iso_code": "X"}],
                "location": {"latitude": -23.5, "longitude": -46.625, "time_zone": "America/Sao_Paulo"},
                "traits": {"autonomous_system_number": 64500},
            }),
            // IPinfo.
            serde_json::json!({
                "continent": "South America", "continent_code": "SA", "country": "Brazil", "country_code": "BR",
                "region": "São Paulo", "lat": "-23.5", "lng": "-46.625", "asn": "AS64500", "as_name": "Example",
            }),
            // IPinfo, older: the country's code stands in `country`.
            serde_json::json!({
                "continent": "SA", "country": "BR", "region_code": "SP", "latitude": -23.5, "longitude": -46.625, "asn": "64500",
            }),
            // ip-location-db.
            serde_json::json!({
                "continent_code": "SA", "country_code": "BR", "state1": "Sao Paulo", "state2": "", "city": "Campinas",
                "latitude": -23.5, "longitude": -46.625, "autonomous_system_number": 64500,
            }),
        ];
        for schema in schemas {
            let database = read(IpVersion::V4, &[("192.0.2.0/24", schema.clone())]);
            assert_eq!(
                lookup(&database, "192.0.2.9"),
                Some((sao_paulo(), "192.0.2.0/24".into())),
                "{schema}"
            );
            assert_eq!(lookup(&database, "192.0.3.9"), None);
        }
    }

    #[test]
    fn coordinates_of_single_precision_are_read() {
        #[derive(Serialize)]
        struct Flat {
            latitude: f32,
            longitude: f32,
        }
        let bytes = made(IpVersion::V4, &[("192.0.2.0/24", Flat { latitude: 1.5, longitude: 103.75 })]);
        let database = Database::new("test.mmdb", bytes).unwrap();
        assert_eq!(lookup(&database, "192.0.2.1").unwrap().0.point, Point::new(1.5, 103.75));
    }

    #[test]
    fn what_stands_for_unknown_is_unknown() {
        let nothings = [
            serde_json::json!({"country_code": "-", "latitude": 0.0, "longitude": 0.0, "asn": ""}),
            serde_json::json!({"country": {"iso_code": "ZZ"}, "location": {"latitude": 91.0, "longitude": 0.0}}),
            serde_json::json!({"country": 7, "asn": "AS0", "latitude": "north", "subdivisions": [], "location": [1, 2]}),
            serde_json::json!({"country": [[["DE"]]], "continent": true, "asn": 4294967296_u64}),
            serde_json::json!({"latitude": 10.0}),
        ];
        for nothing in nothings {
            let bytes = made(IpVersion::V4, &[("192.0.2.0/24", nothing.clone())]);
            let silent = DatabaseError::Silent { name: "x".into(), kind: "Test".into() };
            assert_eq!(Database::new("x", bytes).map(|_| ()), Err(silent), "{nothing}");
        }
    }

    #[test]
    fn both_families_are_read_from_one_file() {
        let country = |code: &str| serde_json::json!({"country_code": code});
        let networks = [
            ("192.0.2.0/24", country("FR")),
            ("198.51.100.128/25", country("JP")),
            ("2001:db8::/32", country("BR")),
        ];
        let database = read(IpVersion::V6, &networks);
        let code = |address: &str| {
            lookup(&database, address).map(|(place, prefix)| (place.country.unwrap().to_string(), prefix))
        };
        assert_eq!(code("192.0.2.1"), Some(("FR".into(), "192.0.2.0/24".into())));
        assert_eq!(code("198.51.100.200"), Some(("JP".into(), "198.51.100.128/25".into())));
        assert_eq!(code("198.51.100.1"), None);
        assert_eq!(code("2001:db8::1"), Some(("BR".into(), "2001:db8::/32".into())));
        assert_eq!(code("::c000:201"), None, "IPv4 in IPv6 is not looked up as IPv6");
        let about = database.about();
        assert!(about.ipv4 && about.ipv6);
        assert_eq!((about.networks, about.records), (3, 3));
    }

    #[test]
    fn a_file_of_one_family_says_nothing_of_the_other() {
        let country = serde_json::json!({"country_code": "FR"});
        let v4 = read(IpVersion::V4, &[("0.0.0.0/0", country.clone())]);
        assert!(v4.about().ipv4 && !v4.about().ipv6);
        assert_eq!(lookup(&v4, "2001:db8::1"), None);
        assert_eq!(lookup(&v4, "255.255.255.255").unwrap().1, "0.0.0.0/0");
        // One record in all of its tree: no comparison with what hangs at ::/96 may hide it.
        let v6 = read(IpVersion::V6, &[("2000::/3", country.clone()), ("8000::/1", country)]);
        assert!(!v6.about().ipv4 && v6.about().ipv6);
        assert_eq!(lookup(&v6, "192.0.2.1"), None);
        assert_eq!(lookup(&v6, "ffff::1").unwrap().1, "8000::/1");
    }

    #[test]
    fn a_64_takes_the_place_of_most_of_it() {
        let country = |code: &str| serde_json::json!({"country_code": code});
        let networks = [
            ("2001:db8::/66", country("FR")),
            ("2001:db8:0:0:4000::/66", country("JP")),
            ("2001:db8:0:0:8000::/65", country("JP")),
            ("2001:db8:0:1::/65", country("FR")),
            ("2001:db8:0:2::7/128", country("FR")),
        ];
        let database = read(IpVersion::V6, &networks);
        let code =
            |address: &str| lookup(&database, address).map(|(place, _)| place.country.unwrap().to_string());
        assert_eq!(code("2001:db8::1").as_deref(), Some("JP"));
        assert_eq!(code("2001:db8:0:1:ffff::").as_deref(), Some("FR"), "of equal halves the known one");
        assert_eq!(code("2001:db8:0:2::7"), None);
    }

    #[test]
    fn a_tree_whose_nodes_are_shared_without_end_is_refused_in_time() {
        // Every node leads to the next one twice: 2^128 networks of one record.
        let nodes: u32 = 128;
        let mut bytes = Vec::new();
        for node in 1..=nodes {
            let record = if node == nodes { nodes + 16 } else { node };
            bytes.extend([record, record].iter().flat_map(|record| record.to_be_bytes()[1..].to_vec()));
        }
        let donor = made(IpVersion::V6, &[("::/0", serde_json::json!({"country_code": "FR"}))]);
        let marker = donor.windows(14).position(|window| window == b"\xab\xcd\xefMaxMind.com").unwrap();
        bytes.extend(&donor[6..marker]);
        let mut metadata = donor[marker..].to_vec();
        let key = metadata.windows(10).position(|window| window == b"node_count").unwrap();
        // The count is a number of 32 bits, written in as many octets as it needs.
        assert_eq!(metadata[key + 10..key + 12], [0xc1, 1]);
        metadata[key + 11] = nodes as u8;
        bytes.extend(metadata);
        let error = Database::new("shared.mmdb", bytes).unwrap_err();
        assert!(error.to_string().contains("more networks than its size allows"), "{error}");
    }
}
