//! `https`, `svcb` and `srv` of a service: what it answers beside addresses.

use super::document::{Table, Value, Written};
use super::issue::Issue;
use super::words::shown;
use crate::steering::binding::Form;
use crate::wire::name::Name;
use crate::zone::record::rtype;

/// The most clusters that are named beside the one that is answered.
const NEXT_MAX: i64 = 8;
/// SvcParamKeys (RFC 9460 §14.3.2).
const ALPN: u16 = 1;
const PORT: u16 = 3;

/// A binding as it is written.
#[derive(Clone, Debug)]
pub struct WrittenBinding {
    /// Where it stands: the service's own name, or one below it.
    pub owner: Written<Name>,
    /// HTTPS, SVCB or SRV.
    pub rtype: u16,
    /// How it is said.
    pub form: Form,
    /// So many clusters more are named; `None`: one, where clusters have names.
    pub next: Option<Written<u8>>,
}

impl WrittenBinding {
    /// The word for its type.
    pub fn word(&self) -> &'static str {
        match self.rtype {
            rtype::HTTPS => "HTTPS",
            rtype::SVCB => "SVCB",
            _ => "SRV",
        }
    }
}

/// Takes the bindings of a service that stands at `owner` from its table.
pub fn take(table: &mut Table<'_>, owner: Option<&Name>, issues: &mut Vec<Issue>) -> Vec<WrittenBinding> {
    let mut bindings = Vec::new();
    let values = [(rtype::HTTPS, table.take("https")), (rtype::SVCB, table.take("svcb"))];
    let srv = table.take("srv");
    let Some(owner) = owner else { return bindings };
    for (rtype, value) in values {
        bindings.extend(value.and_then(|value| service(rtype, &value, owner, issues)));
    }
    if let Some(value) = srv {
        bindings.extend(nodes(&value, owner, issues));
    }
    bindings
}

/// HTTPS or SVCB: `true`, or how to speak there.
fn service(rtype: u16, value: &Value<'_>, owner: &Name, issues: &mut Vec<Issue>) -> Option<WrittenBinding> {
    let own = || Written { value: owner.clone(), at: value.key_at.clone() };
    if !value.is_table() {
        let wanted = value.flag(issues)?;
        let form = Form::Service { target: [0].into(), params: [].into() };
        return wanted.then(|| WrittenBinding { owner: own(), rtype, form, next: None });
    }
    let mut table = value.table(format!("`{}`", value.key), issues)?;
    let prefix = table.take("name");
    let at = match &prefix {
        Some(prefix) => below(prefix, owner, issues),
        None => Some(own()),
    };
    let alpn = table.take("alpn").map(|value| alpn(&value, issues));
    let port = table.take("port").and_then(|value| value.whole(1..=65_535, issues));
    let next = next(&mut table, issues);
    table.finish(issues);
    let mut params = Vec::new();
    if let Some(ids) = alpn.filter(|ids| !ids.is_empty()) {
        param(&mut params, ALPN, &ids);
    }
    if let Some(port) = port.and_then(|port| u16::try_from(port).ok()) {
        param(&mut params, PORT, &port.to_be_bytes());
    }
    // RFC 9460 §2.5.2: `.` is the owner itself, which below a prefix has no addresses.
    let target: Box<[u8]> = if prefix.is_none() { [0].into() } else { owner.octets().into() };
    let form = Form::Service { target, params: params.into() };
    Some(WrittenBinding { owner: at?, rtype, form, next })
}

/// SRV: one name, some names, or a table.
fn nodes(value: &Value<'_>, owner: &Name, issues: &mut Vec<Issue>) -> Vec<WrittenBinding> {
    let mut port = None;
    let mut more = None;
    let names = if value.is_table() {
        let Some(mut table) = value.table("`srv`", issues) else { return Vec::new() };
        let names = table.need("names", "{ names = [\"_rtmp._tcp\"] }", issues);
        port = table.take("port").and_then(|value| value.whole(1..=65_535, issues));
        more = next(&mut table, issues);
        table.finish(issues);
        names.map(|names| names.filled_list("\"_rtmp._tcp\"", issues)).unwrap_or_default()
    } else if value.is_list() {
        value.filled_list("\"_rtmp._tcp\"", issues)
    } else {
        vec![value.clone()]
    };
    let port = port.and_then(|port| u16::try_from(port).ok());
    let bindings = names.iter().filter_map(|name| {
        let owner = below(name, owner, issues)?;
        let (form, next) = (Form::Nodes { port }, more.clone());
        Some(WrittenBinding { owner, rtype: rtype::SRV, form, next })
    });
    bindings.collect()
}

fn next(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Option<Written<u8>> {
    let value = table.take("next")?;
    let next = value.whole(0..=NEXT_MAX, issues)?;
    Some(value.written(next.try_into().ok()?))
}

/// A name below the service's, such as `_rtmp._tcp` (RFC 2782, RFC 9460 §2.3).
fn below(value: &Value<'_>, owner: &Name, issues: &mut Vec<Issue>) -> Option<Written<Name>> {
    let text = value.filled(issues)?;
    let labels = text.split('.');
    let underscored = labels.clone().all(|label| label.len() > 1 && label.starts_with('_'));
    if !underscored || text.contains('\\') {
        issues.push(value.unfit("labels that begin with `_`, such as `_rtmp._tcp`"));
        return None;
    }
    if owner.is_wildcard() {
        let what =
            format!("`{text}` cannot stand below the wildcard `{owner}`: `*` is the first label of a name");
        issues.push(Issue::error(value.at.clone(), what).remedy("give the names services of their own"));
        return None;
    }
    match Name::parse(text, Some(owner)) {
        Ok(name) => Some(value.written(name)),
        Err(fault) => {
            issues.push(Issue::error(value.at.clone(), format!("`{}` is not a name: {fault}", shown(text))));
            None
        }
    }
}

/// Protocol ids as they stand in `alpn` (RFC 9460 §7.1.1): each behind its length.
fn alpn(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<u8> {
    let mut octets = Vec::new();
    for element in value.filled_list("\"h2\"", issues) {
        let Some(id) = element.filled(issues) else { continue };
        match u8::try_from(id.len()) {
            Ok(len) => {
                octets.push(len);
                octets.extend(id.as_bytes());
            }
            Err(_) => issues.push(element.unfit("at most 255 octets")),
        }
    }
    octets
}

fn param(params: &mut Vec<u8>, key: u16, value: &[u8]) {
    params.extend(key.to_be_bytes());
    params.extend((value.len() as u16).to_be_bytes());
    params.extend(value);
}
