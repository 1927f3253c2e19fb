//! `[balance]` of clusters.toml: how clients are divided over clusters by what these can carry.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{Table, Value};
use super::issue::{At, Issue};
use crate::health::quality::LOAD_AGE_MAX;
use crate::steering::balance::settings::{Marks, Settings};

/// How long anything of it may take.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// For how long a word about load may be believed.
const EXPIRY: RangeInclusive<Duration> = Duration::from_secs(1)..=LOAD_AGE_MAX;

/// Load as it is balanced.
#[derive(Clone, Debug, Default)]
pub struct Balancing {
    /// Where it is written, if it is.
    pub at: Option<At>,
    /// Whether it is off, though clusters say what they can carry.
    pub is_off: bool,
    /// How.
    pub settings: Settings,
}

/// Reads `[balance]`.
pub fn balance(mut table: Table<'_>, issues: &mut Vec<Issue>) -> Balancing {
    let usual = Settings::default();
    let enabled = table.take("enabled").and_then(|value| value.flag(issues));
    let (low_value, high_value) = (table.take("low"), table.take("high"));
    let low = low_value.as_ref().and_then(|value| share(value, issues));
    let high = high_value.as_ref().and_then(|value| share(value, issues));
    let (low, high) = (low.unwrap_or(usual.marks.low()), high.unwrap_or(usual.marks.high()));
    let marks = Marks::new(low, high);
    if let (None, Some(value)) = (marks, low_value.or(high_value)) {
        let what = format!("`low` is {low}, and `high` is {high}");
        issues.push(Issue::error(value.at, what).remedy("`low` must not exceed `high`"));
    }
    let assumed = table.take("assumed").and_then(|value| share(&value, issues));
    let mut time = |key: &'static str, times| table.take(key).and_then(|value| value.duration(times, issues));
    let (hold, follow, damping) = (time("hold", TIMES), time("follow", TIMES), time("damping", TIMES));
    let (expiry, memory) = (time("expiry", EXPIRY), time("memory", TIMES));
    let settings = Settings {
        marks: marks.unwrap_or_default(),
        assumed: assumed.unwrap_or(usual.assumed),
        hold: hold.unwrap_or(usual.hold),
        follow: follow.unwrap_or(usual.follow),
        damping: damping.unwrap_or(usual.damping),
        expiry: expiry.unwrap_or(usual.expiry),
        memory: memory.unwrap_or(usual.memory),
    };
    if settings.hold < settings.follow {
        let issue = Issue::error(table.at().clone(), "`hold` is shorter than `follow`");
        issues.push(issue.remedy("clients must be able to follow before a slot moves again"));
    }
    let at = Some(table.at().clone());
    table.finish(issues);
    Balancing { at, is_off: enabled == Some(false), settings }
}

/// A share of a capacity: more than 0, at most 1.
fn share(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<f64> {
    let number = value.number(issues)?;
    let fits = number > 0.0 && number <= 1.0;
    if !fits {
        issues.push(value.unfit("a share of a capacity, more than 0 and at most 1").remedy("e.g. `0.8`"));
    }
    fits.then_some(number)
}
