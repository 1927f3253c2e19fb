//! `[alert]` of steerdns.toml: when operators are told of what is wrong, who, and how.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::document::{Table, Value, Written};
use super::issue::{At, Issue};
use super::words::{listed, nearest, shown};
use crate::alert::condition::Severity;
use crate::alert::desk::Timing;
use crate::alert::message::{NAMES, PAGERDUTY, RAW, SLACK, WEBHOOK};
use crate::alert::receiver::{Alerting, Hook, Mail, MailTls, Receiver, Secret, Way};
use crate::alert::template::{Template, Wrong};

/// The longest body, in octets: what is posted is a notice, not a book.
const BODY_OCTETS_MAX: usize = 64 * 1024;
/// The longest secret, in octets.
const SECRET_OCTETS_MAX: usize = 4096;
/// The most receivers, and the most that read one mail.
const RECEIVERS_MAX: usize = 64;
/// What stands for the secret of `token_file`.
const TOKEN: &str = "token";

/// All defaults beside those of [`Timing`].
mod default {
    use std::time::Duration;

    pub(super) const DATABASE_AGE: Duration = Duration::from_secs(180 * 86_400);
    pub(super) const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
}

/// What `[alert]` says; the files that it names are not read yet.
#[derive(Clone, Debug)]
pub struct WrittenAlerts {
    timing: Timing,
    database_age: Duration,
    receivers: Vec<WrittenReceiver>,
}

impl Default for WrittenAlerts {
    fn default() -> WrittenAlerts {
        WrittenAlerts {
            timing: Timing::default(),
            database_age: default::DATABASE_AGE,
            receivers: Vec::new(),
        }
    }
}

#[derive(Clone, Debug)]
struct WrittenReceiver {
    name: Arc<str>,
    least: Severity,
    /// A secret that stands for `{{token}}`.
    token: Option<Written<PathBuf>>,
    roots: Option<Written<PathBuf>>,
    way: WrittenWay,
}

#[derive(Clone, Debug)]
enum WrittenWay {
    Hook { url: Url, headers: Vec<(String, Template)>, body: Option<Template> },
    Mail { mail: Mail, user: Option<String> },
}

/// A URL, taken apart.
#[derive(Clone, Debug)]
struct Url {
    is_tls: bool,
    host: String,
    port: u16,
    path: Template,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Alertmanager,
    Webhook,
    Slack,
    PagerDuty,
    Email,
}

/// The words of `kind`.
const KINDS: [(&str, Word); 5] = [
    ("alertmanager", Word::Alertmanager),
    ("webhook", Word::Webhook),
    ("slack", Word::Slack),
    ("pagerduty", Word::PagerDuty),
    ("email", Word::Email),
];

/// The keys that some kinds have and others have not.
const KEYS_OF_KINDS: [(&str, &[&str]); 9] = [
    ("url", &["alertmanager", "webhook", "slack", "pagerduty"]),
    ("headers", &["alertmanager", "webhook", "slack", "pagerduty"]),
    ("token_file", &["alertmanager", "webhook", "slack", "pagerduty"]),
    ("body", &["webhook"]),
    ("server", &["email"]),
    ("tls", &["email"]),
    ("user", &["email"]),
    ("from", &["email"]),
    ("to", &["email"]),
];

/// Reads `[alert]`.
pub fn alerts(mut table: Table<'_>, issues: &mut Vec<Issue>) -> WrittenAlerts {
    let usual = WrittenAlerts::default();
    let mut duration = |key: &'static str, range: RangeInclusive<u64>, usual: Duration| {
        let range = Duration::from_secs(*range.start())..=Duration::from_secs(*range.end());
        table.take(key).and_then(|value| value.duration(range, issues)).unwrap_or(usual)
    };
    let timing = Timing {
        hold: duration("hold", 0..=3600, usual.timing.hold),
        resolve_after: duration("resolve_after", 0..=86_400, usual.timing.resolve_after),
        group_wait: duration("group_wait", 0..=600, usual.timing.group_wait),
        repeat: duration("repeat", 60..=30 * 86_400, usual.timing.repeat),
    };
    let database_age = duration("database_age", 86_400..=3650 * 86_400, usual.database_age);
    let to = table.take("to");
    table.finish(issues);
    let mut receivers = Vec::new();
    if let Some(to) = to {
        let named = to.table("`[alert.to]`", issues).map(|mut named| named.named()).unwrap_or_default();
        if named.len() > RECEIVERS_MAX {
            let what = format!("{} receivers are more than {RECEIVERS_MAX}", named.len());
            issues.push(Issue::error(to.key_at, what));
        }
        receivers = named.iter().filter_map(|value| receiver(value, issues)).collect();
    }
    WrittenAlerts { timing, database_age, receivers }
}

