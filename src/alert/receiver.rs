//! Who is told, how, and of what: checked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::condition::Severity;
use super::desk::Timing;
use super::template::Template;

/// What the files say of alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerting {
    /// When things are told.
    pub timing: Timing,
    /// A GeoIP database may be so old; default 180 days.
    pub database_age: Duration,
    /// Who is told, by name.
    pub receivers: BTreeMap<Arc<str>, Arc<Receiver>>,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// The name that the operator gave.
    pub name: Arc<str>,
    /// Told of alerts as grave as this, and graver.
    pub least: Severity,
    /// How.
    pub way: Way,
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// All that fires, every minute and whenever it changes: Alertmanager groups, repeats and silences by itself.
    Alertmanager(Hook),
    /// Each notification, as a JSON body of the operator's making.
    Webhook(Hook, Template),
    /// Each notification, as a mail.
    Email(Mail),
}

/// Where and how something is posted.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Whether by TLS.
    pub is_tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query. Some services have their secret in it.
    pub path: Secret,
    /// Headers beside the usual ones, names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// What stands for `{{token}}` in the body.
    pub token: Option<Secret>,
    /// Certificates that are trusted, PEM; `None`: those that are built in.
    pub roots: Option<Arc<[u8]>>,
}

/// Where and how mails are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// The server's name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS is spoken.
    pub tls: MailTls,
    /// Certificates that are trusted, PEM; `None`: those that are built in.
    pub roots: Option<Arc<[u8]>>,
    /// User and password, if the server wants them.
    pub login: Option<(String, Secret)>,
    /// Who writes.
    pub from: String,
    /// Who reads; at least one.
    pub to: Vec<String>,
}

/// How TLS is spoken with a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// After STARTTLS, without which nothing is sent (RFC 3207).
    StartTls,
    /// From the first octet (RFC 8314).
    Tls,
    /// Not at all.
    None,
}

impl MailTls {
    /// All of them, as they are written.
    pub const ALL: [(&str, MailTls); 3] =
        [("starttls", MailTls::StartTls), ("tls", MailTls::Tls), ("none", MailTls::None)];

    /// The port that goes without saying.
    pub fn port(self) -> u16 {
        match self {
            MailTls::StartTls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        }
    }
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}
