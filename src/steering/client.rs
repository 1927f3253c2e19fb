//! For whom an answer is: the client's network if the query names one, else the resolver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::geo::place::Prefix;
use crate::wire::edns::Subnet;

/// For whom an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address that decides. IPv4 inside IPv6 is taken out of it.
    pub address: IpAddr,
    /// Where it comes from, and what that means for the scope.
    pub whose: Whose,
}

/// Whose address decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The resolver's: the query names no network, or does not want one used. Scope 0.
    Resolver,
    /// The resolver's, since the network named is not on the public internet. The scope is that block's length, or as much
    /// more as keeps out the networks in it that an operator placed.
    Unroutable(u8),
    /// The network's that the query names. The tile's length is the scope, behind `before` bits of a 6to4 prefix.
    Subnet {
        /// 16 where an IPv4 address was taken out of a 6to4 one, else 0.
        before: u8,
        /// The tile's length counts as no less than this: where the public internet ends, an operator's network does. Else 0.
        least: u8,
    },
}

impl Client {
    /// The client of a query from `peer`; `placed` are the networks off the public internet that an operator placed.
    #[inline]
    pub fn new(subnet: Option<&Subnet>, peer: IpAddr, placed: &PlacedNetworks) -> Client {
        let Some(address) = subnet.and_then(Subnet::address) else {
            return Client { address: plain(peer), whose: Whose::Resolver };
        };
        let (inner, before) = match six_to_four(address) {
            Some(inner) => (IpAddr::V4(inner), 16),
            None => (address, 0),
        };
        let Some(block) = unroutable(inner) else {
            return Client { address: inner, whose: Whose::Subnet { before, least: 0 } };
        };
        match placed.around(inner) {
            Placement::Within(least) => Client { address: inner, whose: Whose::Subnet { before, least } },
            Placement::Beside(clear) => {
                Client { address: plain(peer), whose: Whose::Unroutable(before + block.max(clear)) }
            }
        }
    }
}

/// Where an address lies among networks that an operator placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In one of them: the widest that it lies in is so long.
    Within(u8),
    /// In none: the widest network around it that touches none of them is so long.
    Beside(u8),
}

/// Networks off the public internet that an operator placed, by rules, measurements or geofeeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlacedNetworks {
    /// First and last addresses and lengths, ascending, none within another. IPv4 addresses stand in the upper 32 bits.
    v4: Vec<(u128, u128, u8)>,
    v6: Vec<(u128, u128, u8)>,
}

impl PlacedNetworks {
    /// Of these, the ones that touch a special-purpose block.
    pub fn new(networks: impl IntoIterator<Item = Prefix>) -> PlacedNetworks {
        let special = |network: &Prefix| {
            unroutable_blocks()
                .any(|block| block.contains(network.address()) || network.contains(block.address()))
        };
        let mut placed = PlacedNetworks::default();
        for network in networks.into_iter().filter(special) {
            let first = key(network.address());
            let last = first | u128::MAX.checked_shr(network.bits().into()).unwrap_or(0);
            placed.of(network.address()).push((first, last, network.bits()));
        }
        for ranges in [&mut placed.v4, &mut placed.v6] {
            ranges.sort_unstable_by_key(|&(first, last, _)| (first, std::cmp::Reverse(last)));
            ranges.dedup_by(|inner, outer| inner.1 <= outer.1);
        }
        placed
    }

    fn of(&mut self, address: IpAddr) -> &mut Vec<(u128, u128, u8)> {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }

    /// Where an address lies among them.
    pub fn around(&self, address: IpAddr) -> Placement {
        let ranges = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let key = key(address);
        let next = ranges.partition_point(|&(first, ..)| first <= key);
        let before = next.checked_sub(1).map(|at| ranges[at]);
        if let Some((_, _, bits)) = before.filter(|&(_, last, _)| key <= last) {
            return Placement::Within(bits);
        }
        let neighbours = [before.map(|(_, last, _)| last), ranges.get(next).map(|range| range.0)];
        // One bit more than what the address has in common with its neighbour keeps it out.
        let apart = neighbours.into_iter().flatten().map(|other| (other ^ key).leading_zeros() as u8 + 1);
        Placement::Beside(apart.max().unwrap_or(0))
    }
}

/// An address as a number whose leading bits are the network's.
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => v6.into(),
    }
}

/// A resolver's address, where it is IPv4 inside IPv6 the IPv4 one: mapped (RFC 4291 §2.5.5.2), 6to4 (RFC 3056),
/// Teredo (RFC 4380: the client's, inverted), NAT64 (RFC 6052).
#[inline]
pub fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let bits = u128::from(v6);
    let v4 = if bits >> 32 == 0xffff || bits >> 32 == 0x0064_ff9b << 64 {
        bits as u32
    } else if bits >> 96 == 0x2001_0000 {
        !(bits as u32)
    } else {
        return six_to_four(address).map_or(address, IpAddr::V4);
    };
    IpAddr::V4(Ipv4Addr::from(v4))
}

#[inline]
fn six_to_four(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let bits = u128::from(v6);
    (bits >> 112 == 0x2002).then(|| Ipv4Addr::from((bits >> 80) as u32))
}

