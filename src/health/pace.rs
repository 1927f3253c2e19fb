//! When one target is probed: told the time, it says what to start, what to withdraw and what was seen.
//!
//! | held                | the next probe starts                               | late            | failed              |
//! | ------------------- | --------------------------------------------------- | --------------- | ------------------- |
//! | `unknown`, `up`     | at the next point of its grid, one `interval` apart | 2x usual        | 4x usual            |
//! | `suspect`, paid     | at once, then [`REPROBE_EVERY`], and on the grid    | –               | 4x usual            |
//! | `suspect`, not paid | on the grid, until the [`Budget`] pays              | –               | 4x usual            |
//! | `down`              | on the grid, one at a time                          | –               | `timeout`           |
//!
//! A success withdraws the probes that started before it: what they could still say is older.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::check::Check;
use super::promise::REPROBE_EVERY;
use super::target::TargetKey;
use super::tracker::Tracker;
use super::usual::Usual;
use super::verdict::{Outcome, Seen, Verdict};

/// A target's first probe starts within this, whatever its interval.
pub const FIRST_WITHIN: Duration = Duration::from_millis(300);
/// Probes of one target that may be out at once, where `fall` is not more.
pub const OUT_MAX: usize = 16;

/// What is to be done about one target's probes.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Start this probe now; it must come to its [`Outcome`] within `allowed`.
    Start {
        /// Its number among this target's probes.
        probe: u64,
        /// After how long it has failed.
        allowed: Duration,
    },
    /// Nobody waits for this probe any more: end it.
    Withdraw {
        /// Its number.
        probe: u64,
    },
    /// This was seen.
    Report(Seen),
}

/// The probes of one target.
#[derive(Clone, Debug)]
pub struct Pace {
    check: Arc<Check>,
    /// A point of the grid on which regular probes start.
    grid: Instant,
    tracker: Tracker,
    usual: Usual,
    /// The probes that are out, in the order in which they started.
    out: Vec<Out>,
    /// The next number.
    next: u64,
    /// The next regular start.
    regular: Instant,
    /// The next re-probe, while suspect and paid.
    reprobe: Instant,
    /// Re-probes that the budget has paid for, as yet unused; not 0 only while suspect.
    paid: u32,
    /// When to ask the budget again; `Some` only while suspect and not paid.
    ask: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    probe: u64,
    started: Instant,
    /// When it becomes late; `None` where nobody asks any more.
    late: Option<Instant>,
    deadline: Instant,
}

impl Pace {
    /// Begins to probe a target of which this is held. A doubt is not taken over: its probes are gone.
    pub fn new(key: &TargetKey, check: Arc<Check>, tracker: Tracker, now: Instant) -> Pace {
        let hash = hash(key);
        let grid = now + share(hash, check.interval);
        Pace {
            grid,
            tracker: tracker.without_doubt(),
            usual: Usual::default(),
            out: Vec::new(),
            next: 0,
            regular: now + share(hash, check.interval.min(FIRST_WITHIN)),
            reprobe: now,
            paid: 0,
            ask: None,
            check,
        }
    }

    /// Goes on with other numbers: what is known and what is out stay.
    pub fn rechecked(&mut self, key: &TargetKey, check: Arc<Check>, now: Instant) {
        if check.interval != self.check.interval {
            self.grid = now + share(hash(key), check.interval);
            self.regular = self.regular.min(self.grid);
        }
        self.check = check;
    }

    /// Takes over how often it has relapsed: whoever holds the verdicts may have forgiven it.
    pub fn agree(&mut self, tracker: &Tracker) {
        self.tracker.agree(tracker);
    }

    /// The check in force.
    pub fn check(&self) -> &Arc<Check> {
        &self.check
    }

    /// Ends it: what is out is withdrawn, what was paid and not used goes back.
    pub fn end(mut self, budget: &mut Budget, steps: &mut Vec<Step>) {
        budget.give_back(self.paid);
        steps.extend(self.out.drain(..).map(|out| Step::Withdraw { probe: out.probe }));
    }

