//! `[rrl]` and `[cookies]`: how much a client gets of whom nothing is proven, and how it proves its address.

use std::path::PathBuf;

use super::document::{Table, Written};
use super::issue::Issue;
use super::networks::prefix;
use crate::geo::place::Prefix;

/// Response rate limiting as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Rrl {
    /// Answers of one kind that a network gets in a second; 0: as many as it asks for. Default 500.
    ///
    /// Turn it up where a resolver that serves very many viewers is limited (`steerdns_rate_limited_total` grows while nobody
    /// attacks), or add its networks to `allow`.
    pub rate: u32,
    /// Beyond that, every so manieth answer is sent cut to nothing; 0: none, 1: all. Default 2.
    pub slip: u32,
    /// Leading bits of IPv4 addresses that are one network; 1..=32, default 24.
    pub ipv4: u8,
    /// Leading bits of IPv6 addresses that are one network; 1..=64, default 56.
    pub ipv6: u8,
    /// Networks that get as many answers as they ask for; default loopback.
    pub allow: Vec<Prefix>,
}

/// DNS cookies as they are written.
#[derive(Clone, Debug)]
pub struct Cookies {
    /// Whether they are spoken; default true.
    pub enabled: bool,
    /// The file of the secrets; `None`: one of our own, kept in the state directory.
    pub secret_file: Option<Written<PathBuf>>,
}

/// All defaults.
mod default {
    pub(super) const RATE: u32 = 500;
    pub(super) const SLIP: u32 = 2;
    pub(super) const IPV4: u8 = 24;
    pub(super) const IPV6: u8 = 56;
}

impl Default for Cookies {
    fn default() -> Cookies {
        Cookies { enabled: true, secret_file: None }
    }
}

/// Reads `[rrl]`; nothing is written where there is none.
pub fn rrl(table: Option<Table<'_>>, own: Vec<Prefix>, issues: &mut Vec<Issue>) -> Rrl {
    let mut rrl = Rrl {
        rate: default::RATE,
        slip: default::SLIP,
        ipv4: default::IPV4,
        ipv6: default::IPV6,
        allow: own,
    };
    let Some(mut table) = table else { return rrl };
    let mut whole = |key: &'static str, range: std::ops::RangeInclusive<i64>, issues: &mut Vec<Issue>| {
        table.take(key).and_then(|value| value.whole(range, issues))
    };
    let rate = whole("rate", 0..=10_000_000, issues).and_then(|rate| rate.try_into().ok());
    let slip = whole("slip", 0..=100, issues).and_then(|slip| slip.try_into().ok());
    let ipv4 = whole("ipv4", 1..=32, issues).and_then(|bits| bits.try_into().ok());
    let ipv6 = whole("ipv6", 1..=64, issues).and_then(|bits| bits.try_into().ok());
    if let Some(allow) = table.take("allow") {
        let elements = allow.list("\"192.0.2.0/24\"", issues);
        rrl.allow = elements.iter().filter_map(|element| prefix(element, issues)).collect();
    }
    table.finish(issues);
    rrl.rate = rate.unwrap_or(rrl.rate);
    rrl.slip = slip.unwrap_or(rrl.slip);
    rrl.ipv4 = ipv4.unwrap_or(rrl.ipv4);
    rrl.ipv6 = ipv6.unwrap_or(rrl.ipv6);
    rrl
}

/// Reads `[cookies]`.
pub fn cookies(mut table: Table<'_>, issues: &mut Vec<Issue>) -> Cookies {
    let enabled = table.take("enabled").and_then(|value| value.flag(issues)).unwrap_or(true);
    let file = table.take("secret_file");
    let secret_file = file.as_ref().and_then(|value| value.path(issues));
    table.finish(issues);
    if let Some(file) = file.filter(|_| !enabled) {
        let issue = Issue::warning(file.key_at, "`secret_file` does nothing while cookies are off");
        issues.push(issue.remedy("leave one of them out"));
    }
    Cookies { enabled, secret_file }
}
