//! What http and https checks say: the request, what must come back, and TLS.

use std::path::PathBuf;

use super::{default, host};
use crate::files::document::{Table, Value, Written};
use crate::files::issue::Issue;
use crate::files::words::shown;
use crate::health::check::{Http, HttpMethod, Tls};

pub(super) fn http(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Http {
    let methods = [("GET", HttpMethod::Get), ("HEAD", HttpMethod::Head)];
    let method = table.take("method").and_then(|value| value.word(&methods, issues));
    let method = method.unwrap_or(HttpMethod::Get);
    let path = table.take("path").and_then(|value| path(&value, issues));
    let host = table.take("host").and_then(|value| host(&value, issues));
    let headers = table.take("headers").map(|value| headers(&value, issues)).unwrap_or_default();
    let expect = table.take("expect").map(|value| expect(&value, method, issues)).unwrap_or_default();
    let status = if expect.status.is_empty() { vec![default::STATUS] } else { expect.status };
    Http {
        method,
        path: path.unwrap_or_else(|| default::PATH.into()),
        host,
        headers,
        status,
        body: expect.body,
        expect_headers: expect.headers,
    }
}

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
    Tls { sni, verify, roots: None }
}

/// A request target: `/`, then what may stand in a request line (RFC 9112 §3.2).
fn path(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
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
fn headers(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<(String, String)> {
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
fn header(entry: &Value<'_>, issues: &mut Vec<Issue>) -> Option<(String, String)> {
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if entry.key.is_empty() || !entry.key.bytes().all(token) {
        let what = format!("`{}` is not the name of a header", shown(entry.key));
        issues.push(Issue::error(entry.key_at.clone(), what));
        return None;
    }
    let text = entry.text(issues)?;
    Some((entry.key.into(), text.into()))
}

/// What must come back.
#[derive(Default)]
struct Expect {
    status: Vec<(u16, u16)>,
    body: Option<String>,
    headers: Vec<(String, String)>,
}

fn expect(value: &Value<'_>, method: HttpMethod, issues: &mut Vec<Issue>) -> Expect {
    let Some(mut table) = value.table("`expect`", issues) else { return Expect::default() };
    let status = table.take("status").map(|value| statuses(&value, issues)).unwrap_or_default();
    let body_value = table.take("body");
    let body = body_value.as_ref().and_then(|value| value.filled(issues)).map(String::from);
    let header_value = table.take("header");
    let headers = header_value.and_then(|value| value.table("`expect.header`", issues));
    let headers = headers.map(|mut headers| headers.named()).unwrap_or_default();
    let headers = headers.iter().filter_map(|entry| header(entry, issues)).collect();
    table.finish(issues);
    if let Some(value) = body_value.filter(|_| method == HttpMethod::Head) {
        let issue = Issue::error(value.key_at, "nothing answers `HEAD` with a body");
        issues.push(issue.remedy("write `method = \"GET\"`, or leave `body` out"));
    }
    Expect { status, body, headers }
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
