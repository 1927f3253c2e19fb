//! EDNS(0) (RFC 6891) and its options: Client Subnet (RFC 7871), Cookie (RFC 7873), NSID (RFC 5001), TCP keepalive (RFC 7828),
//! extended errors (RFC 8914), the zone's version (RFC 9660).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie::{COOKIE_OCTETS, Cookie};

/// The type of the OPT record.
pub const OPT: u16 = 41;
/// The least that a client's payload size means (RFC 6891 §6.2.3).
pub const PAYLOAD_MIN: u16 = 512;
/// An OPT record without options: root owner, type, class, TTL, RDLENGTH.
pub const OPT_EMPTY: usize = 11;

const NSID: u16 = 3;
const SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const ERROR: u16 = 15;
const ZONE_VERSION: u16 = 19;

/// What the OPT record of a query says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edns {
    /// The largest datagram that the client takes; at least 512.
    pub payload: u16,
    /// The version; we speak 0.
    pub version: u8,
    /// DO: DNSSEC records are wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// What else is to be told.
    pub wants: Wants,
    /// The client's network.
    pub subnet: Option<Subnet>,
    /// The cookie; means nothing unless [`Wants::cookie`].
    cookie: Cookie,
}

/// Options that most queries lack, as a set: that none of them is there is seen at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants(u8);

impl Wants {
    const NSID: u8 = 1;
    const COOKIE: u8 = 2;
    const KEEPALIVE: u8 = 4;
    const ZONE_VERSION: u8 = 8;

    /// Nothing.
    #[inline]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The server's identifier.
    pub fn nsid(self) -> bool {
        self.0 & Self::NSID != 0
    }

    /// A server cookie, for a cookie that came.
    #[inline]
    pub fn cookie(self) -> bool {
        self.0 & Self::COOKIE != 0
    }

    /// How long an idle connection is kept.
    pub fn keepalive(self) -> bool {
        self.0 & Self::KEEPALIVE != 0
    }

    /// The version of the zone.
    pub fn zone_version(self) -> bool {
        self.0 & Self::ZONE_VERSION != 0
    }
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

/// What is wrong with an OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// An option reaches beyond the record.
    Frame,
    /// A client subnet is not as RFC 7871 §6 has it, or there are two.
    Subnet,
    /// A cookie has a length that none may have (RFC 7873 §4), or there are two.
    Cookie,
}

/// INFO-CODEs of extended errors (RFC 8914 §4).
pub const OTHER: u16 = 0;
/// What is forbidden: a transfer, to this client.
pub const PROHIBITED: u16 = 18;
/// A name that no zone here holds.
pub const NOT_AUTHORITATIVE: u16 = 20;
/// An operation that is not served.
pub const NOT_SUPPORTED: u16 = 21;

