//! A condition: one thing that is wrong, for as long as it is.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How grave it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To know of.
    #[default]
    Info,
    /// To be looked at by day: viewers are served, with less behind them.
    Warning,
    /// To be woken for: viewers are sent far away, or nowhere.
    Critical,
}

impl Severity {
    /// All of them, as they are written.
    pub const ALL: [(&str, Severity); 3] =
        [("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

    /// How it is written.
    pub fn word(self) -> &'static str {
        Severity::ALL[self as usize].0
    }
}

/// What can be wrong. The order is that in which things are told. A new one is a line in each of the functions below, a function of
/// [`standing`](super::standing) that finds it, and a section of docs/alerts.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// No cluster of a service has a node up.
    AllDown,
    /// This server takes its own network for the one that failed, and holds the verdicts of before.
    VantageInDoubt,
    /// No address of a family is up in a cluster, under one check.
    ClusterDown,
    /// Fewer nodes are up in a cluster than it needs, and some are.
    ClusterShort,
    /// More is asked for than all clusters that are up can carry.
    CapacityShort,
    /// An address of a node is down under the check by which services judge it.
    NodeDown,
    /// Probes of a check tell nothing of some of its targets any more.
    CheckBlind,
    /// A certificate ends within two days, or has ended.
    CertificateLastDays,
    /// A certificate holds for less than it should.
    CertificateExpiring,
    /// An override will soon end by itself.
    OverrideExpiring,
    /// An override has ended by itself.
    OverrideExpired,
    /// The files that somebody wanted loaded were refused; the last good ones serve.
    ReloadRefused,
    /// The newest commit of the repository was refused; the last good one serves.
    CommitRefused,
    /// The repository cannot be fetched.
    RepositoryUnreached,
    /// A GeoIP database is older than it should be.
    DatabaseTooOld,
    /// An earlier commit is held by an operator's word, and the branch is not followed.
    CommitPinned,
    /// Nothing is wrong: somebody tries out a receiver.
    Test,
}

impl Kind {
    /// All that can stand by itself.
    pub const ALL: [Kind; 16] = [
        Kind::AllDown,
        Kind::VantageInDoubt,
        Kind::ClusterDown,
        Kind::ClusterShort,
        Kind::CapacityShort,
        Kind::NodeDown,
        Kind::CheckBlind,
        Kind::CertificateLastDays,
        Kind::CertificateExpiring,
        Kind::OverrideExpiring,
        Kind::OverrideExpired,
        Kind::ReloadRefused,
        Kind::CommitRefused,
        Kind::RepositoryUnreached,
        Kind::DatabaseTooOld,
        Kind::CommitPinned,
    ];

    /// Its name, which never changes: in messages, metrics and Alertmanager's `alertname`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::AllDown => "AllDown",
            Kind::VantageInDoubt => "VantageInDoubt",
            Kind::ClusterDown => "ClusterDown",
            Kind::ClusterShort => "ClusterShort",
            Kind::CapacityShort => "CapacityShort",
            Kind::NodeDown => "NodeDown",
            Kind::CheckBlind => "CheckBlind",
            Kind::CertificateLastDays => "CertificateLastDays",
            Kind::CertificateExpiring => "CertificateExpiring",
            Kind::OverrideExpiring => "OverrideExpiring",
            Kind::OverrideExpired => "OverrideExpired",
            Kind::ReloadRefused => "ReloadRefused",
            Kind::CommitRefused => "CommitRefused",
            Kind::RepositoryUnreached => "RepositoryUnreached",
            Kind::DatabaseTooOld => "DatabaseTooOld",
            Kind::CommitPinned => "CommitPinned",
            Kind::Test => "Test",
        }
    }

    /// How grave it is.
    pub fn severity(self) -> Severity {
        match self {
            Kind::AllDown
            | Kind::VantageInDoubt
            | Kind::ClusterDown
            | Kind::ClusterShort
            | Kind::CapacityShort
            | Kind::CertificateLastDays => Severity::Critical,
            Kind::NodeDown
            | Kind::CheckBlind
            | Kind::CertificateExpiring
            | Kind::ReloadRefused
            | Kind::CommitRefused
            | Kind::RepositoryUnreached
            | Kind::DatabaseTooOld => Severity::Warning,
            Kind::OverrideExpiring | Kind::OverrideExpired | Kind::CommitPinned | Kind::Test => {
                Severity::Info
            }
        }
    }

    /// Whether there is nothing to wait for before it is told: viewers get dead addresses now, or a clock says it, and
    /// that is no blip.
    pub fn is_urgent(self) -> bool {
        self == Kind::AllDown || self.is_moment()
    }

    /// Whether it stands because a clock says so: then it does not flap, and one that stands again is another one, to be told anew.
    pub fn is_moment(self) -> bool {
        matches!(self, Kind::OverrideExpiring | Kind::OverrideExpired)
    }
}

