//! What a dns check says: the question, and what must come back.

use crate::files::document::{Table, Value};
use crate::files::issue::Issue;
use crate::files::rdata;
use crate::health::check::{Dns, DnsOver, RCODES};
use crate::wire::name::Name;
use crate::wire::query::rcode;
use crate::zone::record::rtype;

pub(super) fn dns(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Dns {
    let name = table.need("name", "name = \"www.example.com\"", issues);
    let name = name.and_then(|value| name_of(&value, issues)).unwrap_or_else(Name::root);
    let rtype = table.take("type").and_then(|value| type_of(&value, issues)).unwrap_or(rtype::A);
    let tcp = table.take("tcp").and_then(|value| value.flag(issues)).unwrap_or(false);
    let rcode = table.take("rcode").and_then(|value| value.word(&RCODES, issues)).unwrap_or(rcode::NOERROR);
    let answers = table.take("answers").and_then(|value| value.whole(0..=1000, issues));
    let usual = u16::from(rcode == rcode::NOERROR);
    let answers = answers.and_then(|answers| answers.try_into().ok()).unwrap_or(usual);
    let authoritative = table.take("aa").and_then(|value| value.flag(issues)).unwrap_or(false);
    let over = if tcp { DnsOver::Tcp } else { DnsOver::Udp };
    Dns { name, rtype, over, rcode, answers, authoritative }
}

/// A name, absolute with its last dot or without.
fn name_of(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Name> {
    let text = value.text(issues)?;
    let name = Name::parse(text, Some(&Name::root()));
    name.map_err(|error| issues.push(value.unfit("a domain name").remedy(error.to_string()))).ok()
}

fn type_of(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<u16> {
    let text = value.text(issues)?;
    let found = rdata::rtype(text).filter(|found| !rdata::is_meta(*found));
    if found.is_none() {
        issues.push(value.unfit("a type of records").remedy("e.g. `\"A\"`, `\"SOA\"` or `\"TYPE65280\"`"));
    }
    found
}
