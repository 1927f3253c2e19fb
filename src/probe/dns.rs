//! A DNS query, over UDP or TCP, and what must be in its answer.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ended::{Ended, Limit};
use super::{tcp, udp};
use crate::health::check::{Dns, DnsOver, RCODES};
use crate::wire::edns::OPT;
use crate::wire::name::Name;
use crate::wire::query::HEADER;

const LAYER: &str = "answer";
/// What we take over UDP (RFC 9715): enough for what a check asks for, and no fragments.
const PAYLOAD: u16 = 1232;
const CLASS_IN: u16 = 1;

/// A response, as far as it is judged.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    rcode: u16,
    authoritative: bool,
    truncated: bool,
    /// Records of the type that was asked for.
    records: usize,
}

/// Asks once, and judges the answer.
pub(super) async fn ask(to: SocketAddr, dns: &Dns, limit: &Limit) -> Result<(), Ended> {
    let [high, low, ..] = super::chance()?;
    let query = query([high, low], dns);
    match dns.over {
        DnsOver::Udp => {
            let asking = udp::connect(to).await?;
            let answer = asking.ask("query", &query, limit, |octets| read(octets, &query, dns)).await?;
            judge(&answer?, dns)
        }
        DnsOver::Tcp => {
            let stream = tcp::connect(to, limit).await?;
            let octets = limit.step("query", over_tcp(stream, &query)).await?;
            match read(&octets, &query, dns) {
                Some(answer) => judge(&answer?, dns),
                None => Err(Ended::at(LAYER, "to another question")),
            }
        }
    }
}

/// Sends a message and reads one, each behind its length (RFC 1035 §4.2.2).
async fn over_tcp(mut stream: tokio::net::TcpStream, query: &[u8]) -> Result<Vec<u8>, Ended> {
    let io = |error| Ended::io("query", &error);
    let length = u16::try_from(query.len()).expect("a name of at most 255 octets, and 27 beside it");
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await.map_err(io)?;
    let mut octets = vec![0; usize::from(stream.read_u16().await.map_err(io)?)];
    stream.read_exact(&mut octets).await.map_err(io)?;
    Ok(octets)
}

