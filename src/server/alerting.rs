//! Alerts: looks at the state of things, tells the desk, hands what it says to the couriers.
//!
//! ```text
//! Live (the Snapshot in force) \
//! watch: Facts (reloads)        --> Desk --> a Mailbox each --> couriers (webhooks, mail)
//!                                    \----> what fires now --> couriers (Alertmanager), /status, /metrics, state file
//! ```
//!
//! It takes nothing from the publishing task but what stands: that one waits for nobody, and nothing can be lost between them.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::alert::condition::Condition;
use crate::alert::desk::Desk;
use crate::alert::followed::of_repository;
use crate::alert::notification::{Alert, Event, Notification};
use crate::alert::receiver::{Alerting, Way};
use crate::alert::standing::{Dated, Refused, of_databases, of_reload, of_snapshot};
use crate::alert::tally::Tally;
use crate::alert::term::of_terms;
use crate::courier::{self, Courier, Mailbox};
use crate::files::issue::{Issue, Severity};
use crate::files::show;
use crate::load::Loaded;
use crate::record::Record;
use crate::snapshot::{Live, Snapshot};
use crate::state::{self, KeptAlerts};

/// How often it looks. What lasts shorter is not worth a word.
const LOOK: Duration = Duration::from_millis(500);
/// How soon what could not be written is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(10);
/// How soon this task begins anew where it ended by a bug.
const BEGIN_AGAIN: Duration = Duration::from_secs(1);

/// What it must know beside the Snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Who is told, and when.
    pub(super) alerting: Alerting,
    /// The databases that the files name.
    pub(super) databases: Vec<Dated>,
    /// What this nameserver is called.
    pub(super) server: Arc<str>,
    /// The reload that was refused last, if no good one followed.
    pub(super) refused: Option<Refused>,
}

impl Facts {
    /// Those of files that were taken.
    pub(super) fn of(loaded: &Loaded) -> Facts {
        Facts {
            alerting: loaded.alerts.clone(),
            databases: loaded.databases.clone(),
            server: loaded.server.name(),
            refused: None,
        }
    }

    /// The same, and files were refused.
    pub(super) fn refused(&self, issues: &[Issue], now: Duration) -> Facts {
        let errors = || issues.iter().filter(|issue| issue.severity == Severity::Error);
        let first =
            errors().next().map(|first| show::issues(std::slice::from_ref(first), show::Format::Short));
        let refused = Refused {
            since: self.refused.as_ref().map_or(now, |earlier| earlier.since),
            what: first.unwrap_or_default().trim_end().to_owned(),
            others: errors().count().saturating_sub(1),
        };
        Facts { refused: Some(refused), ..self.clone() }
    }
}

/// What the task owns.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) live: Arc<Live>,
    pub(super) facts: watch::Receiver<Arc<Facts>>,
    pub(super) record: Arc<Record>,
    /// The state directory.
    pub(super) state: PathBuf,
    pub(super) ended: watch::Receiver<bool>,
}

/// Runs until the server ends.
pub(super) async fn watch_over(own: Watch) {
    let ended = own.ended.clone();
    lasting(|| look_on(own.clone()), ended).await;
}

/// Has a task run until the server ends, whatever becomes of it: what it was about is on the disk.
async fn lasting<Task>(mut task: impl FnMut() -> Task, mut ended: watch::Receiver<bool>)
where
    Task: Future<Output = ()> + Send + 'static,
{
    while tokio::spawn(task()).await.is_err() {
        tracing::error!("alerting ended, and begins anew: this is a bug");
        tokio::select! {
            () = tokio::time::sleep(BEGIN_AGAIN) => {}
            _ = ended.wait_for(|ended| *ended) => return,
        }
    }
}

