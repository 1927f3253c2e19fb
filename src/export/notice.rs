//! NOTIFY (RFC 1996): a zone's secondaries are told that there is something new.

use std::sync::Arc;

use crate::wire::name::Name;
use crate::wire::query::{HEADER, TSIG};
use crate::wire::tsig::{Key, Signer};
use crate::zone::edition::Edition;
use crate::zone::record::{CLASS_IN, rtype};

/// NOTIFY, and AA: the sender has authority for the zone.
const FLAGS: u8 = 4 << 3 | 4;
/// The longest NOTIFY: a name twice, a SOA, a signature.
const MESSAGE: usize = 2048;

/// A NOTIFY on its way.
#[derive(Debug)]
pub struct Notice {
    octets: Vec<u8>,
    signer: Option<Signer>,
}

impl Notice {
    /// Tells of an edition: its SOA stands in the answer section as a hint (RFC 1996 §3.7).
    pub fn new(edition: &Edition, id: u16, key: Option<Arc<Key>>, unix_s: u64) -> Notice {
        let id = id.to_be_bytes();
        let mut octets = vec![id[0], id[1], FLAGS, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        octets.extend(edition.origin().octets());
        octets.extend(rtype::SOA.to_be_bytes());
        octets.extend(CLASS_IN.to_be_bytes());
        let soa = edition.soa();
        octets.extend([0xc0, HEADER as u8]);
        octets.extend(rtype::SOA.to_be_bytes());
        octets.extend(CLASS_IN.to_be_bytes());
        octets.extend(soa.ttl_s.to_be_bytes());
        octets.extend((soa.rdata.len() as u16).to_be_bytes());
        octets.extend(&soa.rdata);
        let mut signer = key.map(|key| Signer::of_query(key, id));
        if let Some(signer) = &mut signer {
            let len = octets.len();
            octets.resize(MESSAGE, 0);
            let end = signer.sign(&mut octets, len, unix_s);
            octets.truncate(end);
        }
        Notice { octets, signer }
    }

    /// The message.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The RCODE, where `message` is the answer to it: a signed one, where it was signed. What is not is for nobody.
    pub fn answered(&self, message: &[u8], unix_s: u64) -> Option<u16> {
        let header = message.first_chunk::<HEADER>()?;
        let same = header[..2] == self.octets[..2] && header[2] & 0xf8 == 0x80 | FLAGS & 0xf8;
        if !same {
            return None;
        }
        let rcode = u16::from(header[3] & 0x0f);
        match &self.signer {
            // A secondary that does not know the key cannot sign.
            Some(signer) if rcode == 0 => {
                signer.is_answer(message, tsig_at(message)?, unix_s).then_some(rcode)
            }
            _ => Some(rcode),
        }
    }
}

/// Where the TSIG record of a message begins: the last one.
fn tsig_at(message: &[u8]) -> Option<usize> {
    let count = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let mut at = HEADER;
    for _ in 0..count(4) {
        Name::read(message, &mut at)?;
        at += 4;
    }
    let mut last = None;
    for _ in 0..u32::from(count(6)) + u32::from(count(8)) + u32::from(count(10)) {
        let start = at;
        Name::read(message, &mut at)?;
        let fixed = message.get(at..at + 10)?;
        last = (fixed[..2] == TSIG.to_be_bytes()).then_some(start);
        at += 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    }
    last.filter(|_| at == message.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::query::{Query, read_into};
    use crate::wire::tsig::{Algorithm, verify};
    use crate::zone::content::Content;
    use crate::zone::record::Record;

    fn edition() -> Edition {
        let origin = Name::parse("live.example.com.", None).unwrap();
        let rdata = [origin.octets(), origin.octets(), &[0; 20]].concat().into();
        let soa = Record { owner: origin, rtype: rtype::SOA, ttl_s: 60, rdata };
        Edition::first(soa, 2026, Content::default())
    }

    fn key() -> Arc<Key> {
        Arc::new(Key::new(Name::parse("sin.", None).unwrap(), Algorithm::Sha256, &[7; 32]))
    }

    #[test]
    fn it_names_the_zone_and_its_serial() {
        let notice = Notice::new(&edition(), 0xabcd, None, 0);
        let octets = notice.octets();
        assert_eq!(octets[..8], [0xab, 0xcd, 0x24, 0, 0, 1, 0, 1]);
        assert_eq!(octets[octets.len() - 20..octets.len() - 16], 2026u32.to_be_bytes());
        let mut answer = octets[..HEADER + 22].to_vec();
        (answer[2], answer[7]) = (0xa4, 0);
        assert_eq!(notice.answered(&answer, 0), Some(0));
        answer[3] = 5;
        assert_eq!(notice.answered(&answer, 0), Some(5));
        answer[0] = 0;
        assert_eq!(notice.answered(&answer, 0), None, "another ID");
        assert_eq!(notice.answered(octets, 0), None, "no answer");
        assert_eq!(notice.answered(&[0xab], 0), None);
    }

    #[test]
    fn a_signed_one_is_good_and_wants_a_signed_answer() {
        let (notice, now) = (Notice::new(&edition(), 7, Some(key()), 1_800_000_000), 1_800_000_000);
        let mut message = notice.octets().to_vec();
        let at = tsig_at(&message).unwrap();
        let mut signer = verify(&[key()], &message, at, now).unwrap();
        // What a secondary answers: the question, and its signature.
        let len = HEADER + 18 + 4;
        (message[2], message[7], message[11]) = (0xa4, 0, 0);
        let unsigned = message[..len].to_vec();
        let end = signer.sign(&mut message, len, now);
        assert_eq!(notice.answered(&message[..end], now), Some(0));
        assert_eq!(notice.answered(&message[..end], now + 1000), None, "too old");
        assert_eq!(notice.answered(&unsigned, now), None, "forged");
        // A NOTIFY is no query of ours: it is refused whole.
        message.resize(4096, 0);
        assert!(read_into(&message, end, &mut Default::default(), &mut Query::default()).is_err());
    }
}
