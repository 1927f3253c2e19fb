//! What counts while the vantage doubts itself ([`doubt`](crate::health::doubt)).

use std::time::{Duration, Instant};

use super::{Board, Slot};
use crate::cluster::Family;
use crate::health::doubt::{GRACE, Share, WINDOW};
use crate::health::target::TargetId;
use crate::health::verdict::Verdict;

/// What freezing changed.
#[derive(Debug, Default)]
pub struct Frozen {
    /// Those whose verdict counts otherwise than it is held now.
    pub turned: Vec<TargetId>,
    /// Whether falls were forgiven.
    pub forgiven: bool,
}

impl Board {
    /// The targets of a family that fell of late or are in doubt, of those that were up then.
    pub fn fallen(&self, family: Family, now: Instant) -> Share {
        let mut fallen = Share::default();
        for slot in self.slots.iter().filter(|slot| slot.is_probed_over(family)) {
            let falls = match slot.tracker.held().verdict {
                Verdict::Up => false,
                Verdict::Suspect { .. } => true,
                Verdict::Down if slot.fell_of_late(now) => true,
                Verdict::Down | Verdict::Unknown => continue,
            };
            fallen.some += usize::from(falls);
            fallen.all += 1;
        }
        fallen
    }

    /// The targets of a family that are down or in doubt, of those that were ever observed.
    pub fn failing(&self, family: Family) -> Share {
        let slots = self.slots.iter().filter(|slot| slot.is_probed_over(family));
        let words = slots.map(|slot| slot.tracker.held().verdict);
        let known: Vec<_> = words.filter(|word| *word != Verdict::Unknown).collect();
        Share { some: known.iter().filter(|word| **word != Verdict::Up).count(), all: known.len() }
    }

    /// The targets of a family that count as up and are not seen so, of those that count as up.
    pub fn astray(&self, family: Family) -> Share {
        let slots = self.slots.iter().filter(|slot| slot.is_probed_over(family));
        let up = slots.filter(|slot| slot.frozen == Some(Verdict::Up));
        up.fold(Share::default(), |share, slot| Share {
            some: share.some + usize::from(slot.tracker.held().verdict != Verdict::Up),
            all: share.all + 1,
        })
    }

    /// Has what counts of each target of a family stay as it was before it fell, where it fell of late; and of all others as it
    /// is. Of those that are frozen already nothing changes.
    pub fn freeze(&mut self, family: Family, now: Instant) -> Frozen {
        let mut frozen = Frozen::default();
        for (slot, id) in self.slots.iter_mut().zip(0..) {
            if !slot.is_probed_over(family) {
                continue;
            }
            let held = slot.tracker.held().verdict;
            if slot.frozen.is_none() {
                let counts = match held {
                    Verdict::Suspect { .. } => Verdict::Up,
                    Verdict::Down if slot.fell_of_late(now) => Verdict::Up,
                    _ => slot.standing(),
                };
                slot.frozen = Some(counts);
                if counts != held {
                    frozen.turned.push(TargetId(id));
                }
            }
            if slot.frozen == Some(Verdict::Up) && held == Verdict::Down {
                frozen.forgiven |= slot.tracker.forgive();
            }
        }
        frozen
    }

    /// Lets what is held count again of the targets of a family that are up, and of all that had their time to show it, since
    /// the canaries have answered again for so long. Gives those whose verdict counts otherwise now, and whether anything
    /// is frozen yet.
    pub fn thaw(&mut self, family: Family, calm: Duration) -> (Vec<TargetId>, bool) {
        let (mut turned, mut is_frozen) = (Vec::new(), false);
        for (slot, id) in self.slots.iter_mut().zip(0..) {
            if !slot.is_probed_over(family) {
                continue;
            }
            let held = slot.tracker.held().verdict;
            match slot.frozen {
                Some(frozen) if held == Verdict::Up || frozen == held || calm >= slot.patience(GRACE) => {
                    slot.frozen = None;
                    if held != Verdict::Up && held != frozen {
                        turned.push(TargetId(id));
                    }
                }
                Some(_) => is_frozen = true,
                None => {}
            }
        }
        (turned, is_frozen)
    }
}

impl Slot {
    fn is_probed_over(&self, family: Family) -> bool {
        Family::of(self.target.aim.probe.ip()) == family
    }

    /// Whether it fell so lately that what fells others now may have felled it: each is seen but once in its interval.
    fn fell_of_late(&self, now: Instant) -> bool {
        let late = WINDOW + self.target.aim.check.interval;
        self.tracker.fell().is_some_and(|fell| now.saturating_duration_since(fell) <= late)
    }
}
