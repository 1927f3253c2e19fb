//! Receivers of mail.

use super::hook::{host_port, is_here};
use super::{RECEIVERS_MAX, WrittenWay};
use crate::alert::receiver::{Mail, MailTls};
use crate::files::document::{Table, Value, at_most, each_once};
use crate::files::issue::Issue;
use crate::files::words::key_fault;

pub(super) fn mail(table: &mut Table<'_>, has_password: bool, issues: &mut Vec<Issue>) -> Option<WrittenWay> {
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
        Some(user) if tls == MailTls::None && !server.as_ref().is_some_and(|(host, _)| is_here(host)) => {
            let issue = Issue::error(user.key_at.clone(), "a password is not sent without TLS");
            issues.push(issue.remedy("write `tls = \"starttls\"`, or leave `user` and `password_file` out"));
        }
        _ => {}
    }
    let from = table.need("from", "from = \"steerdns@example.com\"", issues);
    let from = from.and_then(|value| address(&value, issues));
    let to = table.need("to", "to = [\"oncall@example.com\"]", issues);
    let to = to.map(|value| {
        let all = value.filled_list("\"oncall@example.com\"", issues);
        at_most(all.len(), RECEIVERS_MAX, "mailboxes", &value.at, issues);
        each_once(all.iter().filter_map(|each| Some(each.written(address(each, issues)?))).collect(), issues)
    });
    let to = to.unwrap_or_default().into_iter().map(|to| to.value).collect();
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
    let label = |label: &str| key_fault(label).is_none();
    let is_one =
        text.rsplit_once('@').is_some_and(|(local, domain)| dotted(local) && domain.split('.').all(label));
    if !is_one {
        issues
            .push(value.unfit("a mail address").remedy("without a name and brackets: `oncall@example.com`"));
        return None;
    }
    Some(text.to_owned())
}
