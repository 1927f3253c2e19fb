//! How a probe that did not succeed is told: the target's failure, or ours.
#![allow(clippy::disallowed_methods, reason = "a shell knows the time")]

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::health::verdict::Cause;

/// What others say is told in so many characters at most.
const WORDS_MAX: usize = 160;

/// A probe that did not succeed.
#[derive(Debug)]
pub(super) enum Ended {
    /// The target failed.
    Failed(Cause),
    /// The fault was ours: nothing was seen of the target.
    Local(Arc<str>),
}

impl Ended {
    /// The target failed at `layer`; `what` may hold its own words.
    pub(super) fn at(layer: &'static str, what: impl AsRef<str>) -> Ended {
        Ended::Failed(Cause { layer, what: one_line(what.as_ref()) })
    }

    /// An established connection failed.
    pub(super) fn io(layer: &'static str, error: &io::Error) -> Ended {
        match error.raw_os_error() {
            Some(libc::ENOBUFS | libc::ENOMEM) => Ended::Local(one_line(&error.to_string())),
            _ => Ended::at(layer, told(error)),
        }
    }
}

/// What an I/O error of a connection means, in an operator's words.
pub(super) fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset".into(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => "closed".into(),
        io::ErrorKind::HostUnreachable => "host unreachable".into(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".into(),
        io::ErrorKind::TimedOut => "timed out".into(),
        io::ErrorKind::PermissionDenied => "forbidden by a firewall on the way".into(),
        _ => error.to_string(),
    }
}

/// Foreign words as one short line: no control characters reach logs, terminals or answers.
pub(super) fn one_line(words: &str) -> Arc<str> {
    let plain: String = words.chars().take(WORDS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().into()
}

/// How long a probe may take.
#[derive(Debug)]
pub(super) struct Limit {
    started: Instant,
    allowed: Duration,
}

impl Limit {
    /// From now on, so long.
    pub(super) fn from_now(allowed: Duration) -> Limit {
        Limit { started: Instant::now(), allowed }
    }

    /// How long the probe has taken.
    pub(super) fn passed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for something; `None`: the deadline came first.
    pub(super) async fn wait<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at((self.started + self.allowed).into(), something).await.ok()
    }

    /// How long it may take in all, as sentences tell it.
    pub(super) fn told(&self) -> String {
        format!("within {} ms", self.allowed.as_millis())
    }

    /// How long it may take yet.
    pub(super) fn left(&self) -> Duration {
        self.allowed.saturating_sub(self.passed())
    }

    /// Does one step of the probe; what has not ended by the deadline has failed at `layer`.
    pub(super) async fn step<T>(
        &self,
        layer: &'static str,
        step: impl Future<Output = Result<T, Ended>>,
    ) -> Result<T, Ended> {
        match self.wait(step).await {
            Some(ended) => ended,
            None => Err(Ended::at(layer, format!("no answer {}", self.told()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_one_short_line() {
        assert_eq!(&*one_line("\x1b[2J evil\r\nlog line\0"), "[2J evil  log line");
        assert_eq!(one_line(&"x".repeat(100_000)).len(), WORDS_MAX);
    }
}