    /// When to call [`Pace::tick`] next, unless a probe ends before; `None`: not before one ends.
    pub fn wake(&self) -> Option<Instant> {
        let late = self.out.iter().filter_map(|out| out.late).min();
        [late, self.next_start(), self.ask].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Instant, budget: &mut Budget, steps: &mut Vec<Step>) {
        if let Some(late) = self.out.iter().find(|out| out.late.is_some_and(|late| late <= now)) {
            let started = late.started;
            self.report(Outcome::Late, started, now, budget, steps);
        }
        if self.ask.is_some_and(|at| at <= now) {
            self.pay_for_doubt(now, budget);
        }
        while self.next_start().is_some_and(|at| at <= now) {
            self.start(now, steps);
        }
    }

    /// Takes what became of a probe. One that is not out (any more) says nothing.
    pub fn ended(
        &mut self,
        probe: u64,
        outcome: Outcome,
        now: Instant,
        budget: &mut Budget,
        steps: &mut Vec<Step>,
    ) {
        let Some(at) = self.out.iter().position(|out| out.probe == probe) else { return };
        let ended = self.out.remove(at);
        if let Outcome::Succeeded(took) = outcome {
            self.usual.learn(took);
            steps.extend(self.out.drain(..at).map(|older| Step::Withdraw { probe: older.probe }));
        }
        self.report(outcome, ended.started, now, budget, steps);
        self.tick(now, budget, steps);
    }

    fn start(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if self.regular <= now {
            self.regular = next_on_grid(self.grid, self.check.interval, now);
        } else {
            self.paid -= 1;
            self.ask = (self.paid == 0).then_some(now + self.step());
        }
        let calm = self.tracker.held().verdict == Verdict::Up;
        let lateness = self.usual.lateness(self.check.timeout).filter(|_| calm);
        let allowed = self.deadline();
        let out = Out {
            probe: self.next,
            started: now,
            late: lateness.map(|lateness| now + lateness),
            deadline: now + allowed,
        };
        self.next += 1;
        self.reprobe = now + self.step();
        self.out.push(out);
        steps.push(Step::Start { probe: out.probe, allowed });
    }

    fn report(
        &mut self,
        outcome: Outcome,
        started: Instant,
        now: Instant,
        budget: &mut Budget,
        steps: &mut Vec<Step>,
    ) {
        if let Outcome::Late | Outcome::Failed(_) = outcome
            && self.tracker.held().verdict == Verdict::Up
        {
            self.reprobe = now;
            self.pay_for_doubt(now, budget);
        }
        let failures_left = match outcome {
            Outcome::Failed(_) => self.tracker.failures_left(&self.check).saturating_sub(1).max(1),
            _ => self.tracker.failures_left(&self.check),
        };
        let seen = Seen { outcome, started, at: now, decided_by: self.decided_by(failures_left, now) };
        let changed = self.tracker.observe(&seen, &self.check);
        steps.push(Step::Report(seen));
        match (changed, self.tracker.held().verdict) {
            (Some(Verdict::Up | Verdict::Suspect { .. }), Verdict::Suspect { .. }) => self.ask_no_lateness(),
            (Some(_), Verdict::Up) => self.doubt_ends(budget),
            (Some(_), Verdict::Down) => {
                self.doubt_ends(budget);
                self.usual.forget();
            }
            _ => {}
        }
        // A start that was missed is made up for if a probe still out raises it, and only then.
        if self.tracker.held().verdict == Verdict::Down && self.out.is_empty() && self.regular <= now {
            self.regular = next_on_grid(self.grid, self.check.interval, now);
        }
    }

    /// In doubt, and just after it, another late probe tells nothing new: only its end does.
    fn ask_no_lateness(&mut self) {
        for out in &mut self.out {
            out.late = None;
        }
    }

    fn doubt_ends(&mut self, budget: &mut Budget) {
        self.ask_no_lateness();
        budget.give_back(std::mem::take(&mut self.paid));
        self.ask = None;
    }

    /// Takes as many re-probes as can start until the doubt is decided, or none, to ask again a little later.
    fn pay_for_doubt(&mut self, now: Instant, budget: &mut Budget) {
        let left = self.tracker.failures_left(&self.check);
        let longest = self.step() * left.saturating_sub(1) + self.deadline();
        let starts = longest.as_nanos().div_ceil(self.step().as_nanos().max(1));
        let wanted = u32::try_from(starts).unwrap_or(u32::MAX).min(self.out_max() as u32);
        match budget.take(wanted, now) {
            true => (self.paid, self.ask) = (wanted, None),
            false => self.ask = Some(now + self.step()),
        }
    }

