//! What a probe learned beside its outcome.

use std::sync::Arc;
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
    /// Whether the target says that it wants no newcomers.
    Drain(bool),
    /// What the target is warned of, in one short line; `None`: of nothing any more.
    Warning(Option<Arc<str>>),
}

/// What a target last said of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Says {
    /// The used share of what it can carry: 0 idle, 1 full; more is possible. `None`: it never said.
    pub load: Option<f64>,
    /// Whether it wants no newcomers.
    pub drain: bool,
    /// What it is warned of.
    pub warning: Option<Arc<str>>,
}
