//! What a probe learned beside its outcome.

use std::time::Duration;

/// What a probe learned beside its outcome: it turns no verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// The certificate that the target showed is valid for so long yet; zero: not any more.
    Certificate {
        /// How long.
        left: Duration,
    },
    /// How busy the target says it is.
    Load {
        /// The used share of what it can carry: 0 idle, 1 full; more is possible.
        used: f64,
    },
}
