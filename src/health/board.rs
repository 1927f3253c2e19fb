//! What is held of every target.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::note::{Note, Said};
use super::target::{Aim, Target, TargetId, TargetKey};
use super::tracker::Tracker;
use super::verdict::{Cause, Held, LAYERS, Outcome, Seen, Verdict};
use crate::cluster::{CheckId, ClusterId, Family};

/// What was last seen longer ago than this is not known any more: it counts as unknown.
pub const KEPT_MAX: Duration = Duration::from_secs(600);

/// What is held of every target.
#[derive(Clone, Debug, Default)]
pub struct Board {
    slots: Vec<Slot>,
    by_key: HashMap<TargetKey, TargetId>,
    pools: HashMap<(ClusterId, CheckId, Family), Vec<TargetId>>,
}

#[derive(Clone, Debug)]
struct Slot {
    target: Target,
    /// What its address was known as under another check, before a reload; counts until it is observed.
    likely: Option<Verdict>,
    tracker: Tracker,
    transitions: Transitions,
    /// When the last success or failure was seen.
    observed: Option<Instant>,
    /// When the last probe that succeeded had ended.
    succeeded: Option<Instant>,
    /// When the first of the failures (or lateness) since then had started.
    failing_from: Option<Instant>,
    /// When the certificate that it last showed ends; in the past, where it has.
    certificate_ends: Option<Instant>,
    /// What it last said of itself.
    said: Said,
}

/// A verdict that became another one, or a doubt whose date came nearer.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Whose.
    pub target: TargetId,
    /// What was held.
    pub from: Verdict,
    /// What is held now.
    pub to: Verdict,
    /// Where an up target went down: how its death was seen.
    pub death: Option<Death>,
}

/// How a death was seen. The target died after `last_success` and before `first_failure` had ended, so it was
/// unseen for at most `decided - last_success`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// When the last success was seen; `None`: not since the program started.
    pub last_success: Option<Instant>,
    /// When the first probe that failed or was late had started.
    pub first_failure: Instant,
    /// When the verdict fell.
    pub decided: Instant,
}

/// How often a target's verdict became another one, since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transitions {
    /// To up, from anything but a doubt.
    pub up: u64,
    /// Doubts begun.
    pub suspect: u64,
    /// Doubts that came to nothing.
    pub cleared: u64,
    /// To down.
    pub down: u64,
}

/// The verdicts of a pool's members: bit n is member n of
/// [`Cluster::members`](crate::cluster::Cluster::members).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// Up, suspect included.
    pub up: u128,
    /// Suspect alone.
    pub suspect: u128,
    /// Unknown.
    pub unknown: u128,
    /// Down.
    pub down: u128,
    /// When the first of the doubts is decided at the latest.
    pub suspect_until: Option<Instant>,
}

/// A verdict as it outlives the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Of which cluster, node, address and check.
    pub key: TargetKey,
    /// Where it was probed.
    pub probe: SocketAddr,
    /// The word for what was probed.
    pub kind: String,
    /// Up (true) or down.
    pub up: bool,
    /// How long it had been so.
    pub stood: Duration,
    /// How long ago a probe last told something.
    pub observed: Duration,
    /// The last failure: how far the probe came, and what was seen.
    pub cause: Option<(String, String)>,
}

impl Board {
    /// Takes the targets of a new Plan. What is held of those that stay ([`Aim::same`]) goes on; the others are
    /// unknown.
    pub fn load(&mut self, targets: Vec<Target>, now: Instant) {
        let old = std::mem::take(self);
        let known = old.by_address();
        for target in targets {
            let id =
                TargetId(u32::try_from(self.slots.len()).expect("clusters x addresses x checks of a Plan"));
            let stays = old.find(&target.aim).map(|id| old.slots[id.0 as usize].clone());
            self.by_key.insert(target.aim.key.clone(), id);
            self.pools.entry((target.cluster, target.check, target.family())).or_default().push(id);
            self.slots.push(match stays {
                Some(slot) => Slot { target, ..slot },
                None => {
                    let key = &target.aim.key;
                    let likely = known.get(&(key.cluster.clone(), key.node.clone(), key.address)).copied();
                    Slot { likely, ..Slot::unknown(target, now) }
                }
            });
        }
    }

