//! The law: lookup agrees with a naive scan of the records (RFC 1034 §4.3.2, RFC 4592 §3.3, RFC 6672 §3.2).
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use steerdns::geo::places::Places;
use steerdns::plan::Plan;
use steerdns::plan::parts::{Parts, ZonePart};
use steerdns::plan::served::Secondaries;
use steerdns::snapshot::Snapshot;
use steerdns::wire::lowered::Lowered;
use steerdns::wire::name::Name;
use steerdns::zone::chain::CHAIN_MAX;
use steerdns::zone::compile::Extras;
use steerdns::zone::lookup::{AliasEnd, Found, Zones};
use steerdns::zone::record::{Record, rtype};
use steerdns::zone::template::TemplateId;
use steerdns::zone::tree::{RouteId, SteeredName, Way, ZoneRecords};
use support::ask::at;
use support::message::{Rr, Said};

const APEXES: [&str; 4] = ["z.", "a.z.", "b.a.z.", "a.b.z."];
const LABELS: [&str; 3] = ["a", "b", "*"];
const TYPES: [u16; 10] = [
    rtype::A,
    rtype::AAAA,
    rtype::TXT,
    rtype::NS,
    rtype::SOA,
    rtype::CNAME,
    rtype::DNAME,
    rtype::DS,
    rtype::ANY,
    rtype::RRSIG,
];
const TTL_S: u32 = 300;
const NEGATIVE_TTL_S: u32 = 60;

/// What stands at an owner.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    A,
    Txt,
    Ns,
    Cname,
    Dname,
    Ds,
    Steered,
}

/// A zone: what is written in it, and what is steered.
#[derive(Clone, Debug)]
struct Zone {
    origin: Name,
    records: Vec<Record>,
    steered: Vec<(Name, RouteId)>,
}

/// What the naive scan finds.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Outside,
    Message {
        rcode: u16,
        authoritative: bool,
        answer: BTreeSet<Rr>,
        authority: BTreeSet<Rr>,
    },
    /// The aliases that lead there, and the service.
    Steered(BTreeSet<Rr>, RouteId),
    /// The aliases that lead below the DNAME of this name.
    Renamed(BTreeSet<Rr>, Name),
}

/// Some zones, and a resolver that looks at every record each time.
struct Naive(Vec<Zone>);

impl Naive {
    fn resolve(&self, name: &Name, qtype: u16) -> Told {
        let mut chain: Vec<Rr> = Vec::new();
        let mut asked: Vec<Name> = Vec::new();
        let mut name = name.clone();
        loop {
            let (source, said) = self.once(&name, qtype);
            // A wildcard that leads back to itself is not followed again.
            if !chain.is_empty() && source == asked.first().cloned() {
                return message(0, true, chain, vec![]);
            }
            let (alias, target) = match said {
                Step::Alias(alias, target) => (alias, target),
                Step::End(Told::Outside) if !chain.is_empty() => return message(0, true, chain, vec![]),
                Step::End(said) => return prepend(chain, said),
            };
            asked.push(if asked.is_empty() { source.unwrap() } else { name });
            chain.push(alias);
            if asked.contains(&target) || chain.len() == CHAIN_MAX {
                return message(0, true, chain, vec![]);
            }
            name = target;
        }
    }

    /// The same, through DNAMEs, too (RFC 6672 §3.2): each name once, [`CHAIN_MAX`] of them.
    fn whole(&self, name: &Name, qtype: u16) -> Told {
        let (mut chain, mut seen, mut name) = (Vec::new(), Vec::new(), name.clone());
        loop {
            let (links, owner) = match self.resolve(&name, qtype) {
                Told::Renamed(links, owner) => (links, owner),
                Told::Outside if !chain.is_empty() => return message(0, true, chain, vec![]),
                said => return prepend(chain, said),
            };
            let owners: Vec<_> = links.iter().map(|link| named(&link.owner)).collect();
            let last = links.iter().find(|link| !owners.contains(&named(&link.rdata)));
            name = last.map_or(name, |link| named(&link.rdata));
            chain.extend(links);
            if seen.contains(&name) || seen.len() == CHAIN_MAX {
                return message(0, true, chain, vec![]);
            }
            let zone = self.nearest(Some(owner.clone())).unwrap();
            let dname = zone.rrs(&owner, &owner, rtype::DNAME).remove(0);
            let kept = name.octets().len() - owner.octets().len();
            let renamed = [&name.octets()[..kept], &dname.rdata].concat();
            let cname =
                Rr { owner: name.octets().to_vec(), rtype: rtype::CNAME, rdata: renamed, ..dname.clone() };
            if !chain.contains(&dname) {
                chain.push(dname);
            }
            if cname.rdata.len() > 255 {
                return message(6, true, chain, vec![]);
            }
            seen.push(name);
            name = named(&cname.rdata);
            chain.push(cname);
            if seen.contains(&name) || matches!(qtype, rtype::CNAME | rtype::ANY) {
                return message(0, true, chain, vec![]);
            }
        }
    }