/// The length of the block of special addresses that an address lies in; `None` on the public internet.
///
/// From the IANA registries of special-purpose addresses (RFC 6890): what is not globally reachable, and multicast.
#[inline]
pub fn unroutable(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V4(v4) => {
            let bits = u32::from(v4);
            // Nearly every client leaves here: none of the blocks begins with another octet.
            let first = (bits >> 24) as u8;
            let may = first >= 224 || matches!(first, 0 | 10 | 100 | 127 | 169 | 172 | 192 | 198 | 203);
            if !may {
                return None;
            }
            let blocks = UNROUTABLE_V4.iter();
            blocks
                .filter(|(net, len)| (bits ^ u32::from(*net)) >> (32 - len) == 0)
                .map(|(_, len)| *len)
                .next()
        }
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            let global = bits >> 125 == 1 && bits >> 104 != 0x20_010d && bits >> 108 != 0x3_fff0;
            if global {
                return None;
            }
            let blocks = UNROUTABLE_V6.iter();
            blocks
                .filter(|(net, len)| (bits ^ u128::from(*net)) >> (128 - len) == 0)
                .map(|(_, len)| *len)
                .next()
        }
    }
}

/// Every one of them, as networks; some lie within others.
pub fn unroutable_blocks() -> impl Iterator<Item = Prefix> {
    let v4 = UNROUTABLE_V4.iter().map(|(net, len)| Prefix::around(IpAddr::V4(*net), *len));
    v4.chain(UNROUTABLE_V6.iter().map(|(net, len)| Prefix::around(IpAddr::V6(*net), *len)))
}

const UNROUTABLE_V4: [(Ipv4Addr, u8); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Blocks with a name first; all else that is not global unicast (2000::/3) goes by its eighth of the space. 6to4 goes by
/// what is in it.
const UNROUTABLE_V6: [(Ipv6Addr, u8); 12] = [
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0x4000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0x6000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0xa000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0xc000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0xe000, 0, 0, 0, 0, 0, 0, 0), 3),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(subnet: &str, source: u8, placed: &[&str]) -> Client {
        let subnet = Subnet::new(ip(subnet), source).unwrap();
        let placed = PlacedNetworks::new(placed.iter().map(|network| Prefix::parse(network).unwrap()));
        Client::new(Some(&subnet), ip("9.9.9.9"), &placed)
    }

    #[test]
    fn a_resolvers_address_is_taken_out_of_ipv6() {
        for v6 in ["::ffff:1.2.3.4", "2002:102:304::1", "64:ff9b::102:304", "2001:0:1:1::fefd:fcfb"] {
            assert_eq!(plain(ip(v6)), ip("1.2.3.4"), "{v6}");
        }
        for stays in ["2001:4860::1", "1.2.3.4", "::1", "64:ff9b:1::102:304"] {
            assert_eq!(plain(ip(stays)), ip(stays));
        }
    }

    #[test]
    fn in_a_client_subnet_only_6to4_is_ipv4() {
        let inner = Client { address: ip("1.2.3.0"), whose: Whose::Subnet { before: 16, least: 0 } };
        assert_eq!(client("2002:102:304::", 40, &[]), inner);
        let outer = client("2001:0:1:1::", 64, &[]);
        assert_eq!(outer.whose, Whose::Subnet { before: 0, least: 0 });
    }

    #[test]
    fn a_private_network_is_answered_by_resolver_with_the_scope_of_its_block() {
        let resolver = ip("9.9.9.9");
        for (subnet, source, bits) in [
            ("10.1.2.0", 24, 8),
            ("192.168.7.0", 24, 16),
            ("100.100.0.0", 16, 10),
            ("fd00::", 48, 7),
            ("3fff:1::", 48, 20),
            ("2001:db8:1::", 48, 32),
            ("2002:a01:203::", 48, 24),
        ] {
            let expected = Client { address: resolver, whose: Whose::Unroutable(bits) };
            assert_eq!(client(subnet, source, &[]), expected, "{subnet}");
            let all = ["0.0.0.0/0", "::/0"];
            assert!(matches!(client(subnet, source, &all).whose, Whose::Subnet { .. }), "{subnet} placed");
        }
        assert!(matches!(client("8.8.8.0", 24, &[]).whose, Whose::Subnet { before: 0, least: 0 }));
        assert!(matches!(client("192.1.2.0", 24, &[]).whose, Whose::Subnet { before: 0, least: 0 }));
    }

    /// A resolver that keeps the answer for all of its scope must not give it to an operator's own networks.
    #[test]
    fn the_scope_of_a_private_block_keeps_out_what_an_operator_placed_in_it() {
        let own = ["10.20.0.0/16", "10.20.7.0/24", "192.0.2.0/25", "fd00:1::/32"];
        for (subnet, source, whose) in [
            ("10.20.9.0", 24, Whose::Subnet { before: 0, least: 16 }),
            ("10.21.0.0", 24, Whose::Unroutable(16)),
            ("10.1.2.0", 24, Whose::Unroutable(12)),
            ("10.200.2.0", 24, Whose::Unroutable(9)),
            ("192.168.0.0", 24, Whose::Unroutable(16)),
            ("fd00:2::", 48, Whose::Unroutable(31)),
        ] {
            assert_eq!(client(subnet, source, &own).whose, whose, "{subnet}");
        }
    }

    #[test]
    fn source_zero_means_the_resolver() {
        assert_eq!(client("0.0.0.0", 0, &[]), Client { address: ip("9.9.9.9"), whose: Whose::Resolver });
    }

    /// The short cuts leave no block out. (A block with a name may end an eighth.)
    #[test]
    fn every_block_is_found_at_both_its_ends() {
        for block in unroutable_blocks() {
            let last = match block.address() {
                IpAddr::V4(v4) => IpAddr::V4(
                    (u32::from(v4) | u32::MAX.checked_shr(block.bits().into()).unwrap_or(0)).into(),
                ),
                IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) | u128::MAX >> block.bits()).into()),
            };
            assert_eq!(unroutable(block.address()), Some(block.bits()), "{block}");
            assert!(unroutable(last).is_some_and(|bits| bits >= block.bits()), "{block}");
        }
    }
}
