//! EDNS(0) (RFC 6891) and its options: Client Subnet (RFC 7871), NSID (RFC 5001).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The type of the OPT record.
pub const OPT: u16 = 41;
/// The least that a client's payload size means (RFC 6891 §6.2.3).
pub const PAYLOAD_MIN: u16 = 512;
/// An OPT record without options: root owner, type, class, TTL, RDLENGTH.
pub const OPT_EMPTY: usize = 11;

const NSID: u16 = 3;
const SUBNET: u16 = 8;

/// What the OPT record of a query says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edns {
    /// The largest datagram that the client takes; at least 512.
    pub payload: u16,
    /// The version; we speak 0.
    pub version: u8,
    /// DO: DNSSEC records are wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// Whether the server's identifier is asked for.
    pub nsid: bool,
    /// The client's network.
    pub subnet: Option<Subnet>,
}

/// A client's network as the query gave it, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// 1, 2, or 0 where SOURCE is 0, too (what `dig +subnet=0` sends).
    family: u16,
    /// SOURCE PREFIX-LENGTH.
    source: u8,
    /// ADDRESS, from its first bit on: the upper half and the lower one, zeros behind it.
    halves: [u64; 2],
}

/// Why an OPT record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Subnet {
    /// SOURCE PREFIX-LENGTH: how many leading bits of the address are known.
    #[inline]
    pub fn source(&self) -> u8 {
        self.source
    }

    /// ADDRESS, padded with zeros; `None` where SOURCE is 0: the client wants none of it used.
    #[inline]
    pub fn address(&self) -> Option<IpAddr> {
        match (self.source, self.family) {
            (0, _) => None,
            (_, 1) => Some(IpAddr::V4(Ipv4Addr::from_bits((self.halves[0] >> 32) as u32))),
            _ => Some(IpAddr::V6(Ipv6Addr::from(self.octets()))),
        }
    }

    /// The network of `source` bits around an address; `None` where the family has fewer.
    pub fn new(address: IpAddr, source: u8) -> Option<Subnet> {
        let (family, bits, whole) = match address {
            IpAddr::V4(v4) => (1, 32, u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (2, 128, v6.to_bits()),
        };
        let known = whole & u128::MAX.checked_shl(128u32.saturating_sub(source.into())).unwrap_or(0);
        let halves = [(known >> 64) as u64, known as u64];
        (source <= bits).then_some(Subnet { family, source, halves })
    }

    #[inline]
    fn octets(&self) -> [u8; 16] {
        (u128::from(self.halves[0]) << 64 | u128::from(self.halves[1])).to_be_bytes()
    }

    #[inline]
    fn octet_count(&self) -> usize {
        usize::from(self.source).div_ceil(8)
    }

    /// RFC 7871 §6: FAMILY, SOURCE, SCOPE 0, and just the octets that SOURCE needs, no bit set beyond it.
    #[inline]
    fn read(option: &[u8]) -> Result<Subnet, Malformed> {
        let (&[high, low, source, scope], octets) = option.split_first_chunk().ok_or(Malformed)?;
        let family = u16::from_be_bytes([high, low]);
        let bits = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(Malformed),
        };
        if source > bits || scope != 0 || octets.len() != usize::from(source).div_ceil(8) {
            return Err(Malformed);
        }
        let beyond = octets.last().is_some_and(|last| source % 8 != 0 && last << (source % 8) != 0);
        if beyond {
            return Err(Malformed);
        }
        let halves = match *octets {
            [a, b, c] => [u64::from_be_bytes([a, b, c, 0, 0, 0, 0, 0]), 0], // a /24, as nearly all of them are
            _ => {
                let (upper, lower) = octets.split_at(octets.len().min(8));
                [half(upper), half(lower)]
            }
        };
        Ok(Subnet { family, source, halves })
    }
}

