//! Transfers: a whole zone (AXFR, RFC 5936), or what became of it (IXFR, RFC 1995).
//!
//! A [`Transfer`] is pulled message by message by whoever writes to the client, as fast as that reads. It holds the edition that was
//! in force when it began: what is reloaded meanwhile is not mixed into it.

use std::sync::Arc;

use super::asking::{Asking, Beside};
use super::body::Body;
use super::trouble;
use super::worker::{Reply, Transport};
use crate::wire::edns;
use crate::wire::name::Name;
use crate::wire::query::{HEADER, Query, rcode};
use crate::wire::response::Header;
use crate::wire::suffixes::{POINTER_REACH, Suffixes, compressible};
use crate::wire::tsig::Signer;
use crate::zone::content::{self, Content, Row};
use crate::zone::edition::{Edition, Step, is_newer, serial_of};
use crate::zone::record::rtype;

/// From so many octets of records on, a message is sent: pointers reach no farther (RFC 5936 §3.4), and other connections of the
/// thread wait no longer than for this.
const ENOUGH: usize = POINTER_REACH;
/// The longest message.
const MESSAGE_MAX: usize = 65_535;

/// Answers AXFR and IXFR; `Err` is the transfer.
pub(super) fn answer(asking: &Asking<'_>, buf: &mut [u8], len: usize) -> Result<Body, Reply> {
    let Asking { snapshot, query, name, peer, transport, room, beside: Beside { signer, .. }, .. } = *asking;
    let plan = &*snapshot.plan;
    let Some(zone) = plan.apex(name) else {
        return Ok(Body::bare(query, rcode::NOTAUTH).because(&trouble::NOT_A_ZONE));
    };
    let granted = plan.served[zone as usize].secondaries.grants.iter().any(|grant| grant.fits(peer, signer));
    let Some(edition) = snapshot.edition(zone).filter(|_| granted) else {
        return Ok(Body::bare(query, rcode::REFUSED).because(&trouble::TRANSFER_DENIED));
    };
    if snapshot.warming && plan.served[zone as usize].secondaries.of_health {
        return Ok(Body::bare(query, rcode::SERVFAIL).because(&trouble::NOT_YET));
    }
    let parts = if query.qtype == rtype::AXFR {
        if transport == Transport::Udp {
            return Ok(Body::bare(query, rcode::REFUSED).because(&trouble::NEEDS_STREAM));
        }
        whole(edition)
    } else {
        let Some(theirs) = their_serial(&buf[..len], query) else {
            return Ok(Body::bare(query, rcode::FORMERR));
        };
        since(edition, theirs)
    };
    let mut rows = Rows::new(parts);
    // RFC 1995 §2, §4: over UDP what fits into one message, or the SOA alone, which says that there is more; and who has the newest
    // serial gets it alone by either way.
    if transport == Transport::Udp || rows.parts.len() == 1 {
        let whole = query.question_end..room.records;
        let count = rows.put_all(buf, whole.clone());
        let alone = || Rows::new(vec![soa_of(edition)]).put_all(buf, whole);
        let Some((end, count)) = count.or_else(alone) else {
            let header = Header::new(rcode::NOERROR).authoritative().truncated();
            return Ok(Body::unsteered(query.question_end, header));
        };
        let header = Header::new(rcode::NOERROR).authoritative().with_counts(count, 0, 0);
        return Ok(Body::unsteered(end, header));
    }
    let mut header = [0; HEADER];
    header.copy_from_slice(&buf[..HEADER]);
    Err(Reply::Stream(Box::new(Transfer {
        rows,
        qtype: query.qtype,
        edition: Arc::clone(edition),
        header,
        question: buf[HEADER..query.question_end].into(),
        opt: query.edns.as_ref().map(|edns| (plan.settings.payload_max, edns.dnssec_ok)),
        signer: None,
        begun: false,
    })))
}