async fn look_on(mut own: Watch) {
    let facts = Arc::clone(&own.facts.borrow_and_update());
    let kept = state::read_alerts(&own.state).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        KeptAlerts::default()
    });
    let mut keeping = Keeping::new(own.state.clone(), kept.clone());
    let mut desk = Desk::new(facts.alerting.timing);
    desk.restore(kept.told, since_1970());
    let tally = Arc::clone(own.record.alerts());
    let mut post = Post::new(Arc::clone(&tally));
    post.follow(&facts);
    post.resume(kept.waiting);
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut health = Health::default();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = own.ended.wait_for(|ended| *ended) => break,
        }
        let facts = Arc::clone(&own.facts.borrow_and_update());
        let now = since_1970();
        desk.retime(facts.alerting.timing);
        post.follow(&facts);
        let snapshot = arc_swap::Guard::into_inner(own.live.now());
        if let Some(conditions) = health.of(&snapshot, now) {
            let mut standing = conditions.to_vec();
            standing.extend(of_terms(&snapshot, Instant::now(), now));
            standing.extend(facts.refused.as_ref().map(of_reload));
            standing.extend(own.record.followed().iter().flat_map(|followed| of_repository(followed)));
            standing.extend(of_databases(&facts.databases, facts.alerting.database_age, now));
            desk.see(standing, now);
        }
        for told in desk.tick(now) {
            log(&told);
            post.send(Arc::new(told));
        }
        post.fire(desk.firing());
        tally.stand(desk.stages());
        keeping.keep(|| KeptAlerts { told: desk.kept(), waiting: post.waiting() }).await;
    }
    keeping.end(KeptAlerts { told: desk.kept(), waiting: post.waiting() }).await;
}

fn log(told: &Notification) {
    let (summary, group, kind) = (&told.summary, &told.group.name, told.kind.name());
    match told.event {
        Event::Fired => tracing::warn!(alert = kind, %group, "alert: {summary}"),
        Event::Repeated => tracing::warn!(alert = kind, %group, "alert, still: {summary}"),
        Event::Resolved => tracing::info!(alert = kind, %group, "alert {summary}"),
    }
}

/// The conditions of the Snapshot that was looked at last: most often it is the same one again.
#[derive(Default)]
struct Health {
    of: Option<Arc<Snapshot>>,
    conditions: Vec<Condition>,
}

impl Health {
    /// The conditions of a Snapshot; `None` while nothing is known.
    fn of(&mut self, snapshot: &Arc<Snapshot>, now: Duration) -> Option<&[Condition]> {
        if !self.of.as_ref().is_some_and(|last| Arc::ptr_eq(last, snapshot)) {
            self.conditions = of_snapshot(snapshot, Instant::now(), now)?;
            self.of = Some(Arc::clone(snapshot));
        }
        Some(&self.conditions)
    }
}

/// The couriers, and what they carry.
struct Post {
    tally: Arc<Tally>,
    couriers: BTreeMap<Arc<str>, Carried>,
    firing: watch::Sender<Arc<Vec<Alert>>>,
}

struct Carried {
    courier: Courier,
    mailbox: Arc<Mailbox>,
    task: JoinHandle<()>,
}

impl Post {
    fn new(tally: Arc<Tally>) -> Post {
        Post { tally, couriers: BTreeMap::new(), firing: watch::channel(Arc::default()).0 }
    }

    /// Takes over who is told. Who stays the same goes on undisturbed; who is told otherwise keeps what waits.
    fn follow(&mut self, facts: &Facts) {
        let receivers = facts.alerting.receivers.values();
        let wanted = receivers.flat_map(|receiver| Courier::all(receiver, &facts.server));
        let wanted: BTreeMap<_, _> = wanted.map(|courier| (courier.name(), courier)).collect();
        self.couriers.retain(|name, carried| {
            let stays = wanted.contains_key(name);
            if !stays {
                carried.task.abort();
            }
            stays
        });
        for (name, courier) in wanted {
            let mailbox = match self.couriers.get(&name) {
                Some(carried) if carried.courier == courier && !carried.task.is_finished() => continue,
                Some(carried) => {
                    carried.task.abort();
                    Arc::clone(&carried.mailbox)
                }
                None => Arc::default(),
            };
            let sent = self.tally.receiver(&courier.receiver.name);
            let task = match &courier.receiver.way {
                Way::Alertmanager(hook) => {
                    let firing = self.firing.subscribe();
                    tokio::spawn(courier::follow(courier.clone(), hook.clone(), firing, sent))
                }
                Way::Webhook(..) | Way::Email(_) => {
                    tokio::spawn(courier::carry(courier.clone(), Arc::clone(&mailbox), sent))
                }
            };
            self.couriers.insert(name, Carried { courier, mailbox, task });
        }
    }

    /// Puts back what an earlier life could not deliver.
    fn resume(&self, waiting: BTreeMap<Arc<str>, Vec<Arc<Notification>>>) {
        for (name, notifications) in waiting {
            if let Some(carried) = self.couriers.get(&name) {
                notifications.into_iter().for_each(|told| self.push(carried, told));
            }
        }
    }

    /// Sends a notification to all who want to know.
    fn send(&self, told: Arc<Notification>) {
        for carried in self.couriers.values() {
            if told.kind.severity() >= carried.courier.receiver.least {
                self.push(carried, Arc::clone(&told));
            }
        }
    }

