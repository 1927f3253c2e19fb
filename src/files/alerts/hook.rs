//! Receivers that something is posted to: where, with which headers and which body.

use std::net::{IpAddr, Ipv6Addr};

use super::{Word, WrittenWay};
use crate::alert::message::{NAMES, PAGERDUTY, RAW, SLACK, WEBHOOK};
use crate::alert::template::{Template, Wrong};
use crate::files::document::{Table, Value};
use crate::files::issue::Issue;
use crate::files::words::{listed, nearest, shown};

/// The longest body, in octets: what is posted is a notice, not a book.
const BODY_OCTETS_MAX: usize = 64 * 1024;
/// What stands for the secret of `token_file`.
const TOKEN: &str = "token";

/// Where PagerDuty listens.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// A URL, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Url {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: Template,
}

pub(super) fn hook(
    table: &mut Table<'_>,
    word: Word,
    token_file: Option<&Value<'_>>,
    issues: &mut Vec<Issue>,
) -> Option<WrittenWay> {
    let url = match word {
        Word::PagerDuty => table.take("url"),
        _ => table.need("url", "url = \"http://127.0.0.1:9093\"", issues),
    };
    let url = match url {
        Some(value) => url_of(value.filled(issues)?, &value, issues),
        None if word == Word::PagerDuty => parts(PAGERDUTY_URL).ok(),
        None => None,
    };
    let headers = table.take("headers").map(|value| headers(&value, issues)).unwrap_or_default();
    let body = match word {
        Word::Webhook => match table.take("body") {
            Some(value) => Some(body(&value, issues)?),
            None => Some(preset(WEBHOOK)),
        },
        Word::Slack => Some(preset(SLACK)),
        Word::PagerDuty => Some(preset(PAGERDUTY)),
        Word::Alertmanager | Word::Email => None,
    };
    let (url, mut headers) = (url?, headers);
    if let Some(file) = token_file.filter(|_| !url.is_tls && !is_here(&url.host)) {
        let issue = Issue::error(file.key_at.clone(), "a token is not sent without TLS");
        issues.push(issue.remedy("write `https://` in `url`, or leave `token_file` out"));
    }
    let bodies = body.iter().chain(headers.iter().map(|(_, value)| value)).chain([&url.path]);
    let is_used = bodies.into_iter().any(|template| template.has(TOKEN));
    match token_file {
        None if is_used => table.missing("token_file", "token_file = \"oncall.token\"", issues),
        Some(_) if !is_used && headers.iter().any(|(name, _)| name == "authorization") => {
            let issue = Issue::error(token_file?.key_at.clone(), "nothing says where the token goes");
            issues.push(issue.remedy("write `{{token}}` in a header, in the body or in the URL"));
        }
        Some(_) if !is_used => {
            headers.push(("authorization".into(), text_with_token("Bearer {{token}}")));
        }
        _ => {}
    }
    Some(WrittenWay::Hook { url, headers, body })
}

fn preset(text: &str) -> Template {
    Template::parse(text, &NAMES).expect("a test parses all of ours")
}

fn text_with_token(text: &str) -> Template {
    Template::parse(text, &[TOKEN]).expect("it is one of ours")
}

/// A URL: `http://host:port/path`, `https://[v6]/`.
fn url_of(text: &str, value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Url> {
    match parts(text) {
        Ok(url) => Some(url),
        Err(why) => {
            // Not what it is: there may be a secret in it.
            let issue = Issue::error(value.at.clone(), format!("`url` is no URL of http or https: {why}"));
            issues.push(issue.remedy("e.g. `\"https://hooks.example.com/services\"`"));
            None
        }
    }
}

/// A URL taken apart, or what is wrong with it.
fn parts(text: &str) -> Result<Url, String> {
    let (is_tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err("it begins with `http://` or `https://`".into()),
    };
    // The path may hold a secret, and that is written as a template.
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("secrets do not stand in it: use `token_file`".into());
    }
    let (host, port) = host_port(authority)?;
    if !path.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'#') {
        return Err("its path has spaces, `#` or letters beyond ASCII".into());
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let path = Template::parse(&path, &[TOKEN]).map_err(|wrong| wrong.to_string())?;
    Ok(Url { is_tls, host, port: port.unwrap_or(if is_tls { 443 } else { 80 }), path })
}

