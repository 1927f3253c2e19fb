//! What the server counts and measures, as `/metrics` and `/status` show it.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::alert;
use crate::alert::followed::Followed;
use crate::alert::message;
use crate::answer::tally::Tally;
use crate::answer::totals::Totals;
use crate::answer::worker::Transport;
use crate::cluster::{CLUSTERS_MAX, Cluster, CountId, Family, Node};
use crate::files::server::Geoip;
use crate::health::certificate::Certificate;
use crate::health::overrides::Order;
use crate::health::quality::Ways;
use crate::health::rounds::Observation;
use crate::health::target::TargetKey;
use crate::health::verdict::{Outcome, Verdict};
use crate::load::FileRead;
use crate::metrics::{Counter, Exposition, Histogram, Kind};
use crate::net::stream::Counts;
use crate::plan::Plan;
use crate::publisher::Turned;
use crate::snapshot::Snapshot;
use crate::steering::bend::Bends;
use crate::steering::service::ServiceId;

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
    /// Where the databases and geofeeds in force are.
    geoip: Mutex<(Geoip, Vec<FileRead>)>,
    /// How lists stand.
    today: Mutex<Option<Today>>,
    /// Written by the publishing task alone.
    publishing: Publishing,
    /// The repository that is followed, and what became of fetching it: good, bad.
    followed: Mutex<Option<Arc<Followed>>>,
    fetches: [Counter; 2],
    /// What alerts are there, and what became of them.
    alerts: Arc<alert::tally::Tally>,
}

/// How long a death may take to leave the answers, in steps that tell 2 s from 3 s.
static REMOVAL: [Duration; 25] = {
    let mut bounds = [Duration::ZERO; 25];
    let mut at = 0;
    while at < 20 {
        bounds[at] = Duration::from_millis(250 * (at as u64 + 1));
        at += 1;
    }
    let wide = [7, 10, 20, 30, 60];
    while at < 25 {
        bounds[at] = Duration::from_secs(wide[at - 20]);
        at += 1;
    }
    bounds
};

/// How lists stand, and what the ways to clusters cost.
#[derive(Debug)]
struct Today {
    plan: Arc<Plan>,
    bends: Arc<Bends>,
    ways: Vec<Ways>,
}

