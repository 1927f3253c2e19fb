//! What the probes of a check need and what is made once, not by each.

use tokio::sync::Semaphore;

use super::ended::Ended;
use super::icmp::Echoes;
use super::{conversation, exec, tls};
use crate::health::check::{Check, HttpVersion, Kind};

/// What the probes of a check need and what is made once, not by each.
#[derive(Debug, Default)]
pub struct Prepared {
    tls: Option<tls::Config>,
    echoes: Echoes,
    commands: Commands,
}

/// Turns of a check's commands.
#[derive(Debug)]
struct Commands(Semaphore);

impl Default for Commands {
    fn default() -> Commands {
        Commands(Semaphore::new(exec::AT_ONCE))
    }
}

impl Prepared {
    /// Prepares for a check. What cannot be made is told by each probe, as a fault of ours.
    pub fn new(check: &Check) -> Prepared {
        let protocols = match &check.kind {
            Kind::Tls(_, protocols) => protocols.iter().map(|word| word.clone().into_bytes()).collect(),
            Kind::Https(http, _) => conversation::protocols(http.version),
            Kind::Grpc(_) => conversation::protocols(HttpVersion::Two),
            Kind::Rtmps(..) => Vec::new(),
            _ => conversation::protocols(HttpVersion::One),
        };
        let tls = check.kind.tls().map(|tls| tls::config(tls, protocols));
        Prepared { tls, ..Prepared::default() }
    }

    /// The TLS of the check.
    pub(super) fn tls(&self) -> Result<&tls::Usable, Ended> {
        match &self.tls {
            Some(Ok(config)) => Ok(config),
            Some(Err(what)) => Err(Ended::Local(what.clone())),
            None => Err(Ended::Local("the check's TLS is not set up".into())),
        }
    }

    /// The sockets for echoes.
    pub(super) fn echoes(&self) -> &Echoes {
        &self.echoes
    }

    /// How many of the check's commands may run at once.
    pub(super) fn commands(&self) -> &Semaphore {
        &self.commands.0
    }
}
