//! The desk: which conditions stand, which of them were told, and what is to be told now.
//!
//! ```text
//!            condition stands                     `hold` over, and `group_wait` of the first of its group
//! (nothing) ------------------> pending ---------------------------------------------------------> told --\ `repeat`: told again
//!     ^                          |   ^ said by a graver one: its hold begins anew                  |  ^ <-/
//!     |<------- it is gone ------/                                                      it is gone v  | it stands again: nothing is told
//!     \<----------- `resolve_after` over, and `group_wait`: the resolution is told -------------- leaving
//!                    (at once, where a clock says it: what comes again is another one)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Identity, Kind, Label};
use super::notification::{Alert, Down, Event, Group, LISTED_MAX, Notification, Scope, summary, thing};

/// When things are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A condition is told once it has stood for so long, without a gap; default 30 s. Turn it up where blips are told.
    pub hold: Duration,
    /// The end of an alert is told once its condition has been gone for so long; default 60 s. Turn it up where one that flaps is told again
    /// and again.
    pub resolve_after: Duration,
    /// How long others are waited for that go into the same notification; default 10 s.
    pub group_wait: Duration,
    /// What fires is told again after so long; default 4 h.
    pub repeat: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        let [hold, resolve_after, group_wait, repeat] = [30, 60, 10, 4 * 3600].map(Duration::from_secs);
        Timing { hold, resolve_after, group_wait, repeat }
    }
}

/// How long others are waited for where something is urgent: what ends services ends several of them in the same second.
const URGENT_WAIT: Duration = Duration::from_secs(1);
/// Time does not pass by so much at once: the clock was set, or the machine slept. Nothing stood for longer because of that.
const LEAP: Duration = Duration::from_secs(60);

impl Timing {
    fn hold(&self, kind: Kind) -> Duration {
        if kind.is_urgent() { Duration::ZERO } else { self.hold }
    }

    fn group_wait(&self, kind: Kind) -> Duration {
        if kind.is_urgent() { self.group_wait.min(URGENT_WAIT) } else { self.group_wait }
    }

    fn resolve_after(&self, kind: Kind) -> Duration {
        if kind.is_moment() { Duration::ZERO } else { self.resolve_after }
    }
}

/// Which conditions stand, and which of them were told.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    timing: Timing,
    alerts: BTreeMap<Identity, Held>,
    /// Whether it has seen what stands: before that nothing is known to have ended.
    has_seen: bool,
    /// When it last heard of the time.
    last: Option<Duration>,
}

/// A condition, and how far it has come.
#[derive(Clone, Debug)]
struct Held {
    condition: Condition,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    /// It stands, and is not told; its hold began at `from`.
    Pending { from: Duration },
    /// It was told with others of this group, last at `at`; it has been gone since `gone`, if it is.
    Told { group: Arc<Group>, at: Duration, gone: Option<Duration> },
}

/// What is due, each since when.
type Due = Vec<(Duration, Identity)>;
/// How many clusters a region has, and which of them have trouble.
type Troubled<'d> = (usize, BTreeSet<&'d Arc<str>>);

/// How far an alert has come, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It stands, and has not been told.
    Pending,
    /// It stands, and a graver one says it already.
    Said,
    /// It was told, and its end was not.
    Firing,
}

impl Stage {
    /// The word for it in `/status`.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Pending => "pending",
            Stage::Said => "inhibited",
            Stage::Firing => "firing",
        }
    }
}

/// An alert that was told, as it outlives the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// What was told.
    pub condition: Condition,
    /// With what others.
    pub group: Arc<Group>,
    /// When last, since 1970.
    pub at: Duration,
}

impl Desk {
    /// With nothing on it.
    pub fn new(timing: Timing) -> Desk {
        Desk { timing, ..Desk::default() }
    }

