//! What operators said, with its ends.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{age, left, replace, unix_ms, unix_ms_in};
use crate::cluster::Word as Override;
use crate::health::overrides::{KeptOrder, Selector};

/// The age of what was said longer ago, or by a clock that was set back far.
const AGE_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The file of what operators said.
const ORDERS: &str = "overrides.json";

/// An order as it is written. Times are milliseconds since 1970-01-01 UTC.
#[derive(Serialize, Deserialize)]
struct OrderRow {
    target: String,
    verdict: OrderWord,
    why: String,
    who: String,
    since_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_unix_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OrderWord {
    Drain,
    Down,
    Up,
}

/// Keeps what operators said, as of `now`.
pub fn write_orders(directory: &Path, orders: &[KeptOrder], now: SystemTime) -> io::Result<()> {
    let rows = orders.iter().map(|order| OrderRow {
        target: order.target.to_string(),
        verdict: match order.word {
            Override::Drain => OrderWord::Drain,
            Override::Down => OrderWord::Down,
            Override::Up => OrderWord::Up,
        },
        why: order.why.to_string(),
        who: order.who.to_string(),
        since_unix_ms: unix_ms(now, order.age),
        until_unix_ms: order.left.map(|left| unix_ms_in(now, left)),
    });
    let mut text =
        serde_json::to_string_pretty(&rows.collect::<Vec<_>>()).expect("strings and numbers alone");
    text.push('\n');
    replace(directory, ORDERS, text.as_bytes())
}

/// Reads it: what can be used, and a sentence for each thing that cannot. None where there is no file. A file of which not all can be
/// used is put aside, since it is soon written anew.
pub fn read_orders(directory: &Path, now: SystemTime) -> (Vec<KeptOrder>, Vec<String>) {
    let path = directory.join(ORDERS);
    let (mut orders, mut told) = (Vec::new(), Vec::new());
    match rows(&path) {
        Ok(rows) => {
            for row in rows {
                match order(row, now) {
                    Ok(order) => orders.push(order),
                    Err(what) => told.push(format!("{}: an override does not stand: {what}", path.display())),
                }
            }
        }
        Err(what) => told.push(format!("{}: {what}; no override of an operator stands", path.display())),
    }
    if !told.is_empty() {
        let aside = directory.join(format!("{ORDERS}.unusable"));
        told.push(match fs::copy(&path, &aside) {
            Ok(_) => format!("{} is kept as it was in {}", path.display(), aside.display()),
            Err(error) => format!("{}: {error}", aside.display()),
        });
    }
    (orders, told)
}

fn rows(path: &Path) -> Result<Vec<Value>, String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
        Ok(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
    }
}

fn order(row: Value, now: SystemTime) -> Result<KeptOrder, String> {
    let row: OrderRow = serde_json::from_value(row).map_err(|error| error.to_string())?;
    Ok(KeptOrder {
        target: Selector::parse(&row.target)?,
        word: match row.verdict {
            OrderWord::Drain => Override::Drain,
            OrderWord::Down => Override::Down,
            OrderWord::Up => Override::Up,
        },
        why: row.why.into(),
        who: row.who.into(),
        age: age(row.since_unix_ms, now).min(AGE_MAX),
        // No longer than it was to stand: the clock may have been set back since.
        left: row.until_unix_ms.map(|until| {
            left(until, now).min(Duration::from_millis(until.saturating_sub(row.since_unix_ms)))
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn what_operators_said_is_kept_with_its_end() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_orders(directory.path(), at(0)), (vec![], vec![]));
        let order = |target: &str, word, age, left: Option<u64>| KeptOrder {
            target: Selector::parse(target).unwrap(),
            word,
            why: "disk \"0\"".into(),
            who: "ana".into(),
            age: Duration::from_secs(age),
            left: left.map(Duration::from_secs),
        };
        let orders = |later| {
            [
                order("sin/*-1", Override::Drain, 5 + later, Some(100 - later)),
                order("region:eu", Override::Down, later, None),
                order("fra", Override::Up, later, Some(0)),
            ]
        };
        write_orders(directory.path(), &orders(0), at(0)).unwrap();
        assert_eq!(read_orders(directory.path(), at(30)), (orders(30).into(), vec![]));
        fs::write(directory.path().join(ORDERS), "[").unwrap();
        let (orders, told) = read_orders(directory.path(), at(0));
        assert!(orders.is_empty() && told[0].ends_with("no override of an operator stands"), "{told:?}");
    }

    #[test]
    fn one_that_cannot_be_used_costs_the_others_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(ORDERS);
        let good = r#"{ "target": "sin", "verdict": "drain", "why": "disk", "who": "ana", "since_unix_ms": 1800000000000 }"#;
        let text = format!("[{good}, {}, {{}}]", good.replace("sin", "a//b"));
        fs::write(&path, &text).unwrap();
        let (orders, told) = read_orders(directory.path(), at(5));
        assert_eq!(orders.iter().map(|order| order.target.to_string()).collect::<Vec<_>>(), ["sin"]);
        assert!(told.len() == 3 && told[2].ends_with("overrides.json.unusable"), "{told:?}");
        assert_eq!(fs::read_to_string(directory.path().join("overrides.json.unusable")).unwrap(), text);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_stand_longer() {
        let directory = tempfile::tempdir().unwrap();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let order = KeptOrder {
            target: Selector::parse("sin").unwrap(),
            word: Override::Drain,
            why: "disk".into(),
            who: "ana".into(),
            age: hours(1),
            left: Some(hours(1)),
        };
        write_orders(directory.path(), &[order], at(0)).unwrap();
        let (orders, _) = read_orders(directory.path(), UNIX_EPOCH);
        assert_eq!(orders[0].left, Some(hours(2)));
    }
}