/// Header, question, OPT; without RD: an authoritative server is asked.
fn query([high, low]: [u8; 2], dns: &Dns) -> Vec<u8> {
    let mut octets = vec![high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    octets.extend(dns.name.octets());
    octets.extend(dns.rtype.to_be_bytes());
    octets.extend(CLASS_IN.to_be_bytes());
    octets.push(0);
    octets.extend(OPT.to_be_bytes());
    octets.extend(PAYLOAD.to_be_bytes());
    octets.extend([0; 6]);
    octets
}

/// What a message says to our query; `None` where it answers another one.
fn read(octets: &[u8], query: &[u8], dns: &Dns) -> Option<Result<Answer, Ended>> {
    let header = octets.first_chunk::<HEADER>()?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let is_response = header[2] & 0x80 != 0 && header[2] & 0x78 == 0;
    if header[..2] != query[..2] || !is_response {
        return None;
    }
    let mut at = HEADER;
    match count(4) {
        1 => question(octets, &mut at).filter(|asked| *asked == (dns.name.clone(), dns.rtype, CLASS_IN))?,
        // Who could not read the question repeats none (RFC 1035 §4.1.1); a good answer has it.
        0 if header[3] & 0x0F != 0 => (Name::root(), 0, 0),
        _ => return None,
    };
    let sections = [count(6), count(8), count(10)];
    Some(records(octets, at, sections, dns).ok_or_else(|| Ended::at(LAYER, "malformed")).map(
        |(records, extended)| Answer {
            rcode: u16::from(header[3] & 0x0F) | extended << 4,
            authoritative: header[2] & 4 != 0,
            truncated: header[2] & 2 != 0,
            records,
        },
    ))
}

fn question(octets: &[u8], at: &mut usize) -> Option<(Name, u16, u16)> {
    let name = Name::read(octets, at)?;
    let fields = octets.get(*at..)?.first_chunk::<4>()?;
    *at += 4;
    let [a, b, c, d] = *fields;
    Some((name, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// How many records of its answer are of the type, and the upper bits of the RCODE (RFC 6891 §6.1.3).
fn records(octets: &[u8], mut at: usize, sections: [u16; 3], dns: &Dns) -> Option<(usize, u16)> {
    let (mut found, mut extended) = (0, 0);
    for (section, count) in sections.into_iter().enumerate() {
        for _ in 0..count {
            let (owner, rtype, _) = question(octets, &mut at)?;
            let fields = octets.get(at..)?.first_chunk::<6>()?;
            let length = usize::from(u16::from_be_bytes([fields[4], fields[5]]));
            at = at.checked_add(6 + length).filter(|end| *end <= octets.len())?;
            match section {
                0 if rtype == dns.rtype => found += 1,
                2 if rtype == OPT && owner == Name::root() => extended = u16::from(fields[0]),
                _ => {}
            }
        }
    }
    Some((found, extended))
}

fn judge(answer: &Answer, dns: &Dns) -> Result<(), Ended> {
    let word = |rcode: u16| match RCODES.iter().find(|(_, known)| *known == rcode) {
        Some((word, _)) => (*word).into(),
        None => format!("RCODE {rcode}"),
    };
    if answer.rcode != dns.rcode {
        return Err(Ended::at(LAYER, format!("{}, not {}", word(answer.rcode), word(dns.rcode))));
    }
    if dns.authoritative && !answer.authoritative {
        return Err(Ended::at(LAYER, "not authoritative"));
    }
    let (records, wanted) = (answer.records, usize::from(dns.answers));
    match records >= wanted {
        true => Ok(()),
        false if answer.truncated => {
            Err(Ended::at(LAYER, format!("truncated after {records} of {wanted}: ask with `tcp = true`")))
        }
        false => Err(Ended::at(LAYER, format!("{records} of {wanted} records"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn dns() -> Dns {
        let name = Name::parse("play.example.com.", None).unwrap();
        Dns { name, rtype: 1, over: DnsOver::Udp, rcode: 0, answers: 1, authoritative: false }
    }

    /// An answer to our query: flags, then records as they stand.
    fn answer(flags: [u8; 2], sections: [u16; 3], records: &[u8]) -> Vec<u8> {
        let query = query([1, 2], &dns());
        let counts = sections.map(u16::to_be_bytes).concat();
        let question = &query[HEADER..query.len() - 11];
        [&[1, 2], &flags[..], &[0, 1], &counts, question, records].concat()
    }

    const A: [u8; 16] = [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 20, 0, 4, 192, 0, 2, 1];

    fn told(octets: &[u8], dns: &Dns) -> String {
        match read(octets, &query([1, 2], dns), dns) {
            Some(Ok(answer)) => match judge(&answer, dns) {
                Ok(()) => "succeeded".into(),
                Err(Ended::Failed(cause)) => cause.to_string(),
                other => format!("{other:?}"),
            },
            Some(Err(Ended::Failed(cause))) => cause.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_judged_by_rcode_records_and_authority() {
        let good = answer([0x80, 0], [1, 0, 0], &A);
        assert_eq!(told(&good, &dns()), "succeeded");
        assert_eq!(told(&good, &Dns { answers: 2, ..dns() }), "answer: 1 of 2 records");
        assert_eq!(told(&good, &Dns { authoritative: true, ..dns() }), "answer: not authoritative");
        assert_eq!(told(&good, &Dns { rcode: 3, answers: 0, ..dns() }), "answer: NOERROR, not NXDOMAIN");
        assert_eq!(told(&answer([0x84, 2], [0, 0, 0], &[]), &dns()), "answer: SERVFAIL, not NOERROR");
        let cut = told(&answer([0x82, 0], [0, 0, 0], &[]), &dns());
        assert_eq!(cut, "answer: truncated after 0 of 1: ask with `tcp = true`");
    }

    #[test]
    fn an_alias_alone_is_no_address() {
        let alias = [0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 20, 0, 2, 0xC0, 12];
        assert_eq!(told(&answer([0x80, 0], [1, 0, 0], &alias), &dns()), "answer: 0 of 1 records");
        let both = [&alias[..], &A].concat();
        assert_eq!(told(&answer([0x80, 0], [2, 0, 0], &both), &dns()), "succeeded");
    }

    #[test]
    fn the_upper_bits_of_the_rcode_count() {
        // BADVERS: 16, whose lower bits are those of NOERROR.
        let opt = [0, 0, 41, 4, 208, 1, 0, 0, 0, 0, 0];
        let told = told(&answer([0x80, 0], [0, 0, 1], &opt), &Dns { answers: 0, ..dns() });
        assert_eq!(told, "answer: RCODE 16, not NOERROR");
    }

    #[test]
    fn another_id_another_question_and_our_own_query_are_not_heard() {
        let good = answer([0x80, 0], [1, 0, 0], &A);
        let asked = query([1, 2], &dns());
        let altered = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] = octet;
            read(&octets, &asked, &dns())
        };
        assert!(altered(1, 3).is_none(), "another id");
        assert!(altered(13, b'q').is_none(), "another name");
        assert!(altered(31, 28).is_none(), "another type");
        assert!(altered(2, 0).is_none(), "no response");
        assert!(altered(13, b'P').is_some(), "the case of letters is nothing");
        let nothing = [&[1, 2, 0x80, 1], &[0; 8][..]].concat();
        assert_eq!(told(&nothing, &dns()), "answer: FORMERR, not NOERROR");
    }

    #[test]
    fn more_records_than_there_are_is_malformed() {
        assert_eq!(told(&answer([0x80, 0], [2, 0, 0], &A), &dns()), "answer: malformed");
        assert_eq!(told(&answer([0x80, 0], [1, 0, 0], &A[..15]), &dns()), "answer: malformed");
    }

    proptest! {
        // Reading never panics.
        #[test]
        fn garbage_is_borne(
            sections in any::<[u16; 3]>(),
            records in prop::collection::vec(any::<u8>(), 0..80),
            cut in 0usize..120,
        ) {
            let octets = answer([0x80, 0], sections, &records);
            let _ = read(&octets[..cut.min(octets.len())], &query([1, 2], &dns()), &dns());
        }
    }
}