/// What the publishing task counts.
#[derive(Debug)]
struct Publishing {
    probes: [Counter; 4],
    probe_took: Histogram,
    transitions: [Counter; 4],
    removal: Histogram,
    unseen: Histogram,
    reloads: [Counter; 2],
    loaded: Mutex<Instant>,
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
            geoip: Mutex::default(),
            today: Mutex::default(),
            publishing: Publishing::new(now),
            followed: Mutex::default(),
            fetches: Default::default(),
            alerts: Arc::default(),
        }
    }

    /// What alerts are there, and what became of them: for who tells of them.
    pub fn alerts(&self) -> &Arc<alert::tally::Tally> {
        &self.alerts
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

    /// Remembers where the databases and geofeeds are that the files in force name, and which of them are in force.
    pub fn located_by(&self, geoip: &Geoip, read: Vec<FileRead>) {
        *locked(&self.geoip) = (geoip.clone(), read);
    }

    /// How lists stand now, and what the ways to clusters cost.
    pub fn bent(&self, plan: &Arc<Plan>, bends: &Arc<Bends>, ways: Vec<Ways>) {
        *locked(&self.today) = Some(Today { plan: Arc::clone(plan), bends: Arc::clone(bends), ways });
    }

    /// What the ways to the clusters of a Plan cost, cluster by cluster; empty: nothing was measured under it yet.
    pub fn ways(&self, plan: &Arc<Plan>) -> Vec<Ways> {
        let today = locked(&self.today);
        let today = today.as_ref().filter(|today| Arc::ptr_eq(&today.plan, plan));
        today.map(|today| today.ways.clone()).unwrap_or_default()
    }

    /// Where they are, and which were read.
    pub fn geoip(&self) -> (Geoip, Vec<FileRead>) {
        locked(&self.geoip).clone()
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
            *locked(&self.publishing.loaded) = now;
        }
    }

    /// The repository stands so.
    pub fn follows(&self, followed: Followed) {
        *locked(&self.followed) = Some(Arc::new(followed));
    }

    /// The repository that is followed, if there is one.
    pub fn followed(&self) -> Option<Arc<Followed>> {
        locked(&self.followed).clone()
    }

    /// The repository was fetched, or could not be.
    pub fn fetched(&self, is_good: bool) {
        self.fetches[usize::from(!is_good)].bump();
    }

    fn write_followed(&self, text: &mut Exposition) {
        let Some(followed) = self.followed() else { return };
        let help = "Fetches of the repository, by what became of them.";
        let mut fetches = text.family("steerdns_git_fetches_total", Kind::Counter, help);
        for (outcome, count) in ["good", "failed"].iter().zip(&self.fetches) {
            fetches.sample(&[("outcome", outcome)], count.count());
        }
        let help = "Whether the newest commit of the repository is refused.";
        let refused = u64::from(followed.refused.is_some());
        text.family("steerdns_git_refused", Kind::Gauge, help).sample(&[], refused);
        let help = "Whether an earlier commit is held by an operator's word.";
        text.family("steerdns_git_pinned", Kind::Gauge, help).sample(&[], u64::from(followed.pin.is_some()));
    }

    /// All metrics.
    pub fn exposition(&self, snapshot: &Snapshot, now: Instant) -> Exposition {
        let mut text = Exposition::default();
        let version = env!("CARGO_PKG_VERSION");
        text.family("steerdns_build_info", Kind::Gauge, "1; what runs.")
            .sample(&[("version", version)], 1u64);
        if let Some(commit) = &snapshot.plan.settings.commit {
            let labels =
                [("commit", &*commit.id), ("modified", if commit.is_modified { "true" } else { "false" })];
            text.family("steerdns_commit_info", Kind::Gauge, "1; the commit of the files in force.")
                .sample(&labels, 1u64);
        }
        let up = now.saturating_duration_since(self.started).as_secs_f64();
        text.family("steerdns_uptime_seconds", Kind::Gauge, "Since the start.").sample(&[], up);
        let tallies = locked(&self.tallies).clone();
        let counted = locked(&self.counted).clone();
        Totals::of(&tallies).write(&mut text, |id| counted.get(usize::from(id.0)).map(|key| &**key));
        Counts::write(&locked(&self.streams), &mut text);
        self.write_kernel_drops(&mut text);
        self.publishing.write(&mut text, now);
        self.alerts.write(&mut text);
        self.write_followed(&mut text);
        write_verdicts(&mut text, snapshot);
        write_certificates(&mut text, snapshot, now);
        if let Some(today) = &*locked(&self.today) {
            write_today(&mut text, today);
        }
        let help = "Whether the server doubts its own network, and holds the verdicts of before.";
        let doubting = u64::from(snapshot.doubting.is_some());
        text.family("steerdns_vantage_in_doubt", Kind::Gauge, help).sample(&[], doubting);
        let help = "Services that have a family of which all nodes are down.";
        text.family("steerdns_services_all_down", Kind::Gauge, help).sample(&[], all_down(snapshot).len());
        let mut serials =
            text.family("steerdns_zone_serial", Kind::Gauge, "The SOA serial of a zone in force.");
        for (zone, number) in snapshot.plan.served.iter().zip(0..) {
            serials.sample(&[("zone", &zone.origin.to_string())], u64::from(snapshot.serial(number)));
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
        let today = locked(&self.today);
        let today = today.as_ref().filter(|today| Arc::ptr_eq(&today.plan, plan));
        let clusters = plan.inventory.clusters.iter().zip(&snapshot.pools).enumerate();
        let clusters = clusters.map(|(at, (cluster, pools))| {
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
                    "counts_as": held.standing.word(),
                    "age_s": now.saturating_duration_since(held.held.since).as_secs(),
                    "decided_within_s": until,
                    "cause": held.held.cause_now().map(ToString::to_string),
                    "relapses": held.relapses,
                    "held_down_for_s": held.held_until.map(|until| left_s(until, now)),
                    "override": pools.said.get(usize::from(held.target.node)).and_then(|said| {
                        let said = said.as_ref()?;
                        Some(json!({ "verdict": said.word.word(), "why": &*said.why }))
                    }),
                    "certificate_days_left": held.certificate.map(|certificate| days_left(&certificate, now)),
                    "certificate_ends_soon": held.certificate.map(|certificate| certificate.is_near()),
                    "load": held.says.load,
                    "drain": held.says.drain,
                    "warning": held.says.warning.as_deref(),
                })
            });
            json!({
                "cluster": &*cluster.key,
                "region": cluster.region.as_deref(),
                "place": [cluster.place.lat(), cluster.place.lon()],
                "capacity": cluster.capacity,
                "ways": today.and_then(|today| today.ways.get(at)).map(told_of_ways),
                "load": today.and_then(|today| today.bends.shares.get(at)).map(|share| json!({
                    "demand": share.demand, "assigned": share.assigned, "capacity": share.capacity,
                    "price_ms": share.price_ms, "shed_slots": share.shed, "taken_slots": share.taken,
                    "known": share.is_known, "why": share.why.word(),
                })),
                "targets": targets.collect::<Vec<_>>(),
            })
        });
        let down = all_down(snapshot);
        let services = plan.services.iter().zip(0..).map(|(service, id)| {
            let policy = &plan.policies[usize::from(service.policy.0)].key;
            json!({
                "service": service.owner.to_string(),
                "policy": &**policy,
                "ttl_s": service.ttl_s,
                "all_down": down.contains(&ServiceId(id)),
            })
        });
        let zones = plan.served.iter().zip(0..).map(|(zone, number)| {
            let export = if zone.secondaries.of_health { "health" } else { "plan" };
            json!({
                "zone": zone.origin.to_string(),
                "serial": snapshot.serial(number),
                "export": snapshot.edition(number).map(|_| export),
            })
        });
        let loaded = now.saturating_duration_since(*locked(&self.publishing.loaded)).as_secs();
        json!({
            "version": plan.settings.version,
            "uptime_s": now.saturating_duration_since(self.started).as_secs(),
            "loaded_s_ago": loaded,
            "commit": plan.settings.commit.as_ref().map(|commit| json!({
                "id": &*commit.id,
                "modified": commit.is_modified,
            })),
            "repository": self.followed().map(|followed| told_of_repository(&followed)),
            "warming": snapshot.warming,
            "doubting_s": snapshot.doubting.map(|since| now.saturating_duration_since(since).as_secs()),
            "alerts": self.alerts.status(),
            "answered": totals.answered(),
            "answers_by_cluster": totals.steered().filter_map(|(id, reason, count)| {
                let key = counted.get(usize::from(id.0))?;
                Some(json!({ "cluster": &**key, "reason": reason.word(), "answers": count }))
            }).collect::<Vec<_>>(),
            "zones": zones.collect::<Vec<_>>(),
            "services": services.collect::<Vec<_>>(),
            "clusters": clusters.collect::<Vec<_>>(),
            "capacity_short": snapshot.bends.short,
            "overrides": snapshot.orders.iter().map(|order| told_of(order, plan, now)).collect::<Vec<_>>(),
        })
    }
}