    /// What is known of addresses, whatever the check: the best word of several, since what is wrong under another one is
    /// soon seen. A reload that changes a check, or where addresses are probed, must not make a whole cluster doubtful.
    fn by_address(&self) -> HashMap<(Arc<str>, Arc<str>, IpAddr), Verdict> {
        let mut known = HashMap::new();
        for slot in &self.slots {
            let Some(settled) = slot.settled() else { continue };
            let key = &slot.target.aim.key;
            let address = (key.cluster.clone(), key.node.clone(), key.address);
            let word = known.entry(address).or_insert(settled);
            if settled == Verdict::Up {
                *word = settled;
            }
        }
        known
    }

    /// The target that an [`Aim`] means; `None` where it is gone or is probed otherwise now.
    pub fn find(&self, aim: &Aim) -> Option<TargetId> {
        let id = *self.by_key.get(&aim.key)?;
        self.target(id).aim.same(aim).then_some(id)
    }

    /// All targets.
    pub fn ids(&self) -> impl Iterator<Item = TargetId> + use<> {
        (0..u32::try_from(self.slots.len()).expect("as many as load counted")).map(TargetId)
    }

    /// A target.
    pub fn target(&self, id: TargetId) -> &Target {
        &self.slot(id).target
    }

    /// What is held of a target.
    pub fn held(&self, id: TargetId) -> &Held {
        self.slot(id).tracker.held()
    }

    /// When a probe of this target last told something; `None`: never.
    pub fn observed(&self, id: TargetId) -> Option<Instant> {
        self.slot(id).observed
    }

    /// How often a target's verdict became another one.
    pub fn transitions(&self, id: TargetId) -> Transitions {
        self.slot(id).transitions
    }

    /// When the certificate that a target last showed ends, as long as that can be told; `None`: it showed none.
    pub fn certificate_ends(&self, id: TargetId) -> Option<Instant> {
        self.slot(id).certificate_ends
    }

    /// What a target last said of itself.
    pub fn said(&self, id: TargetId) -> &Said {
        &self.slot(id).said
    }

    /// What is to be probed, and what is held of it: for [`Rounds::load`](super::rounds::Rounds::load).
    pub fn aims(&self) -> impl Iterator<Item = (Arc<Aim>, Verdict)> {
        self.slots.iter().map(|slot| (slot.target.aim.clone(), slot.tracker.held().verdict))
    }

    /// The targets of one pool's members, with their bits.
    pub fn members(
        &self,
        cluster: ClusterId,
        check: CheckId,
        family: Family,
    ) -> impl Iterator<Item = (u8, TargetId)> {
        let ids = self.pools.get(&(cluster, check, family)).into_iter().flatten();
        ids.map(|id| (self.target(*id).member, *id))
    }

    /// The verdicts of one pool's members.
    pub fn masks(&self, cluster: ClusterId, check: CheckId, family: Family) -> Masks {
        let mut masks = Masks::default();
        for (member, id) in self.members(cluster, check, family) {
            let bit = 1u128 << member;
            match self.slot(id).standing() {
                Verdict::Up => masks.up |= bit,
                Verdict::Down => masks.down |= bit,
                Verdict::Unknown => masks.unknown |= bit,
                Verdict::Suspect { until } => {
                    masks.up |= bit;
                    masks.suspect |= bit;
                    masks.suspect_until = Some(masks.suspect_until.map_or(until, |first| first.min(until)));
                }
            }
        }
        masks
    }

    /// Takes what was seen of a target. `Some` where its verdict, or the date of its doubt, is another one now.
    pub fn observe(&mut self, target: TargetId, seen: &Seen) -> Option<Change> {
        let slot = &mut self.slots[target.0 as usize];
        slot.note(seen);
        let from = slot.tracker.observe(seen, &slot.target.aim.check)?;
        let to = slot.tracker.held().verdict;
        slot.transitions.count(from, to);
        let stood_up = matches!(from, Verdict::Up | Verdict::Suspect { .. });
        let death = (to == Verdict::Down && stood_up).then(|| Death {
            last_success: slot.succeeded,
            first_failure: slot.failing_from.unwrap_or(seen.started),
            decided: seen.at,
        });
        Some(Change { target, from, to, death })
    }