    /// When a doubt is decided at the latest, if every probe from now on fails: at the deadline of the last of
    /// the `left` failures that are wanting, of the probes that are out or else of those to be started.
    fn decided_by(&self, left: u32, now: Instant) -> Instant {
        let mut deadlines: Vec<_> = self.out.iter().map(|out| out.deadline).collect();
        deadlines.sort_unstable();
        let out = u32::try_from(deadlines.len()).unwrap_or(u32::MAX);
        if left <= out {
            return deadlines[left as usize - 1];
        }
        let (first, step) = match self.paid {
            0 => (self.regular.max(now), self.check.interval),
            _ => (self.regular.min(self.reprobe).max(now), self.step()),
        };
        let last_to_start = first + step * (left - out - 1) + self.deadline();
        deadlines.last().map_or(last_to_start, |last| last_to_start.max(*last))
    }

    /// The next start; `None` while the probes that are out must end first.
    fn next_start(&self) -> Option<Instant> {
        match self.tracker.held().verdict {
            Verdict::Down if !self.out.is_empty() => None,
            _ if self.out.len() >= self.out_max() => None,
            Verdict::Suspect { .. } if self.paid > 0 => Some(self.regular.min(self.reprobe)),
            _ => Some(self.regular),
        }
    }

    /// From re-probe to re-probe.
    fn step(&self) -> Duration {
        REPROBE_EVERY.min(self.check.interval)
    }

    /// How long a probe that starts now may take. While down there is no usual time yet: of a server that has just come back,
    /// one fast answer (what it had kept) must not fail the others.
    fn deadline(&self) -> Duration {
        match self.tracker.held().verdict {
            Verdict::Down => self.check.timeout,
            _ => self.usual.deadline(self.check.timeout),
        }
    }

    /// At least `fall`, so that this limit delays no decision.
    fn out_max(&self) -> usize {
        OUT_MAX.max(self.check.fall as usize)
    }
}

/// The first point of the grid after `now`.
fn next_on_grid(grid: Instant, interval: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(grid).as_nanos();
    let Some(turns) = passed.checked_div(interval.as_nanos()).filter(|_| now >= grid) else { return grid };
    let into = u64::try_from(passed - turns * interval.as_nanos()).expect("less than the interval");
    now - Duration::from_nanos(into) + interval
}

