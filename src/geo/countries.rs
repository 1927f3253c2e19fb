//! Countries and large subdivisions: which exist, on which continent, and a point for each.

use super::atlas::COUNTRIES;
use super::place::{Continent, Country, Point, Subdivision};
use super::subdivisions;

/// Whether ISO 3166-1 has the country (or it is Kosovo's `XK`, which databases and registries use).
pub fn exists(country: &Country) -> bool {
    row(*country).is_some()
}

/// The continent that GeoIP databases count a country to.
pub fn continent(country: Country) -> Option<Continent> {
    row(country).map(|(_, continent, _, _)| *continent)
}

/// A point for clients of whom only the country is known: the centroid of its largest polygon, or where its people are,
/// weighted, in the countries that have points for their subdivisions.
pub fn point(country: Country) -> Option<Point> {
    let centroid = || row(country).and_then(|(_, _, lat, lon)| Point::new(*lat, *lon));
    subdivisions::centre(country).or_else(centroid)
}

/// A point for clients of whom only the subdivision is known: of AU, BR, CA, CN, IN, RU and US.
pub fn point_of_subdivision(subdivision: Subdivision) -> Option<Point> {
    subdivisions::point(subdivision)
}

/// Whether the subdivision is of a country whose subdivisions we know all, and is none of them.
pub fn has_no(subdivision: Subdivision) -> bool {
    subdivisions::COUNTRIES.contains(&subdivision.country().code())
        && subdivisions::point(subdivision).is_none()
}

fn row(country: Country) -> Option<&'static (&'static str, Continent, f64, f64)> {
    let at = COUNTRIES.binary_search_by(|(code, ..)| (*code).cmp(country.code())).ok()?;
    Some(&COUNTRIES[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Country {
        Country::parse(code).unwrap()
    }

    #[test]
    fn all_249_countries_and_kosovo_have_a_continent_and_a_point() {
        assert_eq!(COUNTRIES.len(), 250);
        assert!(COUNTRIES.is_sorted_by(|a, b| a.0 < b.0));
        for (code, ..) in COUNTRIES {
            assert!(exists(&country(code)) && point(country(code)).is_some(), "{code}");
        }
        assert!(!exists(&country("ZZ")) && !exists(&country("EU")));
    }

    #[test]
    fn a_country_whose_people_live_far_from_its_middle_lies_where_they_do() {
        for (code, lat, lon) in [("MY", 3.15, 101.7), ("DZ", 36.75, 3.06), ("CL", -33.45, -70.67)] {
            let capital = Point::new(lat, lon).unwrap();
            assert!(point(country(code)).unwrap().distance_km(capital) < 150.0, "{code}");
        }
    }

    #[test]
    fn a_country_with_lands_overseas_lies_where_its_mainland_does() {
        for (code, lat, lon) in
            [("FR", 46.6, 2.5), ("NL", 52.2, 5.5), ("PT", 39.6, -8.0), ("EC", -1.4, -78.4)]
        {
            let near = Point::new(lat, lon).unwrap();
            assert!(point(country(code)).unwrap().distance_km(near) < 300.0, "{code}");
        }
        assert_eq!(continent(country("MX")), Some(Continent::NorthAmerica));
        assert_eq!(continent(country("RU")), Some(Continent::Europe));
    }
}
