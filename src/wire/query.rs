//! Bytes -> Query, or what to say instead (RFC 1035 §4, RFC 6891, RFC 7871).

use super::edns::{self, Edns, ExtendedError};
use super::lowered::Lowered;
use super::name::LABEL_OCTETS_MAX;

/// The octets of a message header.
pub const HEADER: usize = 12;
/// A buffer to answer in holds at least so much: the header, a name with a word to spare, and an OPT record.
pub const BUFFER_MIN: usize = 512;

/// The most records of a query that are looked at: real ones bear one OPT and one TSIG.
const RECORDS_MAX: u32 = 16;

/// A question with what EDNS says beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query {
    /// The type asked for.
    pub qtype: u16,
    /// The class asked for.
    pub qclass: u16,
    /// Where the question section ends in the message.
    pub question_end: usize,
    /// What the OPT record says; `None` without one.
    pub edns: Option<Edns>,
    /// Where its TSIG record begins, the last of the message; 0: it has none.
    pub tsig_at: u16,
}

impl Query {
    /// Whether there is no more beside the question than an OPT record, which asks to be told nothing.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.tsig_at == 0 && self.edns.as_ref().is_none_or(|edns| edns.wants.is_none())
    }
}

/// A packet that gets no answer from the zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Nothing is sent: it is no query, or too short to be one.
    Silently,
    /// This RCODE, the question echoed up to `question_end` (the header's length: none), an OPT if the query had one.
    With {
        /// The RCODE, extended bits included.
        rcode: u16,
        /// Where the echoed question ends.
        question_end: usize,
        /// Why, for people.
        error: Option<&'static ExtendedError>,
    },
}

/// RCODEs (RFC 1035 §4.1.1, RFC 6891 §9).
pub mod rcode {
    #![allow(missing_docs)]
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const YXDOMAIN: u16 = 6;
    pub const NOTAUTH: u16 = 9;
    pub const BADVERS: u16 = 16;
    pub const BADCOOKIE: u16 = 23;
}

/// Reads the query in the first `len` octets of `buf`; its name goes to `name`.
pub fn read(buf: &[u8], len: usize, name: &mut Lowered) -> Result<Query, Reject> {
    let mut query = Query::default();
    read_into(buf, len, name, &mut query)?;
    Ok(query)
}

/// The same, to where the query is to stay: on the path of a query it is not copied. Of what it holds after a `Reject`, `edns` alone
/// means something: what the OPT record says, as far as it was read.
#[inline]
pub fn read_into(buf: &[u8], len: usize, name: &mut Lowered, query: &mut Query) -> Result<(), Reject> {
    // Where a question can stand is a whole array: what is read of it needs no further look at its length.
    let Some(front) = buf.first_chunk::<BUFFER_MIN>() else { return Err(Reject::Silently) };
    query.edns = None;
    query.tsig_at = 0;
    if len < HEADER || buf.len() < len || front[2] & 0x80 != 0 {
        return Err(Reject::Silently);
    }
    if front[2] & 0x78 != 0 {
        return Err(not_implemented(buf, front, len, name, query));
    }
    let formerr = Reject::With { rcode: rcode::FORMERR, question_end: HEADER, error: None };
    let [_, _, _, _, counts @ ..] = front.first_chunk::<HEADER>().expect("shorter than the front");
    let counts = u64::from_be_bytes(*counts);
    if counts >> 48 != 1 {
        return Err(no_one_question(buf, len, query));
    }
    let Some(name_end) = name.read(front) else { return Err(formerr) };
    let question_end = name_end + 4;
    let Some(&[type_high, type_low, class_high, class_low]) = front[name_end..].first_chunk() else {
        return Err(formerr);
    };
    if question_end > len {
        return Err(formerr);
    }
    query.qtype = u16::from_be_bytes([type_high, type_low]);
    query.qclass = u16::from_be_bytes([class_high, class_low]);
    query.question_end = question_end;
    if counts == ONE_QUESTION && question_end == len {
        return Ok(());
    }
    let record = if counts == ONE_QUESTION_AND_OPT { edns::alone(&buf[question_end..len]) } else { None };
    let record = match record {
        Some(record) => record,
        None => match opt_among_others(buf, len, query)? {
            Some(record) => record,
            None => return Ok(()),
        },
    };
    let edns = query.edns.insert(Edns::default());
    match edns.read(record) {
        Ok(()) if edns.version == 0 => Ok(()),
        Ok(()) => Err(Reject::With { rcode: rcode::BADVERS, question_end, error: None }),
        Err(malformed) => {
            Err(Reject::With { rcode: rcode::FORMERR, question_end, error: Some(malformed.error()) })
        }
    }
}

