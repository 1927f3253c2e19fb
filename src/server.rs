//! Starts the tasks, hands out channels, reloads, ends in order.
//!
//! ```text
//! prober --Observation--> publisher task --Snapshot--> Live --> answering threads
//! reload --Loaded-------/       |                                    \--Errand--> cold lane
//!                               \--News--> log, Record (metrics), state
//! ```
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::{control, http};
use crate::answer::respond::respond;
use crate::answer::worker::{Transport, Worker};
use crate::asked::Asked;
use crate::cluster::Family;
use crate::files::issue::Issue;
use crate::files::server::{Engine, ServerFile};
use crate::files::show;
use crate::health::rounds::Observation;
use crate::load::{Geography, Loaded};
use crate::net::answering::{Answering, Respond};
use crate::net::errand::{self, Errand};
use crate::net::stream::{Counts, Limits};
use crate::net::{hickory, listen, portable, stream};
use crate::probe::schedule::{self, Aims};
use crate::publisher::{Event, News, Publisher, WARMING_MAX};
use crate::record::Record;
use crate::snapshot::{Live, Snapshot};
use crate::state;
use crate::why::why;

/// Events that wait for the publisher; a prober that finds it full waits.
const EVENTS: usize = 4096;
/// Questions that wait in the cold lane; more of them are dropped, and counted.
const ERRANDS: usize = 256;
/// How often time passes for the publisher, where nothing else happens.
const TICK: Duration = Duration::from_millis(100);
/// How often verdicts are written to the state file, if they changed.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How long probes out at once may hold descriptors.
const PROBES: usize = schedule::AT_ONCE_DEFAULT;

/// Reads the world: the files, or what `demo` makes of its own.
pub type Loader = Arc<dyn Fn() -> Result<Loaded, Vec<Issue>> + Send + Sync>;

/// Why the server did not start: a sentence.
#[derive(Debug)]
pub struct NotStarted(pub String);

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A server that answers.
#[derive(Debug)]
pub struct Server {
    live: Arc<Live>,
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    handle: Handle,
    stop: Arc<AtomicBool>,
    ending: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    runtime: Runtime,
    publishing: tokio::task::JoinHandle<()>,
}

/// Asks things of a running server, from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    reloads: mpsc::Sender<oneshot::Sender<Result<String, String>>>,
}

impl Handle {
    /// Reads the files anew. The good end or the bad one in words; the bad one leaves all as it is.
    pub async fn reload(&self) -> Result<String, String> {
        let (reply, told) = oneshot::channel();
        let ended = || "the server is ending".to_owned();
        self.reloads.send(reply).await.map_err(|_| ended())?;
        told.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Loads, binds, and answers. What is wrong with the files is told by `loader`'s issues.
pub fn start(loader: &Loader) -> Result<Server, NotStarted> {
    let now = Instant::now();
    let loaded = loader().map_err(|issues| NotStarted(show::issues(&issues, show::Format::Full)))?;
    if !loaded.issues.is_empty() {
        tracing::warn!("{}", show::issues(&loaded.issues, show::Format::Short).trim_end());
    }
    let Loaded { server, mut plan, geography, .. } = loaded;
    drop(geography);
    let keep = server.state.clone();
    let kept = match state::read(&keep, SystemTime::now()) {
        Ok(kept) => kept,
        Err(error) => {
            tracing::warn!("verdicts of an earlier life are not known: {error}");
            Vec::new()
        }
    };
    let record = Arc::new(Record::new(now));
    record.count(&mut plan);
    let mut publisher = Publisher::new(Arc::new(plan), &kept, now);
    let (first, _) = publisher.publish(now);
    let live = Arc::new(Live::new(first.unwrap_or_default()));
    let stop = Arc::new(AtomicBool::new(false));
    let (lane, errands) = errand::lane(ERRANDS);
    let answering = Answering { live: Arc::clone(&live), respond, lane, stop: Arc::clone(&stop) };
    let listening = Listening::bind(&server)?;
    let addresses = listening.addresses.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| NotStarted(format!("no runtime for the control plane: {error}")))?;
    let (ending, ended) = watch::channel(false);
    let (reloads, reload_requests) = mpsc::channel(1);
    let handle = Handle { reloads };
    let admin = admin(&runtime, &server, &record, &live, &ended)?;
    control_socket(&runtime, &server, &handle, &record, &live, loader, &ended)?;
    let threads = listening.serve(&server, &answering, &record);
    let publishing = runtime.spawn(publish(Publishing {
        publisher,
        live: Arc::clone(&live),
        record,
        loader: Arc::clone(loader),
        reload_requests,
        listen: server.listen.clone(),
        keep,
        ended: ended.clone(),
    }));
    runtime.spawn(cold_lane(errands, Arc::clone(&live)));
    Ok(Server { live, addresses, admin, handle, stop, ending, threads, runtime, publishing })
}

impl Server {
    /// Where it answers, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the admin listener is.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The Snapshot in force.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Asks things of it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits in its runtime for something.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Ends: no new connections, answers under way go out, verdicts are kept.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.ending.send(true);
        for thread in self.threads {
            let _ = thread.join();
        }
        let _ = self.runtime.block_on(self.publishing);
        self.runtime.shutdown_timeout(Duration::from_secs(2));
    }
}

