//! Self-doubt: a vantage that sees much of the world fail, and with it what always answers, doubts itself.
//!
//! ```text
//! trusting --more than `share` of the targets fall at once, and most canaries fail--> doubting: verdicts are frozen
//! doubting --most canaries, or all but `share` of the targets, answer--> calm: what answers again thaws, and the rest
//!            when it had its time to--> trusting
//! calm     --neither does--> doubting
//! ```
//!
//! Of IPv4 and of IPv6 apart: one of them may be broken alone.
//!
//! What succeeds meanwhile is up at once: a success proves itself, whatever else is in doubt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check::{Check, HoldDown, Kind};
use super::target::{Aim, Target, TargetKey};
use crate::cluster::{CheckId, ClusterId};

/// Falls that lie no further apart than this and the interval of their check are one event.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How long targets are waited for at least once the canaries answer again: what could have come up by then, and is down, is down.
pub const GRACE: Duration = Duration::from_secs(30);
/// The most canaries.
pub const CANARIES_MAX: usize = 16;

/// When a vantage doubts itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distrust {
    /// The share of a family's targets that must fall at once; 0..=1.
    pub share: f64,
    /// What always answers, connected to over TCP; none: it never doubts itself, since nothing says otherwise.
    pub canaries: Vec<SocketAddr>,
}

impl Distrust {
    /// The canaries as targets, on a board of their own.
    pub fn targets(&self) -> Vec<Target> {
        let check = Arc::new(Check {
            key: KEY.into(),
            kind: Kind::Tcp,
            port: 0,
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(2500),
            fall: 3,
            rise: 2,
            hold_down: HoldDown::default(),
        });
        let target = |(address, member): (&SocketAddr, u8)| {
            let key = TargetKey {
                cluster: KEY.into(),
                node: address.to_string().into(),
                address: address.ip(),
                check: KEY.into(),
            };
            let aim = Arc::new(Aim { key, probe: *address, check: check.clone() });
            Target { cluster: ClusterId(0), node: 0, member, check: CheckId(0), aim }
        };
        self.canaries.iter().zip(0..).map(target).collect()
    }
}

/// The key of all canaries: no label of a file is like it.
const KEY: &str = "(canary)";

/// Some of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// So many.
    pub some: usize,
    /// Of so many.
    pub all: usize,
}

impl Share {
    /// Whether they are more than a share of all.
    pub fn exceeds(self, share: f64) -> bool {
        self.some as f64 > share * self.all as f64
    }
}

/// What a vantage thinks of itself, over one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Since when it doubts itself; `None`: it does not.
    pub since: Option<Instant>,
    /// Since when the canaries, or nearly all targets, answer again.
    calm: Option<Instant>,
}

/// What is seen of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The targets that fell of late.
    pub fallen: Share,
    /// The targets that count as up while verdicts are frozen, and are not seen so.
    pub astray: Share,
    /// The canaries that fail.
    pub failing: Share,
}

/// What is to be done with verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing changes.
    Stay,
    /// It doubts itself from now on: freeze them.
    Freeze,
    /// It has been calm for so long: thaw those of targets that answer again, or had the time to.
    Thaw(Duration),
}

impl Doubt {
    /// Whether there is anything to be thought over: it doubts itself, or most canaries fail.
    pub fn is_uneasy(&self, failing: Share) -> bool {
        self.since.is_some() || is_cut_off(failing)
    }

    /// What follows from what is seen at `now`.
    pub fn step(&mut self, distrust: &Distrust, sight: Sight, now: Instant) -> Step {
        let Sight { fallen, astray, failing } = sight;
        let cut_off = is_cut_off(failing);
        match self.since {
            None if cut_off && fallen.all > 0 && fallen.exceeds(distrust.share) => {
                *self = Doubt { since: Some(now), calm: None };
                Step::Freeze
            }
            None => Step::Stay,
            // Canaries may stay away alone: somebody has shut them off.
            Some(_) if cut_off && astray.exceeds(distrust.share) => {
                self.calm = None;
                // What fell since is frozen, too.
                Step::Freeze
            }
            Some(_) => {
                let calm = *self.calm.get_or_insert(now);
                Step::Thaw(now.saturating_duration_since(calm))
            }
        }
    }

    /// Ends it: nothing is frozen any more.
    pub fn end(&mut self) {
        *self = Doubt::default();
    }
}

/// Whether most canaries fail.
fn is_cut_off(failing: Share) -> bool {
    failing.all > 0 && failing.exceeds(0.5)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;

    fn share(some: usize, all: usize) -> Share {
        Share { some, all }
    }

    fn sight(fallen: Share, astray: Share, failing: Share) -> Sight {
        Sight { fallen, astray, failing }
    }

    #[test]
    fn it_doubts_itself_only_where_canaries_fail_too() {
        let distrust = Distrust { share: 0.5, canaries: Vec::new() };
        let now = Instant::now();
        let step =
            |fallen, failing| Doubt::default().step(&distrust, sight(fallen, share(0, 0), failing), now);
        assert_eq!(step(share(51, 100), share(2, 3)), Step::Freeze);
        assert_eq!(step(share(51, 100), share(1, 3)), Step::Stay, "the world is dying");
        assert_eq!(step(share(50, 100), share(3, 3)), Step::Stay, "one canary's network is away");
        assert_eq!(step(share(100, 100), share(0, 0)), Step::Stay, "nothing says otherwise");
        assert_eq!(step(share(0, 0), share(3, 3)), Step::Stay);
    }

    #[test]
    fn it_comes_back_by_itself_when_the_canaries_do() {
        let distrust = Distrust { share: 0.5, canaries: Vec::new() };
        let start = Instant::now();
        let mut doubt = Doubt::default();
        let mut step = |second, fallen: usize, astray: usize, failing: usize| {
            let now = start + Duration::from_secs(second);
            let sight = sight(share(fallen, 10), share(astray, 10), share(failing, 3));
            doubt.step(&distrust, sight, now)
        };
        let thaw = |seconds| Step::Thaw(Duration::from_secs(seconds));
        assert_eq!(step(0, 9, 9, 3), Step::Freeze);
        assert_eq!(step(60, 0, 9, 3), Step::Freeze, "as long as it lasts, it does not matter when they fell");
        assert_eq!(step(61, 0, 9, 1), thaw(0));
        assert_eq!(step(80, 0, 6, 2), Step::Freeze, "away again");
        assert_eq!(step(81, 0, 6, 0), thaw(0));
        assert_eq!(step(111, 0, 6, 0), thaw(30));
    }

    #[test]
    fn it_comes_back_when_the_world_does_though_its_canaries_stay_away() {
        let distrust = Distrust { share: 0.5, canaries: Vec::new() };
        let (mut doubt, now) = (Doubt::default(), Instant::now());
        let mut step =
            |astray| doubt.step(&distrust, sight(share(9, 10), share(astray, 10), share(3, 3)), now);
        assert_eq!([step(9), step(6), step(5)], [Step::Freeze, Step::Freeze, Step::Thaw(Duration::ZERO)]);
    }
}
