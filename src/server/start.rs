//! Starts everything, in order, and ends it.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::alerting::{Facts, Watch, watch_over};
use super::balancing::{self, BENDS};
use super::desks::{admin, control_socket};
use super::drilling;
use super::exporting::{self, EDITIONS, Ledger, Noticing, edit};
use super::following::{self, Asking, Errand, Follower};
use super::late;
use super::listening::{Listening, chance};
use super::ordering::Request;
use super::publishing::{PROBES, Publishing, Season, Waiting, Wanted, publish};
use super::upkeep::{beside, keep, thrift};
#[cfg(unix)]
use super::user::{become_user, unreadable};
use super::watching::{Watched, watch as watch_files};
use crate::answer::respond::respond;
use crate::files::server::ServerFile;
use crate::files::show;
use crate::health::overrides::Change;
use crate::load::{self, Geography, Loaded, Reading};
use crate::net::answering::Answering;
use crate::net::{errand, panics};
use crate::publisher::Publisher;
use crate::record::Record;
use crate::snapshot::Live;
use crate::state;

/// Reads where addresses are: the databases and geofeeds of the files in force, or what is wrong with them now.
pub(super) type GeographyReader = Arc<dyn Fn() -> Result<Geography, String> + Send + Sync>;

/// Reads the world: the files, from that working copy of a repository or else the one in force; or what `demo` makes of its own.
pub type Loader = Arc<dyn Fn(Option<&Path>) -> Reading + Send + Sync>;

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
    alerting: tokio::task::JoinHandle<()>,
    balancing: tokio::task::JoinHandle<()>,
    /// Its sender is gone with the thread that follows the repository.
    followed: std_mpsc::Receiver<()>,
    /// Its sender is the publishing task's: gone with it.
    alive: watch::Receiver<()>,
}

/// Asks things of a running server, from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    reloads: mpsc::Sender<Wanted>,
    orders: mpsc::Sender<(Change, Waiting)>,
    drills: mpsc::Sender<(drilling::Asked, Waiting)>,
    /// Who follows the repository, if there is one.
    follower: Option<Asking>,
}

impl Handle {
    /// Reads the files anew, and has the repository looked at afterwards, if there is one. The good end or the bad one in words; the bad one
    /// leaves all as it is.
    pub async fn reload(&self) -> Result<String, String> {
        let (wanted, told) = Wanted::again();
        let ended = || "the server is ending".to_owned();
        self.reloads.send(wanted).await.map_err(|_| ended())?;
        let words = told.await.unwrap_or_else(|_| Err(ended()));
        if let Some(follower) = &self.follower {
            follower.ask(Errand::Look);
        }
        words
    }

