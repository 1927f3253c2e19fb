//! Places as octets, so that a start need not read databases again.
//!
//! ```text
//! count, octets, then so many    for each place: which fields are known (1 octet), and those
//! IPv4, then IPv6:
//!   count                        of stretches
//!   width                        octets of a place's number
//!   octets, then so many         from each start to the next one: see `distance`
//!   count numbers                of places
//! ```

use super::packed::{Packed, Unpacking};
use super::place::{Continent, Country, Place, Point, Subdivision};
use super::places::{Places, Stretch};
use crate::both::both;

/// Which fields of a place are known.
const CONTINENT: u8 = 1;
const COUNTRY: u8 = 2;
const SUBDIVISION: u8 = 4;
const POINT: u8 = 8;
const ASN: u8 = 16;

impl Places {
    /// Themselves as octets, for [`unpack`](Places::unpack).
    pub fn pack(&self) -> Vec<u8> {
        let (mut into, mut places) = (Packed::default(), Packed::default());
        self.known.iter().for_each(|known| place(known, &mut places));
        into.u32(self.known.len() as u32);
        into.u64(places.0.len() as u64);
        into.octets(&places.0);
        let known = self.known.len();
        stretches(self.v4.iter().map(|of| (of.start.into(), of.place)), known, &mut into);
        stretches(self.v6.iter().map(|of| (of.start, of.place)), known, &mut into);
        into.0
    }

    /// What was packed; `None` where that is cut short, or longer, or makes no sense.
    pub fn unpack(octets: &[u8]) -> Option<Places> {
        let from = &mut Unpacking(octets);
        let (count, octets) = (from.u32()? as usize, usize::try_from(from.u64()?).ok()?);
        let known = Unpacking(from.octets(octets)?);
        let (v4, v6) = (Columns::unpack(from)?, Columns::unpack(from)?);
        if !from.0.is_empty() || count > octets {
            return None;
        }
        let v4 =
            || Some((unpacked_places(known, count)?, v4.stretches(count, |start| start.try_into().ok())?));
        let (first, v6) = both(v4, || v6.stretches(count, Some));
        let ((known, v4), v6) = (first?, v6?);
        Some(Places { known, v4: v4.into(), v6: v6.into() })
    }
}

/// So many places, the first of which is nothing known.
fn unpacked_places(mut from: Unpacking<'_>, count: usize) -> Option<Vec<Place>> {
    let mut known = Vec::with_capacity(count);
    for _ in 0..count {
        known.push(unpacked_place(&mut from)?);
    }
    (from.0.is_empty() && known.first() == Some(&Place::default())).then_some(known)
}

fn place(place: &Place, into: &mut Packed) {
    let Place { continent, country, subdivision, point, asn } = place;
    let field = |is_known: bool, field: u8| if is_known { field } else { 0 };
    into.u8(field(continent.is_some(), CONTINENT)
        | field(country.is_some(), COUNTRY)
        | field(subdivision.is_some(), SUBDIVISION)
        | field(point.is_some(), POINT)
        | field(asn.is_some(), ASN));
    continent.iter().for_each(|continent| into.u8(*continent as u8));
    country.iter().for_each(|country| into.octets(&country.octets()));
    subdivision.iter().for_each(|subdivision| into.octets(&subdivision.octets()));
    point.iter().flat_map(|at| [at.lat(), at.lon()]).for_each(|degrees| into.u64(degrees.to_bits()));
    asn.iter().for_each(|asn| into.u32(*asn));
}

fn unpacked_place(from: &mut Unpacking<'_>) -> Option<Place> {
    let known = from.u8()?;
    let mut place = Place::default();
    if known & CONTINENT != 0 {
        place.continent = Some(*Continent::ALL.get(usize::from(from.u8()?))?);
    }
    if known & COUNTRY != 0 {
        place.country = Some(Country::of_octets(from.array()?)?);
    }
    if known & SUBDIVISION != 0 {
        place.subdivision = Some(Subdivision::of_octets(from.array()?)?);
    }
    if known & POINT != 0 {
        let (lat, lon) = (f64::from_bits(from.u64()?), f64::from_bits(from.u64()?));
        place.point = Some(Point::new(lat, lon)?);
    }
    if known & ASN != 0 {
        place.asn = Some(from.u32()?);
    }
    Some(place)
}