    /// From now on things are told so.
    pub fn retime(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Takes over what an earlier life has told. Whether it still stands is not known yet: it is not told again, and what is not seen again
    /// is resolved in time.
    pub fn restore(&mut self, kept: Vec<Kept>, now: Duration) {
        self.pass(now);
        for Kept { condition, group, at } in kept {
            // A clock that was set back must not keep it from being repeated for ages.
            let phase = Phase::Told { group, at: at.min(now), gone: Some(now) };
            self.alerts.insert(condition.identity.clone(), Held { condition, phase });
        }
    }

    /// Takes all that stands now; what it does not name is gone.
    pub fn see(&mut self, standing: Vec<Condition>, now: Duration) {
        self.pass(now);
        self.has_seen = true;
        let mut seen = BTreeSet::new();
        for condition in standing {
            let identity = condition.identity.clone();
            seen.insert(identity.clone());
            match self.alerts.get_mut(&identity) {
                Some(held) => {
                    let since = held.condition.since;
                    held.condition = Condition { since, ..condition };
                    if let Phase::Told { gone, .. } = &mut held.phase {
                        *gone = None;
                    }
                }
                None => {
                    let phase = Phase::Pending { from: now };
                    self.alerts.insert(identity, Held { condition, phase });
                }
            }
        }
        self.alerts.retain(|identity, held| match &mut held.phase {
            Phase::Pending { .. } => seen.contains(identity),
            Phase::Told { gone, .. } => {
                if !seen.contains(identity) {
                    *gone = gone.or(Some(now));
                }
                true
            }
        });
    }

    /// What is to be told now, ends first.
    pub fn tick(&mut self, now: Duration) -> Vec<Notification> {
        self.pass(now);
        for held in self.alerts.values_mut() {
            if let Phase::Pending { from } = &mut held.phase
                && held.condition.is_said
            {
                *from = now;
            }
        }
        let mut told = if self.has_seen { self.resolve(now) } else { Vec::new() };
        told.extend(self.fire(now));
        told.extend(self.repeat(now));
        told
    }

    /// All alerts that were told and have not been resolved.
    pub fn firing(&self) -> Vec<Alert> {
        let told = self.alerts.values().filter(|held| matches!(held.phase, Phase::Told { .. }));
        told.map(|held| Alert::of(&held.condition)).collect()
    }

    /// All that is on it, with how far it has come.
    pub fn stages(&self) -> Vec<(Alert, Stage)> {
        let stage = |held: &Held| match held.phase {
            Phase::Told { .. } => Stage::Firing,
            Phase::Pending { .. } if held.condition.is_said => Stage::Said,
            Phase::Pending { .. } => Stage::Pending,
        };
        self.alerts.values().map(|held| (Alert::of(&held.condition), stage(held))).collect()
    }

    /// What outlives the program.
    pub fn kept(&self) -> Vec<Kept> {
        let told = self.alerts.values().filter_map(|held| match &held.phase {
            Phase::Told { group, at, .. } => {
                Some(Kept { condition: held.condition.clone(), group: Arc::clone(group), at: *at })
            }
            Phase::Pending { .. } => None,
        });
        told.collect()
    }

    /// Lets time pass. Where it leaps, all that is known moves with it.
    fn pass(&mut self, now: Duration) {
        let Some(last) = self.last.replace(now) else { return };
        if now >= last && now - last < LEAP {
            return;
        }
        let moved = |time: &mut Duration| {
            *time =
                if now < last { time.saturating_sub(last - now) } else { time.saturating_add(now - last) };
        };
        for held in self.alerts.values_mut() {
            moved(&mut held.condition.since);
            match &mut held.phase {
                Phase::Pending { from } => moved(from),
                Phase::Told { at, gone, .. } => {
                    moved(at);
                    gone.iter_mut().for_each(moved);
                }
            }
        }
    }

    /// Tells what has stood long enough, group by group.
    fn fire(&mut self, now: Duration) -> Vec<Notification> {
        let timing = self.timing;
        let due = |held: &Held| match held.phase {
            Phase::Pending { from } if !held.condition.is_said => {
                let due = from.saturating_add(timing.hold(held.condition.identity.kind));
                (due <= now).then_some(due)
            }
            _ => None,
        };
        let mut groups: BTreeMap<(Kind, Option<Scope>), Due> = BTreeMap::new();
        let shaken = self.shaken(&due);
        for (identity, held) in &self.alerts {
            let Some(due) = due(held) else { continue };
            let scope = scope(&held.condition, &shaken);
            groups.entry((identity.kind, scope)).or_default().push((due, identity.clone()));
        }
        let is_over = |kind: Kind, members: &[(Duration, Identity)]| {
            let first = members.iter().map(|(due, _)| *due).min();
            first.is_some_and(|first| first.saturating_add(timing.group_wait(kind)) <= now)
        };
        let over = groups.into_iter().filter(|((kind, _), members)| is_over(*kind, members));
        let over: Vec<_> = over.collect();
        let mut told = Vec::new();
        for ((kind, scope), members) in over {
            let key = scope.as_ref().map_or_else(String::new, |scope| format!("/{}", scope.key()));
            let name = format!("{}{key}/{}", kind.name(), now.as_millis()).into();
            let group = Arc::new(Group { name, scope });
            for (_, identity) in &members {
                let held = self.alerts.get_mut(identity).expect("it was found there a moment ago");
                held.phase = Phase::Told { group: Arc::clone(&group), at: now, gone: None };
            }
            let members: Vec<_> = members.into_iter().map(|(_, identity)| identity).collect();
            told.push(self.notification(Event::Fired, &group, &members));
        }
        told
    }

    /// Regions most of whose clusters have trouble of one kind: that is one event, not one for each cluster.
    fn shaken(&self, due: &impl Fn(&Held) -> Option<Duration>) -> BTreeSet<(Kind, Arc<str>)> {
        let mut troubled: BTreeMap<(Kind, Arc<str>), Troubled<'_>> = BTreeMap::new();
        for (identity, held) in &self.alerts {
            let stands = matches!(held.phase, Phase::Told { gone: None, .. }) || due(held).is_some();
            if let (true, Some(place), Some(region)) =
                (stands, &held.condition.place, held.condition.region())
            {
                let clusters = &mut troubled
                    .entry((identity.kind, Arc::clone(&region.key)))
                    .or_insert((region.clusters, BTreeSet::new()))
                    .1;
                clusters.insert(&place.cluster);
            }
        }
        let most = |(all, clusters): &(usize, BTreeSet<_>)| clusters.len() > 1 && clusters.len() * 2 > *all;
        troubled.into_iter().filter(|(_, of)| most(of)).map(|(which, _)| which).collect()
    }

    /// Tells the ends, each group by itself.
    fn resolve(&mut self, now: Duration) -> Vec<Notification> {
        let timing = self.timing;
        let mut groups: BTreeMap<Arc<Group>, Due> = BTreeMap::new();
        for (identity, held) in &self.alerts {
            let Phase::Told { group, gone: Some(gone), .. } = &held.phase else { continue };
            let due = gone.saturating_add(timing.resolve_after(identity.kind));
            if due <= now {
                groups.entry(Arc::clone(group)).or_default().push((due, identity.clone()));
            }
        }
        let mut told = Vec::new();
        for (group, members) in groups {
            let kind = members[0].1.kind;
            let first = members.iter().map(|(due, _)| *due).min().unwrap_or(now);
            let all = self.members(&group).count() == members.len();
            // Nobody is waited for where all are there.
            if !all && first.saturating_add(timing.group_wait(kind)) > now {
                continue;
            }
            let members: Vec<_> = members.into_iter().map(|(_, identity)| identity).collect();
            let ended = self.notification(Event::Resolved, &group, &members);
            for identity in &members {
                self.alerts.remove(identity);
            }
            told.push(ended);
        }
        told
    }

    /// Tells again what still stands after long.
    fn repeat(&mut self, now: Duration) -> Vec<Notification> {
        let mut groups: BTreeMap<Arc<Group>, (Duration, Vec<Identity>)> = BTreeMap::new();
        for (identity, held) in &self.alerts {
            let Phase::Told { group, at, gone } = &held.phase else { continue };
            let (last, members) = groups.entry(Arc::clone(group)).or_default();
            *last = (*last).max(*at);
            if gone.is_none() && !held.condition.is_said {
                members.push(identity.clone());
            }
        }
        let mut told = Vec::new();
        for (group, (last, members)) in groups {
            if members.is_empty() || last.saturating_add(self.timing.repeat) > now {
                continue;
            }
            for identity in &members {
                let held = self.alerts.get_mut(identity).expect("it was found there a moment ago");
                if let Phase::Told { at, .. } = &mut held.phase {
                    *at = now;
                }
            }
            told.push(self.notification(Event::Repeated, &group, &members));
        }
        told
    }

    fn members<'d>(&'d self, group: &'d Group) -> impl Iterator<Item = &'d Held> {
        let is_of =
            move |held: &&Held| matches!(&held.phase, Phase::Told { group: own, .. } if **own == *group);
        self.alerts.values().filter(is_of)
    }

    /// What is told of these, which are of one group.
    fn notification(&self, event: Event, group: &Group, members: &[Identity]) -> Notification {
        let conditions: Vec<&Condition> =
            members.iter().map(|identity| &self.alerts[identity].condition).collect();
        let kind = members[0].kind;
        let down = group.scope.as_ref().and_then(|scope| self.down(kind, scope));
        let scope = group.scope.as_ref().map(Scope::key);
        let left = self.members(group).count();
        Notification {
            event,
            kind,
            group: group.clone(),
            summary: summary(event, kind, scope.map(|key| &**key), &conditions, down),
            alerts: conditions.iter().take(LISTED_MAX).map(|condition| Alert::of(condition)).collect(),
            count: conditions.len(),
            firing: if event == Event::Resolved { left - conditions.len() } else { left },
            since: conditions.iter().map(|condition| condition.since).min().unwrap_or_default(),
        }
    }

    /// How much of a cluster or region is down now, as far as it was told.
    fn down(&self, kind: Kind, scope: &Scope) -> Option<Down> {
        let (mut things, mut of) = (BTreeSet::new(), None);
        for held in self.alerts.values().filter(|held| held.condition.identity.kind == kind) {
            let Some(place) = &held.condition.place else { continue };
            let of_nodes = held.condition.identity.label(Label::Node).is_some();
            let all = match (scope, held.condition.region()) {
                (Scope::Cluster(key), _) if of_nodes && place.cluster == *key => place.nodes,
                (Scope::Region(key), Some(region)) if of_nodes && region.key == *key => region.nodes,
                (Scope::Region(key), Some(region)) if region.key == *key => region.clusters,
                _ => continue,
            };
            of = Some(all);
            if matches!(held.phase, Phase::Told { gone: None, .. }) {
                things.extend(thing(&held.condition));
            }
        }
        Some(Down { now: things.len(), of: of? })
    }
}

/// The region or the cluster that a condition is grouped by.
fn scope(condition: &Condition, shaken: &BTreeSet<(Kind, Arc<str>)>) -> Option<Scope> {
    let place = condition.place.as_ref()?;
    let region = place.region.as_ref().map(|region| (condition.identity.kind, Arc::clone(&region.key)));
    let region = region.filter(|region| shaken.contains(region)).map(|(_, key)| Scope::Region(key));
    Some(region.unwrap_or_else(|| Scope::Cluster(Arc::clone(&place.cluster))))
}
