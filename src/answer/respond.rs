//! Packet -> Reply. The one function.

use std::net::IpAddr;
use std::time::Instant;

use super::worker::{Fact, Reply, Transport, Worker};
use crate::snapshot::Snapshot;

/// Answers the query in the first `len` octets of `buf`, in place.
pub fn respond(
    _snapshot: &Snapshot,
    _worker: &mut Worker,
    _now: Instant,
    buf: &mut [u8],
    len: usize,
    _peer: IpAddr,
    _transport: Transport,
) -> Reply {
    if len < 12 || buf[2] & 0x80 != 0 {
        return Reply::Drop;
    }
    buf[2] |= 0x80;
    buf[3] = 5;
    Reply::Done(len, Fact { rcode: 5, qtype: 0, truncated: false, ecs: false, steered: None })
}
