//! Rehearsed failures: what the prober takes to have failed, for how long, and when what of it was seen.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::listening::chance;
use super::start::Handle;
use crate::cluster::Family;
use crate::files::duration;
use crate::health::drill::{DRILL_MAX, Felled, WATCHED_WITHIN};
use crate::health::overrides::{Selector, WORDS_MAX};
use crate::health::target::TargetKey;
use crate::health::verdict::Verdict;
use crate::impact::clients::{left, watched};
use crate::plan::{Plan, Route};
use crate::probe::schedule::Drill;
use crate::publisher::{News, Publisher};
use crate::snapshot::{Live, Snapshot};

/// The most selectors of a drill.
const KILLS_MAX: usize = 100;
/// The most targets that a report lists.
const TARGETS_MAX: usize = 1000;

/// A drill, as it comes from a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What fails: see [`Selector`].
    pub kill: Vec<String>,
    /// For how long, as files write durations; at most [`DRILL_MAX`].
    #[serde(rename = "for")]
    pub length: String,
    /// Who does it.
    pub who: String,
    /// Whether services may be left without an answer.
    pub force: bool,
    /// Whether it is only to be said what it would mean.
    pub dry: bool,
}

/// What a command asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// That one begins.
    Begin(Request),
    /// How the one of this `id` goes. Nobody asking for [`WATCHED_WITHIN`] ends it.
    Look(u64),
    /// That it ends.
    End(u64),
}

/// Answers a command: for one that begins, with questions by which it can be seen from outside.
///
/// # Errors
/// A sentence.
pub(super) async fn answer(
    asked: &str,
    handle: &Handle,
    live: &Arc<Live>,
    addresses: &[SocketAddr],
) -> Result<String, String> {
    let asked: Asked = serde_json::from_str(asked).map_err(|error| format!("not of a drill: {error}"))?;
    let Asked::Begin(request) = &asked else { return handle.drill(asked).await };
    let (kill, before) = (selectors(&request.kill)?, Arc::clone(&live.now()));
    let at = addresses.first().map(|at| asked_at(*at)).ok_or("this server answers nowhere")?;
    let questions = tokio::task::spawn_blocking(move || questions(&before, &kill, at.ip())).await;
    let questions = questions.map_err(|error| format!("looking for clients failed: {error}"))?;
    let told = handle.drill(asked).await?;
    let mut told: Value = serde_json::from_str(&told).unwrap_or_default();
    told["questions"] = Value::Array(questions);
    told["asked_at"] = at.to_string().into();
    Ok(told.to_string())
}

/// Where to ask a server on this machine, and from which address: where it listens; where it listens everywhere, over loopback.
fn asked_at(listening: SocketAddr) -> SocketAddr {
    let here: IpAddr = match listening.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        own => own,
    };
    SocketAddr::new(here, listening.port())
}

fn selectors(kill: &[String]) -> Result<Vec<Selector>, String> {
    match kill.len() {
        0 => Err("say what fails: --kill sin/sin-1".into()),
        1..=KILLS_MAX => kill.iter().map(|text| Selector::parse(text)).collect(),
        _ => Err(format!("at most {KILLS_MAX} targets: use a pattern")),
    }
}

/// Questions that are answered now with what will fail, when they come from there.
fn questions(snapshot: &Snapshot, kill: &[Selector], from: IpAddr) -> Vec<Value> {
    let felled: Vec<IpAddr> = addresses(&snapshot.plan, kill).into_keys().collect();
    let of = |route: &Route| &snapshot.plan.services[route.service.0 as usize];
    let watched = watched(snapshot, &felled, from);
    let told = watched.iter().map(|watched| {
        json!({
            "name": of(watched.route).owner.to_string(),
            "type": watched.route.family.rtype(),
            "ttl_s": watched.route.ttl_s,
            "client": watched.client.map(|(address, bits)| format!("{address}/{bits}")),
        })
    });
    told.collect()
}

/// The addresses of the nodes that selectors mean, each with the keys of its cluster and its node.
fn addresses(plan: &Plan, kill: &[Selector]) -> BTreeMap<IpAddr, (Arc<str>, Arc<str>)> {
    let mut all = BTreeMap::new();
    for cluster in &plan.inventory.clusters {
        for node in cluster.nodes.iter().filter(|node| kill.iter().any(|of| of.means(cluster, node))) {
            let keys = (Arc::clone(&cluster.key), Arc::clone(&node.key));
            all.extend(node.addresses.iter().map(|address| (address.ip, keys.clone())));
        }
    }
    all
}

/// The drill that is under way, or the last one.
pub(super) struct Drilling {
    felled: watch::Sender<Option<Arc<Felled>>>,
    last: Option<Last>,
}

