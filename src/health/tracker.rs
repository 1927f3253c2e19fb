//! One target's verdict: outcomes in, verdict out.
//!
//! | held      | succeeded                     | late    | failed                                    |
//! | --------- | ----------------------------- | ------- | ----------------------------------------- |
//! | `unknown` | up                            | –       | down                                      |
//! | `up`      | –                             | suspect | suspect; down where `fall` is 1           |
//! | `suspect` | up                            | –       | down at the `fall`-th in a row            |
//! | `down`    | up at the `rise`-th in a row  | –       | counts anew                               |
//!
//! A local failure changes nothing: nothing was seen. A target that keeps falling is held down for a while
//! ([`HoldDown`](super::check::HoldDown)): until then no success raises it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check::Check;
use super::verdict::{Cause, DRILL, Held, Outcome, Seen, Verdict};

/// One target's verdict, and how far it is from the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracker {
    held: Held,
    /// Since when it has stood up or down, doubts that came to nothing included.
    stands: Instant,
    /// Outcomes in a row against the verdict: failures while up or suspect, successes while down.
    contrary: u32,
    /// Whether it came up from down, not from unknown.
    recovered: bool,
    /// Whether it went down from up, not from unknown.
    fell: bool,
    /// Whether it last went down in a drill.
    rehearsed: bool,
    /// Whether it last went down in nobody's eyes but those of a vantage in doubt.
    forgiven: bool,
    /// How often in a row it fell soon after it had come back.
    relapses: u32,
    /// Until when it is held down, however well it answers.
    held_until: Option<Instant>,
}

impl Tracker {
    /// A target of which nothing is known.
    pub fn unknown(now: Instant) -> Tracker {
        Tracker::holding(Verdict::Unknown, now, None)
    }

    /// A target of which something is known from before. A doubt is not taken over: its probes are gone.
    pub fn holding(verdict: Verdict, since: Instant, cause: Option<Cause>) -> Tracker {
        let verdict = match verdict {
            Verdict::Suspect { .. } => Verdict::Up,
            settled => settled,
        };
        let held = Held { verdict, since, cause };
        Tracker {
            held,
            stands: since,
            contrary: 0,
            recovered: false,
            fell: false,
            rehearsed: false,
            forgiven: false,
            relapses: 0,
            held_until: None,
        }
    }

    /// The same, but that a doubt is up again: its probes are gone.
    pub fn without_doubt(mut self) -> Tracker {
        if let Verdict::Suspect { .. } = self.held.verdict {
            self.held.verdict = Verdict::Up;
            self.held.since = self.stands;
            self.contrary = 0;
        }
        self
    }

    /// The same, but fallen so often before, and held down until then.
    pub fn relapsed(self, relapses: u32, held_until: Option<Instant>) -> Tracker {
        Tracker { relapses, held_until, ..self }
    }

    /// The same, but that it came up from down.
    pub fn as_recovered(self, recovered: bool) -> Tracker {
        Tracker { recovered, ..self }
    }

    /// What is held.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Since when it has been up or down, doubts that came to nothing included.
    pub fn stands(&self) -> Instant {
        self.stands
    }

    /// Since when it is up again, where it was down before.
    pub fn recovered(&self) -> Option<Instant> {
        self.recovered.then_some(self.stands)
    }

    /// When it went down, where it was up before.
    pub fn fell(&self) -> Option<Instant> {
        self.fell.then_some(self.stands)
    }

    /// How often in a row it fell soon after it had come back, and until when it is held down for that.
    pub fn relapses(&self) -> (u32, Option<Instant>) {
        (self.relapses, self.held_until)
    }

    /// Forgets the last fall: it was not the target's. It is no relapse, and neither does the return from it count. Whether anything
    /// was to be forgotten.
    pub fn forgive(&mut self) -> bool {
        if self.held.verdict != Verdict::Down || self.forgiven {
            return false;
        }
        self.forgiven = true;
        let held = self.held_until.take().is_some();
        self.relapses -= u32::from(held && self.relapses > 0);
        true
    }

    /// Takes over what another one of the same target was told of its falls.
    pub fn agree(&mut self, other: &Tracker) {
        (self.relapses, self.held_until) = (other.relapses, other.held_until);
        self.forgiven = other.forgiven && self.held.verdict == Verdict::Down;
    }

