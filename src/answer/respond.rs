//! Packet -> Reply. The one function: every transport hands its packets here.

use std::net::IpAddr;
use std::time::Instant;

use super::worker::{Ask, Fact, Reply, Steered, Transport, Worker};
use crate::cluster::Family;
use crate::plan::{Plan, Route};
use crate::snapshot::Snapshot;
use crate::steering::client;
use crate::steering::slots::SLOTS;
use crate::wire::edns::{self, Edns};
use crate::wire::lowered::Lowered;
use crate::wire::name::NAME_OCTETS_MAX;
use crate::wire::query::{self, HEADER, Query, Reject, rcode};
use crate::wire::response::Header;
use crate::zone::lookup::{AliasId, Dname, Found};
use crate::zone::record::rtype;
use crate::zone::template::{Pointer, Template, TemplateId};
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
    let Worker { query, name, scratch, turns } = worker;
    if let Err(reject) = query::read_into(buf, len, name, query) {
        return rejected(plan, buf, reject);
    }
    let query = &*query;
    let limit = limit(plan, query, buf.len(), transport);
    if query.qclass != IN || is_meta(query.qtype) {
        let body = odd(plan, name, query, buf);
        return finish(plan, query, buf, body);
    }
    let found = plan.zones.find(name, scratch, query.qtype);
    if matches!(found, Found::Template(_) | Found::Steered(_)) && asks_why(plan, name, query.qtype, peer) {
        return later(buf, len);
    }
    let steered = match found {
        Found::Template(template) => Err(template),
        // RFC 7871 §7.2.1: what is behind the first CNAME has a scope of its own.
        Found::Alias(alias) if query.edns.as_ref().is_some_and(|edns| edns.subnet.is_some()) => {
            Err(plan.zones.alias(alias).first)
        }
        Found::Steered(_) | Found::Alias(_) if snapshot.warming => return later(buf, len),
        Found::Steered(route) => {
            Ok((route, Head { at: query.question_end, answers: 0, owner: Pointer::QUESTION.octets }))
        }
        Found::Alias(alias) => before_addresses(plan, name, query, buf, limit, alias),
        Found::Dname(dname) => {
            let body = renamed(plan, name, query, buf, limit, plan.zones.dname(dname));
            return finish(plan, query, buf, body);
        }
        Found::Outside => return finish(plan, query, buf, Body::bare(query, rcode::REFUSED)),
    };
    let body = match steered {
        Ok((route, head)) => steer(snapshot, query, buf, limit, plan.route(route), peer, turns, now, head),
        Err(template) => templated(plan, name, query, buf, limit, template),
    };
    finish_hot(plan, query, buf, body)
}

/// What stands behind the question, and what the header says of it; the OPT is still to come.
#[derive(Clone, Copy, Debug)]
struct Body {
    /// Where it ends.
    end: usize,
    header: Header,
    /// For whom it holds: SCOPE PREFIX-LENGTH.
    scope: u8,
    steered: Option<Steered>,
}

impl Body {
    /// An RCODE and nothing else.
    #[cold]
    fn bare(query: &Query, rcode: u16) -> Body {
        Body::unsteered(query.question_end, Header::new(rcode))
    }

    /// The same for everybody.
    #[inline]
    fn unsteered(end: usize, header: Header) -> Body {
        Body { end, header, scope: 0, steered: None }
    }
}

/// What stands before the addresses of a steered answer.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Where the addresses begin.
    at: usize,
    /// Records before them.
    answers: u16,
    /// Their owner.
    owner: [u8; 2],
}

/// Where the records must end, an OPT left room for.
#[inline]
fn limit(plan: &Plan, query: &Query, room: usize, transport: Transport) -> usize {
    let (taken, opt) = match &query.edns {
        None => (PLAIN_MAX, 0),
        Some(edns) => {
            let opt = edns::answer_len(edns.subnet.as_ref(), nsid(plan, edns));
            (usize::from(edns.payload.min(plan.payload_max)), opt)
        }
    };
    let taken = if transport == Transport::Tcp { STREAM_MAX } else { taken };
    taken.min(room).saturating_sub(opt)
}

