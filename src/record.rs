//! What the server counts and measures, as `/metrics` and `/status` show it.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer::tally::Tally;
use crate::answer::totals::Totals;
use crate::answer::worker::Transport;
use crate::cluster::{CLUSTERS_MAX, CountId, Family};
use crate::health::rounds::Observation;
use crate::health::verdict::{Outcome, Verdict};
use crate::metrics::{Counter, Exposition, Histogram, Kind};
use crate::net::stream::Counts;
use crate::plan::Plan;
use crate::publisher::Turned;
use crate::snapshot::Snapshot;

/// What the server counts and measures.
#[derive(Debug)]
pub struct Record {
    started: Instant,
    /// Answering threads, and their sockets: for those who read, never for those who answer.
    tallies: Mutex<Vec<Arc<Tally>>>,
    sockets: Mutex<Vec<Arc<UdpSocket>>>,
    streams: Mutex<Vec<Arc<Counts>>>,
    /// The keys of clusters, by [`CountId`]: they only grow, so that a reload does not mix counts.
    counted: Mutex<Vec<Arc<str>>>,
    /// Written by the publishing task alone.
    publishing: Publishing,
}

/// What the publishing task counts.
#[derive(Debug, Default)]
struct Publishing {
    probes: [Counter; 4],
    probe_took: Histogram,
    transitions: [Counter; 4],
    removal: Histogram,
    unseen: Histogram,
    reloads: [Counter; 2],
    loaded: Mutex<Option<Instant>>,
}

/// The outcomes of probes, as they are counted.
const OUTCOMES: [&str; 4] = ["success", "failure", "late", "local"];
/// The verdicts that are turned to, as they are counted.
const VERDICTS: [&str; 4] = ["up", "suspect", "down", "unknown"];

impl Record {
    /// Nothing counted yet.
    pub fn new(now: Instant) -> Record {
        Record {
            started: now,
            tallies: Mutex::default(),
            sockets: Mutex::default(),
            streams: Mutex::default(),
            counted: Mutex::default(),
            publishing: Publishing { loaded: Mutex::new(Some(now)), ..Publishing::default() },
        }
    }

    /// Has the answers of a Plan's clusters counted under their keys. More than [`CLUSTERS_MAX`] different ones in one
    /// life share the last count.
    pub fn count(&self, plan: &mut Plan) {
        let mut known = locked(&self.counted);
        let of = plan.inventory.clusters.iter().map(|cluster| {
            let at = known.iter().position(|key| *key == cluster.key).unwrap_or_else(|| {
                if known.len() < CLUSTERS_MAX {
                    known.push(Arc::clone(&cluster.key));
                }
                known.len() - 1
            });
            CountId(at as u16)
        });
        plan.counted = of.collect();
    }

    /// A count for one more answering thread.
    pub fn tally(&self, transport: Transport, family: Family) -> Arc<Tally> {
        let tally = Arc::new(Tally::new(transport, family));
        locked(&self.tallies).push(Arc::clone(&tally));
        tally
    }

    /// One more datagram socket, whose lost queries are told.
    pub fn socket(&self, socket: &Arc<UdpSocket>) {
        locked(&self.sockets).push(Arc::clone(socket));
    }

    /// One more thread's connections.
    pub fn streams(&self, counts: &Arc<Counts>) {
        locked(&self.streams).push(Arc::clone(counts));
    }

    /// A probe told something.
    pub fn observed(&self, observation: &Observation) {
        let seen = &observation.seen;
        let outcome = match seen.outcome {
            Outcome::Succeeded(took) => {
                self.publishing.probe_took.observe(took);
                0
            }
            Outcome::Failed(_) => 1,
            Outcome::Late => 2,
            Outcome::Local(_) => 3,
        };
        self.publishing.probes[outcome].bump();
    }

