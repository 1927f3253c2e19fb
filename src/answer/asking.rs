//! A question with all that answering it takes.

use std::net::IpAddr;

use super::worker::{Now, Transport};
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::wire::cookie::{COOKIE_OCTETS, Sender};
use crate::wire::edns;
use crate::wire::lowered::Lowered;
use crate::wire::query::Query;
use crate::wire::tsig::Signer;

/// What a client takes that does not speak EDNS (RFC 1035 §4.2.1).
pub const PLAIN_MAX: usize = 512;
/// What a stream takes.
pub const STREAM_MAX: usize = 65_535;

/// A question with all that answering it takes, for those answers that few ask for.
#[derive(Clone, Copy)]
pub(super) struct Asking<'q> {
    pub(super) snapshot: &'q Snapshot,
    pub(super) query: &'q Query,
    pub(super) name: &'q Lowered,
    pub(super) now: Now,
    pub(super) peer: IpAddr,
    pub(super) transport: Transport,
    pub(super) room: Room,
    /// Octets that a signature takes behind the answer.
    pub(super) signature: usize,
    /// Who signed it.
    pub(super) signer: Option<&'q Signer>,
    /// What its cookie tells of the client; `None`: it has none.
    pub(super) sender: Option<Sender>,
    /// The cookie for the answer, if it has one.
    pub(super) cookie: &'q [u8; COOKIE_OCTETS],
}

/// How long the answer may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Where its records end at the latest: room for the OPT, and for a signature, is left.
    pub(super) records: usize,
    /// Where its OPT ends at the latest.
    pub(super) all: usize,
}

impl Room {
    /// Of a buffer of `buf` octets, of which `signature` are needed at the end.
    #[inline]
    pub(super) fn of(plan: &Plan, query: &Query, buf: usize, transport: Transport, signature: usize) -> Room {
        let (taken, opt) = match &query.edns {
            None => (PLAIN_MAX, 0),
            Some(edns) => {
                let told = if edns.wants.is_none() { 0 } else { told_len(plan, edns) };
                let opt = edns::answer_len(edns.subnet.as_ref()) + told;
                (usize::from(edns.payload.min(plan.settings.payload_max)), opt)
            }
        };
        let taken = if transport == Transport::Tcp { STREAM_MAX } else { taken };
        let all = taken.min(buf).saturating_sub(signature);
        Room { records: all.saturating_sub(opt), all }
    }
}

/// How many octets the options that are asked for take at most.
#[cold]
fn told_len(plan: &Plan, edns: &edns::Edns) -> usize {
    let told = edns::Told {
        nsid: if edns.wants.nsid() { &plan.settings.nsid } else { &[] },
        cookie: edns.wants.cookie().then_some([0; _]),
        keepalive: edns.wants.keepalive().then_some(0),
        zone_version: edns.wants.zone_version().then_some((0, 0)),
        error: None,
    };
    told.len()
}
