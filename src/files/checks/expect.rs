//! `expect` and `load` of http and https checks: what must come back, and what is read of it besides.

use super::http::header;
use crate::files::document::Value;
use crate::files::issue::{At, Issue};
use crate::files::words::shown;
use crate::health::check::{HttpMethod, Wanted};
use crate::health::load::{Figure, LoadSource, Series};

/// What must come back.
#[derive(Default)]
pub(super) struct Expect {
    pub(super) status: Vec<(u16, u16)>,
    pub(super) body: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) json: Vec<(String, Wanted)>,
}

pub(super) fn expect(value: &Value<'_>, method: HttpMethod, issues: &mut Vec<Issue>) -> Expect {
    let Some(mut table) = value.table("`expect`", issues) else { return Expect::default() };
    let status = table.take("status").map(|value| statuses(&value, issues)).unwrap_or_default();
    let body_value = table.take("body");
    let body = body_value.as_ref().and_then(|value| value.filled(issues)).map(String::from);
    let header_value = table.take("header");
    let headers = header_value.and_then(|value| value.table("`expect.header`", issues));
    let headers = headers.map(|mut headers| headers.named()).unwrap_or_default();
    let headers = headers.iter().filter_map(|entry| header(entry, issues)).collect();
    let json_value = table.take("json");
    let json = json_value.as_ref().map(|value| json(value, issues)).unwrap_or_default();
    table.finish(issues);
    for value in [body_value, json_value].into_iter().flatten() {
        no_body(&value.key_at, value.key, method, issues);
    }
    Expect { status, body, headers, json }
}

/// Says of a key that needs a body that there is none.
fn no_body(at: &At, key: &str, method: HttpMethod, issues: &mut Vec<Issue>) {
    if method == HttpMethod::Head {
        let issue = Issue::error(at.clone(), "nothing answers `HEAD` with a body");
        issues.push(issue.remedy(format!("write `method = \"GET\"`, or leave `{key}` out")));
    }
}

/// JSON pointers, and what must stand there.
fn json(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<(String, Wanted)> {
    let Some(mut table) = value.table("`expect.json`", issues) else { return Vec::new() };
    let entry = |entry: &Value<'_>| {
        pointer(entry.key, &entry.key_at, issues)?;
        let wanted = if entry.is_flag() {
            Wanted::Flag(entry.flag(issues)?)
        } else if entry.is_number() {
            Wanted::Number(entry.number(issues)?)
        } else if let Some(text) = entry.as_text() {
            Wanted::Text(text.into())
        } else {
            issues.push(entry.unfit("a string, a number, true or false"));
            return None;
        };
        Some((entry.key.into(), wanted))
    };
    table.named().iter().filter_map(entry).collect()
}

/// A JSON pointer (RFC 6901 §3): empty, or `/` before each step, in which `~` is `~0` and `/` is `~1`.
fn pointer(text: &str, at: &At, issues: &mut Vec<Issue>) -> Option<()> {
    if !text.is_empty() && !text.starts_with('/') {
        let issue = Issue::error(at.clone(), format!("`{}` is no JSON pointer", shown(text)));
        issues.push(issue.remedy(format!("write `\"/{}\"`", shown(&text.replace('.', "/")))));
        return None;
    }
    if text.split('~').skip(1).any(|behind| !behind.starts_with(['0', '1'])) {
        let issue = Issue::error(at.clone(), format!("`{}` is no JSON pointer", shown(text)));
        issues.push(issue.remedy("write `~` as `~0`, and `/` within a name as `~1`"));
        return None;
    }
    Some(())
}

/// `load`: where in the body the load is told.
pub(super) fn load(value: &Value<'_>, method: HttpMethod, issues: &mut Vec<Issue>) -> Option<LoadSource> {
    let mut table = value.table("`load`", issues)?;
    no_body(&value.key_at, value.key, method, issues);
    let json = table.take("json");
    let prometheus = table.take("prometheus");
    let max_value = table.need("max", "max = 9e9", issues);
    let max = max_value.as_ref().and_then(|value| value.number(issues));
    if let (Some(value), Some(..=0.0)) = (&max_value, max) {
        issues.push(value.unfit("above 0"));
    }
    let rate = table.take("rate").and_then(|value| value.flag(issues)).unwrap_or(false);
    let figure = match (json, prometheus) {
        (Some(json), None) => json.text(issues).and_then(|text| {
            pointer(text, &json.at, issues)?;
            Some(Figure::Json(text.into()))
        }),
        (None, Some(prometheus)) => prometheus.text(issues).and_then(|text| {
            let series = Series::parse(text).map(Figure::Prometheus);
            if series.is_none() {
                let issue = prometheus.unfit("a metric, with labels or without");
                issues.push(issue.remedy("e.g. `'node_network_transmit_bytes_total{device=\"eth0\"}'`"));
            }
            series
        }),
        (None, None) => {
            table.missing("json", "json = \"/network/outBps\"", issues);
            None
        }
        (Some(_), Some(prometheus)) => {
            let issue =
                Issue::error(prometheus.key_at, "`load` is read in `json` or in `prometheus`, not in both");
            issues.push(issue.remedy("leave one of them out"));
            None
        }
    };
    table.finish(issues);
    Some(LoadSource { figure: figure?, max: max.filter(|max| *max > 0.0)?, rate })
}

/// Status codes: `200`, `"200-299"`, or a list of these.
fn statuses(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<(u16, u16)> {
    let elements =
        if value.is_list() { value.filled_list("\"200-299\"", issues) } else { vec![value.clone()] };
    elements.iter().filter_map(|element| statuses_of(element, issues)).collect()
}

fn statuses_of(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<(u16, u16)> {
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let range = match (value.as_whole(), value.as_text()) {
        (Some(whole), _) => code(&whole.to_string()).map(|code| (code, code)),
        (_, Some(text)) => match text.split_once('-') {
            Some((from, to)) => code(from).zip(code(to)).filter(|(from, to)| from <= to),
            None => code(text).map(|code| (code, code)),
        },
        _ => None,
    };
    if range.is_none() {
        let issue = value.unfit("a status from 100 to 599, or a range of them");
        issues.push(issue.remedy("e.g. `\"200-299\"` or `[200, \"301-302\"]`"));
    }
    range
}
