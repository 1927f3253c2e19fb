//! Geofeeds (RFC 8805): what an operator, or another network, says of where its own prefixes are.

use std::net::IpAddr;

use super::countries;
use super::layer::Layer;
use super::place::{Country, Place, Prefix, Subdivision};
use super::places::{Places, Stretch};

/// What one file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geofeed {
    /// What operators know it by.
    pub name: String,
    /// Its entries, no prefix twice.
    pub entries: Vec<Entry>,
}

/// Where one prefix is. Without a country: nothing is known of it, whatever others say (RFC 8805 §2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The prefix.
    pub prefix: Prefix,
    /// The country.
    pub country: Option<Country>,
    /// A subdivision of that country.
    pub subdivision: Option<Subdivision>,
}

impl Entry {
    /// What it says by itself.
    pub fn place(&self) -> Place {
        let continent = self.country.and_then(countries::continent);
        Place { continent, country: self.country, subdivision: self.subdivision, ..Place::default() }
    }

    /// `place`, moved to where the entry says that it is. Its AS number stays; so do its finer subdivision and its
    /// coordinates, as far as they do not contradict the entry.
    pub(super) fn painted_over(&self, place: Place) -> Place {
        let same_country = self.country.is_some() && place.country == self.country;
        let same_part = same_country
            && (self.subdivision.is_none()
                || place.subdivision.is_none()
                || place.subdivision == self.subdivision);
        Place {
            subdivision: self.subdivision.or(place.subdivision.filter(|_| same_country)),
            point: place.point.filter(|_| same_part),
            asn: place.asn,
            ..self.place()
        }
    }
}

impl Geofeed {
    /// The most specific entry for `address`.
    pub fn entry(&self, address: IpAddr) -> Option<&Entry> {
        let around = self.entries.iter().filter(|entry| entry.prefix.contains(address));
        around.max_by_key(|entry| entry.prefix.bits())
    }
}

/// `places` with all `geofeeds` painted over them. The longest prefix wins; of equal ones that of the first file.
pub(super) fn paint(places: &Places, geofeeds: &[Geofeed]) -> Places {
    let mut entries: Vec<&Entry> = geofeeds.iter().flat_map(|geofeed| &geofeed.entries).collect();
    entries.sort_by_key(|entry| (entry.prefix.address(), entry.prefix.bits()));
    entries.dedup_by_key(|entry| entry.prefix);

    // A layer of entries instead of places: 0 for none, else one more than its index.
    let split = entries.partition_point(|entry| entry.prefix.address().is_ipv4());
    let v4 = lay(Layer::v4(), &entries[..split], 1);
    let v6 = lay(Layer::v6(), &entries[split..], 1 + split);
    places.joined(&v4, &v6, |place, entry| match (entry as usize).checked_sub(1) {
        Some(at) => entries[at].painted_over(place),
        None => place,
    })
}

/// Lays nested prefixes of one family, sorted by their first address and then the widest first.
fn lay<A: TryFrom<u128>>(mut layer: Layer<A>, entries: &[&Entry], first_id: usize) -> Vec<Stretch<A>> {
    // The prefixes around the current address, the widest first: their last addresses and ids.
    let mut around: Vec<(u128, u32)> = Vec::new();
    // The first address that is not laid yet; `None` behind the last one of all.
    let mut next = Some(0);
    let leave = |layer: &mut Layer<A>, next: &mut Option<u128>, last: u128, id: u32| {
        if let Some(first) = next.filter(|first| *first <= last) {
            layer.lay(first, last, id);
            *next = last.checked_add(1);
        }
    };
    for (entry, id) in entries.iter().zip(first_id..) {
        let (first, last) = range(&entry.prefix);
        while let Some((end, id)) = around.pop_if(|(end, _)| *end < first) {
            leave(&mut layer, &mut next, end, id);
        }
        if let (Some((_, outer)), Some(before)) = (around.last(), first.checked_sub(1)) {
            leave(&mut layer, &mut next, before, *outer);
        }
        next = next.map(|next| next.max(first));
        around.push((last, u32::try_from(id).expect("a text of 4 GB does not hold so many entries")));
    }
    while let Some((end, id)) = around.pop() {
        leave(&mut layer, &mut next, end, id);
    }
    layer.finish()
}

/// The first and the last address of a prefix, as numbers of its family.
fn range(prefix: &Prefix) -> (u128, u128) {
    match prefix.address() {
        IpAddr::V4(first) => {
            let first = u32::from(first);
            (first.into(), (first | u32::MAX.checked_shr(prefix.bits().into()).unwrap_or(0)).into())
        }
        IpAddr::V6(first) => {
            let first = u128::from(first);
            (first, first | u128::MAX.checked_shr(prefix.bits().into()).unwrap_or(0))
        }
    }
}
