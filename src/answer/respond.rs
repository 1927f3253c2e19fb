//! Packet -> Reply. The one function: every transport hands its packets here.
//!
//! ```text
//! respond   query::read -> zones.find -> Body: a template copied (here), a service's addresses (steered), what names its nodes
//!           (bound), what lies below a DNAME (renamed), other classes and meta types (odd), a transfer (transfer), a reason
//!           (explained)
//!   limit   too much of it for one network?
//!   ending  OPT, header
//! signed    the same around it, for a query with TSIG
//! ```

use std::net::IpAddr;

use super::asking::{Asking, Beside, Room};
use super::body::{Body, Head};
use super::ending::{self, finish};
use super::explained::explained;
use super::limit::{Kind, Verdict};
use super::odd::{is_odd, odd};
use super::renamed::renamed;
use super::steered::steer;
use super::worker::{Ask, Now, Reply, Transport, Worker};
use super::{bound, signed, trouble};
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::wire::lowered::Lowered;
use crate::wire::query::{self, Query, Reject, rcode};
use crate::wire::response::Header;
use crate::wire::tsig::Signer;
use crate::zone::lookup::{Alias, AliasEnd, AliasId, Found};
use crate::zone::record::rtype;
use crate::zone::template::{Pointer, Template, TemplateId};
use crate::zone::tree::{RouteId, Way};

/// Answers the query in the first `len` octets of `buf`, in place: the answer's first octets are the query's.
///
/// `buf` holds at least [`query::BUFFER_MIN`] octets, and as many as the longest answer of the transport.
#[inline]
pub fn respond(
    snapshot: &Snapshot,
    worker: &mut Worker,
    now: Now,
    buf: &mut [u8],
    len: usize,
    peer: IpAddr,
    transport: Transport,
) -> Reply {
    let read = query::read_into(buf, len, &mut worker.name, &mut worker.query);
    // What few ask for goes another way, so that what many ask for goes straight through.
    if read.is_ok() && worker.query.is_plain() && !is_odd(&worker.query) {
        return answer(snapshot, worker, now, buf, len, peer, transport, &Beside::default());
    }
    if worker.query.tsig_at != 0 {
        return signed::respond(snapshot, worker, now, buf, len, peer, transport, read);
    }
    unusual(snapshot, worker, now, buf, len, peer, transport, read, None)
}

/// The same for a query that few ask, or that is none; its signature is good if it has one.
#[cold]
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
pub(super) fn unusual(
    snapshot: &Snapshot,
    worker: &mut Worker,
    now: Now,
    buf: &mut [u8],
    len: usize,
    peer: IpAddr,
    transport: Transport,
    read: Result<(), Reject>,
    signer: Option<&Signer>,
) -> Reply {
    let plan = &*snapshot.plan;
    let beside = Beside::of(plan, &worker.query, now, peer, signer);
    let rejected = read.err().map(|reject| rejected(&mut worker.query, reject));
    if rejected.is_none() && !is_odd(&worker.query) {
        return answer(snapshot, worker, now, buf, len, peer, transport, &beside);
    }
    let Worker { query, name, limiter, .. } = worker;
    let room = Room::of(plan, query, buf.len(), transport, &beside);
    let asking = Asking { snapshot, query, name, now, peer, transport, room, beside };
    let body = match rejected {
        Some(Some(body)) => Ok(body),
        Some(None) => Err(Reply::Drop),
        None => odd(&asking, buf, len),
    };
    body.map_or_else(|reply| reply, |body| ending::end(&asking, limiter, buf, body))
}

