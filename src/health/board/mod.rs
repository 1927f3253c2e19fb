//! What is held of every target.

mod doubting;
mod keeping;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::certificate::{Certificate, Look};
use super::check::{Check, Kind};
use super::layers::together;
use super::note::{Note, Says};
use super::target::{Aim, Target, TargetId, TargetKey};
use super::tracker::Tracker;
use super::verdict::{Held, Outcome, Seen, Verdict};
use crate::cluster::{CheckId, ClusterId, Family};

pub use self::keeping::{KEPT_MAX, Kept};

/// What is likely counts no longer than this: whoever cannot be probed is not taken to be well for ever.
const LIKELY_MAX: Duration = Duration::from_secs(30);

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
    /// What its address was known as under another check, before a reload; counts until it is observed, or until then.
    likely: Option<(Verdict, Instant)>,
    /// What counts instead of what is held while the vantage doubts itself, until the target is up again.
    frozen: Option<Verdict>,
    tracker: Tracker,
    transitions: Transitions,
    /// When the last success or failure was seen.
    observed: Option<Instant>,
    /// When the last probe that succeeded had ended.
    succeeded: Option<Instant>,
    /// When the first of the failures (or lateness) since then had started.
    failing_from: Option<Instant>,
    /// The certificate that it last showed.
    certificate: Option<Certificate>,
    /// What it last said of itself.
    says: Says,
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

/// What a pool's check says of one of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What answers rest on.
    pub verdict: Verdict,
    /// Since when it is up again, where it was down before.
    pub recovered: Option<Instant>,
    /// Whether it says itself that it wants no newcomers.
    pub drains: bool,
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
                    let slot = Slot::unknown(target, now);
                    Slot { likely: likely.map(|word| (word, now + slot.patience(LIKELY_MAX))), ..slot }
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

    /// What answers rest on: what is held of a target, or what is likely of one not observed yet.
    pub fn standing(&self, id: TargetId) -> Verdict {
        self.slot(id).standing()
    }

    /// When a probe of this target last told something; `None`: never.
    pub fn observed(&self, id: TargetId) -> Option<Instant> {
        self.slot(id).observed
    }

    /// How often a target's verdict became another one.
    pub fn transitions(&self, id: TargetId) -> Transitions {
        self.slot(id).transitions
    }

    /// The certificate that a target last showed; `None`: it showed none.
    pub fn certificate(&self, id: TargetId) -> Option<Certificate> {
        self.slot(id).certificate
    }

    /// What a target last said of itself.
    pub fn says(&self, id: TargetId) -> &Says {
        &self.slot(id).says
    }

    /// What is to be probed, and what is held of it: for [`Rounds::load`](super::rounds::Rounds::load).
    pub fn aims(&self) -> impl Iterator<Item = (Arc<Aim>, Tracker)> {
        self.slots.iter().map(|slot| (slot.target.aim.clone(), slot.tracker.clone()))
    }

    /// How often in a row a target fell soon after it had come back, and until when it is held down for that.
    pub fn relapses(&self, id: TargetId) -> (u32, Option<Instant>) {
        self.slot(id).tracker.relapses()
    }

    /// What a check says of each member of a pool, in their order ([`Cluster::members`](crate::cluster::Cluster::members)).
    /// `checks` are those of the Plan.
    pub fn judged(
        &self,
        checks: &[Arc<Check>],
        cluster: ClusterId,
        check: CheckId,
        family: Family,
    ) -> Vec<Judged> {
        let Kind::Several(several) = &checks[usize::from(check.0)].kind else {
            let ids = self.pools.get(&(cluster, check, family)).into_iter().flatten();
            return ids.map(|id| self.slot(*id).judged()).collect();
        };
        let layers = several.of.iter().map(|layer| self.judged(checks, cluster, *layer, family));
        let layers: Vec<_> = layers.collect();
        let members = layers.iter().map(Vec::len).min().unwrap_or(0);
        let of_member = |member: usize| Judged {
            verdict: together(several.least, layers.iter().map(|layer| layer[member].verdict)),
            recovered: recovered(several.least, layers.iter().map(|layer| layer[member])),
            drains: layers.iter().any(|layer| layer[member].drains),
        };
        (0..members).map(of_member).collect()
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

    /// Holds a target to be down from now on, as if it had been so for ever: what a rehearsal is made of.
    pub fn presume_down(&mut self, target: TargetId, now: Instant) {
        let slot = &mut self.slots[target.0 as usize];
        slot.tracker = Tracker::holding(Verdict::Down, now, None);
        (slot.frozen, slot.likely) = (None, None);
    }

    /// Takes what was learned of a target; of one that is gone, or is probed otherwise now, nothing. `Some` where it is another thing
    /// than before; a load within the same hundredth is the same.
    pub fn note(&mut self, aim: &Aim, note: &Note, now: Instant) -> Option<(TargetId, Look)> {
        let id = self.find(aim)?;
        let slot = &mut self.slots[id.0 as usize];
        let before = slot.says.clone();
        match note {
            Note::Certificate { left } => {
                let within = aim.check.kind.tls()?.expires_within;
                let (fresh, look) = Certificate::look(slot.certificate, *left, within, now)?;
                slot.certificate = Some(fresh);
                return Some((id, look));
            }
            Note::Load { used } => slot.says.load = Some((used * 100.0).round() / 100.0),
            Note::Drain(drain) => slot.says.drain = *drain,
            Note::Warning(warning) => slot.says.warning.clone_from(warning),
        }
        (slot.says != before).then_some((id, Look::Other))
    }

    fn slot(&self, id: TargetId) -> &Slot {
        &self.slots[id.0 as usize]
    }
}