/// A repository, as /status has it.
fn told_of_repository(followed: &Followed) -> Value {
    json!({
        "branch": &*followed.branch,
        "in_force": &*followed.in_force,
        "newest": followed.newest.as_deref(),
        "fetched": followed.fetched.map(message::moment),
        "unreached": followed.unreached.as_ref().map(|unreached| json!({
            "since": message::moment(unreached.since), "times": unreached.times, "what": &*unreached.what,
        })),
        "refused": followed.refused.as_ref().map(|refused| json!({
            "commit": &*refused.id, "since": message::moment(refused.since), "what": &*refused.what, "others": refused.others,
        })),
        "pinned": followed.pin.as_ref().map(|pin| json!({
            "commit": &*pin.id, "since": message::moment(pin.since), "who": &*pin.who, "why": &*pin.why,
        })),
        "good": followed.good.iter().map(|id| &**id).collect::<Vec<_>>(),
    })
}

impl Publishing {
    fn new(now: Instant) -> Publishing {
        Publishing {
            probes: Default::default(),
            probe_took: Histogram::default(),
            transitions: Default::default(),
            removal: Histogram::new(&REMOVAL),
            unseen: Histogram::new(&REMOVAL),
            reloads: Default::default(),
            loaded: Mutex::new(now),
        }
    }

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
        let age = now.saturating_duration_since(*locked(&self.loaded));
        text.family("steerdns_loaded_age_seconds", Kind::Gauge, "Since the files in force were read.")
            .sample(&[], age.as_secs_f64());
    }
}

