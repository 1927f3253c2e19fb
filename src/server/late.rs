//! The cold lane: questions that wait, for the first outcomes or for an explanation.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use super::start::GeographyReader;
use crate::answer::respond::respond;
use crate::answer::tally::Tally;
use crate::answer::worker::{Now, Reply, Transport, Why, Worker};
use crate::cluster::Family;
use crate::net::answering::Clocks;
use crate::net::errand::Errand;
use crate::publisher::WARMING_MAX;
use crate::record::Record;
use crate::snapshot::{Live, Snapshot};
use crate::why::why;

/// Questions that wait; more are dropped, and counted by who would have put them here.
pub(super) const ERRANDS: usize = 4096;
/// How often it is looked whether the first outcomes are there.
const LOOK: Duration = Duration::from_millis(10);
/// How many explanations may read the disk at once: others are answered without what the databases say.
const READING_MAX: usize = 1;
/// How many are made at a time.
const EXPLAINING_MAX: usize = 4;
/// The longest message.
const MESSAGE: usize = 65_535;

/// Answers what must wait, one question after the other. What takes long (the disk) is done beside, a little of it at a time: meanwhile
/// questions wait in the lane, which is as long as it is.
pub(super) async fn serve(
    mut errands: mpsc::Receiver<Errand>,
    live: Arc<Live>,
    record: Arc<Record>,
    read: GeographyReader,
    chance: u64,
) {
    let tallies = Tallies::new(&record);
    let reading = Arc::new(Semaphore::new(READING_MAX));
    let (explained, mut explanations) = mpsc::channel::<Explained>(EXPLAINING_MAX);
    let explaining = Arc::new(Semaphore::new(EXPLAINING_MAX));
    let mut desk = Desk { worker: Worker::of(1, chance), buf: vec![0; MESSAGE], tallies };
    let mut clocks = Clocks::looked_at();
    loop {
        let errand = tokio::select! {
            Some(Explained { errand, snapshot, why }) = explanations.recv() => {
                desk.worker.why = Some(why.into());
                desk.answer(&snapshot, errand, clocks.now());
                desk.worker.why = None;
                continue;
            }
            errand = errands.recv(), if explaining.available_permits() > 0 => errand,
        };
        let Some(errand) = errand else { return };
        let until = Instant::now() + WARMING_MAX * 2;
        while live.now().warming && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        let snapshot = arc_swap::Guard::into_inner(live.now());
        let now = clocks.now();
        let Some(errand) = desk.answer(&snapshot, errand, now) else { continue };
        let Ok(seat) = Arc::clone(&explaining).try_acquire_owned() else { continue };
        let ways = record.ways(&snapshot.plan);
        let (may_read, read) = (Arc::clone(&reading).try_acquire_owned(), read.clone());
        let explained = explained.clone();
        tokio::task::spawn_blocking(move || {
            let geography = may_read.is_ok().then(|| read().ok()).flatten();
            let known = |address: IpAddr| geography.as_ref().map(|geography| geography.of(address));
            if let Some(why) = why(&snapshot, &errand.ask.query, errand.peer, now.instant, &ways, known) {
                // There is room: as many may explain at a time.
                let _ = explained.try_send(Explained { errand, snapshot, why });
            }
            drop(seat);
        });
    }
}

/// An explanation, on its way to who asked.
struct Explained {
    errand: Errand,
    snapshot: Arc<Snapshot>,
    why: Why,
}

/// What the lane answers with.
struct Desk {
    worker: Worker,
    buf: Vec<u8>,
    tallies: Tallies,
}

impl Desk {
    /// Answers, counts, and gives back what must be explained first. A panic costs this answer alone.
    fn answer(&mut self, snapshot: &Snapshot, errand: Errand, now: Now) -> Option<Errand> {
        let Desk { worker, buf, tallies } = self;
        let (query, Errand { peer, transport, .. }) = (&errand.ask.query, &errand);
        buf[..query.len()].copy_from_slice(query);
        let tally = tallies.of(*transport, *peer);
        let made = || respond(snapshot, worker, now, buf, query.len(), *peer, *transport);
        match catch_unwind(AssertUnwindSafe(made)) {
            Ok(Reply::Done(len, fact)) => {
                tally.answered(&fact);
                errand.answer(&buf[..len]);
            }
            Ok(Reply::Later(_)) => return Some(errand),
            Ok(Reply::Limited) => tally.limited(),
            Ok(Reply::Drop | Reply::Stream(_)) => {}
            Err(_) => tally.panicked(),
        }
        None
    }
}

/// Where late answers are counted: this task alone writes them.
struct Tallies([[Arc<Tally>; 2]; 2]);

impl Tallies {
    fn new(record: &Record) -> Tallies {
        let of = |transport| Family::ALL.map(|family| record.tally(transport, family));
        Tallies([of(Transport::Udp), of(Transport::Tcp)])
    }

    fn of(&self, transport: Transport, peer: IpAddr) -> &Tally {
        let [udp, tcp] = &self.0;
        let pair = if transport == Transport::Udp { udp } else { tcp };
        &pair[Family::of(peer) as usize]
    }
}