/// Since when as many layers as are needed are up: of those that are, the `least`-th counts, and those that were never down
/// come first.
fn recovered(least: u8, layers: impl Iterator<Item = Judged>) -> Option<Instant> {
    let up = layers.filter(|layer| matches!(layer.verdict, Verdict::Up | Verdict::Suspect { .. }));
    let mut since: Vec<_> = up.map(|layer| layer.recovered).collect();
    since.sort_unstable();
    since.get(usize::from(least).saturating_sub(1)).copied().flatten()
}

impl Slot {
    /// What answers rest on: what is held, or what is likely of a target not observed yet.
    fn standing(&self) -> Verdict {
        match (self.tracker.held().verdict, self.frozen, self.likely) {
            (Verdict::Up, ..) => Verdict::Up,
            (_, Some(frozen), _) => frozen,
            (Verdict::Unknown, None, Some((likely, _))) => likely,
            (held, ..) => held,
        }
    }

    fn judged(&self) -> Judged {
        let verdict = self.standing();
        let recovered = self.tracker.recovered().filter(|_| verdict != Verdict::Down);
        Judged { verdict, recovered, drains: self.says.drain }
    }

    /// The same, up or down; `None` where nothing is known.
    fn settled(&self) -> Option<Verdict> {
        match self.standing() {
            Verdict::Up | Verdict::Suspect { .. } => Some(Verdict::Up),
            Verdict::Down => Some(Verdict::Down),
            Verdict::Unknown => None,
        }
    }

    /// How long it takes at most to see a target that answers as up, whatever was held of it; no less than `least`.
    fn patience(&self, least: Duration) -> Duration {
        let check = &self.target.aim.check;
        least.max(check.interval * (check.rise + 1) + check.timeout)
    }

