//! A drill: nodes that are held to fail at the probe, for a bounded time. All behind that is real: doubt, verdict, answers, alerts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::target::TargetKey;
use super::verdict::{Cause, DRILL, Outcome};

/// The longest drill: whoever wants more takes the node out with `steerdns down`.
pub const DRILL_MAX: Duration = Duration::from_secs(600);
/// A drill that nobody has looked at for so long ends: whoever began it is gone.
pub const WATCHED_WITHIN: Duration = Duration::from_secs(10);

/// What the prober knows of a drill.
#[derive(Clone, Debug, PartialEq)]
pub struct Felled {
    /// The keys of the nodes' clusters, and their own.
    nodes: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Until when: nobody needs to say that it is over.
    until: Instant,
    cause: Cause,
}

impl Felled {
    /// These nodes fail until then; `what`: whose drill it is, in words.
    pub fn new(nodes: BTreeSet<(Arc<str>, Arc<str>)>, until: Instant, what: &str) -> Felled {
        Felled { nodes, until, cause: Cause { layer: DRILL, what: what.into() } }
    }

    /// The same, until then.
    pub fn until(&self, until: Instant) -> Felled {
        Felled { until, ..self.clone() }
    }

    /// Whether a target's probes fail now.
    pub fn fells(&self, key: &TargetKey, now: Instant) -> bool {
        now < self.until && self.nodes.contains(&(Arc::clone(&key.cluster), Arc::clone(&key.node)))
    }

    /// What its probes come to.
    pub fn outcome(&self) -> Outcome {
        Outcome::Failed(self.cause.clone())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_drill_fail_until_it_ends_by_itself() {
        let now = Instant::now();
        let key = |node: &str| TargetKey {
            cluster: "sin".into(),
            node: node.into(),
            address: "192.0.2.1".parse().unwrap(),
            check: "edge".into(),
        };
        let nodes = BTreeSet::from([(Arc::from("sin"), Arc::from("sin-1"))]);
        let felled = Felled::new(nodes, now + WATCHED_WITHIN, "a drill by ana");
        let just_before = now + WATCHED_WITHIN - Duration::from_millis(1);
        assert!(felled.fells(&key("sin-1"), just_before) && !felled.fells(&key("sin-2"), now));
        assert!(!felled.fells(&key("sin-1"), now + WATCHED_WITHIN));
        assert!(felled.until(now + DRILL_MAX).fells(&key("sin-1"), now + WATCHED_WITHIN));
        let Outcome::Failed(cause) = felled.outcome() else { panic!("it fails") };
        assert_eq!(cause.to_string(), "drill: a drill by ana");
    }
}
