//! `steerdns drill`
#![allow(clippy::disallowed_methods)] // It tells the core what time it is.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::drill_real::Real;
use super::paper::Paper;
use super::{Config, ask_server, failed, said};
use crate::cluster::Inventory;
use crate::files::{show, words};
use crate::health::overrides::Selector;
use crate::impact::result::Impact;
use crate::impact::stage::{Demand, Stage};
use crate::load::load;
use crate::plan::Plan;

/// Rehearses a failure. By the files alone: who would be answered by whom, at which cost, and what clusters would carry; without
/// --kill, the worst single failure of a node, of a cluster and of a region. With --real, on the running server: nodes are held to
/// fail at the probe, and what follows is measured.
#[derive(Debug, clap::Args)]
pub(super) struct Drill {
    /// What fails: `cluster`, `cluster/node` or `region:name`; `*` stands for any characters
    #[arg(long, value_name = "TARGET", value_parser = Selector::parse)]
    kill: Vec<Selector>,
    /// The worst single failure of this kind
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "kill")]
    worst: Option<Kind>,
    /// What is down already
    #[arg(long, value_name = "TARGET", value_parser = Selector::parse)]
    down: Vec<Selector>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Weigh clients by how often the running server answered with each cluster: who moves, what clusters carry, --fail-if-moved
    #[arg(long)]
    live: bool,
    /// How full the cluster is taken to be that is the fullest by its capacity
    #[arg(long, value_name = "PERCENT", default_value = "70%", value_parser = percent)]
    peak: f64,
    /// Fail if any service has clients left whom nobody answers
    #[arg(long)]
    fail_if_unanswered: bool,
    /// Fail if more of all clients change the cluster
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_if_moved: Option<f64>,
    /// Fail if a cluster is asked for more than its capacity, once load is balanced again
    #[arg(long)]
    fail_if_over_capacity: bool,
    #[command(flatten)]
    real: Real,
    #[command(flatten)]
    config: Config,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(super) enum Format {
    /// For a terminal.
    Text,
    /// For programs.
    Json,
    /// For a ticket.
    Markdown,
}

/// What fails alone.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(super) enum Kind {
    Node,
    Cluster,
    Region,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Node, Kind::Cluster, Kind::Region];

    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Node => "node",
            Kind::Cluster => "cluster",
            Kind::Region => "region",
        }
    }

    /// All of this kind that there are.
    pub(super) fn all(self, inventory: &Inventory) -> Vec<Selector> {
        let clusters = &inventory.clusters;
        let keys: Vec<String> = match self {
            Kind::Cluster => clusters.iter().map(|cluster| cluster.key.to_string()).collect(),
            Kind::Region => {
                let regions: BTreeSet<_> =
                    clusters.iter().filter_map(|cluster| cluster.region.as_ref()).collect();
                regions.into_iter().map(|region| format!("region:{region}")).collect()
            }
            Kind::Node => {
                let nodes = |cluster: &crate::cluster::Cluster| {
                    let key = Arc::clone(&cluster.key);
                    cluster.nodes.iter().map(move |node| format!("{key}/{}", node.key)).collect::<Vec<_>>()
                };
                clusters.iter().flat_map(nodes).collect()
            }
        };
        keys.iter().filter_map(|key| Selector::parse(key).ok()).collect()
    }
}

/// What sums of many shares may be off by.
pub(super) const ROUNDING: f64 = 1e-9;

/// A command line that means nothing.
pub(super) const USAGE: u8 = 2;

impl Drill {
    pub(super) fn run(self) -> ExitCode {
        if self.real.is_wanted() {
            return self.real.run(&self.config, &self.kill, self.format);
        }
        match self.on_paper() {
            Ok(code) => code,
            Err((code, what)) => {
                failed(what);
                ExitCode::from(code)
            }
        }
    }

