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
use crate::alert::notification::{Alert, Event};
use crate::alert::receiver::Hook;
use crate::alert::tally::Sent;

/// How often it is told of what has not changed.
const AGAIN: Duration = Duration::from_secs(60);
/// So many alerts go into one request.
const AT_ONCE: usize = 250;

/// Tells an Alertmanager what fires, for as long as it is polled.
pub async fn follow(courier: Courier, hook: Hook, firing: watch::Receiver<Arc<Vec<Alert>>>, sent: Arc<Sent>) {
    let to = Arc::new((courier.server.clone(), hook));
    let tell = |all| {
        let to = Arc::clone(&to);
        async move { post(&to.0, &to.1, all).await }
    };
    keep_told(&courier, firing, &sent, tell).await;
}

/// Tells again and again all that fires, and of what it was told the end.
async fn keep_told<Told: Future<Output = Result<(), Failure>>>(
    courier: &Courier,
    mut firing: watch::Receiver<Arc<Vec<Alert>>>,
    sent: &Sent,
    tell: impl Fn(Vec<(Event, Alert)>) -> Told,
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
        let ended = known.iter().filter(|(identity, _)| !now.contains_key(*identity));
        let ended = ended.map(|(_, alert)| (Event::Resolved, alert.clone()));
        let all: Vec<_> = now.values().map(|alert| (Event::Fired, alert.clone())).chain(ended).collect();
        let is_empty = all.is_empty();
        let told = tell(all).await;
        let is_taken = told.is_ok();
        let wait = match told {
            Ok(()) => {
                if !is_empty {
                    sent.delivered.bump();
                    attempts.succeeded();
                }
                known = now;
                AGAIN
            }
            Err(failure) => {
                sent.failed.bump();
                attempts.failed(&failure.to_string())
            }
        };
        let until = Instant::now() + wait;
        tokio::select! {
            () = sleep_until(until) => {}
            // What is new goes at once; but whoever fails is not hurried.
            Ok(()) = firing.changed(), if is_taken => {}
        }
    }
}

/// Posts what fires and what ended.
async fn post(server: &str, hook: &Hook, all: Vec<(Event, Alert)>) -> Result<(), Failure> {
    let time = since_1970();
    let written =
        |(event, alert): &(Event, Alert)| for_alertmanager(alert, server, *event == Event::Resolved, time);
    let alerts: Vec<Value> = all.iter().map(written).collect();
    for chunk in alerts.chunks(AT_ONCE) {
        within(ATTEMPT, http::post(hook, Value::from(chunk).to_string())).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::alert::condition::{Kind, Label, Severity};
    use crate::alert::receiver::{Receiver, Secret, Way};

    fn alert(node: &str) -> Alert {
        let labels = vec![(Label::Node, node.into())];
        let identity = Identity { kind: Kind::NodeDown, labels };
        Alert { identity, summary: node.into(), since: Duration::ZERO, region: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_told_however_often_it_could_not_be() {
        let hook = Hook {
            is_tls: false,
            host: "127.0.0.1".into(),
            port: 9093,
            path: Secret("/".into()),
            headers: Vec::new(),
            token: None,
            roots: None,
        };
        let receiver =
            Receiver { name: "oncall".into(), least: Severity::Info, way: Way::Alertmanager(hook) };
        let courier = Courier { receiver: Arc::new(receiver), mailbox: None, server: "test".into() };
        let (fire, firing) = watch::channel(Arc::new(vec![alert("sin-1")]));
        let heard = RefCell::new(Vec::new());
        // It takes the first, is away for an hour, and comes back.
        let begun = Instant::now();
        let tell = |all: Vec<(Event, Alert)>| {
            let mut heard = heard.borrow_mut();
            let is_away = !heard.is_empty() && begun.elapsed() < Duration::from_secs(3600);
            if heard.is_empty() {
                fire.send_replace(Arc::default());
            }
            if !is_away {
                heard.push(all.iter().map(|(event, _)| *event).collect::<Vec<_>>());
            }
            ready(if is_away { Err(Failure::Passing("away".into())) } else { Ok(()) })
        };
        let sent = Sent::default();
        let told = keep_told(&courier, firing, &sent, tell);
        assert!(timeout(Duration::from_secs(3700), told).await.is_err(), "it never ends");
        assert_eq!(heard.borrow()[..2], [vec![Event::Fired], vec![Event::Resolved]]);
        assert!(heard.borrow()[2..].iter().all(Vec::is_empty), "{heard:?}");
    }
}
