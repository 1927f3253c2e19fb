//! Probes: one fresh connection each, one [`Outcome`] each, by their deadline.
//!
//! ```text
//! schedule   does what Rounds says: starts, withdraws, tells the publisher
//!   once     one probe
//!     tcp    connects
//!     tls    encrypts                     certificate  when what was shown ends
//!     http   one exchange: asked in a conversation, HTTP/1.1 or HTTP/2; body, and the load that it tells
//!     rtmp   handshake, and `connect` -> `_result` over chunks; play: media of a stream
//!     hls    fetches a playlist, follows a reference to the first variant, and sees whether it advances
//!     flv    plays until tags of media have come
//!     whip   asks an endpoint, or begins a session: an offer in sdp, and one check of ice
//!     grpc   asks a health service
//!     srt    induction, and a conclusion for a stream
//!     stun   a binding request            dns    a query           udp  datagrams of these three
//!     icmp   echoes                       agent  a line of HAProxy's agent-check
//!     exec   a command as Nagios has them; perfdata: the load that it tells
//!   prepared what a check needs, made once   memory  what one probe leaves to the next
//!   ended    how a probe that did not succeed is told: the target's failure, or ours
//! ```

mod agent;
mod body;
mod certificate;
mod chunks;
mod conversation;
mod dns;
mod ended;
mod exec;
mod flv;
mod grpc;
mod hls;
mod http;
mod ice;
mod icmp;
mod load;
mod memory;
mod perfdata;
mod play;
mod playlist;
pub mod prepared;
mod reference;
mod rtmp;
pub mod schedule;
mod sdp;
mod srt;
mod stun;
mod tags;
mod tcp;
mod tls;
mod udp;
mod whip;

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
/// Dropped before its end, it leaves nothing behind but what `memory` holds, and for some seconds the end of a session that
/// it had begun (whip, srt).
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
            over_rtmp(stream, rtmp, rtmp::PLAIN, probe).await
        }
        Kind::Rtmps(rtmp, how) => {
            let config = probe.prepared.tls()?;
            let name = tls::server_name(how, rtmp.host.as_deref(), aim.probe.ip())?;
            let stream = tcp::connect(aim.probe, limit).await?;
            let stream = tls::handshake(stream, config, name, limit, notes).await?;
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
        Kind::Tls(how, protocols) => tls::shake(probe, how, protocols, notes).await,
        Kind::Hls(hls) => hls::look(probe, hls, notes).await,
        Kind::Flv(flv) => flv::play(probe, flv, notes).await,
        Kind::Whip(whip) => whip::ask(probe, whip, notes).await,
        Kind::Grpc(grpc) => grpc::check(probe, grpc, notes).await,
        // It is no target: those are that it is made of.
        Kind::Several(_) => Err(Ended::Local("this check probes nothing itself".into())),
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
