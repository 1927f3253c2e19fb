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
    /// The resolver's, since the network named is not on the public internet: the scope is that block's length, or the length
    /// that keeps clear of what an operator placed in it.
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
    /// The client of a query from `peer`. `operators` tells what an operator says of an address that is not on the public
    /// internet.
    #[inline]
    pub fn new(subnet: Option<&Subnet>, peer: IpAddr, operators: impl Fn(IpAddr) -> Placement) -> Client {
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
        match operators(inner) {
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

impl Placement {
    /// Where `address` lies among `networks`.
    pub fn of(address: IpAddr, networks: &[Prefix]) -> Placement {
        let around = networks.iter().filter(|network| network.contains(address)).map(Prefix::bits).min();
        around.map_or_else(
            || {
                Placement::Beside(
                    networks.iter().map(|network| clear_of(address, network)).max().unwrap_or(0),
                )
            },
            Placement::Within,
        )
    }
}

/// How long a network around `address` must be to keep clear of `network`, which does not hold it; 0: of another family.
fn clear_of(address: IpAddr, network: &Prefix) -> u8 {
    let shared = match (address, network.address()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
        _ => return 0,
    };
    shared as u8 + 1
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
            let global = bits >> 125 == 1 && bits >> 104 != 0x20_010d;
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

/// Every one of them, as networks: for what must be known of them at load.
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

/// All that is not global unicast (2000::/3) goes by its eighth of the space or finer; 6to4 goes by what is in it.
const UNROUTABLE_V6: [(Ipv6Addr, u8); 8] = [
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
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

    fn client(subnet: &str, source: u8, covered: bool) -> Client {
        let subnet = Subnet::new(ip(subnet), source).unwrap();
        let placement = if covered { Placement::Within(0) } else { Placement::Beside(0) };
        Client::new(Some(&subnet), ip("9.9.9.9"), |_| placement)
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
        assert_eq!(client("2002:102:304::", 40, false), inner);
        let outer = client("2001:0:1:1::", 64, false);
        assert_eq!(outer.whose, Whose::Subnet { before: 0, least: 0 });
    }

    #[test]
    fn a_private_network_is_answered_by_resolver_with_the_scope_of_its_block() {
        let resolver = ip("9.9.9.9");
        for (subnet, source, bits) in [
            ("10.1.2.0", 24, 8),
            ("192.168.7.0", 24, 16),
            ("100.100.0.0", 16, 10),
            ("fd00::", 48, 3),
            ("2001:db8:1::", 48, 32),
            ("2002:a01:203::", 48, 24),
        ] {
            let expected = Client { address: resolver, whose: Whose::Unroutable(bits) };
            assert_eq!(client(subnet, source, false), expected, "{subnet}");
            assert!(matches!(client(subnet, source, true).whose, Whose::Subnet { .. }), "{subnet} covered");
        }
        assert!(matches!(client("8.8.8.0", 24, false).whose, Whose::Subnet { before: 0, .. }));
        assert!(matches!(client("192.1.2.0", 24, false).whose, Whose::Subnet { before: 0, .. }));
    }

    #[test]
    fn a_block_of_which_an_operator_placed_a_part_is_not_answered_as_one() {
        let networks = ["10.1.0.0/16", "10.1.2.0/24", "fd00:1::/32"].map(|text| Prefix::parse(text).unwrap());
        for (address, placement) in [
            ("10.1.2.3", Placement::Within(16)),
            ("10.0.0.1", Placement::Beside(16)),
            ("10.128.0.1", Placement::Beside(9)),
            ("192.168.0.1", Placement::Beside(1)),
            ("fd00:1:2::", Placement::Within(32)),
            ("fd00:8::", Placement::Beside(29)),
        ] {
            assert_eq!(Placement::of(ip(address), &networks), placement, "{address}");
        }
        let subnet = Subnet::new(ip("10.128.0.0"), 24).unwrap();
        let client = Client::new(Some(&subnet), ip("9.9.9.9"), |address| Placement::of(address, &networks));
        assert_eq!(client.whose, Whose::Unroutable(9));
    }

    #[test]
    fn source_zero_means_the_resolver() {
        assert_eq!(client("0.0.0.0", 0, false), Client { address: ip("9.9.9.9"), whose: Whose::Resolver });
    }

    /// The short cuts leave no block out.
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
            assert_eq!(unroutable(last), Some(block.bits()), "{block}");
        }
    }
}