    /// One name without its aliases; with it the name whose records were taken: its own, or the wildcard's.
    fn once(&self, name: &Name, qtype: u16) -> (Option<Name>, Step) {
        let Some(nearest) = self.nearest(Some(name.clone())) else { return (None, Step::End(Told::Outside)) };
        let above = self.nearest(name.parent());
        // RFC 4035 §3.1.4.1: for the DS of an apex the zone above is asked.
        let of_apex = qtype == rtype::DS && nearest.origin == *name;
        let zone = if of_apex { above.unwrap_or(nearest) } else { nearest };
        let end = |said| (Some(name.clone()), Step::End(said));
        for at in downwards(name, &zone.origin) {
            let is_cut = at != zone.origin && zone.has(&at, rtype::NS);
            if is_cut && !(at == *name && qtype == rtype::DS) {
                return end(message(0, false, vec![], zone.rrs(&at, &at, rtype::NS)));
            }
            if is_cut {
                break;
            }
            if at != *name && zone.has(&at, rtype::DNAME) {
                return end(Told::Renamed(BTreeSet::new(), at));
            }
        }
        if of_apex && above.is_some() {
            let ds = zone.rrs(name, name, rtype::DS);
            let soa = if ds.is_empty() { zone.soa() } else { vec![] };
            return end(message(0, true, ds, soa));
        }
        let source = if zone.exists(name) {
            name.clone()
        } else {
            let encloser =
                std::iter::successors(name.parent(), Name::parent).find(|at| zone.exists(at)).unwrap();
            let wildcard = encloser.below(b"*").unwrap();
            if !zone.exists(&wildcard) {
                return end(message(3, true, vec![], zone.soa()));
            }
            wildcard
        };
        let steered = zone.steered.iter().find(|(owner, _)| *owner == source);
        if let (Some((_, route)), rtype::A) = (steered, qtype) {
            return (Some(source), Step::End(Told::Steered(BTreeSet::new(), *route)));
        }
        let owned = TYPES.iter().any(|rtype| zone.has(&source, *rtype)) || steered.is_some();
        let hinfo = Rr {
            owner: name.octets().to_vec(),
            rtype: rtype::HINFO,
            class: 1,
            rdata: b"\x07RFC8482\0".into(),
            ttl_s: 3600,
        };
        let answer = match qtype {
            rtype::ANY if zone.has(&source, rtype::CNAME) => zone.rrs(&source, name, rtype::CNAME),
            rtype::ANY if owned => vec![hinfo],
            _ => zone.rrs(&source, name, qtype),
        };
        let alias = zone.rrs(&source, name, rtype::CNAME);
        let said = match alias.first() {
            Some(alias) if answer.is_empty() && qtype != rtype::RRSIG => {
                Step::Alias(alias.clone(), Name::from_wire(&alias.rdata).unwrap())
            }
            _ if answer.is_empty() => Step::End(message(0, true, vec![], zone.soa())),
            _ => Step::End(message(0, true, answer, vec![])),
        };
        (Some(source), said)
    }

    /// The zone with the longest apex at or above a name.
    fn nearest(&self, name: Option<Name>) -> Option<&Zone> {
        let name = name?;
        self.0.iter().filter(|zone| name.is_within(&zone.origin)).max_by_key(|zone| zone.origin.label_count())
    }
}

/// One step of a search.
enum Step {
    Alias(Rr, Name),
    End(Told),
}

impl Zone {
    fn has(&self, owner: &Name, rtype: u16) -> bool {
        self.records.iter().any(|record| record.owner == *owner && record.rtype == rtype)
    }

