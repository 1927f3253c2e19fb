//! Keeps an Alertmanager told of all that fires.
//!
//! It wants to hear the same again and again: what it does not hear of for long it takes for ended. So nothing is queued; what it is
//! told is what fires when it listens, however long it was away.
#![allow(clippy::disallowed_methods, reason = "this shell has a clock and sockets of its own")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{ATTEMPT, Attempts, Courier, Failure, http, since_1970, within};
use crate::alert::condition::Identity;
use crate::alert::message::for_alertmanager;
use crate::alert::notification::Alert;
use crate::alert::receiver::Hook;
use crate::alert::tally::Sent;

/// How often it is told of what has not changed.
const AGAIN: Duration = Duration::from_secs(60);
/// So many alerts go into one request.
const AT_ONCE: usize = 250;

/// Tells an Alertmanager what fires, for as long as it is polled.
pub async fn follow(
    courier: Courier,
    hook: Hook,
    mut firing: watch::Receiver<Arc<Vec<Alert>>>,
    sent: Arc<Sent>,
) {
    let mut attempts = Attempts::new(&courier.receiver.name);
    // What it has taken, and has not been told the end of.
    let mut known: BTreeMap<Identity, Alert> = BTreeMap::new();
    loop {
        let now: BTreeMap<Identity, Alert> = {
            let all = firing.borrow_and_update();
            let wanted = all.iter().filter(|alert| alert.identity.kind.severity() >= courier.receiver.least);
            wanted.map(|alert| (alert.identity.clone(), alert.clone())).collect()
        };
        let wait = match tell(&courier, &hook, &now, &known).await {
            Ok(0) => AGAIN,
            Ok(_) => {
                sent.delivered.bump();
                attempts.succeeded();
                AGAIN
            }
            Err(failure) => {
                sent.failed.bump();
                attempts.failed(&failure.to_string())
            }
        };
        if wait == AGAIN {
            known = now;
        }
        let until = Instant::now() + wait;
        tokio::select! {
            () = sleep_until(until) => {}
            // What is new goes at once; but whoever fails is not hurried.
            Ok(()) = firing.changed(), if wait == AGAIN => {}
        }
    }
}

/// Tells all that fires, and the end of what it knew and does not fire any more; gives how many that were.
async fn tell(
    courier: &Courier,
    hook: &Hook,
    now: &BTreeMap<Identity, Alert>,
    known: &BTreeMap<Identity, Alert>,
) -> Result<usize, Failure> {
    let time = since_1970();
    let ended = known.iter().filter(|(identity, _)| !now.contains_key(*identity));
    let alerts: Vec<Value> = now
        .values()
        .map(|alert| for_alertmanager(alert, &courier.server, false, time))
        .chain(ended.map(|(_, alert)| for_alertmanager(alert, &courier.server, true, time)))
        .collect();
    for chunk in alerts.chunks(AT_ONCE) {
        within(ATTEMPT, http::post(hook, Value::from(chunk).to_string())).await?;
    }
    Ok(alerts.len())
}