impl Malformed {
    /// The same for people.
    pub fn error(self) -> &'static ExtendedError {
        match self {
            Malformed::Frame => {
                &ExtendedError { code: OTHER, text: "an EDNS option reaches beyond its record" }
            }
            Malformed::Subnet => {
                &ExtendedError { code: OTHER, text: "the client subnet is not as RFC 7871 section 6 has it" }
            }
            Malformed::Cookie => {
                &ExtendedError { code: OTHER, text: "the cookie is not as RFC 7873 section 4 has it" }
            }
        }
    }
}

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
        let (&[high, low, source, scope], octets) = option.split_first_chunk().ok_or(Malformed::Subnet)?;
        let family = u16::from_be_bytes([high, low]);
        let bits = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(Malformed::Subnet),
        };
        if source > bits || scope != 0 || octets.len() != usize::from(source).div_ceil(8) {
            return Err(Malformed::Subnet);
        }
        let beyond = octets.last().is_some_and(|last| source % 8 != 0 && last << (source % 8) != 0);
        if beyond {
            return Err(Malformed::Subnet);
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
#[inline(always)]
pub fn alone(octets: &[u8]) -> Option<&[u8]> {
    let (&[root, high, low, .., len_high, len_low], options) = octets.split_first_chunk::<OPT_EMPTY>()?;
    let fits = options.len() == usize::from(u16::from_be_bytes([len_high, len_low]));
    (fits && root == 0 && u16::from_be_bytes([high, low]) == OPT).then(|| &octets[1..])
}

impl Edns {
    /// Reads an OPT record from its type on; the slice ends with it. `self` is a default one.
    ///
    /// Of another version than 0 nothing more is read: BADVERS, whatever its options may mean (RFC 6891 §6.1.3).
    #[inline(always)]
    pub fn read(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let Some((fixed, mut options)) = record.split_first_chunk::<{ OPT_EMPTY - 1 }>() else {
            return Err(Malformed::Frame);
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
            let (option, next) = behind.split_at_checked(len).ok_or(Malformed::Frame)?;
            match u16::from_be_bytes([code_high, code_low]) {
                SUBNET if self.subnet.is_some() => return Err(Malformed::Subnet),
                SUBNET => self.subnet = Some(Subnet::read(option)?),
                code => self.read_other(code, option)?,
            }
            options = next;
        }
        if options.is_empty() { Ok(()) } else { Err(Malformed::Frame) }
    }

    /// Options other than the client subnet; those that we do not know mean nothing (RFC 6891 §6.1.2).
    fn read_other(&mut self, code: u16, option: &[u8]) -> Result<(), Malformed> {
        let wanted = match code {
            COOKIE if self.wants.cookie() => return Err(Malformed::Cookie),
            COOKIE => {
                self.cookie = Cookie::read(option).ok_or(Malformed::Cookie)?;
                Wants::COOKIE
            }
            // RFC 7828 §3.2.1: a time-out of the client's means nothing; over UDP all of it must be ignored (§3.3.1).
            KEEPALIVE => Wants::KEEPALIVE,
            NSID => Wants::NSID,
            ZONE_VERSION => Wants::ZONE_VERSION,
            _ => 0,
        };
        self.wants.0 |= wanted;
        Ok(())
    }

    /// The cookie that came.
    pub fn cookie(&self) -> Option<&Cookie> {
        self.wants.cookie().then_some(&self.cookie)
    }
}

/// How many octets the OPT record of an answer takes, with `subnet` echoed.
#[inline]
pub fn answer_len(subnet: Option<&Subnet>) -> usize {
    OPT_EMPTY + subnet.map_or(0, |subnet| 8 + subnet.octet_count())
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
    let [rdata_high, rdata_low] = ((at - OPT_EMPTY) as u16).to_be_bytes();
    let extended = (rcode >> 4) as u8;
    let flags = if dnssec_ok { 0x80 } else { 0 };
    let fixed = [0, 0, OPT as u8, high, low, extended, 0, flags, 0, rdata_high, rdata_low];
    out[..OPT_EMPTY].copy_from_slice(&fixed);
    at
}

/// Options of an answer that few queries ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'t> {
    /// The server's identifier; empty: not told.
    pub nsid: &'t [u8],
    /// The client's cookie and the server's.
    pub cookie: Option<[u8; COOKIE_OCTETS]>,
    /// How long an idle connection is kept, in units of 100 ms.
    pub keepalive: Option<u16>,
    /// Labels of the zone's name, and its serial.
    pub zone_version: Option<(u8, u32)>,
    /// Why the answer is what it is; told only where there is room (RFC 8914 §3).
    pub error: Option<&'static ExtendedError>,
}

/// An extended DNS error (RFC 8914): INFO-CODE and EXTRA-TEXT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT, UTF-8 without a zero octet at its end.
    pub text: &'static str,
}