    /// Ends a doubt that nothing decided: it stands as before, and so many failures as were seen are not forgotten.
    pub fn undecided(&mut self) {
        if let Verdict::Suspect { .. } = self.held.verdict {
            self.held.verdict = Verdict::Up;
            self.held.since = self.stands;
        }
    }

    /// Failures that are still wanting until down, were they to come in a row from now; at least 1.
    pub fn failures_left(&self, check: &Check) -> u32 {
        match self.held.verdict {
            Verdict::Unknown | Verdict::Down => 1,
            Verdict::Up | Verdict::Suspect { .. } => check.fall.saturating_sub(self.contrary).max(1),
        }
    }

    /// Takes one outcome. `Some(before)` where the verdict is another one now, or a doubt's date came nearer.
    pub fn observe(&mut self, seen: &Seen, check: &Check) -> Option<Verdict> {
        let before = self.held.verdict;
        match &seen.outcome {
            Outcome::Succeeded(_) => self.succeeded(seen.at, check),
            Outcome::Late => self.late(seen),
            Outcome::Failed(cause) => self.failed(cause, seen, check),
            Outcome::Local(_) => {}
        }
        (self.held.verdict != before).then_some(before)
    }

    fn succeeded(&mut self, at: Instant, check: &Check) {
        match self.held.verdict {
            Verdict::Up => self.contrary = 0,
            Verdict::Unknown => self.settle(Verdict::Up, at),
            Verdict::Suspect { .. } => {
                self.held.verdict = Verdict::Up;
                self.held.since = self.stands;
                self.contrary = 0;
            }
            Verdict::Down => {
                self.contrary = self.contrary.saturating_add(1);
                if self.contrary >= check.rise && self.held_until.is_none_or(|until| until <= at) {
                    self.settle(Verdict::Up, at);
                }
            }
        }
    }

    fn late(&mut self, seen: &Seen) {
        if self.held.verdict != Verdict::Up {
            return;
        }
        let waited = seen.at.saturating_duration_since(seen.started).as_millis();
        let what: Arc<str> = format!("no answer after {waited} ms").into();
        self.held = Held {
            verdict: Verdict::Suspect { until: seen.decided_by },
            since: seen.at,
            cause: Some(Cause { layer: "late", what }),
        };
    }

    fn failed(&mut self, cause: &Cause, seen: &Seen, check: &Check) {
        self.held.cause = Some(cause.clone());
        match self.held.verdict {
            Verdict::Unknown => return self.settle(Verdict::Down, seen.at),
            Verdict::Down => return self.contrary = 0,
            Verdict::Up | Verdict::Suspect { .. } => self.contrary += 1,
        }
        if self.contrary >= check.fall {
            match cause.layer {
                // A fall that nobody saw is held against nobody, and neither is the return from it.
                DRILL => self.rehearsed = true,
                _ => self.count_relapse(seen.at, check),
            }
            return self.settle(Verdict::Down, seen.at);
        }
        match &mut self.held.verdict {
            Verdict::Suspect { until } => *until = seen.decided_by.min(*until),
            _ => {
                self.held.verdict = Verdict::Suspect { until: seen.decided_by };
                self.held.since = seen.at;
            }
        }
    }

    /// Counts a fall that came soon after a return, and holds it down for that.
    fn count_relapse(&mut self, at: Instant, check: &Check) {
        let stood = at.saturating_duration_since(self.stands);
        let returned = self.recovered && !std::mem::take(&mut self.rehearsed);
        self.relapses = match returned && stood < check.hold_down.most {
            true => self.relapses.saturating_add(1),
            false => 0,
        };
        let hold = if self.relapses == 0 { Duration::ZERO } else { check.hold_down.of(self.relapses) };
        self.held_until = (!hold.is_zero()).then(|| at + hold);
    }

