//! The files that `[alert]` names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hook::Url;
use super::{WrittenAlerts, WrittenWay};
use crate::alert::receiver::{Alerting, Hook, Mail, Receiver, Secret, Way};
use crate::alert::template::Template;
use crate::files::document::Written;
use crate::files::issue::{At, Issue};
use crate::files::words::shown;

/// The longest secret, in octets.
const SECRET_OCTETS_MAX: usize = 4096;
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
