//! What must hold for the records of a zone together, whatever is steered in it (RFC 1034, 2181, 6672).

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};

use crate::files::findings::Findings;
use crate::files::issue::{At, Issue, Source};
use crate::files::rdata::{a, mnemonic};
use crate::files::zone::ZoneFile;
use crate::wire::name::{Name, wire_len};
use crate::zone::record::{Record, rtype};

/// Drops what stands twice, evens out TTLs, and tells what no zone may hold.
///
/// With errors before, what seems to be missing may stand in a line that could not be read: it is not told.
pub(super) fn check(zone: &mut ZoneFile, source: &Arc<Source>, findings: &mut Findings<'_>) {
    let whole = !findings.has_errors();
    drop_duplicates(zone, findings);
    level_ttls(zone, findings);
    check_apex(zone, source, whole, findings);
    let owners = owners(zone, findings);
    check_hidden(zone, &owners, findings);
}

/// The records of one owner that matter to others: their places in `ZoneFile::records`.
#[derive(Default)]
struct Owner {
    cname: Option<usize>,
    dname: Option<usize>,
    ns: Option<usize>,
    /// The first record that is no CNAME.
    other: Option<usize>,
    /// Whether CNAME beside other data was told.
    told: bool,
}

/// A record's RDATA as it compares: the names of the older types in lower case (RFC 4034 §6.2).
fn comparable(record: &Record) -> Cow<'_, [u8]> {
    let name_at = match record.rtype {
        rtype::NS | rtype::CNAME | rtype::PTR | rtype::DNAME | rtype::SOA => 0,
        rtype::MX => 2,
        rtype::SRV => 6,
        _ => return Cow::Borrowed(&record.rdata),
    };
    let mut rdata = record.rdata.to_vec();
    let mut end = name_at + rdata.get(name_at..).and_then(wire_len).unwrap_or(0);
    if record.rtype == rtype::SOA {
        end += rdata.get(end..).and_then(wire_len).unwrap_or(0);
    }
    rdata[name_at..end].make_ascii_lowercase();
    Cow::Owned(rdata)
}

