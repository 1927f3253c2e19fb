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
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::export::notice::Notice;
use crate::export::{editions, of_health};
use crate::load::Loaded;
use crate::notify;
use crate::plan::served::Notified;
use crate::snapshot::{Live, Snapshot};
use crate::state;
use crate::wire::name::Name;
use crate::zone::edition::{Edition, is_newer};

/// How often a zone of health may change for its secondaries: they ask for all of it each time.
const AT_MOST_EACH: Duration = Duration::from_secs(1);
/// Editions that wait for the publisher.
pub(super) const EDITIONS: usize = 64;

/// Seconds since 1970.
pub(super) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Gives what was loaded its editions, which follow those of `last`; serials that were kept count as editions of an earlier life.
/// Gives a sentence for each zone that changed and whose serial does not say so.
pub(super) fn edit(loaded: &mut Loaded, last: Option<&Snapshot>, kept: &HashMap<Name, u32>) -> Vec<String> {
    let of = |origin: &Name| {
        let last = last?;
        last.edition(*last.plan.apexes.get(origin)?).cloned()
    };
    let kept = |origin: &Name| kept.get(origin).copied();
    let plan = std::mem::take(&mut loaded.plan);
    loaded.plan = editions(plan, &of, &kept, Instant::now(), unix_s());
    let mut words = Vec::new();
    for edition in loaded.plan.editions.iter().flatten() {
        let Some(before) = of(edition.origin()) else { continue };
        if !Arc::ptr_eq(&before, edition) && !is_newer(edition.serial(), before.serial()) {
            words.push(format!(
                "`{}` changed, and its serial is {} as before {}: its secondaries do not see it",
                edition.origin(),
                edition.serial(),
                if edition.serial() == before.serial() { "" } else { "an older one" },
            ));
        }
    }
    words
}

/// Makes editions of health whenever something changed.
pub(super) async fn run(
    live: Arc<Live>,
    changed: Arc<Notify>,
    edited: mpsc::Sender<Arc<Edition>>,
    state: PathBuf,
) {
    loop {
        changed.notified().await;
        let snapshot = arc_swap::Guard::into_inner(live.now());
        if snapshot.warming || snapshot.plan.served.iter().all(|zone| !zone.secondaries.of_health) {
            continue;
        }
        let state = state.clone();
        let made = tokio::task::spawn_blocking(move || {
            let made = of_all(&snapshot);
            if !made.is_empty() {
                keep(&snapshot, &made, &state);
            }
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

fn of_all(snapshot: &Snapshot) -> Vec<Arc<Edition>> {
    let all_up = Snapshot::all_up(Arc::clone(&snapshot.plan));
    let zones = (0..).zip(&snapshot.plan.served).filter(|(_, zone)| zone.secondaries.of_health);
    zones
        .filter_map(|(zone, _)| of_health(snapshot, &all_up, zone, Instant::now(), unix_s()))
        .map(Arc::new)
        .collect()
}

/// Keeps the serials of zones of health: after a restart they must not go back.
fn keep(snapshot: &Snapshot, made: &[Arc<Edition>], state: &std::path::Path) {
    let zones = snapshot.plan.served.iter().zip(&snapshot.editions);
    let of_health = zones.filter(|(zone, _)| zone.secondaries.of_health);
    let mut serials: HashMap<Name, u32> = of_health
        .filter_map(|(zone, edition)| Some((zone.origin.clone(), edition.as_ref()?.serial())))
        .collect();
    serials.extend(made.iter().map(|edition| (edition.origin().clone(), edition.serial())));
    if let Err(error) = state::write_serials(state, &serials) {
        tracing::error!("serials are not kept: {error}");
    }
}

/// Tells secondaries of new editions.
pub(super) struct Noticing {
    /// Where NOTIFY comes from: the addresses that we answer on.
    sources: Vec<IpAddr>,
    under_way: HashMap<(Name, SocketAddr), JoinHandle<()>>,
}

impl Noticing {
    pub(super) fn new(addresses: &[SocketAddr]) -> Noticing {
        let sources = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
        Noticing { sources: sources.collect(), under_way: HashMap::new() }
    }

    /// Tells whoever is to be told of each of these, which replace what is still being told of their zones.
    pub(super) fn tell(&mut self, editions: &[Arc<Edition>], snapshot: &Snapshot) {
        self.under_way.retain(|_, task| !task.is_finished());
        for edition in editions {
            let Some(&zone) = snapshot.plan.apexes.get(edition.origin()) else { continue };
            for notified in &snapshot.plan.served[zone as usize].secondaries.notify {
                let to = notified.address;
                let source = self.sources.iter().copied().find(|source| source.is_ipv4() == to.is_ipv4());
                let task = tokio::spawn(tell(Arc::clone(edition), notified.clone(), source));
                if let Some(last) = self.under_way.insert((edition.origin().clone(), to), task) {
                    last.abort();
                }
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
