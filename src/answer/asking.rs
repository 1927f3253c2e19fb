//! A question with all that answering it takes.

use std::net::IpAddr;

use super::worker::{Now, Transport};
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::wire::cookie::{COOKIE_OCTETS, Sender};
use crate::wire::edns::{self, Wants};
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
    pub(super) beside: Beside<'q>,
}

/// What most queries do not bear beside their question, and what it means for the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside<'q> {
    /// Options that ask to be told something.
    pub(super) wants: Wants,
    /// What its cookie tells of the client, and the cookie for the answer.
    pub(super) cookie: Option<(Sender, [u8; COOKIE_OCTETS])>,
    /// Who signed it.
    pub(super) signer: Option<&'q Signer>,
    /// Octets that a signature takes behind the answer.
    pub(super) signature: usize,
}

impl<'q> Beside<'q> {
    /// Of a query as far as it was read; its signature is `signer`'s.
    pub(super) fn of(
        plan: &Plan,
        query: &Query,
        now: Now,
        peer: IpAddr,
        signer: Option<&'q Signer>,
    ) -> Beside<'q> {
        let signature = signer.map_or(0, Signer::record_len);
        let Some(edns) = &query.edns else { return Beside { signer, signature, ..Beside::default() } };
        let check = |cookie| plan.settings.cookies.check(cookie, peer, now.unix_s);
        Beside { wants: edns.wants, cookie: edns.cookie().and_then(check), signer, signature }
    }

    /// What its cookie tells of the client.
    #[inline]
    pub(super) fn sender(&self) -> Option<Sender> {
        self.cookie.map(|(sender, _)| sender)
    }

    /// Whether it is counted what its network gets: nobody forges a stream, a signature, or a cookie that we gave.
    #[inline]
    pub(super) fn is_counted(&self, transport: Transport) -> bool {
        transport == Transport::Udp && self.signer.is_none() && self.sender() != Some(Sender::Known)
    }
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
    /// Of a buffer of `buf` octets.
    #[inline(always)]
    pub(super) fn of(
        plan: &Plan,
        query: &Query,
        buf: usize,
        transport: Transport,
        beside: &Beside<'_>,
    ) -> Room {
        let (taken, opt) = match &query.edns {
            None => (PLAIN_MAX, 0),
            Some(edns) => {
                let told = if beside.wants.is_none() { 0 } else { told_len(plan, beside.wants) };
                let opt = edns::answer_len(edns.subnet.as_ref()) + told;
                (usize::from(edns.payload.min(plan.settings.payload_max)), opt)
            }
        };
        let taken = if transport == Transport::Tcp { STREAM_MAX } else { taken };
        let all = taken.min(buf).saturating_sub(beside.signature);
        Room { records: all.saturating_sub(opt), all }
    }
}

/// How many octets the options that are asked for take at most.
#[cold]
fn told_len(plan: &Plan, wants: Wants) -> usize {
    let told = edns::Told {
        nsid: if wants.nsid() { &plan.settings.nsid } else { &[] },
        cookie: wants.cookie().then_some([0; _]),
        keepalive: wants.keepalive().then_some(0),
        zone_version: wants.zone_version().then_some((0, 0)),
        error: None,
    };
    told.len()
}