    fn unknown(target: Target, now: Instant) -> Slot {
        Slot {
            likely: None,
            frozen: None,
            target,
            tracker: Tracker::unknown(now),
            transitions: Transitions::default(),
            observed: None,
            succeeded: None,
            failing_from: None,
            certificate: None,
            says: Says::default(),
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
    use std::net::SocketAddr;

    use super::*;
    use crate::health::check::{HoldDown, Several};
    use crate::health::doubt::Share;
    use crate::health::verdict::Cause;

    fn check(key: &str, kind: Kind) -> Arc<Check> {
        let second = Duration::from_secs(1);
        let key = key.into();
        Arc::new(Check {
            key,
            kind,
            port: 80,
            interval: second,
            timeout: second,
            fall: 2,
            rise: 2,
            hold_down: HoldDown::default(),
        })
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
    fn a_pools_check_tells_the_verdict_of_each_member() {
        let now = Instant::now();
        let mut board = board(now);
        board.observe(TargetId(0), &seen(SUCCEEDED, now));
        board.observe(TargetId(1), &seen(SUCCEEDED, now));
        board.observe(TargetId(1), &seen(failed(), at_second(now, 1)));
        board.observe(TargetId(2), &seen(failed(), now));
        let checks = [check("edge", Kind::Tcp)];
        let judged = board.judged(&checks, ClusterId(0), CheckId(0), Family::V4);
        let verdicts: Vec<_> = judged.iter().map(|judged| judged.verdict).collect();
        let suspect = Verdict::Suspect { until: at_second(now, 4) };
        assert_eq!(verdicts, [Verdict::Up, suspect, Verdict::Down, Verdict::Unknown]);
        assert_eq!(board.judged(&checks, ClusterId(0), CheckId(0), Family::V6), []);
    }

    #[test]
    fn a_check_made_of_others_judges_by_what_each_of_them_says() {
        let now = Instant::now();
        let (ping, rtmp) = (check("ping", Kind::Tcp), check("rtmp", Kind::Tcp));
        let target = |number, member, check: &Arc<Check>| {
            let own = target("sin-1", &format!("192.0.2.{member}"), member, check);
            Target { check: CheckId(number), ..own }
        };
        let mut board = Board::default();
        let of = |number, check| (0..3).map(move |member| target(number, member, check));
        board.load(of(0, &ping).chain(of(1, &rtmp)).collect(), now);
        // The first answers both, the second only pings, of the third nothing is known but that it pings.
        for (id, outcome) in [(0, SUCCEEDED), (1, SUCCEEDED), (2, SUCCEEDED), (3, SUCCEEDED), (4, failed())] {
            board.observe(TargetId(id), &seen(outcome, now));
        }
        let words = |least| {
            let several = Kind::Several(Several { least, of: vec![CheckId(0), CheckId(1)] });
            let checks = [ping.clone(), rtmp.clone(), check("both", several)];
            let judged = board.judged(&checks, ClusterId(0), CheckId(2), Family::V4);
            judged.iter().map(|judged| judged.verdict.word()).collect::<Vec<_>>()
        };
        assert_eq!(words(2), ["up", "down", "unknown"]);
        assert_eq!(words(1), ["up", "up", "up"]);
    }

    #[test]
    fn what_came_back_is_told_with_when() {
        let now = Instant::now();
        let mut board = board(now);
        let recovered = |board: &Board| {
            let judged = board.judged(&[check("edge", Kind::Tcp)], ClusterId(0), CheckId(0), Family::V4);
            judged[0].recovered
        };
        board.observe(TargetId(0), &seen(SUCCEEDED, now));
        assert_eq!(recovered(&board), None, "it was never down");
        for second in [1, 2] {
            board.observe(TargetId(0), &seen(failed(), at_second(now, second)));
        }
        assert_eq!(recovered(&board), None);
        for second in [3, 4] {
            board.observe(TargetId(0), &seen(SUCCEEDED, at_second(now, second)));
        }
        assert_eq!(recovered(&board), Some(at_second(now, 4)));
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
        assert_eq!(news(Note::Load { used: 0.501 }), Some((TargetId(1), Look::Other)));
        assert_eq!(news(Note::Load { used: 0.499 }), None, "the same hundredth");
        assert_eq!(news(Note::Load { used: 0.52 }), Some((TargetId(1), Look::Other)));
        assert_eq!(news(Note::Drain(false)), None);
        assert_eq!(news(Note::Drain(true)), Some((TargetId(1), Look::Other)));
        assert_eq!(news(Note::Warning(None)), None);
        assert_eq!(news(Note::Warning(Some("disk".into()))), Some((TargetId(1), Look::Other)));
        let says = Says { load: Some(0.52), drain: true, warning: Some("disk".into()) };
        assert_eq!(board.says(TargetId(1)), &says);
        assert_eq!(board.says(TargetId(0)), &Says::default());
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

    #[test]
    fn of_several_layers_the_one_that_made_it_enough_tells_when_it_came_back() {
        let start = Instant::now();
        let judged = |verdict, recovered: Option<u64>| Judged {
            verdict,
            recovered: recovered.map(|second| at_second(start, second)),
            drains: false,
        };
        let (up, down) = (Verdict::Up, Verdict::Down);
        let of = |least, layers: [Judged; 3]| {
            recovered(least, layers.into_iter()).map(|at| at.saturating_duration_since(start).as_secs())
        };
        let layers = [judged(up, Some(7)), judged(up, None), judged(up, Some(3))];
        assert_eq!([1, 2, 3].map(|least| of(least, layers)), [None, Some(3), Some(7)]);
        assert_eq!(of(1, [judged(up, Some(7)), judged(down, None), judged(down, None)]), Some(7));
    }

    #[test]
    fn what_a_vantage_in_doubt_saw_fall_has_not_come_back_when_it_answers() {
        let now = Instant::now();
        let mut board = board(now);
        let target = TargetId(0);
        board.observe(target, &seen(SUCCEEDED, now));
        for second in [1, 2] {
            board.observe(target, &seen(failed(), at_second(now, second)));
        }
        let frozen = board.freeze(Family::V4, at_second(now, 3));
        assert!(frozen.forgiven && frozen.turned == [target]);
        assert_eq!(board.freeze(Family::V6, at_second(now, 3)).turned, []);
        let astray = |board: &Board| board.astray(Family::V4);
        assert_eq!(astray(&board), Share { some: 1, all: 1 });
        for second in [4, 5] {
            board.observe(target, &seen(SUCCEEDED, at_second(now, second)));
        }
        assert_eq!(astray(&board), Share { some: 0, all: 1 });
        assert_eq!((board.standing(target), board.slot(target).judged().recovered), (Verdict::Up, None));
    }

    #[test]
    fn who_is_asked_seldom_gets_the_time_to_answer_once_the_canaries_do() {
        let now = Instant::now();
        let slow = Check { interval: Duration::from_secs(20), ..Check::clone(&check("edge", Kind::Tcp)) };
        let mut board = Board::default();
        board.load(vec![target("sin-1", "192.0.2.1", 0, &Arc::new(slow))], now);
        board.observe(TargetId(0), &seen(SUCCEEDED, now));
        for second in [20, 40] {
            board.observe(TargetId(0), &seen(failed(), at_second(now, second)));
        }
        assert_eq!(board.fallen(Family::V4, at_second(now, 70)), Share { some: 1, all: 1 });
        board.freeze(Family::V4, at_second(now, 70));
        // Twice up takes two intervals, and one until the first of them begins.
        let thawed = |board: &mut Board, calm| board.thaw(Family::V4, Duration::from_secs(calm));
        assert_eq!(thawed(&mut board, 60), (vec![], true));
        assert_eq!(board.standing(TargetId(0)), Verdict::Up);
        assert_eq!(thawed(&mut board, 61), (vec![TargetId(0)], false));
        assert_eq!(board.standing(TargetId(0)), Verdict::Down);
    }

    #[test]
    fn who_cannot_be_probed_any_more_is_not_known_for_ever() {
        let now = Instant::now();
        let mut board = board(now);
        let words = |board: &Board| [0, 1, 2].map(|id| board.standing(TargetId(id)).word());
        board.observe(TargetId(0), &seen(SUCCEEDED, now));
        board.observe(TargetId(1), &seen(SUCCEEDED, now));
        board.observe(TargetId(1), &seen(failed(), at_second(now, 1)));
        // Under another check, of which no probe can be made, what was known of the address is likely.
        let icmp = check("ping", Kind::Icmp(crate::health::check::Icmp { loss: None }));
        let same = |board: &Board, id| board.target(TargetId(id)).clone();
        let targets = vec![same(&board, 0), same(&board, 1), target("sin-1", "192.0.2.0", 2, &icmp)];
        board.load(targets, now);
        let mut expired = |second| {
            let changes = board.expire(at_second(now, second));
            (changes.len(), words(&board))
        };
        // The doubt was to be decided by the fourth second; an interval and a timeout later it is over.
        assert_eq!(expired(6), (0, ["up", "suspect", "up"]));
        assert_eq!(expired(7), (1, ["up", "up", "up"]));
        assert_eq!(expired(29), (0, ["up", "up", "up"]));
        assert_eq!(expired(30), (1, ["up", "up", "unknown"]));
        assert_eq!(expired(600), (0, ["up", "up", "unknown"]));
        assert_eq!(expired(601), (1, ["unknown", "up", "unknown"]));
        assert_eq!(expired(602), (1, ["unknown"; 3]));
    }
}
