//! What is known of an address: continent, country, subdivision, coordinates, autonomous system.

use std::fmt;
use std::net::IpAddr;

/// Mean radius of the earth in km (IUGG).
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A point on the globe, in degrees: `lat` -90..=90, `lon` -180..=180.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    lat: f64,
    lon: f64,
}

impl Point {
    /// `None` where it would lie off the globe.
    pub fn new(lat: f64, lon: f64) -> Option<Point> {
        let on_globe = lat.abs() <= 90.0 && lon.abs() <= 180.0;
        on_globe.then_some(Point { lat, lon })
    }

    /// Degrees north, negative in the south.
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Degrees east, negative in the west.
    pub fn lon(self) -> f64 {
        self.lon
    }

    /// Great-circle distance (haversine).
    pub fn distance_km(self, other: Point) -> f64 {
        let (lat_a, lat_b) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = ((lat_b - lat_a) / 2.0).sin();
        let half_lon = ((other.lon - self.lon).to_radians() / 2.0).sin();
        let chord = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lon * half_lon;
        2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
    }
}

/// A country by its ISO 3166-1 alpha-2 code, e.g. `MY`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// `None` where `code` is not two letters; case does not matter.
    pub fn parse(code: &str) -> Option<Country> {
        let &[a, b] = code.as_bytes() else { return None };
        let letters = a.is_ascii_alphabetic() && b.is_ascii_alphabetic();
        letters.then(|| Country([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
    }

    /// The code, in upper case.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }

    /// The code's two octets.
    pub(super) fn octets(self) -> [u8; 2] {
        self.0
    }

    /// The country of [`octets`](Country::octets).
    pub(super) fn of_octets(octets: [u8; 2]) -> Option<Country> {
        octets.iter().all(u8::is_ascii_uppercase).then_some(Country(octets))
    }
}

/// A subdivision of a country by its ISO 3166-2 code, e.g. `US-CA`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subdivision {
    country: Country,
    /// One to three letters or digits, then zeros.
    part: [u8; 3],
}

impl Subdivision {
    /// `None` where `code` has not the form `CC-X`, `CC-XX` or `CC-XXX`; case does not matter.
    pub fn parse(code: &str) -> Option<Subdivision> {
        let (country, part) = code.split_once('-')?;
        Subdivision::new(Country::parse(country)?, part)
    }

    /// The subdivision `part` (one to three letters or digits) of `country`.
    pub fn new(country: Country, part: &str) -> Option<Subdivision> {
        let sized = (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_alphanumeric());
        sized.then(|| {
            let mut octets = [0; 3];
            octets[..part.len()].copy_from_slice(part.to_ascii_uppercase().as_bytes());
            Subdivision { country, part: octets }
        })
    }

    /// The country that it is part of.
    pub fn country(&self) -> Country {
        self.country
    }

    /// Its code without the hyphen, and zeros behind.
    pub(super) fn octets(self) -> [u8; 5] {
        let ([a, b], [c, d, e]) = (self.country.0, self.part);
        [a, b, c, d, e]
    }

    /// The subdivision of [`octets`](Subdivision::octets).
    pub(super) fn of_octets([a, b, part @ ..]: [u8; 5]) -> Option<Subdivision> {
        let len = part.iter().position(|octet| *octet == 0).unwrap_or(part.len());
        let text = std::str::from_utf8(&part[..len]).ok()?;
        Subdivision::new(Country::of_octets([a, b])?, text)
    }
}

/// A continent, by the code that GeoIP databases use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Continent {
    /// Africa, `AF`.
    Africa,
    /// Antarctica, `AN`.
    Antarctica,
    /// Asia, `AS`.
    Asia,
    /// Europe, `EU`.
    Europe,
    /// North America (Central America and the Caribbean included), `NA`.
    NorthAmerica,
    /// Oceania, `OC`.
    Oceania,
    /// South America, `SA`.
    SouthAmerica,
}

impl Continent {
    /// All of them.
    pub const ALL: [Continent; 7] = [
        Continent::Africa,
        Continent::Antarctica,
        Continent::Asia,
        Continent::Europe,
        Continent::NorthAmerica,
        Continent::Oceania,
        Continent::SouthAmerica,
    ];

    /// The continent of a two-letter code; case does not matter.
    pub fn parse(code: &str) -> Option<Continent> {
        Continent::ALL.into_iter().find(|continent| continent.code().eq_ignore_ascii_case(code))
    }

