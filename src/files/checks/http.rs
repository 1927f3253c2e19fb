//! What http and https checks say: the request, what must come back, and TLS.

use std::path::PathBuf;

use super::expect::{expect, load};
use super::{EXPIRES_WITHIN, default, host};
use crate::files::document::{Table, Value, Written};
use crate::files::issue::Issue;
use crate::files::words::shown;
use crate::health::check::{Http, HttpMethod, HttpVersion, Tls};

/// The words of `http`.
const VERSIONS: [(&str, HttpVersion); 3] =
    [("1.1", HttpVersion::One), ("2", HttpVersion::Two), ("any", HttpVersion::Any)];

/// What a check of kind `http` says.
pub(super) fn http(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Http {
    let version = table.take("http").and_then(|value| {
        let version = value.word(&VERSIONS, issues)?;
        if version == HttpVersion::Any {
            let issue = Issue::error(value.at.clone(), "without TLS nobody chooses a version of HTTP");
            issues.push(issue.remedy("write `\"1.1\"` or `\"2\"`, or `kind = \"https\"`"));
        }
        Some(version)
    });
    exchange(table, version.unwrap_or(default::VERSION), issues)
}

/// What a check of kind `https` says, but for its TLS.
pub(super) fn https(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Http {
    let version = table.take("http").and_then(|value| value.word(&VERSIONS, issues));
    exchange(table, version.unwrap_or(default::VERSION), issues)
}

fn exchange(table: &mut Table<'_>, version: HttpVersion, issues: &mut Vec<Issue>) -> Http {
    let methods = [("GET", HttpMethod::Get), ("HEAD", HttpMethod::Head)];
    let method = table.take("method").and_then(|value| value.word(&methods, issues));
    let method = method.unwrap_or(HttpMethod::Get);
    let path = table.take("path").and_then(|value| path(&value, issues));
    let host = table.take("host").and_then(|value| host(&value, issues));
    let headers = table.take("headers").map(|value| headers(&value, issues)).unwrap_or_default();
    let expect = table.take("expect").map(|value| expect(&value, method, issues)).unwrap_or_default();
    let load = table.take("load").and_then(|value| load(&value, method, issues));
    let status = if expect.status.is_empty() { vec![default::STATUS] } else { expect.status };
    Http {
        version,
        method,
        path: path.unwrap_or_else(|| default::PATH.into()),
        host,
        headers,
        status,
        body: expect.body,
        expect_headers: expect.headers,
        json: expect.json,
        load,
    }
}

/// The TLS of a check.
pub(super) fn tls(
    table: &mut Table<'_>,
    roots: &mut Option<Written<PathBuf>>,
    issues: &mut Vec<Issue>,
) -> Tls {
    let sni = table.take("sni").and_then(|value| host(&value, issues));
    let verify = table.take("verify").and_then(|value| value.flag(issues)).unwrap_or(true);
    *roots = table.take("roots").and_then(|value| value.path(issues));
    if let Some(roots) = roots.as_ref().filter(|_| !verify) {
        let issue = Issue::error(roots.at.clone(), "`roots` are of no use where `verify` is false");
        issues.push(issue.remedy("leave one of them out"));
    }
    let expires_within = table.take("expires_within");
    let expires_within = expires_within.and_then(|value| value.duration(EXPIRES_WITHIN, issues));
    Tls { sni, verify, roots: None, expires_within: expires_within.unwrap_or(default::EXPIRES_WITHIN) }
}

/// The protocols that a check of kind `tls` offers (RFC 7301 §3.1: 1 to 255 octets each).
pub(super) fn protocols(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<String> {
    let elements = value.filled_list("\"h2\"", issues);
    let protocol = |element: &Value<'_>| {
        let text = element.filled(issues)?;
        if text.len() > 255 {
            issues.push(element.unfit("a protocol of at most 255 octets"));
            return None;
        }
        Some(text.to_owned())
    };
    elements.iter().filter_map(protocol).collect()
}

/// A request target: `/`, then what may stand in a request line (RFC 9112 §3.2).
pub(super) fn path(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = value.text(issues)?;
    if !text.starts_with('/') {
        let issue = value.unfit("a path that begins with `/`");
        issues.push(issue.remedy(format!("write `\"/{}\"`", shown(text))));
        return None;
    }
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        issues.push(value.unfit("a path without spaces and of ASCII alone").remedy("write others as `%20`"));
        return None;
    }
    Some(text.into())
}

/// Request headers, in the order of the file.
pub(super) fn headers(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<(String, String)> {
    let Some(mut table) = value.table("`headers`", issues) else { return Vec::new() };
    let mut headers = Vec::new();
    for entry in table.named() {
        if entry.key.eq_ignore_ascii_case("host") {
            let issue = Issue::error(entry.key_at, "`Host` is not one of `headers`");
            issues.push(issue.remedy("write it as `host` of the check"));
            continue;
        }
        headers.extend(header(&entry, issues));
    }
    headers
}

/// A header's name and value (RFC 9110 §5.1, §5.5).
pub(super) fn header(entry: &Value<'_>, issues: &mut Vec<Issue>) -> Option<(String, String)> {
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if entry.key.is_empty() || !entry.key.bytes().all(token) {
        let what = format!("`{}` is not the name of a header", shown(entry.key));
        issues.push(Issue::error(entry.key_at.clone(), what));
        return None;
    }
    let text = entry.text(issues)?;
    Some((entry.key.into(), text.into()))
}
