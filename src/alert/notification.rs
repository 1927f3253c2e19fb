//! A notification: what is told at once of alerts that belong together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Identity, Kind, Label, Place, one_line};

/// So many alerts are listed in one notification: nobody reads more, and some receivers take no more.
pub const LISTED_MAX: usize = 50;

/// What became of the alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// They fire.
    Fired,
    /// They have been firing for long.
    Repeated,
    /// They ended.
    Resolved,
}

/// What is told at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What became of them.
    pub event: Event,
    /// What they are.
    pub kind: Kind,
    /// What they were first told as.
    pub group: Group,
    /// One line for people.
    pub summary: String,
    /// The first [`LISTED_MAX`] of them.
    pub alerts: Vec<Alert>,
    /// How many there are.
    pub count: usize,
    /// How many of the group still fire.
    pub firing: usize,
    /// Since when the first of them stood, since 1970.
    pub since: Duration,
}

/// Alerts that were told together: they are one thing to a receiver until the last of them has ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// Its name, never used again: kind, place and time.
    pub name: Arc<str>,
    /// Where they are, if at one place.
    pub scope: Option<Scope>,
}

/// What alerts of a group share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// A cluster.
    Cluster(Arc<str>),
    /// A region most of whose clusters have that trouble.
    Region(Arc<str>),
}

impl Scope {
    /// The key of the cluster or region.
    pub fn key(&self) -> &Arc<str> {
        match self {
            Scope::Cluster(key) | Scope::Region(key) => key,
        }
    }
}

/// One alert of a notification, and of what fires now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Which.
    pub identity: Identity,
    /// One line for people.
    pub summary: String,
    /// Since when it has stood, since 1970.
    pub since: Duration,
    /// The region, where it has one.
    pub region: Option<Arc<str>>,
}

impl Alert {
    /// What is told of a condition.
    pub fn of(condition: &Condition) -> Alert {
        Alert {
            identity: condition.identity.clone(),
            summary: condition.summary.clone(),
            since: condition.since,
            region: condition.region().map(|region| Arc::clone(&region.key)),
        }
    }
}

/// What is down around those that are told: the numbers of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Down {
    /// How many nodes or clusters are down now, told before or now.
    pub(super) now: usize,
    /// How many there are.
    pub(super) of: usize,
}

/// The sentence about alerts of one kind.
pub(super) fn summary(
    event: Event,
    kind: Kind,
    scope: Option<&str>,
    told: &[&Condition],
    down: Option<Down>,
) -> String {
    let sentence = match (told, scope, down) {
        ([only], _, None) => only.summary.clone(),
        ([only], _, Some(Down { now: 0 | 1, .. })) if event != Event::Resolved => only.summary.clone(),
        ([only], _, Some(Down { now: 0, .. })) => only.summary.clone(),
        ([only], Some(scope), Some(Down { now, of })) if event != Event::Resolved => {
            let Counted { nouns, are, .. } = Counted::of(kind);
            format!("{}; {scope}: {now} of {of} {nouns} {are}", only.summary)
        }
        (_, Some(scope), Some(down)) => counted(event, kind, scope, told, down),
        ([first, others @ ..], _, _) => format!("{} (and {} more)", first.summary, others.len()),
        ([], _, _) => kind.name().to_owned(),
    };
    let lead = if event == Event::Resolved { "resolved: " } else { "" };
    one_line(&format!("{lead}{sentence}"))
}

fn counted(event: Event, kind: Kind, scope: &str, told: &[&Condition], down: Down) -> String {
    let things: BTreeSet<_> = told.iter().filter_map(|condition| thing(condition)).collect();
    let Counted { nouns, are, ended } = Counted::of(kind);
    let Down { now, of } = down;
    if event == Event::Resolved {
        let (count, noun) = (things.len(), if things.len() == 1 { &nouns[..nouns.len() - 1] } else { nouns });
        return format!("{scope}: {count} {noun} {ended}, {now} of {of} still {are}");
    }
    // One of them may be down at several addresses and under several checks.
    let several = if told.len() > things.len() { format!(" ({} alerts)", told.len()) } else { String::new() };
    format!("{scope}: {now} of {of} {nouns} {are}{several}")
}

/// How things of one kind are counted in a sentence.
struct Counted {
    /// What is counted.
    nouns: &'static str,
    /// What they are.
    are: &'static str,
    /// What they are afterwards.
    ended: &'static str,
}

impl Counted {
    fn of(kind: Kind) -> Counted {
        let [nouns, are, ended] = match kind {
            Kind::CertificateLastDays => ["nodes", "with a certificate that ends within 2 days", "renewed"],
            Kind::CertificateExpiring => ["nodes", "with a certificate that ends soon", "renewed"],
            Kind::ClusterShort => ["clusters", "short of nodes", "whole again"],
            Kind::NodeDown => ["nodes", "down", "back"],
            _ => ["clusters", "down", "back"],
        };
        Counted { nouns, are, ended }
    }
}

/// What is counted: a node of its cluster, or a cluster.
pub(super) fn thing(condition: &Condition) -> Option<(&Arc<str>, Option<&Arc<str>>)> {
    let Place { cluster, .. } = condition.place.as_ref()?;
    Some((cluster, condition.identity.label(Label::Node)))
}