/// The serial that the client has (RFC 1995 §3): of the SOA in the authority section.
fn their_serial(message: &[u8], query: &Query) -> Option<u32> {
    if message[6..8] != [0, 0] || message[8..10] == [0, 0] {
        return None;
    }
    let mut at = query.question_end;
    let owner = Name::read(message, &mut at)?;
    let mut of_question = HEADER;
    let fixed = message.get(at..at + 10)?;
    let rdata_len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let is_soa = fixed[..2] == rtype::SOA.to_be_bytes() && Name::read(message, &mut of_question)? == owner;
    serial_of(message.get(at + 10..at + 10 + rdata_len)?).filter(|_| is_soa)
}

fn soa_of(edition: &Edition) -> Part {
    Part::Soa(content::octets(edition.soa()).into())
}

/// The zone between its SOA and its SOA (RFC 5936 §2.2).
fn whole(edition: &Arc<Edition>) -> Vec<Part> {
    vec![soa_of(edition), Part::Content(Arc::clone(edition.content())), soa_of(edition)]
}

/// What became of the zone since a serial, step by step (RFC 1995 §4); the whole zone where that is not known.
fn since(edition: &Arc<Edition>, theirs: u32) -> Vec<Part> {
    if !is_newer(edition.serial(), theirs) {
        return vec![soa_of(edition)];
    }
    let Some(steps) = edition.steps_from(theirs) else { return whole(edition) };
    let steps = steps.iter().map(|step| Part::Step(Arc::clone(step)));
    [soa_of(edition)].into_iter().chain(steps).chain([soa_of(edition)]).collect()
}

/// Some records of a transfer.
#[derive(Debug)]
enum Part {
    Soa(Box<[u8]>),
    Content(Arc<Content>),
    Step(Arc<Step>),
}

impl Part {
    fn row(&self, at: usize) -> Option<Row<'_>> {
        match self {
            Part::Soa(octets) => (at == 0).then(|| Row::of(octets)),
            Part::Content(content) => (at < content.len()).then(|| content.row(at)),
            Part::Step(step) => step.row(at),
        }
    }
}

/// The records of a transfer, and how many of them are written.
#[derive(Debug)]
struct Rows {
    parts: Vec<Part>,
    /// The part and the row in it that come next.
    next: (usize, usize),
    body: Vec<u8>,
    suffixes: Suffixes,
}

impl Rows {
    fn new(parts: Vec<Part>) -> Rows {
        Rows { parts, next: (0, 0), body: Vec::new(), suffixes: Suffixes::exact() }
    }

    fn row(&self) -> Option<Row<'_>> {
        self.parts.get(self.next.0)?.row(self.next.1)
    }

    fn is_over(&self) -> bool {
        self.next.0 >= self.parts.len()
    }

    /// Writes the next records to `body`, which begins at `before` in the message and takes `room` octets, until it is `enough`;
    /// gives how many they are.
    fn fill(&mut self, before: usize, room: usize, enough: usize) -> u16 {
        let mut count = 0;
        self.body.clear();
        while self.body.len() < enough && count < u16::MAX {
            let Some(row) = self.parts.get(self.next.0).and_then(|part| part.row(self.next.1)) else {
                if self.is_over() {
                    break;
                }
                self.next = (self.next.0 + 1, 0);
                continue;
            };
            // What it takes at the most: it may be shorter.
            if self.body.len() + row.octets.len() > room {
                break;
            }
            write(row, &mut self.body, &mut self.suffixes, before);
            self.next.1 += 1;
            count += 1;
        }
        // So that `is_over` is so with the last record.
        while !self.is_over() && self.row().is_none() {
            self.next = (self.next.0 + 1, 0);
        }
        count
    }

    /// Puts all records behind the question in `buf`, if there is room; gives where they end and how many they are.
    fn put_all(&mut self, buf: &mut [u8], room: std::ops::Range<usize>) -> Option<(usize, u16)> {
        self.suffixes.clear();
        let (name, _) = buf.get(HEADER..room.start)?.split_at_checked(room.start - HEADER - 4)?;
        self.suffixes.stands(name, HEADER);
        let count = self.fill(room.start, room.len(), usize::MAX);
        let end = room.start + self.body.len();
        if !self.is_over() {
            return None;
        }
        buf[room.start..end].copy_from_slice(&self.body);
        Some((end, count))
    }
}