fn write_today(text: &mut Exposition, today: &Today) {
    let clusters = || today.plan.inventory.clusters.iter();
    let ways = || {
        clusters().zip(&today.ways).flat_map(|(cluster, ways)| {
            let labels = |word| [("cluster", &*cluster.key), ("family", word)];
            let ways = Family::ALL.into_iter().zip(ways);
            ways.filter_map(move |(family, way)| Some((labels(family.label()), way.as_ref()?)))
        })
    };
    let mut rise = text.family(
        "steerdns_way_rise_seconds",
        Kind::Gauge,
        "By how much probes of a cluster cost more than usual, less what all clusters have risen.",
    );
    for (labels, way) in ways() {
        rise.sample(&labels, f64::from(way.rise_ms) / 1000.0);
    }
    let mut loss = text.family(
        "steerdns_way_loss_ratio",
        Kind::Gauge,
        "The share of a cluster's probes that lost a packet.",
    );
    for (labels, way) in ways() {
        loss.sample(&labels, f64::from(way.loss));
    }
    let shares = || clusters().zip(&today.bends.shares);
    let help = "What is asked of a cluster by the balance, in units of capacity.";
    let mut assigned = text.family("steerdns_load_assigned", Kind::Gauge, help);
    for (cluster, share) in shares() {
        assigned.sample(&[("cluster", &cluster.key)], share.assigned);
    }
    let help = "What a cluster can carry with the nodes that are up.";
    let mut capacity = text.family("steerdns_load_capacity", Kind::Gauge, help);
    for (cluster, share) in shares() {
        capacity.sample(&[("cluster", &cluster.key)], share.capacity);
    }
    let help = "What is asked beyond all capacity.";
    text.family("steerdns_capacity_short", Kind::Gauge, help).sample(&[], today.bends.short);
}

/// The ways to a cluster, by what is asked for.
fn told_of_ways(ways: &Ways) -> Value {
    Family::ALL.into_iter().zip(ways).map(|(family, way)| (family.rtype().to_owned(), json!(way))).collect()
}

/// An operator's word of today.
fn told_of(order: &Order, plan: &Plan, now: Instant) -> Value {
    let nodes = |wanted: fn(&Node) -> bool| -> Vec<String> {
        let of = |cluster: &Cluster| -> Vec<String> {
            let meant = cluster.nodes.iter().filter(|node| order.target.means(cluster, node) && wanted(node));
            meant.map(|node| format!("{}/{}", cluster.key, node.key)).collect()
        };
        plan.inventory.clusters.iter().flat_map(of).collect()
    };
    json!({
        "target": order.target.to_string(),
        "verdict": order.word.word(),
        "why": &*order.why,
        "who": &*order.who,
        "age_s": now.saturating_duration_since(order.since).as_secs(),
        "ends_in_s": order.until.map(|until| left_s(until, now)),
        "nodes": nodes(|_| true),
        // Of which the files have an override of their own, below this one.
        "in_files": nodes(|node| node.pinned.is_some()),
    })
}

fn left_s(until: Instant, now: Instant) -> u64 {
    until.saturating_duration_since(now).as_secs()
}

/// The services that have a family of which all is down.
fn all_down(snapshot: &Snapshot) -> BTreeSet<ServiceId> {
    let groups = snapshot.plan.groups.iter().zip(&snapshot.all_down).filter(|(_, down)| **down);
    groups.flat_map(|(group, _)| group.services.iter().copied()).collect()
}

fn write_verdicts(text: &mut Exposition, snapshot: &Snapshot) {
    let help = "1: up or suspect; 0: down; not a number: unknown.";
    let mut states = text.family("steerdns_health_up", Kind::Gauge, help);
    for held in snapshot.pools.iter().flat_map(|pools| &pools.held) {
        let up = match held.held.verdict {
            Verdict::Up | Verdict::Suspect { .. } => 1.0,
            Verdict::Down => 0.0,
            Verdict::Unknown => f64::NAN,
        };
        let address = held.target.aim.key.address.to_string();
        states.sample(&labels(&held.target.aim.key, &address), up);
    }
}

fn write_certificates(text: &mut Exposition, snapshot: &Snapshot, now: Instant) {
    let help = "For how long the certificate that the address last showed holds; 0: not any more.";
    let mut left = text.family("steerdns_certificate_expiry_seconds", Kind::Gauge, help);
    for held in snapshot.pools.iter().flat_map(|pools| &pools.held) {
        let Some(certificate) = held.certificate else { continue };
        let address = held.target.aim.key.address.to_string();
        let seconds = certificate.ends().saturating_duration_since(now).as_secs();
        left.sample(&labels(&held.target.aim.key, &address), seconds);
    }
}

/// The labels of what is told of a target.
fn labels<'k>(key: &'k TargetKey, address: &'k str) -> [(&'static str, &'k str); 4] {
    [("cluster", &key.cluster), ("node", &key.node), ("address", address), ("check", &key.check)]
}

/// Whole days for which a certificate holds yet.
fn days_left(certificate: &Certificate, now: Instant) -> u64 {
    certificate.ends().saturating_duration_since(now).as_secs() / 86_400
}

/// What a lock guards is good to go on with, whoever panicked.
fn locked<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