    /// A name exists that owns something, or one below it does (RFC 4592 §2.2.2).
    fn exists(&self, name: &Name) -> bool {
        let steered = self.steered.iter().any(|(owner, _)| owner.is_within(name));
        steered || self.records.iter().any(|record| record.owner.is_within(name))
    }

    /// The records of `source`, owned by `owner`.
    fn rrs(&self, source: &Name, owner: &Name, rtype: u16) -> Vec<Rr> {
        let there = self.records.iter().filter(|record| record.owner == *source && record.rtype == rtype);
        there.map(|record| rr(owner, rtype, &record.rdata, record.ttl_s)).collect()
    }

    fn soa(&self) -> Vec<Rr> {
        let soa = self.rrs(&self.origin, &self.origin, rtype::SOA);
        soa.into_iter().map(|rr| Rr { ttl_s: NEGATIVE_TTL_S, ..rr }).collect()
    }
}

fn rr(owner: &Name, rtype: u16, rdata: &[u8], ttl_s: u32) -> Rr {
    Rr { owner: owner.octets().to_vec(), rtype, class: 1, rdata: rdata.to_vec(), ttl_s }
}

fn message(rcode: u16, authoritative: bool, answer: Vec<Rr>, authority: Vec<Rr>) -> Told {
    let (answer, authority) = (answer.into_iter().collect(), authority.into_iter().collect());
    Told::Message { rcode, authoritative, answer, authority }
}

/// What is said at the end of a chain, the chain before it: its AA is the first name's.
fn prepend(chain: Vec<Rr>, said: Told) -> Told {
    let aliased = !chain.is_empty();
    match said {
        Told::Message { rcode, authoritative, answer, authority } => {
            let answer = answer.into_iter().chain(chain).collect();
            Told::Message { rcode, authoritative: authoritative || aliased, answer, authority }
        }
        Told::Steered(_, route) => Told::Steered(chain.into_iter().collect(), route),
        Told::Renamed(_, dname) => Told::Renamed(chain.into_iter().collect(), dname),
        said => said,
    }
}

/// The apex, and all names from it down to `name`.
fn downwards(name: &Name, origin: &Name) -> Vec<Name> {
    let mut names: Vec<Name> = std::iter::successors(Some(name.clone()), Name::parent).collect();
    names.retain(|name| name.is_within(origin));
    names.reverse();
    names
}

/// What the zones say, in the naive scan's words.
fn looked_up(zones: &Zones, name: &Name, qtype: u16) -> Told {
    let lowered = Lowered::of(name.octets());
    match zones.find(&lowered, &mut Lowered::default(), qtype) {
        Found::Outside => Told::Outside,
        Found::Steered(route) => Told::Steered(BTreeSet::new(), route),
        Found::Alias(alias) => {
            let alias = zones.alias(alias);
            let Told::Message { answer, .. } = read(zones, alias.chain, name) else { panic!() };
            match alias.end {
                AliasEnd::Steered(Way::Addresses(route)) => Told::Steered(answer, route),
                AliasEnd::Steered(way) => panic!("{way:?}"),
                AliasEnd::Renamed(dname) => Told::Renamed(answer, named(&zones.dname(dname).owner)),
            }
        }
        Found::Dname(dname) => Told::Renamed(BTreeSet::new(), named(&zones.dname(dname).owner)),
        Found::Template(template) => read(zones, template, name),
        Found::Bound(binding) => panic!("{binding:?}"),
    }
}

fn named(octets: &[u8]) -> Name {
    Name::from_wire(octets).unwrap()
}

/// A template as the message that it becomes behind this question.
fn read(zones: &Zones, id: TemplateId, name: &Name) -> Told {
    let template = zones.template(id);
    let mut body = zones.templates().octets(template).to_vec();
    let delta = (name.octets().len() as u16).wrapping_sub(u16::from(template.name_len));
    for at in zones.templates().fixups(template).iter().map(|at| usize::from(*at)) {
        let shifted = u16::from_be_bytes([body[at], body[at + 1]]).wrapping_add(delta);
        body[at..at + 2].copy_from_slice(&shifted.to_be_bytes());
    }
    let mut octets = vec![0; 12];
    template.header().write(&mut octets);
    octets.extend(name.octets());
    octets.extend([0, 1, 0, 1]);
    octets.extend(body);
    let said = Said::read(&octets).unwrap();
    assert!(said.twice.is_empty(), "{said}");
    Told::Message {
        rcode: said.rcode,
        authoritative: said.is("aa"),
        answer: said.answer,
        authority: said.authority,
    }
}