fn drop_duplicates(zone: &mut ZoneFile, findings: &mut Findings<'_>) {
    let mut first: HashMap<(&Name, u16, Cow<'_, [u8]>), usize> = HashMap::with_capacity(zone.records.len());
    let mut again = Vec::new();
    for (index, record) in zone.records.iter().enumerate() {
        match first.entry((&record.owner, record.rtype, comparable(record))) {
            Entry::Occupied(known) => again.push((index, *known.get())),
            Entry::Vacant(new) => {
                new.insert(index);
            }
        }
    }
    drop(first);
    for &(index, known) in &again {
        let record = &zone.records[index];
        let what =
            format!("this {} of `{}` stands here for the second time", mnemonic(record.rtype), record.owner);
        let issue = Issue::warning(zone.at[index].clone(), what).remedy("delete it: it counts once");
        findings.tell(issue.also(zone.at[known].clone(), "first written here"));
    }
    if again.is_empty() {
        return;
    }
    for &(index, known) in &again {
        zone.records[known].ttl_s = zone.records[known].ttl_s.min(zone.records[index].ttl_s);
    }
    let again: HashSet<usize> = again.into_iter().map(|(index, _)| index).collect();
    keep(&mut zone.records, &again);
    keep(&mut zone.at, &again);
}

fn keep<T>(all: &mut Vec<T>, without: &HashSet<usize>) {
    let mut index = 0;
    all.retain(|_| {
        index += 1;
        !without.contains(&(index - 1))
    });
}

/// Gives all records of an RRset its lowest TTL (RFC 2181 §5.2).
fn level_ttls(zone: &mut ZoneFile, findings: &mut Findings<'_>) {
    let mut lowest: HashMap<(&Name, u16), (u32, usize)> = HashMap::new();
    let mut uneven = Vec::new();
    for (index, record) in zone.records.iter().enumerate() {
        let (ttl_s, first) = lowest.entry((&record.owner, record.rtype)).or_insert((record.ttl_s, index));
        if *ttl_s != record.ttl_s {
            uneven.push((index, *first));
            *ttl_s = record.ttl_s.min(*ttl_s);
        }
    }
    if uneven.is_empty() {
        return;
    }
    let ttls: Vec<u32> = zone.records.iter().map(|record| lowest[&(&record.owner, record.rtype)].0).collect();
    drop(lowest);
    for (index, first) in uneven {
        let (record, ttl_s) = (&zone.records[index], ttls[index]);
        if record.ttl_s == zone.records[first].ttl_s {
            continue;
        }
        let (of, owner) = (mnemonic(record.rtype), &record.owner);
        let what = format!(
            "the {of} records of `{owner}` have TTLs of {} and {}; the lowest, {ttl_s}, is used for all",
            zone.records[first].ttl_s, record.ttl_s
        );
        let issue =
            Issue::warning(zone.at[index].clone(), what).remedy("give all records of a set the same TTL");
        findings.tell(issue.also(zone.at[first].clone(), "the first of them"));
    }
    for (record, ttl_s) in zone.records.iter_mut().zip(ttls) {
        record.ttl_s = ttl_s;
    }
}

fn check_apex(zone: &ZoneFile, source: &Arc<Source>, whole: bool, findings: &mut Findings<'_>) {
    let origin = &zone.origin;
    let mut soa: Option<usize> = None;
    let mut ns = false;
    for (index, record) in zone.records.iter().enumerate() {
        match record.rtype {
            rtype::SOA if record.owner != *origin => {
                let what = format!("the SOA of `{}` in the zone `{origin}`", record.owner);
                findings.tell(
                    Issue::error(zone.at[index].clone(), what).remedy("the SOA stands at the apex: `@`"),
                );
            }
            rtype::SOA => match soa {
                None => soa = Some(index),
                Some(first) => {
                    let issue = Issue::error(zone.at[index].clone(), "the zone has a second SOA");
                    findings.tell(issue.also(zone.at[first].clone(), "the first"));
                }
            },
            rtype::NS if record.owner == *origin => ns = true,
            _ => {}
        }
    }
    if !whole {
        return;
    }
    let start = || At { source: source.clone(), span: 0..0 };
    if soa.is_none() {
        findings.tell(
            Issue::error(start(), format!("the zone `{origin}` has no SOA"))
                .remedy("write `@ SOA ns1 hostmaster 1 1h 15m 2w 5m` as its first record"),
        );
    }
    if !ns {
        let at = soa.map_or_else(start, |soa| zone.at[soa].clone());
        findings.tell(
            Issue::error(at, format!("the zone `{origin}` has no NS at its apex"))
                .remedy("write `@ NS` with the name of each of its nameservers"),
        );
    }
}

/// The owners by their octets; tells of CNAME and DNAME where they may not be.
fn owners<'a>(zone: &'a ZoneFile, findings: &mut Findings<'_>) -> HashMap<&'a [u8], Owner> {
    let mut owners: HashMap<&[u8], Owner> = HashMap::with_capacity(zone.records.len());
    for (index, record) in zone.records.iter().enumerate() {
        let name = &record.owner;
        let owner = owners.entry(name.octets()).or_default();
        let mut tell = |what: String, other: usize, also: &str, remedy: &str| {
            let issue = Issue::error(zone.at[index].clone(), what).remedy(remedy);
            findings.tell(issue.also(zone.at[other].clone(), also));
        };
        let beside = "a CNAME stands for all data of its name (RFC 2181 §10.1): keep the one or the other";
        match (record.rtype, owner.cname, owner.other) {
            (rtype::CNAME, Some(first), _) => {
                tell(format!("`{name}` has a second CNAME"), first, "the first", "an alias has one target");
            }
            (rtype::CNAME, None, Some(other)) => {
                let what = format!("`{name}` has a CNAME beside its {}", mnemonic(zone.records[other].rtype));
                tell(what, other, "the other data", beside);
                owner.told = true;
            }
            (other, Some(cname), _) if other != rtype::CNAME && !owner.told => {
                tell(format!("`{name}` has {} beside its CNAME", a(other)), cname, "the CNAME", beside);
                owner.told = true;
            }
            _ => {}
        }
        match record.rtype {
            rtype::CNAME => owner.cname = owner.cname.or(Some(index)),
            rtype::DNAME => {
                if let Some(first) = owner.dname {
                    let what = format!("`{name}` has a second DNAME");
                    tell(what, first, "the first", "a subtree has one target (RFC 6672 §2.4)");
                }
                owner.dname = owner.dname.or(Some(index));
            }
            rtype::NS => owner.ns = owner.ns.or(Some(index)),
            _ => {}
        }
        if record.rtype != rtype::CNAME {
            owner.other = owner.other.or(Some(index));
        }
        if let (Some(dname), Some(ns), false) = (owner.dname, owner.ns, *name == zone.origin)
            && index == dname.max(ns)
        {
            let what = format!("`{name}` has a DNAME and is delegated");
            tell(what, dname.min(ns), "the other", "one of them must go (RFC 6672 §2.3)");
        }
    }
    owners
}

/// Tells of records that no query reaches: below a DNAME (an error: NSD and Knot refuse the zone, too),
/// at or below a delegation unless they are glue (a warning).
fn check_hidden(zone: &ZoneFile, owners: &HashMap<&[u8], Owner>, findings: &mut Findings<'_>) {
    if !owners.values().any(|owner| owner.dname.is_some() || owner.ns.is_some()) {
        return;
    }
    let is_ns = |record: &&Record| record.rtype == rtype::NS;
    let hosts: HashSet<Name> =
        zone.records.iter().filter(is_ns).filter_map(|record| Name::from_wire(&record.rdata)).collect();
    for (index, record) in zone.records.iter().enumerate() {
        let (name, of) = (&record.owner, the(record));
        let (mut cut, mut dname) = (None, None);
        for (octets, itself) in upwards(name, &zone.origin) {
            let Some(owner) = owners.get(octets) else { continue };
            if octets != zone.origin.octets() {
                cut = owner.ns.map(|ns| (ns, itself)).or(cut);
            }
            dname = owner.dname.filter(|_| !itself).or(dname);
        }
        if let Some(dname) = dname {
            let above = &zone.records[dname].owner;
            let what = format!("{of} of `{name}` lies below the DNAME of `{above}`");
            let issue = Issue::error(zone.at[index].clone(), what)
                .remedy("all names below a DNAME belong to its target (RFC 6672 §2.4)");
            findings.tell(issue.also(zone.at[dname].clone(), "the DNAME"));
            continue;
        }
        let Some((ns, itself)) = cut else { continue };
        let is_glue = matches!(record.rtype, rtype::A | rtype::AAAA) && hosts.contains(name);
        if is_glue || (itself && matches!(record.rtype, rtype::NS | rtype::DS | rtype::DNAME)) {
            continue;
        }
        let child = &zone.records[ns].owner;
        let what = format!("{of} of `{name}` is never answered: `{child}` is delegated");
        let issue = Issue::warning(zone.at[index].clone(), what)
            .remedy("it belongs into the delegated zone; only NS, DS and glue stand here");
        findings.tell(issue.also(zone.at[ns].clone(), "the delegation"));
    }
}

fn the(record: &Record) -> String {
    format!("the {}", mnemonic(record.rtype))
}

/// The octets of `name` and of all above it up to `origin`, each with whether it is `name` itself.
fn upwards<'a>(name: &'a Name, origin: &Name) -> impl Iterator<Item = (&'a [u8], bool)> + use<'a> {
    let (octets, end) = (name.octets(), origin.octets().len());
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let here = at?;
        let rest = &octets[here..];
        at = (rest.len() > end).then(|| here + 1 + usize::from(rest[0]));
        Some((rest, here == 0))
    })
}
