//! What the files say, checked and linked, before it is compiled.

use std::sync::Arc;

use super::served::Secondaries;
use crate::cluster::Inventory;
use crate::geo::place::Prefix;
use crate::health::check::Check;
use crate::health::doubt::Distrust;
use crate::steering::balance::settings as balance;
use crate::steering::binding::Form;
use crate::steering::rules::Policy;
use crate::steering::service::Service;
use crate::wire::cookie::Secrets;
use crate::wire::digest::Token;
use crate::wire::name::Name;
use crate::wire::tsig::Key;
use crate::zone::compile::Extras;
use crate::zone::record::Record;

/// What the files say, checked and linked, before it is compiled.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The zones.
    pub zones: Vec<ZonePart>,
    /// The clusters.
    pub inventory: Inventory,
    /// The checks.
    pub checks: Vec<Arc<Check>>,
    /// The policies.
    pub policies: Vec<Policy>,
    /// What answers tell of the server.
    pub settings: Settings,
    /// When the server doubts what it sees.
    pub distrust: Distrust,
    /// How load is balanced; `None`: it is not.
    pub balance: Option<balance::Settings>,
    /// Networks that geofeeds place: they hold for addresses, too, that are not on the public internet.
    pub fed: Vec<Prefix>,
}

/// One zone.
#[derive(Clone, Debug)]
pub struct ZonePart {
    /// Its apex.
    pub origin: Name,
    /// Its records, SOA and NS among them.
    pub records: Vec<Record>,
    /// What is steered in it.
    pub services: Vec<Steered>,
    /// Who gets it whole.
    pub secondaries: Secondaries,
}

/// A service, and what it answers beside addresses.
#[derive(Clone, Debug)]
pub struct Steered {
    /// The service.
    pub service: Service,
    /// Owner, type, form, and how many clusters more are named.
    pub bindings: Vec<(Name, u16, Form, u8)>,
}

/// What answers tell of the server, and how much they are.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The server's identifier: NSID, `id.server`, `hostname.bind`; empty: not told.
    pub nsid: Box<[u8]>,
    /// What `version.bind` tells.
    pub version: String,
    /// The commit that the files are of: what `commit.server` tells; `None`: none is known.
    pub commit: Option<Commit>,
    /// The largest datagram that we send and say we take; 512..=4096.
    pub payload_max: u16,
    /// Who may ask `_why`.
    pub why: Vec<Prefix>,
    /// What makes server cookies; none: they are not spoken.
    pub cookies: Secrets,
    /// How many answers a network gets; `None`: as many as it asks for.
    pub rates: Option<Rates>,
    /// How long an idle connection is kept, in units of 100 ms (RFC 7828).
    pub keepalive_100ms: u16,
    /// The keys that clients may sign with.
    pub keys: Vec<Arc<Key>>,
    /// The token by which nodes may say how busy they are; `None`: nobody may.
    pub push_token: Option<Token>,
    /// What answers hold beside what they must.
    pub extras: Extras,
}

/// The commit that files are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id, in hexadecimal digits.
    pub id: Arc<str>,
    /// Whether the files are not those of the commit.
    pub is_modified: bool,
}

impl std::fmt::Display for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let modified = if self.is_modified { " modified" } else { "" };
        write!(f, "{}{modified}", self.id)
    }
}

/// How many answers a network gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Answers of one kind that a network gets in a second, over all answering threads.
    ///
    /// Each thread allows its share. The kernel deals queries to threads by address and port: a client that always asks from one
    /// port gets one thread's share.
    pub per_s: u32,
    /// Beyond that, every so manieth answer is sent all the same, cut to nothing (TC), so that whoever really asks comes back by
    /// TCP, or with a cookie; 0: none is, 1: all are.
    pub slip: u32,
    /// Bits of IPv4 addresses behind those of a network.
    pub ipv4_shift: u32,
    /// Bits of the upper halves of IPv6 addresses behind those of a network.
    pub ipv6_shift: u32,
    /// Networks that get as many answers as they ask for.
    pub allow: Vec<Prefix>,
}

impl Rates {
    /// With networks of so many leading bits: 1..=32 and 1..=64.
    pub fn new(per_s: u32, slip: u32, ipv4_bits: u8, ipv6_bits: u8, allow: Vec<Prefix>) -> Rates {
        let shift = |of: u32, bits: u8| of - u32::from(bits).clamp(1, of);
        Rates { per_s, slip, ipv4_shift: shift(32, ipv4_bits), ipv6_shift: shift(64, ipv6_bits), allow }
    }
}
