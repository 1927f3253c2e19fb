//! Policies: which clusters, in which order, for whom.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::cluster::ClusterId;
use crate::geo::place::{Continent, Country, Place, Point, Prefix, Subdivision};

/// A policy's place in the Plan's policies: dense, made anew by each load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u16);

/// Which clusters, in which order, for whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its key; for one written inline, `service <owner>`.
    pub key: Arc<str>,
    /// The clusters that it may choose, without repetition, in the order of the file.
    pub clusters: Vec<ClusterId>,
    /// The first that matches a client decides.
    pub rules: Vec<Rule>,
    /// How far clients of a tile wider than this are spread over the slots.
    pub spread: Spread,
    /// Whether EDNS Client Subnet is used; otherwise the resolver's address, scope 0.
    pub ecs: bool,
    /// Measured round-trip times.
    pub rtt: Vec<Rtt>,
    /// How much better another cluster must be by the table before its order counts; default 20 ms.
    pub rtt_margin: Duration,
    /// How much it counts that the way to a cluster is worse than usual; `None`, the default: nothing.
    pub quality: Option<QualityWeight>,
}

/// How much it counts that the way to a cluster is worse than usual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct QualityWeight {
    /// The ms that a ms of it counts as; above 0, at most 10; default 1.
    pub weight: f32,
    /// What is nobody's business, in ms; 0..=1000, default 10. Turn it up where lists move though nobody complains.
    pub tolerate_ms: f32,
}

/// A tile wider than this is hashed and scoped by this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spread {
    /// 1..=24, default 16.
    pub ipv4: u8,
    /// 1..=56, default 40.
    pub ipv6: u8,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread { ipv4: 16, ipv6: 40 }
    }
}

/// For whom, and which clusters in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// For whom it is.
    pub from: From,
    /// What it says.
    pub order: Order,
}

/// For whom a rule is: all keys that are not empty must match, any value of a key does. All empty: everyone.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct From {
    /// The client's continent is one of these.
    pub continents: Vec<Continent>,
    /// The client's country is one of these.
    pub countries: Vec<Country>,
    /// The client's subdivision is one of these.
    pub subdivisions: Vec<Subdivision>,
    /// The client's autonomous system is one of these.
    pub asns: Vec<u32>,
    /// The client's address is in one of these (`prefix` and `prefix_file` together).
    pub prefixes: Vec<Prefix>,
}

impl From {
    /// Whether a client is meant, but for the prefixes: they are asked apart.
    pub fn matches_place(&self, place: &Place) -> bool {
        fn any<T: PartialEq>(values: &[T], known: Option<T>) -> bool {
            values.is_empty() || known.is_some_and(|known| values.contains(&known))
        }
        any(&self.continents, place.continent)
            && any(&self.countries, place.country)
            && any(&self.subdivisions, place.subdivision)
            && any(&self.asns, place.asn)
    }
}

/// What a rule does to the order of nearness.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// These first, in this order; the rest by nearness.
    Prefer(Vec<ClusterId>),
    /// These and no others, in this order.
    Only(Vec<ClusterId>),
}

/// One row of a table of measured round-trip times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rtt {
    /// From where.
    pub from: RttFrom,
    /// To which cluster.
    pub to: ClusterId,
    /// Milliseconds, finite and not negative.
    pub ms: f64,
}

/// From where a round-trip time was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RttFrom {
    /// A network.
    Prefix(Prefix),
    /// An autonomous system.
    Asn(u32),
    /// A subdivision.
    Subdivision(Subdivision),
    /// A country.
    Country(Country),
    /// A point: counts for places within 400 km, the nearest first.
    Point(Point),
}
