//! One HTTP exchange.

use hyper::body::Incoming;
use hyper::{Method, Response};
use serde_json::Value;

use super::body::{BODY_MAX, EXPOSITION_MAX, Reading, position};
use super::conversation::{Origin, Question};
use super::ended::Ended;
use super::{Probe, load};
use crate::health::check::{Http, HttpMethod, Wanted};
use crate::health::load::Figure;
use crate::health::note::Note;

/// Asks, and compares what comes back with what must.
pub(super) async fn exchange(probe: &Probe<'_>, http: &Http, notes: &mut Vec<Note>) -> Result<(), Ended> {
    let origin = Origin::of(probe, http.host.as_deref(), http.version)?;
    let mut conversation = origin.open(&probe.limit, notes).await?;
    let method = match http.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
    };
    let question = Question { method, headers: &http.headers, ..Question::get(&http.path) };
    let response = conversation.ask(question, &probe.limit).await?;
    notes.extend(load::told(response.headers()));
    judge_head(&response, http)?;
    let mut body = Reading::new(response.into_body(), octets_max(http));
    if let Some(wanted) = &http.body {
        probe.limit.step("body", body.find(wanted)).await?;
    }
    if !http.json.is_empty() {
        judge_json(probe.limit.step("body", body.whole()).await?, &http.json)?;
    }
    if let Some(source) = &http.load {
        load::read(probe, source, &mut body, notes).await;
    }
    Ok(())
}

/// What a program exposes for Prometheus is often longer than what is read of other answers.
fn octets_max(http: &Http) -> usize {
    match http.load.as_ref().map(|source| &source.figure) {
        Some(Figure::Prometheus(_)) => EXPOSITION_MAX,
        _ => BODY_MAX,
    }
}

fn judge_head(response: &Response<Incoming>, http: &Http) -> Result<(), Ended> {
    let status = response.status().as_u16();
    if !http.status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
        return Err(Ended::at("status", format!("status {status}")));
    }
    for (name, wanted) in &http.expect_headers {
        let mut values = response.headers().get_all(name).iter().peekable();
        if values.peek().is_none() {
            return Err(Ended::at("header", format!("no `{name}`")));
        }
        if !values.any(|value| position(value.as_bytes(), wanted.as_bytes()).is_some()) {
            return Err(Ended::at("header", format!("`{name}` without `{wanted}`")));
        }
    }
    Ok(())
}

fn judge_json(body: &[u8], wanted: &[(String, Wanted)]) -> Result<(), Ended> {
    let document: Value =
        serde_json::from_slice(body).map_err(|error| Ended::at("body", format!("no JSON: {error}")))?;
    for (pointer, wanted) in wanted {
        let Some(is) = document.pointer(pointer) else {
            return Err(Ended::at("body", format!("no `{pointer}` in the JSON")));
        };
        let equal = match wanted {
            Wanted::Text(text) => is.as_str() == Some(text),
            Wanted::Number(number) => is.as_f64() == Some(*number),
            Wanted::Flag(flag) => is.as_bool() == Some(*flag),
        };
        if !equal {
            return Err(Ended::at("body", format!("`{pointer}` is {is}, not {wanted}")));
        }
    }
    Ok(())
}
