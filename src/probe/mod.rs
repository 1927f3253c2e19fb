//! Probes: one fresh connection each, one [`Outcome`] each, by their deadline.
//!
//! ```text
//! schedule   does what Rounds says: starts, withdraws, tells the publisher
//!   once     one probe
//!     tcp    connects
//!     tls    encrypts
//!     http   one HTTP/1.1 exchange
//!     rtmp   handshake, and `connect` -> `_result` over chunks; play: media of a stream
//!     srt    induction, and a conclusion for a stream
//!     stun   a binding request            dns    a query           udp  datagrams of these three
//!     icmp   echoes                       agent  a line of HAProxy's agent-check
//!     exec   a command as Nagios has them; perfdata: the load that it tells
//!   prepared what a check needs, made once   memory  what one probe leaves to the next
//!   ended    how a probe that did not succeed is told: the target's failure, or ours
//! ```

mod agent;
mod chunks;
mod dns;
mod ended;
mod exec;
mod http;
mod icmp;
mod memory;
mod perfdata;
mod play;
pub mod prepared;
mod rtmp;
pub mod schedule;
mod srt;
mod stun;
mod tcp;
mod tls;
mod udp;

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

async fn by_kind(probe: &Probe<'_>, notes: &mut Vec<Note>) -> Result<(), Ended> {
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
        Kind::Srt(srt) => srt::shake(aim.probe, srt, limit).await,
        Kind::Stun => stun::bind(aim.probe, limit).await,
        Kind::Dns(dns) => dns::ask(aim.probe, dns, limit).await,
        Kind::Icmp(icmp) => icmp::echo(aim.probe, icmp, probe.prepared.echoes(), probe.memory, limit).await,
        Kind::Exec(exec) => exec::run(aim, exec, probe.prepared.commands(), notes, limit).await,
        Kind::Agent => {
            let stream = tcp::connect(aim.probe, limit).await?;
            agent::hear(stream, notes, limit).await
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

/// Octets that nobody foresees: what tells our questions from a stranger's.
fn chance() -> Result<[u8; 8], Ended> {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets)
        .map_err(|error| Ended::Local(format!("no random octets: {error}").into()))?;
    Ok(octets)
}
