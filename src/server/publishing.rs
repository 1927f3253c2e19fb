//! The one writer's task: events in, Snapshots out, and what follows from the News.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::alerting::{Facts, since_1970};
use super::balancing::{Senses, senses};
use super::drilling::{self, Drilling};
use super::exporting::{Ledger, Noticing, edit};
use super::ordering::{self, OrderKeeper};
use super::start::{Loader, named};
use super::upkeep::{beside, keep};
use super::watching::Watched;
use crate::files::duration;
use crate::files::issue::{Issue, Severity};
use crate::files::server::ServerFile;
use crate::files::show;
use crate::health::board::Kept;
use crate::health::overrides::Change;
use crate::health::rounds::Observation;
use crate::health::verdict::Outcome;
use crate::load::seen::Seen;
use crate::load::{Geography, Loaded, Reading};
use crate::plan::Plan;
use crate::probe::schedule::{self, Aims, Drill, Told};
use crate::publisher::{DoubtNews, Event, News, Publisher};
use crate::record::Record;
use crate::snapshot::{Live, Snapshot};
use crate::state;
use crate::steering::bend::Bends;
use crate::wire::cookie::{SECRET_OCTETS, Secrets};
use crate::zone::edition::Edition;

/// Events that wait for the publisher; a prober that finds it full waits.
const EVENTS: usize = 4096;
/// How often time passes for the publisher, where nothing else happens.
const TICK: Duration = Duration::from_millis(100);
/// How soon verdicts that changed are in the state file.
const KEEP_CHANGED: Duration = Duration::from_secs(5);
/// How old what it says of the others may be: far less than what counts as unknown at a start.
const KEEP_ALL: Duration = Duration::from_secs(60);
/// How often it is told that probes cannot be made here.
const TELL_LOCAL: Duration = Duration::from_secs(60);
/// How many probes may be out at once: each holds a descriptor.
pub(super) const PROBES: usize = schedule::AT_ONCE_DEFAULT;

/// Who waits for a reload: the good end or the bad one, in words.
pub(super) type Waiting = oneshot::Sender<Result<String, String>>;

/// A reload that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// From another working copy of the repository, which is in force if it is good; `None`: from the one in force, or of no repository.
    pub(super) tree: Option<PathBuf>,
    /// Who waits for it.
    pub(super) waiting: Waiting,
}

impl Wanted {
    /// The files anew.
    pub(super) fn again() -> (Wanted, oneshot::Receiver<Result<String, String>>) {
        let (waiting, told) = oneshot::channel();
        (Wanted { tree: None, waiting }, told)
    }
}

/// What the publishing task owns.
pub(super) struct Publishing {
    /// Gone with this task: then others know.
    pub(super) _living: watch::Sender<()>,
    pub(super) publisher: Publisher,
    /// What came to light with the first Snapshot: e.g. what ended while the server was away.
    pub(super) news: News,
    pub(super) live: Arc<Live>,
    pub(super) record: Arc<Record>,
    pub(super) loader: Loader,
    /// Where a reload can be asked for.
    pub(super) reloads: mpsc::WeakSender<Wanted>,
    pub(super) reload_requests: mpsc::Receiver<Wanted>,
    /// What probes told of ways and of load.
    pub(super) senses: Senses,
    /// How ranked lists stand today.
    pub(super) bends: mpsc::Receiver<(Arc<Plan>, Arc<Bends>)>,
    pub(super) order_requests: mpsc::Receiver<(Change, Waiting)>,
    pub(super) drill_requests: mpsc::Receiver<(drilling::Asked, Waiting)>,
    /// What loads looked at: for who looks whether it changed.
    pub(super) watched: std_mpsc::Sender<Watched>,
    /// What the server was started with: what of it changes takes a restart.
    pub(super) started: ServerFile,
    pub(super) season: Season,
    /// What secondaries were told.
    pub(super) ledger: Arc<Ledger>,
    /// Told of each Snapshot.
    pub(super) changed: Arc<Notify>,
    /// What secondaries of zones of health get.
    pub(super) editions: mpsc::Receiver<Arc<Edition>>,
    pub(super) noticing: Noticing,
    /// What alerts must know beside the Snapshot.
    pub(super) facts: watch::Sender<Arc<Facts>>,
    pub(super) ended: watch::Receiver<bool>,
}

/// What a server adds to whatever is loaded: a secret of cookies of its own, where no file names one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Season {
    cookie: Option<[u8; SECRET_OCTETS]>,
}

impl Season {
    pub(super) fn new(server: &ServerFile) -> Season {
        let cookie = state::cookie_secret(&server.state).map_err(|error| {
            tracing::error!("no secret for cookies can be kept, they are not spoken: {error}");
        });
        Season { cookie: cookie.ok() }
    }

