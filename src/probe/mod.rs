//! Probes: one fresh connection each, one [`Outcome`] each, by their deadline.
//!
//! ```text
//! schedule   does what Rounds says: starts, withdraws, tells the publisher
//!   once     one probe
//!     tcp    connects
//!     tls    encrypts
//!     http   one HTTP/1.1 exchange
//!     rtmp   handshake, and `connect` -> `_result` over chunks; play: media of a stream
//!   prepared what a check needs, made once   memory  what one probe leaves to the next
//!   ended    how a probe that did not succeed is told: the target's failure, or ours
//! ```

mod chunks;
mod ended;
mod http;
mod memory;
mod play;
pub mod prepared;
mod rtmp;
pub mod schedule;
mod tcp;
mod tls;

use std::time::Duration;

use ended::{Ended, Limit};
pub use memory::Memory;
use prepared::Prepared;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::health::check::{Kind, Rtmp};
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
/// Dropped before its end, it leaves nothing behind but what `memory` holds.
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

async fn by_kind(probe: &Probe<'_>, _notes: &mut Vec<Note>) -> Result<(), Ended> {
    let Probe { aim, limit, .. } = probe;
    match &aim.check.kind {
        Kind::Tcp => tcp::connect_and_reset(aim.probe, limit).await.map(drop),
        Kind::Http(http) => {
            let stream = tcp::connect(aim.probe, limit).await?;
            http::exchange(stream, http, aim.probe, http::DEFAULT_PORT, limit).await
        }
        Kind::Https(http, how) => {
            let config = probe.prepared.tls()?;
            let name = tls::server_name(how, http.host.as_deref(), aim.probe.ip())?;
            let stream = tcp::connect(aim.probe, limit).await?;
            let stream = tls::handshake(stream, config, name, limit).await?;
            http::exchange(stream, http, aim.probe, http::DEFAULT_TLS_PORT, limit).await
        }
        Kind::Rtmp(rtmp) => {
            let stream = tcp::connect(aim.probe, limit).await?;
            over_rtmp(stream, rtmp, rtmp::PLAIN, probe).await
        }
        Kind::Rtmps(rtmp, how) => {
            let config = probe.prepared.tls()?;
            let name = tls::server_name(how, rtmp.host.as_deref(), aim.probe.ip())?;
            let stream = tcp::connect(aim.probe, limit).await?;
            let stream = tls::handshake(stream, config, name, limit).await?;
            over_rtmp(stream, rtmp, rtmp::ENCRYPTED, probe).await
        }
    }
}

async fn over_rtmp(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    rtmp: &Rtmp,
    scheme: rtmp::Scheme,
    probe: &Probe<'_>,
) -> Result<(), Ended> {
    let session = rtmp::connect(stream, rtmp, scheme, probe.aim.probe, &probe.limit).await?;
    match &rtmp.play {
        Some(stream) => play::play(session, stream, &probe.limit).await,
        None => Ok(()),
    }
}
