//! Real database files: MaxMind's public test databases, good ones and ones broken on purpose.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // A test may read files, and fail.

use std::path::Path;

use proptest::prelude::*;
use steerdns::geo::database::Database;
use steerdns::geo::place::{Continent, Country, Place, Point, Subdivision};

fn lookup(database: &Database, address: &str) -> Option<(Place, String)> {
    let (place, prefix) = database.lookup(address.parse().unwrap())?;
    Some((place, prefix.to_string()))
}

fn test_data(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/maxmind");
    std::fs::read(directory.join(name)).unwrap()
}

#[test]
fn maxminds_test_databases_give_their_known_answers() {
    let city = Database::new("City", test_data("GeoIP2-City-Test.mmdb")).unwrap();
    assert_eq!(city.about().kind, "GeoIP2-City");
    let (boxford, prefix) = lookup(&city, "2.125.160.216").unwrap();
    assert_eq!(prefix, "2.125.160.216/29");
    let expected = Place {
        continent: Some(Continent::Europe),
        country: Country::parse("GB"),
        subdivision: Subdivision::parse("GB-ENG"),
        point: Point::new(51.75, -1.25),
        asn: None,
    };
    assert_eq!(boxford, expected);
    let (linkoeping, _) = lookup(&city, "89.160.20.128").unwrap();
    assert_eq!(linkoeping.subdivision, Subdivision::parse("SE-E"));
    assert_eq!(lookup(&city, "2a02:d280::1").unwrap().0.country, Country::parse("CZ"));
    // 2002::/16, Teredo and mapped addresses lead to the tree of IPv4: it is not walked as IPv6.
    assert_eq!(lookup(&city, "2002:27d:a0d8::1"), None);
    assert_eq!(lookup(&city, "::ffff:2.125.160.216"), None);

    let asn = Database::new("ASN", test_data("GeoLite2-ASN-Test.mmdb")).unwrap();
    assert_eq!(lookup(&asn, "1.128.0.1").unwrap().0.asn, Some(1221));
    assert_eq!(lookup(&asn, "2600:6000::1").unwrap().0.asn, Some(237));
    let country = Database::new("Country", test_data("GeoIP2-Country-Test.mmdb")).unwrap();
    assert_eq!(lookup(&country, "216.160.83.57").unwrap().0.country, Country::parse("US"));
    let enterprise = Database::new("Enterprise", test_data("GeoIP2-Enterprise-Test.mmdb")).unwrap();
    assert_eq!(lookup(&enterprise, "74.209.24.1").unwrap().0.asn, Some(14671));
    let domain = Database::new("Domain", test_data("GeoIP2-Domain-Test.mmdb")).unwrap_err();
    let sentence =
        "`Domain` (`GeoIP2-Domain`) holds no country, subdivision, coordinates or AS number of any address";
    assert_eq!(domain.to_string(), sentence);
}

#[test]
fn every_broken_database_is_refused() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/maxmind/bad");
    let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.len() > 20);
    for file in files {
        let name = file.into_string().unwrap();
        assert!(Database::new(&name, test_data(&format!("bad/{name}"))).is_err(), "{name}");
    }
    let empty = Database::new("empty.mmdb", Vec::new()).unwrap_err();
    assert!(empty.to_string().starts_with("`empty.mmdb` is not a readable GeoIP database: "), "{empty}");
}

proptest! {
    /// A database with octets changed or cut off is read or refused, and never panics.
    #[test]
    fn damage_is_survived(changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..8), cut in 0..3_usize) {
        let mut bytes = test_data("GeoIP2-City-Test.mmdb");
        bytes.truncate(bytes.len() - cut);
        for (at, octet) in changes {
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] = octet;
        }
        let _ = Database::new("damaged.mmdb", bytes);
    }
}
