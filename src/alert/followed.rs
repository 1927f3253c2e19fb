//! A repository that is followed, as it stands; and what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use super::condition::{Condition, Identity, Kind, one_line};

/// A repository cannot be reached for so many times in a row before it is worth a word.
const UNREACHED_MIN: u32 = 3;

/// A repository that is followed. Times are since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// The branch.
    pub branch: Arc<str>,
    /// The commit in force.
    pub in_force: Arc<str>,
    /// The newest commit of the branch, once it was fetched.
    pub newest: Option<Arc<str>>,
    /// When it was fetched last.
    pub fetched: Option<Duration>,
    /// Why it cannot be fetched.
    pub unreached: Option<Unreached>,
    /// The commit that was refused last, if no good one followed.
    pub refused: Option<RefusedCommit>,
    /// The commit that is held by an operator's word.
    pub pin: Option<Pin>,
    /// Commits that were in force, the newest first.
    pub good: Vec<Arc<str>>,
}

/// A repository that cannot be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Since when.
    pub since: Duration,
    /// How often it was tried.
    pub times: u32,
    /// What git said last.
    pub what: Arc<str>,
}

/// A commit that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCommit {
    /// Which.
    pub id: Arc<str>,
    /// Since when commits are refused.
    pub since: Duration,
    /// The first mistake.
    pub what: Arc<str>,
    /// How many more there are.
    pub others: usize,
    /// Whether its files are what is wrong: then it is not tried again by itself.
    pub is_of_files: bool,
}

/// A commit that is held, whatever the branch has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Which.
    pub id: Arc<str>,
    /// Who says so.
    pub who: Arc<str>,
    /// Why.
    pub why: Arc<str>,
    /// Since when.
    pub since: Duration,
}

/// The beginning of a commit's id, as people say it.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// What is wrong with it.
pub fn of_repository(followed: &Followed) -> Vec<Condition> {
    let Followed { branch, in_force, .. } = followed;
    let condition = |kind, since, summary: String| Condition {
        identity: Identity { kind, labels: Vec::new() },
        summary: one_line(&summary),
        since,
        place: None,
        is_said: false,
    };
    let serves = short(in_force);
    let refused = followed.refused.as_ref().map(|refused| {
        let RefusedCommit { id, since, what, others, .. } = refused;
        let more = if *others > 0 { format!(" (and {others} more)") } else { String::new() };
        let summary = format!("commit {} is refused, {serves} serves: {what}{more}", short(id));
        condition(Kind::CommitRefused, *since, summary)
    });
    let unreached = followed.unreached.as_ref().filter(|unreached| unreached.times >= UNREACHED_MIN);
    let unreached = unreached.map(|Unreached { since, what, .. }| {
        let summary = format!("the repository cannot be fetched, {serves} serves: {what}");
        condition(Kind::RepositoryUnreached, *since, summary)
    });
    let pinned = followed.pin.as_ref().map(|Pin { who, why, since, .. }| {
        let summary = format!("commit {serves} is pinned, branch {branch} is not followed (by {who}: {why})");
        condition(Kind::CommitPinned, *since, summary)
    });
    [refused, unreached, pinned].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_of_the_network_is_no_condition() {
        let unreached = |times| Unreached { since: Duration::from_secs(1), times, what: "timeout".into() };
        let followed = |times| Followed { unreached: Some(unreached(times)), ..Followed::default() };
        assert_eq!(of_repository(&followed(2)), []);
        assert_eq!(of_repository(&followed(3))[0].identity.kind, Kind::RepositoryUnreached);
    }

    #[test]
    fn what_is_refused_and_who_pinned_is_said() {
        let id: Arc<str> = "0123456789abcdef0123456789abcdef01234567".into();
        let pin = Pin { id: id.clone(), who: "ana".into(), why: "b is slow".into(), since: Duration::ZERO };
        let what = "zones/x.test.zone:3:1: error".into();
        let refused =
            RefusedCommit { id: "fedc".into(), since: Duration::ZERO, what, others: 2, is_of_files: true };
        let followed = Followed {
            branch: "main".into(),
            in_force: id,
            refused: Some(refused),
            pin: Some(pin),
            ..Followed::default()
        };
        let told: Vec<String> =
            of_repository(&followed).into_iter().map(|condition| condition.summary).collect();
        assert_eq!(
            told,
            [
                "commit fedc is refused, 0123456789ab serves: zones/x.test.zone:3:1: error (and 2 more)",
                "commit 0123456789ab is pinned, branch main is not followed (by ana: b is slow)"
            ]
        );
    }
}