/// The same for a query of class IN and a type of data, with whatever stands beside it.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
fn answer(
    snapshot: &Snapshot,
    worker: &mut Worker,
    now: Now,
    buf: &mut [u8],
    len: usize,
    peer: IpAddr,
    transport: Transport,
    beside: &Beside<'_>,
) -> Reply {
    let plan = &*snapshot.plan;
    let Worker { query, name, scratch, turns, limiter, why } = worker;
    let query = &*query;
    let room = Room::of(plan, query, buf.len(), transport, beside);
    macro_rules! asking {
        () => {
            &Asking { snapshot, query, name, now, peer, transport, room, beside: *beside }
        };
    }
    let found = plan.zones.find(name, scratch, query.qtype);
    if query.qtype == rtype::TXT && name.starts_with_why() && asks_why(plan, name, found, peer) {
        let Some(why) = why.take() else { return later(buf, len) };
        let body = explained(asking!(), buf, &why);
        return ending::end(asking!(), limiter, buf, body);
    }
    let limit = room.records;
    let steered = match found {
        Found::Template(template) => Err(template),
        // RFC 7871 §7.2.1: what is behind the first CNAME has a scope of its own.
        Found::Alias(alias) if ends_steered(plan, alias) && has_subnet(query) => {
            Err(plan.zones.alias(alias).first)
        }
        Found::Steered(_) | Found::Bound(_) | Found::Alias(_) | Found::Dname(_) if snapshot.warming => {
            return later(buf, len);
        }
        Found::Steered(route) => {
            Ok((route, Head { at: query.question_end, answers: 0, owner: Pointer::QUESTION.octets }))
        }
        Found::Alias(alias) => match before_addresses(plan, name, query, buf, limit, alias) {
            Ok((AliasEnd::Steered(Way::Addresses(route)), head)) => Ok((route, head)),
            Ok((end, head)) => {
                let body = behind(asking!(), scratch, turns, buf, head, end);
                return ending::end(asking!(), limiter, buf, body);
            }
            Err(template) => Err(template),
        },
        Found::Bound(_) | Found::Dname(_) | Found::Outside => {
            let body = elsewhere(asking!(), scratch, turns, buf, found);
            return ending::end(asking!(), limiter, buf, body);
        }
    };
    let body = match steered {
        Ok((route, head)) => steer(snapshot, query, buf, limit, plan.route(route), peer, turns, now, head),
        Err(template) => templated(snapshot, name, query, buf, limit, template),
    };
    if beside.is_counted(transport) {
        match limiter.count(&plan.settings.rates, peer, Kind::of(&body.header), now.unix_s) {
            Verdict::Send => {}
            Verdict::Slip => return ending::slip(asking!(), buf),
            Verdict::Drop => return Reply::Limited,
        }
    }
    finish(snapshot, query, name, buf, body, transport, beside)
}

/// What lies behind aliases, where that is not a service's addresses.
#[cold]
fn behind(
    asking: &Asking<'_>,
    scratch: &mut Lowered,
    turns: &mut [u32; 3],
    buf: &mut [u8],
    head: Head,
    end: AliasEnd,
) -> Body {
    match end {
        AliasEnd::Steered(Way::Binding(binding)) => bound::answer(asking, buf, binding, head, turns),
        AliasEnd::Steered(Way::Addresses(route)) => {
            let Asking { snapshot, query, peer, now, room, .. } = *asking;
            let route = snapshot.plan.route(route);
            steer(snapshot, query, buf, room.records, route, peer, turns, now, head)
        }
        AliasEnd::Renamed(dname) => renamed(asking, scratch, turns, buf, head, dname),
    }
}

/// What names a service's nodes, what lies below a DNAME, and what is not ours.
#[cold]
fn elsewhere(
    asking: &Asking<'_>,
    scratch: &mut Lowered,
    turns: &mut [u32; 3],
    buf: &mut [u8],
    found: Found,
) -> Body {
    let head = Head { at: asking.query.question_end, answers: 0, owner: Pointer::QUESTION.octets };
    match found {
        Found::Bound(binding) => bound::answer(asking, buf, binding, head, turns),
        Found::Dname(dname) => renamed(asking, scratch, turns, buf, head, dname),
        _ => Body::bare(asking.query, rcode::REFUSED).because(&trouble::NOT_SERVED),
    }
}

/// Whether aliases lead to a service.
#[inline]
fn ends_steered(plan: &Plan, alias: AliasId) -> bool {
    matches!(plan.zones.alias(alias).end, AliasEnd::Steered(_))
}