/// Sockets, bound.
struct Listening {
    addresses: Vec<SocketAddr>,
    listeners: Vec<listen::Listeners>,
}

impl Listening {
    fn bind(server: &ServerFile) -> Result<Listening, NotStarted> {
        let threads = udp_threads(server);
        let mut listening = Listening { addresses: Vec::new(), listeners: Vec::new() };
        for address in &server.listen {
            let bound = listen::bind(*address, threads, 1);
            let bound = bound.map_err(|error| NotStarted(cannot_listen(*address, &error)))?;
            listening.addresses.push(bound.address);
            listening.listeners.push(bound);
        }
        Ok(listening)
    }

    /// A thread for each UDP socket, and one for all TCP listeners.
    fn serve<R: Respond>(
        self,
        server: &ServerFile,
        answering: &Answering<R>,
        record: &Record,
    ) -> Vec<JoinHandle<()>> {
        let mut threads = Vec::new();
        let mut streams = Vec::new();
        for listeners in self.listeners {
            let family = Family::of(listeners.address.ip());
            let mut tcp = listeners.tcp;
            for socket in listeners.udp {
                let tally = record.tally(Transport::Udp, family);
                let answering = answering.clone();
                let engine = server.udp.engine;
                if engine == Engine::Hickory {
                    let tallies = [tally, record.tally(Transport::Tcp, family)];
                    let listener = tcp.pop();
                    threads.push(named("dns-hickory", move || {
                        report(hickory::serve(socket, listener, &answering, Worker::default(), tallies));
                    }));
                    continue;
                }
                let socket = Arc::new(socket);
                record.socket(&socket);
                threads.push(named("dns-udp", move || {
                    report(match engine {
                        #[cfg(target_os = "linux")]
                        Engine::Auto | Engine::Mmsg => {
                            crate::net::udp::serve(&socket, &answering, Worker::default(), &tally)
                        }
                        _ => portable::serve(&socket, &answering, Worker::default(), &tally),
                    });
                }));
            }
            streams.extend(tcp.into_iter().map(|listener| (listener, record.tally(Transport::Tcp, family))));
        }
        if !streams.is_empty() {
            let limits = Limits {
                connections: server.tcp.connections as usize,
                per_client: server.tcp.per_client as usize,
                idle: server.tcp.idle,
                ..Limits::default()
            };
            let counts = Arc::<Counts>::default();
            record.streams(&counts);
            let answering = answering.clone();
            threads.push(named("dns-tcp", move || {
                report(stream::serve(streams, &answering, Worker::default(), limits, counts));
            }));
        }
        threads
    }
}

/// How many answering threads an address gets.
fn udp_threads(server: &ServerFile) -> usize {
    match (server.udp.engine, server.udp.threads) {
        (Engine::Hickory, _) => 1,
        (_, 0) => thread::available_parallelism().map_or(1, usize::from),
        (_, threads) => threads.into(),
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("`{address}` is in use: another nameserver listens there"),
        std::io::ErrorKind::PermissionDenied => format!(
            "`{address}` may not be listened on: a port below 1024 wants CAP_NET_BIND_SERVICE or root"
        ),
        std::io::ErrorKind::AddrNotAvailable => format!("`{address}` is no address of this machine"),
        _ => format!("`{address}` cannot be listened on: {error}"),
    }
}

fn named(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let builder = thread::Builder::new().name(name.into());
    builder.spawn(body).expect("the system lets a program of a few threads have one more")
}

fn report(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!("an answering thread ended: {error}");
    }
}

