//! Secondaries: who may transfer a zone, who is told of its changes, and the keys that they sign with.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::document::{Table, Value, Written};
use super::issue::{At, Issue};
use super::networks::prefix;
use super::secrets;
use super::words::shown;
use crate::geo::place::Prefix;
use crate::wire::name::Name;
use crate::wire::tsig::Algorithm;

/// Where nameservers listen.
const PORT: u16 = 53;

/// A key as it is written.
#[derive(Clone, Debug)]
pub struct WrittenKey {
    /// Its name, which both sides must call the same.
    pub name: Written<Name>,
    /// How messages are hashed; default hmac-sha256.
    pub algorithm: Algorithm,
    /// Its secret.
    pub secret: WrittenSecret,
}

/// A secret as it is written.
#[derive(Clone)]
pub enum WrittenSecret {
    /// Beside its key.
    Here(Vec<u8>),
    /// In a file of its own.
    File(Written<PathBuf>),
    /// It could not be read: that has been told.
    Unread,
}

impl std::fmt::Debug for WrittenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WrittenSecret::Here(_) => f.write_str("a secret"),
            WrittenSecret::File(path) => write!(f, "a secret in {}", path.value.display()),
            WrittenSecret::Unread => f.write_str("no secret"),
        }
    }
}

/// Who may transfer a zone, and who is told of its changes, as it is written.
#[derive(Clone, Debug, Default)]
pub struct WrittenTransfer {
    /// Where `notify` stands, if it does.
    pub notify_at: Option<At>,
    /// Who may.
    pub allow: Vec<WrittenGrant>,
    /// Who is told.
    pub notify: Vec<WrittenNotified>,
}

/// Who may transfer a zone: whom all that is said here fits.
#[derive(Clone, Debug)]
pub struct WrittenGrant {
    /// From there.
    pub from: Option<Prefix>,
    /// With this key.
    pub key: Option<Written<Name>>,
}

/// Who is told of a zone's changes.
#[derive(Clone, Debug)]
pub struct WrittenNotified {
    /// Where it listens; port 53 where none is written.
    pub address: SocketAddr,
    /// The key that the message is signed with.
    pub key: Option<Written<Name>>,
}

/// Reads `[key."…"]`.
pub fn key(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenKey> {
    let name = name(value.key, &value.key_at, issues);
    let mut table = value.table(format!("key `{}`", shown(value.key)), issues)?;
    let algorithm = table.take("algorithm").and_then(|value| value.word(&Algorithm::ALL, issues));
    let here = table.take("secret");
    let file = table.take("secret_file");
    let secret = match (&here, &file) {
        (Some(here), None) => here.text(issues).and_then(|text| match secrets::key(text) {
            Ok(octets) => Some(WrittenSecret::Here(octets)),
            Err(wrong) => {
                issues.push(Issue::error(here.at.clone(), format!("the secret {wrong}")));
                None
            }
        }),
        (None, Some(file)) => file.path(issues).map(WrittenSecret::File),
        (Some(here), Some(file)) => {
            let issue =
                Issue::error(file.key_at.clone(), "a key has a `secret` or a `secret_file`, not both");
            issues.push(issue.also(here.key_at.clone(), "the other one"));
            None
        }
        (None, None) => {
            table.missing("secret_file", "secret_file = \"sin.key\"", issues);
            None
        }
    };
    table.finish(issues);
    let secret = secret.unwrap_or(WrittenSecret::Unread);
    Some(WrittenKey { name: name?, algorithm: algorithm.unwrap_or(Algorithm::Sha256), secret })
}

/// Reads `[transfer]`.
pub fn transfer(mut table: Table<'_>, issues: &mut Vec<Issue>) -> WrittenTransfer {
    let allow = table.take("allow").map(|value| value.list("\"192.0.2.7\"", issues)).unwrap_or_default();
    let allow = allow.iter().filter_map(|value| grant(value, issues)).collect();
    let notify = table.take("notify");
    let notify_at = notify.as_ref().map(|value| value.key_at.clone());
    let notify = notify.map(|value| value.list("\"192.0.2.7\"", issues)).unwrap_or_default();
    let notify = notify.iter().filter_map(|value| notified(value, issues)).collect();
    table.finish(issues);
    WrittenTransfer { notify_at, allow, notify }
}

fn grant(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenGrant> {
    if !value.is_table() {
        return prefix(value, issues).map(|from| WrittenGrant { from: Some(from), key: None });
    }
    let mut table = value.table("`allow`", issues)?;
    let from_value = table.take("from");
    let from = from_value.as_ref().and_then(|value| prefix(value, issues));
    let key_value = table.take("key");
    let key = key_value.as_ref().and_then(|value| key_name(value, issues));
    // Where something else is written, that is told.
    if table.is_empty() {
        table.missing("key", "{ from = \"192.0.2.0/24\", key = \"sin\" }", issues);
    }
    table.finish(issues);
    let read = from.is_some() == from_value.is_some() && key.is_some() == key_value.is_some();
    (read && (from.is_some() || key.is_some())).then_some(WrittenGrant { from, key })
}

fn notified(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenNotified> {
    if !value.is_table() {
        return address(value, issues).map(|address| WrittenNotified { address, key: None });
    }
    let mut table = value.table("`notify`", issues)?;
    let to = table.need("address", "{ address = \"192.0.2.7\", key = \"sin\" }", issues);
    let to = to.and_then(|value| address(&value, issues));
    let key = table.take("key").and_then(|value| key_name(&value, issues));
    table.finish(issues);
    Some(WrittenNotified { address: to?, key })
}

/// Where a secondary listens: an address, with or without a port.
fn address(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<SocketAddr> {
    let text = value.text(issues)?;
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    let address = address.or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT)));
    let is_one = |ip: IpAddr| !ip.is_unspecified() && !ip.is_multicast();
    let address = address.filter(|address| is_one(address.ip()));
    if address.is_none() {
        let issue = value.unfit("the address of one secondary, or an address and a port");
        issues.push(
            issue.remedy("e.g. `\"192.0.2.7\"` or `\"[2001:db8::7]:5353\"`; host names are not looked up"),
        );
    }
    address
}

fn key_name(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Written<Name>> {
    let text = value.filled(issues)?;
    name(text, &value.at, issues)
}

/// A key's name: a domain name, which needs no dot at its end.
fn name(text: &str, at: &super::issue::At, issues: &mut Vec<Issue>) -> Option<Written<Name>> {
    match Name::parse(text, Some(&Name::root())) {
        Ok(name) if name != Name::root() => Some(Written { value: name, at: at.clone() }),
        Ok(_) => {
            issues.push(Issue::error(at.clone(), "the root is no name of a key"));
            None
        }
        Err(fault) => {
            issues.push(Issue::error(at.clone(), format!("`{}` is not a name: {fault}", shown(text))));
            None
        }
    }
}
