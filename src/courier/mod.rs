//! Carries alerts to their receivers: each by a task of its own, so that one who is dead or slow delays nobody else.
//!
//! ```text
//! carry    notifications, one after the other, each until it is taken      (webhooks, mailboxes)
//! follow   all that fires, whenever that changes and every minute           (Alertmanager)
//!   deliver   one of them, once
//!     http    one POST over one fresh connection     tls   what it is encrypted by
//!     mail    one mail to one mailbox
//! ```
#![allow(clippy::disallowed_methods, reason = "this shell has a clock and sockets of its own")]

mod follow;
mod http;
mod mail;
mod tls;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

pub use follow::follow;

use crate::alert::message::{self, RAW};
use crate::alert::notification::{Event, Notification};
use crate::alert::queue::Queue;
use crate::alert::receiver::{Receiver, Way};
use crate::alert::tally::Sent;

/// One POST may take so long in all. Mail takes its own time.
const ATTEMPT: Duration = Duration::from_secs(15);
/// How long is waited behind an attempt that failed; behind all others, the last of these.
const WAITS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// Why something was not delivered, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may be, another time: nobody is there, or the receiver has troubles of its own, or an operator has a mistake to mend.
    Passing(String),
    /// This message never will be.
    Lasting(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Passing(words) | Failure::Lasting(words) => f.write_str(words),
        }
    }
}

/// Who is told, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Courier {
    /// Who is told.
    pub receiver: Arc<Receiver>,
    /// Of a receiver of mail: which of its mailboxes.
    pub mailbox: Option<Arc<str>>,
    /// What this nameserver is called.
    pub server: Arc<str>,
}

impl Courier {
    /// All that a receiver takes: one, and of mail one for each mailbox. Mailboxes fail each by itself.
    pub fn all(receiver: &Arc<Receiver>, server: &Arc<str>) -> Vec<Courier> {
        let mailboxes = match &receiver.way {
            Way::Email(mail) => mail.to.iter().map(|to| Some(to.as_str().into())).collect(),
            Way::Webhook(..) | Way::Alertmanager(_) => vec![None],
        };
        let courier =
            |mailbox| Courier { receiver: Arc::clone(receiver), mailbox, server: Arc::clone(server) };
        mailboxes.into_iter().map(courier).collect()
    }

    /// Whom it tells: the receiver's name, and the mailbox.
    pub fn name(&self) -> Arc<str> {
        match &self.mailbox {
            Some(mailbox) => format!("{} ({mailbox})", self.receiver.name).into(),
            None => Arc::clone(&self.receiver.name),
        }
    }
}

/// What waits for one receiver, shared by who puts it there and who carries it.
#[derive(Debug, Default)]
pub struct Mailbox {
    queue: Mutex<Queue>,
    more: Notify,
}

impl Mailbox {
    /// One more; gives what had to go for it. Never waits.
    pub fn push(&self, notification: Arc<Notification>) -> Vec<Arc<Notification>> {
        let gone = self.queue().push(notification);
        self.more.notify_one();
        gone
    }

    /// All that waits.
    pub fn waiting(&self) -> Vec<Arc<Notification>> {
        self.queue().waiting().cloned().collect()
    }

    async fn first(&self) -> Arc<Notification> {
        loop {
            if let Some(first) = self.queue().first() {
                return Arc::clone(first);
            }
            self.more.notified().await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries what is put into the mailbox, for as long as it is polled.
pub async fn carry(courier: Courier, mailbox: Arc<Mailbox>, sent: Arc<Sent>) {
    let name = courier.name();
    let mut attempts = Attempts::new(&name);
    loop {
        let told = mailbox.first().await;
        let ended = match deliver(&courier, &told).await {
            Ok(()) => {
                sent.delivered.bump();
                attempts.succeeded();
                true
            }
            Err(Failure::Lasting(words)) => {
                sent.refused.bump();
                tracing::error!(receiver = %name, summary = %told.summary, "{name} does not take a notification: {words}");
                true
            }
            Err(Failure::Passing(words)) => {
                sent.failed.bump();
                sleep(attempts.failed(&words)).await;
                false
            }
        };
        if ended {
            mailbox.queue().remove(&told);
        }
    }
}

/// How often it was tried; tells of the first failure in a row, and of the success that ends it.
struct Attempts {
    name: Arc<str>,
    failed: usize,
}

impl Attempts {
    fn new(name: &Arc<str>) -> Attempts {
        Attempts { name: Arc::clone(name), failed: 0 }
    }

    /// How long to wait before the next one.
    fn failed(&mut self, words: &str) -> Duration {
        let name = &self.name;
        if self.failed == 0 {
            tracing::warn!(receiver = %name, "{name} cannot be told of alerts, and is tried again: {words}");
        }
        let wait = WAITS[self.failed.min(WAITS.len() - 1)];
        self.failed += 1;
        wait
    }

    fn succeeded(&mut self) {
        let name = &self.name;
        if std::mem::take(&mut self.failed) > 0 {
            tracing::info!(receiver = %name, "{name} is told of alerts again");
        }
    }
}

/// Delivers one notification, once.
///
/// # Errors
/// Why it was not taken, in the receiver's own words where it had some.
pub async fn deliver(courier: &Courier, told: &Notification) -> Result<(), Failure> {
    let Courier { receiver, mailbox, server } = courier;
    match &receiver.way {
        Way::Webhook(hook, body) => {
            let value = |name: &str| message::value(name, told, server, hook.token.as_ref());
            within(ATTEMPT, http::post(hook, body.filled_json(&value, &RAW))).await
        }
        Way::Alertmanager(hook) => {
            let is_resolved = told.event == Event::Resolved;
            let alert = |alert| message::for_alertmanager(alert, server, is_resolved, since_1970());
            let alerts: Vec<Value> = told.alerts.iter().map(alert).collect();
            within(ATTEMPT, http::post(hook, Value::from(alerts).to_string())).await
        }
        Way::Email(mail) => match mailbox {
            Some(to) => mail::send(mail, to, told, server).await,
            None => Err(Failure::Lasting("no mailbox is named".into())),
        },
    }
}

/// Does it, or fails in time.
async fn within<T>(allowed: Duration, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Err(Failure::Passing(format!("no answer within {} s", allowed.as_secs())));
    timeout(allowed, what).await.unwrap_or_else(late)
}

/// The time of day, since 1970.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
