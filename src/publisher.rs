//! The one writer: routes an Event to its one owner; gives the next Snapshot, and the News.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{ClusterId, Family};
use crate::health::board::{Board, Change, Death, Kept};
use crate::health::note::Note;
use crate::health::rounds::Observation;
use crate::health::target::{Aim, TargetId};
use crate::health::verdict::{Cause, Verdict};
use crate::plan::served::ServedZone;
use crate::plan::{Plan, PoolKind};
use crate::sets::SlotSets;
use crate::snapshot::{ClusterPools, HeldTarget, LivePool, Snapshot};
use crate::steering::choose::{Pool, Standing};
use crate::wire::name::Name;
use crate::zone::edition::{Edition, is_newer};

/// How long steered answers wait for the first outcomes.
pub const WARMING_MAX: Duration = Duration::from_secs(1);

/// Whatever changes the world.
#[derive(Debug)]
pub enum Event {
    /// The files were read anew.
    Loaded(Arc<Plan>),
    /// A probe saw something.
    Observed(Observation),
    /// A probe learned something.
    Noted(Arc<Aim>, Note),
    /// A zone's secondaries get something new.
    Edited(Arc<Edition>),
    /// Time passed.
    Tick,
}

/// What became of events: all that alerts, logs, the page and state read.
#[derive(Debug, Default)]
pub struct News {
    /// Verdicts that became other ones, in their order.
    pub turned: Vec<Turned>,
    /// Groups of services that lost their last node, or have one again.
    pub all_down: Vec<AllDownNews>,
    /// Whether a new Plan is in force.
    pub loaded: bool,
    /// Zones whose secondaries get something new.
    pub edited: Vec<Arc<Edition>>,
}

/// A group of services of which all is down, or is so no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllDownNews {
    /// The first of the services, and how many more are answered alike.
    pub service: Name,
    /// How many others are.
    pub others: usize,
    /// In which family.
    pub family: Family,
    /// Whether all is down now.
    pub down: bool,
}

/// A verdict that became another one.
#[derive(Clone, Debug)]
pub struct Turned {
    /// Whose.
    pub aim: Arc<Aim>,
    /// What was held.
    pub from: Verdict,
    /// What is held now.
    pub to: Verdict,
    /// The last failure's words.
    pub cause: Option<Cause>,
    /// How a death was seen.
    pub death: Option<Death>,
}

/// Owns what changes; made of it, Snapshots.
#[derive(Debug)]
pub struct Publisher {
    plan: Arc<Plan>,
    board: Board,
    pools: Vec<Arc<ClusterPools>>,
    /// Each cluster's targets: they stand together.
    targets: Vec<Range<u32>>,
    /// Group by group of the Plan: whether none of its clusters is up or unknown.
    all_down: Vec<bool>,
    /// Clusters whose pools are not what the board says.
    dirty: BTreeSet<ClusterId>,
    /// Until when steered answers wait at the latest; `None`: they do not.
    warming: Option<Instant>,
    changed: bool,
    /// Zone by zone: what its secondaries get.
    editions: Vec<Option<Arc<Edition>>>,
    news: News,
}

impl Publisher {
    /// With a first Plan, and what was kept of the verdicts of an earlier life.
    pub fn new(plan: Arc<Plan>, kept: &[Kept], now: Instant) -> Publisher {
        let mut publisher = Publisher {
            plan: plan.clone(),
            board: Board::default(),
            pools: Vec::new(),
            targets: Vec::new(),
            all_down: Vec::new(),
            dirty: BTreeSet::new(),
            warming: Some(now + WARMING_MAX),
            changed: true,
            editions: Vec::new(),
            news: News::default(),
        };
        publisher.load(plan, now);
        publisher.board.restore(kept, now);
        publisher
    }

