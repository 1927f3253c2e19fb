//! `steerdns diff`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::drill::{Format, Kind, ROUNDING, answered, percent, too_many};
use super::paper::Paper;
use super::revision::Revision;
use super::{Config, failed, said};
use crate::files::read::Disk;
use crate::files::show;
use crate::geo::places::Places;
use crate::health::check::probing;
use crate::health::promise::Detection;
use crate::impact::change::{Change, Side};
use crate::impact::result::Impact;
use crate::impact::stage::{Demand, Stage};
use crate::load::{Loaded, beside, disk, load_from};
use crate::plan::Plan;
use crate::wire::name::Name;
use crate::zone::record::Record;

/// What a change of the files does to people: who is answered by another cluster, from where; which records, services and nodes
/// appear, vanish or are others; and which promises break. Reads both worlds as `serve` would, and asks no server but with --live.
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// What was: a directory with a server's file, such a file, or a git revision
    #[arg(default_value = "HEAD")]
    old: String,
    /// What is to be, likewise; without it, the files as they are on the disk
    new: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Tell shares of queries, too, by how often the running server answered with each cluster
    #[arg(long)]
    live: bool,
    /// How full the cluster is taken to be that is the fullest by its capacity
    #[arg(long, value_name = "PERCENT", default_value = "70%", value_parser = percent)]
    peak: f64,
    /// Fail if more of all clients change the cluster, with --live of the queries
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_if_moved: Option<f64>,
    /// Fail if a promise breaks that held
    #[arg(long)]
    fail_if_broken: bool,
    #[command(flatten)]
    config: Config,
}

/// One of the two worlds, as it is read.
struct World {
    plan: Arc<Plan>,
    places: Places,
    zones: Vec<(Name, Vec<Record>)>,
    paper: Paper,
}

impl Diff {
    pub(super) fn run(self) -> ExitCode {
        match self.held() {
            Ok(code) => code,
            Err(what) => failed(what),
        }
    }

