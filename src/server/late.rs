//! The cold lane: questions that wait, for the first outcomes or for an explanation.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use super::start::GeographyReader;
use crate::answer::respond::respond;
use crate::answer::tally::Tally;
use crate::answer::worker::{Reply, Transport, Worker};
use crate::cluster::Family;
use crate::net::answering::Clocks;
use crate::net::errand::Errand;
use crate::publisher::WARMING_MAX;
use crate::record::Record;
use crate::snapshot::Live;
use crate::why::why;

/// Questions that wait; more are dropped, and counted by who would have put them here.
pub(super) const ERRANDS: usize = 4096;
/// How often it is looked whether the first outcomes are there.
const LOOK: Duration = Duration::from_millis(10);
/// How many explanations may read the disk at once: others are answered without what the databases say.
const READING_MAX: usize = 1;
/// The longest message.
const MESSAGE: usize = 65_535;

/// Answers what must wait, one question after the other. What takes long (the disk) is done beside.
pub(super) async fn serve(
    mut errands: mpsc::Receiver<Errand>,
    live: Arc<Live>,
    record: Arc<Record>,
    read: GeographyReader,
) {
    let tallies = Tallies::new(&record);
    let reading = Arc::new(Semaphore::new(READING_MAX));
    let mut worker = Worker::default();
    let mut clocks = Clocks::looked_at();
    let mut buf = vec![0; MESSAGE];
    while let Some(errand) = errands.recv().await {
        let until = Instant::now() + WARMING_MAX * 2;
        while live.now().warming && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        let snapshot = arc_swap::Guard::into_inner(live.now());
        let query = &errand.ask.query;
        buf[..query.len()].copy_from_slice(query);
        let now = clocks.now();
        match respond(&snapshot, &mut worker, now, &mut buf, query.len(), errand.peer, errand.transport) {
            Reply::Done(len, fact) => {
                tallies.of(errand.transport, errand.peer).answered(&fact);
                errand.answer(&buf[..len]);
            }
            Reply::Later(_) => {
                let (seat, read) = (Arc::clone(&reading).try_acquire_owned(), read.clone());
                tokio::task::spawn_blocking(move || {
                    let geography = seat.is_ok().then(|| read().ok()).flatten();
                    let query = &errand.ask.query;
                    let known = |address: IpAddr| geography.as_ref().map(|geography| geography.of(address));
                    let Some(why) = why(&snapshot, query, errand.peer, now.instant, known) else { return };
                    let mut worker = Worker { why: Some(why.into()), ..Worker::default() };
                    let mut buf = vec![0; MESSAGE];
                    buf[..query.len()].copy_from_slice(query);
                    let Errand { peer, transport, .. } = errand;
                    let reply = respond(&snapshot, &mut worker, now, &mut buf, query.len(), peer, transport);
                    if let Reply::Done(len, _) = reply {
                        errand.answer(&buf[..len]);
                    }
                });
            }
            Reply::Drop | Reply::Limited | Reply::Stream(_) => {}
        }
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
