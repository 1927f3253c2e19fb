//! Verdicts and time: what outlives the program, and what is not known any more.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Board, Change, Slot};
use crate::health::target::{TargetId, TargetKey};
use crate::health::tracker::Tracker;
use crate::health::verdict::{Cause, LAYERS, Verdict};

/// What was last seen longer ago than this is not known any more: it counts as unknown.
pub const KEPT_MAX: Duration = Duration::from_secs(600);
/// Nobody is held down for longer, whatever a state file says.
const HELD_MAX: Duration = Duration::from_secs(24 * 3600);

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
    /// Whether it came up from down.
    pub recovered: bool,
    /// How often in a row it fell soon after it had come back.
    pub relapses: u32,
    /// For how long yet it is held down for that.
    pub held: Option<Duration>,
}

impl Board {
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
                let layer = LAYERS.iter().find(|known| **known == *layer)?;
                Some(Cause { layer, what: what.as_str().into() })
            });
            // Before the machine started there is no Instant: as early as can be told.
            let since = now.checked_sub(old.stood).unwrap_or(now);
            slot.tracker = Tracker::holding(verdict, since, cause)
                .as_recovered(old.recovered)
                .relapsed(old.relapses, old.held.map(|left| now + left.min(HELD_MAX)));
            slot.observed = Some(now.checked_sub(old.observed).unwrap_or(now));
        }
    }

    /// Lets go of what cannot be known any more at `now`: a likely verdict that was never seen, a doubt whose date is long over, a
    /// verdict of which nothing was observed for [`KEPT_MAX`] and for three intervals. Those who cannot be probed are not
    /// taken to be well, or ill, for ever.
    pub fn expire(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        for (slot, id) in self.slots.iter_mut().zip(0..) {
            let from = slot.standing();
            slot.expire(now);
            let to = slot.standing();
            if to != from {
                changes.push(Change { target: TargetId(id), from, to, death: None });
            }
        }
        changes
    }
}

impl Slot {
    fn kept(&self, now: Instant) -> Option<Kept> {
        let held = self.tracker.held();
        // What a vantage in doubt of itself saw fall is not known to be down.
        let up = match self.frozen.unwrap_or(held.verdict) {
            Verdict::Up | Verdict::Suspect { .. } => true,
            Verdict::Down => held.verdict == Verdict::Up,
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
            recovered: self.tracker.recovered().is_some(),
            relapses: self.tracker.relapses().0,
            held: self.tracker.relapses().1.map(|until| until.saturating_duration_since(now)),
        })
    }

    fn expire(&mut self, now: Instant) {
        self.likely = self.likely.filter(|(_, until)| now < *until);
        if self.frozen.is_some() {
            return; // Nobody is looked at while the vantage doubts what it sees.
        }
        let check = &self.target.aim.check;
        let over = |at: Instant, by: Duration| now.saturating_duration_since(at) > by;
        match self.tracker.held().verdict {
            Verdict::Unknown => {}
            _ if self.observed.is_some_and(|at| over(at, KEPT_MAX.max(3 * check.interval))) => {
                self.tracker = Tracker::unknown(now);
            }
            Verdict::Suspect { until } if over(until, check.interval + check.timeout) => {
                self.tracker.undecided()
            }
            Verdict::Up | Verdict::Suspect { .. } | Verdict::Down => {}
        }
    }
}
