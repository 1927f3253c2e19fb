//! Probes: one fresh connection each, one [`Outcome`] each, by their deadline.
//!
//! ```text
//! schedule   does what Rounds says: starts, withdraws, tells the publisher
//!   once     one probe
//!     tcp    connects
//!     tls    encrypts    certificate  when what was shown ends
//!     http   one exchange: asked in a conversation, HTTP/1.1 or HTTP/2; body, and the load that it tells
//!     rtmp   handshake, and `connect` -> `_result` over chunks
//!     hls    fetches a playlist, follows a reference to the first variant, and sees whether it advances
//!     flv    plays until tags of media have come
//!     whip   asks an endpoint, or begins a session: an offer in sdp, and one check of ice
//!     grpc   asks a health service
//!   prepared what a check needs, made once   memory  what one probe leaves to the next
//!   ended    how a probe that did not succeed is told: the target's failure, or ours
//! ```

mod body;
mod certificate;
mod chunks;
mod conversation;
mod ended;
mod flv;
mod grpc;
mod hls;
mod http;
mod ice;
mod load;
mod memory;
mod playlist;
pub mod prepared;
mod reference;
mod rtmp;
pub mod schedule;
mod sdp;
mod tags;
mod tcp;
mod tls;
mod whip;

use std::time::Duration;

use ended::{Ended, Limit};
pub use memory::Memory;
use prepared::Prepared;

use crate::health::check::Kind;
use crate::health::note::Note;
use crate::health::target::Aim;
use crate::health::verdict::Outcome;

/// One probe: whom, with what, by when.
struct Probe<'p> {
    aim: &'p Aim,
    prepared: &'p Prepared,
    /// What earlier probes of the same target left.
    memory: &'p Memory,
    limit: Limit,
}

/// Probes once, and is done within `allowed`: what came of it, and what was learned on the way.
///
/// Dropped before its end, it leaves nothing behind but what `memory` holds, and for some seconds the end of a session that
/// it had begun (whip).
pub async fn once(
    aim: &Aim,
    prepared: &Prepared,
    memory: &Memory,
    allowed: Duration,
) -> (Outcome, Vec<Note>) {
    let probe = Probe { aim, prepared, memory, limit: Limit::from_now(allowed) };
    let mut notes = Vec::new();
    let outcome = match by_kind(&probe, &mut notes).await {
        Ok(()) => Outcome::Succeeded(probe.limit.passed()),
        Err(Ended::Failed(cause)) => Outcome::Failed(cause),
        Err(Ended::Local(what)) => Outcome::Local(what),
    };
    (outcome, notes)
}

async fn by_kind(probe: &Probe<'_>, notes: &mut Vec<Note>) -> Result<(), Ended> {
    let Probe { aim, limit, .. } = probe;
    match &aim.check.kind {
        Kind::Tcp => tcp::connect_and_reset(aim.probe, limit).await.map(drop),
        Kind::Http(http) | Kind::Https(http, _) => http::exchange(probe, http, notes).await,
        Kind::Rtmp(rtmp) => {
            let stream = tcp::connect(aim.probe, limit).await?;
            rtmp::connect(stream, rtmp, aim.probe, limit).await
        }
        Kind::Tls(how, protocols) => tls::shake(probe, how, protocols, notes).await,
        Kind::Hls(hls) => hls::look(probe, hls, notes).await,
        Kind::Flv(flv) => flv::play(probe, flv, notes).await,
        Kind::Whip(whip) => whip::ask(probe, whip, notes).await,
        Kind::Grpc(grpc) => grpc::check(probe, grpc, notes).await,
        // It is no target: those are that it is made of.
        Kind::Several(_) => Err(Ended::Local("this check probes nothing itself".into())),
    }
}
