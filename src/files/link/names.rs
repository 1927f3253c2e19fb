//! Keys of clusters and checks, and their ids.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cluster::{CheckId, ClusterId};
use crate::files::clusters::ClustersFile;
use crate::files::document::{Wholeness, Written};
use crate::files::issue::Issue;
use crate::files::words::{listed, nearest, shown};

/// So many names are listed where none is like the one that is wanted.
const LISTED_MAX: usize = 8;

/// Keys and ids.
pub(super) struct Names<'w> {
    clusters: HashMap<&'w str, ClusterId>,
    checks: HashMap<&'w str, CheckId>,
    file: &'w ClustersFile,
}

impl<'w> Names<'w> {
    /// The names of clusters.toml.
    pub(super) fn of(file: &'w ClustersFile) -> Names<'w> {
        // More than an id can count have been told already.
        let id = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let clusters = file.clusters.iter().enumerate();
        let checks = file.checks.iter().enumerate();
        Names {
            clusters: clusters.map(|(at, cluster)| (&*cluster.key.value, ClusterId(id(at)))).collect(),
            checks: checks.map(|(at, check)| (&*check.key.value, CheckId(id(at)))).collect(),
            file,
        }
    }

    /// The id of a cluster, or an issue.
    pub(super) fn cluster(&self, key: &Written<Arc<str>>, issues: &mut Vec<Issue>) -> Option<ClusterId> {
        let id = self.clusters.get(&*key.value).copied();
        if id.is_none() {
            let known = self.file.clusters.iter().map(|cluster| &*cluster.key.value);
            self.unknown(key, "cluster", known, issues);
        }
        id
    }

    /// The id of a check, or an issue.
    pub(super) fn check(&self, key: &Written<Arc<str>>, issues: &mut Vec<Issue>) -> Option<CheckId> {
        let id = self.checks.get(&*key.value).copied();
        if id.is_none() {
            let known = self.file.checks.iter().map(|check| &*check.key.value);
            self.unknown(key, "check", known, issues);
        }
        id
    }

    /// All clusters, in the order of the file.
    pub(super) fn all_clusters(&self) -> Vec<ClusterId> {
        let mut ids: Vec<ClusterId> = self.clusters.values().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Says that nothing has this key, unless it may stand in what was not understood.
    pub(super) fn unknown<'k>(
        &self,
        key: &Written<Arc<str>>,
        noun: &str,
        known: impl Iterator<Item = &'k str>,
        issues: &mut Vec<Issue>,
    ) {
        if self.file.wholeness == Wholeness::Torn {
            return;
        }
        let known: Vec<&str> = known.collect();
        let issue = Issue::error(key.at.clone(), format!("no {noun} is called `{}`", shown(&key.value)));
        issues.push(issue.remedy(match (nearest(&key.value, known.iter().copied()), known.len()) {
            (Some(near), _) => format!("there is `{near}`"),
            (None, 0) if !self.file.is_there => "there is no clusters.toml beside the zones".into(),
            (None, 0) => format!("there is no {noun} at all"),
            (None, count) if count <= LISTED_MAX => format!("there is {}", listed(&known, "and")),
            (None, count) => format!("none of {count} is like it"),
        }));
    }
}