    fn held(&self) -> Result<ExitCode, String> {
        let old = self.world(&self.old)?;
        let new = match &self.new {
            Some(new) => self.world(new)?,
            None => World::of(&self.config.config, disk())?,
        };
        let counts = if self.live { Some(answered(&self.config)?) } else { None };
        let mut change = Change::new(&old.side(), &new.side(), counts.as_ref());
        if !change.is_none() {
            change.broken.extend(self.broken(&old, &new));
        }
        match self.format {
            Format::Text => said(change.text()),
            Format::Markdown => said(change.markdown()),
            Format::Json => said(serde_json::to_string_pretty(&json!(change)).unwrap_or_default() + "\n"),
        };
        let reasons = self.wrong(&change);
        for reason in &reasons {
            eprintln!("steerdns: {reason}");
        }
        Ok(if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The world that a word names.
    fn world(&self, word: &str) -> Result<World, String> {
        let path = Path::new(word);
        let config = &self.config.config;
        let file = config.file_name().ok_or("--config is no file")?;
        if path.is_dir() {
            return World::of(&path.join(file), disk());
        }
        if path.is_file() {
            return World::of(path, disk());
        }
        let directory = beside(config);
        let directory: PathBuf = fs::canonicalize(directory)
            .map_err(|error| format!("`{}` cannot be read: {error}", directory.display()))?;
        let revision = Revision::open(&directory, word)?;
        let of = Disk { file: &|path| revision.file(path), names: &|path| revision.names(path) };
        World::of(&directory.join(file), of)
            .map_err(|what| format!("{} does not load:\n{what}", revision.shown()))
    }

    /// What holds no more: N-1, and the one-TTL promise.
    fn broken(&self, old: &World, new: &World) -> Vec<String> {
        let mut broken: Vec<String> = Vec::new();
        let held = slow(&old.plan);
        broken.extend(
            slow(&new.plan).into_iter().filter(|(name, _)| !held.contains_key(name)).map(|(_, what)| what),
        );
        let before = old.stage(self.peak);
        // People ask for as much as they did.
        let after = new.stage(self.peak).asked_as(&before);
        let was = old.failures(&before);
        for (killed, impact) in new.failures(&after) {
            let before = was.get(&killed);
            let unanswered = before.map_or(0.0, |impact| impact.unanswered);
            if impact.unanswered > unanswered + ROUNDING {
                let [is, was] =
                    [impact.unanswered, unanswered].map(|share| format!("{:.1} %", share * 100.0));
                broken.push(format!(
                    "with {killed} down, {is} of a service's clients are not answered ({was} before)"
                ));
            }
            for over in impact.over() {
                let was = before.and_then(|impact| {
                    impact.clusters.iter().find(|of| of.cluster == over.cluster && !of.is_over())
                });
                let is_new = before.is_none() || was.is_some();
                if is_new {
                    let of =
                        |full: Option<f64>| full.map_or("-".into(), |full| format!("{:.0} %", full * 100.0));
                    broken.push(format!(
                        "with {killed} down, {} carries {} of its capacity ({} before)",
                        over.cluster,
                        of(over.full_after),
                        of(was.and_then(|was| was.full_after)),
                    ));
                }
            }
        }
        broken
    }

    /// What of a change is not to be, in words.
    fn wrong(&self, change: &Change) -> Vec<String> {
        let too_many = too_many(self.fail_if_moved, change.moved, change.queries);
        let mut wrong: Vec<String> = too_many.into_iter().collect();
        if self.fail_if_broken {
            wrong.extend(change.broken.iter().cloned());
        }
        wrong
    }
}

impl World {
    /// Everybody in their place.
    fn stage(&self, peak: f64) -> Stage<'_> {
        Stage::new(&self.paper.before, &self.places, &Demand::Space, peak)
    }

    /// What each single failure means.
    fn failures(&self, stage: &Stage<'_>) -> BTreeMap<String, Impact> {
        let all = Kind::ALL.into_iter().flat_map(|kind| kind.all(&self.plan.inventory));
        all.map(|target| (target.to_string(), self.paper.impact(stage, &[target]))).collect()
    }

    fn side(&self) -> Side<'_> {
        let World { places, zones, paper, .. } = self;
        Side { snapshot: &paper.before, places, zones, write: &show::record }
    }

    /// As `config` says, read from `disk`.
    fn of(config: &Path, disk: Disk<'_>) -> Result<World, String> {
        let mut zones = Vec::new();
        let adjust = |linked: &mut crate::files::link::Linked| {
            zones = linked.zones.iter().map(|zone| (zone.origin.clone(), zone.records.clone())).collect();
        };
        let loaded =
            load_from(config, disk, adjust).map_err(|issues| show::issues(&issues, show::Format::Full))?;
        let Loaded { plan, geography, .. } = loaded;
        let (plan, places) = (Arc::new(plan), geography.places());
        let paper = Paper::new(&plan, &[]);
        Ok(World { plan, places, zones, paper })
    }
}

/// Services of which a silent death may go unseen for longer than their TTL, though an operator accepts that: why, by name.
fn slow(plan: &Plan) -> BTreeMap<String, String> {
    let services = plan.services.iter().filter(|service| !service.is_exposed);
    let slow = services.filter_map(|service| {
        let clusters = &plan.policies[usize::from(service.policy.0)].clusters;
        let own = clusters.iter().filter_map(|id| plan.inventory.cluster(*id).check);
        let checks = service.check.map_or_else(|| own.collect::<Vec<_>>(), |check| vec![check]);
        let probing = checks.into_iter().flat_map(|check| probing(&plan.checks, check));
        let worst = probing.map(|id| Detection::worst(&plan.checks[usize::from(id.0)]).total()).max()?;
        (worst.as_secs_f64() > f64::from(service.ttl_s)).then(|| {
            let [name, ttl_s] = [service.owner.to_string(), service.ttl_s.to_string()];
            let what = format!(
                "a silent death at {name} may go unseen for {:.1} s: longer than its TTL of {ttl_s} s",
                worst.as_secs_f64()
            );
            (name, what)
        })
    });
    slow.collect()
}