    /// Adds it.
    pub(super) fn season(&self, loaded: &mut Loaded) {
        let cookies = &loaded.server.cookies;
        if cookies.enabled && cookies.secret_file.is_none() {
            loaded.plan.settings.cookies = Secrets::new(self.cookie.into_iter().collect());
        }
    }
}

/// Runs until `ended`. Nothing in it waits for a disk, a log or a compilation: a verdict must reach the answers.
pub(super) async fn publish(mut own: Publishing) {
    let (targets, listed) = watch::channel(aims(&own.publisher));
    let (mut drilling, drill) = Drilling::new();
    let (mut probing, mut observations) = probe(listed.clone(), drill.clone());
    let graves = graveyard();
    let keeper = Keeper::start(own.started.state.clone());
    let order_keeper = OrderKeeper::start(own.started.state.clone());
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut kept = Instant::now();
    let (mut unkept, mut unforgiven) = (false, false);
    let (done, mut loads) = mpsc::channel::<(Reading, Wanted)>(1);
    let mut tree = own.started.tree.clone();
    let mut loading = false;
    let mut reload_as = own.started.reload;
    let mut local = LocalFailures::default();
    let mut batch = Vec::new();
    let first = arc_swap::Guard::into_inner(own.live.now());
    own.noticing.start(&first);
    drop(first);
    tell(&own.news, &own.record, Instant::now());
    if !own.news.orders.is_empty() {
        order_keeper.keep(&own.publisher, None);
    }
    loop {
        let (mut told, mut ordered, mut ticked) = (None, None, false);
        tokio::select! {
            count = observations.recv_many(&mut batch, EVENTS) => {
                if count == 0 {
                    tracing::error!("probing ended, and begins anew: this is a bug");
                    probing.abort();
                    (probing, observations) = probe(listed.clone(), drill.clone());
                    tick.tick().await;
                }
                let now = Instant::now();
                for told in batch.drain(..) {
                    let event = match told {
                        Told::Seen(observation) => {
                            own.record.observed(&observation);
                            senses(&own.senses).observe(&observation);
                            local.tell(&observation, now);
                            Event::Observed(observation)
                        }
                        Told::Noted(aim, note) => {
                            senses(&own.senses).note(&aim, &note, now);
                            Event::Noted(aim, note)
                        }
                    };
                    own.publisher.handle(event, now);
                }
            }
            _ = tick.tick() => {
                ticked = true;
                own.publisher.handle(Event::Tick, Instant::now());
            }
            Some(edition) = own.editions.recv() => own.publisher.handle(Event::Edited(edition), Instant::now()),
            Some((plan, bends)) = own.bends.recv() => {
                own.publisher.handle(Event::Bent(plan, bends), Instant::now());
            }
            Some((change, waiting)) = own.order_requests.recv() => {
                match ordering::told(&own.publisher, &change) {
                    Ok(words) => {
                        own.publisher.handle(Event::Overridden(change), Instant::now());
                        ordered = Some((waiting, words));
                    }
                    Err(words) => {
                        let _ = waiting.send(Err(words));
                    }
                }
            }
            Some((asked, waiting)) = own.drill_requests.recv() => {
                let _ = waiting.send(drilling.asked(&asked, &own.publisher, &own.live.now(), Instant::now()));
            }
            // One at a time: what is asked for last is read last.
            Some(wanted) = own.reload_requests.recv(), if !loading => {
                loading = true;
                let (loader, done) = (Arc::clone(&own.loader), done.clone());
                let (season, ledger) = (own.season, Arc::clone(&own.ledger));
                let last = arc_swap::Guard::into_inner(own.live.now());
                let from = wanted.tree.clone().or_else(|| tree.clone());
                let body = move || {
                    // A panic of the loader is a bug; it must not keep later reloads waiting.
                    let reading = catch_unwind(AssertUnwindSafe(|| {
                        let mut reading = loader(from.as_deref());
                        if let Ok(loaded) = &mut reading.loaded {
                            season.season(loaded);
                            let words = edit(loaded, Some(&last), &ledger);
                            loaded.issues.extend(words.into_iter().map(warning));
                        }
                        reading
                    })).unwrap_or_else(|_| {
                        let what = "reading the files failed: this is a bug";
                        Reading { loaded: Err(vec![Issue::of_all(what)]), seen: Seen::default() }
                    });
                    let _ = done.blocking_send((reading, wanted));
                };
                if let Err(error) = beside("reload", body) {
                    loading = false;
                    tracing::error!("the files are not read anew: no thread for it: {error}");
                }
            }
            Some((Reading { loaded, seen }, wanted)) = loads.recv() => {
                loading = false;
                reload_as = loaded.as_ref().map_or(reload_as, |loaded| loaded.server.reload);
                let _ = own.watched.send(Watched { seen, reload: reload_as });
                match loaded {
                    Ok(mut loaded) => {
                        let upkeep = loaded.upkeep.take();
                        told = Some((wanted.waiting, Ok(reloaded(&loaded, &own.started))));
                        tree.clone_from(&loaded.server.tree);
                        own.facts.send_replace(Arc::new(Facts::of(&loaded)));
                        take(&mut own.publisher, &own.record, loaded);
                        keep(upkeep, own.reloads.clone());
                        targets.send_replace(aims(&own.publisher));
                        senses(&own.senses).keep(own.publisher.plan().targets.iter().map(|target| &target.aim));
                    }
                    Err(issues) => {
                        // Of a commit that is refused, who follows the repository tells.
                        if wanted.tree.is_none() {
                            let facts = own.facts.borrow().refused(&issues, since_1970());
                            own.facts.send_replace(Arc::new(facts));
                        }
                        let _ = wanted.waiting.send(Err(refused(&issues, &own.record)));
                    }
                }
            }
            () = is_over(&mut own.ended) => break,
        }
        let (snapshot, news) = own.publisher.publish(Instant::now());
        if let Some(snapshot) = snapshot {
            let snapshot = Arc::new(snapshot);
            let _ = graves.send(own.live.replace(Arc::clone(&snapshot)));
            // Only now: a secondary asks for the SOA at once, and must not find that of before.
            if news.loaded {
                own.noticing.follow(&snapshot);
            }
            own.noticing.tell(&news.edited, &snapshot);
            own.changed.notify_one();
        }
        drilling.watch(&own.live.now(), &news, Instant::now());
        unkept |= !news.turned.is_empty();
        tell(&news, &own.record, Instant::now());
        if let Some((waiting, words)) = told {
            let _ = waiting.send(words);
        }
        unforgiven |= news.forgiven;
        if ticked && std::mem::take(&mut unforgiven) {
            targets.send_replace(aims(&own.publisher));
        }
        if ordered.is_some() || !news.orders.is_empty() {
            order_keeper.keep(&own.publisher, ordered);
        }
        let patience = if unkept { KEEP_CHANGED } else { KEEP_ALL };
        if kept.elapsed() >= patience {
            // Where the disk is busy yet with earlier ones, they are asked for again after the same time.
            unkept &= !keeper.keep(&own.publisher);
            kept = Instant::now();
        }
    }
    probing.abort();
    keeper.end(&own.publisher);
    order_keeper.end();
}