    /// Takes an event. Nothing is to be seen of it before [`Publisher::publish`].
    pub fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Loaded(plan) => self.load(plan, now),
            Event::Observed(observation) => self.observe(&observation),
            Event::Noted(aim, note) => {
                if let Some(id) = self.board.note(&aim, &note, now) {
                    self.dirty.insert(self.board.target(id).cluster);
                    self.changed = true;
                }
            }
            Event::Edited(edition) => self.edit(edition),
            Event::Tick => {}
        }
    }

    /// The Snapshot of all that was handled, where it differs from the last one; and what happened since.
    pub fn publish(&mut self, now: Instant) -> (Option<Snapshot>, News) {
        self.warm(now);
        if !std::mem::take(&mut self.changed) {
            return (None, std::mem::take(&mut self.news));
        }
        for cluster in std::mem::take(&mut self.dirty) {
            self.pools[usize::from(cluster.0)] = Arc::new(self.pools_of(cluster));
        }
        self.count_down();
        let (warming, all_down) = (self.warming.is_some(), self.all_down.clone());
        let news = std::mem::take(&mut self.news);
        let (plan, pools, editions) = (self.plan.clone(), self.pools.clone(), self.editions.clone());
        (Some(Snapshot { plan, pools, warming, all_down, editions }), news)
    }

    /// What is held of every target.
    pub fn board(&self) -> &Board {
        &self.board
    }

    fn load(&mut self, plan: Arc<Plan>, now: Instant) {
        self.board.load(plan.targets.clone(), now);
        self.pools =
            plan.inventory.ids().map(|_| Arc::new(ClusterPools { pools: vec![], held: vec![] })).collect();
        self.dirty = plan.inventory.ids().collect();
        self.targets = spans(&plan);
        self.all_down = vec![false; plan.groups.len()];
        let editions = self.following(&plan);
        let known =
            |edition: &Arc<Edition>| self.editions.iter().flatten().any(|last| Arc::ptr_eq(last, edition));
        self.news.edited.extend(editions.iter().flatten().filter(|edition| !known(edition)).cloned());
        self.editions = editions;
        self.plan = plan;
        self.changed = true;
        self.news.loaded = true;
    }

    /// The editions of a plan; but those of health that came into force while it was made: serials do not go back.
    fn following(&self, plan: &Plan) -> Vec<Option<Arc<Edition>>> {
        let newest = |(edition, served): (&Option<Arc<Edition>>, &ServedZone)| {
            let edition = edition.as_ref()?;
            let last = self.plan.apexes.get(&served.origin);
            let last = last.and_then(|&zone| self.editions.get(zone as usize)?.as_ref());
            let last = last.filter(|last| is_newer(last.serial(), edition.serial()));
            Some(Arc::clone(last.filter(|_| served.secondaries.of_health).unwrap_or(edition)))
        };
        plan.editions.iter().zip(&plan.served).map(newest).collect()
    }

    /// Puts an edition in force, unless a reload has taken its zone away or a newer one is there.
    fn edit(&mut self, edition: Arc<Edition>) {
        let Some(&zone) = self.plan.apexes.get(edition.origin()) else { return };
        // What was on its way when a reload came: a zone of health no more.
        if !self.plan.served[zone as usize].secondaries.of_health {
            return;
        }
        let Some(last) = &mut self.editions[zone as usize] else { return };
        if is_newer(edition.serial(), last.serial()) {
            *last = Arc::clone(&edition);
            self.news.edited.push(edition);
            self.changed = true;
        }
    }

    fn observe(&mut self, observation: &Observation) {
        // A target that is gone, or is probed otherwise now: what was seen tells nothing of it.
        let Some(id) = self.board.find(&observation.aim) else { return };
        let Some(change) = self.board.observe(id, &observation.seen) else { return };
        self.dirty.insert(self.board.target(id).cluster);
        self.changed = true;
        self.tell(change);
    }

    fn tell(&mut self, change: Change) {
        let Change { target, from, to, death } = change;
        if let (Verdict::Suspect { .. }, Verdict::Suspect { .. }) = (from, to) {
            return; // The date came nearer: no other verdict.
        }
        let aim = self.board.target(target).aim.clone();
        let cause = self.board.held(target).cause.clone();
        self.news.turned.push(Turned { aim, from, to, cause, death });
    }

    /// Ends the waiting for first outcomes, once all are there or the time is over.
    fn warm(&mut self, now: Instant) {
        let Some(until) = self.warming else { return };
        let awaited = self.board.ids().any(|id| self.board.held(id).verdict == Verdict::Unknown);
        if !awaited || now >= until {
            self.warming = None;
            self.changed = true;
        }
    }

    /// Finds the groups of which all is down.
    fn count_down(&mut self) {
        for (group, down) in self.plan.groups.iter().zip(&mut self.all_down) {
            let pool = |id: &ClusterId| &self.pools[usize::from(id.0)].pools[usize::from(group.kind)].pool;
            let lives = |id: &ClusterId| matches!(pool(id).standing, Standing::Up | Standing::Unknown);
            let now = !group.candidates.iter().any(lives);
            if std::mem::replace(down, now) != now {
                self.news.all_down.push(AllDownNews {
                    service: self.plan.services[group.services[0].0 as usize].owner.clone(),
                    others: group.services.len() - 1,
                    family: self.plan.kinds[usize::from(group.kind)].family,
                    down: now,
                });
            }
        }
    }

    fn pools_of(&self, id: ClusterId) -> ClusterPools {
        let at = usize::from(id.0);
        let pools = self.plan.kinds.iter().zip(&self.plan.serve_all[at]);
        let pools = pools.map(|(kind, all)| self.pool_of(id, kind, all)).collect();
        let held = self.targets[at].clone().map(TargetId).map(|target| HeldTarget {
            target: self.board.target(target).clone(),
            held: self.board.held(target).clone(),
            said: self.board.said(target).clone(),
        });
        ClusterPools { pools, held: held.collect() }
    }

    fn pool_of(&self, id: ClusterId, kind: &PoolKind, all: &SlotSets) -> LivePool {
        let cluster = self.plan.inventory.cluster(id);
        let deal = &self.plan.deals[usize::from(id.0)][kind.family as usize];
        let Some(check) = kind.check_in(cluster) else {
            return LivePool { pool: Pool { open: 0, standing: Standing::Withdrawn }, sets: all.clone() };
        };
        let masks = self.board.masks(id, check, kind.family);
        let up = (masks.up | deal.forced) & deal.all();
        let unknown = masks.unknown & deal.all();
        let standing = match (deal.all(), up, unknown) {
            (0, _, _) => Standing::Withdrawn,
            (_, 0, 0) => Standing::Dead,
            (_, 0, _) => Standing::Unknown,
            _ => Standing::Up,
        };
        let open = if standing == Standing::Up { u64::MAX } else { 0 };
        let chosen = if standing == Standing::Unknown { unknown } else { up };
        let mut doubts = vec![None; deal.addresses.len()];
        for (member, target) in self.board.members(id, check, kind.family) {
            let forced = deal.forced >> member & 1 == 1;
            if let (Verdict::Suspect { until }, false) = (self.board.held(target).verdict, forced) {
                doubts[usize::from(member)] = Some(until);
            }
        }
        let table = deal.dealt.table(kind.answers, chosen);
        let sets = SlotSets::new(&table, &deal.addresses, |member| doubts[member]);
        LivePool { pool: Pool { open, standing }, sets }
    }
}

/// Where each cluster's targets stand among all: `targets` gives them cluster by cluster.
fn spans(plan: &Plan) -> Vec<Range<u32>> {
    let mut spans = vec![0..0; plan.inventory.clusters.len()];
    for (target, at) in plan.targets.iter().zip(0u32..) {
        let span = &mut spans[usize::from(target.cluster.0)];
        span.start = if span.end == 0 { at } else { span.start };
        span.end = at + 1;
    }
    spans
}
