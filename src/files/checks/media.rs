//! What hls, flv, whip and grpc checks say: the resource, and what must come of it.

use std::path::PathBuf;

use super::http::{headers, path, tls};
use super::{MAX_AGE, TAGS, default, host};
use crate::files::document::{Table, Value, Written};
use crate::files::issue::Issue;
use crate::health::resource::{Flv, Grpc, Hls, Resource, Whip};

/// The keys that say something of TLS alone.
const TLS_KEYS: [&str; 4] = ["sni", "verify", "roots", "expires_within"];

pub(super) fn hls(
    table: &mut Table<'_>,
    roots: &mut Option<Written<PathBuf>>,
    issues: &mut Vec<Issue>,
) -> Hls {
    let path = needed_path(table, "path = \"/live/stream.m3u8\"", issues);
    let at = resource(table, path, roots, issues);
    let live = table.take("live").and_then(|value| value.flag(issues)).unwrap_or(true);
    let max_age_value = table.take("max_age");
    let max_age = max_age_value.as_ref().and_then(|value| value.duration(MAX_AGE, issues));
    if let Some(value) = max_age_value.filter(|_| !live) {
        let issue = Issue::error(value.key_at, "`max_age` is of no use where `live` is false");
        issues.push(issue.remedy("leave one of them out"));
    }
    Hls { at, live, max_age }
}

pub(super) fn flv(
    table: &mut Table<'_>,
    roots: &mut Option<Written<PathBuf>>,
    issues: &mut Vec<Issue>,
) -> Flv {
    let path = needed_path(table, "path = \"/live/stream.flv\"", issues);
    let at = resource(table, path, roots, issues);
    let tags = table.take("tags").and_then(|value| value.whole(TAGS, issues));
    let tags = tags.and_then(|tags| tags.try_into().ok()).unwrap_or(default::TAGS);
    Flv { at, tags }
}

pub(super) fn whip(
    table: &mut Table<'_>,
    roots: &mut Option<Written<PathBuf>>,
    issues: &mut Vec<Issue>,
) -> Whip {
    let path = needed_path(table, "path = \"/whip/probe\"", issues);
    let at = resource(table, path, roots, issues);
    let post = table.take("post").and_then(|value| value.flag(issues)).unwrap_or(false);
    let token = table.take("token").and_then(|value| token(&value, issues));
    Whip { at, post, token }
}

pub(super) fn grpc(
    table: &mut Table<'_>,
    roots: &mut Option<Written<PathBuf>>,
    issues: &mut Vec<Issue>,
) -> Grpc {
    let at = resource(table, default::GRPC_PATH.into(), roots, issues);
    let service = table.take("service").and_then(|value| value.text(issues)).unwrap_or_default();
    Grpc { at, service: service.into() }
}

fn needed_path(table: &mut Table<'_>, example: &str, issues: &mut Vec<Issue>) -> String {
    let value = table.need("path", example, issues);
    value.and_then(|value| path(&value, issues)).unwrap_or_else(|| default::PATH.into())
}

fn resource(
    table: &mut Table<'_>,
    path: String,
    roots: &mut Option<Written<PathBuf>>,
    issues: &mut Vec<Issue>,
) -> Resource {
    let host = table.take("host").and_then(|value| host(&value, issues));
    let headers = table.take("headers").map(|value| headers(&value, issues)).unwrap_or_default();
    let encrypted = table.take("tls").and_then(|value| value.flag(issues)).unwrap_or(false);
    if !encrypted {
        for key in TLS_KEYS {
            let what = format!("`{key}` is of no use without TLS");
            table.refuse(key, &what, "write `tls = true`, or leave it out", issues);
        }
    }
    let tls = tls(table, roots, issues);
    Resource { path, host, headers, tls: encrypted.then_some(tls) }
}

/// A bearer token (RFC 6750 §2.1).
fn token(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = value.filled(issues)?;
    if !text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet)) {
        issues.push(value.unfit("a bearer token: letters, digits and `-._~+/=`"));
        return None;
    }
    Some(text.into())
}
