//! Packet -> Reply. The one function: every transport hands its packets here.

use std::net::IpAddr;
use std::time::Instant;

use super::worker::{Ask, Fact, Reply, Steered, Transport, Worker};
use crate::cluster::Family;
use crate::plan::{Plan, Route};
use crate::sets::AddressSet;
use crate::snapshot::Snapshot;
use crate::steering::client;
use crate::wire::edns::{self, Edns};
use crate::wire::name;
use crate::wire::query::{self, HEADER, Lowered, Query, Reject, rcode};
use crate::wire::response::Header;
use crate::zone::lookup::{Dname, Found};
use crate::zone::record::rtype;
use crate::zone::template::{Pointer, TemplateId};
use crate::zone::tree::RouteId;

/// What a client takes that does not speak EDNS (RFC 1035 §4.2.1).
pub const PLAIN_MAX: usize = 512;
/// What a stream takes.
const STREAM_MAX: usize = 65_535;
/// Classes.
const IN: u16 = 1;
const CHAOS: u16 = 3;

/// Answers the query in the first `len` octets of `buf`, in place: the answer's first octets are the query's.
///
/// `buf` holds at least [`query::BUFFER_MIN`] octets, and as many as the longest answer of the transport.
#[inline]
pub fn respond(
    snapshot: &Snapshot,
    worker: &mut Worker,
    now: Instant,
    buf: &mut [u8],
    len: usize,
    peer: IpAddr,
    transport: Transport,
) -> Reply {
    let plan = &*snapshot.plan;
    let query = match query::read(buf, len, &mut worker.name) {
        Ok(query) => query,
        Err(reject) => return rejected(plan, buf, reject),
    };
    let frame = Frame::new(plan, &query, buf.len(), transport);
    if query.qclass != IN {
        return other_class(plan, worker, &query, buf, frame);
    }
    if is_meta(query.qtype) {
        return bare(plan, &query, buf, frame, meta_rcode(query.qtype));
    }
    match plan.zones.find(&worker.name, &mut worker.scratch, query.qtype) {
        Found::Template(_) | Found::Steered(_) if asks_why(snapshot, worker, &query, peer) => later(buf, len),
        Found::Template(template) => templated(plan, worker, &query, buf, frame, template),
        // RFC 7871 §7.2.1: what is behind the first CNAME has a scope of its own.
        Found::Alias(alias) if query.edns.is_some_and(|edns| edns.subnet.is_some()) => {
            templated(plan, worker, &query, buf, frame, plan.zones.alias(alias).first)
        }
        Found::Steered(_) | Found::Alias(_) if snapshot.warming => later(buf, len),
        Found::Steered(route) => {
            let head = Head { at: query.question_end, answers: 0, owner: Pointer::QUESTION.octets };
            steer(snapshot, worker, &query, buf, frame, route, peer, now, head)
        }
        Found::Alias(alias) => {
            let alias = plan.zones.alias(alias);
            let chain = plan.zones.template(alias.chain);
            let delta = (worker.name.octet_count() - usize::from(chain.name_len)) as u16;
            let at = query.question_end;
            if at + usize::from(chain.end) > frame.limit {
                return templated(plan, worker, &query, buf, frame, alias.chain);
            }
            let chain_end = copy(plan, buf, at, alias.chain, usize::from(chain.end), delta);
            let head = Head { at: chain_end, answers: chain.answers, owner: alias.owner.shifted(delta) };
            steer(snapshot, worker, &query, buf, frame, alias.route, peer, now, head)
        }
        Found::Dname(dname) => renamed(plan, worker, &query, buf, frame, plan.zones.dname(dname)),
        Found::Outside => bare(plan, &query, buf, frame, rcode::REFUSED),
    }
}

/// What every answer to a query has in common.
#[derive(Clone, Copy)]
struct Frame<'p> {
    /// Where the records must end, an OPT left room for.
    limit: usize,
    /// The query's OPT.
    edns: Option<Edns>,
    /// The server's identifier, where it is asked for.
    nsid: &'p [u8],
    /// The largest datagram that we take.
    payload: u16,
}

/// What stands before the addresses of a steered answer.
struct Head {
    /// Where the addresses begin.
    at: usize,
    /// Records before them.
    answers: u16,
    /// Their owner.
    owner: [u8; 2],
}