    fn settle(&mut self, verdict: Verdict, at: Instant) {
        let forgiven = std::mem::take(&mut self.forgiven);
        self.recovered = verdict == Verdict::Up && self.held.verdict == Verdict::Down && !forgiven;
        self.fell = verdict == Verdict::Down && self.held.verdict != Verdict::Unknown;
        if verdict == Verdict::Up {
            self.held_until = None;
        }
        self.held.verdict = verdict;
        self.held.since = at;
        self.stands = at;
        self.contrary = 0;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::check::{HoldDown, Kind};

    fn check(fall: u32, rise: u32) -> Check {
        let second = Duration::from_secs(1);
        Check {
            key: "c".into(),
            kind: Kind::Tcp,
            port: 80,
            interval: second,
            timeout: second,
            fall,
            rise,
            hold_down: HoldDown::default(),
        }
    }

    fn failed(what: &str) -> Outcome {
        Outcome::Failed(Cause { layer: "connect", what: what.into() })
    }

    const SUCCEEDED: Outcome = Outcome::Succeeded(Duration::from_millis(3));

    /// Feeds outcomes one second apart; each says that a doubt lasts 5 s more.
    struct Feed(Tracker, Instant, Check);

    impl Feed {
        fn new(fall: u32, rise: u32) -> Feed {
            let now = Instant::now();
            Feed(Tracker::unknown(now), now, check(fall, rise))
        }

        fn see(&mut self, outcome: Outcome) -> &'static str {
            self.1 += Duration::from_secs(1);
            let decided_by = self.1 + Duration::from_secs(5);
            let seen = Seen { outcome, started: self.1 - Duration::from_millis(200), at: self.1, decided_by };
            self.0.observe(&seen, &self.2);
            self.0.held().verdict.word()
        }
    }

    #[test]
    fn the_first_outcome_decides_at_once() {
        assert_eq!(Feed::new(5, 5).see(SUCCEEDED), "up");
        assert_eq!(Feed::new(5, 5).see(failed("refused")), "down");
    }

    #[test]
    fn lateness_alone_says_nothing_of_an_unknown_target() {
        assert_eq!(Feed::new(5, 5).see(Outcome::Late), "unknown");
    }

    #[test]
    fn an_up_target_is_down_at_the_fall_th_failure_in_a_row() {
        let mut feed = Feed::new(3, 2);
        feed.see(SUCCEEDED);
        let words = [(); 3].map(|()| feed.see(failed("refused")));
        assert_eq!(words, ["suspect", "suspect", "down"]);
    }

    #[test]
    fn a_success_between_makes_failures_count_anew() {
        let mut feed = Feed::new(2, 2);
        feed.see(SUCCEEDED);
        for _ in 0..10 {
            assert_eq!(feed.see(failed("refused")), "suspect");
            assert_eq!(feed.see(SUCCEEDED), "up");
        }
    }

    #[test]
    fn where_fall_is_one_there_is_no_doubt_about_a_failure() {
        let mut feed = Feed::new(1, 1);
        feed.see(SUCCEEDED);
        assert_eq!(feed.see(Outcome::Late), "suspect");
        assert_eq!(feed.see(SUCCEEDED), "up");
        assert_eq!(feed.see(failed("refused")), "down");
    }

    #[test]
    fn a_down_target_is_up_at_the_rise_th_success_in_a_row() {
        let mut feed = Feed::new(1, 3);
        feed.see(failed("refused"));
        let words = [SUCCEEDED, SUCCEEDED, failed("refused"), SUCCEEDED, SUCCEEDED, SUCCEEDED];
        assert_eq!(words.map(|outcome| feed.see(outcome)), ["down", "down", "down", "down", "down", "up"]);
    }

    #[test]
    fn a_local_failure_changes_nothing_whatever_is_held() {
        let mut feed = Feed::new(2, 2);
        for outcome in [Outcome::Late, SUCCEEDED, failed("refused"), failed("refused"), SUCCEEDED] {
            feed.see(outcome);
            let before = feed.0.clone();
            feed.see(Outcome::Local("out of file descriptors".into()));
            assert_eq!(feed.0, before);
        }
    }

    #[test]
    fn a_doubt_that_comes_to_nothing_leaves_the_age_of_up_as_it_was() {
        let mut feed = Feed::new(3, 2);
        feed.see(SUCCEEDED);
        let up = feed.0.held().since;
        assert_eq!(feed.see(Outcome::Late), "suspect");
        assert_eq!(feed.0.held().since, feed.1);
        assert_eq!(feed.0.held().cause.as_ref().unwrap().to_string(), "late: no answer after 200 ms");
        feed.see(SUCCEEDED);
        assert_eq!(feed.0.held().since, up);
    }

    #[test]
    fn the_date_of_a_doubt_only_comes_nearer() {
        let mut feed = Feed::new(5, 2);
        feed.see(SUCCEEDED);
        feed.see(Outcome::Late);
        let first = feed.0.held().verdict;
        feed.see(failed("refused"));
        assert_eq!(feed.0.held().verdict, first);
    }

