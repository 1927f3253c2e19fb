//! What a change of the files does to people: two Plans held against each other, each as if all were up that no operator takes out.
//!
//! ```text
//! moves     which clients go from which cluster to which, from which countries and autonomous systems
//! named     which records, services and clusters appear, vanish or are others
//! told      the same for people: text and Markdown
//! ```

mod moves;
mod named;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::result::{Part, Spread};
use crate::geo::places::Places as AllPlaces;
use crate::snapshot::Snapshot;
use crate::wire::name::Name;
use crate::zone::record::Record;

/// One of the two worlds.
#[derive(Clone, Copy)]
pub struct Side<'s> {
    /// Its Plan, at rest.
    pub snapshot: &'s Snapshot,
    /// Where its clients are.
    pub places: &'s AllPlaces,
    /// Its zones, each with all of its records.
    pub zones: &'s [(Name, Vec<Record>)],
    /// How a record's type and its RDATA are written.
    pub write: &'s dyn Fn(&Record) -> (String, String),
}

/// What a change does. All shares are 0..=1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Change {
    /// Of all clients of all services that both have: the share that is answered by another cluster.
    pub moved: f64,
    /// Of the service that suffers most: the share of its clients whom nobody answers any more.
    pub unanswered: f64,
    /// Of all queries that the running server was asked: the share that is answered by another cluster; `null`: it was not asked.
    pub queries: Option<f64>,
    /// Who moves.
    pub moves: Vec<Moves>,
    /// Records, those of one name and type together.
    pub records: Vec<Changed>,
    /// Services.
    pub services: Vec<Changed>,
    /// Clusters and their nodes.
    pub clusters: Vec<Changed>,
    /// What holds no more that held: zones whose serial was not raised, N-1, the one-TTL promise.
    pub broken: Vec<String>,
}

/// Services that are answered alike, and who of their clients moves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moves {
    /// Their names.
    pub services: Vec<String>,
    /// `A`, `AAAA` or both.
    pub types: Vec<&'static str>,
    /// Their policy afterwards.
    pub policy: String,
    /// Who is answered by another cluster.
    pub moved: Part,
    /// Who was answered and is not any more.
    pub unanswered: Part,
    /// From where to where, the most first.
    pub moves: Vec<Moved>,
}

/// Clients who go from one cluster to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// From which cluster; `null`: nobody answered them.
    pub from: Option<String>,
    /// To which; `null`: nobody answers them.
    pub to: Option<String>,
    /// What they get: `answered`, `dead nodes` or `servfail`.
    pub gets: &'static str,
    /// How many they are.
    #[serde(flatten)]
    pub part: Part,
    /// What is added to what the policy has it cost, in ms; `null`: the old cluster is on no list any more, or no costs are known.
    pub added_ms: Option<Spread>,
    /// The countries of most of them.
    pub countries: Vec<Places>,
    /// Their autonomous systems, where a database knows them.
    pub asns: Vec<Places>,
}

/// A country or an autonomous system.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Places {
    /// `ID`, `AS7713`.
    pub name: String,
    /// Its part of those who move so.
    pub part: f64,
}

/// Something that appears, vanishes or is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// What: a name and its type, a service's name, a cluster's key.
    pub what: String,
    /// How.
    pub how: How,
    /// What was said of it and is no more.
    pub was: Vec<String>,
    /// What is said of it and was not.
    pub is: Vec<String>,
}

/// How something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It appears.
    New,
    /// It vanishes.
    Gone,
    /// Something else is said of it.
    Other,
}

impl Moves {
    /// How many services they are, A and AAAA counted apart.
    fn count(&self) -> f64 {
        (self.services.len() * self.types.len()) as f64
    }
}

impl Change {
    /// What becomes of `before`. `answered`: how often the running server answered with each cluster.
    pub fn new(before: &Side<'_>, after: &Side<'_>, answered: Option<&BTreeMap<Arc<str>, u64>>) -> Change {
        let moves = moves::moves(before, after);
        let both = moves::common(before, after);
        let sum: f64 = moves.iter().map(|of| of.moved.share * of.count()).sum();
        let (records, broken) = named::records(before, after);
        let mut change = Change {
            moved: sum / (both as f64).max(1.0),
            unanswered: moves.iter().map(|of| of.unanswered.share).fold(0.0, f64::max),
            queries: None,
            moves,
            records,
            services: named::services(before, after),
            clusters: named::clusters(before, after),
            broken,
        };
        if let Some(answered) = answered {
            change.weigh(before, answered);
        }
        change
    }

    /// Whether nobody can see it.
    pub fn is_none(&self) -> bool {
        let Change { moves, records, services, clusters, broken, .. } = self;
        moves.is_empty()
            && records.is_empty()
            && services.is_empty()
            && clusters.is_empty()
            && broken.is_empty()
    }

    /// Tells shares of queries: those who move from a cluster asked as much as all who were there, each as much as the other.
    fn weigh(&mut self, before: &Side<'_>, answered: &BTreeMap<Arc<str>, u64>) {
        let all = answered.values().sum::<u64>().max(1) as f64;
        let there = moves::there(before);
        let mut sum = 0.0;
        for of in &mut self.moves {
            let services = of.count();
            let [mut moved, mut lost] = [0.0; 2];
            for of in &mut of.moves {
                let from = of.from.as_deref().unwrap_or_default();
                let at = there.get(from).copied().unwrap_or(0.0);
                let asked = answered.get(from).copied().unwrap_or(0) as f64 / all;
                let queries = if at > 0.0 { (asked * of.part.share * services / at).min(1.0) } else { 0.0 };
                of.part.queries = Some(queries);
                *(if of.gets == "answered" { &mut moved } else { &mut lost }) += queries;
            }
            (of.moved.queries, of.unanswered.queries) = (Some(moved), Some(lost));
            sum += moved;
        }
        self.queries = Some(sum);
    }
}
