//! What the files say, compiled (Plan), with the health of one instant (Snapshot).

use std::sync::Arc;

use arc_swap::ArcSwap;

/// What answers are made from: immutable.
#[derive(Debug, Default)]
pub struct Snapshot {}

/// The Snapshot in force: one writer, many readers, none of whom waits.
#[derive(Debug)]
pub struct Live(ArcSwap<Snapshot>);

impl Live {
    /// With a first Snapshot.
    pub fn new(snapshot: Snapshot) -> Live {
        Live(ArcSwap::from_pointee(snapshot))
    }

    /// The one in force now: take it once per batch, and hand it on.
    pub fn now(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// Puts the next one in force; gives the last one back, to be dropped off the path of queries.
    pub fn replace(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.0.swap(snapshot)
    }
}