    /// A verdict became another one, and the answers know since `now`.
    pub fn turned(&self, turned: &Turned, now: Instant) {
        let to = match turned.to {
            Verdict::Up => 0,
            Verdict::Suspect { .. } => 1,
            Verdict::Down => 2,
            Verdict::Unknown => 3,
        };
        self.publishing.transitions[to].bump();
        if let Some(death) = turned.death {
            self.publishing.removal.observe(now.saturating_duration_since(death.first_failure));
            if let Some(alive) = death.last_success {
                self.publishing.unseen.observe(now.saturating_duration_since(alive));
            }
        }
    }

    /// A reload was taken, or refused.
    pub fn reloaded(&self, taken: bool, now: Instant) {
        self.publishing.reloads[usize::from(!taken)].bump();
        if taken {
            *locked(&self.publishing.loaded) = Some(now);
        }
    }

    /// All metrics.
    pub fn exposition(&self, snapshot: &Snapshot, now: Instant) -> Exposition {
        let mut text = Exposition::default();
        let version = env!("CARGO_PKG_VERSION");
        text.family("steerdns_build_info", Kind::Gauge, "1; what runs.")
            .sample(&[("version", version)], 1u64);
        let up = now.saturating_duration_since(self.started).as_secs_f64();
        text.family("steerdns_uptime_seconds", Kind::Gauge, "Since the start.").sample(&[], up);
        let tallies = locked(&self.tallies).clone();
        let counted = locked(&self.counted).clone();
        Totals::of(&tallies).write(&mut text, |id| counted.get(usize::from(id.0)).map(|key| &**key));
        Counts::write(&locked(&self.streams), &mut text);
        self.write_kernel_drops(&mut text);
        self.publishing.write(&mut text, now);
        write_verdicts(&mut text, snapshot);
        let mut serials =
            text.family("steerdns_zone_serial", Kind::Gauge, "The SOA serial of a zone in force.");
        for (origin, serial) in &snapshot.plan.origins {
            serials.sample(&[("zone", &origin.to_string())], u64::from(*serial));
        }
        text
    }

    #[cfg(target_os = "linux")]
    fn write_kernel_drops(&self, text: &mut Exposition) {
        let sockets = locked(&self.sockets).clone();
        let drops: u64 = sockets
            .iter()
            .filter_map(|socket| crate::net::udp::options::kernel_drops(socket))
            .map(u64::from)
            .sum();
        let help = "Queries that the kernel dropped for want of room in our sockets' queues.";
        text.family("steerdns_udp_kernel_drops_total", Kind::Counter, help).sample(&[], drops);
    }

    #[cfg(not(target_os = "linux"))]
    fn write_kernel_drops(&self, _text: &mut Exposition) {}

