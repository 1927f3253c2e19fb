//! What the probes of a check need and what is made once, not by each.

use super::ended::Ended;
use super::{conversation, tls};
use crate::health::check::{Check, HttpVersion, Kind};

/// What the probes of a check need and what is made once, not by each.
#[derive(Debug, Default)]
pub struct Prepared {
    tls: Option<tls::Config>,
}

impl Prepared {
    /// Prepares for a check. What cannot be made is told by each probe, as a fault of ours.
    pub fn new(check: &Check) -> Prepared {
        let protocols = match &check.kind {
            Kind::Tls(_, protocols) => protocols.iter().map(|word| word.clone().into_bytes()).collect(),
            Kind::Https(http, _) => conversation::protocols(http.version),
            Kind::Grpc(_) => conversation::protocols(HttpVersion::Two),
            _ => conversation::protocols(HttpVersion::One),
        };
        Prepared { tls: check.kind.tls().map(|tls| tls::config(tls, protocols)) }
    }

    /// The TLS of the check.
    pub(super) fn tls(&self) -> Result<&tls::Usable, Ended> {
        match &self.tls {
            Some(Ok(config)) => Ok(config),
            Some(Err(what)) => Err(Ended::Local(what.clone())),
            None => Err(Ended::Local("the check's TLS is not set up".into())),
        }
    }
}