/// What a condition is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// An owner name whose addresses are steered.
    Service,
    /// `ipv4` or `ipv6`.
    Family,
    /// A cluster's key.
    Cluster,
    /// A node's key.
    Node,
    /// An address that is answered.
    Address,
    /// A check's key.
    Check,
    /// A GeoIP database, as the files name it.
    Database,
    /// Of which nodes an override is, as its operator wrote it.
    Target,
    /// What an override says: `drain`, `down` or `up`.
    Verdict,
}

impl Label {
    /// How it is written.
    pub fn word(self) -> &'static str {
        match self {
            Label::Service => "service",
            Label::Family => "family",
            Label::Cluster => "cluster",
            Label::Node => "node",
            Label::Address => "address",
            Label::Check => "check",
            Label::Database => "database",
            Label::Target => "target",
            Label::Verdict => "verdict",
        }
    }
}

/// Which condition: the same before and after a reload or a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// What is wrong.
    pub kind: Kind,
    /// With what; in the order of a sentence, each label once.
    pub labels: Vec<(Label, Arc<str>)>,
}

impl Identity {
    /// The value of a label.
    pub fn label(&self, label: Label) -> Option<&Arc<str>> {
        self.labels.iter().find(|(other, _)| *other == label).map(|(_, value)| value)
    }
}

/// Where on the map a condition is, and how much there is: what it is grouped and counted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The cluster.
    pub cluster: Arc<str>,
    /// How many nodes it has.
    pub nodes: usize,
    /// Its region, where it has one.
    pub region: Option<Region>,
}

/// A region, and how much there is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its key.
    pub key: Arc<str>,
    /// How many clusters it has.
    pub clusters: usize,
    /// How many nodes these have.
    pub nodes: usize,
}

/// One thing that is wrong now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Which.
    pub identity: Identity,
    /// One line for people.
    pub summary: String,
    /// Since when, since 1970.
    pub since: Duration,
    /// Where, if it is at one place.
    pub place: Option<Place>,
    /// Whether a graver condition that stands now says it already: then it is not told for itself.
    pub is_said: bool,
}

impl Condition {
    /// Its region, where it has one.
    pub fn region(&self) -> Option<&Region> {
        self.place.as_ref()?.region.as_ref()
    }
}

/// The longest summary, in characters.
const SUMMARY_CHARS_MAX: usize = 300;

/// A text as one line of bearable length: what comes from the network may hold anything.
pub fn one_line(text: &str) -> String {
    let mut line: String = text.chars().take(SUMMARY_CHARS_MAX).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graver_is_more() {
        assert!(Severity::Critical > Severity::Warning && Severity::Warning > Severity::Info);
        for (word, severity) in Severity::ALL {
            assert_eq!(severity.word(), word);
        }
    }

    #[test]
    fn what_comes_from_the_network_is_one_short_line() {
        assert_eq!(one_line("a\r\nBcc: b"), "a  Bcc: b");
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), 301);
    }
}