/// The share of `span` that a hash stands for: evenly over it.
fn share(hash: u64, span: Duration) -> Duration {
    let nanos = (u128::from(hash) * span.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A fixed hash of a target's name (FNV-1a, its bits then mixed as splitmix64 does).
fn hash(key: &TargetKey) -> u64 {
    let address = key.address.to_string();
    let words = [&*key.cluster, &*key.node, &address, &*key.check];
    let octets = words.iter().flat_map(|word| word.bytes().chain([0]));
    let mut hash = octets.fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;
    use crate::health::budget::REPROBES_SAVED_MAX;
    use crate::health::check::{HoldDown, Kind};
    use crate::health::verdict::Cause;

    fn check(interval_ms: u64, timeout_ms: u64, fall: u32) -> Arc<Check> {
        let (interval, timeout) = (Duration::from_millis(interval_ms), Duration::from_millis(timeout_ms));
        Arc::new(Check {
            key: "edge".into(),
            kind: Kind::Tcp,
            port: 80,
            interval,
            timeout,
            fall,
            rise: 2,
            hold_down: HoldDown::default(),
        })
    }

    fn key(node: &str) -> TargetKey {
        let address = "192.0.2.1".parse().unwrap();
        TargetKey { cluster: "sin".into(), node: node.into(), address, check: "edge".into() }
    }

    const NONE: [u64; 0] = [];

    /// One target, told the time by hand.
    struct Bench {
        pace: Pace,
        budget: Budget,
        start: Instant,
        steps: Vec<Step>,
    }

    impl Bench {
        /// An up target that usually takes 10 ms, at a point of its grid: a probe starts at 0 ms.
        fn up(check: Arc<Check>) -> Bench {
            let before = Instant::now();
            let pace = Pace::new(&key("n"), check, Tracker::holding(Verdict::Up, before, None), before);
            let mut bench = Bench { pace, budget: Budget::new(before), start: before, steps: Vec::new() };
            bench.start = bench.pace.wake().unwrap();
            let first = bench.starts(0)[0];
            bench.ended(first, succeeded(10), 10);
            bench.start = bench.pace.wake().unwrap();
            bench
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        /// Ticks at `ms`; the probes that start then.
        fn starts(&mut self, ms: u64) -> Vec<u64> {
            self.pace.tick(self.at(ms), &mut self.budget, &mut self.steps);
            self.started()
        }

        /// A probe ends at `ms`; the probes that start then.
        fn ended(&mut self, probe: u64, outcome: Outcome, ms: u64) -> Vec<u64> {
            self.pace.ended(probe, outcome, self.at(ms), &mut self.budget, &mut self.steps);
            self.started()
        }

        fn started(&mut self) -> Vec<u64> {
            let started = self.steps.iter().filter_map(|step| match step {
                Step::Start { probe, .. } => Some(*probe),
                _ => None,
            });
            let started = started.collect();
            self.steps.retain(|step| !matches!(step, Step::Start { .. }));
            started
        }

        fn wake_ms(&self) -> u128 {
            self.pace.wake().unwrap().saturating_duration_since(self.start).as_millis()
        }

        fn word(&self) -> &'static str {
            self.pace.tracker.held().verdict.word()
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed(Cause { layer: "connect", what: "refused".into() })
    }

    fn succeeded(ms: u64) -> Outcome {
        Outcome::Succeeded(Duration::from_millis(ms))
    }

    #[test]
    fn while_all_is_well_a_probe_starts_each_interval() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        for second in 0..5 {
            let probe = bench.starts(second * 1000)[0];
            assert_eq!(bench.ended(probe, succeeded(10), second * 1000 + 10), NONE);
            assert_eq!(bench.wake_ms(), u128::from(second + 1) * 1000);
        }
    }

    #[test]
    fn a_late_probe_is_joined_at_once_and_then_each_200_ms() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        assert_eq!(bench.starts(0).len(), 1);
        for ms in [200, 400, 600] {
            assert_eq!(bench.wake_ms(), u128::from(ms));
            assert_eq!(bench.starts(ms).len(), 1);
            assert_eq!(bench.word(), "suspect");
        }
    }

    #[test]
    fn a_silent_death_is_decided_1550_ms_after_the_probe_that_found_it() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        let probes = [0, 200, 400, 600, 800].map(|ms| bench.starts(ms)[0]);
        let Verdict::Suspect { until } = bench.pace.tracker.held().verdict else { panic!("no doubt") };
        assert_eq!(until, bench.at(1550));
        for (probe, ms) in probes.into_iter().zip([750, 950, 1150, 1350, 1550]) {
            assert_eq!(bench.word(), "suspect");
            bench.starts(ms);
            bench.ended(probe, failed(), ms);
        }
        assert_eq!(bench.word(), "down");
    }

    #[test]
    fn a_refused_port_is_down_after_600_ms() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        let mut probe = bench.starts(0)[0];
        probe = bench.ended(probe, failed(), 1)[0];
        for ms in [1, 201, 401] {
            assert_eq!(bench.ended(probe, failed(), ms), NONE);
            probe = bench.starts(ms + 200)[0];
        }
        bench.ended(probe, failed(), 601);
        assert_eq!(bench.word(), "down");
    }

    #[test]
    fn a_success_withdraws_the_older_probes_and_ends_the_doubt() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        let old = bench.starts(0)[0];
        let new = bench.starts(200)[0];
        assert_eq!(bench.ended(new, succeeded(10), 210), NONE);
        assert!(bench.steps.contains(&Step::Withdraw { probe: old }));
        assert_eq!((bench.word(), bench.wake_ms()), ("up", 1000));
        assert_eq!(bench.ended(old, failed(), 750), NONE);
        assert_eq!(bench.word(), "up");
    }

    #[test]
    fn a_doubt_gives_back_what_it_did_not_use() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        bench.starts(0);
        let probe = bench.starts(200)[0];
        bench.ended(probe, succeeded(10), 210);
        assert!(bench.budget.take(REPROBES_SAVED_MAX - 1, bench.at(210)));
    }

    #[test]
    fn where_the_budget_pays_nothing_the_regular_probes_decide() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        bench.starts(0);
        assert!(bench.budget.take(REPROBES_SAVED_MAX, bench.at(199)));
        assert_eq!(bench.starts(200), NONE);
        let Verdict::Suspect { until } = bench.pace.tracker.held().verdict else { panic!("no doubt") };
        assert_eq!(until, bench.at(4750));
        assert_eq!(bench.wake_ms(), 400);
        assert_eq!(bench.starts(400).len(), 1, "the budget has filled again");
    }

    #[test]
    fn a_down_target_is_probed_on_its_grid_one_probe_at_a_time() {
        let mut bench = Bench::up(check(1000, 2500, 1));
        let probe = bench.starts(0)[0];
        bench.ended(probe, failed(), 750);
        assert_eq!((bench.word(), bench.wake_ms()), ("down", 1000));
        let probe = bench.starts(1000)[0];
        assert_eq!(bench.pace.wake(), None);
        assert_eq!(bench.ended(probe, failed(), 3500), NONE);
        assert_eq!(bench.wake_ms(), 4000);
    }

    #[test]
    fn a_start_missed_while_down_is_made_up_for_when_a_probe_still_out_raises_it() {
        let mut bench = Bench::up(Arc::new(Check { rise: 1, ..(*check(50, 2500, 1)).clone() }));
        let mut out = bench.starts(0);
        out.extend(bench.starts(50));
        out.extend(bench.starts(100));
        assert_eq!(bench.ended(out[0], failed(), 120), NONE);
        assert_eq!((bench.word(), bench.starts(150)), ("down", vec![]));
        assert_eq!(bench.ended(out[1], failed(), 160), NONE);
        assert_eq!(bench.ended(out[2], succeeded(70), 170).len(), 1);
        assert_eq!((bench.word(), bench.wake_ms()), ("up", 200));
    }

    #[test]
    fn a_target_that_was_down_may_come_back_slower() {
        let mut bench = Bench::up(check(1000, 2500, 1));
        let probe = bench.starts(0)[0];
        bench.ended(probe, failed(), 750);
        bench.pace.tick(bench.at(1000), &mut bench.budget, &mut bench.steps);
        let start = Step::Start { probe: 2, allowed: Duration::from_millis(2500) };
        assert!(bench.steps.contains(&start));
    }

    #[test]
    fn one_fast_answer_while_down_shortens_no_deadline() {
        let mut bench = Bench::up(check(1000, 2500, 1));
        let probe = bench.starts(0)[0];
        bench.ended(probe, failed(), 1);
        assert_eq!(bench.word(), "down");
        let probe = bench.starts(1000)[0];
        bench.ended(probe, succeeded(10), 1010);
        assert_eq!(bench.word(), "down");
        bench.pace.tick(bench.at(2000), &mut bench.budget, &mut bench.steps);
        let allowed = bench.steps.iter().find_map(|step| match step {
            Step::Start { allowed, .. } => Some(*allowed),
            _ => None,
        });
        assert_eq!(allowed, Some(Duration::from_millis(2500)));
    }

    #[test]
    fn a_local_failure_in_calm_waits_for_the_next_interval() {
        let mut bench = Bench::up(check(1000, 2500, 5));
        let probe = bench.starts(0)[0];
        assert_eq!(bench.ended(probe, Outcome::Local("too many".into()), 0), NONE);
        assert_eq!((bench.word(), bench.wake_ms()), ("up", 1000));
    }

    #[test]
    fn a_first_probe_does_not_wait_for_a_long_interval() {
        let now = Instant::now();
        for node in ["a", "b", "c", "d"] {
            let pace = Pace::new(&key(node), check(3_600_000, 2500, 5), Tracker::unknown(now), now);
            assert!(pace.wake().unwrap() <= now + FIRST_WITHIN);
        }
    }

    #[test]
    fn phases_are_spread_evenly_over_the_interval() {
        let second = Duration::from_secs(1);
        let mut tenths = [0u32; 10];
        for n in 0..1000 {
            let at = share(hash(&key(&format!("node-{n}"))), second);
            tenths[usize::try_from(at.as_millis() / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (70..130).contains(count)), "{tenths:?}");
    }

    #[test]
    fn the_next_point_of_the_grid_is_after_now_and_on_it() {
        let (grid, interval) = (Instant::now(), Duration::from_millis(1000));
        for (now_ms, next_ms) in [(0, 1000), (1, 1000), (999, 1000), (1000, 2000), (12_345, 13_000)] {
            let next = next_on_grid(grid, interval, grid + Duration::from_millis(now_ms));
            assert_eq!(next, grid + Duration::from_millis(next_ms));
        }
        assert_eq!(next_on_grid(grid + interval, interval, grid), grid + interval);
    }
}