fn warning(what: String) -> Issue {
    Issue { severity: Severity::Warning, ..Issue::of_all(what) }
}

/// Until the server ends, or whoever would say so is gone.
async fn is_over(ended: &mut watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}

fn aims(publisher: &Publisher) -> Aims {
    publisher.aims().collect()
}

/// Starts probing whatever `listed` holds.
fn probe(listed: watch::Receiver<Aims>, drill: Drill) -> (JoinHandle<()>, mpsc::Receiver<Told>) {
    let (observed, observations) = mpsc::channel(EVENTS);
    (tokio::spawn(schedule::run(listed, drill, observed, PROBES)), observations)
}

/// Puts what was loaded in force with the next Snapshot.
fn take(publisher: &mut Publisher, record: &Record, loaded: Loaded) {
    let Loaded { mut plan, geography: Geography { read, .. }, server, .. } = loaded;
    record.located_by(&server.geoip, read);
    let now = Instant::now();
    record.count(&mut plan);
    record.reloaded(true, now);
    publisher.handle(Event::Loaded(Arc::new(plan)), now);
}

fn reloaded(loaded: &Loaded, started: &ServerFile) -> String {
    let mut words = String::from("reloaded");
    let changed = started.changed_for_restart(&loaded.server);
    if !changed.is_empty() {
        words += &format!("; what changed of {} takes a restart", changed.join(", "));
    }
    if !loaded.issues.is_empty() {
        words = format!("{words}\n{}", show::issues(&loaded.issues, show::Format::Short).trim_end());
    }
    tracing::info!("{words}");
    words
}

fn refused(issues: &[Issue], record: &Record) -> String {
    record.reloaded(false, Instant::now());
    let issues = show::issues(issues, show::Format::Short);
    tracing::error!("the reload is refused, the last good files stay in force:\n{}", issues.trim_end());
    issues
}