impl<'p> Frame<'p> {
    #[inline]
    fn new(plan: &'p Plan, query: &Query, room: usize, transport: Transport) -> Frame<'p> {
        let payload = plan.payload_max;
        let edns = query.edns;
        let (taken, nsid, opt) = match &edns {
            None => (PLAIN_MAX, &[][..], 0),
            Some(edns) => {
                let nsid = if edns.nsid { &*plan.nsid } else { &[] };
                let opt = edns::answer_len(edns.subnet.as_ref(), nsid);
                (usize::from(edns.payload.min(payload)), nsid, opt)
            }
        };
        let taken = if transport == Transport::Tcp { STREAM_MAX } else { taken };
        Frame { limit: taken.min(room).saturating_sub(opt), edns, nsid, payload }
    }

    /// Ends the message at `at`: the OPT, and the header.
    #[inline]
    fn finish(self, buf: &mut [u8], at: usize, header: Header, scope: u8) -> usize {
        let rcode = header.rcode;
        let mut header = header;
        let mut end = at;
        if let Some(edns) = &self.edns {
            let subnet = edns.subnet.as_ref().map(|subnet| (subnet, scope));
            end += edns::write(&mut buf[at..], self.payload, rcode, edns.dnssec_ok, subnet, self.nsid);
            header.additionals += 1;
        }
        header.questions = 1;
        header.write(buf);
        end
    }
}

/// What was made at load, copied behind the question.
#[inline]
fn templated(
    plan: &Plan,
    worker: &Worker,
    query: &Query,
    buf: &mut [u8],
    frame: Frame<'_>,
    id: TemplateId,
) -> Reply {
    let template = plan.zones.template(id);
    let room = frame.limit.saturating_sub(query.question_end);
    let (end, authority_end) = (usize::from(template.end), usize::from(template.authority_end));
    let mut header = Header {
        rcode: u16::from(template.rcode),
        authoritative: template.authoritative,
        answers: template.answers,
        authorities: template.authorities,
        additionals: template.additionals,
        ..Header::default()
    };
    let len = if end <= room {
        end
    } else if authority_end <= room {
        // RFC 9471 §3: glue that a referral needs is missed; other additional records are not.
        header.truncated = template.glue;
        header.additionals = 0;
        authority_end
    } else {
        header = Header { truncated: true, answers: 0, authorities: 0, additionals: 0, ..header };
        0
    };
    let delta = (worker.name.octet_count() as u16).wrapping_sub(u16::from(template.name_len));
    let at = copy(plan, buf, query.question_end, id, len, delta);
    let fact = fact(query, &header);
    Reply::Done(frame.finish(buf, at, header, 0), fact)
}

/// Copies the first `len` octets of a template to `at`; gives where they end.
#[inline]
fn copy(plan: &Plan, buf: &mut [u8], at: usize, id: TemplateId, len: usize, delta: u16) -> usize {
    let template = plan.zones.template(id);
    let templates = plan.zones.templates();
    buf[at..at + len].copy_from_slice(&templates.octets(template)[..len]);
    if delta != 0 {
        for &fixup in templates.fixups(template) {
            let fixup = usize::from(fixup);
            if fixup >= len {
                break;
            }
            let pointer = &mut buf[at + fixup..at + fixup + 2];
            let shifted = u16::from_be_bytes([pointer[0], pointer[1]]).wrapping_add(delta);
            pointer.copy_from_slice(&shifted.to_be_bytes());
        }
    }
    at + len
}

/// A service's addresses for this client.
#[inline]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
fn steer(
    snapshot: &Snapshot,
    worker: &mut Worker,
    query: &Query,
    buf: &mut [u8],
    frame: Frame<'_>,
    route: RouteId,
    peer: IpAddr,
    now: Instant,
    head: Head,
) -> Reply {
    let plan = &*snapshot.plan;
    let route = plan.route(route);
    let subnet = frame.edns.as_ref().and_then(|edns| edns.subnet.as_ref());
    let client = plan.client(route, subnet, peer);
    let placed = plan.place(route, &client);
    let turn = worker.turn;
    worker.turn = turn.wrapping_add(1);
    let Some(choice) = snapshot.choose(route, &placed) else {
        let header = Header { rcode: rcode::SERVFAIL, ..Header::default() };
        let fact = fact(query, &header);
        return Reply::Done(frame.finish(buf, query.question_end, header, placed.scope), fact);
    };
    let set = snapshot.addresses(route, &choice, placed.slot, client.whose, turn);
    let mut header = Header { authoritative: true, ..Header::default() };
    let size = record_len(route.family);
    let mut at = head.at;
    if at + set.len() / octets(route.family) * size > frame.limit {
        header.truncated = true;
        at = query.question_end;
    } else {
        let ttl_s = set.ttl_s(route.ttl_s, now);
        at = put_addresses(buf, at, route, &set, ttl_s, turn, head.owner);
        header.answers = head.answers + (set.len() / octets(route.family)) as u16;
    }
    let steered = Steered {
        service: route.service,
        cluster: choice.cluster,
        counted: plan.counted[usize::from(choice.cluster.0)],
        reason: choice.reason,
    };
    let fact = Fact { steered: Some(steered), ..fact(query, &header) };
    Reply::Done(frame.finish(buf, at, header, placed.scope), fact)
}

/// Lays the records of an address set one behind the other, beginning with another one each turn.
#[inline]
fn put_addresses(
    buf: &mut [u8],
    mut at: usize,
    route: &Route,
    set: &AddressSet<'_>,
    ttl_s: u32,
    turn: u32,
    owner: [u8; 2],
) -> usize {
    let width = octets(route.family);
    let rtype = if route.family == Family::V4 { rtype::A } else { rtype::AAAA };
    let mut fixed = [0; 12];
    fixed[..2].copy_from_slice(&owner);
    fixed[2..4].copy_from_slice(&rtype.to_be_bytes());
    fixed[4..6].copy_from_slice(&IN.to_be_bytes());
    fixed[6..10].copy_from_slice(&ttl_s.to_be_bytes());
    fixed[10..12].copy_from_slice(&(width as u16).to_be_bytes());
    let count = set.len() / width;
    let mut next = if count == 0 { 0 } else { turn as usize % count };
    for _ in 0..count {
        buf[at..at + 12].copy_from_slice(&fixed);
        buf[at + 12..at + 12 + width].copy_from_slice(&set.octets()[next * width..][..width]);
        at += 12 + width;
        next = if next + 1 == count { 0 } else { next + 1 };
    }
    at
}

#[inline]
fn octets(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

#[inline]
fn record_len(family: Family) -> usize {
    12 + octets(family)
}

#[inline]
fn fact(query: &Query, header: &Header) -> Fact {
    Fact {
        rcode: header.rcode,
        qtype: query.qtype,
        truncated: header.truncated,
        ecs: query.edns.is_some_and(|edns| edns.subnet.is_some()),
        steered: None,
    }
}

/// An RCODE and nothing else.
#[cold]
fn bare(_plan: &Plan, query: &Query, buf: &mut [u8], frame: Frame<'_>, rcode: u16) -> Reply {
    let header = Header { rcode, ..Header::default() };
    Reply::Done(frame.finish(buf, query.question_end, header, 0), fact(query, &header))
}

/// What cannot be read, or is asked in a way that is not ours.
#[cold]
fn rejected(plan: &Plan, buf: &mut [u8], reject: Reject) -> Reply {
    let Reject::With { rcode, question_end, edns } = reject else { return Reply::Drop };
    let header = Header {
        rcode,
        questions: u16::from(question_end > HEADER),
        additionals: u16::from(edns),
        ..Header::default()
    };
    header.write(buf);
    let mut end = question_end;
    if edns {
        end += edns::write(&mut buf[end..], plan.payload_max, rcode, false, None, &[]);
    }
    Reply::Done(end, Fact { rcode, qtype: 0, truncated: false, ecs: false, steered: None })
}

/// Types that ask for no data but for something to be done (RFC 6895 §3.1), and OPT; ANY is answered.
#[inline]
fn is_meta(qtype: u16) -> bool {
    qtype == rtype::OPT || (128..rtype::ANY).contains(&qtype)
}

#[cold]
fn meta_rcode(qtype: u16) -> u16 {
    match qtype {
        rtype::AXFR | rtype::IXFR => rcode::REFUSED,
        rtype::OPT => rcode::FORMERR,
        _ => rcode::NOTIMP,
    }
}

/// CHAOS TXT tells who answers (RFC 4892); no other class is served.
#[cold]
fn other_class(plan: &Plan, worker: &Worker, query: &Query, buf: &mut [u8], frame: Frame<'_>) -> Reply {
    let is = |names: [&[u8]; 2]| names.iter().any(|name| worker.name.is(name));
    let text: &[u8] = if is([b"\x07version\x04bind\0", b"\x07version\x06server\0"]) {
        plan.version.as_bytes()
    } else if is([b"\x08hostname\x04bind\0", b"\x02id\x06server\0"]) {
        &plan.nsid
    } else {
        &[]
    };
    let asked = query.qclass == CHAOS && matches!(query.qtype, rtype::TXT | rtype::ANY);
    if !asked || text.is_empty() {
        return bare(plan, query, buf, frame, rcode::REFUSED);
    }
    let len = text.len().min(255);
    let at = query.question_end;
    let fixed =
        [0xc0, HEADER as u8, 0, rtype::TXT as u8, 0, CHAOS as u8, 0, 0, 0, 0, 0, len as u8 + 1, len as u8];
    buf[at..at + fixed.len()].copy_from_slice(&fixed);
    let end = at + fixed.len() + len;
    buf[at + fixed.len()..end].copy_from_slice(&text[..len]);
    let header = Header { authoritative: true, answers: 1, ..Header::default() };
    Reply::Done(frame.finish(buf, end, header, 0), fact(query, &header))
}

/// Below a DNAME: it, and the CNAME that it means for this name (RFC 6672 §3.1); YXDOMAIN where that is no name.
#[cold]
fn renamed(
    plan: &Plan,
    worker: &Worker,
    query: &Query,
    buf: &mut [u8],
    frame: Frame<'_>,
    dname: &Dname,
) -> Reply {
    let template = plan.zones.template(dname.record);
    let prefix = worker.name.octet_count() - dname.owner_len;
    let delta = prefix as u16;
    let target_len = prefix + dname.target.len();
    let fits = target_len <= name::NAME_OCTETS_MAX;
    let cname_len = if fits { 12 + target_len } else { 0 };
    let mut header = Header { authoritative: true, ..Header::default() };
    if query.question_end + usize::from(template.end) + cname_len > frame.limit {
        header.truncated = true;
        return Reply::Done(frame.finish(buf, query.question_end, header, 0), fact(query, &header));
    }
    let mut at = copy(plan, buf, query.question_end, dname.record, usize::from(template.end), delta);
    header.answers = template.answers;
    if fits {
        let [ttl_0, ttl_1, ttl_2, ttl_3] = dname.ttl_s.to_be_bytes();
        let len = target_len as u8;
        let fixed =
            [0xc0, HEADER as u8, 0, rtype::CNAME as u8, 0, IN as u8, ttl_0, ttl_1, ttl_2, ttl_3, 0, len];
        buf[at..at + 12].copy_from_slice(&fixed);
        buf.copy_within(HEADER..HEADER + prefix, at + 12);
        buf[at + 12 + prefix..at + 12 + target_len].copy_from_slice(&dname.target);
        at += 12 + target_len;
        header.answers += 1;
    } else {
        header.rcode = rcode::YXDOMAIN;
    }
    Reply::Done(frame.finish(buf, at, header, 0), fact(query, &header))
}

/// `_why.<service>` TXT, from an address that may know, where no record of the zone owns the name.
#[inline]
fn asks_why(snapshot: &Snapshot, worker: &mut Worker, query: &Query, peer: IpAddr) -> bool {
    query.qtype == rtype::TXT && worker.name.starts_with_why() && may_know_why(snapshot, worker, peer)
}

#[cold]
fn may_know_why(snapshot: &Snapshot, worker: &mut Worker, peer: IpAddr) -> bool {
    let plan = &*snapshot.plan;
    let owned = plan.zones.owns(&worker.name);
    let allowed = plan.why.iter().any(|network| network.contains(client::plain(peer)));
    !owned && allowed && why_route(plan, &worker.name).is_some()
}

/// Whose service a `_why` asks about: its A, or its AAAA where it has no A.
pub fn why_route(plan: &Plan, name: &Lowered) -> Option<RouteId> {
    let of = |qtype| plan.zones.steered_below_first_label(name, qtype);
    of(rtype::A).or_else(|| of(rtype::AAAA))
}

#[cold]
fn later(buf: &[u8], len: usize) -> Reply {
    Reply::Later(Ask { query: buf[..len].into() })
}