    fn push(&self, carried: &Carried, told: Arc<Notification>) {
        let courier = &carried.courier;
        // An Alertmanager is told what fires, not what happened.
        if matches!(courier.receiver.way, Way::Alertmanager(_)) {
            return;
        }
        for gone in carried.mailbox.push(told) {
            let name = courier.name();
            self.tally.receiver(&courier.receiver.name).dropped.bump();
            tracing::error!(receiver = %name, summary = %gone.summary, "too much waits for {name}: a notification is given up");
        }
    }

    /// Tells those who want to know all that fires now, where it is something else than before.
    fn fire(&self, firing: Vec<Alert>) {
        self.firing.send_if_modified(|last| {
            let is_new = **last != firing;
            if is_new {
                *last = Arc::new(firing);
            }
            is_new
        });
    }

    fn waiting(&self) -> BTreeMap<Arc<str>, Vec<Arc<Notification>>> {
        let waiting =
            self.couriers.iter().map(|(name, carried)| (Arc::clone(name), carried.mailbox.waiting()));
        waiting.filter(|(_, waiting)| !waiting.is_empty()).collect()
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.couriers.values().for_each(|carried| carried.task.abort());
    }
}

/// Keeps what was told, off this task: a slow disk delays no alert.
struct Keeping {
    state: PathBuf,
    /// What is on the disk.
    last: Arc<KeptAlerts>,
    /// Gives what it wrote, where it could.
    writing: Option<JoinHandle<Option<Arc<KeptAlerts>>>>,
    /// Nothing is written before: a disk that is full is not asked twice a second.
    not_before: Option<tokio::time::Instant>,
}

impl Keeping {
    fn new(state: PathBuf, last: KeptAlerts) -> Keeping {
        Keeping { state, last: Arc::new(last), writing: None, not_before: None }
    }

    /// Keeps it, unless that is on the disk already; what cannot be written is tried again.
    async fn keep(&mut self, now: impl FnOnce() -> KeptAlerts) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        self.written().await;
        if self.not_before.is_some_and(|time| tokio::time::Instant::now() < time) {
            return;
        }
        let now = Arc::new(now());
        if now != self.last {
            self.write(now);
        }
    }

    fn write(&mut self, now: Arc<KeptAlerts>) {
        let state = self.state.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || match state::write_alerts(&state, &now) {
            Ok(()) => Some(now),
            Err(error) => {
                tracing::error!("what was told of alerts is not kept: {error}");
                None
            }
        }));
    }

    /// Waits for what is being written.
    async fn written(&mut self) {
        let Some(writing) = self.writing.take() else { return };
        match writing.await {
            Ok(Some(written)) => (self.last, self.not_before) = (written, None),
            Ok(None) | Err(_) => self.not_before = Some(tokio::time::Instant::now() + WRITE_AGAIN),
        }
    }

    /// Keeps the last of it, and waits for that.
    async fn end(mut self, now: KeptAlerts) {
        self.written().await;
        if now != *self.last {
            self.write(Arc::new(now));
            self.written().await;
        }
    }
}

/// The time of day, since 1970.
pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::alert::message::test;

    fn kept() -> KeptAlerts {
        let waiting = BTreeMap::from([("chat".into(), test(Duration::from_secs(1)).map(Arc::new).into())]);
        KeptAlerts { told: Vec::new(), waiting }
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_written_is_tried_again_though_nothing_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        fs::write(&state, "no directory").unwrap();
        let mut keeping = Keeping::new(state.clone(), KeptAlerts::default());
        keeping.keep(kept).await;
        keeping.written().await;
        fs::remove_file(&state).unwrap();
        keeping.keep(kept).await;
        assert!(keeping.writing.is_none(), "not at once");
        tokio::time::advance(WRITE_AGAIN).await;
        keeping.keep(kept).await;
        keeping.written().await;
        assert_eq!(state::read_alerts(&state).unwrap(), kept());
        keeping.keep(kept).await;
        assert!(keeping.writing.is_none(), "it is on the disk");
    }

    #[tokio::test(start_paused = true)]
    async fn alerting_that_ends_by_a_bug_begins_anew() {
        let (_end, ended) = watch::channel(false);
        let mut count = 0;
        let task = || {
            count += 1;
            let is_last = count == 3;
            async move { assert!(is_last, "this test has such a bug") }
        };
        lasting(task, ended).await;
        assert_eq!(count, 3);
    }
}
