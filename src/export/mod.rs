//! What a zone's secondaries get: its records, and for each steered name what a client gets of whom nothing is known.
//!
//! ```text
//! plan     as if every node were up that no operator took out; the serial is the file's
//! health   as it is now; the serial is the time of the last change
//! ```
//!
//! It asks [`respond`] as a client would, so that a secondary says nothing that we would not.

pub mod notice;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use crate::answer::respond::respond;
use crate::answer::worker::{Now, Reply, Transport, Worker};
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::wire::name::Name;
use crate::wire::query::{BUFFER_MIN, HEADER, rcode};
use crate::zone::content::Content;
use crate::zone::edition::{Edition, Mark, is_newer};
use crate::zone::record::{CLASS_IN, Record, rtype};

/// The longest message.
const MESSAGE: usize = 65_535;
/// Of this client nothing is known.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Gives each zone that somebody may transfer its edition: the next one after `last`, where there was one.
///
/// A zone of health begins as if all were up, under the serial of `unix_s`, but later than the one that was kept for it, and than that of
/// its file: it may have been a plan's before.
pub fn editions(
    plan: Plan,
    last: &dyn Fn(&Name) -> Option<Arc<Edition>>,
    kept: &dyn Fn(&Name) -> Option<Mark>,
    now: Instant,
    unix_s: u64,
) -> Plan {
    if plan.served.iter().all(|zone| zone.records.is_empty()) {
        return plan;
    }
    let snapshot = Snapshot::all_up(Arc::new(plan));
    let editions = (0..).zip(&snapshot.plan.served).map(|(number, zone)| {
        let (soa, content) = content(&snapshot, &snapshot, number, now)?;
        let last = last(&zone.origin);
        Some(match last {
            // Health is told by who sees it, not by who reads files: until then, what was told before goes on.
            Some(last) if zone.secondaries.of_health => last,
            None if zone.secondaries.of_health => {
                let kept = kept(&zone.origin).map(|kept| kept.serial.wrapping_add(1));
                let serial = kept.into_iter().fold(newer(unix_s as u32, zone.serial), newer);
                Arc::new(Edition::first(soa, serial, content))
            }
            Some(last) if last.serial() == zone.serial && last.is_like(&soa, &content) => last,
            Some(last) => Arc::new(last.next(soa, zone.serial, content)),
            None => {
                let first = Edition::first(soa, zone.serial, content);
                Arc::new(match kept(&zone.origin) {
                    Some(mark) => first.after(mark),
                    None => first,
                })
            }
        })
    });
    let editions = editions.collect();
    let mut plan = Arc::into_inner(snapshot.plan).expect("the Snapshot was made here, and is gone");
    plan.editions = editions;
    plan
}

/// The newer of two serials (RFC 1982).
fn newer(a: u32, b: u32) -> u32 {
    if is_newer(b, a) { b } else { a }
}

/// The next edition of a zone of health, if it says anything new, or `whatever` it says: under the serial of `unix_s`, but later than
/// the last one's.
pub fn of_health(
    snapshot: &Snapshot,
    all_up: &Snapshot,
    zone: u32,
    whatever: bool,
    now: Instant,
    unix_s: u64,
) -> Option<Edition> {
    let last = snapshot.edition(zone)?;
    let (soa, content) = content(snapshot, all_up, zone, now)?;
    let serial = newer(unix_s as u32, last.serial().wrapping_add(1));
    (whatever || !last.is_like(&soa, &content)).then(|| last.next(soa, serial, content))
}

/// A zone's SOA and its other records; `None` where nobody may transfer it. What `snapshot` gives no answer for (all is down, and
/// SERVFAIL is said) is what `all_up` answers: that a name exists never depends on health.
fn content(snapshot: &Snapshot, all_up: &Snapshot, zone: u32, now: Instant) -> Option<(Record, Content)> {
    let zone = &snapshot.plan.served[zone as usize];
    let soa = zone.records.iter().find(|record| record.rtype == rtype::SOA)?.clone();
    let mut records = zone.records.to_vec();
    let mut buf = vec![0; MESSAGE];
    for (owner, ttl_s, types) in &zone.steered {
        for &rtype in types {
            let answer = [snapshot, all_up].iter().find_map(|snapshot| {
                let answer = ask(snapshot, &mut buf, owner, rtype, now)?;
                (!answer.is_empty()).then_some(answer)
            });
            let answer = answer.into_iter().flatten();
            records.extend(answer.map(|rdata| Record { owner: owner.clone(), rtype, ttl_s: *ttl_s, rdata }));
        }
    }
    Some((soa, Content::new(records)))
}

/// The RDATA of the answer to a question by an unknown client.
fn ask(
    snapshot: &Snapshot,
    buf: &mut [u8],
    owner: &Name,
    rtype: u16,
    now: Instant,
) -> Option<Vec<Box<[u8]>>> {
    let question = [owner.octets(), &rtype.to_be_bytes(), &CLASS_IN.to_be_bytes()].concat();
    let len = HEADER + question.len();
    buf[..BUFFER_MIN].fill(0);
    buf[5] = 1;
    buf[HEADER..len].copy_from_slice(&question);
    let now = Now { instant: now, unix_s: 0 };
    let snapshot = &Snapshot { warming: false, ..snapshot.clone() };
    let reply = respond(snapshot, &mut Worker::default(), now, buf, len, UNKNOWN, Transport::Tcp);
    let Reply::Done(end, fact) = reply else { return None };
    if fact.rcode != rcode::NOERROR {
        return None;
    }
    let (message, answers) = (&buf[..end], u16::from_be_bytes([buf[6], buf[7]]));
    let mut at = len;
    let mut rdatas = Vec::new();
    for _ in 0..answers {
        Name::read(message, &mut at)?;
        let rdata_len = usize::from(u16::from_be_bytes(*message.get(at + 8..)?.first_chunk()?));
        rdatas.push(message.get(at + 10..at + 10 + rdata_len)?.into());
        at += 10 + rdata_len;
    }
    Some(rdatas)
}