/// The server's identifier, where it is asked for.
#[inline]
fn nsid<'p>(plan: &'p Plan, edns: &Edns) -> &'p [u8] {
    if edns.nsid { &plan.nsid } else { &[] }
}

/// Ends an answer that few ask for.
#[cold]
fn finish(plan: &Plan, query: &Query, buf: &mut [u8], body: Body) -> Reply {
    finish_hot(plan, query, buf, body)
}

/// Ends the message: the OPT, and the header.
#[inline]
fn finish_hot(plan: &Plan, query: &Query, buf: &mut [u8], body: Body) -> Reply {
    let Body { mut end, mut header, scope, steered } = body;
    let mut ecs = false;
    if let Some(edns) = &query.edns {
        ecs = edns.subnet.is_some();
        let subnet = edns.subnet.as_ref().map(|subnet| (subnet, scope));
        let nsid = nsid(plan, edns);
        end += edns::write(&mut buf[end..], plan.payload_max, 0, edns.dnssec_ok, subnet, nsid);
        header.add_additional();
    }
    header.write(buf);
    let (rcode, truncated) = (header.rcode(), header.is_truncated());
    Reply::Done(end, Fact { rcode, qtype: query.qtype, truncated, ecs, steered })
}

/// What was made at load, copied behind the question.
#[inline]
fn templated(
    plan: &Plan,
    name: &Lowered,
    query: &Query,
    buf: &mut [u8],
    limit: usize,
    id: TemplateId,
) -> Body {
    let template = plan.zones.template(id);
    let (mut len, mut header) = (usize::from(template.end), template.header);
    let at = query.question_end;
    if at + len > limit {
        (len, header) = cut(template, limit.saturating_sub(at));
    }
    let delta = (name.octet_count() as u16).wrapping_sub(u16::from(template.name_len));
    Body::unsteered(copy(plan, buf, at, template, len, delta), header)
}

/// How many octets of a template stand in `room` octets that are too few for all of it, and the header for those.
#[cold]
fn cut(template: &Template, room: usize) -> (usize, Header) {
    let (header, authority_end) = (template.header, usize::from(template.authority_end));
    if authority_end <= room {
        // RFC 9471 §3: glue that a referral needs is missed; other additional records are not.
        let header = header.with_counts(header.answers(), header.authorities(), 0);
        (authority_end, if template.glue { header.truncated() } else { header })
    } else {
        (0, header.with_counts(0, 0, 0).truncated())
    }
}

/// Copies the first `len` octets of a template to `at`; gives where they end.
#[inline(always)]
fn copy(plan: &Plan, buf: &mut [u8], at: usize, template: &Template, len: usize, delta: u16) -> usize {
    let templates = plan.zones.templates();
    let body = &mut buf[at..at + len];
    body.copy_from_slice(&templates.octets(template)[..len]);
    if delta != 0 {
        for &fixup in templates.fixups(template) {
            let Some(pointer) = body[usize::from(fixup).min(len)..].first_chunk_mut() else { break };
            *pointer = u16::from_be_bytes(*pointer).wrapping_add(delta).to_be_bytes();
        }
    }
    at + len
}

/// Lays out the aliases that lead to a service; `Err` where a template is the whole answer.
#[inline]
fn before_addresses(
    plan: &Plan,
    name: &Lowered,
    query: &Query,
    buf: &mut [u8],
    limit: usize,
    alias: AliasId,
) -> Result<(RouteId, Head), TemplateId> {
    let alias = plan.zones.alias(alias);
    let chain = plan.zones.template(alias.chain);
    let delta = (name.octet_count() - usize::from(chain.name_len)) as u16;
    let at = query.question_end;
    if at + usize::from(chain.end) > limit {
        return Err(alias.chain);
    }
    let at = copy(plan, buf, at, chain, usize::from(chain.end), delta);
    let head = Head { at, answers: chain.header.answers(), owner: alias.owner.shifted(delta) };
    Ok((alias.route, head))
}