/// Logs and records what happened.
fn tell(news: &News, record: &Record, now: Instant) {
    for certificate in &news.certificates {
        let (key, days) = (&certificate.aim.key, certificate.left.as_secs() / 86_400);
        let Some(within) = certificate.aim.check.kind.tls().map(|tls| duration::shown(tls.expires_within))
        else {
            continue;
        };
        if certificate.renewed {
            tracing::info!(
                cluster = %key.cluster, node = %key.node, address = %key.address, check = %key.check, days,
                "the certificate is renewed"
            );
        } else {
            tracing::warn!(
                cluster = %key.cluster, node = %key.node, address = %key.address, check = %key.check, days,
                "the certificate holds for less than {within}: renew it"
            );
        }
    }
    for all in &news.all_down {
        let family = all.family.rtype();
        let (service, others) = (&all.service, all.others);
        if all.down {
            tracing::error!(%service, others, "all nodes of {service} {family} are down (and of {others} more)");
        } else {
            tracing::info!(%service, others, "{service} {family} has a node again (as {others} more)");
        }
    }
    news.orders.iter().for_each(ordering::log);
    for doubt in &news.doubts {
        let DoubtNews { family, began, fallen, failing } = doubt;
        let family = family.name();
        let (fallen, targets, canaries, of) = (fallen.some, fallen.all, failing.some, failing.all);
        if *began {
            tracing::error!(
                fallen,
                targets,
                canaries,
                of,
                "{fallen} of {targets} {family} targets fell at once, and {canaries} of {of} canaries fail: this server \
                 doubts its own network, and holds the verdicts of before"
            );
        } else {
            tracing::warn!(
                "over {family}, this server doubts its own network no more: verdicts count as they are seen"
            );
        }
    }
    for turned in &news.turned {
        let key = &turned.aim.key;
        let cause = turned.cause.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::info!(
            cluster = %key.cluster, node = %key.node, address = %key.address, check = %key.check, %cause,
            "{} -> {}", turned.from.word(), turned.to.word()
        );
        record.turned(turned, now);
    }
}

/// Tells of probes that cannot be made here: that is our own trouble, and it can be much of it.
#[derive(Default)]
struct LocalFailures {
    told: Option<Instant>,
    untold: u64,
}

impl LocalFailures {
    fn tell(&mut self, observation: &Observation, now: Instant) {
        let Outcome::Local(what) = &observation.seen.outcome else { return };
        self.untold += 1;
        if self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_LOCAL) {
            let (target, count) = (observation.aim.probe, std::mem::take(&mut self.untold));
            tracing::warn!(%target, count, "probes cannot be made here, their verdicts stand: {what}");
            self.told = Some(now);
        }
    }
}

/// Writes verdicts on a thread of its own: a slow disk keeps nobody from publishing.
struct Keeper {
    verdicts: std_mpsc::SyncSender<Vec<Kept>>,
    thread: std::thread::JoinHandle<()>,
}

impl Keeper {
    fn start(directory: PathBuf) -> Keeper {
        let (verdicts, waiting) = std_mpsc::sync_channel::<Vec<Kept>>(1);
        let thread = named("state", move || {
            for kept in waiting {
                if let Err(error) = state::write(&directory, &kept, SystemTime::now()) {
                    tracing::error!("verdicts are not kept: {error}");
                }
            }
        });
        Keeper { verdicts, thread }
    }

    /// Whether the verdicts of now are on their way to the disk; not, where it is still busy with earlier ones.
    fn keep(&self, publisher: &Publisher) -> bool {
        self.verdicts.try_send(publisher.board().kept(Instant::now())).is_ok()
    }

    /// Keeps the last ones, and waits for them.
    fn end(self, publisher: &Publisher) {
        let _ = self.verdicts.send(publisher.board().kept(Instant::now()));
        drop(self.verdicts);
        let _ = self.thread.join();
    }
}

/// A thread on which old Snapshots are dropped, once no answering thread reads them any more.
fn graveyard() -> std_mpsc::Sender<Arc<Snapshot>> {
    let (sender, receiver) = std_mpsc::channel::<Arc<Snapshot>>();
    named("graveyard", move || {
        let mut waiting: Vec<Arc<Snapshot>> = Vec::new();
        loop {
            let next = match waiting.is_empty() {
                true => receiver.recv().map_err(|_| std_mpsc::RecvTimeoutError::Disconnected),
                false => receiver.recv_timeout(TICK),
            };
            match next {
                Ok(old) => waiting.push(old),
                Err(std_mpsc::RecvTimeoutError::Timeout) => {}
                Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
            }
            waiting.retain(|old| Arc::strong_count(old) > 1);
        }
    });
    sender
}
