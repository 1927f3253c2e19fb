//! What secondaries get: editions of health are made off everybody's path, and whoever is to be told is told.
//!
//! ```text
//! publishing --changed--> exporting: at most once a second, an edition of each zone of health --Edited--> publishing
//!    \--News.edited--> noticing: NOTIFY to each secondary, the last one for a zone alone
//! ```
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::export::notice::Notice;
use crate::export::{editions, of_health};
use crate::load::Loaded;
use crate::notify;
use crate::plan::Plan;
use crate::plan::served::Notified;
use crate::snapshot::{Live, Snapshot};
use crate::state;
use crate::wire::name::Name;
use crate::zone::edition::{Edition, Mark, is_newer};

/// How often a zone of health may change for its secondaries: they ask for all of it each time.
const AT_MOST_EACH: Duration = Duration::from_secs(1);
/// Editions that wait for the publisher.
pub(super) const EDITIONS: usize = 64;

/// Seconds since 1970.
pub(super) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What secondaries were told of each zone, by earlier lives and by this one. It is on the disk before anybody gets it, so that no serial
/// goes back, and none stands for two things unnoticed.
#[derive(Debug)]
pub(super) struct Ledger {
    state: PathBuf,
    marks: Mutex<HashMap<Name, Mark>>,
}

impl Ledger {
    pub(super) fn open(state: PathBuf) -> Ledger {
        let marks = state::read_serials(&state).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            HashMap::new()
        });
        Ledger { state, marks: Mutex::new(marks) }
    }

    fn mark(&self, origin: &Name) -> Option<Mark> {
        self.marks.lock().ok()?.get(origin).copied()
    }

    /// Keeps editions; those of health only where they are newer.
    fn keep<'e>(&self, editions: impl Iterator<Item = (&'e Edition, bool)>) {
        let Ok(mut marks) = self.marks.lock() else { return };
        let mut changed = false;
        for (edition, of_health) in editions {
            let (mark, last) = (edition.mark(), marks.get(edition.origin()));
            let is_news =
                last.is_none_or(
                    |last| {
                        if of_health { is_newer(mark.serial, last.serial) } else { *last != mark }
                    },
                );
            if is_news {
                marks.insert(edition.origin().clone(), mark);
                changed = true;
            }
        }
        if changed && let Err(error) = state::write_serials(&self.state, &marks) {
            tracing::error!("serials are not kept: {error}");
        }
    }
}

/// Gives what was loaded its editions, which follow those of `last`, or of an earlier life. Gives a sentence for each zone that changed
/// and whose serial does not say so.
pub(super) fn edit(loaded: &mut Loaded, last: Option<&Snapshot>, ledger: &Ledger) -> Vec<String> {
    let of = |origin: &Name| {
        let last = last?;
        last.edition(*last.plan.apexes.get(origin)?).cloned()
    };
    let kept = |origin: &Name| ledger.mark(origin);
    let plan = std::mem::take(&mut loaded.plan);
    loaded.plan = editions(plan, &of, &kept, Instant::now(), unix_s());
    let mut words = Vec::new();
    let made = loaded.plan.editions.iter().zip(&loaded.plan.served);
    let made = made.filter_map(|(edition, zone)| Some((edition.as_ref()?, zone.secondaries.of_health)));
    for (edition, _) in made.clone().filter(|(_, of_health)| !of_health) {
        let before = match of(edition.origin()) {
            Some(before) if Arc::ptr_eq(&before, edition) => continue,
            Some(before) => before.serial(),
            None => match kept(edition.origin()).filter(|mark| edition.contradicts(*mark)) {
                Some(mark) => mark.serial,
                None => continue,
            },
        };
        if !is_newer(edition.serial(), before) {
            let (zone, serial) = (edition.origin(), edition.serial());
            words.push(format!(
                "`{zone}` changed, and its serial is {serial}, before {before}: its secondaries do not see it"
            ));
        }
    }
    ledger.keep(made.map(|(edition, of_health)| (&**edition, of_health)));
    words
}

/// Makes editions of health whenever something changed.
pub(super) async fn run(
    live: Arc<Live>,
    changed: Arc<Notify>,
    edited: mpsc::Sender<Arc<Edition>>,
    ledger: Arc<Ledger>,
) {
    // Verdicts of an earlier life may be in force from the first moment on: then nothing changes that would tell us.
    changed.notify_one();
    // The first of this life is made whatever it says: until then, nobody is told of anything.
    let mut whatever = true;
    loop {
        changed.notified().await;
        let snapshot = arc_swap::Guard::into_inner(live.now());
        if snapshot.warming || snapshot.plan.served.iter().all(|zone| !zone.secondaries.of_health) {
            continue;
        }
        let (ledger, first) = (Arc::clone(&ledger), std::mem::take(&mut whatever));
        let made = tokio::task::spawn_blocking(move || {
            let made = of_all(&snapshot, first);
            ledger.keep(made.iter().map(|edition| (&**edition, true)));
            made
        });
        match made.await {
            Ok(made) => {
                for edition in made {
                    let _ = edited.send(edition).await;
                }
            }
            Err(error) => tracing::error!("what secondaries get could not be made: {error}"),
        }
        tokio::time::sleep(AT_MOST_EACH).await;
    }
}