/// The stretches of a family, of so many places.
fn stretches(of: impl Iterator<Item = (u64, u32)> + Clone, known: usize, into: &mut Packed) {
    let width = width(known);
    into.u32(of.clone().count() as u32);
    into.u8(width as u8);
    let mut distances = Packed::default();
    let mut before = 0;
    for (start, _) in of.clone().skip(1) {
        distance(start - before, &mut distances);
        before = start;
    }
    into.u64(distances.0.len() as u64);
    into.octets(&distances.0);
    of.for_each(|(_, place)| into.octets(&place.to_le_bytes()[..width]));
}

/// Octets of the number of one of so many places.
fn width(known: usize) -> usize {
    if known <= 1 << 16 {
        2
    } else if known <= 1 << 24 {
        3
    } else {
        4
    }
}

/// A number above 0, mostly a network's size: how many bits of 0 it ends with (6 bits), then the bits above the lowest 1, the first of
/// them in the same octet and 7 in each that follows. The highest bit of an octet: another one follows.
fn distance(number: u64, into: &mut Packed) {
    let zeros = number.trailing_zeros();
    let mut rest = number >> zeros >> 1;
    let mut octet = zeros as u8 | (rest as u8 & 1) << 6;
    rest >>= 1;
    while rest > 0 {
        into.u8(octet | 0x80);
        octet = rest as u8 & 0x7f;
        rest >>= 7;
    }
    into.u8(octet);
}

/// The next distance; 0 or nonsense where it is none.
#[inline]
fn unpacked_distance(octets: &mut std::slice::Iter<'_, u8>) -> Option<u64> {
    let first = u64::from(*octets.next()?);
    let mut number = 1 | (first >> 6 & 1) << 1;
    let (mut octet, mut shift) = (first, 2);
    while octet & 0x80 != 0 {
        octet = u64::from(*octets.next()?);
        number |= (octet & 0x7f).checked_shl(shift)?;
        shift += 7;
    }
    Some(number << (first & 63))
}

/// The packed stretches of a family.
struct Columns<'o> {
    count: usize,
    distances: &'o [u8],
    width: usize,
    places: &'o [u8],
}

