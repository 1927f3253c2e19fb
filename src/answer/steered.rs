//! A service's addresses for one client.

use std::net::IpAddr;

use super::body::{Body, FIXED, Fixed, Head};
use super::trouble;
use super::worker::{Now, Steered};
use crate::cluster::Family;
use crate::plan::Route;
use crate::snapshot::Snapshot;
use crate::steering::choose::Reason;
use crate::steering::slots::SLOTS;
use crate::wire::edns::ExtendedError;
use crate::wire::query::{Query, rcode};
use crate::wire::response::Header;
use crate::zone::record::rtype;

/// A service's addresses for this client.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
pub(super) fn steer(
    snapshot: &Snapshot,
    query: &Query,
    buf: &mut [u8],
    limit: usize,
    route: &Route,
    peer: IpAddr,
    turns: &mut [u32; 3],
    now: Now,
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
        return Body { scope: placed.scope, ..all_down(query) };
    };
    let set = snapshot.addresses(route, &choice, placed.slot, client.whose, turn);
    let header = Header::new(rcode::NOERROR).authoritative();
    let mut fixed = Fixed {
        owner: head.owner,
        rtype: rtype::A,
        ttl_s: set.ttl_s(route.ttl_s, now.instant),
        rdata_len: 4,
    };
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
    let error = trouble_of(choice.reason);
    Body { end, header, extended: 0, scope: placed.scope, steered: Some(steered), error }
}

/// What its operator wants told when all is down.
#[cold]
pub(super) fn all_down(query: &Query) -> Body {
    Body::bare(query, rcode::SERVFAIL).because(&trouble::ALL_DOWN)
}

/// What is wrong where a cluster is answered for this reason.
#[inline]
pub(super) fn trouble_of(reason: Reason) -> Option<&'static ExtendedError> {
    match reason {
        Reason::First | Reason::Load | Reason::Next | Reason::Closed | Reason::Short | Reason::Unknown => {
            None
        }
        Reason::ServeAll => Some(&trouble::SERVED_ALL),
        Reason::Fallback => Some(&trouble::FALLBACK),
    }
}

/// Lays the records of addresses of `WIDTH` octets one behind the other, beginning with another one each turn. Gives where they
/// end and how many they are; `None` where they would end beyond `limit`.
#[inline]
fn put_addresses<const WIDTH: usize>(
    buf: &mut [u8],
    at: usize,
    limit: usize,
    fixed: [u8; FIXED],
    addresses: &[u8],
    turn: u32,
) -> Option<(usize, u16)> {
    let (addresses, _) = addresses.as_chunks::<WIDTH>();
    let end = at + addresses.len() * (FIXED + WIDTH);
    if end > limit {
        return None;
    }
    // One further each time around the slots, too: else a slot would always begin with the same one.
    let turn = turn.wrapping_add(turn / u32::from(SLOTS)) as usize;
    let mut next = turn.checked_rem(addresses.len()).unwrap_or(0);
    for record in buf[at..end].chunks_exact_mut(FIXED + WIDTH) {
        let (front, rdata) = record.split_at_mut(FIXED);
        front.copy_from_slice(&fixed);
        rdata.copy_from_slice(&addresses[next]);
        next = if next + 1 == addresses.len() { 0 } else { next + 1 };
    }
    Some((end, addresses.len() as u16))
}
