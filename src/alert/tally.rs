//! What alerts are to those who look: how many fire, what was sent, what was dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::condition::Kind;
use super::desk::Stage;
use super::message::plain;
use super::notification::Alert;
use crate::metrics::{self, Counter, Exposition};

/// What alerts are to those who look.
#[derive(Debug, Default)]
pub struct Tally {
    stages: Mutex<Vec<(Alert, Stage)>>,
    /// By receiver; they only grow, so that a reload loses no counts. Their names are an operator's, few.
    receivers: Mutex<BTreeMap<Arc<str>, Arc<Sent>>>,
}

/// What became of a receiver's notifications.
#[derive(Debug, Default)]
pub struct Sent {
    /// Taken.
    pub delivered: Counter,
    /// Not taken now; tried again.
    pub failed: Counter,
    /// Not taken, and never will be.
    pub refused: Counter,
    /// Never tried to the end: too many waited.
    pub dropped: Counter,
}

impl Tally {
    /// What stands now.
    pub fn stand(&self, stages: Vec<(Alert, Stage)>) {
        *locked(&self.stages) = stages;
    }

    /// The counts of a receiver.
    pub fn receiver(&self, name: &Arc<str>) -> Arc<Sent> {
        Arc::clone(locked(&self.receivers).entry(Arc::clone(name)).or_default())
    }

    /// What stands, as `/status` shows it.
    pub fn status(&self) -> Value {
        let stage = |(alert, stage): &(Alert, Stage)| {
            let mut shown = plain(alert);
            shown["stage"] = stage.word().into();
            shown
        };
        locked(&self.stages).iter().map(stage).collect()
    }

    /// As metrics.
    pub fn write(&self, text: &mut Exposition) {
        let mut counts = BTreeMap::new();
        for (alert, stage) in locked(&self.stages).iter() {
            *counts.entry(alert.identity.kind).or_insert(0u64) += u64::from(*stage == Stage::Firing);
        }
        let help = "Alerts that were told, and whose end was not.";
        let mut firing = text.family("steerdns_alerts_firing", metrics::Kind::Gauge, help);
        for kind in Kind::ALL {
            let labels = [("alert", kind.name()), ("severity", kind.severity().word())];
            firing.sample(&labels, counts.get(&kind).copied().unwrap_or(0));
        }
        let receivers = locked(&self.receivers);
        let help = "Notifications to receivers (to an Alertmanager: requests), by what became of them.";
        let mut sent = text.family("steerdns_alert_notifications_total", metrics::Kind::Counter, help);
        for (name, counts) in receivers.iter() {
            let outcomes =
                [("delivered", &counts.delivered), ("failed", &counts.failed), ("refused", &counts.refused)];
            for (outcome, count) in outcomes {
                sent.sample(&[("receiver", name), ("outcome", outcome)], count.count());
            }
        }
        let help = "Notifications that were given up because too many waited for their receiver.";
        let mut dropped =
            text.family("steerdns_alert_notifications_dropped_total", metrics::Kind::Counter, help);
        for (name, counts) in receivers.iter() {
            dropped.sample(&[("receiver", name)], counts.dropped.count());
        }
    }
}

/// What a lock guards is good to go on with, whoever panicked.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
