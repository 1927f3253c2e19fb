//! How busy a target says it is: in a header that is always looked at, or in the body, where the check says so.
#![allow(clippy::disallowed_methods, reason = "a shell knows the time")]

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use hyper::header::HeaderMap;
use serde_json::Value;

use super::Probe;
use super::body::Reading;
use super::ended::{Ended, one_line};
use crate::health::load::{Figure, LoadSource, Series};
use crate::health::note::Note;

/// The header of the Open Request Cost Aggregation (xds.data.orca.v3, gRFC A51).
const HEADER: &str = "endpoint-load-metrics";
/// Numbers that were read closer together than this tell no rate: probes of a doubt follow one another within 200 ms.
const APART_MIN: Duration = Duration::from_millis(500);
/// A body is waited for so long at least, by its deadline: near targets answer within a millisecond.
const PATIENCE_MIN: Duration = Duration::from_millis(200);

/// A number that only grows, and when it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    number: f64,
    at: Instant,
}

/// What the headers of an answer tell.
pub(super) fn told(headers: &HeaderMap) -> Option<Note> {
    noted(orca(headers.get(HEADER)?.to_str().ok()?)?)
}

/// What the body tells, of an answer that was good. It is waited for as long again as the probe took so far, and a moment at
/// least; what goes wrong is the load's absence, of which the target is warned, and nothing else.
pub(super) async fn read(probe: &Probe<'_>, source: &LoadSource, body: &mut Reading, notes: &mut Vec<Note>) {
    let told = number(probe, source, body).await.and_then(|number| {
        let number = match source.rate {
            false => Some(number),
            true => {
                let mut last = probe.memory.load.lock().unwrap_or_else(PoisonError::into_inner);
                rate(&mut last, Sample { number, at: Instant::now() })
            }
        };
        let note = |number: f64| noted(number / source.max).ok_or_else(|| format!("{number} is none"));
        number.map(note).transpose()
    });
    notes.push(Note::Warning(told.as_ref().err().map(|what| one_line(&format!("no load: {what}")))));
    notes.extend(told.ok().flatten());
}

async fn number(probe: &Probe<'_>, source: &LoadSource, body: &mut Reading) -> Result<f64, String> {
    let patience = probe.limit.passed().max(PATIENCE_MIN);
    let whole = probe.limit.wait(tokio::time::timeout(patience, body.whole())).await;
    let whole = match whole {
        Some(Ok(Ok(whole))) => whole,
        Some(Ok(Err(Ended::Failed(cause)))) => return Err(cause.to_string()),
        Some(Ok(Err(Ended::Local(what)))) => return Err(what.to_string()),
        Some(Err(_)) | None => return Err("the body came too late".into()),
    };
    figure(&source.figure, whole).ok_or_else(|| "the body does not tell it".into())
}

/// How fast a number grew, a second; `None` where nothing is to compare it with.
fn rate(last: &mut Option<Sample>, now: Sample) -> Option<f64> {
    let Some(before) = *last else {
        *last = Some(now);
        return None;
    };
    let apart = now.at.saturating_duration_since(before.at);
    if apart < APART_MIN {
        return None;
    }
    *last = Some(now);
    // One that went back began anew.
    (now.number >= before.number).then(|| (now.number - before.number) / apart.as_secs_f64())
}

fn noted(used: f64) -> Option<Note> {
    (used.is_finite() && used >= 0.0).then_some(Note::Load { used })
}

fn figure(figure: &Figure, body: &[u8]) -> Option<f64> {
    match figure {
        Figure::Json(pointer) => serde_json::from_slice::<Value>(body).ok()?.pointer(pointer)?.as_f64(),
        Figure::Prometheus(meant) => {
            let samples = str::from_utf8(body).ok()?.lines().filter_map(Series::sample);
            samples.filter(|(series, _)| meant.means(series)).map(|(_, number)| number).reduce(|a, b| a + b)
        }
    }
}

/// The used share that an ORCA header tells: that of the application, else the highest of those with a name, else that of
/// the processor. A zero says no more than an absence (they are proto3's), unless there is nothing else.
fn orca(header: &str) -> Option<f64> {
    let (form, body) = header.trim().split_once(' ')?;
    let [application, named, processor] = match form {
        "JSON" => in_json(&serde_json::from_str(body).ok()?),
        "TEXT" => in_text(body),
        _ => return None,
    };
    let told = [application, named, processor].into_iter().flatten();
    let told = told.filter(|used| used.is_finite() && *used >= 0.0);
    let mut zero = None;
    for used in told {
        if used > 0.0 {
            return Some(used);
        }
        zero = Some(used);
    }
    zero
}

