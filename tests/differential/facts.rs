//! What the master files of all worlds say, looked at without the code under test: what differences are judged by.

use std::collections::{BTreeMap, BTreeSet};

use steerdns::wire::name::Name;
use steerdns::zone::record::rtype;

use super::worlds::World;

/// RDATA in lower case, and TTLs.
type Datas = BTreeSet<(Vec<u8>, u32)>;

/// The records of all zones.
#[derive(Default)]
pub struct Facts {
    apexes: BTreeSet<Name>,
    /// Owner and type -> each RDATA with its TTL, in the zone that answers for the owner.
    sets: BTreeMap<(Name, u16), Datas>,
    /// Owner, type and RDATA of all records, those included that a zone further down hides.
    written: BTreeSet<(Name, u16, Vec<u8>)>,
    /// Owners, and all names between them and their apexes, in the zone that answers for them.
    exist: BTreeSet<Name>,
    /// The same in zones further up, which do not answer for them.
    hidden: BTreeSet<Name>,
    /// Owners of NS records in the next of our zones above them.
    delegated: BTreeSet<Name>,
    uneven: BTreeSet<(Name, u16)>,
}

impl Facts {
    /// The facts of these worlds.
    pub fn new(worlds: &[World]) -> Facts {
        let mut facts = Facts::default();
        let parts = || worlds.iter().flat_map(|world| &world.parts);
        facts.apexes = parts().map(|part| part.origin.clone()).collect();
        for world in worlds {
            facts.uneven.extend(world.uneven.iter().cloned());
        }
        for part in parts() {
            for record in &part.records {
                let rdata = record.rdata.to_ascii_lowercase();
                let above_owner = record.owner.parent().and_then(|parent| facts.zone(&parent));
                if record.rtype == rtype::NS && above_owner.as_ref() == Some(&part.origin) {
                    facts.delegated.insert(record.owner.clone());
                }
                facts.written.insert((record.owner.clone(), record.rtype, rdata.clone()));
                for name in above(&record.owner).filter(|name| name.is_within(&part.origin)) {
                    let served = facts.zone(&name).as_ref() == Some(&part.origin);
                    let names = if served { &mut facts.exist } else { &mut facts.hidden };
                    names.insert(name);
                }
                if facts.zone(&record.owner).as_ref() == Some(&part.origin) {
                    let set = facts.sets.entry((record.owner.clone(), record.rtype)).or_default();
                    set.insert((rdata, record.ttl_s));
                }
            }
        }
        facts
    }

    /// The TTL of an RRset.
    pub fn ttl_s(&self, owner: &Name, rtype: u16) -> Option<u32> {
        self.sets.get(&(owner.clone(), rtype)).and_then(|set| set.first()).map(|(_, ttl_s)| *ttl_s)
    }

    /// The zone of a name: the deepest of ours that holds it.
    pub fn zone(&self, name: &Name) -> Option<Name> {
        above(name).find(|name| self.apexes.contains(name))
    }

    /// Whether a name is the apex of a zone of ours.
    pub fn is_apex(&self, name: &Name) -> bool {
        self.apexes.contains(name)
    }

    /// Whether a file of a zone further up has NS for an apex of ours.
    pub fn is_delegated(&self, apex: &Name) -> bool {
        self.delegated.contains(apex)
    }

    /// Whether there is a record of this owner and type.
    pub fn has(&self, name: &Name, rtype: u16) -> bool {
        self.sets.contains_key(&(name.clone(), rtype))
    }

    /// Whether a name owns something.
    pub fn owns(&self, name: &Name) -> bool {
        self.sets.range((name.clone(), 0)..=(name.clone(), u16::MAX)).next().is_some()
    }

    /// Whether a name exists only for those below it.
    pub fn is_empty_non_terminal(&self, name: &Name) -> bool {
        self.exist.contains(name) && !self.owns(name)
    }

    /// The delegation that a name is at or below, in its zone.
    pub fn cut(&self, name: &Name) -> Option<Name> {
        let zone = self.zone(name)?;
        let inside = |above: &Name| above.is_within(&zone) && *above != zone;
        above(name).filter(inside).filter(|above| self.has(above, rtype::NS)).last()
    }

    /// Whether a name is below a DNAME.
    pub fn is_renamed(&self, name: &Name) -> bool {
        above(name).skip(1).any(|above| self.has(&above, rtype::DNAME))
    }

    /// The wildcard that stands in for a name, if one does.
    pub fn wildcard(&self, name: &Name) -> Option<Name> {
        let encloser = above(name).find(|above| self.exist.contains(above))?;
        let wildcard = encloser.below(b"*")?;
        (encloser != *name && self.exist.contains(&wildcard)).then_some(wildcard)
    }

    /// Whether the file gives the records of an RRset different TTLs; `owner` may be one that a wildcard makes.
    pub fn is_uneven(&self, owner: &[u8], rtype: u16) -> bool {
        let Some(owner) = Name::from_wire(owner) else { return false };
        let at = |owner: Name| self.uneven.contains(&(owner, rtype));
        at(owner.clone()) || self.wildcard(&owner).is_some_and(at)
    }

    /// Whether a name, one above it, or a wildcard beside one of them exists only in the file of a zone further up, which
    /// the zone that answers for it hides.
    pub fn is_hidden_above(&self, name: &Name) -> bool {
        let only_hidden = |name: &Name| self.hidden.contains(name) && !self.exist.contains(name);
        above(name)
            .any(|name| only_hidden(&name) || name.below(b"*").is_some_and(|beside| only_hidden(&beside)))
    }

    /// Whether some file holds this record, at the name itself or at a wildcard that may make it.
    pub fn holds(&self, owner: &Name, rtype: u16, rdata: &[u8]) -> bool {
        let rdata = rdata.to_ascii_lowercase();
        let wildcards = above(owner).skip(1).filter_map(|above| above.below(b"*"));
        wildcards.chain([owner.clone()]).any(|name| self.written.contains(&(name, rtype, rdata.clone())))
    }
}

/// A name and all above it.
pub fn above(name: &Name) -> impl Iterator<Item = Name> + use<> {
    std::iter::successors(Some(name.clone()), Name::parent)
}
