//! The one writer: routes an Event to its one owner; gives the next Snapshot, and the News.

mod pools;
mod rehearsal;
pub mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::pools::{World, pools_of};
use crate::bending::{carried, same_lists};
use crate::cluster::{ClusterId, Family};
use crate::health::board::{Board, Change, Death, Kept};
use crate::health::certificate::Look;
use crate::health::doubt::{Doubt, Share, Sight, Step};
use crate::health::note::Note;
use crate::health::overrides::{Change as OrderChange, KeptOrder, OrderNews, Orders};
use crate::health::rounds::Observation;
use crate::health::target::{Aim, TargetId};
use crate::health::tracker::Tracker;
use crate::health::verdict::{Cause, Verdict};
use crate::plan::served::ServedZone;
use crate::plan::{Group, Plan};
use crate::snapshot::{ClusterPools, Snapshot};
use crate::steering::bend::Bends;
use crate::steering::choose::Standing;
use crate::wire::name::Name;
use crate::zone::edition::{Edition, is_newer};

/// How long steered answers wait for the first outcomes.
pub const WARMING_MAX: Duration = Duration::from_secs(1);

/// How often what no answer rests on is shown, and what is not known any more is let go.
const LOOK: Duration = Duration::from_secs(1);

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
    /// An operator said something.
    Overridden(OrderChange),
    /// Ranked lists stand otherwise today, those of this Plan.
    Bent(Arc<Plan>, Arc<Bends>),
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
    /// What became of what operators said.
    pub orders: Vec<OrderNews>,
    /// Where the vantage doubts itself from now on, or does so no more.
    pub doubts: Vec<DoubtNews>,
    /// Whether falls were forgiven: whoever paces the probes must know.
    pub forgiven: bool,
    /// Whether a new Plan is in force.
    pub loaded: bool,
    /// Zones whose secondaries get something new.
    pub edited: Vec<Arc<Edition>>,
    /// Certificates whose end came near, and such that were renewed: each once.
    pub certificates: Vec<CertificateNews>,
}

/// A certificate whose end came near ([`Tls::expires_within`](crate::health::check::Tls::expires_within)), or that was
/// renewed after that.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateNews {
    /// Who showed it.
    pub aim: Arc<Aim>,
    /// How long it holds; zero: not any more.
    pub left: Duration,
    /// Whether it was renewed; else its end came near.
    pub renewed: bool,
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

