//! Rules broken on purpose, one at a time: the comparison must find each of them.

use steerdns::plan::parts::ZonePart;
use steerdns::wire::name::Name;
use steerdns::zone::record::{Record, rtype};

use super::facts::{Facts, above};
use crate::support::ask::Question;
use crate::support::message::{Rr, Said};

/// A rule, and how it is broken.
pub struct Sabotage {
    /// What our server would do.
    pub name: &'static str,
    /// Changes the records that we serve; the peers have them all.
    pub records: fn(&Facts, &mut Vec<ZonePart>),
    /// Changes what we say.
    pub view: fn(&Facts, &Question, &mut Said),
}

fn as_they_are(_: &Facts, _: &mut Vec<ZonePart>) {}

fn as_it_is(_: &Facts, _: &Question, _: &mut Said) {}

const fn records(name: &'static str, records: fn(&Facts, &mut Vec<ZonePart>)) -> Sabotage {
    Sabotage { name, records, view: as_it_is }
}

const fn view(name: &'static str, view: fn(&Facts, &Question, &mut Said)) -> Sabotage {
    Sabotage { name, records: as_they_are, view }
}

/// All of them.
pub const SABOTAGES: &[Sabotage] = &[
    records("a wildcard applies below a name that exists", |facts, parts| {
        spread_wildcards(facts, parts, |facts, name| facts.owns(name), |name| name.below(b"*"));
    }),
    records("a wildcard applies to an empty non-terminal", |facts, parts| {
        spread_wildcards(
            facts,
            parts,
            |facts, name| facts.is_empty_non_terminal(name),
            |name| Some(name.clone()),
        );
    }),
    records("a wildcard is a name as others", |_, parts| {
        for record in parts.iter_mut().flat_map(|part| &mut part.records) {
            if record.owner.is_wildcard() {
                record.owner = record.owner.parent().and_then(|parent| parent.below(b"no-asterisk")).unwrap();
            }
        }
    }),
    records("a delegation is ignored", |_, parts| {
        drop_records(parts, |part, record| record.rtype == rtype::NS && record.owner != part.origin);
    }),
    records("glue is forgotten", |facts, parts| {
        drop_records(parts, |_, record| is_address(record) && facts.cut(&record.owner).is_some());
    }),
    records("DS is forgotten", |_, parts| drop_records(parts, |_, record| record.rtype == rtype::DS)),
    records("a DNAME is ignored", |_, parts| drop_records(parts, |_, record| record.rtype == rtype::DNAME)),
    records("a CNAME is ignored", |_, parts| drop_records(parts, |_, record| record.rtype == rtype::CNAME)),
    records("the zone above answers for the zone below", |facts, parts| {
        parts.retain(|part| part.origin.parent().is_none_or(|parent| facts.zone(&parent).is_none()));
    }),
    records("the zone below hides the names above its apex", |facts, parts| {
        let hidden = |record: &Record, origin: &Name| facts.zone(&record.owner).as_ref() != Some(origin);
        drop_records(parts, |part, record| hidden(record, &part.origin));
    }),
    records("TTLs are a second short", |_, parts| {
        parts
            .iter_mut()
            .flat_map(|part| &mut part.records)
            .for_each(|record| record.ttl_s = record.ttl_s.saturating_sub(1));
    }),
    view("an empty non-terminal is NXDOMAIN", |facts, question, said| {
        if is_negative(said) && said.answer.is_empty() && facts.is_empty_non_terminal(&name(question)) {
            said.rcode = 3;
        }
    }),
    view("a missing type is NXDOMAIN", |facts, question, said| {
        if is_negative(said) && said.answer.is_empty() && facts.owns(&name(question)) {
            said.rcode = 3;
        }
    }),
    view("a missing name is NODATA", |_, _, said| {
        if said.rcode == 3 {
            said.rcode = 0;
        }
    }),
    view("NXDOMAIN at the end of an alias is told as NOERROR", |_, _, said| {
        if said.rcode == 3 && !said.answer.is_empty() {
            said.rcode = 0;
        }
    }),
    view("a wildcard's data keep the asterisk", |facts, question, said| {
        let name = name(question);
        let Some(wildcard) = facts.wildcard(&name) else { return };
        let renamed = said.answer.iter().map(|rr| {
            let owner = if rr.owner == name.octets() { wildcard.octets().to_vec() } else { rr.owner.clone() };
            Rr { owner, ..rr.clone() }
        });
        said.answer = renamed.collect();
    }),
    view("an alias is not followed", |_, question, said| {
        let name = name(question);
        let alias = |rr: &Rr| rr.rtype == rtype::CNAME && rr.owner == name.octets();
        if question.qtype != rtype::CNAME && said.answer.iter().any(alias) {
            said.answer.retain(alias);
            said.authority.clear();
            said.additional.clear();
            said.rcode = 0;
        }
    }),
    view("the SOA of a negative answer has its own TTL", |facts, _, said| {
        let leveled = said.authority.iter().map(|rr| {
            let ttl_s = facts
                .ttl_s(&Name::from_wire(&rr.owner).unwrap(), rr.rtype)
                .filter(|_| rr.rtype == rtype::SOA);
            Rr { ttl_s: ttl_s.unwrap_or(rr.ttl_s), ..rr.clone() }
        });
        said.authority = leveled.collect();
    }),
    view("negative answers lack the SOA", |_, _, said| said.authority.retain(|rr| rr.rtype != rtype::SOA)),
    view("a referral is authoritative", |_, _, said| {
        if !said.is("aa") && said.authority.iter().any(|rr| rr.rtype == rtype::NS) {
            said.flags.insert("aa");
        }
    }),
    view("answers are not authoritative", |_, _, said| {
        said.flags.remove("aa");
    }),
    view("one record of an RRset is lost", |_, _, said| {
        if said.answer.len() > 1 {
            said.answer.pop_last();
        }
    }),
    view("one octet of data is wrong", |_, question, said| {
        if question.qtype == rtype::TXT {
            let bent = said.answer.iter().map(|rr| {
                let mut rdata = rr.rdata.clone();
                if let Some(last) = rdata.last_mut() {
                    *last ^= 1;
                }
                Rr { rdata, ..rr.clone() }
            });
            said.answer = bent.collect();
        }
    }),
    view("names compare by case", |facts, question, said| {
        let is_shouted = question.name.chars().any(|c| c.is_ascii_uppercase());
        if is_shouted && said.rcode == 0 && facts.owns(&name(question)) {
            said.rcode = 3;
            said.answer.clear();
        }
    }),
    view("what does not fit is left out without TC", |_, _, said| {
        said.flags.remove("tc");
    }),
    view("everything is truncated", |_, _, said| {
        if said.flags.insert("tc") {
            said.answer.clear();
            said.authority.clear();
            said.additional.clear();
        }
    }),
    view("RD is not copied", |_, _, said| {
        said.flags.remove("rd");
    }),
    view("recursion is offered", |_, _, said| {
        said.flags.insert("ra");
    }),
    view("AD is copied", |_, question, said| {
        if question.authentic_data {
            said.flags.insert("ad");
        }
    }),
    view("EDNS is not answered", |_, _, said| said.opt = None),
    view("DO is cleared", |_, _, said| {
        if let Some(opt) = &mut said.opt {
            opt.dnssec_ok = false;
        }
    }),
    view("what is outside our zones does not exist", |facts, question, said| {
        if facts.zone(&name(question)).is_none() {
            said.rcode = 3;
        }
    }),
    view("a stranger stands in the additional section", |_, question, said| {
        if let Some(rr) = said.additional.first().cloned().filter(|_| question.qtype == rtype::MX) {
            said.additional.insert(Rr { rdata: vec![10, 9, 8, 7], rtype: rtype::A, ..rr });
        }
    }),
];