impl<'o> Columns<'o> {
    fn unpack(from: &mut Unpacking<'o>) -> Option<Columns<'o>> {
        let (count, width) = (from.u32()? as usize, usize::from(from.u8()?));
        let distances = usize::try_from(from.u64()?).ok()?;
        let distances = from.octets(distances)?;
        Some(Columns { count, distances, width, places: from.octets(count.checked_mul(width)?)? })
    }

    fn stretches<A>(self, known: usize, start: impl Fn(u64) -> Option<A>) -> Option<Vec<Stretch<A>>> {
        match self.width {
            2 => self.of_width::<2, A>(known, start),
            3 => self.of_width::<3, A>(known, start),
            4 => self.of_width::<4, A>(known, start),
            _ => None,
        }
    }

    fn of_width<const N: usize, A>(
        self,
        known: usize,
        start: impl Fn(u64) -> Option<A>,
    ) -> Option<Vec<Stretch<A>>> {
        let mut stretches = Vec::with_capacity(self.count);
        let (places, _) = self.places.as_chunks::<N>();
        let mut distances = self.distances.iter();
        let (mut at, mut before) = (0_u64, None);
        for octets in places {
            let mut number = [0; 4];
            number[..N].copy_from_slice(octets);
            let place = u32::from_le_bytes(number);
            if let Some(before) = before {
                let next = at.wrapping_add(unpacked_distance(&mut distances)?);
                if next <= at || place == before {
                    return None;
                }
                at = next;
            }
            if place as usize >= known {
                return None;
            }
            before = Some(place);
            stretches.push(Stretch { start: start(at)?, place });
        }
        (distances.as_slice().is_empty() && !stretches.is_empty()).then_some(stretches)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some_place() -> impl Strategy<Value = Place> {
        let country = prop::sample::select(vec!["MY", "BR", "US"]);
        let country = country.prop_map(|code| Country::parse(code).unwrap());
        let subdivision = prop::sample::select(vec!["MY-14", "US-CA", "FR-IDF", "AU-X"]);
        let subdivision = subdivision.prop_map(|code| Subdivision::parse(code).unwrap());
        let point = (-90.0..=90.0, -180.0..=180.0).prop_map(|(lat, lon)| Point::new(lat, lon).unwrap());
        let fields = (
            prop::option::of(prop::sample::select(Continent::ALL.to_vec())),
            prop::option::of(country),
            prop::option::of(subdivision),
            prop::option::of(point),
            prop::option::of(any::<u32>()),
        );
        fields.prop_map(|(continent, country, subdivision, point, asn)| Place {
            continent,
            country,
            subdivision,
            point,
            asn,
        })
    }

    /// Stretches whose sizes are networks', or any.
    fn some_stretches(bits: u32, known: u32) -> impl Strategy<Value = Vec<Stretch<u64>>> {
        let start = prop_oneof![(0..bits).prop_map(|bit| 1 << bit), 0..=u64::MAX >> (64 - bits)];
        prop::collection::btree_map(start, 0..known, 0..40).prop_map(|starts| {
            let mut stretches = vec![Stretch { start: 0, place: 0 }];
            stretches.extend(starts.into_iter().map(|(start, place)| Stretch { start, place }));
            stretches.dedup_by_key(|stretch| stretch.start);
            stretches.dedup_by_key(|stretch| stretch.place);
            stretches
        })
    }

    fn some_places() -> impl Strategy<Value = Places> {
        let known = prop::collection::vec(some_place(), 3);
        (known, some_stretches(32, 4), some_stretches(64, 4)).prop_map(|(mut known, v4, v6)| {
            known.insert(0, Place::default());
            let v4 = v4.into_iter().map(|of| Stretch { start: of.start as u32, place: of.place });
            Places { known, v4: v4.collect::<Vec<_>>().into(), v6: v6.into() }
        })
    }

    fn is_same(a: &Places, b: &Places) -> bool {
        a.known == b.known && a.v4 == b.v4 && a.v6 == b.v6
    }

    proptest! {
        // What is packed is unpacked; what is cut, or longer, is refused; what is damaged never panics.
        #[test]
        fn places_outlive_packing(places in some_places(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut octets = places.pack();
            prop_assert!(is_same(&Places::unpack(&octets).unwrap(), &places));
            for cut in 0..octets.len() {
                prop_assert!(Places::unpack(&octets[..cut]).is_none(), "{cut} of {}", octets.len());
            }
            prop_assert!(Places::unpack(&[&octets[..], &[0]].concat()).is_none());
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
            let _ = Places::unpack(&octets);
        }
    }

    #[test]
    fn the_longest_distance_and_many_places_are_packed() {
        let known = (0..70_000).map(|asn| Place { asn: (asn > 0).then_some(asn), ..Place::default() });
        let v6 = vec![Stretch { start: 0, place: 0 }, Stretch { start: u64::MAX, place: 69_999 }];
        let v4 = vec![Stretch { start: 0, place: 65_536 }, Stretch { start: 1, place: 7 }];
        let places = Places { known: known.collect(), v4: v4.into(), v6: v6.into() };
        assert!(is_same(&Places::unpack(&places.pack()).unwrap(), &places));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let known = vec![Place::default(), Place { asn: Some(1), ..Place::default() }];
        let of = |stretches: &[(u32, u32)]| {
            let v4 = stretches.iter().map(|&(start, place)| Stretch { start, place });
            let v6 = vec![Stretch { start: 0, place: 0 }];
            Places { known: known.clone(), v4: v4.collect::<Vec<_>>().into(), v6: v6.into() }.pack()
        };
        assert!(Places::unpack(&of(&[(0, 0), (1, 1)])).is_some());
        assert!(Places::unpack(&of(&[(0, 0), (1, 2)])).is_none(), "a place that is none");
        assert!(Places::unpack(&of(&[(0, 1), (1, 1)])).is_none(), "neighbours of one place");
        assert!(Places::unpack(&of(&[])).is_none(), "no stretch");
    }
}
