//! What runs out: certificates and overrides. They become conditions because time passes, whatever else happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::condition::{Condition, Identity, Kind, Label, one_line};
use super::standing::places;
use crate::cluster::ClusterId;
use crate::health::certificate::Certificate;
use crate::health::overrides::{ENDING_BEFORE, EXPIRED_KEPT, Order};
use crate::snapshot::{HeldTarget, Snapshot};

/// A certificate that ends within this is worth waking somebody.
const LAST_DAYS: Duration = Duration::from_secs(2 * 86_400);

/// What runs out in a Snapshot. `now` and `unix` are the same moment.
pub fn of_terms(snapshot: &Snapshot, now: Instant, unix: Duration) -> Vec<Condition> {
    let places = places(&snapshot.plan.inventory);
    let mut found = Vec::new();
    for (id, pools) in (0..).map(ClusterId).zip(&snapshot.pools) {
        let near = pools.held.iter().filter_map(|held| Some((held, held.certificate?)));
        for (held, certificate) in near.filter(|(_, certificate)| certificate.is_near()) {
            let place = Some(places[usize::from(id.0)].clone());
            let of_one = of_certificate(held, certificate, now, unix);
            found.extend(of_one.into_iter().map(|own| Condition { place: place.clone(), ..own }));
        }
    }
    let ending = snapshot.orders.iter().filter(|order| order.is_ending(now));
    found.extend(ending.map(|order| {
        let left = left(order, now);
        let since = unix.saturating_sub(ENDING_BEFORE.saturating_sub(left));
        of_order(order, Kind::OverrideExpiring, &format!("ends in {}", shown(left)), since)
    }));
    for order in &snapshot.expired {
        let Some(past) = order.until.map(|until| now.saturating_duration_since(until)) else { continue };
        if past < EXPIRED_KEPT {
            let since = unix.saturating_sub(past);
            found.push(of_order(order, Kind::OverrideExpired, "has ended", since));
        }
    }
    found
}

/// A certificate that holds for less than it should: one condition, and a graver one in its last days.
fn of_certificate(
    held: &HeldTarget,
    certificate: Certificate,
    now: Instant,
    unix: Duration,
) -> impl Iterator<Item = Condition> {
    let aim = &held.target.aim;
    let key = &aim.key;
    let left = certificate.ends().saturating_duration_since(now);
    let within = aim.check.kind.tls().map(|tls| tls.expires_within).unwrap_or_default();
    let words = if left.is_zero() { "has ended".into() } else { format!("ends in {}", shown(left)) };
    let summary = one_line(&format!(
        "the certificate of {} ({}) in {} {words} (check {})",
        key.node, key.address, key.cluster, key.check
    ));
    let labels = vec![
        (Label::Cluster, Arc::clone(&key.cluster)),
        (Label::Node, Arc::clone(&key.node)),
        (Label::Address, key.address.to_string().into()),
        (Label::Check, Arc::clone(&key.check)),
    ];
    let is_grave = left < LAST_DAYS;
    let condition = move |kind: Kind, within: Duration, is_said: bool| Condition {
        identity: Identity { kind, labels: labels.clone() },
        summary: summary.clone(),
        since: unix.saturating_sub(within.saturating_sub(left)),
        place: None,
        is_said,
    };
    let grave = is_grave.then(|| condition(Kind::CertificateLastDays, LAST_DAYS, false));
    grave.into_iter().chain([condition(Kind::CertificateExpiring, within, is_grave)])
}

fn of_order(order: &Order, kind: Kind, words: &str, since: Duration) -> Condition {
    let (target, word) = (order.target.to_string(), order.word.word());
    Condition {
        summary: one_line(&format!(
            "the override `{word}` of {target} {words} (given by {}: {})",
            order.who, order.why
        )),
        identity: Identity {
            kind,
            labels: vec![(Label::Target, target.into()), (Label::Verdict, word.into())],
        },
        since,
        place: None,
        is_said: false,
    }
}

/// How long an order stands yet.
fn left(order: &Order, now: Instant) -> Duration {
    order.until.map(|until| until.saturating_duration_since(now)).unwrap_or_default()
}

/// A time as people say it: whole days, hours or minutes, the last ones begun.
fn shown(left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7200.. => format!("{} hours", seconds / 3600),
        _ => format!("{} min", left.as_millis().div_ceil(60_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_unit_that_people_think_in() {
        let told = [1, 60, 61, 7199, 7200, 172_799, 172_800, 1_209_599].map(Duration::from_secs).map(shown);
        let expected = ["1 min", "1 min", "2 min", "120 min", "2 hours", "47 hours", "2 days", "13 days"]
            .map(String::from);
        assert_eq!(told, expected);
    }
}