fn name(question: &Question) -> Name {
    Name::parse(&question.name, None).unwrap()
}

fn is_negative(said: &Said) -> bool {
    said.rcode == 0 && said.authority.iter().any(|rr| rr.rtype == rtype::SOA)
}

fn is_address(record: &Record) -> bool {
    matches!(record.rtype, rtype::A | rtype::AAAA)
}

fn drop_records(parts: &mut [ZonePart], is: impl Fn(&ZonePart, &Record) -> bool) {
    for part in parts {
        let keep: Vec<bool> = part.records.iter().map(|record| !is(part, record)).collect();
        let mut keep = keep.into_iter();
        part.records.retain(|_| keep.next().unwrap());
    }
}

/// Copies what a wildcard owns to where it must not be: at `place` of names beside it for which `which` holds.
fn spread_wildcards(
    facts: &Facts,
    parts: &mut [ZonePart],
    which: impl Fn(&Facts, &Name) -> bool,
    place: impl Fn(&Name) -> Option<Name>,
) {
    for part in parts {
        let mut more = Vec::new();
        for record in part.records.iter().filter(|record| record.owner.is_wildcard()) {
            let parent = record.owner.parent().unwrap();
            let names = part.records.iter().flat_map(|other| above(&other.owner));
            let beside =
                names.filter(|name| name.parent().as_ref() == Some(&parent) && *name != record.owner);
            for owner in beside.filter(|name| which(facts, name)).filter_map(|name| place(&name)) {
                let plain = !matches!(record.rtype, rtype::CNAME | rtype::DNAME | rtype::NS);
                if plain && facts.zone(&owner).as_ref() == Some(&part.origin) && !facts.owns(&owner) {
                    more.push(Record { owner, ..record.clone() });
                }
            }
        }
        part.records.extend(more);
    }
}