/// The zones of these records, those left out that the files' checks would refuse.
fn zones(apexes: &[bool], written: &[(usize, Name, Kind, Name)]) -> Vec<Zone> {
    let present = APEXES.iter().zip(apexes).filter(|(_, there)| **there).map(|(apex, _)| parse(apex));
    let mut zones: Vec<Zone> = present
        .map(|origin| {
            let soa = [origin.octets(), b"\x01h\0", &[0; 16], &NEGATIVE_TTL_S.to_be_bytes()].concat();
            let records =
                vec![record(&origin, rtype::SOA, soa), record(&origin, rtype::NS, b"\x02ns\0".into())];
            Zone { origin, records, steered: Vec::new() }
        })
        .collect();
    let count = zones.len();
    for (route, (zone, owner, kind, target)) in written.iter().enumerate() {
        let zone = &mut zones[zone % count];
        if owner.is_within(&zone.origin) && fits(zone, owner, *kind) {
            let (rtype, rdata) = match kind {
                Kind::A => (rtype::A, vec![192, 0, 2, route as u8]),
                Kind::Txt => (rtype::TXT, vec![1, route as u8]),
                Kind::Ns => (rtype::NS, target.octets().to_vec()),
                Kind::Cname => (rtype::CNAME, target.octets().to_vec()),
                Kind::Dname => (rtype::DNAME, target.octets().to_vec()),
                Kind::Ds => (rtype::DS, vec![0, 1, 5, 1, route as u8]),
                Kind::Steered => {
                    zone.steered.push((owner.clone(), RouteId(route as u32)));
                    continue;
                }
            };
            zone.records.push(record(owner, rtype, rdata));
        }
    }
    for zone in &mut zones {
        drop_hidden_services(zone);
    }
    zones
}

/// Whether the files' checks allow this beside what is there (RFC 2181 §10.1, RFC 6672 §2.3 and §2.4).
fn fits(zone: &Zone, owner: &Name, kind: Kind) -> bool {
    let here = |rtype| zone.has(owner, rtype);
    let steered = zone.steered.iter().any(|(name, _)| name == owner);
    let owned = steered || TYPES.iter().any(|rtype| here(*rtype));
    let renamed =
        std::iter::successors(owner.parent(), Name::parent).any(|above| zone.has(&above, rtype::DNAME));
    let below = |name: &Name| name != owner && name.is_within(owner);
    let holds_below = zone.records.iter().any(|record| below(&record.owner))
        || zone.steered.iter().any(|(name, _)| below(name));
    let apex = *owner == zone.origin;
    !renamed
        && !here(rtype::CNAME)
        && match kind {
            Kind::Cname => !owned,
            Kind::Dname => !here(rtype::DNAME) && !holds_below && (apex || !here(rtype::NS)),
            Kind::Ns => !here(rtype::DNAME) && !apex && !steered,
            Kind::Ds => !apex && here(rtype::NS),
            Kind::A => !steered,
            Kind::Steered => !here(rtype::A) && !steered && (apex || !here(rtype::NS)),
            Kind::Txt => true,
        }
}

/// A service below a delegation is refused.
fn drop_hidden_services(zone: &mut Zone) {
    let Zone { origin, records, steered } = zone;
    let is_cut = |name: &Name| {
        *name != *origin && records.iter().any(|record| record.owner == *name && record.rtype == rtype::NS)
    };
    steered.retain(|(owner, _)| !downwards(owner, origin).iter().any(is_cut));
}

fn record(owner: &Name, rtype: u16, rdata: Vec<u8>) -> Record {
    Record { owner: owner.clone(), rtype, ttl_s: TTL_S, rdata: rdata.into() }
}

fn steered_name(owner: &Name, route: RouteId) -> SteeredName {
    SteeredName { owner: owner.clone(), ttl_s: TTL_S, types: vec![(rtype::A, Way::Addresses(route))] }
}

fn parse(text: &str) -> Name {
    Name::parse(text, None).unwrap()
}