/// Writes a record, compressed.
fn write(row: Row<'_>, body: &mut Vec<u8>, suffixes: &mut Suffixes, before: usize) {
    let mut name = |octets: &[u8], body: &mut Vec<u8>| {
        suffixes.write(octets, body, before, POINTER_REACH);
    };
    name(row.owner(), body);
    body.extend(row.fixed());
    let len_at = body.len();
    body.extend([0, 0]);
    let (fixed, names) = compressible(row.rtype(), row.rdata());
    let (front, mut rest) = row.rdata().split_at(fixed);
    body.extend(front);
    for _ in 0..names {
        let Some(len) = crate::wire::name::wire_len(rest) else { break };
        let (octets, behind) = rest.split_at(len);
        name(octets, body);
        rest = behind;
    }
    body.extend(rest);
    let len = (body.len() - len_at - 2) as u16;
    body[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
}

/// A zone on its way to a client.
#[derive(Debug)]
pub struct Transfer {
    rows: Rows,
    edition: Arc<Edition>,
    qtype: u16,
    /// Of the query.
    header: [u8; HEADER],
    question: Box<[u8]>,
    /// What the OPT record of the first message says.
    opt: Option<(u16, bool)>,
    signer: Option<Signer>,
    begun: bool,
}

impl Transfer {
    /// Signs each message.
    pub(super) fn sign_with(&mut self, signer: Signer) {
        self.signer = Some(signer);
    }

    /// What the client will have: a zone, under its serial.
    pub fn edition(&self) -> &Edition {
        &self.edition
    }

    /// AXFR or IXFR.
    pub fn qtype(&self) -> u16 {
        self.qtype
    }

    /// Writes the next message into `buf`, which takes the longest message; gives its length. `None`: it is over.
    pub fn next(&mut self, buf: &mut [u8], unix_s: u64) -> Option<usize> {
        if self.rows.is_over() {
            return None;
        }
        buf[..HEADER].copy_from_slice(&self.header);
        self.rows.suffixes.clear();
        let mut at = HEADER;
        let mut header = Header::new(rcode::NOERROR).authoritative();
        // RFC 5936 §2.2.1, §2.2.5: question and OPT in the first message.
        let opt = if self.begun { None } else { self.opt };
        if self.begun {
            header = header.without_question();
        } else {
            at += self.question.len();
            buf[HEADER..at].copy_from_slice(&self.question);
            self.rows.suffixes.stands(&self.question[..self.question.len() - 4], HEADER);
        }
        self.begun = true;
        let kept = opt.map_or(0, |_| edns::OPT_EMPTY) + self.signer.as_ref().map_or(0, Signer::record_len);
        let room = buf.len().min(MESSAGE_MAX).saturating_sub(at + kept);
        let count = self.rows.fill(at, room, ENOUGH);
        if count == 0 {
            // A record that no message holds: loading has seen to it that there is none.
            self.rows.next = (self.rows.parts.len(), 0);
            return None;
        }
        let mut end = at + self.rows.body.len();
        buf[at..end].copy_from_slice(&self.rows.body);
        header = header.with_counts(count, 0, 0);
        if let Some((payload, dnssec_ok)) = opt {
            end += edns::write(&mut buf[end..], payload, rcode::NOERROR, dnssec_ok, None);
            header.add_additional();
        }
        header.write(buf);
        if let Some(signer) = &mut self.signer {
            end = signer.sign(buf, end, unix_s);
        }
        Some(end)
    }
}