fn receiver(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenReceiver> {
    let name = value.label("receiver", issues).value;
    let mut table = value.table(format!("receiver `{}`", shown(value.key)), issues)?;
    let kind = table.need("kind", "kind = \"alertmanager\"", issues);
    let kind = kind.and_then(|value| value.word(&KINDS, issues));
    let least = table.take("severity").and_then(|value| value.word(&Severity::ALL, issues));
    let roots = table.take("roots").and_then(|value| value.path(issues));
    let told = issues.len();
    let (mut token, mut way) = (None, None);
    match kind {
        Some(Word::Email) => {
            token = table.take("password_file").and_then(|value| value.path(issues));
            let has_password = token.is_some();
            way = mail(&mut table, has_password, issues);
        }
        Some(word) => {
            table.refuse(
                "password_file",
                "`password_file` is not a key of this kind of receiver",
                "its secret stands in `token_file`",
                issues,
            );
            let file = table.take("token_file");
            token = file.as_ref().and_then(|value| value.path(issues));
            way = hook(&mut table, word, file.as_ref(), issues);
        }
        None => _ = table.take("password_file"),
    }
    let kind_word = KINDS.iter().find(|(_, word)| Some(*word) == kind).map_or("", |(word, _)| word);
    for (key, kinds) in KEYS_OF_KINDS {
        // Without a kind nobody knows which of these may stand here.
        if kind.is_none() {
            table.take(key);
        } else {
            let what = format!("`{key}` is not a key of a receiver of kind `{kind_word}`");
            table.refuse(key, &what, &format!("it is one of kind {}", listed(kinds, "or")), issues);
        }
    }
    table.finish(issues);
    let is_whole = issues.len() == told;
    let way = way.filter(|_| is_whole)?;
    Some(WrittenReceiver { name, least: least.unwrap_or_default(), token, roots, way })
}

fn hook(
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
        None if word == Word::PagerDuty => parts(default::PAGERDUTY_URL).ok(),
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

/// A host without its brackets, and the port that is written.
fn host_port(text: &str) -> Result<(String, Option<u16>), String> {
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

fn mail(table: &mut Table<'_>, has_password: bool, issues: &mut Vec<Issue>) -> Option<WrittenWay> {
    let server = table.need("server", "server = \"smtp.example.com\"", issues);
    let server = server.and_then(|value| {
        let text = value.filled(issues)?;
        host_port(text)
            .map_err(|why| issues.push(value.unfit("a host, or a host and a port").remedy(why)))
            .ok()
    });
    let tls =
        table.take("tls").and_then(|value| value.word(&MailTls::ALL, issues)).unwrap_or(MailTls::StartTls);
    let user_value = table.take("user");
    let user = user_value.as_ref().and_then(|value| value.filled(issues)).map(str::to_owned);
    match &user_value {
        Some(_) if !has_password => {
            table.missing("password_file", "password_file = \"smtp.password\"", issues)
        }
        None if has_password => table.missing("user", "user = \"alerts@example.com\"", issues),
        Some(user) if tls == MailTls::None => {
            let issue = Issue::error(user.key_at.clone(), "a password is not sent without TLS");
            issues.push(issue.remedy("write `tls = \"starttls\"`, or leave `user` and `password_file` out"));
        }
        _ => {}
    }
    let from = table.need("from", "from = \"steerdns@example.com\"", issues);
    let from = from.and_then(|value| address(&value, issues));
    let to = table.need("to", "to = [\"oncall@example.com\"]", issues);
    let to = to.map(|value| value.filled_list("\"oncall@example.com\"", issues)).unwrap_or_default();
    let to: Vec<String> = to.iter().take(RECEIVERS_MAX).filter_map(|value| address(value, issues)).collect();
    let (host, port) = server?;
    let port = port.unwrap_or(tls.port());
    let mail = Mail { host, port, tls, roots: None, login: None, from: from?, to };
    (!mail.to.is_empty()).then_some(WrittenWay::Mail { mail, user })
}

/// A mail address: `local@domain`, of those characters that need no quotes (RFC 5321 §4.1.2).
fn address(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = value.filled(issues)?;
    let atom = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    let dotted = |text: &str| text.split('.').all(|part| !part.is_empty() && part.bytes().all(atom));
    let label = |label: &str| super::words::key_fault(label).is_none();
    let is_one =
        text.rsplit_once('@').is_some_and(|(local, domain)| dotted(local) && domain.split('.').all(label));
    if !is_one {
        issues
            .push(value.unfit("a mail address").remedy("without a name and brackets: `oncall@example.com`"));
        return None;
    }
    Some(text.to_owned())
}

/// Reads what `[alert]` names, and makes it whole. What cannot be read is told, and its receiver left out.
pub fn settle(
    written: &WrittenAlerts,
    file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    issues: &mut Vec<Issue>,
) -> Alerting {
    let mut receivers = BTreeMap::new();
    for receiver in &written.receivers {
        let token = match receiver.token.as_ref().map(|path| secret(path, file, issues)) {
            Some(None) => continue,
            read => read.flatten(),
        };
        let roots = match receiver.roots.as_ref().map(|path| roots(path, file, issues)) {
            Some(None) => continue,
            read => read.flatten(),
        };
        let way = match receiver.way.clone() {
            WrittenWay::Hook { url, headers, body } => {
                let value = |_: &str| token.as_ref().map(|token| token.0.clone());
                let secret = |template: &Template| Secret(template.filled(&value));
                let headers = headers.iter().map(|(name, value)| (name.clone(), secret(value))).collect();
                let mut path = secret(&url.path);
                if body.is_none() {
                    path.0 = format!("{}/api/v2/alerts", path.0.trim_end_matches('/'));
                }
                let Url { is_tls, host, port, .. } = url;
                let hook = Hook { is_tls, host, port, path, headers, token, roots };
                body.map_or_else(|| Way::Alertmanager(hook.clone()), |body| Way::Webhook(hook.clone(), body))
            }
            WrittenWay::Mail { mail, user } => Way::Email(Mail { login: user.zip(token), roots, ..mail }),
        };
        let name = Arc::clone(&receiver.name);
        receivers.insert(Arc::clone(&name), Arc::new(Receiver { name, least: receiver.least, way }));
    }
    Alerting { timing: written.timing, database_age: written.database_age, receivers }
}

/// A secret, alone in its file.
fn secret(
    path: &Written<PathBuf>,
    file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    issues: &mut Vec<Issue>,
) -> Option<Secret> {
    let octets = octets(path, file, issues)?;
    let mut wrong = |what: &str| {
        let path_shown = shown(&path.value.to_string_lossy());
        issues.push(Issue::error(path.at.clone(), format!("`{path_shown}` {what}")));
        None
    };
    let Ok(text) = String::from_utf8(octets) else { return wrong("is not text") };
    match text.trim() {
        "" => wrong("is empty"),
        text if text.len() > SECRET_OCTETS_MAX => wrong("is too long for a secret"),
        // It goes into headers, URLs and JSON.
        text if !text.bytes().all(|octet| octet.is_ascii_graphic()) => {
            wrong("holds more than one word of ASCII")
        }
        text => Some(Secret(text.to_owned())),
    }
}

fn roots(
    path: &Written<PathBuf>,
    file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    issues: &mut Vec<Issue>,
) -> Option<Arc<[u8]>> {
    let pem = octets(path, file, issues)?;
    let mark = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(mark.len()).any(|window| window == mark) {
        let what = format!("`{}` holds no certificate", shown(&path.value.to_string_lossy()));
        issues.push(Issue::error(path.at.clone(), what).remedy("PEM, as openssl writes it"));
        return None;
    }
    Some(pem.into())
}

fn octets(
    path: &Written<PathBuf>,
    file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    issues: &mut Vec<Issue>,
) -> Option<Vec<u8>> {
    let at: At = path.at.clone();
    let path_shown = shown(&path.value.to_string_lossy());
    let unread = |fault: io::Error| match fault.kind() {
        io::ErrorKind::NotFound => format!("`{path_shown}` does not exist"),
        io::ErrorKind::PermissionDenied => format!("`{path_shown}` may not be read by this user"),
        _ => format!("`{path_shown}` cannot be read: {fault}"),
    };
    file(&path.value).map_err(|fault| issues.push(Issue::error(at, unread(fault)))).ok()
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