impl Told<'_> {
    /// How many octets these options take, but for the extended error.
    pub fn len(&self) -> usize {
        let nsid = if self.nsid.is_empty() { 0 } else { 4 + self.nsid.len() };
        let cookie = self.cookie.map_or(0, |cookie| 4 + cookie.len());
        let keepalive = self.keepalive.map_or(0, |_| 6);
        nsid + cookie + keepalive + self.zone_version.map_or(0, |_| 10)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.error.is_none()
    }

    /// Appends the options to the OPT record of `len` octets that [`write()`] made at the front of `out`, which ends where the
    /// message must; gives its new length. What does not fit is left out: of an extended error, the text first.
    #[cold]
    pub fn append(&self, out: &mut [u8], len: usize) -> usize {
        let room = out.len();
        let mut at = len;
        let mut put = |code: u16, parts: [&[u8]; 2]| {
            let data: usize = parts.iter().map(|part| part.len()).sum();
            // Room is kept for them, but where a long signature has taken it.
            if at + 4 + data > room {
                return at;
            }
            for octets in [&code.to_be_bytes(), &(data as u16).to_be_bytes()[..], parts[0], parts[1]] {
                out[at..at + octets.len()].copy_from_slice(octets);
                at += octets.len();
            }
            at
        };
        let mut end = len;
        if !self.nsid.is_empty() {
            end = put(NSID, [self.nsid, &[]]);
        }
        if let Some(cookie) = &self.cookie {
            end = put(COOKIE, [cookie, &[]]);
        }
        if let Some(keepalive) = self.keepalive {
            end = put(KEEPALIVE, [&keepalive.to_be_bytes(), &[]]);
        }
        if let Some((labels, serial)) = self.zone_version {
            // RFC 9660 §2.1: TYPE 0 is SOA-SERIAL.
            end = put(ZONE_VERSION, [&[labels, 0], &serial.to_be_bytes()]);
        }
        if let Some(&ExtendedError { code, text }) = self.error {
            let text = if end + 6 + text.len() <= room { text } else { "" };
            if end + 6 + text.len() <= room {
                end = put(ERROR, [&code.to_be_bytes(), text.as_bytes()]);
            }
        }
        let rdata_len = ((end - OPT_EMPTY) as u16).to_be_bytes();
        out[OPT_EMPTY - 2..OPT_EMPTY].copy_from_slice(&rdata_len);
        end
    }
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
            assert_eq!(subnet(octets).unwrap_err(), Malformed::Subnet, "{what}");
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
        let len = write(&mut out, 1232, 16, true, Some((&subnet, 16)));
        assert_eq!(len, answer_len(Some(&subnet)));
        assert_eq!(&out[..len], b"\0\0\x29\x04\xd0\x01\0\x80\0\0\x0b\0\x08\0\x07\0\x01\x18\x10\xc0\0\x02");
        let told = Told { nsid: b"sin", ..Told::default() };
        let end = told.append(&mut out, len);
        assert_eq!(end, len + told.len());
        assert_eq!((&out[9..11], &out[len..end]), (&b"\0\x12"[..], &b"\0\x03\0\x03sin"[..]));
    }

    #[test]
    fn what_few_ask_for_is_told_in_order_and_the_error_where_there_is_room() {
        let error = Some(&ExtendedError { code: 20, text: "not here" });
        let told = Told {
            nsid: b"",
            cookie: Some([7; COOKIE_OCTETS]),
            keepalive: Some(100),
            zone_version: Some((3, 2026)),
            error,
        };
        let mut out = [0; 128];
        let len = write(&mut out, 1232, 0, false, None);
        let end = told.append(&mut out, len);
        let cookie = [&[0, 10, 0, 24][..], &[7; 24]].concat();
        let rest = b"\0\x0b\0\x02\0\x64\0\x13\0\x06\x03\0\0\0\x07\xea\0\x0f\0\x0a\0\x14not here";
        assert_eq!(out[len..end], [&cookie[..], rest].concat());
        assert_eq!(usize::from(out[10]), end - OPT_EMPTY);
        let without = len + told.len();
        assert_eq!(told.append(&mut out[..end - 1], len), without + 6, "the code alone");
        assert_eq!(told.append(&mut out[..without + 5], len), without, "none of it");
    }

    /// RFC 6891 §6.1.2, RFC 7873 §4, RFC 7828 §3.2.1.
    #[test]
    fn other_options_are_read_or_mean_nothing() {
        let with = |options: &[u8]| {
            let len = (options.len() as u16).to_be_bytes();
            edns(&[&[0, 41, 4, 208, 0, 0, 0, 0][..], &len, options].concat())
        };
        let all = with(b"\0\x03\0\0\0\x0b\0\0\0\x13\0\0\xff\xfe\0\x01x\0\x0a\0\x08abcdefgh").unwrap();
        assert!(all.wants.nsid() && all.wants.keepalive() && all.wants.zone_version() && all.wants.cookie());
        assert_eq!(all.cookie().unwrap().client, *b"abcdefgh");
        assert!(with(b"").unwrap().wants.is_none());
        for len in 0..=48u8 {
            let option = [&[0, 10, 0, len][..], &[1; 48][..usize::from(len)]].concat();
            assert_eq!(with(&option).is_ok(), len == 8 || (16..=40).contains(&len), "a cookie of {len}");
            let twice = [&option[..], &option].concat();
            assert!(with(&twice).is_err());
        }
    }
}