fn of_all(snapshot: &Snapshot, whatever: bool) -> Vec<Arc<Edition>> {
    let all_up = Snapshot::all_up(Arc::clone(&snapshot.plan));
    let zones = (0..).zip(&snapshot.plan.served).filter(|(_, zone)| zone.secondaries.of_health);
    zones
        .filter_map(|(zone, _)| of_health(snapshot, &all_up, zone, whatever, Instant::now(), unix_s()))
        .map(Arc::new)
        .collect()
}

/// Tells secondaries of new editions.
pub(super) struct Noticing {
    /// Where NOTIFY comes from: the addresses that we answer on.
    sources: Vec<IpAddr>,
    under_way: HashMap<(Name, SocketAddr), JoinHandle<()>>,
    /// Who is told of what, and by which key.
    known: HashMap<(Name, SocketAddr), Option<u64>>,
}

impl Noticing {
    pub(super) fn new(addresses: &[SocketAddr]) -> Noticing {
        let sources = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
        Noticing { sources: sources.collect(), under_way: HashMap::new(), known: HashMap::new() }
    }

    /// Tells whoever is to be told of each of these, which replace what is still being told of their zones.
    pub(super) fn tell(&mut self, editions: &[Arc<Edition>], snapshot: &Snapshot) {
        self.under_way.retain(|_, task| !task.is_finished());
        for edition in editions {
            let Some(&zone) = snapshot.plan.apexes.get(edition.origin()) else { continue };
            for notified in &snapshot.plan.served[zone as usize].secondaries.notify {
                self.begin(edition, notified);
            }
        }
    }

    fn begin(&mut self, edition: &Arc<Edition>, notified: &Notified) {
        let to = notified.address;
        let source = self.sources.iter().copied().find(|source| source.is_ipv4() == to.is_ipv4());
        let task = tokio::spawn(tell(Arc::clone(edition), notified.clone(), source));
        if let Some(last) = self.under_way.insert((edition.origin().clone(), to), task) {
            last.abort();
        }
    }

    /// Takes over whom a plan wants to be told: gives those that are new, or have another key; who is not named any more is told no more.
    fn learn(&mut self, plan: &Plan) -> Vec<(Name, Notified)> {
        let named = plan.served.iter().flat_map(|zone| {
            zone.secondaries.notify.iter().map(|notified| (zone.origin.clone(), notified.clone()))
        });
        let named: Vec<(Name, Notified)> = named.collect();
        let key = |notified: &Notified| notified.key.as_ref().map(|key| key.fingerprint());
        let wanted: HashMap<_, _> =
            named.iter().map(|(zone, notified)| ((zone.clone(), notified.address), key(notified))).collect();
        let known = std::mem::replace(&mut self.known, wanted);
        let is_same =
            |whom: &(Name, SocketAddr)| known.contains_key(whom) && known.get(whom) == self.known.get(whom);
        self.under_way.retain(|whom, task| {
            let goes_on = is_same(whom);
            if !goes_on {
                task.abort();
            }
            goes_on
        });
        named.into_iter().filter(|(zone, notified)| !is_same(&(zone.clone(), notified.address))).collect()
    }

    /// At the start: what files say is told at once, what health says as soon as it is known.
    pub(super) fn start(&mut self, snapshot: &Snapshot) {
        self.learn(&snapshot.plan);
        let zones = snapshot.editions.iter().zip(&snapshot.plan.served);
        let of_files = zones.filter(|(_, zone)| !zone.secondaries.of_health);
        let editions: Vec<_> = of_files.filter_map(|(edition, _)| edition.clone()).collect();
        self.tell(&editions, snapshot);
    }

    /// After a reload: whoever is new is told of what is in force.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) {
        for (zone, notified) in self.learn(&snapshot.plan) {
            let number = snapshot.plan.apexes.get(&zone);
            if let Some(edition) = number.and_then(|&number| snapshot.edition(number)) {
                self.begin(edition, &notified);
            }
        }
    }
}

async fn tell(edition: Arc<Edition>, notified: Notified, source: Option<IpAddr>) {
    let (zone, serial, to) = (edition.origin(), edition.serial(), notified.address);
    let mut id = [0; 2];
    if getrandom::fill(&mut id).is_err() {
        return tracing::error!("no random numbers: {to} is not told of {zone} {serial}");
    }
    let notice = Notice::new(&edition, u16::from_be_bytes(id), notified.key.clone(), unix_s());
    let heard = notify::tell(to, source, notice.octets(), |message| notice.answered(message, unix_s())).await;
    match heard {
        Ok(Some(0)) => tracing::info!(%zone, serial, secondary = %to, "{to} knows of {zone} {serial}"),
        Ok(Some(rcode)) => {
            tracing::warn!(%zone, serial, secondary = %to, rcode, "{to} does not take NOTIFY for {zone}: rcode {rcode}");
        }
        Ok(None) => {
            tracing::warn!(%zone, serial, secondary = %to, "{to} does not answer NOTIFY for {zone} {serial}")
        }
        Err(error) => {
            tracing::warn!(%zone, serial, secondary = %to, "{to} cannot be told of {zone}: {error}")
        }
    }
}
