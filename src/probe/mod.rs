//! Probes: one fresh connection each, one [`Outcome`] each, by their deadline.
//!
//! ```text
//! schedule   does what Rounds says: starts, withdraws, tells the publisher
//!   once     one probe
//!     tcp    connects
//!     tls    encrypts
//!     http   one HTTP/1.1 exchange
//!     rtmp   handshake, and `connect` -> `_result` over chunks
//!   ended    how a probe that did not succeed is told: the target's failure, or ours
//! ```

mod chunks;
mod ended;
mod http;
mod rtmp;
pub mod schedule;
mod tcp;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use ended::{Ended, Limit};

use crate::health::check::Kind;
use crate::health::target::Aim;
use crate::health::verdict::Outcome;

/// Probes once, and is done within `allowed`. `tls` is what [`tls::config`] made of an https check.
///
/// Dropped before its end, it leaves nothing behind.
pub async fn once(aim: &Aim, tls: Option<&tls::Config>, allowed: Duration) -> Outcome {
    let limit = Limit::from_now(allowed);
    match by_kind(aim, tls, &limit).await {
        Ok(()) => Outcome::Succeeded(limit.passed()),
        Err(Ended::Failed(cause)) => Outcome::Failed(cause),
        Err(Ended::Local(what)) => Outcome::Local(what),
    }
}

async fn by_kind(aim: &Aim, tls: Option<&tls::Config>, limit: &Limit) -> Result<(), Ended> {
    match &aim.check.kind {
        Kind::Tcp => tcp::connect_and_reset(aim.probe, limit).await.map(drop),
        Kind::Http(http) => {
            let stream = tcp::connect(aim.probe, limit).await?;
            http::exchange(stream, http, aim.probe, http::DEFAULT_PORT, limit).await
        }
        Kind::Https(http, how) => {
            let no_config = || Ended::Local(Arc::from("the check's TLS is not set up"));
            let config = tls.ok_or_else(no_config)?.as_ref().map_err(|what| Ended::Local(what.clone()))?;
            let name = tls::server_name(how, http, aim.probe.ip())?;
            let stream = tcp::connect(aim.probe, limit).await?;
            let stream = tls::handshake(stream, config, name, limit).await?;
            http::exchange(stream, http, aim.probe, http::DEFAULT_TLS_PORT, limit).await
        }
        Kind::Rtmp(rtmp) => {
            let stream = tcp::connect(aim.probe, limit).await?;
            rtmp::connect(stream, rtmp, aim.probe, limit).await
        }
    }
}