/// QDCOUNT 1, ANCOUNT 0, NSCOUNT 0, ARCOUNT 0.
const ONE_QUESTION: u64 = 1 << 48;
/// The same with ARCOUNT 1.
const ONE_QUESTION_AND_OPT: u64 = ONE_QUESTION | 1;

/// Finds the OPT record, from its type on, beside whatever else a legal query may bear behind its question: a TSIG record, whose
/// place is noted, and records that mean nothing to us.
#[cold]
fn opt_among_others<'b>(buf: &'b [u8], len: usize, query: &mut Query) -> Result<Option<&'b [u8]>, Reject> {
    let formerr = Reject::With { rcode: rcode::FORMERR, question_end: query.question_end, error: None };
    let count = |at: usize| u32::from(u16::from_be_bytes([buf[at], buf[at + 1]]));
    let before_additional = count(6) + count(8);
    let records = before_additional + count(10);
    if records > RECORDS_MAX {
        return Err(formerr);
    }
    let mut at = query.question_end;
    let mut opt = None;
    for record in 0..records {
        let (owner_end, root) = skip_name(buf, len, at).ok_or(formerr)?;
        let fixed = buf[..len].get(owner_end..owner_end + 10).ok_or(formerr)?;
        let rtype = u16::from_be_bytes([fixed[0], fixed[1]]);
        let rdata_len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let next = owner_end + 10 + rdata_len;
        if next > len {
            return Err(formerr);
        }
        match rtype {
            // RFC 6891 §6.1.1: at most one, at the root, in the additional section.
            edns::OPT if opt.is_some() || !root || record < before_additional => return Err(formerr),
            edns::OPT => opt = Some(&buf[owner_end..next]),
            // RFC 8945 §5.1: the last one of the additional section, class ANY, TTL 0.
            TSIG if record < before_additional || record + 1 != records || fixed[2..8] != TSIG_FIXED => {
                return Err(formerr);
            }
            TSIG => query.tsig_at = at as u16,
            _ => {}
        }
        at = next;
    }
    if at != len {
        return Err(formerr);
    }
    Ok(opt)
}

/// The type of a transaction signature.
pub const TSIG: u16 = 250;
/// Its class and TTL.
const TSIG_FIXED: [u8; 6] = [0, 255, 0, 0, 0, 0];

/// No question at all asks for a cookie, if it bears one (RFC 7873 §5.4); anything else than one question is malformed (RFC 9619).
#[cold]
fn no_one_question(buf: &[u8], len: usize, query: &mut Query) -> Reject {
    query.question_end = HEADER;
    let reject = |rcode| Reject::With { rcode, question_end: HEADER, error: None };
    let none = buf[4..6] == [0, 0];
    let Ok(Some(record)) = (if none { opt_among_others(buf, len, query) } else { Ok(None) }) else {
        return reject(rcode::FORMERR);
    };
    let edns = query.edns.insert(Edns::default());
    match edns.read(record) {
        Ok(()) if edns.version != 0 => reject(rcode::BADVERS),
        Ok(()) if edns.wants.cookie() => reject(rcode::NOERROR),
        _ => reject(rcode::FORMERR),
    }
}

/// NOTIMP for an opcode that is not ours, with the question and an OPT where they can be read (RFC 8906 §3.1.4,
/// RFC 6891 §6.1.1).
#[cold]
fn not_implemented(
    buf: &[u8],
    front: &[u8; BUFFER_MIN],
    len: usize,
    name: &mut Lowered,
    query: &mut Query,
) -> Reject {
    let one = u16::from_be_bytes([front[4], front[5]]) == 1;
    let end = if one { name.read(front).map(|end| end + 4).filter(|end| *end <= len) } else { None };
    let question_end = end.unwrap_or(HEADER);
    query.question_end = question_end;
    // NOTIFY and UPDATE are laid out as queries are; of others whose records cannot be read, neither OPT nor TSIG is heeded.
    let mut edns = Edns::default();
    match opt_among_others(buf, len, query) {
        Ok(opt) => query.edns = opt.filter(|opt| edns.read(opt).is_ok()).map(|_| edns),
        Err(_) => query.tsig_at = 0,
    }
    let error =
        Some(&ExtendedError { code: edns::NOT_SUPPORTED, text: "no opcode but QUERY is served here" });
    Reject::With { rcode: rcode::NOTIMP, question_end, error }
}