    /// The state of everything.
    pub fn status(&self, snapshot: &Snapshot, now: Instant) -> Value {
        let plan = &snapshot.plan;
        let totals = Totals::of(&locked(&self.tallies));
        let counted = locked(&self.counted).clone();
        let clusters = plan.inventory.clusters.iter().zip(&snapshot.pools).map(|(cluster, pools)| {
            let targets = pools.held.iter().map(|held| {
                let node = &cluster.nodes[usize::from(held.target.node)];
                let until = match held.held.verdict {
                    Verdict::Suspect { until } => Some(until.saturating_duration_since(now).as_secs_f64()),
                    _ => None,
                };
                json!({
                    "node": &*node.key,
                    "address": held.target.aim.key.address,
                    "check": &*held.target.aim.key.check,
                    "probe": held.target.aim.probe,
                    "verdict": held.held.verdict.word(),
                    "age_s": now.saturating_duration_since(held.held.since).as_secs(),
                    "decided_within_s": until,
                    "cause": held.held.cause.as_ref().map(|cause| cause.to_string()),
                    "override": node.pinned.as_ref().map(|pinned| json!({
                        "verdict": pinned.word.word(), "why": pinned.why,
                    })),
                })
            });
            json!({
                "cluster": &*cluster.key,
                "region": cluster.region.as_deref(),
                "place": [cluster.place.lat(), cluster.place.lon()],
                "targets": targets.collect::<Vec<_>>(),
            })
        });
        let services = plan.services.iter().map(|service| {
            let policy = &plan.policies[usize::from(service.policy.0)].key;
            json!({ "service": service.owner.to_string(), "policy": &**policy, "ttl_s": service.ttl_s })
        });
        let zones = plan
            .origins
            .iter()
            .map(|(origin, serial)| json!({ "zone": origin.to_string(), "serial": serial }));
        let loaded =
            locked(&self.publishing.loaded).map(|loaded| now.saturating_duration_since(loaded).as_secs());
        json!({
            "version": plan.version,
            "uptime_s": now.saturating_duration_since(self.started).as_secs(),
            "loaded_s_ago": loaded,
            "warming": snapshot.warming,
            "answered": totals.answered(),
            "answers_by_cluster": totals.steered().filter_map(|(id, reason, count)| {
                let key = counted.get(usize::from(id.0))?;
                Some(json!({ "cluster": &**key, "reason": reason.word(), "answers": count }))
            }).collect::<Vec<_>>(),
            "zones": zones.collect::<Vec<_>>(),
            "services": services.collect::<Vec<_>>(),
            "clusters": clusters.collect::<Vec<_>>(),
        })
    }
}

impl Publishing {
    fn write(&self, text: &mut Exposition, now: Instant) {
        let mut probes = text.family("steerdns_probes_total", Kind::Counter, "Outcomes of probes.");
        for (word, count) in OUTCOMES.into_iter().zip(&self.probes) {
            probes.sample(&[("outcome", word)], count.count());
        }
        let help = "How long probes that succeeded took.";
        text.histogram("steerdns_probe_duration_seconds", help, &[], &self.probe_took);
        let mut transitions = text.family(
            "steerdns_health_transitions_total",
            Kind::Counter,
            "Verdicts that became another one.",
        );
        for (word, count) in VERDICTS.into_iter().zip(&self.transitions) {
            transitions.sample(&[("to", word)], count.count());
        }
        let help = "From the start of the first failed probe of a dead address to the answers without it.";
        text.histogram("steerdns_removal_seconds", help, &[], &self.removal);
        let help = "From the last success of a dead address to the answers without it: it died in between.";
        text.histogram("steerdns_death_to_removal_seconds", help, &[], &self.unseen);
        let mut reloads = text.family("steerdns_reloads_total", Kind::Counter, "Reloads, taken and refused.");
        for (word, count) in ["taken", "refused"].into_iter().zip(&self.reloads) {
            reloads.sample(&[("outcome", word)], count.count());
        }
        let age = locked(&self.loaded).map_or(Duration::ZERO, |loaded| now.saturating_duration_since(loaded));
        text.family("steerdns_loaded_age_seconds", Kind::Gauge, "Since the files in force were read.")
            .sample(&[], age.as_secs_f64());
    }
}

fn write_verdicts(text: &mut Exposition, snapshot: &Snapshot) {
    let help = "1: up or suspect; 0: down; not a number: unknown.";
    let mut states = text.family("steerdns_health_up", Kind::Gauge, help);
    for held in snapshot.pools.iter().flat_map(|pools| &pools.held) {
        let key = &held.target.aim.key;
        let up = match held.held.verdict {
            Verdict::Up | Verdict::Suspect { .. } => 1.0,
            Verdict::Down => 0.0,
            Verdict::Unknown => f64::NAN,
        };
        let address = key.address.to_string();
        let labels = [
            ("cluster", &*key.cluster),
            ("node", &*key.node),
            ("address", &*address),
            ("check", &*key.check),
        ];
        states.sample(&labels, up);
    }
}

/// What a lock guards is good to go on with, whoever panicked.
fn locked<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