/// Whether a host is this machine: what is sent there nobody else reads on the way.
pub(super) fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A host without its brackets, and the port that is written.
pub(super) fn host_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) if rest.is_empty() || rest.starts_with(':') => (host, rest.strip_prefix(':')),
        _ => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    let is_host = match text.starts_with('[') {
        true => host.parse::<Ipv6Addr>().is_ok(),
        false => !host.is_empty() && host.bytes().all(name),
    };
    if !is_host {
        return Err("it names no host".into());
    }
    let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("its port is none"));
    Ok((host.to_owned(), port.transpose()?))
}

/// Request headers; their values may hold `{{token}}`.
fn headers(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<(String, Template)> {
    let Some(mut table) = value.table("`headers`", issues) else { return Vec::new() };
    let mut headers: Vec<(String, Template)> = Vec::new();
    for entry in table.named() {
        let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
        let name = entry.key.to_ascii_lowercase();
        // RFC 9110 §5.1.
        if name.is_empty() || !name.bytes().all(token) {
            let what = format!("`{}` is not the name of a header", shown(entry.key));
            issues.push(Issue::error(entry.key_at.clone(), what));
        } else if ["host", "content-length", "connection", "transfer-encoding"].contains(&&*name) {
            let what = format!("`{}` is written by steerdns itself", shown(entry.key));
            issues.push(Issue::error(entry.key_at.clone(), what).remedy("leave it out"));
        } else if headers.iter().any(|(other, _)| *other == name) {
            let what = format!("the header `{}` stands here twice", shown(entry.key));
            issues.push(Issue::error(entry.key_at.clone(), what));
        } else if let Some(text) = entry.text(issues) {
            if !text.is_ascii() {
                issues.push(entry.unfit("of ASCII alone"));
                continue;
            }
            match Template::parse(text, &[TOKEN]) {
                Ok(template) => headers.push((name, template)),
                Err(wrong) => issues.push(wrong_template(&entry, &wrong, &[TOKEN])),
            }
        }
    }
    headers
}

/// A body, which may have lines.
fn body(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Template> {
    let Some(text) = value.as_text() else {
        value.text(issues);
        return None;
    };
    if text.len() > BODY_OCTETS_MAX {
        let what = format!("`body` is longer than {} KiB", BODY_OCTETS_MAX / 1024);
        issues.push(Issue::error(value.at.clone(), what));
        return None;
    }
    let parsed =
        Template::parse(text, &NAMES).and_then(|template| template.check_json(&RAW).map(|()| template));
    parsed.map_err(|wrong| issues.push(wrong_template(value, &wrong, &NAMES))).ok()
}

fn wrong_template(value: &Value<'_>, wrong: &Wrong, names: &[&str]) -> Issue {
    let issue = Issue::error(value.at.clone(), format!("`{}`: {wrong}", shown(value.key)));
    match wrong {
        Wrong::Unknown(name) => match nearest(name, names.iter().copied()) {
            Some(near) => issue.remedy(format!("there is `{near}`")),
            None => issue.remedy(format!("there is {}", listed(names, "and"))),
        },
        Wrong::NoJson(_) => issue.remedy(
            "texts stand between quotes, `\"{{summary}}\"`; `{{alerts}}`, `{{count}}` and `{{firing}}` do not",
        ),
        Wrong::Open => issue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = |text: &str| {
            let url = parts(text).unwrap();
            (url.is_tls, url.host, url.port, url.path.filled(&|_| Some("secret".into())))
        };
        assert_eq!(url("http://127.0.0.1:9093"), (false, "127.0.0.1".into(), 9093, "/".into()));
        assert_eq!(url("https://a.example/b?c=d"), (true, "a.example".into(), 443, "/b?c=d".into()));
        assert_eq!(url("http://[::1]:80/x"), (false, "::1".into(), 80, "/x".into()));
        assert_eq!(url("https://a/{{token}}").3, "/secret");
        for wrong in [
            "a.example",
            "ftp://a",
            "http://",
            "http://u:p@a",
            "http://a:0",
            "http://a:x",
            "http://a/ b",
            "http://[x]/",
        ] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_sent_unless_told_otherwise_is_json() {
        for body in [WEBHOOK, SLACK, PAGERDUTY] {
            preset(body).check_json(&RAW).unwrap();
        }
    }
}
