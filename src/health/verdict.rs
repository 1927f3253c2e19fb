//! What one probe saw, and what we hold of an address.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What we hold of an (address, check).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers.
    Up,
    /// It was late or failed; at `until` at the latest it is up or down. Counts as up.
    Suspect {
        /// When it will be decided at the latest.
        until: Instant,
    },
    /// It does not answer.
    Down,
    /// Never observed, or too long ago. Chosen only where no up address is on the list.
    Unknown,
}

impl Verdict {
    /// The word for it in files, logs, metrics and answers.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Up => "up",
            Verdict::Suspect { .. } => "suspect",
            Verdict::Down => "down",
            Verdict::Unknown => "unknown",
        }
    }
}

/// A verdict with its cause and age.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// What we hold.
    pub verdict: Verdict,
    /// Since when (suspect: since the first late or failed probe).
    pub since: Instant,
    /// The last failure's own words; `None` where there was none.
    pub cause: Option<Cause>,
}

impl Held {
    /// The failure that keeps it from being up; `None` where it is up, whatever was before.
    pub fn cause_now(&self) -> Option<&Cause> {
        self.cause.as_ref().filter(|_| self.verdict != Verdict::Up)
    }
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It succeeded, after this long.
    Succeeded(Duration),
    /// Not yet: it takes longer than twice the usual. No end of the probe: one of the others follows.
    Late,
    /// It failed.
    Failed(Cause),
    /// The fault was ours (no descriptors, no source address, no route of that family at all): nothing was seen.
    Local(Arc<str>),
}

/// One outcome, with what only the one who paces the probes knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What the probe saw.
    pub outcome: Outcome,
    /// When the probe started.
    pub started: Instant,
    /// When the outcome was known.
    pub at: Instant,
    /// If the address is in doubt after this: when that is decided at the latest.
    pub decided_by: Instant,
}

/// How far a probe can come; `late` for one that has not ended yet, [`DRILL`] for one that was not made.
pub const LAYERS: &[&str] = &[
    "late",
    "connect",
    "tls",
    "handshake",
    "request",
    "status",
    "header",
    "body",
    "application",
    "playlist",
    "media",
    "ice",
    "stream",
    "binding",
    "query",
    "answer",
    "echo",
    "command",
    "agent",
    DRILL,
];

/// The layer of failures that nobody saw: a drill says so.
pub const DRILL: &str = "drill";

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// How far the probe came: one of [`LAYERS`].
    pub layer: &'static str,
    /// What was seen, in one line: `refused`, `no answer within 750 ms`, `status 503`, …
    pub what: Arc<str>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.what)
    }
}
