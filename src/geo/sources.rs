//! The sources of places, put together: databases first, geofeeds painted over them, the rest filled in.

use std::borrow::Cow;
use std::net::IpAddr;

use super::countries;
use super::database::Database;
use super::embedded;
use super::geofeed::{self, Geofeed};
use super::place::{Place, Prefix};
use super::places::Places;

/// What one source says of an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The database or geofeed.
    pub source: String,
    /// The place, and for which network it says so; `None` where it says nothing of the address.
    pub says: Option<(Place, Prefix)>,
}

impl Places {
    /// What `databases` and `geofeeds` together say.
    ///
    /// Field by field the first database counts that knows it, as long as it does not contradict one before it on where
    /// the address is. Geofeeds are painted over, the longest prefix winning. Where country or coordinates are known in
    /// part, the rest is filled in from tables of countries and subdivisions. Without a database: the embedded one.
    pub fn new(databases: &[Database], geofeeds: &[Geofeed]) -> Places {
        let databases = or_embedded(databases);
        let mut layers = databases.iter().map(|database| Cow::Borrowed(database.places()));
        let first = layers.next().unwrap_or_else(|| Cow::Owned(Places::nothing()));
        let mut places = layers.fold(first, |upper, lower| Cow::Owned(upper.over(&lower)));
        if geofeeds.iter().any(|geofeed| !geofeed.entries.is_empty()) {
            places = Cow::Owned(geofeed::paint(&places, geofeeds));
        }
        places.map(completed)
    }
}

/// What each source says of `address` by itself, in the order in which they count: geofeeds before databases.
pub fn sources(databases: &[Database], geofeeds: &[Geofeed], address: IpAddr) -> Vec<Known> {
    let of_geofeed = |geofeed: &Geofeed| Known {
        source: geofeed.name.clone(),
        says: geofeed.entry(address).map(|entry| (entry.place(), entry.prefix)),
    };
    let of_database =
        |database: &Database| Known { source: database.name().into(), says: database.lookup(address) };
    let databases = or_embedded(databases);
    geofeeds.iter().map(of_geofeed).chain(databases.iter().map(of_database)).collect()
}

/// The embedded database where there is no other.
fn or_embedded(databases: &[Database]) -> Cow<'_, [Database]> {
    if databases.is_empty() { Cow::Owned(vec![embedded::database()]) } else { Cow::Borrowed(databases) }
}

