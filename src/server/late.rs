//! The cold lane: questions that wait, for the first outcomes or for an explanation.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use crate::answer::respond::respond;
use crate::answer::worker::{Reply, Worker};
use crate::net::errand::Errand;
use crate::publisher::WARMING_MAX;
use crate::snapshot::{Live, Snapshot};
use crate::why::why;

/// Questions that wait at once; as many again wait in the lane, and more are dropped and counted there.
pub(super) const ERRANDS: usize = 1024;
/// How often a question looks whether the first outcomes are there.
const LOOK: Duration = Duration::from_millis(10);
/// The longest message.
const MESSAGE: usize = 65_535;

/// Answers what must wait.
pub(super) async fn serve(mut errands: mpsc::Receiver<Errand>, live: Arc<Live>) {
    let seats = Arc::new(Semaphore::new(ERRANDS));
    while let Some(errand) = errands.recv().await {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let live = Arc::clone(&live);
        tokio::spawn(async move {
            let until = Instant::now() + WARMING_MAX * 2;
            while live.now().warming && Instant::now() < until {
                tokio::time::sleep(LOOK).await;
            }
            let snapshot = arc_swap::Guard::into_inner(live.now());
            if let Some(message) = answer(&snapshot, &errand, Instant::now()) {
                errand.answer(&message);
            }
            drop(seat);
        });
    }
}

fn answer(snapshot: &Snapshot, errand: &Errand, now: Instant) -> Option<Vec<u8>> {
    let query = &errand.ask.query;
    let mut buf = query.to_vec();
    buf.resize(MESSAGE, 0);
    match respond(snapshot, &mut Worker::default(), now, &mut buf, query.len(), errand.peer, errand.transport)
    {
        Reply::Done(len, _) => {
            buf.truncate(len);
            Some(buf)
        }
        Reply::Later(_) => why(snapshot, query, errand.peer, errand.transport, now),
        Reply::Drop => None,
    }
}