/// A service's addresses for this client.
#[inline]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
fn steer(
    snapshot: &Snapshot,
    query: &Query,
    buf: &mut [u8],
    limit: usize,
    route: &Route,
    peer: IpAddr,
    turns: &mut [u32; 2],
    now: Instant,
    head: Head,
) -> Body {
    let plan = &*snapshot.plan;
    let subnet = query.edns.as_ref().and_then(|edns| edns.subnet.as_ref());
    let client = plan.client(route, subnet, peer);
    let placed = plan.place(route, &client);
    let next = &mut turns[route.family as usize];
    let turn = *next;
    *next = turn.wrapping_add(1);
    let Some(choice) = snapshot.choose(route, &placed) else {
        return Body { scope: placed.scope, ..Body::bare(query, rcode::SERVFAIL) };
    };
    let set = snapshot.addresses(route, &choice, placed.slot, client.whose, turn);
    let header = Header::new(rcode::NOERROR).authoritative();
    let mut fixed =
        Fixed { owner: head.owner, rtype: rtype::A, ttl_s: set.ttl_s(route.ttl_s, now), rdata_len: 4 };
    let laid = match route.family {
        Family::V4 => put_addresses::<4>(buf, head.at, limit, fixed.octets(), set.octets(), turn),
        Family::V6 => {
            (fixed.rtype, fixed.rdata_len) = (rtype::AAAA, 16);
            put_addresses::<16>(buf, head.at, limit, fixed.octets(), set.octets(), turn)
        }
    };
    let (end, header) = match laid {
        Some((end, addresses)) => (end, header.with_counts(head.answers + addresses, 0, 0)),
        None => (query.question_end, header.truncated()),
    };
    let steered = Steered {
        service: route.service,
        cluster: choice.cluster,
        counted: plan.counted[usize::from(choice.cluster.0)],
        reason: choice.reason,
    };
    Body { end, header, scope: placed.scope, steered: Some(steered) }
}

/// The fixed part of a record that is made at answering.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    owner: [u8; 2],
    rtype: u16,
    ttl_s: u32,
    rdata_len: u16,
}

impl Fixed {
    #[inline]
    fn octets(self) -> [u8; 12] {
        let ([o0, o1], [t0, t1], [c0, c1]) = (self.owner, self.rtype.to_be_bytes(), IN.to_be_bytes());
        let ([s0, s1, s2, s3], [l0, l1]) = (self.ttl_s.to_be_bytes(), self.rdata_len.to_be_bytes());
        [o0, o1, t0, t1, c0, c1, s0, s1, s2, s3, l0, l1]
    }
}

/// Lays the records of addresses of `WIDTH` octets one behind the other, beginning with another one each turn. Gives where they
/// end and how many they are; `None` where they would end beyond `limit`.
#[inline]
fn put_addresses<const WIDTH: usize>(
    buf: &mut [u8],
    at: usize,
    limit: usize,
    fixed: [u8; 12],
    addresses: &[u8],
    turn: u32,
) -> Option<(usize, u16)> {
    let (addresses, _) = addresses.as_chunks::<WIDTH>();
    let end = at + addresses.len() * (12 + WIDTH);
    if end > limit {
        return None;
    }
    // One further each time around the slots, too: else a slot would always begin with the same one.
    let turn = turn.wrapping_add(turn / u32::from(SLOTS)) as usize;
    let mut next = turn.checked_rem(addresses.len()).unwrap_or(0);
    for record in buf[at..end].chunks_exact_mut(12 + WIDTH) {
        let (front, rdata) = record.split_at_mut(12);
        front.copy_from_slice(&fixed);
        rdata.copy_from_slice(&addresses[next]);
        next = if next + 1 == addresses.len() { 0 } else { next + 1 };
    }
    Some((end, addresses.len() as u16))
}