    /// Holds an earlier commit of the repository, or follows its branch again: what came of it, in words.
    pub(super) async fn roll_back(&self, request: following::Request) -> Result<String, String> {
        let none = "no `[git]` is in steerdns.toml: there is nothing to roll back";
        let follower = self.follower.as_ref().ok_or(none)?;
        let (reply, told) = oneshot::channel();
        let ended = || "the server is ending".to_owned();
        if !follower.ask(Errand::Wanted(request, reply)) {
            return Err(ended());
        }
        told.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Begins a drill, looks at it or ends it: what is to be said of it, as JSON.
    pub(super) async fn drill(&self, asked: drilling::Asked) -> Result<String, String> {
        let (reply, told) = oneshot::channel();
        let ended = || "the server is ending".to_owned();
        self.drills.send((asked, reply)).await.map_err(|_| ended())?;
        told.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Says something of nodes, over their verdicts. What it means, in words, once it is in force and on the disk.
    pub async fn order(&self, request: &Request) -> Result<String, String> {
        let change = request.change(Instant::now())?;
        let (reply, told) = oneshot::channel();
        let ended = || "the server is ending".to_owned();
        self.orders.send((change, reply)).await.map_err(|_| ended())?;
        told.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Loads, binds, and answers. What is wrong with the files is told by `loader`'s issues.
pub fn start(loader: &Loader) -> Result<Server, NotStarted> {
    thrift();
    let Reading { loaded, seen } = loader(None);
    let mut loaded = loaded.map_err(|issues| NotStarted(show::issues(&issues, show::Format::Full)))?;
    if !loaded.issues.is_empty() {
        tracing::warn!("{}", show::issues(&loaded.issues, show::Format::Short).trim_end());
    }
    let Geography { read, .. } = std::mem::take(&mut loaded.geography);
    raise_open_files(&loaded.server);
    panics::hook();
    let listening = Listening::bind(&loaded.server)?;
    #[cfg(unix)]
    if let Some(user) = &loaded.server.user {
        become_user(user, &loaded.server.state)?;
        let lost = unreadable(seen.files());
        if let Some(first) = lost.first() {
            let (user, first, count) = (&user.value.user, first.display(), lost.len());
            tracing::warn!(
                "as user `{user}` it cannot read {count} of its files, `{first}` first: a reload will be refused"
            );
        }
    }
    let ledger = Arc::new(Ledger::open(loaded.server.state.clone()));
    for words in edit(&mut loaded, None, &ledger) {
        tracing::warn!("{words}");
    }
    let season = Season::new(&loaded.server);
    season.season(&mut loaded);
    let (facts, known) = watch::channel(Arc::new(Facts::of(&loaded)));
    let Loaded { server, mut plan, upkeep, .. } = loaded;
    let kept = match state::read(&server.state, SystemTime::now()) {
        Ok(kept) => kept,
        Err(error) => {
            tracing::warn!("verdicts of an earlier life are not known: {error}");
            Vec::new()
        }
    };
    let now = Instant::now();
    let record = Arc::new(Record::new(now));
    record.count(&mut plan);
    record.located_by(&server.geoip, read);
    let mut publisher = Publisher::new(Arc::new(plan), &kept, now);
    let (orders, unusable) = state::read_orders(&server.state, SystemTime::now());
    unusable.iter().for_each(|what| tracing::error!("{what}"));
    publisher.restore_orders(orders, now);
    let (first, news) = publisher.publish(now);
    let live = Arc::new(Live::new(first.unwrap_or_default()));
    let stop = Arc::new(AtomicBool::new(false));
    let (lane, errands) = errand::lane(late::ERRANDS);
    let answering =
        Answering { live: Arc::clone(&live), respond, lane, panics: Arc::default(), stop: Arc::clone(&stop) };
    let addresses = listening.addresses.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| NotStarted(format!("no runtime for the control plane: {error}")))?;
    let (ending, ended) = watch::channel(false);
    let (reloads, reload_requests) = mpsc::channel(1);
    let (orders, order_requests) = mpsc::channel(1);
    let (drills, drill_requests) = mpsc::channel(1);
    let follower = Follower::new(&server, reloads.downgrade(), Arc::clone(&record));
    let (asking, asked) = follower.as_ref().map(Follower::asking).unzip();
    let handle = Handle { reloads, orders, drills, follower: asking };
    let (following, followed) = std_mpsc::channel::<()>();
    if let Some((follower, asked)) = follower.zip(asked) {
        beside("git", move || {
            follower.run(&asked);
            drop(following);
        })
        .map_err(|error| NotStarted(format!("no thread that follows the repository: {error}")))?;
    }
    let senses = balancing::remembered(&server.state, publisher.plan(), now);
    let admin = admin(&runtime, &server, &record, &live, &senses, &ended)?;
    let geoip = Arc::clone(&record);
    let read: GeographyReader = Arc::new(move || in_force(&geoip));
    control_socket(&runtime, &server, &handle, &record, &live, &read, &addresses, &ended)?;
    let threads = listening.serve(&server, &answering, &record)?;
    let changed = Arc::new(Notify::new());
    let (edited, editions) = mpsc::channel(EDITIONS);
    let exporting = exporting::run(Arc::clone(&live), Arc::clone(&changed), edited, Arc::clone(&ledger));
    runtime.spawn(exporting);
    let alerting = runtime.spawn(watch_over(Watch {
        live: Arc::clone(&live),
        facts: known,
        record: Arc::clone(&record),
        state: server.state.clone(),
        ended: ended.clone(),
    }));
    let (bent, bends) = mpsc::channel(BENDS);
    let balancing = runtime.spawn(balancing::run(
        Arc::clone(&live),
        Arc::clone(&senses),
        Arc::clone(&record),
        bent,
        server.state.clone(),
        ended.clone(),
    ));
    let (watched, seen_loads) = std_mpsc::channel();
    let _ = watched.send(Watched { seen, reload: server.reload });
    let asked = handle.reloads.downgrade();
    beside("watch", move || watch_files(&seen_loads, &asked))
        .map_err(|error| NotStarted(format!("no thread that looks at the files: {error}")))?;
    let (living, alive) = watch::channel(());
    let publishing = runtime.spawn(publish(Publishing {
        _living: living,
        publisher,
        news,
        live: Arc::clone(&live),
        record: Arc::clone(&record),
        loader: Arc::clone(loader),
        reloads: handle.reloads.downgrade(),
        reload_requests,
        order_requests,
        senses,
        bends,
        drill_requests,
        watched,
        started: server,
        season,
        ledger,
        changed,
        editions,
        noticing: Noticing::new(&addresses),
        facts,
        ended,
    }));
    keep(upkeep, handle.reloads.downgrade());
    runtime.spawn(late::serve(errands, Arc::clone(&live), Arc::clone(&record), read, chance()?));
    Ok(Server {
        live,
        addresses,
        admin,
        handle,
        stop,
        ending,
        threads,
        runtime,
        publishing,
        alerting,
        balancing,
        followed,
        alive,
    })
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

    /// Until the publishing task is gone though nobody ended it: a bug, and no verdict reaches the answers any more.
    pub async fn failed(&self) {
        while self.alive.clone().changed().await.is_ok() {}
    }

    /// Ends: no new connections, answers under way go out, verdicts are kept.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.ending.send(true);
        for thread in self.threads {
            let _ = thread.join();
        }
        let _ = self.runtime.block_on(self.publishing);
        let _ = self.runtime.block_on(self.alerting);
        let _ = self.runtime.block_on(self.balancing);
        if let Some(follower) = &self.handle.follower {
            follower.ask(Errand::End);
        }
        // A git that runs is ended first.
        let _ = self.followed.recv_timeout(Duration::from_secs(1));
        self.runtime.shutdown_timeout(Duration::from_secs(2));
    }
}

/// Open files beside those of probes and connections: sockets, logs, the state file.
const FILES_BESIDE: u64 = 64;

/// Raises the soft limit of open files to what probes and connections may hold, as far as the system lets us.
fn raise_open_files(server: &ServerFile) {
    let wanted = PROBES as u64 + u64::from(server.tcp.connections) + FILES_BESIDE;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => tracing::warn!(
            "at most {limit} files may be open, {wanted} are wanted: when much fails at once, probes may not be made \
             (raise `ulimit -n`, or LimitNOFILE of the service)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!("the limit of open files is not known: {error}"),
    }
}

/// Where addresses are, by source, as the lists in force were made of it: read from the disk anew, since it is large.
fn in_force(record: &Record) -> Result<Geography, String> {
    let (geoip, read) = record.geoip();
    let geography = load::geography(&geoip).map_err(|issues| {
        let words = show::issues(&issues, show::Format::Short);
        words.lines().next().unwrap_or("the databases cannot be read").to_owned()
    })?;
    match geography.other_than(&read) {
        Some(path) => Err(format!("`{}` is newer than what is loaded: reload", path.display())),
        None => Ok(geography),
    }
}

/// A thread of this name.
pub(super) fn named(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let builder = thread::Builder::new().name(name.into());
    builder.spawn(body).expect("the system lets a program of a few threads have one more")
}