/// The vantage doubts itself, or does so no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubtNews {
    /// Of which family.
    pub family: Family,
    /// Whether it does from now on.
    pub began: bool,
    /// The targets that fell of late.
    pub fallen: Share,
    /// The canaries that fail.
    pub failing: Share,
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
    /// What always answers, and what the vantage thinks of itself over each family.
    canaries: Board,
    doubts: [Doubt; 2],
    /// Whether that is to be thought over before the next Snapshot.
    ponder: bool,
    pools: Vec<Arc<ClusterPools>>,
    /// Each cluster's targets: they stand together.
    targets: Vec<Range<u32>>,
    /// Group by group of the Plan: whether none of its clusters is up or unknown.
    all_down: Vec<bool>,
    /// What operators said today.
    orders: Orders,
    /// How ranked lists stand today.
    bends: Arc<Bends>,
    /// Clusters whose pools are not what the board says.
    dirty: BTreeSet<ClusterId>,
    /// Clusters whose nodes said something that no answer rests on.
    noted: BTreeSet<ClusterId>,
    /// When these, and what is not known any more, are looked at next.
    look: Instant,
    /// Clusters in which a slow start is under way: when its next step is due.
    steps: BTreeMap<ClusterId, Instant>,
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
            canaries: Board::default(),
            doubts: Default::default(),
            ponder: false,
            pools: Vec::new(),
            targets: Vec::new(),
            all_down: Vec::new(),
            orders: Orders::default(),
            bends: Arc::default(),
            dirty: BTreeSet::new(),
            noted: BTreeSet::new(),
            look: now + LOOK,
            steps: BTreeMap::new(),
            warming: Some(now + WARMING_MAX),
            changed: true,
            editions: Vec::new(),
            news: News::default(),
        };
        publisher.load(plan, now);
        publisher.board.restore(kept, now);
        publisher
    }

    /// Takes back what operators had said in an earlier life.
    pub fn restore_orders(&mut self, kept: Vec<KeptOrder>, now: Instant) {
        self.orders.restore(kept, now);
        self.dirty = self.plan.inventory.ids().collect();
    }

    /// Takes an event. Nothing is to be seen of it before [`Publisher::publish`].
    pub fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Loaded(plan) => self.load(plan, now),
            Event::Observed(observation) => self.observe(&observation),
            Event::Noted(aim, note) => self.note(&aim, &note, now),
            Event::Edited(edition) => self.edit(edition),
            Event::Overridden(change) => self.order(change),
            Event::Bent(plan, bends) => self.bend(&plan, bends),
            Event::Tick => {
                self.ponder = true;
                self.look(now);
            }
        }
    }

    /// The Snapshot of all that was handled, where it differs from the last one; and what happened since.
    pub fn publish(&mut self, now: Instant) -> (Option<Snapshot>, News) {
        self.warm(now);
        self.pass(now);
        if std::mem::take(&mut self.ponder) {
            self.ponder(now);
        }
        if !std::mem::take(&mut self.changed) {
            return (None, std::mem::take(&mut self.news));
        }
        for cluster in std::mem::take(&mut self.dirty) {
            let world = World { plan: &self.plan, board: &self.board, orders: &self.orders, now };
            let targets = self.targets[usize::from(cluster.0)].clone().map(TargetId);
            let (pools, step) = pools_of(&world, cluster, targets);
            self.pools[usize::from(cluster.0)] = Arc::new(pools);
            match step {
                Some(step) => self.steps.insert(cluster, step),
                None => self.steps.remove(&cluster),
            };
        }
        self.count_down();
        let (warming, all_down) = (self.warming.is_some(), self.all_down.clone());
        let news = std::mem::take(&mut self.news);
        let (plan, pools, editions) = (self.plan.clone(), self.pools.clone(), self.editions.clone());
        let (orders, expired) = (&self.orders, self.orders.expired().cloned().collect());
        let (orders, doubting) = (orders.standing().cloned().collect(), self.doubting());
        let bends = Arc::clone(&self.bends);
        (Some(Snapshot { plan, pools, warming, all_down, editions, bends, doubting, orders, expired }), news)
    }

    /// The Plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What operators said today.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// All that is to be probed, each with what is held of it.
    pub fn aims(&self) -> impl Iterator<Item = (Arc<Aim>, Tracker)> {
        self.board.aims().chain(self.canaries.aims())
    }

    /// What is held of every target.
    pub fn board(&self) -> &Board {
        &self.board
    }

    fn load(&mut self, plan: Arc<Plan>, now: Instant) {
        self.board.load(plan.targets.clone(), now);
        self.canaries.load(plan.distrust.targets(), now);
        self.pools = plan.inventory.ids().map(|_| Arc::new(ClusterPools::default())).collect();
        self.dirty = plan.inventory.ids().collect();
        self.noted.clear();
        self.steps.clear();
        self.targets = spans(&plan);
        self.all_down = vec![false; plan.groups.len()];
        let editions = self.following(&plan);
        let known =
            |edition: &Arc<Edition>| self.editions.iter().flatten().any(|last| Arc::ptr_eq(last, edition));
        self.news.edited.extend(editions.iter().flatten().filter(|edition| !known(edition)).cloned());
        self.editions = editions;
        // Lists stand as they stood, if they are there again: nobody moves because a file was read.
        if !same_lists(&self.plan, &plan) {
            self.bends = Arc::new(carried(&self.bends, &self.plan, &plan));
        }
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
        if let Some(canary) = self.canaries.find(&observation.aim) {
            self.ponder |= self.canaries.observe(canary, &observation.seen).is_some();
            return;
        }
        // A target that is gone, or is probed otherwise now: what was seen tells nothing of it.
        let Some(id) = self.board.find(&observation.aim) else { return };
        let Some(change) = self.board.observe(id, &observation.seen) else { return };
        self.dirty.insert(self.board.target(id).cluster);
        self.changed = true;
        self.ponder |= change.to == Verdict::Down || self.doubting().is_some();
        self.tell(change);
    }

    /// Since when the vantage doubts itself; `None`: it does not.
    fn doubting(&self) -> Option<Instant> {
        self.doubts.iter().filter_map(|doubt| doubt.since).min()
    }

    /// Thinks over whether what is seen is the world's doing, or our own network's.
    fn ponder(&mut self, now: Instant) {
        if self.plan.distrust.canaries.is_empty() && self.doubting().is_none() {
            return;
        }
        let [v4, v6] = Family::ALL.map(|family| self.canaries.failing(family));
        // Where a family has no canary of its own, it goes by those of the other.
        let or = |own: Share, other: Share| if own.all > 0 { own } else { other };
        self.ponder_over(Family::V4, or(v4, v6), now);
        self.ponder_over(Family::V6, or(v6, v4), now);
        self.changed |= !self.dirty.is_empty();
    }

    fn ponder_over(&mut self, family: Family, failing: Share, now: Instant) {
        let doubt = &mut self.doubts[family as usize];
        if !doubt.is_uneasy(failing) {
            return; // As always: no target need be looked at.
        }
        let (fallen, astray) = (self.board.fallen(family, now), self.board.astray(family));
        let was = doubt.since;
        let turned = match doubt.step(&self.plan.distrust, Sight { fallen, astray, failing }, now) {
            Step::Stay => return,
            Step::Freeze => {
                let frozen = self.board.freeze(family, now);
                self.news.forgiven |= frozen.forgiven;
                frozen.turned
            }
            Step::Thaw(calm) => {
                let (turned, is_frozen) = self.board.thaw(family, calm);
                if !is_frozen {
                    doubt.end();
                }
                turned
            }
        };
        let is = doubt.since;
        self.dirty.extend(turned.iter().map(|target| self.board.target(*target).cluster));
        if was.is_some() != is.is_some() {
            self.news.doubts.push(DoubtNews { family, began: was.is_none(), fallen, failing });
            self.dirty.extend(self.plan.inventory.ids());
        }
    }

    /// Once a second: shows what nodes said, and lets go of what is not known any more.
    fn look(&mut self, now: Instant) {
        if now < self.look {
            return;
        }
        self.look = now + LOOK;
        self.dirty.append(&mut self.noted);
        for change in self.board.expire(now) {
            self.dirty.insert(self.board.target(change.target).cluster);
            self.tell(change);
        }
        self.changed |= !self.dirty.is_empty();
    }

    fn note(&mut self, aim: &Aim, note: &Note, now: Instant) {
        let Some((id, look)) = self.board.note(aim, note, now) else { return };
        let cluster = self.board.target(id).cluster;
        if let Note::Load { .. } | Note::Warning(_) = note {
            // Thousands may say so each second, and nobody is answered otherwise for it.
            self.noted.insert(cluster);
            return;
        }
        self.dirty.insert(cluster);
        self.changed = true;
        let renewed = match look {
            Look::Other => return,
            Look::Near => false,
            Look::Renewed => true,
        };
        let ends = self.board.certificate(id).map_or(now, |certificate| certificate.ends());
        let (aim, left) = (self.board.target(id).aim.clone(), ends.saturating_duration_since(now));
        self.news.certificates.push(CertificateNews { aim, left, renewed });
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

    fn order(&mut self, change: OrderChange) {
        let before = self.news.orders.len();
        self.orders.change(change, &mut self.news.orders);
        self.reorder(before);
    }

    /// Takes how lists stand today, unless a reload has made others meanwhile.
    fn bend(&mut self, plan: &Arc<Plan>, bends: Arc<Bends>) {
        if Arc::ptr_eq(plan, &self.plan) {
            self.bends = bends;
            self.changed = true;
        }
    }

    /// Does what is due by now: the ends of orders, the steps of slow starts.
    fn pass(&mut self, now: Instant) {
        let before = self.news.orders.len();
        self.orders.pass(now, &mut self.news.orders);
        self.reorder(before);
        let due: Vec<_> = self.steps.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        self.changed |= !due.is_empty();
        self.dirty.extend(due);
    }

    /// Has the clusters made anew that the news of orders concern, from that place on.
    fn reorder(&mut self, from: usize) {
        for news in &self.news.orders[from..] {
            let reached = |id: &ClusterId| news.order.target.reaches(self.plan.inventory.cluster(*id));
            self.dirty.extend(self.plan.inventory.ids().filter(reached));
            self.changed = true;
        }
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
            let now = is_down(group, &self.pools);
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
}

/// Whether none of a group's clusters is up or unknown.
fn is_down(group: &Group, pools: &[Arc<ClusterPools>]) -> bool {
    let lives = |id: &ClusterId| {
        let pool = &pools[usize::from(id.0)].pools[usize::from(group.kind)].pool;
        matches!(pool.standing, Standing::Up | Standing::Short | Standing::Unknown)
    };
    !group.candidates.iter().any(lives)
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