    /// Takes what was learned of a target; of one that is gone, or is probed otherwise now, nothing. `Some` where it says another
    /// thing of itself than before; a load within the same hundredth is the same.
    pub fn note(&mut self, aim: &Aim, note: &Note, now: Instant) -> Option<TargetId> {
        let id = self.find(aim)?;
        let slot = &mut self.slots[id.0 as usize];
        let before = slot.said.clone();
        match note {
            Note::Certificate { left } => slot.certificate_ends = now.checked_add(*left),
            Note::Load { used } => slot.said.load = Some((used * 100.0).round() / 100.0),
            Note::Drain(drain) => slot.said.drain = *drain,
            Note::Warning(warning) => slot.said.warning.clone_from(warning),
        }
        (slot.said != before).then_some(id)
    }

    /// The verdicts as they outlive the program: those of targets that were observed. A doubt is kept as up.
    pub fn kept(&self, now: Instant) -> Vec<Kept> {
        self.slots.iter().filter_map(|slot| slot.kept(now)).collect()
    }

    /// Takes back what was kept, of targets that are probed as they were then and of which nothing is known yet,
    /// unless it was observed longer ago than [`KEPT_MAX`]. These are verdicts like others: the next outcome does
    /// not turn them at once.
    pub fn restore(&mut self, kept: &[Kept], now: Instant) {
        for old in kept.iter().filter(|old| old.observed <= KEPT_MAX) {
            let Some(&id) = self.by_key.get(&old.key) else { continue };
            let slot = &mut self.slots[id.0 as usize];
            let aim = &slot.target.aim;
            let same = aim.probe == old.probe && aim.check.kind.word() == old.kind;
            if !same || slot.tracker.held().verdict != Verdict::Unknown {
                continue;
            }
            let verdict = if old.up { Verdict::Up } else { Verdict::Down };
            let cause = old.cause.as_ref().and_then(|(layer, what)| {
                let layer = LAYERS.into_iter().find(|known| known == layer)?;
                Some(Cause { layer, what: what.as_str().into() })
            });
            // Before the machine started there is no Instant: as early as can be told.
            slot.tracker = Tracker::holding(verdict, now.checked_sub(old.stood).unwrap_or(now), cause);
            slot.observed = Some(now.checked_sub(old.observed).unwrap_or(now));
        }
    }

    fn slot(&self, id: TargetId) -> &Slot {
        &self.slots[id.0 as usize]
    }
}

impl Slot {
    /// What answers rest on: what is held, or what is likely of a target not observed yet.
    fn standing(&self) -> Verdict {
        match (self.tracker.held().verdict, self.likely) {
            (Verdict::Unknown, Some(likely)) => likely,
            (held, _) => held,
        }
    }

    /// The same, up or down; `None` where nothing is known.
    fn settled(&self) -> Option<Verdict> {
        match self.standing() {
            Verdict::Up | Verdict::Suspect { .. } => Some(Verdict::Up),
            Verdict::Down => Some(Verdict::Down),
            Verdict::Unknown => None,
        }
    }

    fn unknown(target: Target, now: Instant) -> Slot {
        Slot {
            likely: None,
            target,
            tracker: Tracker::unknown(now),
            transitions: Transitions::default(),
            observed: None,
            succeeded: None,
            failing_from: None,
            certificate_ends: None,
            said: Said::default(),
        }
    }

    fn note(&mut self, seen: &Seen) {
        match seen.outcome {
            Outcome::Succeeded(_) => {
                self.observed = Some(seen.at);
                self.succeeded = Some(seen.at);
                self.failing_from = None;
            }
            Outcome::Failed(_) => {
                self.observed = Some(seen.at);
                self.failing_from = self.failing_from.or(Some(seen.started));
            }
            Outcome::Late => self.failing_from = self.failing_from.or(Some(seen.started)),
            Outcome::Local(_) => {}
        }
    }

    fn kept(&self, now: Instant) -> Option<Kept> {
        let held = self.tracker.held();
        let up = match held.verdict {
            Verdict::Up | Verdict::Suspect { .. } => true,
            Verdict::Down => false,
            Verdict::Unknown => return None,
        };
        let aim = &self.target.aim;
        Some(Kept {
            key: aim.key.clone(),
            probe: aim.probe,
            kind: aim.check.kind.word().to_owned(),
            up,
            stood: now.saturating_duration_since(self.tracker.stands()),
            observed: now.saturating_duration_since(self.observed?),
            cause: held.cause.as_ref().map(|cause| (cause.layer.to_owned(), cause.what.to_string())),
        })
    }
}