/// At most eight octets as the upper ones of a number.
fn half(octets: &[u8]) -> u64 {
    let number = octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
    number.checked_shl(64 - 8 * octets.len() as u32).unwrap_or(0)
}

/// An OPT record that is all that stands in `octets`, from its type on; `None` where something else stands there.
#[inline]
pub fn alone(octets: &[u8]) -> Option<&[u8]> {
    let (&[root, high, low, .., len_high, len_low], options) = octets.split_first_chunk::<OPT_EMPTY>()?;
    let fits = options.len() == usize::from(u16::from_be_bytes([len_high, len_low]));
    (fits && root == 0 && u16::from_be_bytes([high, low]) == OPT).then(|| &octets[1..])
}

impl Edns {
    /// Reads an OPT record from its type on; the slice ends with it. `self` is a default one.
    ///
    /// Of another version than 0 nothing more is read: BADVERS, whatever its options may mean (RFC 6891 §6.1.3).
    #[inline]
    pub fn read(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let Some((fixed, mut options)) = record.split_first_chunk::<{ OPT_EMPTY - 1 }>() else {
            return Err(Malformed);
        };
        let &[_, _, payload_high, payload_low, _, version, flags, ..] = fixed;
        self.payload = u16::from_be_bytes([payload_high, payload_low]).max(PAYLOAD_MIN);
        self.version = version;
        self.dnssec_ok = flags & 0x80 != 0;
        if version != 0 {
            return Ok(());
        }
        while let Some((&[code_high, code_low, len_high, len_low], behind)) = options.split_first_chunk() {
            let len = usize::from(u16::from_be_bytes([len_high, len_low]));
            let (option, next) = behind.split_at_checked(len).ok_or(Malformed)?;
            match u16::from_be_bytes([code_high, code_low]) {
                SUBNET if self.subnet.is_some() => return Err(Malformed),
                SUBNET => self.subnet = Some(Subnet::read(option)?),
                NSID => self.nsid = true,
                _ => {}
            }
            options = next;
        }
        if options.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// How many octets the OPT record of an answer takes: with `subnet` echoed, and `nsid` where it was asked for.
#[inline]
pub fn answer_len(subnet: Option<&Subnet>, nsid: &[u8]) -> usize {
    let subnet = subnet.map_or(0, |subnet| 8 + subnet.octet_count());
    let nsid = if nsid.is_empty() { 0 } else { 4 + nsid.len() };
    OPT_EMPTY + subnet + nsid
}

/// Writes the OPT record of an answer at the front of `out`; gives its length.
///
/// FAMILY, SOURCE and ADDRESS go back as they came (RFC 7871 §7.2.1); `scope` is for whom the answer holds.
#[inline]
pub fn write(
    out: &mut [u8],
    payload: u16,
    rcode: u16,
    dnssec_ok: bool,
    subnet: Option<(&Subnet, u8)>,
    nsid: &[u8],
) -> usize {
    let [high, low] = payload.to_be_bytes();
    let mut at = OPT_EMPTY;
    if let Some((subnet, scope)) = subnet {
        let count = subnet.octet_count();
        let [family_high, family_low] = subnet.family.to_be_bytes();
        let fixed = [0, SUBNET as u8, 0, 4 + count as u8, family_high, family_low, subnet.source, scope];
        out[at..at + 8].copy_from_slice(&fixed);
        at += 8;
        match out[at..].first_chunk_mut() {
            Some(whole) => *whole = subnet.octets(), // more than it takes: what follows is written later
            None => out[at..at + count].copy_from_slice(&subnet.octets()[..count]),
        }
        at += count;
    }
    if !nsid.is_empty() {
        let [len_high, len_low] = (nsid.len() as u16).to_be_bytes();
        out[at..at + 4].copy_from_slice(&[0, NSID as u8, len_high, len_low]);
        out[at + 4..at + 4 + nsid.len()].copy_from_slice(nsid);
        at += 4 + nsid.len();
    }
    let [rdata_high, rdata_low] = ((at - OPT_EMPTY) as u16).to_be_bytes();
    let extended = (rcode >> 4) as u8;
    let flags = if dnssec_ok { 0x80 } else { 0 };
    let fixed = [0, 0, OPT as u8, high, low, extended, 0, flags, 0, rdata_high, rdata_low];
    out[..OPT_EMPTY].copy_from_slice(&fixed);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(octets: &[u8]) -> Result<Edns, Malformed> {
        let mut record =
            vec![0, 41, 4, 208, 0, 0, 0, 0, 0, octets.len() as u8 + 4, 0, 8, 0, octets.len() as u8];
        record.extend(octets);
        edns(&record)
    }

    fn edns(record: &[u8]) -> Result<Edns, Malformed> {
        let mut edns = Edns::default();
        edns.read(record).map(|()| edns)
    }

    /// RFC 7871 §7.1.2 and §6.
    #[test]
    fn a_client_subnet_is_taken_only_as_the_rfc_writes_it() {
        let good = subnet(&[0, 1, 24, 0, 192, 0, 2]).unwrap().subnet.unwrap();
        assert_eq!((good.source(), good.address()), (24, Some("192.0.2.0".parse().unwrap())));
        assert!(subnet(&[0, 2, 32, 0, 0x20, 1, 0xd, 0xb8]).is_ok());
        assert_eq!(subnet(&[0, 1, 0, 0]).unwrap().subnet.unwrap().address(), None);
        assert_eq!(subnet(&[0, 0, 0, 0]).unwrap().subnet.unwrap().address(), None, "dig +subnet=0");
        let bad: &[(&str, &[u8])] = &[
            ("unknown family", &[0, 3, 0, 0]),
            ("family 0 with an address", &[0, 0, 8, 0, 10]),
            ("SOURCE over 32", &[0, 1, 33, 0, 1, 2, 3, 4, 5]),
            ("SOURCE over 128", &[0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]),
            ("SCOPE in a query", &[0, 1, 24, 24, 192, 0, 2]),
            ("too few octets", &[0, 1, 24, 0, 192, 0]),
            ("too many octets", &[0, 1, 24, 0, 192, 0, 2, 0]),
            ("bits beyond SOURCE", &[0, 1, 23, 0, 192, 0, 3]),
            ("cut off", &[0, 1, 24]),
        ];
        for (what, octets) in bad {
            assert_eq!(subnet(octets).unwrap_err(), Malformed, "{what}");
        }
    }

    #[test]
    fn two_client_subnets_or_an_option_past_the_end_are_malformed() {
        let option = [0, 8, 0, 4, 0, 1, 0, 0];
        let record = [&[0, 41, 4, 208, 0, 0, 0, 0, 0, 16][..], &option, &option].concat();
        assert!(edns(&record).is_err());
        assert!(edns(&[0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 3, 0, 1]).is_err());
        assert!(edns(&[0, 41, 4, 208, 0, 0, 0, 0, 0, 1, 0]).is_err());
    }

    #[test]
    fn a_later_version_is_told_apart_before_its_options_are_read() {
        assert_eq!(edns(&[0, 41, 4, 208, 0, 1, 0, 0, 0, 1, 0]).unwrap().version, 1);
    }

    #[test]
    fn the_answer_echoes_the_subnet_with_a_scope_and_is_as_long_as_foretold() {
        let subnet = Subnet::new("192.0.2.77".parse().unwrap(), 24).unwrap();
        let mut out = [0; 64];
        let len = write(&mut out, 1232, 16, true, Some((&subnet, 16)), b"sin");
        assert_eq!(len, answer_len(Some(&subnet), b"sin"));
        let expected =
            b"\0\0\x29\x04\xd0\x01\0\x80\0\0\x12\0\x08\0\x07\0\x01\x18\x10\xc0\0\x02\0\x03\0\x03sin";
        assert_eq!(&out[..len], expected);
    }
}
