//! Where clients are: which part of a family's address space counts for how much.
//!
//! A client is an address of the public internet that a GeoIP source places; IPv4 counts by addresses, IPv6 by /48s. What is not placed is
//! mostly not in use: of IPv6 nearly all of it. Where no source places any, all of the public internet counts.

use std::net::{IpAddr, Ipv6Addr};

use super::client::unroutable_blocks;
use super::compile::Mapped;
use crate::cluster::Family;
use crate::geo::places::Places;

/// List by list: its part of the clients of a family in these ranges of keys, all of them together 1. `runs` tell from which key on
/// a list holds, the lowest first.
pub(super) fn parts(
    lists: usize,
    family: Family,
    runs: impl Iterator<Item = (u64, u32)>,
    ranges: &[(u64, u64)],
) -> Box<[f64]> {
    let mut parts = vec![0.0; lists].into_boxed_slice();
    let mut ranges = ranges.iter().copied().peekable();
    let mut runs = runs.peekable();
    while let Some((start, list)) = runs.next() {
        let last = runs.peek().map_or(u64::MAX, |next| next.0 - 1);
        // Ranges that this run ends in go on in the next one.
        while let Some(&(first, end)) = ranges.peek().filter(|range| range.0 <= last) {
            if start <= end {
                parts[list as usize] += clients(family, first.max(start), end.min(last));
            }
            if end > last {
                break;
            }
            ranges.next();
        }
    }
    let total: f64 = parts.iter().sum();
    parts.iter_mut().for_each(|part| *part /= total.max(f64::MIN_POSITIVE));
    parts
}

/// Tells which list of a map holds from key to key, for all keys of `ranges` in their order.
pub fn stretches(
    mapped: &Mapped,
    family: Family,
    ranges: &[(u64, u64)],
    mut tell: impl FnMut(u32, u64, u64),
) {
    let map = if family == Family::V4 { &mapped.v4 } else { &mapped.v6 };
    for &(first, end) in ranges {
        let mut at = first;
        loop {
            let (list, bits) = map.get(at);
            let last = last_of(at, bits).min(end);
            tell(list, at, last);
            if last == end {
                break;
            }
            at = last + 1;
        }
    }
}

/// How many clients there are from key to key: addresses of IPv4, /48s of IPv6.
pub fn clients(family: Family, first: u64, last: u64) -> f64 {
    let keys = (last - first) as f64 + 1.0;
    match family {
        Family::V4 => keys / (f64::from(u32::MAX) + 1.0),
        Family::V6 => keys / f64::from(1 << 16),
    }
}

/// The last key of the network of `bits` bits around a key.
pub fn last_of(key: u64, bits: u8) -> u64 {
    key | u64::MAX.checked_shr(bits.into()).unwrap_or(0)
}

/// The ranges of keys, first and last, of the public internet that some source places; all of it where none does.
pub fn placed(family: Family, places: &Places) -> Vec<(u64, u64)> {
    let public = public(family);
    let known = match family {
        Family::V4 => known(places.v4.iter().map(|of| (u64::from(of.start) << 32, of.place != 0))),
        Family::V6 => known(places.v6.iter().map(|of| (of.start, of.place != 0))),
    };
    let mut placed = Vec::new();
    let mut from = 0;
    for (start, last) in known {
        // Both are sorted: what ends before this range ends before the later ones, too.
        while from < public.len() && public[from].1 < start {
            from += 1;
        }
        let within = public[from..].iter().take_while(|range| range.0 <= last);
        placed.extend(within.map(|range| (range.0.max(start), range.1.min(last))));
    }
    if placed.is_empty() { public } else { placed }
}

/// The ranges of keys, first and last, that are placed: neighbours are one, wherever they are placed. `stretches` tell from which key on
/// something holds, the lowest first.
fn known(stretches: impl Iterator<Item = (u64, bool)>) -> Vec<(u64, u64)> {
    let (mut ranges, mut open) = (Vec::new(), None);
    for (start, is_placed) in stretches {
        match open {
            None if is_placed => open = Some(start),
            Some(first) if !is_placed => {
                ranges.push((first, start - 1));
                open = None;
            }
            _ => {}
        }
    }
    ranges.extend(open.map(|first| (first, u64::MAX)));
    ranges
}

/// The ranges of keys, first and last, of the public internet: without blocks for special purposes, and of IPv6 without what has
/// IPv4 clients in it (6to4, Teredo).
fn public(family: Family) -> Vec<(u64, u64)> {
    let within = |address: IpAddr, bits: u8| {
        let key = match address {
            IpAddr::V4(v4) => u64::from(u32::from(v4)) << 32,
            IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
        };
        (key, last_of(key, bits))
    };
    let special = unroutable_blocks().filter(|block| Family::of(block.address()) == family);
    let mut blocks: Vec<_> = special.map(|block| within(block.address(), block.bits())).collect();
    if family == Family::V6 {
        let v6 = |second| IpAddr::V6(Ipv6Addr::from(second));
        blocks.push(within(v6(0x2001_0000u128 << 96), 32));
        blocks.push(within(v6(0x2002_u128 << 112), 16));
    }
    blocks.sort_unstable();
    let (mut ranges, mut next) = (Vec::new(), Some(0));
    for (first, last) in blocks {
        let Some(open) = next else { break };
        if first > open {
            ranges.push((open, first - 1));
        }
        next = if last >= open { last.checked_add(1) } else { Some(open) };
    }
    ranges.extend(next.map(|open| (open, u64::MAX)));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_ranges_cut_one_another() {
        let runs = [(0, 0), (10 << 32, 1), (20 << 32, 2), (30 << 32, 1), (40 << 32, 3)].into_iter();
        let ranges = [(5 << 32, (25 << 32) - 1), (28 << 32, (29 << 32) - 1), (35 << 32, (36 << 32) - 1)];
        // 5 addresses of the first, 10 of the second, 5 and 1 of the third, 1 of the second.
        let parts = parts(4, Family::V4, runs, &ranges);
        assert_eq!([0, 1, 2, 3].map(|list| (parts[list] * 22.0).round()), [5.0, 11.0, 6.0, 0.0]);
    }

    #[test]
    fn neighbours_that_are_placed_are_one_range() {
        let stretches = [(0, false), (10, true), (20, true), (30, false), (40, true)];
        assert_eq!(known(stretches.into_iter()), [(10, 29), (40, u64::MAX)]);
        assert_eq!(known([(0, false)].into_iter()), []);
    }

    #[test]
    fn the_public_internet_has_the_known_holes() {
        let v4_addresses: u64 =
            public(Family::V4).iter().map(|(first, last)| ((last - first) >> 32) + 1).sum();
        // 2^32 less 0/8, 10/8, 100.64/10, 127/8, 169.254/16, 172.16/12, 192.0.0/24, 192.0.2/24, 192.168/16, 198.18/15, two /24, 224/3.
        let special =
            (3 << 24) + (1 << 22) + (1 << 16) + (1 << 20) + (1 << 16) + (1 << 17) + (4 << 8) + (1u64 << 29);
        assert_eq!(v4_addresses, (1 << 32) - special);
        let v6 = public(Family::V6);
        assert_eq!(v6.first().unwrap().0, 0x2000 << 48);
        assert!(v6.iter().all(|(first, last)| first >> 61 == 1 && last >> 61 == 1 && first >> 48 != 0x2002));
    }
}