/// Whether the client has told its network.
#[inline]
pub(super) fn has_subnet(query: &Query) -> bool {
    query.edns.as_ref().is_some_and(|edns| edns.subnet.is_some())
}

/// What was made at load, copied behind the question.
#[inline]
fn templated(
    snapshot: &Snapshot,
    name: &Lowered,
    query: &Query,
    buf: &mut [u8],
    limit: usize,
    id: TemplateId,
) -> Body {
    let plan = &*snapshot.plan;
    let template = plan.zones.template(id);
    let (mut len, mut header) = (usize::from(template.end), template.header());
    let at = query.question_end;
    if at + len > limit {
        (len, header) = cut(template, limit.saturating_sub(at));
    }
    let delta = (name.octet_count() as u16).wrapping_sub(u16::from(template.name_len));
    let end = copy(plan, buf, at, template, len, delta);
    if template.serial_at != 0 {
        put_serial(snapshot, &mut buf[at..end], template);
    }
    Body::unsteered(end, header)
}

/// Puts the serial of the zone's edition in place of the file's.
#[cold]
pub(super) fn put_serial(snapshot: &Snapshot, body: &mut [u8], template: &Template) {
    // Where the SOA did not fit, there is nothing to be put.
    if let Some(octets) = body.get_mut(usize::from(template.serial_at)..).and_then(<[u8]>::first_chunk_mut) {
        *octets = snapshot.serial(template.serial_zone).to_be_bytes();
    }
}

/// How many octets of a template stand in `room` octets that are too few for all of it, and the header for those.
#[cold]
pub(super) fn cut(template: &Template, room: usize) -> (usize, Header) {
    let (header, authority_end) = (template.header(), usize::from(template.authority_end));
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

/// Lays out the aliases whose end is found at answering; `Err` where a template is the whole answer.
#[inline]
fn before_addresses(
    plan: &Plan,
    name: &Lowered,
    query: &Query,
    buf: &mut [u8],
    limit: usize,
    alias: AliasId,
) -> Result<(AliasEnd, Head), TemplateId> {
    let &Alias { chain: id, owner, end, .. } = plan.zones.alias(alias);
    let chain = plan.zones.template(id);
    let delta = (name.octet_count() - usize::from(chain.name_len)) as u16;
    let at = query.question_end;
    if at + usize::from(chain.end) > limit {
        return Err(id);
    }
    let at = copy(plan, buf, at, chain, usize::from(chain.end), delta);
    Ok((end, Head { at, answers: chain.header().answers(), owner: owner.shifted(delta) }))
}

/// What cannot be read; `None`: nothing is sent.
#[cold]
fn rejected(query: &mut Query, reject: Reject) -> Option<Body> {
    let Reject::With { rcode, question_end, error } = reject else { return None };
    (query.qtype, query.question_end) = (0, question_end);
    if let Some(edns) = &mut query.edns {
        edns.subnet = None; // RFC 7871 §7.2.2: of what was not understood, nothing comes back
    }
    Some(Body { error, ..Body::bare(query, rcode) })
}

/// Whether `_why.<service>` TXT is what is asked for: no record of the zone owns the name, and the client may know.
#[cold]
fn asks_why(plan: &Plan, name: &Lowered, found: Found, peer: IpAddr) -> bool {
    let free = matches!(found, Found::Template(_) | Found::Steered(_)) && !plan.zones.owns(name);
    let allowed = plan.settings.why.iter().any(|network| network.contains(peer.to_canonical()));
    free && allowed && why_route(plan, name).is_some()
}

/// Whose service a `_why` asks about: its A, or its AAAA where it has no A.
pub fn why_route(plan: &Plan, name: &Lowered) -> Option<RouteId> {
    let of = |qtype| plan.zones.steered_below_first_label(name, qtype);
    of(rtype::A).or_else(|| of(rtype::AAAA))
}

/// For the cold lane.
#[cold]
pub(super) fn later(buf: &[u8], len: usize) -> Reply {
    Reply::Later(Ask { query: buf[..len].into() })
}
