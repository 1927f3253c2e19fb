//! The end of an answer: whether it is sent, its OPT, its header.

use std::ops::Range;

use super::asking::{Asking, Beside, Room};
use super::body::Body;
use super::limit::{Kind, Limiter, Verdict};
use super::worker::{Fact, Reply, Transport};
use crate::snapshot::Snapshot;
use crate::wire::edns::{self, ExtendedError, Told};
use crate::wire::lowered::Lowered;
use crate::wire::query::{HEADER, Query, rcode};
use crate::zone::record::CLASS_IN;

/// Ends an answer that few ask for.
#[cold]
#[inline(never)]
pub(super) fn end(asking: &Asking<'_>, limiter: &mut Limiter, buf: &mut [u8], body: Body) -> Reply {
    let Asking { snapshot, query, name, now, peer, transport, beside, .. } = *asking;
    if beside.is_counted(transport) {
        let kind = Kind::of(&body.header);
        match limiter.count(&snapshot.plan.settings.rates, peer, kind, now.unix_s) {
            Verdict::Send => {}
            Verdict::Slip if kind == Kind::Error => {} // it is empty already
            Verdict::Slip => return slip(asking, buf),
            Verdict::Drop => return Reply::Limited,
        }
    }
    finish(snapshot, query, name, buf, body, transport, &beside)
}

/// What a client gets in place of an answer that would be one too many: whoever really asks comes back by TCP, or with the cookie.
#[cold]
#[inline(never)]
pub(super) fn slip(asking: &Asking<'_>, buf: &mut [u8]) -> Reply {
    let Asking { snapshot, query, name, transport, beside, .. } = *asking;
    let body = match beside.cookie {
        Some(_) => Body::bare(query, rcode::BADCOOKIE),
        None => {
            let bare = Body::bare(query, rcode::NOERROR);
            Body { header: bare.header.truncated(), ..bare }
        }
    };
    match finish(snapshot, query, name, buf, body, transport, &beside) {
        Reply::Done(len, fact) => Reply::Done(len, Fact { slipped: true, ..fact }),
        reply => reply,
    }
}

/// Ends the message: the OPT, and the header.
#[inline(always)]
pub(super) fn finish(
    snapshot: &Snapshot,
    query: &Query,
    name: &Lowered,
    buf: &mut [u8],
    body: Body,
    transport: Transport,
    beside: &Beside<'_>,
) -> Reply {
    let Body { mut end, mut header, scope, steered, error, .. } = body;
    let mut ecs = false;
    if let Some(edns) = &query.edns {
        ecs = edns.subnet.is_some();
        let subnet = edns.subnet.as_ref().map(|subnet| (subnet, scope));
        let (start, payload) = (end, snapshot.plan.settings.payload_max);
        end += edns::write(&mut buf[start..], payload, body.rcode(), edns.dnssec_ok, subnet);
        if !beside.wants.is_none() || error.is_some() {
            end = tell(snapshot, query, name, buf, start..end, (body.rcode(), error), transport, beside);
        }
        header.add_additional();
    }
    header.write(buf);
    let (rcode, truncated, sender) = (body.rcode(), header.is_truncated(), beside.sender());
    Reply::Done(end, Fact { rcode, qtype: query.qtype, truncated, slipped: false, ecs, sender, steered })
}

/// Adds what few ask for to the OPT record that stands at `opt`; gives its new end.
#[cold]
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
fn tell(
    snapshot: &Snapshot,
    query: &Query,
    name: &Lowered,
    buf: &mut [u8],
    opt: Range<usize>,
    (rcode, error): (u16, Option<&'static ExtendedError>),
    transport: Transport,
    beside: &Beside<'_>,
) -> usize {
    let settings = &snapshot.plan.settings;
    let wants = beside.wants;
    let told = Told {
        nsid: if wants.nsid() { &settings.nsid } else { &[] },
        cookie: beside.cookie.map(|(_, cookie)| cookie),
        // RFC 7828 §3.2.1: over UDP it means nothing.
        keepalive: (wants.keepalive() && transport == Transport::Tcp).then_some(settings.keepalive_100ms),
        zone_version: wants.zone_version().then(|| zone_version(snapshot, query, name, rcode)).flatten(),
        error,
    };
    let most = Room::of(&snapshot.plan, query, buf.len(), transport, beside).all;
    opt.start + told.append(&mut buf[opt.start..most.max(opt.end)], opt.len())
}

/// RFC 9660 §3.2: of the zone that holds the name, also in a referral, in a negative answer, in a SERVFAIL.
fn zone_version(snapshot: &Snapshot, query: &Query, name: &Lowered, rcode: u16) -> Option<(u8, u32)> {
    let of_zone = [rcode::NOERROR, rcode::NXDOMAIN, rcode::YXDOMAIN, rcode::SERVFAIL].contains(&rcode);
    if query.qclass != CLASS_IN || query.question_end == HEADER || !of_zone {
        return None;
    }
    let zone = snapshot.plan.zone_of(name, query.qtype)?;
    let labels = snapshot.plan.served[zone as usize].origin.label_count();
    Some((labels as u8, snapshot.serial(zone)))
}
