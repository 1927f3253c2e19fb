//! WHIP (RFC 9725): its endpoint answers; or, more, a session is begun, its ICE tried, and the session ended.
//!
//! ```text
//! OPTIONS endpoint -> 2xx
//! POST endpoint (offer) -> 201, Location, answer -> a STUN check to the answer's candidate -> DELETE Location, always
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::LOCATION;
use hyper::{Method, StatusCode};

use super::body::{BODY_MAX, Reading};
use super::conversation::{Origin, Question};
use super::ended::{Ended, Limit};
use super::ice::{self, Chance};
use super::sdp::{self, Credentials};
use super::{Probe, reference};
use crate::health::check::HttpVersion;
use crate::health::note::Note;
use crate::health::resource::Whip;

/// How long the end of a session may take, after the probe.
const DELETE_WITHIN: Duration = Duration::from_secs(5);
/// Candidates that are told where none is the right one.
const CANDIDATES_TOLD: usize = 3;

/// Asks, or publishes nothing for a moment.
pub(super) async fn ask(probe: &Probe<'_>, whip: &Whip, notes: &mut Vec<Note>) -> Result<(), Ended> {
    let origin = Origin::of(probe, whip.at.host.as_deref(), HttpVersion::One)?;
    let bearer = whip.token.iter().map(|token| ("Authorization".to_owned(), format!("Bearer {token}")));
    let headers: Vec<_> = whip.at.headers.iter().cloned().chain(bearer).collect();
    if whip.post {
        return publish(probe, whip, &origin, headers, notes).await;
    }
    let mut conversation = origin.open(&probe.limit, notes).await?;
    let question = Question { method: Method::OPTIONS, headers: &headers, ..Question::get(&whip.at.path) };
    let status = conversation.ask(question, &probe.limit).await?.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(Ended::at("status", format!("status {}", status.as_u16()))),
    }
}

async fn publish(
    probe: &Probe<'_>,
    whip: &Whip,
    origin: &Origin,
    headers: Vec<(String, String)>,
    notes: &mut Vec<Note>,
) -> Result<(), Ended> {
    let limit = &probe.limit;
    let own = Credentials { ufrag: chance::<4>().map(hex)?, password: chance::<16>().map(hex)? };
    let offer = sdp::offer(&own, &chance()?);
    let mut conversation = origin.open(limit, notes).await?;
    let kind = ("Content-Type".to_owned(), "application/sdp".to_owned());
    let with_kind: Vec<_> = headers.iter().cloned().chain([kind]).collect();
    let question =
        Question { method: Method::POST, headers: &with_kind, body: offer.into(), path: &whip.at.path };
    let response = conversation.ask(question, limit).await?;
    if response.status() != StatusCode::CREATED {
        return Err(Ended::at("status", format!("status {}, not 201", response.status().as_u16())));
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location =
        location.ok_or_else(|| Ended::at("header", "no `location`: the session cannot be ended"))?;
    let path = reference::followed(location, &whip.at.path, origin.scheme(), &origin.authority)
        .map_err(|why| Ended::at("header", format!("`location` is `{location}`: {why}")))?;
    // From here on, whatever happens, the session is ended.
    let _session = Session { origin: origin.clone(), path, headers };
    let mut body = Reading::new(response.into_body(), BODY_MAX);
    let answer = sdp::answer(limit.step("body", body.whole()).await?);
    let answer = answer.map_err(|what| Ended::at("body", what))?;
    let to = candidate(&answer.candidates, [probe.aim.probe.ip(), probe.aim.key.address])?;
    let chance = Chance { transaction: chance()?, tie_breaker: chance()? };
    ice::bind(to, &own, &answer.credentials, &chance, limit).await
}

/// The candidate that is the probed address, or the one that is answered. To others nothing is sent: an answer must not
/// turn probes on a stranger, and viewers who are given this address do not come there.
fn candidate(candidates: &[SocketAddr], own: [IpAddr; 2]) -> Result<SocketAddr, Ended> {
    let of = |own: IpAddr| candidates.iter().find(|candidate| candidate.ip() == own);
    own.into_iter().find_map(of).copied().ok_or_else(|| {
        let others: Vec<_> = candidates.iter().take(CANDIDATES_TOLD).map(ToString::to_string).collect();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        Ended::at("ice", format!("no UDP candidate at {}; the answer has: {others}", own[0]))
    })
}

/// Octets that nobody foresees.
fn chance<const N: usize>() -> Result<[u8; N], Ended> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|error| Ended::Local(format!("no chance: {error}").into()))?;
    Ok(octets)
}

/// As text: all that ICE allows in credentials (RFC 8839 §5.4: letters, digits, `+` and `/`).
fn hex<const N: usize>(octets: [u8; N]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A session that was begun; it is ended when this is dropped, be the probe at its end or withdrawn.
struct Session {
    origin: Origin,
    path: String,
    headers: Vec<(String, String)>,
}

impl Drop for Session {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (origin, path, headers) =
            (self.origin.clone(), std::mem::take(&mut self.path), std::mem::take(&mut self.headers));
        // What the probe found stands; a server that does not take the farewell ends the session by itself (RFC 7675).
        runtime.spawn(async move {
            let limit = Limit::from_now(DELETE_WITHIN);
            let Ok(mut conversation) = origin.open(&limit, &mut Vec::new()).await else { return };
            let question =
                Question { method: Method::DELETE, path: &path, headers: &headers, body: Bytes::new() };
            let _ = conversation.ask(question, &limit).await;
        });
    }
}
