//! `[alert]` of steerdns.toml: when operators are told of what is wrong, who, and how.

mod hook;
mod mail;
mod settle;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::hook::{Url, hook};
use self::mail::mail;
pub use self::settle::settle;
use super::document::{Table, Value, Written};
use super::issue::{self, Issue};
use super::words::{listed, shown};
use crate::alert::condition::Severity;
use crate::alert::desk::Timing;
use crate::alert::receiver::{Mail, MailTls};
use crate::alert::template::Template;

/// The most receivers, and the most that read one mail.
const RECEIVERS_MAX: usize = 64;

/// All defaults beside those of [`Timing`].
mod default {
    use std::time::Duration;

    pub(super) const DATABASE_AGE: Duration = Duration::from_secs(180 * 86_400);
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
    let told = issues.len();
    let roots_value = table.take("roots");
    let roots = roots_value.as_ref().and_then(|value| value.path(issues));
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
    let is_whole = issues[told..].iter().all(|issue| issue.severity != issue::Severity::Error);
    let way = way.filter(|_| is_whole)?;
    let without = match &way {
        WrittenWay::Hook { url, .. } if !url.is_tls => Some("where `url` is `http://`"),
        WrittenWay::Mail { mail, .. } if mail.tls == MailTls::None => Some("with `tls = \"none\"`"),
        _ => None,
    };
    if let (Some(value), Some(without)) = (roots_value, without) {
        issues.push(Issue::warning(
            value.key_at,
            format!("`roots` do nothing {without}: nothing is encrypted"),
        ));
    }
    Some(WrittenReceiver { name, least: least.unwrap_or_default(), token, roots, way })
}