/// A drill, and what was seen of it.
struct Last {
    /// Whoever asks of it knows this.
    id: u64,
    kill: Vec<String>,
    who: String,
    began: Instant,
    /// When it ends by itself.
    end: Instant,
    /// When somebody looked at it.
    looked: Instant,
    /// When it ended, and why.
    ended: Option<(Instant, &'static str)>,
    targets: BTreeMap<TargetKey, Seen>,
    /// Those that were in answers when it began.
    addresses: BTreeMap<IpAddr, Gone>,
}

/// When a target's verdict turned.
#[derive(Default)]
struct Seen {
    suspect: Option<Instant>,
    down: Option<Instant>,
    /// After the end.
    up: Option<Instant>,
}

/// When an address left the answers of its cluster, and when it came back after the end.
struct Gone {
    cluster: Arc<str>,
    removed: Option<Instant>,
    back: Option<Instant>,
}

impl Drilling {
    /// None yet; and what the prober looks at.
    pub(super) fn new() -> (Drilling, Drill) {
        let (felled, drill) = watch::channel(None);
        (Drilling { felled, last: None }, drill)
    }

    /// Does what is asked; what is to be said of it, as JSON.
    pub(super) fn asked(
        &mut self,
        asked: &Asked,
        publisher: &Publisher,
        before: &Snapshot,
        now: Instant,
    ) -> Result<String, String> {
        match asked {
            Asked::Begin(request) => self.begin(request, publisher, before, now),
            Asked::Look(id) => {
                self.of(*id)?;
                if let Some(last) = self.running() {
                    last.looked = now;
                    let until = last.until();
                    let later = |felled: &mut Option<Arc<Felled>>| {
                        *felled = felled.as_ref().map(|felled| Arc::new(felled.until(until)));
                    };
                    self.felled.send_modify(later);
                }
                self.told(now)
            }
            Asked::End(id) => {
                self.of(*id)?;
                self.end("it was ended", now);
                self.told(now)
            }
        }
    }

    /// Whether the last drill is the one of this id.
    fn of(&self, id: u64) -> Result<(), String> {
        let is_it = self.last.as_ref().is_some_and(|last| last.id == id);
        is_it.then_some(()).ok_or_else(|| "your drill is over".into())
    }

    fn running(&mut self) -> Option<&mut Last> {
        self.last.as_mut().filter(|last| last.ended.is_none())
    }

    fn begin(
        &mut self,
        request: &Request,
        publisher: &Publisher,
        before: &Snapshot,
        now: Instant,
    ) -> Result<String, String> {
        let kill = selectors(&request.kill)?;
        let length =
            duration::parse(&request.length).filter(|length| !length.is_zero() && *length <= DRILL_MAX);
        let length = length.ok_or_else(|| {
            format!("`{}` is no length of a drill: write e.g. `60s`, at most 10m", request.length)
        })?;
        if let Some(last) = self.running() {
            let (kill, left) = (last.kill.join(", "), last.end.saturating_duration_since(now).as_secs());
            return Err(format!("a drill by {} is under way: {kill}, for {left} s more", last.who));
        }
        if before.doubting.is_some() {
            return Err("this server doubts its own network: what it would see says nothing".into());
        }
        let plan = publisher.plan();
        if let Some(unknown) = kill.iter().find(|of| of.count(&plan.inventory) == 0) {
            return Err(format!("no node is meant by `{unknown}`"));
        }
        let felled = addresses(plan, &kill);
        // Of what is in no answer nothing can be seen: a node that is drained, or down already, or of a family in which nobody answers.
        let answered = |address: &IpAddr| holding(before, &felled[address].0, *address);
        let (answered, others): (Vec<IpAddr>, Vec<IpAddr>) = felled.keys().copied().partition(answered);
        if answered.is_empty() {
            return Err("none of these nodes is in an answer now: there is nothing to rehearse".into());
        }
        let dead = |target: &_| kill.iter().any(|of| of.means_target(&plan.inventory, target));
        let after = publisher.without(dead, now);
        let left = left(before, &after);
        let name = |route: &&Route| {
            let owner = &plan.services[route.service.0 as usize].owner;
            format!("{owner} {}", route.family.rtype())
        };
        let left: Vec<String> = left.iter().map(name).collect();
        if !left.is_empty() && !request.force {
            return Err(format!(
                "clients of {} would be left without an answer: choose less, or use --force",
                left.join(", ")
            ));
        }
        let hit = plan.routes.iter().filter(|route| {
            let cluster = |key: &Arc<str>| plan.inventory.id(key);
            let policy = plan.services[route.service.0 as usize].policy;
            let clusters = &plan.policies[usize::from(policy.0)].clusters;
            felled.iter().any(|(ip, (key, _))| {
                Family::of(*ip) == route.family && cluster(key).is_some_and(|id| clusters.contains(&id))
            })
        });
        let services: Vec<Value> =
            hit.map(|route| json!({ "service": name(&route), "ttl_s": route.ttl_s })).collect();
        let nodes: BTreeSet<_> = felled.values().cloned().collect();
        let mut told = json!({
            "kill": request.kill,
            "nodes": nodes.iter().map(|(cluster, node)| format!("{cluster}/{node}")).collect::<Vec<_>>(),
            "addresses": answered,
            "not_in_answers": others.iter().map(|address| {
                let (cluster, node) = &felled[address];
                format!("{cluster}/{node} {address}")
            }).collect::<Vec<_>>(),
            "for_s": length.as_secs_f64(),
            "services": services,
            "left": left,
        });
        if request.dry {
            told["state"] = "dry".into();
            return Ok(told.to_string());
        }
        let who: String = request.who.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
        let gone = |ip: &IpAddr| (*ip, Gone { cluster: felled[ip].0.clone(), removed: None, back: None });
        let held = before.pools.iter().flat_map(|pools| &pools.held);
        let falls = held.filter(|held| {
            let key = &held.target.aim.key;
            dead(&held.target) && answered.contains(&key.address) && held.held.verdict != Verdict::Down
        });
        let last = Last {
            id: chance().map_err(|error| error.to_string())?,
            kill: request.kill.clone(),
            began: now,
            end: now + length,
            looked: now,
            ended: None,
            targets: falls.map(|held| (held.target.aim.key.clone(), Seen::default())).collect(),
            addresses: answered.iter().map(gone).collect(),
            who,
        };
        let (kill, who, length) = (last.kill.join(", "), &last.who, duration::shown(length));
        tracing::warn!(%kill, %who, "a drill begins: {kill} fails at the probe for {length}");
        let what = format!("a drill by {who}, for {length}");
        self.felled.send_replace(Some(Arc::new(Felled::new(nodes, last.until(), &what))));
        told["state"] = "running".into();
        told["id"] = last.id.into();
        self.last = Some(last);
        Ok(told.to_string())
    }