/// The same place, with what follows from what is known of it.
fn completed(place: Place) -> Place {
    let country = place.country.or(place.subdivision.map(|subdivision| subdivision.country()));
    let point = || {
        let of_subdivision = place.subdivision.and_then(countries::point_of_subdivision);
        of_subdivision.or_else(|| country.and_then(countries::point))
    };
    Place {
        country,
        continent: place.continent.or_else(|| country.and_then(countries::continent)),
        point: place.point.or_else(point),
        ..place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::geofeed::Entry;
    use crate::geo::place::{Continent, Country, Subdivision};
    use crate::geo::places::{Stretch, over};
    use crate::geo::record::Record;
    use crate::geo::samples::made;
    use crate::geo::subdivisions::Names;
    use maxminddb_writer::metadata::IpVersion;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn database(networks: &[(&str, Value)]) -> Database {
        Database::new("test.mmdb", made(IpVersion::V6, networks)).unwrap()
    }

    fn geofeed(entries: &[(&str, &str, &str)]) -> Geofeed {
        let entry = |(prefix, country, region): &(&str, &str, &str)| Entry {
            prefix: Prefix::parse(prefix).unwrap(),
            country: Country::parse(country),
            subdivision: Subdivision::parse(region),
        };
        Geofeed { name: "own.csv".into(), entries: entries.iter().map(entry).collect() }
    }

    /// A place in short: `country subdivision point asn`.
    fn at(places: &Places, address: &str) -> String {
        fn shown<T: ToString>(field: Option<T>) -> String {
            field.map_or_else(|| "-".into(), |field| field.to_string())
        }
        let place = places.at(address.parse().unwrap());
        let (country, subdivision) = (shown(place.country), shown(place.subdivision));
        format!("{country} {subdivision} {} {}", shown(place.point), shown(place.asn))
    }

    fn toronto() -> Value {
        json!({"country": {"iso_code": "CA"}, "subdivisions": [{"iso_code": "ON"}],
               "location": {"latitude": 43.7, "longitude": -79.4}})
    }

    #[test]
    fn each_field_comes_from_the_first_database_that_knows_it() {
        let asn = database(&[("192.0.2.0/24", json!({"autonomous_system_number": 64500}))]);
        let city = database(&[("192.0.0.0/16", toronto())]);
        let country = database(&[("192.0.0.0/8", json!({"country_code": "CA"}))]);
        let places = Places::new(&[asn, city, country], &[]);
        assert_eq!(at(&places, "192.0.2.1"), "CA CA-ON 43.70;-79.40 64500");
        assert_eq!(at(&places, "192.0.3.1"), "CA CA-ON 43.70;-79.40 -");
        assert_eq!(at(&places, "193.0.0.1"), "- - - -");
    }

    #[test]
    fn a_database_that_contradicts_one_before_it_on_the_country_gives_no_coordinates() {
        let country = database(&[("192.0.2.0/24", json!({"country_code": "SG"}))]);
        let city = database(&[("192.0.2.0/24", toronto())]);
        let places = Places::new(&[country, city], &[]);
        assert_eq!(at(&places, "192.0.2.1"), "SG - 1.36;103.82 -");
    }

    #[test]
    fn what_follows_from_a_country_or_subdivision_is_filled_in() {
        let networks = [
            ("192.0.2.0/25", json!({"country_code": "FR"})),
            ("192.0.2.128/25", json!({"country_code": "US", "state1": "California"})),
            ("198.51.100.0/24", json!({"country_code": "FR", "latitude": 43.3, "longitude": 5.4})),
        ];
        let places = Places::new(&[database(&networks)], &[]);
        assert_eq!(at(&places, "192.0.2.1"), "FR - 46.50;2.46 -");
        assert_eq!(at(&places, "192.0.2.200"), "US US-CA 34.05;-118.24 -");
        assert_eq!(at(&places, "198.51.100.1"), "FR - 43.30;5.40 -");
        let continent = places.at("192.0.2.1".parse().unwrap()).continent;
        assert_eq!(continent, Some(Continent::Europe));
    }

    #[test]
    fn a_geofeed_is_painted_over_the_databases_and_the_longest_prefix_wins() {
        let city = database(&[("192.0.0.0/16", toronto()), ("2001:db8::/32", toronto())]);
        let asn = database(&[("192.0.0.0/16", json!({"asn": 64500}))]);
        let own = geofeed(&[
            ("192.0.2.0/24", "CA", ""),
            ("192.0.2.128/25", "US", "US-TX"),
            ("192.0.3.0/24", "", ""),
            ("192.0.4.0/24", "CA", "CA-QC"),
            ("192.0.2.129/32", "DE", ""),
            ("2001:db8:1::/48", "DE", ""),
            ("203.0.113.0/24", "DE", ""),
        ]);
        let others = geofeed(&[("192.0.2.0/24", "FR", ""), ("192.0.2.0/26", "FR", "")]);
        let places = Places::new(&[city, asn], &[own, others]);
        assert_eq!(at(&places, "192.0.1.255"), "CA CA-ON 43.70;-79.40 64500");
        assert_eq!(at(&places, "192.0.2.64"), "CA CA-ON 43.70;-79.40 64500", "finer coordinates stay");
        assert_eq!(at(&places, "192.0.2.1"), "FR - 46.50;2.46 64500", "the longer prefix of a later file");
        assert_eq!(at(&places, "192.0.2.128"), "US US-TX 29.76;-95.37 64500");
        assert_eq!(at(&places, "192.0.2.129"), "DE - 50.98;10.36 64500");
        assert_eq!(at(&places, "192.0.3.1"), "- - - 64500", "nothing is known there: RFC 8805 §2.1.2");
        assert_eq!(at(&places, "192.0.4.1"), "CA CA-QC 45.50;-73.57 64500");
        assert_eq!(at(&places, "203.0.113.1"), "DE - 50.98;10.36 -");
        assert_eq!(at(&places, "2001:db8:1::1"), "DE - 50.98;10.36 -");
        assert_eq!(at(&places, "2001:db8:2::1"), "CA CA-ON 43.70;-79.40 -");
    }

    #[test]
    fn without_a_database_the_embedded_table_maps_the_world() {
        let places = Places::new(&[], &[geofeed(&[("8.8.8.0/24", "DE", "")])]);
        assert_eq!(at(&places, "1.1.1.1"), "AU - -33.45;144.98 -");
        assert_eq!(at(&places, "8.8.8.8"), "DE - 50.98;10.36 -");
        let known = sources(&[], &[], "193.0.6.139".parse().unwrap());
        assert_eq!(known[0].source, "embedded country table");
        assert_eq!(known[0].says.unwrap().0.country, Country::parse("NL"));
    }

    #[test]
    fn each_source_is_heard_by_itself() {
        let city = database(&[("192.0.0.0/16", toronto())]);
        let own = geofeed(&[("192.0.2.0/24", "US", "US-TX")]);
        let heard = sources(&[city], &[own], "192.0.2.1".parse().unwrap());
        let heard: Vec<_> = heard
            .iter()
            .map(|known| {
                let (place, prefix) = known.says.unwrap();
                (known.source.as_str(), place.subdivision.unwrap().to_string(), prefix.to_string())
            })
            .collect();
        let expected = [
            ("own.csv", "US-TX".into(), "192.0.2.0/24".into()),
            ("test.mmdb", "CA-ON".into(), "192.0.0.0/16".into()),
        ];
        assert_eq!(heard, expected);
    }

    /// Records that differ in what they know.
    fn any_record() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!({"country_code": "US"})),
            Just(json!({"country_code": "US", "state1": "Texas"})),
            Just(json!({"country_code": "DE", "latitude": 52.5, "longitude": 13.4})),
            Just(json!({"country_code": "-"})),
            Just(json!({"continent_code": "EU"})),
            Just(toronto()),
            (1..4_u32).prop_map(|asn| json!({"asn": asn})),
        ]
    }

    /// Prefixes that often nest and touch, no IPv6 one finer than a /64.
    fn any_prefix() -> impl Strategy<Value = Prefix> {
        prop_oneof![
            (any::<u32>(), 0..=32_u8)
                .prop_map(|(address, bits)| Prefix::around(IpAddr::V4((address & 0xc000_0303).into()), bits)),
            (any::<u64>(), 1..=64_u8).prop_map(|(upper, bits)| {
                let address = u128::from(upper & 0x3000_0000_0000_0303 | 1 << 61) << 64;
                Prefix::around(IpAddr::V6(address.into()), bits)
            }),
        ]
    }

    fn any_database() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((any_prefix(), any_record()), 1..8).prop_map(|networks| {
            // The widest first, as the writer wants them.
            let mut networks = networks;
            networks.sort_by_key(|(prefix, _)| prefix.bits());
            let networks: Vec<_> =
                networks.into_iter().map(|(prefix, record)| (prefix.to_string(), record)).collect();
            let networks: Vec<_> =
                networks.iter().map(|(prefix, record)| (prefix.as_str(), record.clone())).collect();
            made(IpVersion::V6, &networks)
        })
    }

    fn any_geofeed() -> impl Strategy<Value = Geofeed> {
        let place =
            prop_oneof![Just(("", "")), Just(("US", "")), Just(("US", "US-TX")), Just(("CA", "CA-QC"))];
        prop::collection::hash_map(any_prefix(), place, 0..6).prop_map(|entries| {
            let entry = |(prefix, (country, region)): (Prefix, (&str, &str))| Entry {
                prefix,
                country: Country::parse(country),
                subdivision: Subdivision::parse(region),
            };
            Geofeed { name: "own.csv".into(), entries: entries.into_iter().map(entry).collect() }
        })
    }

    fn lawful<A: Ord + Default + Copy>(stretches: &[Stretch<A>], known: usize) -> bool {
        let neighbours = stretches.windows(2);
        stretches[0].start == A::default()
            && stretches.iter().all(|stretch| (stretch.place as usize) < known)
            && neighbours
                .into_iter()
                .all(|pair| pair[0].start < pair[1].start && pair[0].place != pair[1].place)
    }

    proptest! {
        /// Places say of every address what looking it up in each file, one after the other, would say.
        #[test]
        fn places_agree_with_looking_it_up(
            files in prop::collection::vec(any_database(), 1..4),
            geofeeds in prop::collection::vec(any_geofeed(), 0..3),
            addresses in prop::collection::vec(any_prefix(), 8),
        ) {
            let databases: Vec<Database> =
                files.iter().filter_map(|file| Database::new("x", file.clone()).ok()).collect();
            prop_assume!(databases.len() == files.len());
            let names = Names::new();
            let places = Places::new(&databases, &geofeeds);
            prop_assert!(lawful(&places.v4, places.known.len()) && lawful(&places.v6, places.known.len()));
            prop_assert_eq!(places.known[0], Place::default());

            let entries = || geofeeds.iter().flat_map(|geofeed| &geofeed.entries);
            // `::` itself lies where the tree of IPv4 hangs.
            let somewhere = |address: &IpAddr| !matches!(address, IpAddr::V6(v6) if v6.is_unspecified());
            for address in addresses.iter().chain(entries().map(|entry| &entry.prefix)).map(Prefix::address).filter(somewhere) {
                let mut naive = Place::default();
                for file in &files {
                    let reader = maxminddb::Reader::from_source(file.as_slice()).unwrap();
                    let found = reader.lookup(address).unwrap();
                    // A record of `::/2` is none of IPv4, though the tree of IPv4 would hang below it.
                    if found.network().unwrap().is_ipv4() != address.is_ipv4() {
                        continue;
                    }
                    let record: Option<Record> = found.decode().unwrap();
                    naive = over(naive, record.unwrap_or_default().place(&names));
                }
                let covering = entries().filter(|entry| entry.prefix.contains(address));
                // `rev`: of equal lengths `max_by_key` takes the last, and the first file shall count.
                if let Some(entry) = covering.collect::<Vec<_>>().into_iter().rev().max_by_key(|entry| entry.prefix.bits()) {
                    naive = entry.painted_over(naive);
                }
                prop_assert_eq!(*places.at(address), completed(naive), "{}", address);
            }
        }

        /// The network told for an address is of one place throughout, and no wider one is.
        #[test]
        fn the_network_of_an_address_is_the_widest_of_one_place(file in any_database(), prefix in any_prefix()) {
            let Ok(database) = Database::new("x", file) else { return Ok(()) };
            let (places, address) = (database.places(), prefix.address());
            let network = places.network(address);
            let place = *places.at(address);
            let inside = |prefix: Prefix| {
                let starts: Vec<IpAddr> = match address {
                    IpAddr::V4(_) => places.v4.iter().map(|stretch| IpAddr::V4(stretch.start.into())).collect(),
                    IpAddr::V6(_) => {
                        places.v6.iter().map(|stretch| IpAddr::V6((u128::from(stretch.start) << 64).into())).collect()
                    }
                };
                let within = starts.into_iter().filter(move |start| prefix.contains(*start));
                within.chain([prefix.address()]).all(|address| *places.at(address) == place)
            };
            prop_assert!(network.contains(address) && inside(network));
            prop_assert!(network.bits() == 0 || !inside(Prefix::around(address, network.bits() - 1)));
        }
    }
}