impl Transitions {
    fn count(&mut self, from: Verdict, to: Verdict) {
        match (from, to) {
            (Verdict::Suspect { .. }, Verdict::Up) => self.cleared += 1,
            (_, Verdict::Up) => self.up += 1,
            (Verdict::Suspect { .. }, Verdict::Suspect { .. }) | (_, Verdict::Unknown) => {}
            (_, Verdict::Suspect { .. }) => self.suspect += 1,
            (_, Verdict::Down) => self.down += 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;
    use crate::health::check::{Check, Kind};

    fn check(key: &str, kind: Kind) -> Arc<Check> {
        let second = Duration::from_secs(1);
        let key = key.into();
        Arc::new(Check { key, kind, port: 80, interval: second, timeout: second, fall: 2, rise: 2 })
    }

    fn target(node: &str, address: &str, member: u8, check: &Arc<Check>) -> Target {
        let address: IpAddr = address.parse().unwrap();
        let key = TargetKey { cluster: "sin".into(), node: node.into(), address, check: check.key.clone() };
        let aim = Arc::new(Aim { key, probe: SocketAddr::new(address, 80), check: check.clone() });
        Target { cluster: ClusterId(0), node: 0, member, check: CheckId(0), aim }
    }

    fn board(now: Instant) -> Board {
        let check = check("edge", Kind::Tcp);
        let mut board = Board::default();
        board.load((0..4).map(|n| target("sin-1", &format!("192.0.2.{n}"), n, &check)).collect(), now);
        board
    }

    fn seen(outcome: Outcome, at: Instant) -> Seen {
        let started = at - Duration::from_millis(10);
        Seen { outcome, started, at, decided_by: at + Duration::from_secs(3) }
    }

    fn failed() -> Outcome {
        Outcome::Failed(Cause { layer: "connect", what: "refused".into() })
    }

    const SUCCEEDED: Outcome = Outcome::Succeeded(Duration::from_millis(10));

    fn at_second(start: Instant, second: u64) -> Instant {
        start + Duration::from_secs(second)
    }

    #[test]
    fn masks_tell_the_verdict_of_each_member() {
        let now = Instant::now();
        let mut board = board(now);
        board.observe(TargetId(0), &seen(SUCCEEDED, now));
        board.observe(TargetId(1), &seen(SUCCEEDED, now));
        board.observe(TargetId(1), &seen(failed(), at_second(now, 1)));
        board.observe(TargetId(2), &seen(failed(), now));
        let masks = board.masks(ClusterId(0), CheckId(0), Family::V4);
        let suspect_until = Some(at_second(now, 4));
        assert_eq!(
            masks,
            Masks { up: 0b0011, suspect: 0b0010, down: 0b0100, unknown: 0b1000, suspect_until }
        );
        assert_eq!(board.masks(ClusterId(0), CheckId(0), Family::V6), Masks::default());
    }

    #[test]
    fn a_reload_keeps_what_is_held_of_a_target_that_stays() {
        let now = Instant::now();
        let mut board = board(now);
        board.observe(TargetId(2), &seen(failed(), now));
        let check = check("edge", Kind::Tcp);
        board.load(
            vec![target("sin-1", "192.0.2.2", 0, &check), target("sin-1", "192.0.2.9", 1, &check)],
            now,
        );
        assert_eq!(board.held(TargetId(0)).verdict, Verdict::Down);
        assert_eq!(board.held(TargetId(1)).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_target_that_is_probed_otherwise_is_unknown() {
        let now = Instant::now();
        let mut old = board(now);
        old.observe(TargetId(0), &seen(SUCCEEDED, now));
        let rtmp = check(
            "edge",
            Kind::Rtmp(crate::health::check::Rtmp { app: "live".into(), host: None, play: None }),
        );
        let mut board = old.clone();
        board.load(vec![target("sin-1", "192.0.2.0", 0, &rtmp)], now);
        assert_eq!(board.held(TargetId(0)).verdict, Verdict::Unknown);
        assert_eq!(board.find(&old.target(TargetId(0)).aim), None);
    }

    #[test]
    fn a_death_says_how_long_it_was_unseen() {
        let now = Instant::now();
        let mut board = board(now);
        board.observe(TargetId(0), &seen(SUCCEEDED, now));
        assert!(board.observe(TargetId(0), &seen(Outcome::Late, at_second(now, 1))).is_some());
        board.observe(TargetId(0), &seen(failed(), at_second(now, 2)));
        let change = board.observe(TargetId(0), &seen(failed(), at_second(now, 3))).unwrap();
        let first_failure = at_second(now, 1) - Duration::from_millis(10);
        let death = Death { last_success: Some(now), first_failure, decided: at_second(now, 3) };
        assert_eq!(change.death, Some(death));
        let transitions = Transitions { up: 1, suspect: 1, cleared: 0, down: 1 };
        assert_eq!(board.transitions(TargetId(0)), transitions);
    }

    #[test]
    fn only_another_word_of_a_target_is_news() {
        let now = Instant::now();
        let mut board = board(now);
        let aim = board.target(TargetId(1)).aim.clone();
        let mut news = |note: Note| board.note(&aim, &note, now);
        assert_eq!(news(Note::Load { used: 0.501 }), Some(TargetId(1)));
        assert_eq!(news(Note::Load { used: 0.499 }), None, "the same hundredth");
        assert_eq!(news(Note::Load { used: 0.52 }), Some(TargetId(1)));
        assert_eq!(news(Note::Drain(false)), None);
        assert_eq!(news(Note::Drain(true)), Some(TargetId(1)));
        assert_eq!(news(Note::Warning(None)), None);
        assert_eq!(news(Note::Warning(Some("disk".into()))), Some(TargetId(1)));
        let said = Said { load: Some(0.52), drain: true, warning: Some("disk".into()) };
        assert_eq!(board.said(TargetId(1)), &said);
        assert_eq!(board.said(TargetId(0)), &Said::default());
    }

    #[test]
    fn what_was_never_up_does_not_die() {
        let now = Instant::now();
        let change = board(now).observe(TargetId(0), &seen(failed(), now)).unwrap();
        assert_eq!((change.to, change.death), (Verdict::Down, None));
    }

    #[test]
    fn verdicts_survive_with_their_age_and_cause() {
        let start = Instant::now();
        let mut old = board(start);
        old.observe(TargetId(0), &seen(SUCCEEDED, start));
        old.observe(TargetId(0), &seen(SUCCEEDED, at_second(start, 90)));
        old.observe(TargetId(1), &seen(failed(), at_second(start, 95)));
        let kept = old.kept(at_second(start, 100));

        let again = at_second(start, 5000);
        let mut new = board(again);
        new.restore(&kept, again);
        let up = Held { verdict: Verdict::Up, since: again - Duration::from_secs(100), cause: None };
        assert_eq!(new.held(TargetId(0)), &up);
        assert_eq!(new.held(TargetId(1)).verdict, Verdict::Down);
        assert_eq!(new.held(TargetId(1)).cause.as_ref().unwrap().to_string(), "connect: refused");
        assert_eq!(new.held(TargetId(2)).verdict, Verdict::Unknown);
        new.observe(TargetId(1), &seen(SUCCEEDED, again));
        assert_eq!(new.held(TargetId(1)).verdict, Verdict::Down);
    }

    #[test]
    fn what_was_observed_over_ten_minutes_ago_is_unknown() {
        let now = Instant::now();
        let mut old = board(now);
        old.observe(TargetId(0), &seen(SUCCEEDED, now));
        for (age, verdict) in [(600, Verdict::Up), (601, Verdict::Unknown)] {
            let mut new = board(now);
            new.restore(&old.kept(at_second(now, age)), now);
            assert_eq!(new.held(TargetId(0)).verdict, verdict);
        }
    }

    #[test]
    fn what_is_observed_by_now_is_not_overwritten_by_what_was_kept() {
        let now = Instant::now();
        let mut old = board(now);
        old.observe(TargetId(0), &seen(SUCCEEDED, now));
        let mut new = board(now);
        new.observe(TargetId(0), &seen(failed(), now));
        new.restore(&old.kept(now), now);
        assert_eq!(new.held(TargetId(0)).verdict, Verdict::Down);
    }
}