    fn on_paper(&self) -> Result<ExitCode, (u8, String)> {
        let config = &self.config.config;
        let loaded = load(config).map_err(|issues| (1, show::issues(&issues, show::Format::Full)))?;
        let demand = if self.live {
            Demand::Answered(answered(&self.config).map_err(|what| (1, what))?)
        } else {
            Demand::Space
        };
        let plan = Arc::new(loaded.plan);
        for target in self.kill.iter().chain(&self.down) {
            if target.count(&plan.inventory) == 0 {
                return Err((USAGE, unknown(target, &plan.inventory)));
            }
        }
        let places = loaded.geography.places();
        let paper = Paper::new(&plan, &self.down);
        let stage = Stage::new(&paper.before, &places, &demand, self.peak);
        let impacts = self.impacts(&paper, &stage, &plan);
        if let Some(kind) = self.worst.filter(|_| impacts.is_empty()) {
            return Err((1, nothing_of(kind, &plan.inventory)));
        }
        self.show(&impacts);
        let reasons: BTreeSet<String> = impacts.iter().flat_map(|(_, impact)| self.wrong(impact)).collect();
        for reason in &reasons {
            eprintln!("steerdns: {reason}");
        }
        Ok(if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What was asked for: the failure that is named, or the worst of each kind.
    fn impacts(&self, paper: &Paper, stage: &Stage<'_>, plan: &Plan) -> Vec<(Option<Kind>, Impact)> {
        if !self.kill.is_empty() {
            return vec![(None, paper.impact(stage, &self.kill))];
        }
        let kinds = self.worst.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
        let worst = kinds.into_iter().filter_map(|kind| {
            let all = kind.all(&plan.inventory).into_iter();
            let impacts = all.map(|target| paper.impact(stage, &[target])).filter(|impact| impact.nodes > 0);
            // Of equals the one that stands first in the files.
            let worst = impacts.reduce(|worst, next| if next.gravity(&worst).is_gt() { next } else { worst });
            Some((Some(kind), worst?))
        });
        worst.collect()
    }

    fn show(&self, impacts: &[(Option<Kind>, Impact)]) {
        if self.format == Format::Json {
            let json = match impacts {
                [(None, impact)] => json!(impact),
                worst => {
                    let of = |(kind, impact): &(Option<Kind>, Impact)| {
                        (kind.map_or("", Kind::word).to_owned(), json!(impact))
                    };
                    json!({ "worst": worst.iter().map(of).collect::<serde_json::Map<_, _>>() })
                }
            };
            said(serde_json::to_string_pretty(&json).unwrap_or_default() + "\n");
            return;
        }
        let mut text = String::new();
        for (at, (kind, impact)) in impacts.iter().enumerate() {
            if let Some(kind) = kind {
                let line = if at == 0 { "" } else { "\n" };
                let mark = if self.format == Format::Markdown { "##" } else { "==" };
                text += &format!("{line}{mark} the worst single {}:\n", kind.word());
            }
            text += &if self.format == Format::Markdown { impact.markdown() } else { impact.text() };
        }
        said(text);
    }

    /// What of an impact is not to be, in words.
    fn wrong(&self, impact: &Impact) -> Vec<String> {
        let killed = impact.killed.join(", ");
        let mut wrong = Vec::new();
        if self.fail_if_unanswered && impact.unanswered > 0.0 {
            wrong.push(format!(
                "{killed}: {:.1} % of a service's clients are not answered",
                impact.unanswered * 100.0
            ));
        }
        let queries = impact.queries.as_ref().map(|queries| queries.moved);
        let too_many = too_many(self.fail_if_moved, impact.moved, queries);
        wrong.extend(too_many.map(|what| format!("{killed}: {what}")));
        if self.fail_if_over_capacity && impact.fullest.is_none() {
            let what = "no cluster with a `capacity` is asked for anything";
            wrong.push(format!("{what}: --fail-if-over-capacity has nothing to judge"));
        }
        if self.fail_if_over_capacity {
            wrong.extend(impact.over().map(|over| {
                format!("{killed}: {} is at {:.0} %", over.cluster, over.full_after.unwrap_or(0.0) * 100.0)
            }));
        }
        wrong
    }
}

/// That more change the cluster than may, by the queries where those are known; `None`: they do not, or as many as like may.
pub(super) fn too_many(most: Option<f64>, moved: f64, queries: Option<f64>) -> Option<String> {
    let (moved, who) = queries.map_or((moved, "of all clients"), |queries| (queries, "of the queries"));
    let most = most.filter(|most| moved > *most + ROUNDING)?;
    Some(format!("{:.1} % {who} change the cluster, more than {:.1} %", moved * 100.0, most * 100.0))
}

/// How often the running server answered with each cluster, since its start.
pub(super) fn answered(config: &Config) -> Result<BTreeMap<Arc<str>, u64>, String> {
    let status = ask_server(&config.config, "GET", "/status")??;
    let status: Value = serde_json::from_str(&status).map_err(|_| "the server's answer is no JSON")?;
    let mut counts = BTreeMap::<Arc<str>, u64>::new();
    for row in status["answers_by_cluster"].as_array().into_iter().flatten() {
        if let (Some(cluster), Some(answers)) = (row["cluster"].as_str(), row["answers"].as_u64()) {
            *counts.entry(cluster.into()).or_default() += answers;
        }
    }
    match counts.values().sum::<u64>() {
        0 => Err("the running server has answered nothing yet: leave --live out".into()),
        _ => Ok(counts),
    }
}

/// Why there is no worst one of a kind.
fn nothing_of(kind: Kind, inventory: &Inventory) -> String {
    match kind {
        Kind::Region if inventory.clusters.iter().all(|cluster| cluster.region.is_none()) => {
            "no cluster has a `region`: there is no worst one".into()
        }
        kind => format!("no {} is left that could fail: all are down", kind.word()),
    }
}

/// That no node is meant, and which one may have been.
fn unknown(target: &Selector, inventory: &Inventory) -> String {
    let keys: Vec<_> = inventory.clusters.iter().map(|cluster| &*cluster.key).collect();
    let known = words::nearest(&target.to_string(), keys.iter().copied());
    let hint = known.map(|key| format!("; there is `{key}`")).unwrap_or_default();
    format!("no node is meant by `{target}`{hint}")
}

/// `5%`, `5 %` or `5`, as a share.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && (0.0..=1000.0).contains(number));
    number.map(|number| number / 100.0).ok_or_else(|| "write e.g. `5%`, from 0 to 1000".into())
}
