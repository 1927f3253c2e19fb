//! One record of a GeoIP database, in any of the schemas that databases have.
//!
//! A field that is absent, empty, or of another type than we read is not known; a record is never wrong for it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::countries;
use super::place::{Continent, Country, Place, Point, Subdivision};
use super::subdivisions::Names;

/// The fields of all schemas side by side: nested (GeoIP2, GeoLite2, DB-IP, IP2Location) and flat (IPinfo, ip-location-db).
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Record<'a> {
    /// Nested `{code}`, or the name.
    #[serde(borrow)]
    continent: Field<'a>,
    #[serde(borrow)]
    continent_code: Field<'a>,
    /// Nested `{iso_code}`, or the code, or the name beside `country_code`.
    #[serde(borrow)]
    country: Field<'a>,
    #[serde(borrow)]
    country_code: Field<'a>,
    /// A list of `{iso_code}`, the widest subdivision first.
    #[serde(borrow)]
    subdivisions: Field<'a>,
    #[serde(borrow)]
    region_code: Field<'a>,
    /// The name of the subdivision.
    #[serde(borrow)]
    region: Field<'a>,
    #[serde(borrow)]
    state1: Field<'a>,
    /// `{latitude, longitude}`.
    #[serde(borrow)]
    location: Field<'a>,
    #[serde(borrow, alias = "lat")]
    latitude: Field<'a>,
    #[serde(borrow, alias = "lng", alias = "lon")]
    longitude: Field<'a>,
    #[serde(borrow)]
    autonomous_system_number: Field<'a>,
    /// A number, or `AS174`.
    #[serde(borrow)]
    asn: Field<'a>,
    /// `{autonomous_system_number}`, in GeoIP2 Enterprise.
    #[serde(borrow)]
    traits: Field<'a>,
}

impl Record<'_> {
    /// What it says of where an address is.
    pub(super) fn place(&self, names: &Names) -> Place {
        let country = [self.country.code, self.country_code.own, self.country.own];
        let country =
            country.into_iter().find_map(|code| Country::parse(code.text()?)).filter(countries::exists);
        let continent = [self.continent.code, self.continent_code.own, self.continent.own];
        let continent = continent.into_iter().find_map(|code| Continent::parse(code.text()?));
        let subdivision = country.and_then(|country| self.subdivision(country, names));
        let asn = [self.autonomous_system_number.own, self.asn.own, self.traits.asn];
        let asn = asn.into_iter().find_map(Scalar::asn);
        let point = point(self.location.latitude, self.location.longitude)
            .or_else(|| point(self.latitude.own, self.longitude.own));
        Place { continent, country, subdivision, point, asn }
    }

    fn subdivision(&self, country: Country, subdivisions: &Names) -> Option<Subdivision> {
        let codes = [self.subdivisions.code, self.region_code.own];
        let names = [self.state1.own, self.region.own];
        let by_code = codes.into_iter().find_map(|code| Subdivision::new(country, code.text()?));
        by_code.or_else(|| names.into_iter().find_map(|name| subdivisions.find(country, name.text()?)))
    }
}

/// Neither coordinate alone is a point; and 0, 0 is what databases write where they know none.
fn point(lat: Scalar, lon: Scalar) -> Option<Point> {
    let (lat, lon) = (lat.number()?, lon.number()?);
    if lat == 0.0 && lon == 0.0 { None } else { Point::new(lat, lon) }
}

/// A value without parts.
#[derive(Clone, Copy, Default)]
enum Scalar<'a> {
    /// Absent, or of a type that we do not read.
    #[default]
    Unknown,
    Text(&'a str),
    Number(f64),
}

impl<'a> Scalar<'a> {
    fn text(self) -> Option<&'a str> {
        if let Scalar::Text(text) = self { Some(text) } else { None }
    }

    fn number(self) -> Option<f64> {
        match self {
            Scalar::Number(number) => Some(number),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Unknown => None,
        }
    }

    /// An AS number as a number or as text, with or without `AS` before it; 0 is none (RFC 7607).
    fn asn(self) -> Option<u32> {
        let number = match self {
            Scalar::Text(text) => text.strip_prefix("AS").unwrap_or(text).parse().ok()?,
            Scalar::Number(number)
                if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) =>
            {
                number as u32
            }
            _ => return None,
        };
        Some(number).filter(|number| *number != 0)
    }
}

/// A value and those of its parts that we read: of a map its entries, of a list the entries of its first element.
#[derive(Clone, Copy, Default)]
struct Field<'a> {
    own: Scalar<'a>,
    /// `code` or `iso_code`.
    code: Scalar<'a>,
    latitude: Scalar<'a>,
    longitude: Scalar<'a>,
    /// `autonomous_system_number`.
    asn: Scalar<'a>,
}

/// Takes any value as a [`Field`].
struct FieldVisitor;

impl<'a> Field<'a> {
    fn scalar<E>(own: Scalar<'a>) -> Result<Field<'a>, E> {
        Ok(Field { own, ..Field::default() })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<'a>, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Field::scalar(Scalar::Text(text))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field<'de>, E> {
        Field::scalar(Scalar::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
        Field::scalar(Scalar::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field<'de>, E> {
        Field::scalar(Scalar::Number(number as f64))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Field<'de>, E> {
        Field::scalar(Scalar::Unknown)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field<'de>, E> {
        Field::scalar(Scalar::Unknown)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Field<'de>, E> {
        Field::scalar(Scalar::Unknown)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Field<'de>, M::Error> {
        let mut field = Field::default();
        while let Some(key) = map.next_key()? {
            let part = match key {
                "code" | "iso_code" => &mut field.code,
                "latitude" => &mut field.latitude,
                "longitude" => &mut field.longitude,
                "autonomous_system_number" => &mut field.asn,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *part = map.next_value::<Field>()?.own;
        }
        Ok(field)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Field<'de>, S::Error> {
        let first: Field = list.next_element()?.unwrap_or_default();
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field { own: Scalar::Unknown, ..first })
    }
}