/// What cannot be read, or is asked in a way that is not ours.
#[cold]
fn rejected(plan: &Plan, buf: &mut [u8], reject: Reject) -> Reply {
    let Reject::With { rcode, question_end, edns } = reject else { return Reply::Drop };
    let mut header = Header::new(rcode);
    if question_end == HEADER {
        header = header.without_question();
    }
    if edns {
        header.add_additional();
    }
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

fn meta_rcode(qtype: u16) -> u16 {
    match qtype {
        rtype::AXFR | rtype::IXFR => rcode::REFUSED,
        rtype::OPT => rcode::FORMERR,
        _ => rcode::NOTIMP,
    }
}

/// Another class, or a type that is no data's: CHAOS TXT tells who answers (RFC 4892); the rest is not for us.
#[cold]
fn odd(plan: &Plan, name: &Lowered, query: &Query, buf: &mut [u8]) -> Body {
    if query.qclass == IN {
        return Body::bare(query, meta_rcode(query.qtype));
    }
    let is = |names: [&[u8]; 2]| names.iter().any(|octets| name.is(octets));
    let text: &[u8] = if is([b"\x07version\x04bind\0", b"\x07version\x06server\0"]) {
        plan.version.as_bytes()
    } else if is([b"\x08hostname\x04bind\0", b"\x02id\x06server\0"]) {
        &plan.nsid
    } else {
        &[]
    };
    let asked = query.qclass == CHAOS && matches!(query.qtype, rtype::TXT | rtype::ANY);
    if !asked || text.is_empty() {
        return Body::bare(query, rcode::REFUSED);
    }
    let len = text.len().min(255);
    let at = query.question_end;
    let fixed =
        [0xc0, HEADER as u8, 0, rtype::TXT as u8, 0, CHAOS as u8, 0, 0, 0, 0, 0, len as u8 + 1, len as u8];
    buf[at..at + fixed.len()].copy_from_slice(&fixed);
    let end = at + fixed.len() + len;
    buf[at + fixed.len()..end].copy_from_slice(&text[..len]);
    Body::unsteered(end, Header::new(rcode::NOERROR).authoritative().with_counts(1, 0, 0))
}

/// Below a DNAME: it, and the CNAME that it means for this name (RFC 6672 §3.1); YXDOMAIN where that is no name.
#[cold]
fn renamed(plan: &Plan, name: &Lowered, query: &Query, buf: &mut [u8], limit: usize, dname: &Dname) -> Body {
    let template = plan.zones.template(dname.record);
    let prefix = name.octet_count() - dname.owner_len;
    let delta = prefix as u16;
    let target_len = prefix + dname.target.len();
    let fits = target_len <= NAME_OCTETS_MAX;
    let cname_len = if fits { 12 + target_len } else { 0 };
    if query.question_end + usize::from(template.end) + cname_len > limit {
        return Body::unsteered(query.question_end, Header::new(rcode::NOERROR).authoritative().truncated());
    }
    let mut at = copy(plan, buf, query.question_end, template, usize::from(template.end), delta);
    let mut header = Header::new(if fits { rcode::NOERROR } else { rcode::YXDOMAIN });
    header = header.authoritative().with_counts(template.header.answers(), 0, 0);
    if fits {
        let owner = Pointer::QUESTION.octets;
        let (ttl_s, rdata_len) = (dname.ttl_s, target_len as u16);
        let fixed = Fixed { owner, rtype: rtype::CNAME, ttl_s, rdata_len };
        buf[at..at + 12].copy_from_slice(&fixed.octets());
        buf.copy_within(HEADER..HEADER + prefix, at + 12);
        buf[at + 12 + prefix..at + 12 + target_len].copy_from_slice(&dname.target);
        at += 12 + target_len;
        header.add_answer();
    }
    Body::unsteered(at, header)
}

/// `_why.<service>` TXT, from an address that may know, where no record of the zone owns the name.
#[inline]
fn asks_why(plan: &Plan, name: &Lowered, qtype: u16, peer: IpAddr) -> bool {
    qtype == rtype::TXT && name.starts_with_why() && may_know_why(plan, name, peer)
}

#[cold]
fn may_know_why(plan: &Plan, name: &Lowered, peer: IpAddr) -> bool {
    let owned = plan.zones.owns(name);
    let allowed = plan.why.iter().any(|network| network.contains(client::plain(peer)));
    !owned && allowed && why_route(plan, name).is_some()
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
