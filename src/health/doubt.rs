//! Self-doubt: a vantage that sees much of the world fail, and with it what always answers, doubts itself.
//!
//! ```text
//! trusting --more than `share` of the targets fall within WINDOW, and most canaries fail--> doubting: verdicts are frozen
//! doubting --most canaries answer--> calm: what answers again thaws --nothing is frozen, or GRACE is over--> trusting
//! calm     --most canaries fail--> doubting
//! ```
//!
//! What succeeds meanwhile is up at once: a success proves itself, whatever else is in doubt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check::{Check, HoldDown, Kind};
use super::target::{Aim, Target, TargetKey};
use crate::cluster::{CheckId, ClusterId};

/// Falls that lie no further apart are one event.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How long targets are waited for once the canaries answer again: what is down then is down.
pub const GRACE: Duration = Duration::from_secs(30);
/// The most canaries.
pub const CANARIES_MAX: usize = 16;

/// When a vantage doubts itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distrust {
    /// The share of the targets that must fall within [`WINDOW`]; 0..=1.
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

/// What a vantage thinks of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Since when it doubts itself; `None`: it does not.
    pub since: Option<Instant>,
    /// Since when the canaries answer again.
    calm: Option<Instant>,
}

/// What is to be done with verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing changes.
    Stay,
    /// It doubts itself from now on: freeze them.
    Freeze,
    /// Thaw those of targets that answer again.
    Thaw,
    /// Thaw them all: the time is over.
    ThawAll,
}

impl Doubt {
    /// What follows from what is seen at `now`: the targets that fell of late, the canaries that fail.
    pub fn step(&mut self, distrust: &Distrust, fallen: Share, failing: Share, now: Instant) -> Step {
        let cut_off = failing.all > 0 && failing.exceeds(0.5);
        match (self.since, cut_off) {
            (None, true) if fallen.all > 0 && fallen.exceeds(distrust.share) => {
                *self = Doubt { since: Some(now), calm: None };
                Step::Freeze
            }
            (None, _) => Step::Stay,
            (Some(_), true) => {
                self.calm = None;
                // What fell since is frozen, too.
                Step::Freeze
            }
            (Some(_), false) => {
                let calm = *self.calm.get_or_insert(now);
                match now.saturating_duration_since(calm) >= GRACE {
                    true => Step::ThawAll,
                    false => Step::Thaw,
                }
            }
        }
    }

    /// Ends it: nothing is frozen any more.
    pub fn end(&mut self) {
        *self = Doubt::default();
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;

    fn share(some: usize, all: usize) -> Share {
        Share { some, all }
    }

    #[test]
    fn it_doubts_itself_only_where_canaries_fail_too() {
        let distrust = Distrust { share: 0.5, canaries: Vec::new() };
        let now = Instant::now();
        let step = |fallen, failing| Doubt::default().step(&distrust, fallen, failing, now);
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
        let mut step = |second, fallen: usize, failing: usize| {
            let now = start + Duration::from_secs(second);
            doubt.step(&distrust, share(fallen, 10), share(failing, 3), now)
        };
        assert_eq!(step(0, 9, 3), Step::Freeze);
        assert_eq!(step(60, 0, 3), Step::Freeze, "as long as it lasts, it does not matter when they fell");
        assert_eq!(step(61, 0, 1), Step::Thaw);
        assert_eq!(step(80, 0, 2), Step::Freeze, "away again");
        assert_eq!(step(81, 0, 0), Step::Thaw);
        assert_eq!(step(110, 0, 0), Step::Thaw);
        assert_eq!(step(111, 0, 0), Step::ThawAll);
    }
}