fn admin(
    runtime: &Runtime,
    server: &ServerFile,
    record: &Arc<Record>,
    live: &Arc<Live>,
    ended: &watch::Receiver<bool>,
) -> Result<Option<SocketAddr>, NotStarted> {
    let Some(address) = server.admin else { return Ok(None) };
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address));
    let listener = listener.map_err(|error| NotStarted(cannot_listen(address, &error)))?;
    let bound = listener.local_addr().ok();
    let (metrics, status) = ((Arc::clone(record), Arc::clone(live)), (Arc::clone(record), Arc::clone(live)));
    let sources = http::Sources {
        metrics: Arc::new(move || metrics.0.exposition(&metrics.1.now(), Instant::now())),
        status: Arc::new(move || status.0.status(&status.1.now(), Instant::now())),
    };
    let (stop, stopped) = oneshot::channel();
    let mut ended = ended.clone();
    runtime.spawn(async move {
        let _ = ended.wait_for(|ended| *ended).await;
        let _ = stop.send(());
    });
    runtime.spawn(async move {
        if let Err(error) = http::serve(listener, sources, stopped).await {
            tracing::error!("the admin listener ended: {error}");
        }
    });
    Ok(bound)
}

/// The Unix socket by which `steerdns reload`, `status` and `explain` reach this server.
fn control_socket(
    runtime: &Runtime,
    server: &ServerFile,
    handle: &Handle,
    record: &Arc<Record>,
    live: &Arc<Live>,
    loader: &Loader,
    ended: &watch::Receiver<bool>,
) -> Result<(), NotStarted> {
    let path = control::socket(&server.state);
    let (handle, record, live, loader) =
        (handle.clone(), Arc::clone(record), Arc::clone(live), Arc::clone(loader));
    let now = Arc::clone(&live);
    let desk = control::Desk {
        reload: Arc::new(move || {
            let handle = handle.clone();
            Box::pin(async move { handle.reload().await })
        }),
        status: Arc::new(move || record.status(&now.now(), Instant::now())),
        explain: Arc::new(move |asked: String| {
            let asked = Asked::parse(&asked)?;
            let geography = loader().map(|loaded| loaded.geography).unwrap_or_default();
            let explanation = asked.explain(&live.now(), Some(&geography), Instant::now())?;
            Ok(asked.shown(&explanation))
        }),
    };
    let listener = runtime.block_on(control::bind(&path));
    let listener =
        listener.map_err(|error| NotStarted(format!("the control socket `{}`: {error}", path.display())))?;
    let mut ended = ended.clone();
    runtime.spawn(async move {
        let stopped = async move {
            let _ = ended.wait_for(|ended| *ended).await;
        };
        if let Err(error) = control::serve(listener, &path, desk, stopped).await {
            tracing::error!("the control socket ended: {error}");
        }
    });
    Ok(())
}

/// What the publishing task owns.
struct Publishing {
    publisher: Publisher,
    live: Arc<Live>,
    record: Arc<Record>,
    loader: Loader,
    reload_requests: mpsc::Receiver<oneshot::Sender<Result<String, String>>>,
    listen: Vec<SocketAddr>,
    keep: PathBuf,
    ended: watch::Receiver<bool>,
}

/// The one writer's task.
async fn publish(mut own: Publishing) {
    let (observed, mut observations) = mpsc::channel::<Observation>(EVENTS);
    let aims = |publisher: &Publisher| -> Aims { publisher.board().aims().collect() };
    let (targets, listed) = watch::channel(aims(&own.publisher));
    let probing = tokio::spawn(schedule::run(listed, observed, PROBES));
    let graves = graveyard();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut keeping = tokio::time::interval(KEEP_EVERY);
    let mut unkept = false;
    let (done, mut loads) =
        mpsc::channel::<(Result<Loaded, Vec<Issue>>, oneshot::Sender<Result<String, String>>)>(1);
    let mut batch = Vec::new();
    loop {
        let mut told = None;
        tokio::select! {
            count = observations.recv_many(&mut batch, EVENTS) => {
                if count == 0 {
                    tracing::error!("probing ended");
                    break;
                }
                let now = Instant::now();
                for observation in batch.drain(..) {
                    own.record.observed(&observation);
                    own.publisher.handle(Event::Observed(observation), now);
                }
            }
            _ = tick.tick() => own.publisher.handle(Event::Tick, Instant::now()),
            _ = keeping.tick() => {
                if std::mem::take(&mut unkept) {
                    keep(&own.keep, &own.publisher);
                }
            }
            Some(reply) = own.reload_requests.recv() => {
                let (loader, done) = (Arc::clone(&own.loader), done.clone());
                tokio::task::spawn_blocking(move || {
                    let loaded = loader();
                    let _ = done.blocking_send((loaded, reply));
                });
            }
            Some((loaded, reply)) = loads.recv() => match loaded {
                Ok(Loaded { mut plan, server, issues, geography, .. }) => {
                    drop::<Geography>(geography);
                    own.record.count(&mut plan);
                    own.publisher.handle(Event::Loaded(Arc::new(plan)), Instant::now());
                    targets.send_replace(aims(&own.publisher));
                    own.record.reloaded(true, Instant::now());
                    told = Some((reply, Ok(reloaded(&issues, server.listen != own.listen))));
                }
                Err(issues) => {
                    own.record.reloaded(false, Instant::now());
                    let issues = show::issues(&issues, show::Format::Short);
                    tracing::error!("the reload is refused, the last good files stay in force:\n{}", issues.trim_end());
                    let _ = reply.send(Err(issues));
                }
            },
            _ = own.ended.wait_for(|ended| *ended) => break,
        }
        let now = Instant::now();
        let (snapshot, news) = own.publisher.publish(now);
        if let Some(snapshot) = snapshot {
            let old = own.live.replace(Arc::new(snapshot));
            let _ = graves.send(old);
        }
        unkept |= !news.turned.is_empty();
        tell(&news, &own.record, Instant::now());
        if let Some((reply, words)) = told {
            let _ = reply.send(words);
        }
    }
    probing.abort();
    keep(&own.keep, &own.publisher);
}

