//! Queries with a transaction signature (RFC 8945).

use std::net::IpAddr;

use super::asking::{Asking, Beside, Room};
use super::body::Body;
use super::ending::end;
use super::respond::unusual;
use super::worker::{Now, Reply, Transport, Worker};
use crate::snapshot::Snapshot;
use crate::wire::edns::OPT_EMPTY;
use crate::wire::query::{Reject, rcode};
use crate::wire::tsig::{self, Refusal, Refused};

/// Answers a query with TSIG: with one, too. It stands behind the OPT, and room for it is kept.
#[cold]
#[expect(clippy::too_many_arguments, reason = "one query's whole world, taken apart once")]
pub(super) fn respond(
    snapshot: &Snapshot,
    worker: &mut Worker,
    now: Now,
    buf: &mut [u8],
    len: usize,
    peer: IpAddr,
    transport: Transport,
    read: Result<(), Reject>,
) -> Reply {
    let at = usize::from(worker.query.tsig_at);
    // What cannot be read to its end cannot have been signed as it stands; what is answered with another error, can.
    if let Err(Reject::Silently | Reject::With { rcode: rcode::FORMERR, error: None, .. }) = read {
        return unusual(snapshot, worker, now, buf, len, peer, transport, read, None);
    }
    let mut signer = match tsig::verify(&snapshot.plan.settings.keys, &buf[..len], at, now.unix_s) {
        Ok(signer) => signer,
        Err(Refusal::Malformed) => {
            let reject =
                Reject::With { rcode: rcode::FORMERR, question_end: worker.query.question_end, error: None };
            return unusual(snapshot, worker, now, buf, len, peer, transport, Err(reject), None);
        }
        Err(Refusal::NotAuth(refused)) => {
            return refuse(snapshot, worker, now, buf, peer, transport, &refused);
        }
    };
    match unusual(snapshot, worker, now, buf, len, peer, transport, read, Some(&signer)) {
        Reply::Done(len, fact) => Reply::Done(signer.sign(buf, len, now.unix_s), fact),
        Reply::Stream(mut transfer) => {
            transfer.sign_with(signer);
            Reply::Stream(transfer)
        }
        reply => reply,
    }
}

/// NOTAUTH, with what is wrong with the signature.
fn refuse(
    snapshot: &Snapshot,
    worker: &mut Worker,
    now: Now,
    buf: &mut [u8],
    peer: IpAddr,
    transport: Transport,
    refused: &Refused,
) -> Reply {
    let Worker { query, name, limiter, .. } = worker;
    if let Some(edns) = &mut query.edns {
        edns.subnet = None;
    }
    let query = &*query;
    let of = Beside::of(&snapshot.plan, query, now, peer, None);
    // A stranger's names may be long: where the client takes no more, the RCODE tells the error alone.
    let most = Room::of(&snapshot.plan, query, buf.len(), transport, &of).all;
    let least = query.question_end + query.edns.as_ref().map_or(0, |_| OPT_EMPTY);
    let fits = least + refused.record_len() <= most;
    let beside = if fits { Beside { signature: refused.record_len(), ..of } } else { of };
    let room = Room::of(&snapshot.plan, query, buf.len(), transport, &beside);
    let asking = Asking { snapshot, query, name, now, peer, transport, room, beside };
    let body = Body::bare(query, rcode::NOTAUTH);
    match end(&asking, limiter, buf, body) {
        Reply::Done(len, fact) if fits => Reply::Done(refused.sign(buf, len), fact),
        reply => reply,
    }
}