fn in_json(report: &Value) -> [Option<f64>; 3] {
    // Protocol buffers' JSON has either spelling.
    let number = |names: [&str; 2]| names.into_iter().find_map(|name| report.get(name)?.as_f64());
    let named = report.get("utilization").and_then(Value::as_object);
    let named = named.and_then(|named| named.values().filter_map(Value::as_f64).reduce(f64::max));
    [
        number(["application_utilization", "applicationUtilization"]),
        named,
        number(["cpu_utilization", "cpuUtilization"]),
    ]
}

fn in_text(report: &str) -> [Option<f64>; 3] {
    let pairs = || report.split(',').filter_map(|pair| pair.split_once('='));
    let pairs =
        || pairs().filter_map(|(name, number)| Some((name.trim(), number.trim().parse::<f64>().ok()?)));
    let number = |wanted: &str| pairs().find(|(name, _)| *name == wanted).map(|(_, number)| number);
    let named = pairs().filter(|(name, _)| name.starts_with("utilization."));
    let named = named.map(|(_, number)| number).reduce(f64::max);
    [number("application_utilization"), named, number("cpu_utilization")]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn the_header_tells_application_before_names_before_processor() {
        let cases = [
            (
                r#"JSON {"cpu_utilization":0.3,"application_utilization":0.8,"utilization":{"net":0.9}}"#,
                Some(0.8),
            ),
            (r#"JSON {"cpu_utilization":0.3,"utilization":{"net":0.9,"disk":0.1}}"#, Some(0.9)),
            (
                r#"JSON {"cpuUtilization":0.3,"rps_fractional":900,"named_metrics":{"utilization":7}}"#,
                Some(0.3),
            ),
            (r#"JSON {"application_utilization":0,"cpu_utilization":0.5}"#, Some(0.5)),
            (r#"JSON {"application_utilization":0}"#, Some(0.0)),
            ("TEXT cpu_utilization=0.3, application_utilization=0.8", Some(0.8)),
            ("TEXT cpu_utilization=0.3,utilization.net=0.9,utilization.disk=0.1", Some(0.9)),
            ("TEXT cpu_utilization=1.2", Some(1.2)),
            ("TEXT cpu_utilization=inf", None),
            ("TEXT cpu_utilization=-1", None),
            ("TEXT rps_fractional=5", None),
            ("BIN CgkJ", None),
            ("JSON []", None),
            ("JSON", None),
            ("", None),
        ];
        for (header, used) in cases {
            assert_eq!(orca(header), used, "{header}");
        }
    }

    #[test]
    fn the_body_tells_a_number_of_json_or_the_sum_of_series() {
        let json = Figure::Json("/network/outBps".into());
        assert_eq!(figure(&json, br#"{"network":{"outBps":4500}}"#), Some(4500.0));
        assert_eq!(figure(&json, br#"{"network":{"outBps":"4500"}}"#), None);
        assert_eq!(figure(&json, b"{"), None);
        let out = Figure::Prometheus(Series::parse(r#"out{device="eth0"}"#).unwrap());
        let text = b"# TYPE out counter\nout{device=\"lo\"} 9\nout{device=\"eth0\",q=\"1\"} 4\nout{device=\"eth0\",q=\"2\"} 5\n";
        assert_eq!(figure(&out, text), Some(9.0));
        assert_eq!(figure(&out, b"in 3\n"), None);
    }

    #[test]
    fn a_rate_takes_two_looks_apart_and_none_that_began_anew() {
        let start = Instant::now();
        let at = |number: f64, ms: u64| Sample { number, at: start + Duration::from_millis(ms) };
        let mut last = None;
        assert_eq!(rate(&mut last, at(1000.0, 0)), None);
        assert_eq!(rate(&mut last, at(1200.0, 200)), None, "too close");
        assert_eq!(rate(&mut last, at(3000.0, 1000)), Some(2000.0));
        assert_eq!(rate(&mut last, at(10.0, 2000)), None, "it began anew");
        assert_eq!(rate(&mut last, at(110.0, 3000)), Some(100.0));
    }

    proptest! {
        // Reading what a stranger says never panics.
        #[test]
        fn any_header_is_read(header in "(JSON|TEXT|BIN) \\PC*") {
            let _ = orca(&header);
        }
    }
}
