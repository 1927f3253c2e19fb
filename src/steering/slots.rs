//! Slots: 64 equal shares of a policy's clients, by a fixed hash of their network.
//!
//! The hash is part of what steerdns promises (docs/steering.md): nameservers of different versions agree on it.

use std::net::IpAddr;

/// How many slots there are: a mask of them is one `u64`.
pub const SLOTS: u8 = 64;
/// The bits of a resolver's IPv4 address that its slot is made of, where a query has no client subnet.
pub const RESOLVER_BITS_V4: u8 = 24;
/// The same of its IPv6 address.
pub const RESOLVER_BITS_V6: u8 = 48;

/// The slot, 0..64, of the network of `bits` bits (at most 32) around an IPv4 address.
#[inline]
pub fn slot_v4(address: u32, bits: u8) -> u8 {
    slot(leading(u64::from(address) << 32, bits.min(32)) ^ 4)
}

/// The slot, 0..64, of the network of `bits` bits (at most 64) around an IPv6 address, given by its upper half.
#[inline]
pub fn slot_v6(upper: u64, bits: u8) -> u8 {
    slot(leading(upper, bits) ^ 6)
}

/// The slot of a resolver whose query has no client subnet.
#[inline]
pub fn slot_of_resolver(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) => slot_v4(v4.into(), RESOLVER_BITS_V4),
        IpAddr::V6(v6) => slot_v6((u128::from(v6) >> 64) as u64, RESOLVER_BITS_V6),
    }
}

/// The leading 6 bits of the mixed key.
#[inline]
fn slot(key: u64) -> u8 {
    (mix(key) >> 58) as u8
}

#[inline]
fn leading(key: u64, bits: u8) -> u64 {
    key & !u64::MAX.checked_shr(u32::from(bits)).unwrap_or(0)
}

/// The output function of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA
/// 2014, with the constants of Stafford's Mix13): a bijection of 64 bits that looks random.
#[inline]
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot_of(address: &str, bits: u8) -> u8 {
        match address.parse().unwrap() {
            IpAddr::V4(v4) => slot_v4(v4.into(), bits),
            IpAddr::V6(v6) => slot_v6((u128::from(v6) >> 64) as u64, bits),
        }
    }

    /// The table of docs/steering.md. If this fails, nameservers of two versions would disagree.
    #[test]
    fn slots_are_the_same_for_ever() {
        let golden = [
            ("0.0.0.0", 1, 45),
            ("192.0.2.0", 24, 22),
            ("198.51.100.0", 24, 11),
            ("203.0.113.0", 24, 0),
            ("203.0.0.0", 16, 28),
            ("::", 1, 52),
            ("2001:db8::", 32, 6),
            ("2001:db8::", 40, 6),
            ("2001:db8:1::", 48, 22),
            ("2001:db8:1:200::", 56, 11),
        ];
        for (address, bits, slot) in golden {
            assert_eq!(slot_of(address, bits), slot, "{address}/{bits}");
        }
    }

    #[test]
    fn what_lies_behind_the_length_does_not_matter() {
        assert_eq!(slot_of("192.0.2.77", 24), slot_of("192.0.2.0", 24));
        assert_eq!(slot_of("2001:db8:1:2ff::1", 56), slot_of("2001:db8:1:200::", 56));
        assert_eq!(slot_of_resolver("192.0.2.53".parse().unwrap()), slot_of("192.0.2.0", 24));
        assert_eq!(slot_of_resolver("2001:db8:1:2::53".parse().unwrap()), slot_of("2001:db8:1::", 48));
    }

    #[test]
    fn the_networks_of_the_world_spread_evenly_over_the_slots() {
        for bits in [16, 20] {
            let mut clients = [0u32; SLOTS as usize];
            for network in 0..1u32 << bits {
                clients[usize::from(slot_v4(network << (32 - bits), bits as u8))] += 1;
            }
            let mean = f64::from(1 << (bits - 6));
            for (slot, &count) in clients.iter().enumerate() {
                let off = (f64::from(count) - mean).abs() / mean.sqrt();
                assert!(off < 4.5, "slot {slot} of /{bits}: {count} networks, {off} standard deviations off");
            }
        }
    }
}
