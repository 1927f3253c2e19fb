//! Every address's place, for all addresses of both families.

use super::place::Place;

/// Addresses from `start` to the next stretch's start (exclusive), which share a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch<A> {
    /// The first address: all 32 bits of IPv4, the upper 64 bits of IPv6.
    pub start: A,
    /// What is known there: a place in [`Places::known`].
    pub place: u32,
}

/// What databases and geofeeds together say of every address.
///
/// The stretches of a family are sorted, the first starts at 0, and neighbours differ in place.
#[derive(Clone, Debug)]
pub struct Places {
    /// All distinct places; the first one is [`Place::default`]: nothing known.
    pub known: Vec<Place>,
    /// IPv4.
    pub v4: Vec<Stretch<u32>>,
    /// IPv6, by upper halves: what is finer than a /64 takes the place of most of it.
    pub v6: Vec<Stretch<u64>>,
}

impl Places {
    /// Nothing is known of any address.
    pub fn nothing() -> Places {
        let all = |place| (Stretch { start: 0, place }, Stretch { start: 0, place });
        let (v4, v6) = all(0);
        Places { known: vec![Place::default()], v4: vec![v4], v6: vec![v6] }
    }
}
