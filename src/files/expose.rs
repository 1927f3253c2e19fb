//! `expose`: names of clusters and of nodes, so that people and records can call each of them.

use super::document::{Value, Written};
use super::issue::{At, Issue};
use super::steering::ttl;

/// What is given names, as it is written.
#[derive(Clone, Debug)]
pub struct WrittenExpose {
    /// Where it stands: mistakes of the names are told here.
    pub at: At,
    /// Whether nodes have names, too: `<node>.<cluster>.<zone>`.
    pub nodes: bool,
    /// What a cluster's name, `<cluster>.<zone>`, answers.
    pub clusters: Clusters,
    /// Seconds that an answer may be kept; where nothing is written, at `expose`. Default 20.
    pub ttl_s: Written<u32>,
}

/// What a cluster's name answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clusters {
    /// The nodes that are up.
    #[default]
    Steered,
    /// All of them.
    Plain,
}

const TTL_S: u32 = 20;

/// The words of `expose` and its `names`; whether nodes are among them.
const NAMES: [(&str, bool); 2] = [("clusters", false), ("nodes", true)];
/// The words of `clusters`.
const CLUSTERS: [(&str, Clusters); 2] = [("steered", Clusters::Steered), ("plain", Clusters::Plain)];

/// Reads `expose`.
pub fn expose(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenExpose> {
    let at = value.at.clone();
    let ttl_s = Written { value: TTL_S, at: at.clone() };
    if !value.is_table() {
        let nodes = value.word(&NAMES, issues)?;
        return Some(WrittenExpose { at, nodes, clusters: Clusters::default(), ttl_s });
    }
    let mut table = value.table("`expose`", issues)?;
    let nodes = table.need("names", "{ names = \"nodes\" }", issues);
    let nodes = nodes.and_then(|value| value.word(&NAMES, issues));
    let clusters = table.take("clusters").and_then(|value| value.word(&CLUSTERS, issues));
    let ttl = table.take("ttl").and_then(|value| ttl(&value, issues));
    table.finish(issues);
    Some(WrittenExpose {
        at,
        nodes: nodes?,
        clusters: clusters.unwrap_or_default(),
        ttl_s: ttl.unwrap_or(ttl_s),
    })
}
