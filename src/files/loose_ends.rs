//! Names that records point at and where nothing is: warnings, told once it is known what is steered.

use hashbrown::{HashMap, HashSet};

use crate::files::findings::Findings;
use crate::files::issue::Issue;
use crate::files::zone::ZoneFile;
use crate::wire::name::Name;
use crate::zone::record::{Record, rtype};

/// Tells of nameservers and mail exchangers that are aliases or have no address, of missing glue, of aliases
/// to nothing and of aliases that come back to themselves; all inside the zone, for outside nothing is known.
///
/// `is_steered` says whether a service, a wildcard one included, gives a name its addresses.
pub fn loose_ends(zone: &ZoneFile, is_steered: &dyn Fn(&Name) -> bool, issues: &mut Vec<Issue>) {
    let mut findings = Findings::new(issues);
    let ends = Ends::new(zone, is_steered);
    for (index, record) in zone.records.iter().enumerate() {
        let at = || zone.at[index].clone();
        let owner = &record.owner;
        let Some((role, target)) = target(record) else { continue };
        let issue = match (record.rtype, ends.found(&target)) {
            (rtype::CNAME, Found::Nothing) => {
                Issue::warning(at(), format!("`{owner}` is an alias of `{target}`, which does not exist"))
                    .remedy("write the target with a dot at its end if it lies outside the zone")
            }
            (rtype::CNAME, _) => continue,
            (_, Found::Alias(alias)) => {
                Issue::warning(at(), format!("the {role} `{target}` is an alias (RFC 2181 §10.3)"))
                    .remedy("name the host itself")
                    .also(zone.at[alias].clone(), "the alias")
            }
            (_, Found::Nothing | Found::Here { address: false }) => {
                Issue::warning(at(), format!("the {role} `{target}` has no address"))
                    .remedy("give it an A or AAAA, or write a dot at its end if it lies outside the zone")
            }
            (rtype::NS, Found::Delegated { glue: false }) if target.is_within(owner) => Issue::warning(
                at(),
                format!("the {role} `{target}` lies below the delegation and has no glue"),
            )
            .remedy("give it an A or AAAA here: without one nobody can ask it (RFC 1034 §4.2.1)"),
            _ => continue,
        };
        findings.tell(issue);
    }
    ends.tell_loops(&mut findings);
}

/// What a record points at, and what it is to the owner.
fn target(record: &Record) -> Option<(&'static str, Name)> {
    let (role, at) = match record.rtype {
        rtype::NS => ("nameserver", 0),
        rtype::CNAME => ("target", 0),
        rtype::MX => ("mail exchanger", 2),
        _ => return None,
    };
    let target = record.rdata.get(at..).and_then(Name::from_wire)?;
    (target != Name::root()).then_some((role, target)) // RFC 7505: a null MX
}

enum Found {
    /// Outside the zone, or steered: nothing to say.
    Well,
    Here {
        address: bool,
    },
    /// A CNAME there, or a DNAME above: the record's place.
    Alias(usize),
    Delegated {
        glue: bool,
    },
    Nothing,
}

#[derive(Default)]
struct Marks {
    address: bool,
    cname: Option<usize>,
    dname: Option<usize>,
    ns: bool,
}

struct Ends<'a> {
    zone: &'a ZoneFile,
    is_steered: &'a dyn Fn(&Name) -> bool,
    marks: HashMap<&'a [u8], Marks>,
    /// All owners and the names above them: empty non-terminals exist (RFC 4592 §2.2.2).
    exist: HashSet<&'a [u8]>,
}

impl<'a> Ends<'a> {
    fn new(zone: &'a ZoneFile, is_steered: &'a dyn Fn(&Name) -> bool) -> Ends<'a> {
        let mut marks: HashMap<&[u8], Marks> = HashMap::with_capacity(zone.records.len());
        let mut exist = HashSet::with_capacity(zone.records.len());
        for (index, record) in zone.records.iter().enumerate() {
            let marks = marks.entry(record.owner.octets()).or_default();
            match record.rtype {
                rtype::A | rtype::AAAA => marks.address = true,
                rtype::CNAME => marks.cname = Some(index),
                rtype::DNAME => marks.dname = Some(index),
                rtype::NS => marks.ns = true,
                _ => {}
            }
            let mut octets = record.owner.octets();
            while exist.insert(octets) && octets.len() > zone.origin.octets().len() {
                octets = &octets[1 + usize::from(octets[0])..];
            }
        }
        Ends { zone, is_steered, marks, exist }
    }

    /// What a query for the addresses of `name` would find.
    fn found(&self, name: &Name) -> Found {
        let origin = self.zone.origin.octets().len();
        if !name.is_within(&self.zone.origin) {
            return Found::Well;
        }
        // From the apex down: the first cut or DNAME on the way decides.
        let mut starts: Vec<usize> = vec![0];
        let octets = name.octets();
        while let Some(&start) = starts.last()
            && octets.len() - start > origin
        {
            starts.push(start + 1 + usize::from(octets[start]));
        }
        let mut encloser = self.zone.origin.octets();
        for &start in starts.iter().rev() {
            let here = &octets[start..];
            if self.exist.contains(here) {
                encloser = here;
            }
            let Some(marks) = self.marks.get(here) else { continue };
            if marks.ns && here.len() > origin {
                return Found::Delegated { glue: self.marks.get(octets).is_some_and(|marks| marks.address) };
            }
            if let Some(dname) = marks.dname.filter(|_| start > 0) {
                return Found::Alias(dname);
            }
        }
        if (self.is_steered)(name) {
            return Found::Well;
        }
        if encloser.len() == octets.len() {
            return self.marks.get(octets).map_or(Found::Here { address: false }, Marks::found);
        }
        let wildcard = [b"\x01*", encloser].concat();
        self.marks.get(&*wildcard).map_or(Found::Nothing, Marks::found)
    }

    /// Tells of each ring of aliases once, at its first record.
    fn tell_loops(&self, findings: &mut Findings<'_>) {
        const UNSEEN: usize = usize::MAX;
        let mut walk_of = vec![UNSEEN; self.zone.records.len()];
        for (start, record) in self.zone.records.iter().enumerate() {
            let mut next = (record.rtype == rtype::CNAME).then_some(start);
            while let Some(index) = next {
                if walk_of[index] != UNSEEN {
                    if walk_of[index] == start {
                        let owner = &self.zone.records[index].owner;
                        let what = format!("the alias `{owner}` leads back to itself");
                        findings.tell(
                            Issue::warning(self.zone.at[index].clone(), what)
                                .remedy("one alias of the ring must go"),
                        );
                    }
                    break;
                }
                walk_of[index] = start;
                next = match target(&self.zone.records[index]).map(|(_, target)| self.found(&target)) {
                    Some(Found::Alias(alias)) if self.zone.records[alias].rtype == rtype::CNAME => {
                        Some(alias)
                    }
                    _ => None,
                };
            }
        }
    }
}

impl Marks {
    fn found(&self) -> Found {
        match self.cname {
            Some(cname) => Found::Alias(cname),
            None => Found::Here { address: self.address },
        }
    }
}