/// All names of up to three labels below `z.`, some of four, and some outside.
fn universe() -> Vec<Name> {
    let mut names = vec![parse("z.")];
    let mut last = names.clone();
    for _ in 0..3 {
        last =
            last.iter().flat_map(|name| LABELS.map(|label| name.below(label.as_bytes()).unwrap())).collect();
        names.extend(last.iter().cloned());
    }
    names.extend(["a.b.a.b.z.", "abcde.b.z.", "c.a.*.a.z.", "y.", "."].map(parse));
    names
}

fn name() -> impl Strategy<Value = Name> {
    prop::collection::vec(0..LABELS.len(), 0..4).prop_map(|labels| {
        let text: String = labels.iter().map(|label| format!("{}.", LABELS[*label])).collect();
        parse(&format!("{text}z."))
    })
}

fn target() -> impl Strategy<Value = Name> {
    prop_oneof![6 => name(), 1 => Just(parse("a.b.a.b.z.")), 1 => Just(parse("outside.y."))]
}

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::{A, Cname, Dname, Ds, Ns, Steered, Txt};
    prop_oneof![4 => Just(A), 2 => Just(Txt), 3 => Just(Ns), 4 => Just(Cname), 3 => Just(Dname), 2 => Just(Ds), 2 => Just(Steered)]
}

proptest! {
    /// Lookup agrees with a naive scan.
    #[test]
    fn lookup_agrees_with_a_naive_scan(
        nested in prop::collection::vec(any::<bool>(), 3),
        written in prop::collection::vec((0usize..4, name(), kind(), target()), 0..16),
    ) {
        let naive = Naive(zones(&[&[true], &nested[..]].concat(), &written));
        let loaded = naive.0.iter().map(|zone| {
            let steered = zone.steered.iter();
            let steered = steered.map(|(owner, route)| steered_name(owner, *route));
            ZoneRecords { records: zone.records.clone(), steered: steered.collect(), own_serial: false }
        });
        let zones = Zones::new(loaded.collect(), Extras::Addresses).unwrap();
        for name in universe() {
            for qtype in TYPES {
                let (expected, found) = (naive.resolve(&name, qtype), looked_up(&zones, &name, qtype));
                prop_assert_eq!(expected, found, "{} {}\n{:#?}", name, qtype, naive.0);
            }
        }
    }

    /// The whole answer, too, through aliases and DNAMEs: nothing in it twice.
    #[test]
    fn answers_agree_with_a_naive_scan(
        nested in prop::collection::vec(any::<bool>(), 3),
        written in prop::collection::vec((0usize..4, name(), kind(), target()), 0..16),
        wanted in 0..TYPES.len(),
    ) {
        let mut naive = Naive(zones(&[&[true], &nested[..]].concat(), &written));
        naive.0.iter_mut().for_each(|zone| zone.steered.clear());
        let parts = naive.0.iter().map(|zone| ZonePart {
            origin: zone.origin.clone(),
            records: zone.records.clone(),
            services: Vec::new(),
            secondaries: Secondaries::default(),
        });
        let parts = Parts { zones: parts.collect(), ..Parts::default() };
        let snapshot = Snapshot::all_up(Arc::new(Plan::new(parts, &Places::nothing()).unwrap()));
        for name in universe() {
            let qtype = TYPES[wanted];
            let (expected, answered) = (naive.whole(&name, qtype), answered(&snapshot, &name, qtype));
            prop_assert_eq!(expected, answered, "{} {}\n{:#?}", name, qtype, naive.0);
        }
    }
}

/// The answer over TCP.
fn answered(snapshot: &Snapshot, name: &Name, qtype: u16) -> Told {
    let query =
        [&b"\xab\xcd\0\0\0\x01\0\0\0\0\0\0"[..], name.octets(), &qtype.to_be_bytes(), &[0, 1]].concat();
    let mut buf = vec![0xaa; 65_535];
    buf[..query.len()].copy_from_slice(&query);
    let (worker, peer) = (&mut Worker::default(), "192.0.2.53".parse().unwrap());
    let now = at(std::time::Instant::now());
    let reply = respond(snapshot, worker, now, &mut buf, query.len(), peer, Transport::Tcp);
    let Reply::Done(len, _) = reply else { panic!("{reply:?}") };
    let said = Said::read(&buf[..len]).unwrap();
    assert!(said.twice.is_empty(), "{said}");
    if said.rcode == 5 {
        return Told::Outside;
    }
    let Said { rcode, answer, authority, .. } = said.clone();
    Told::Message { rcode, authoritative: said.is("aa"), answer, authority }
}
