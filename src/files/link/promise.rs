//! The one-TTL check: a silent death may go unseen no longer than an answer may be kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::policies::Policies;
use super::services::{Resolved, called};
use crate::cluster::Inventory;
use crate::files::duration::shown;
use crate::files::issue::Issue;
use crate::health::check::{Check, probing};
use crate::health::promise::Detection;

/// Suggested durations are whole tenths of a second.
const STEP_MS: u128 = 100;
/// Nobody is told to go below these.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
const TIMEOUT_MIN: Duration = Duration::from_millis(500);
const FALL_MIN: u32 = 2;

/// Checks every service with every check that judges its nodes.
pub(super) fn check(
    world: &World,
    inventory: &Inventory,
    checks: &[Arc<Check>],
    policies: &Policies<'_>,
    services: &[Resolved<'_>],
    issues: &mut Vec<Issue>,
) {
    for service in services {
        let Some(policy) = service.policy.map(|at| &policies.all[at].policy) else { continue };
        // A cluster's own name is for those who look after it.
        if world.is_torn(service.zone) || service.written.is_exposed {
            continue;
        }
        let clusters = policy.clusters.iter().copied().chain(service.fallback());
        let used: BTreeSet<_> = match (service.check, &service.written.check) {
            (Some(check), _) => BTreeSet::from([check]),
            // It names one that does not exist.
            (None, Some(_)) => BTreeSet::new(),
            (None, None) => clusters.filter_map(|id| inventory.cluster(id).check).collect(),
        };
        let probing: BTreeSet<_> = used.into_iter().flat_map(|check| probing(checks, check)).collect();
        for check in probing {
            issues.extend(verdict(service, &checks[usize::from(check.0)]));
        }
    }
}

/// What the one-TTL check says of a service and a check.
fn verdict(service: &Resolved<'_>, check: &Check) -> Option<Issue> {
    let ttl_s = &service.written.ttl_s;
    let ttl = Duration::from_secs(ttl_s.value.into());
    let within = service.written.detect_within.as_ref();
    let (limit, at) = within.map_or((ttl, &ttl_s.at), |within| (within.value, &within.at));
    let worst = Detection::worst(check);
    let total = worst.total();
    if total <= limit && total <= ttl {
        return None;
    }
    let sum = format!(
        "a silent death at {} may go unseen for {} by check `{}` ({})",
        called(service.written),
        shown(total),
        check.key,
        parts(&worst, check),
    );
    if total <= limit {
        let what = format!("{sum}: longer than its TTL of {}, as `detect_within` accepts", shown(ttl));
        return Some(Issue::warning(at.clone(), what));
    }
    let limited = match within {
        Some(_) => format!("longer than its `detect_within` of {}", shown(limit)),
        None => format!("longer than its TTL of {}", shown(limit)),
    };
    Some(Issue::error(at.clone(), format!("{sum}: {limited}")).remedy(remedy(
        check,
        limit,
        total,
        within.is_some(),
    )))
}

/// The parts of the sum, in the order in which they pass.
fn parts(worst: &Detection, check: &Check) -> String {
    format!(
        "interval {} + lateness {} + {} re-probes {} + deadline {} + publication {}",
        shown(worst.interval),
        shown(worst.lateness),
        check.fall.saturating_sub(1),
        shown(worst.reprobes),
        shown(worst.deadline),
        shown(worst.publication),
    )
}

/// Which number to turn, and how far: one of the check's, and those of the service.
fn remedy(check: &Check, limit: Duration, total: Duration, has_within: bool) -> String {
    let fits = |turned: &Check| Detection::worst(turned).total() <= limit;
    let excess_ms = (total - limit).as_millis();
    let less = |duration: Duration, by_ms: u128| {
        let ms = duration.as_millis().saturating_sub(by_ms) / STEP_MS * STEP_MS;
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    };
    // The timeout counts twice: as the lateness that is noticed, and as the last deadline.
    let timeout = Check { timeout: less(check.timeout, excess_ms.div_ceil(2)), ..check.clone() };
    let interval = Check { interval: less(check.interval, excess_ms), ..check.clone() };
    let fewer = (FALL_MIN..check.fall).rev().map(|fall| Check { fall, ..check.clone() });
    let fall = fewer.into_iter().find(fits).unwrap_or_else(|| check.clone());
    let worst = Detection::worst(check);
    let mut turns = [
        (
            worst.lateness + worst.deadline,
            timeout.timeout >= TIMEOUT_MIN && fits(&timeout),
            format!("`timeout` of check `{}` at most \"{}\"", check.key, shown(timeout.timeout)),
        ),
        (
            worst.interval,
            interval.interval >= INTERVAL_MIN && fits(&interval),
            format!("`interval` of check `{}` at most \"{}\"", check.key, shown(interval.interval)),
        ),
        (worst.reprobes, fits(&fall), format!("`fall` of check `{}` at most {}", check.key, fall.fall)),
    ];
    // The largest part first: there is most to gain.
    turns.sort_by_key(|(part, ..)| std::cmp::Reverse(*part));
    let turned = turns.into_iter().find(|(_, fits, _)| *fits).map(|(_, _, turned)| turned);
    let whole = shown(Duration::from_millis(
        u64::try_from(total.as_millis()).unwrap_or(u64::MAX).div_ceil(1000) * 1000,
    ));
    let service = match has_within {
        true => format!("`detect_within` at least \"{whole}\""),
        false => format!("`ttl` at least \"{whole}\", or accept it with `detect_within = \"{whole}\"`"),
    };
    match turned {
        Some(turned) => format!("make {turned}, or {service}"),
        None => format!("make `interval` and `timeout` of check `{}` less, or {service}", check.key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::duration::parse;
    use crate::health::check::{HoldDown, Kind};
    use proptest::prelude::*;

    fn check(interval_ms: u64, timeout_ms: u64, fall: u32) -> Check {
        Check {
            key: "ingest".into(),
            kind: Kind::Tcp,
            port: 1935,
            interval: Duration::from_millis(interval_ms),
            timeout: Duration::from_millis(timeout_ms),
            fall,
            rise: 5,
            hold_down: HoldDown::default(),
        }
    }

    proptest! {
        // Whoever turns the number that the remedy names, as far as it says, keeps the promise.
        #[test]
        fn the_remedy_is_one(
            interval_ms in 100u64..60_000,
            timeout_ms in 50u64..60_000,
            fall in 1u32..=100,
            limit_s in 1u64..60,
        ) {
            let check = check(interval_ms, timeout_ms, fall);
            let (limit, total) = (Duration::from_secs(limit_s), Detection::worst(&check).total());
            prop_assume!(total > limit);
            let told = remedy(&check, limit, total, false);
            let ttl = told.split("`ttl` at least \"").nth(1).and_then(|rest| rest.split('"').next());
            prop_assert!(ttl.and_then(parse).unwrap() >= total, "{}", told);
            let mut turned = check;
            let word = told.split('`').nth(1).unwrap();
            let value = told.split(" at most ").nth(1).map(|rest| rest.split([',', ' ']).next().unwrap().trim_matches('"'));
            match (word, value) {
                ("timeout", Some(value)) => turned.timeout = parse(value).unwrap(),
                ("interval", Some(value)) => turned.interval = parse(value).unwrap(),
                ("fall", Some(value)) => turned.fall = value.parse().unwrap(),
                _ => return Ok(()),
            }
            prop_assert!(Detection::worst(&turned).total() <= limit, "{}", told);
        }
    }
}
