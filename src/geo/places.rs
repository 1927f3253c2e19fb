//! Every address's place, for all addresses of both families.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::place::{Place, Prefix};
use crate::both::both;

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
    pub v4: Arc<Vec<Stretch<u32>>>,
    /// IPv6, by upper halves: what is finer than a /64 takes the place of most of it.
    pub v6: Arc<Vec<Stretch<u64>>>,
}

impl Places {
    /// Nothing known of any address.
    pub fn nothing() -> Places {
        Places {
            known: vec![Place::default()],
            v4: vec![Stretch { start: 0, place: 0 }].into(),
            v6: vec![Stretch { start: 0, place: 0 }].into(),
        }
    }

    /// What is known of `address`.
    pub fn at(&self, address: IpAddr) -> &Place {
        let place = match address {
            IpAddr::V4(v4) => self.v4[index(&self.v4, u32::from(v4))].place,
            IpAddr::V6(v6) => self.v6[index(&self.v6, upper_half(v6.into()))].place,
        };
        &self.known[place as usize]
    }

    /// The widest network around `address` of which the same is known throughout; at most a /64 in IPv6.
    pub fn network(&self, address: IpAddr) -> Prefix {
        let bits = match address {
            IpAddr::V4(v4) => {
                let address = u32::from(v4);
                let (first, end) = bounds(&self.v4, address);
                uniform_bits(address.into(), first.into(), end.map(u64::from), 32)
            }
            IpAddr::V6(v6) => {
                let address = upper_half(v6.into());
                let (first, end) = bounds(&self.v6, address);
                uniform_bits(address, first, end, 64)
            }
        };
        Prefix::around(address, bits)
    }

    /// These places where they know something, `lower`'s where they do not: see [`over`].
    pub(super) fn over(&self, lower: &Places) -> Places {
        self.joined(&lower.v4, &lower.v6, |place, below| over(place, lower.known[below as usize]))
    }

    /// These places, each changed by the id that other stretches have there; `change` must leave nothing known as it is
    /// where it is given id 0.
    pub(super) fn joined(
        &self,
        v4: &[Stretch<u32>],
        v6: &[Stretch<u64>],
        change: impl Fn(Place, u32) -> Place,
    ) -> Places {
        let mut catalogue = Catalogue::default();
        let mut met: HashMap<(u32, u32), u32> = HashMap::default();
        let mut place = |ours: u32, theirs: u32| {
            let change = || catalogue.id(change(self.known[ours as usize], theirs));
            *met.entry((ours, theirs)).or_insert_with(change)
        };
        let v4 = sweep(&self.v4, v4, &mut place).into();
        let v6 = sweep(&self.v6, v6, &mut place).into();
        Places { known: catalogue.places, v4, v6 }
    }

    /// The same addresses, with `change` made to every place; it must leave nothing known as it is.
    pub(super) fn map(&self, change: impl Fn(Place) -> Place) -> Places {
        let mut catalogue = Catalogue::with_capacity(self.known.len());
        let ids: Vec<u32> = self.known.iter().map(|place| catalogue.id(change(*place))).collect();
        let known = catalogue.places;
        if known.len() == ids.len() {
            // What was distinct still is.
            return Places { known, v4: Arc::clone(&self.v4), v6: Arc::clone(&self.v6) };
        }
        let (v4, v6) = both(|| relabelled(&self.v4, &ids), || relabelled(&self.v6, &ids));
        Places { known, v4: v4.into(), v6: v6.into() }
    }
}

/// The upper half of an IPv6 address, the unit of [`Places::v6`].
fn upper_half(address: u128) -> u64 {
    (address >> 64) as u64
}

/// Field by field, what `upper` knows, else what `lower` knows. But where both know where the address is and contradict
/// one another, nothing of `lower`'s location counts: no country of one source with the coordinates of another.
pub(super) fn over(upper: Place, lower: Place) -> Place {
    fn agree<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
        a.is_none() || b.is_none() || a == b
    }
    let same_country = agree(upper.country, lower.country) && agree(upper.continent, lower.continent);
    let same_part = same_country && agree(upper.subdivision, lower.subdivision);
    Place {
        continent: upper.continent.or(lower.continent.filter(|_| same_country)),
        country: upper.country.or(lower.country.filter(|_| same_country)),
        subdivision: upper.subdivision.or(lower.subdivision.filter(|_| same_country)),
        point: upper.point.or(lower.point.filter(|_| same_part)),
        asn: upper.asn.or(lower.asn),
    }
}