    /// Its two-letter code.
    pub fn code(self) -> &'static str {
        match self {
            Continent::Africa => "AF",
            Continent::Antarctica => "AN",
            Continent::Asia => "AS",
            Continent::Europe => "EU",
            Continent::NorthAmerica => "NA",
            Continent::Oceania => "OC",
            Continent::SouthAmerica => "SA",
        }
    }
}

/// What is known of an address. A field that no source knows is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// The continent.
    pub continent: Option<Continent>,
    /// The country.
    pub country: Option<Country>,
    /// The subdivision of the country.
    pub subdivision: Option<Subdivision>,
    /// Coordinates.
    pub point: Option<Point>,
    /// The autonomous system number.
    pub asn: Option<u32>,
}

/// A network: an address whose bits beyond `bits` are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

impl Prefix {
    /// `None` where `bits` exceeds the family's, or a bit behind them is set.
    pub fn new(address: IpAddr, bits: u8) -> Option<Prefix> {
        let fits = match address {
            IpAddr::V4(v4) => bits <= 32 && u64::from(u32::from(v4)) << bits & 0xffff_ffff == 0,
            IpAddr::V6(v6) => bits <= 128 && (bits == 128 || u128::from(v6) << bits == 0),
        };
        fits.then_some(Prefix { address, bits })
    }

    /// The network of `bits` bits around `address`; more than the family has means all of them.
    pub fn around(address: IpAddr, bits: u8) -> Prefix {
        match address {
            IpAddr::V4(v4) => {
                let bits = bits.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Prefix { address: IpAddr::V4((u32::from(v4) & mask).into()), bits }
            }
            IpAddr::V6(v6) => {
                let bits = bits.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Prefix { address: IpAddr::V6((u128::from(v6) & mask).into()), bits }
            }
        }
    }

    /// Reads `192.0.2.0/24`, or an address alone as the network of that one address.
    pub fn parse(text: &str) -> Option<Prefix> {
        let Some((address, bits)) = text.split_once('/') else {
            let address: IpAddr = text.parse().ok()?;
            return Some(Prefix::around(address, u8::MAX));
        };
        let plain = !bits.is_empty() && bits.bytes().all(|octet| octet.is_ascii_digit());
        Prefix::new(address.parse().ok()?, bits.parse().ok().filter(|_| plain)?)
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Its length in bits.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Prefix::around(address, self.bits) == *self
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part: &[u8] = &self.part;
        let end = part.iter().position(|&octet| octet == 0).unwrap_or(part.len());
        write!(f, "{}-{}", self.country, part[..end].escape_ascii())
    }
}

impl fmt::Debug for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2};{:.2}", self.lat, self.lon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singapore_lies_sixteen_thousand_kilometres_from_sao_paulo() {
        let singapore = Point::new(1.35, 103.82).unwrap();
        let sao_paulo = Point::new(-23.55, -46.63).unwrap();
        assert!((singapore.distance_km(sao_paulo) - 15_989.0).abs() < 20.0);
        assert_eq!(singapore.distance_km(singapore), 0.0);
        assert!(Point::new(90.1, 0.0).is_none() && Point::new(f64::NAN, 0.0).is_none());
    }

    #[test]
    fn a_prefix_has_no_bits_behind_its_length() {
        assert!(Prefix::parse("192.0.2.0/24").is_some());
        assert!(Prefix::parse("0.0.0.0/0").is_some() && Prefix::parse("::/0").is_some());
        for bad in
            ["192.0.2.1/24", "192.0.2.0/33", "2001:db8::1/64", "::/129", "192.0.2.0/", "192.0.2.0/+8", "x"]
        {
            assert_eq!(Prefix::parse(bad), None, "{bad}");
        }
        assert_eq!(Prefix::parse("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert!(Prefix::parse("192.0.2.0/24").unwrap().contains("192.0.2.9".parse().unwrap()));
        assert!(!Prefix::parse("::/0").unwrap().contains("192.0.2.9".parse().unwrap()));
    }

    #[test]
    fn codes_are_read_in_any_case_and_shown_in_upper_case() {
        assert_eq!(Subdivision::parse("us-ca").unwrap().to_string(), "US-CA");
        assert_eq!(Subdivision::parse("FR-IDF").unwrap().country(), Country::parse("fr").unwrap());
        assert!(Subdivision::parse("US-").is_none() && Subdivision::parse("US-ABCD").is_none());
        assert!(Country::parse("U1").is_none());
        assert_eq!(Continent::parse("sa"), Some(Continent::SouthAmerica));
    }
}