fn reloaded(issues: &[Issue], moved: bool) -> String {
    let mut words = String::from("reloaded");
    if moved {
        words += "; `listen` changed: that takes a restart";
    }
    if !issues.is_empty() {
        words = format!("{words}\n{}", show::issues(issues, show::Format::Short).trim_end());
    }
    tracing::info!("{words}");
    words
}

/// Logs and records what happened.
fn tell(news: &News, record: &Record, now: Instant) {
    for turned in &news.turned {
        let key = &turned.aim.key;
        let cause = turned.cause.as_ref().map(|cause| cause.to_string()).unwrap_or_default();
        let (from, to) = (turned.from.word(), turned.to.word());
        tracing::info!(cluster = %key.cluster, node = %key.node, address = %key.address, check = %key.check, %cause, "{from} -> {to}");
        record.turned(turned, now);
    }
}

fn keep(path: &std::path::Path, publisher: &Publisher) {
    if let Err(error) = state::write(path, &publisher.board().kept(Instant::now()), SystemTime::now()) {
        tracing::error!("verdicts are not kept: {error}");
    }
}

/// A thread on which old Snapshots are dropped, once no answering thread reads them any more.
fn graveyard() -> std_mpsc::Sender<Arc<Snapshot>> {
    let (sender, receiver) = std_mpsc::channel::<Arc<Snapshot>>();
    named("graveyard", move || {
        let mut waiting: Vec<Arc<Snapshot>> = Vec::new();
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(old) => waiting.push(old),
                Err(std_mpsc::RecvTimeoutError::Timeout) => {}
                Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
            }
            waiting.retain(|old| Arc::strong_count(old) > 1);
        }
    });
    sender
}

/// Answers what must wait: steered questions before the first outcomes, and `_why`.
async fn cold_lane(mut errands: mpsc::Receiver<Errand>, live: Arc<Live>) {
    while let Some(errand) = errands.recv().await {
        let live = Arc::clone(&live);
        tokio::spawn(async move {
            let until = tokio::time::Instant::now() + WARMING_MAX + TICK * 2;
            while live.now().warming && tokio::time::Instant::now() < until {
                tokio::time::sleep(TICK / 10).await;
            }
            let snapshot = arc_swap::Guard::into_inner(live.now());
            if let Some(message) = late_answer(&snapshot, &errand, errand.peer) {
                errand.answer(&message);
            }
        });
    }
}

fn late_answer(snapshot: &Snapshot, errand: &Errand, peer: IpAddr) -> Option<Vec<u8>> {
    let (query, now) = (&errand.ask.query, Instant::now());
    let mut buf = query.to_vec();
    buf.resize(usize::from(u16::MAX), 0);
    let mut worker = Worker::default();
    match respond(snapshot, &mut worker, now, &mut buf, query.len(), peer, errand.transport) {
        crate::answer::worker::Reply::Done(len, _) => {
            buf.truncate(len);
            Some(buf)
        }
        crate::answer::worker::Reply::Later(_) => why(snapshot, query, peer, errand.transport, now),
        crate::answer::worker::Reply::Drop => None,
    }
}
