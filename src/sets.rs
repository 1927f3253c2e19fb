//! What each slot of a pool answers, as octets.

use std::net::IpAddr;
use std::time::Instant;

use crate::steering::deal::{SlotTable, members};

/// What each slot of a pool answers, as octets.
#[derive(Clone, Debug)]
pub struct SlotSets {
    set_of: [u8; 64],
    sets: Box<[StoredSet]>,
    octets: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct StoredSet {
    at: u32,
    len: u16,
    decided: Option<Instant>,
}

/// The addresses of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AddressSet<'s> {
    octets: &'s [u8],
    decided: Option<Instant>,
}

impl<'s> AddressSet<'s> {
    /// The addresses, one behind the other.
    #[inline]
    pub fn octets(&self) -> &'s [u8] {
        self.octets
    }

    /// How many octets they take.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a length in octets, not a collection")]
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Whether this address, which is of their family, is one of them.
    pub fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.octets.chunks_exact(4).any(|own| own == v4.octets()),
            IpAddr::V6(v6) => self.octets.chunks_exact(16).any(|own| own == v6.octets()),
        }
    }

    /// How long it may be kept: `ttl_s`, but no longer than until a doubt about one of its addresses is decided
    /// (whole seconds, at least 1).
    #[inline]
    pub fn ttl_s(&self, ttl_s: u32, now: Instant) -> u32 {
        match self.decided {
            None => ttl_s,
            Some(decided) => (decided.saturating_duration_since(now).as_secs() as u32).clamp(1, ttl_s.max(1)),
        }
    }
}

impl SlotSets {
    /// The sets of a table, with the addresses of the members; `decided` tells until when a member is in doubt.
    pub fn new(
        table: &SlotTable,
        addresses: &[IpAddr],
        decided: impl Fn(usize) -> Option<Instant>,
    ) -> SlotSets {
        let mut octets = Vec::new();
        let mut sets = Vec::with_capacity(table.sets.len());
        for &set in &table.sets {
            let at = octets.len() as u32;
            let mut doubt = None;
            for member in members(set).map(usize::from) {
                match addresses[member] {
                    IpAddr::V4(v4) => octets.extend(v4.octets()),
                    IpAddr::V6(v6) => octets.extend(v6.octets()),
                }
                doubt = [doubt, decided(member)].into_iter().flatten().min();
            }
            sets.push(StoredSet { at, len: (octets.len() as u32 - at) as u16, decided: doubt });
        }
        SlotSets { set_of: table.set_of, sets: sets.into(), octets: octets.into() }
    }

    /// Whether any slot answers this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.holds_octets(&v4.octets()),
            IpAddr::V6(v6) => self.holds_octets(&v6.octets()),
        }
    }

    /// The same, by its octets.
    pub fn holds_octets(&self, address: &[u8]) -> bool {
        let octets = |set: &StoredSet| &self.octets[set.at as usize..][..usize::from(set.len)];
        self.sets.iter().any(|set| octets(set).chunks_exact(address.len()).any(|own| own == address))
    }

    /// What a slot answers.
    #[inline]
    pub fn get(&self, slot: u8) -> AddressSet<'_> {
        let set = self.sets[usize::from(self.set_of[usize::from(slot & 63)])];
        let octets = &self.octets[set.at as usize..][..usize::from(set.len)];
        AddressSet { octets, decided: set.decided }
    }
}