/// Distinct places and their ids; id 0 is nothing known.
pub(super) struct Catalogue {
    pub(super) places: Vec<Place>,
    ids: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Default for Catalogue {
    fn default() -> Catalogue {
        Catalogue::with_capacity(1)
    }
}

impl Catalogue {
    /// For so many places, without growing.
    pub(super) fn with_capacity(places: usize) -> Catalogue {
        let (ids, hasher) = (HashTable::with_capacity(places), DefaultHashBuilder::default());
        let mut catalogue = Catalogue { places: Vec::with_capacity(places), ids, hasher };
        catalogue.id(Place::default());
        catalogue
    }

    /// The id of `place`, a new one where it was not seen before.
    pub(super) fn id(&mut self, place: Place) -> u32 {
        let Catalogue { places, ids, hasher } = self;
        let hash = |place: &Place| hasher.hash_one(bits(place));
        let is_place = |id: &u32| bits(&places[*id as usize]) == bits(&place);
        match ids.entry(hash(&place), is_place, |id| hash(&places[*id as usize])) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let id = u32::try_from(places.len())
                    .expect("fewer places than stretches, of which memory holds less");
                free.insert(id);
                places.push(place);
                id
            }
        }
    }
}

/// A place by its bits, so that it can be hashed.
fn bits(place: &Place) -> impl Eq + Hash {
    let point = place.point.map(|point| (point.lat().to_bits(), point.lon().to_bits()));
    (place.continent, place.country, place.subdivision, point, place.asn)
}

/// Adds a stretch behind the others, unless it only continues the last one.
pub(super) fn extend<A>(stretches: &mut Vec<Stretch<A>>, start: A, place: u32) {
    if stretches.last().is_none_or(|last| last.place != place) {
        stretches.push(Stretch { start, place });
    }
}

/// Both cut where either is, with the place that `place` gives for their two.
fn sweep<A: Copy + Ord>(
    a: &[Stretch<A>],
    b: &[Stretch<A>],
    mut place: impl FnMut(u32, u32) -> u32,
) -> Vec<Stretch<A>> {
    let mut joined = Vec::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    let mut start = a[0].start;
    loop {
        extend(&mut joined, start, place(a[i].place, b[j].place));
        start = match (a.get(i + 1), b.get(j + 1)) {
            (Some(next_a), Some(next_b)) => next_a.start.min(next_b.start),
            (Some(next), None) | (None, Some(next)) => next.start,
            (None, None) => break,
        };
        i += usize::from(a.get(i + 1).is_some_and(|next| next.start == start));
        j += usize::from(b.get(j + 1).is_some_and(|next| next.start == start));
    }
    joined.shrink_to_fit();
    joined
}

/// The same stretches with other places; neighbours that become equal are one.
fn relabelled<A: Copy>(stretches: &[Stretch<A>], ids: &[u32]) -> Vec<Stretch<A>> {
    let mut changed = Vec::with_capacity(stretches.len());
    for stretch in stretches {
        extend(&mut changed, stretch.start, ids[stretch.place as usize]);
    }
    changed.shrink_to_fit();
    changed
}

/// Which stretch holds `address`.
fn index<A: Ord>(stretches: &[Stretch<A>], address: A) -> usize {
    stretches.partition_point(|stretch| stretch.start <= address) - 1
}

/// The stretch around `address`: its first address and the next one's, if there is one.
fn bounds<A: Copy + Ord>(stretches: &[Stretch<A>], address: A) -> (A, Option<A>) {
    let at = index(stretches, address);
    (stretches[at].start, stretches.get(at + 1).map(|next| next.start))
}

/// The fewest bits of a network around `address` (of `width` bits) that lies in `first..end`.
fn uniform_bits(address: u64, first: u64, end: Option<u64>, width: u32) -> u8 {
    // The network must be too small to reach what lies just outside: one bit longer than what both have in common.
    let apart_from = |outside: u64| (address ^ outside).leading_zeros() + 1 - (64 - width);
    let before = first.checked_sub(1).map_or(0, apart_from);
    let behind = end.map_or(0, apart_from);
    u8::try_from(before.max(behind)).expect("at most 64")
}