/// Where the name at `at` ends, and whether it is the root; pointers are not followed.
fn skip_name(buf: &[u8], len: usize, mut at: usize) -> Option<(usize, bool)> {
    let root = *buf[..len].get(at)? == 0;
    loop {
        let octet = usize::from(*buf[..len].get(at)?);
        match octet {
            0 => return Some((at + 1, root)),
            1..=LABEL_OCTETS_MAX => at += 1 + octet,
            0xc0.. => return (at + 2 <= len).then_some((at + 2, false)),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn packet(name: &str, qtype: u16, behind: &[u8], additional: u8) -> (Vec<u8>, usize) {
        let mut buf = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional];
        crate::wire::name::encode(name.as_bytes(), None, &mut buf).unwrap();
        buf.extend(qtype.to_be_bytes());
        buf.extend([0, 1]);
        buf.extend(behind);
        let len = buf.len();
        buf.resize(4096, 0xee);
        (buf, len)
    }

    #[test]
    fn a_plain_question_is_read_and_its_name_lowered() {
        let (buf, len) = packet("WwW.Example.COM.", 28, &[], 0);
        let mut name = Lowered::default();
        let query = read(&buf, len, &mut name).unwrap();
        assert_eq!((query.qtype, query.qclass, query.question_end), (28, 1, len));
        assert!(query.edns.is_none());
        assert_eq!(name.octets(), b"\x03www\x07example\x03com\0");
        assert_eq!(name.label_count(), 3);
        assert_eq!(name.hash(), Lowered::of(b"\x03www\x07example\x03com\0").hash());
    }

    #[test]
    fn what_is_no_query_gets_silence_and_what_is_broken_gets_formerr() {
        let mut name = Lowered::default();
        let (mut buf, len) = packet("www.example.com.", 1, &[], 0);
        buf[2] |= 0x80;
        assert_eq!(read(&buf, len, &mut name).unwrap_err(), Reject::Silently);
        buf[2] &= 0x7f;
        assert_eq!(read(&buf, 11, &mut name).unwrap_err(), Reject::Silently);
        let formerr = |reject: Reject| matches!(reject, Reject::With { rcode: rcode::FORMERR, .. });
        for cut in HEADER..len {
            assert!(formerr(read(&buf, cut, &mut name).unwrap_err()), "cut at {cut}");
        }
        assert!(formerr(read(&buf, len + 1, &mut name).unwrap_err()), "an octet too many");
        for questions in [0, 2] {
            buf[5] = questions;
            assert!(formerr(read(&buf, len, &mut name).unwrap_err()));
        }
        buf[5] = 1;
        buf[2] = 0x28;
        let notimp = |reject| matches!(reject, Reject::With { rcode: rcode::NOTIMP, question_end, .. } if question_end == len);
        assert!(notimp(read(&buf, len, &mut name).unwrap_err()));
        buf[2] = 0;
        buf[12] = 0xc0;
        assert!(formerr(read(&buf, len, &mut name).unwrap_err()), "a compressed question");
    }

    #[test]
    fn an_opt_record_is_found_wherever_it_stands_in_the_additional_section() {
        let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        let other = b"\0\0\x10\0\x01\0\0\0\0\0\x02\x01a";
        let both = [&other[..], opt].concat();
        for (behind, additional) in [(&opt[..], 1), (&both, 2)] {
            let (buf, len) = packet("a.example.", 1, behind, additional);
            let edns = read(&buf, len, &mut Lowered::default()).unwrap().edns.unwrap();
            assert_eq!((edns.payload, edns.dnssec_ok), (1232, true));
        }
        let (buf, len) = packet("a.example.", 1, &[&opt[..], opt].concat(), 2);
        assert!(read(&buf, len, &mut Lowered::default()).is_err(), "two OPT records");
        let (mut buf, len) = packet("a.example.", 1, opt, 1);
        buf[11] = 0;
        buf[9] = 1;
        assert!(read(&buf, len, &mut Lowered::default()).is_err(), "an OPT in the authority section");
    }

    mod laws {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// Decoding never panics.
            #[test]
            fn any_octets_are_read_without_a_panic(mut octets in prop::collection::vec(any::<u8>(), 0..600)) {
                let len = octets.len();
                octets.resize(4096, 0);
                let _ = read(&octets, len, &mut Lowered::default());
                octets[..12.min(len)].copy_from_slice(&[1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1][..12.min(len)]);
                let _ = read(&octets, len, &mut Lowered::default());
            }
        }
    }
}
