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
