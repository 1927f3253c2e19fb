//! `[admin]` of steerdns.toml: where operators and their tools look.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::document::{Table, Value, Written};
use super::issue::Issue;
use super::server::socket;
use super::words::key_fault;
use crate::steering::client::unroutable;

/// The listener of operators and their tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Its address.
    pub listen: SocketAddr,
    /// What it may be asked by, beside addresses, `localhost` and the NSID: host names, in lower case; default none.
    pub names: Vec<String>,
}

pub(super) fn admin(
    mut table: Table<'_>,
    listen: &[Written<SocketAddr>],
    push_token: &mut Option<Written<PathBuf>>,
    issues: &mut Vec<Issue>,
) -> Option<Admin> {
    let value = table.need("listen", "listen = \"127.0.0.1:9353\"", issues);
    let names = table.take("names").map(|value| value.list("\"ns1.example.com\"", issues));
    let names = names.iter().flatten().filter_map(|value| name(value, issues)).collect();
    *push_token = table.take("push_token_file").and_then(|value| value.path(issues));
    table.finish(issues);
    let value = value?;
    let own = socket(&value, issues)?;
    if let Some(same) = listen.iter().find(|socket| socket.value == own && own.port() != 0) {
        let what = format!("`{own}` answers queries: it cannot be the admin address, too");
        issues.push(Issue::error(value.at, what).also(same.at.clone(), "queries are answered here"));
    } else if own.ip().is_unspecified() || unroutable(own.ip()).is_none() {
        let what =
            format!("whoever reaches `{own}` reads `/metrics` and `/status`: no password is asked for");
        let remedy = "listen on loopback or in a network of your own; or have a firewall keep strangers out";
        issues.push(Issue::warning(value.at, what).remedy(remedy));
    }
    Some(Admin { listen: own, names })
}

/// A host name, without a port.
fn name(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = value.filled(issues)?;
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.split('.').any(|label| key_fault(label).is_some()) {
        issues.push(value.unfit("a host name").remedy("without a port: `ns1.example.com`"));
        return None;
    }
    Some(name.to_ascii_lowercase())
}
