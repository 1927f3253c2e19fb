//! The end of an answer: whether it is sent, its OPT, its header.

use std::net::IpAddr;
use std::ops::Range;

use super::asking::{Asking, Room};
use super::body::Body;
use super::limit::{Kind, Limiter, Verdict};
use super::worker::{Fact, Now, Reply, Transport};
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::wire::cookie::{COOKIE_OCTETS, Sender};
use crate::wire::edns::{self, Edns, ExtendedError, Told};
use crate::wire::lowered::Lowered;
use crate::wire::query::{HEADER, Query, rcode};
use crate::wire::response::Header;
use crate::zone::record::CLASS_IN;

/// Checks the cookie that came, and makes that of the answer.
#[cold]
pub(super) fn check(
    plan: &Plan,
    edns: &Edns,
    peer: IpAddr,
    now: Now,
    cookie: &mut [u8; COOKIE_OCTETS],
) -> Option<Sender> {
    let sender;
    (sender, *cookie) = plan.settings.cookies.check(edns.cookie()?, peer, now.unix_s)?;
    Some(sender)
}

/// Ends an answer that few ask for.
#[cold]
#[inline(never)]
pub(super) fn end(asking: &Asking<'_>, limiter: &mut Limiter, buf: &mut [u8], body: Body) -> Reply {
    let Asking { snapshot, query, name, now, peer, transport, signature, signer, sender, cookie, .. } =
        *asking;
    if transport == Transport::Udp && signer.is_none() && sender != Some(Sender::Known) {
        let kind = Kind::of(&body.header);
        match limiter.count(&snapshot.plan.settings.rates, peer, kind, now.unix_s) {
            Verdict::Send => {}
            Verdict::Slip if kind == Kind::Error => {} // it is empty already
            Verdict::Slip => return slip(asking, buf),
            Verdict::Drop => return Reply::Limited,
        }
    }
    finish(snapshot, query, name, buf, body, signature, transport, sender, cookie)
}

/// What a client gets in place of an answer that would be one too many: whoever really asks comes back by TCP, or with the cookie.
#[cold]
#[inline(never)]
pub(super) fn slip(asking: &Asking<'_>, buf: &mut [u8]) -> Reply {
    let Asking { snapshot, query, name, transport, signature, sender, cookie, .. } = *asking;
    let body = match sender {
        Some(_) => Body::bare(query, rcode::BADCOOKIE),
        None => Body::unsteered(query.question_end, Header::new(rcode::NOERROR).truncated()),
    };
    match finish(snapshot, query, name, buf, body, signature, transport, sender, cookie) {
        Reply::Done(len, fact) => Reply::Done(len, Fact { slipped: true, ..fact }),
        reply => reply,
    }
}

/// Ends the message: the OPT, and the header.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
pub(super) fn finish(
    snapshot: &Snapshot,
    query: &Query,
    name: &Lowered,
    buf: &mut [u8],
    body: Body,
    signature: usize,
    transport: Transport,
    sender: Option<Sender>,
    cookie: &[u8; COOKIE_OCTETS],
) -> Reply {
    let plan = &*snapshot.plan;
    let Body { mut end, mut header, scope, steered, error, .. } = body;
    let mut ecs = false;
    if let Some(edns) = &query.edns {
        ecs = edns.subnet.is_some();
        let subnet = edns.subnet.as_ref().map(|subnet| (subnet, scope));
        let start = end;
        end +=
            edns::write(&mut buf[start..], plan.settings.payload_max, body.rcode(), edns.dnssec_ok, subnet);
        if !edns.wants.is_none() || error.is_some() {
            let cookie = sender.map(|_| cookie);
            end = tell(
                snapshot,
                query,
                name,
                buf,
                start..end,
                (body.rcode(), error),
                signature,
                transport,
                cookie,
            );
        }
        header.add_additional();
    }
    header.write(buf);
    let (rcode, truncated) = (body.rcode(), header.is_truncated());
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
    signature: usize,
    transport: Transport,
    cookie: Option<&[u8; COOKIE_OCTETS]>,
) -> usize {
    let settings = &snapshot.plan.settings;
    let wants = query.edns.as_ref().map(|edns| edns.wants).unwrap_or_default();
    let told = Told {
        nsid: if wants.nsid() { &settings.nsid } else { &[] },
        cookie: cookie.copied(),
        // RFC 7828 §3.2.1: over UDP it means nothing.
        keepalive: (wants.keepalive() && transport == Transport::Tcp).then_some(settings.keepalive_100ms),
        zone_version: wants.zone_version().then(|| zone_version(snapshot, query, name, rcode)).flatten(),
        error,
    };
    let most = Room::of(&snapshot.plan, query, buf.len(), transport, signature).all;
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