    #[test]
    fn the_cause_is_the_last_failures_own_words() {
        let mut feed = Feed::new(1, 1);
        feed.see(failed("refused"));
        feed.see(failed("reset"));
        assert_eq!(feed.0.held().cause.as_ref().unwrap().to_string(), "connect: reset");
    }

    /// Up, then down after so many seconds; the seconds that it takes to come back while it always succeeds.
    fn falls_and_returns(feed: &mut Feed, stood_s: u64) -> u64 {
        feed.1 += Duration::from_secs(stood_s);
        while feed.see(failed("refused")) != "down" {}
        let fell = feed.1;
        while feed.see(SUCCEEDED) != "up" {}
        (feed.1 - fell).as_secs()
    }

    #[test]
    fn who_keeps_falling_is_held_down_for_longer_each_time_until_it_has_stood_for_long() {
        let mut feed = Feed::new(1, 2);
        let second = Duration::from_secs(1);
        feed.2.hold_down = HoldDown { first: 10 * second, most: 35 * second };
        feed.see(SUCCEEDED);
        let took = [0, 5, 5, 5, 5, 100, 5].map(|stood_s| falls_and_returns(&mut feed, stood_s));
        assert_eq!(took, [2, 10, 20, 35, 35, 2, 10]);
        assert_eq!(feed.0.relapses().0, 1);
    }

    #[test]
    fn a_fall_that_was_not_the_targets_is_forgiven() {
        let mut feed = Feed::new(1, 1);
        feed.2.hold_down = HoldDown { first: Duration::from_secs(100), most: Duration::from_secs(1000) };
        feed.see(SUCCEEDED);
        for _ in 0..2 {
            assert_eq!(feed.see(failed("refused")), "down");
            feed.0.forgive();
            assert_eq!(feed.see(SUCCEEDED), "up");
        }
        assert_eq!(feed.0.relapses(), (0, None));
    }

    #[test]
    fn a_return_from_a_fall_that_was_forgiven_is_none() {
        let mut feed = Feed::new(1, 1);
        feed.2.hold_down = HoldDown { first: Duration::from_secs(100), most: Duration::from_secs(1000) };
        feed.see(SUCCEEDED);
        feed.see(failed("refused"));
        let mut paced = feed.0.clone();
        assert!(feed.0.forgive() && !feed.0.forgive());
        paced.agree(&feed.0);
        assert_eq!(feed.see(SUCCEEDED), "up");
        assert_eq!((feed.0.recovered(), paced.forgiven), (None, true));
        assert_eq!(feed.see(failed("refused")), "down");
        assert_eq!(feed.see(SUCCEEDED), "up", "its first own fall is no relapse");
        assert!(feed.0.recovered().is_some());
    }

    #[test]
    fn a_doubt_that_nothing_decides_ends_and_its_failures_count_on() {
        let mut feed = Feed::new(2, 1);
        feed.see(SUCCEEDED);
        assert_eq!(feed.see(failed("refused")), "suspect");
        feed.0.undecided();
        assert_eq!(feed.0.held().verdict, Verdict::Up);
        assert_eq!(feed.see(failed("refused")), "down");
        feed.see(SUCCEEDED);
        feed.see(failed("refused"));
        feed.0.undecided();
        feed.see(SUCCEEDED);
        assert_eq!(feed.see(failed("refused")), "suspect", "a success between makes them count anew");
    }

    #[test]
    fn a_drill_is_held_against_nobody() {
        let mut feed = Feed::new(1, 1);
        feed.2.hold_down = HoldDown { first: Duration::from_secs(100), most: Duration::from_secs(1000) };
        feed.see(SUCCEEDED);
        let drill = || Outcome::Failed(Cause { layer: DRILL, what: "a drill".into() });
        for _ in 0..3 {
            assert_eq!(feed.see(drill()), "down");
            assert_eq!(feed.see(SUCCEEDED), "up", "at once, each time");
        }
        assert_eq!(falls_and_returns(&mut feed, 5), 1, "the first fall of its own is no relapse");
        assert_eq!(falls_and_returns(&mut feed, 5), 100, "but the second one is");
    }

    #[test]
    fn what_is_known_from_before_is_a_real_verdict() {
        let now = Instant::now();
        let mut feed = Feed(Tracker::holding(Verdict::Down, now, None), now, check(2, 2));
        assert_eq!(feed.see(SUCCEEDED), "down");
        assert_eq!(feed.see(SUCCEEDED), "up");
    }
}