    fn end(&mut self, why: &'static str, now: Instant) {
        let Some(last) = self.running() else { return };
        last.ended = Some((now, why));
        let (kill, who) = (last.kill.join(", "), last.who.clone());
        self.felled.send_replace(None);
        tracing::warn!(%kill, %who, "the drill of {kill} is over: {why}");
    }

    /// Sees what became of it, and ends it in time.
    pub(super) fn watch(&mut self, snapshot: &Snapshot, news: &News, now: Instant) {
        let Some(last) = &mut self.last else { return };
        let is_over = last.ended.is_some();
        for turned in &news.turned {
            let Some(seen) = last.targets.get_mut(&turned.aim.key) else { continue };
            let of = match turned.to {
                Verdict::Suspect { .. } => &mut seen.suspect,
                Verdict::Down => &mut seen.down,
                Verdict::Up if is_over => &mut seen.up,
                _ => continue,
            };
            of.get_or_insert(now);
        }
        for (address, gone) in &mut last.addresses {
            let holds = || holding(snapshot, &gone.cluster, *address);
            match gone.removed {
                None if !is_over && !holds() => gone.removed = Some(now),
                Some(_) if is_over && gone.back.is_none() && holds() => gone.back = Some(now),
                _ => {}
            }
        }
        let why = match () {
            () if is_over => return,
            () if now >= last.end => "its time is over",
            () if now >= last.until() => "nobody watches it any more",
            () if snapshot.doubting.is_some() => "this server doubts its own network",
            () => return,
        };
        self.end(why, now);
    }

    /// How it goes, or went, as JSON; all times in seconds since it began.
    fn told(&self, now: Instant) -> Result<String, String> {
        let last = self.last.as_ref().ok_or("there was no drill")?;
        let since = |at: Instant| at.saturating_duration_since(last.began).as_secs_f64();
        let targets = last.targets.iter().take(TARGETS_MAX).map(|(key, seen)| {
            json!({
                "cluster": &*key.cluster, "node": &*key.node, "address": key.address, "check": &*key.check,
                "suspect_s": seen.suspect.map(since), "down_s": seen.down.map(since), "up_s": seen.up.map(since),
            })
        });
        let addresses = last.addresses.iter().take(TARGETS_MAX).map(|(address, gone)| {
            json!({ "address": address, "removed_s": gone.removed.map(since), "back_s": gone.back.map(since) })
        });
        let told = json!({
            "state": if last.ended.is_some() { "over" } else { "running" },
            "elapsed_s": since(now),
            "ended_s": last.ended.map(|(at, _)| since(at)),
            "why": last.ended.map(|(_, why)| why),
            "targets": targets.collect::<Vec<_>>(),
            "addresses": addresses.collect::<Vec<_>>(),
        });
        Ok(told.to_string())
    }
}

impl Last {
    /// When it ends, if nobody looks at it any more.
    fn until(&self) -> Instant {
        self.end.min(self.looked + WATCHED_WITHIN)
    }
}

/// Whether any slot of any service is answered with this address, as long as its cluster is chosen.
fn holding(snapshot: &Snapshot, cluster: &Arc<str>, address: IpAddr) -> bool {
    let Some(id) = snapshot.plan.inventory.id(cluster) else { return false };
    let pools = &snapshot.pools[usize::from(id.0)];
    let kinds = snapshot.plan.kinds.iter().zip(&pools.pools);
    kinds.into_iter().any(|(kind, pool)| kind.family == Family::of(address) && pool.sets.holds(address))
}

/// How long those who begin a drill wait between looks: much less than [`WATCHED_WITHIN`].
pub const LOOK_EVERY: Duration = Duration::from_millis(100);
