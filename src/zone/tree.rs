//! The names of all zones at load: which exist, what covers them, where a chain of aliases ends.

use hashbrown::HashMap;

use super::record::{Record, rtype};
use crate::wire::name::Name;

/// A route's place in the Plan's routes: how one service is answered in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// A binding's place in the Plan's bindings: how one service is answered in HTTPS, SVCB or SRV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindingId(pub u32);

/// A zone as it is loaded.
#[derive(Clone, Debug, Default)]
pub struct ZoneRecords {
    /// Its records; exactly one SOA, at its apex. The files' checks have seen to it.
    pub records: Vec<Record>,
    /// What is steered in it.
    pub steered: Vec<SteeredName>,
    /// Whether answers bear the serial of its edition in place of the file's.
    pub own_serial: bool,
}

/// A name of which some types are steered.
#[derive(Clone, Debug)]
pub struct SteeredName {
    /// The owner.
    pub owner: Name,
    /// The TTL of what is answered; in doubt it may be less.
    pub ttl_s: u32,
    /// How each steered type is answered.
    pub types: Vec<(u16, Way)>,
}

impl SteeredName {
    /// Its owner, TTL and types.
    pub fn of_types(&self) -> (Name, u32, Vec<u16>) {
        (self.owner.clone(), self.ttl_s, self.types.iter().map(|(rtype, _)| *rtype).collect())
    }
}

/// How a steered type is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With the addresses of nodes: A and AAAA.
    Addresses(RouteId),
    /// With what names nodes or holds their addresses: HTTPS, SVCB, SRV.
    Binding(BindingId),
}

/// All names of all zones.
#[derive(Debug, Default)]
pub struct Tree {
    /// The names.
    pub nodes: Vec<TreeNode>,
    /// The zones.
    pub zones: Vec<TreeZone>,
    /// Addresses that a zone holds below the apex of another one of ours: nothing but glue.
    glue: HashMap<Name, Vec<RrSet>>,
    by_name: HashMap<Name, u32>,
    apexes: HashMap<Name, u32>,
}

/// A zone's negative answers are made of this.
#[derive(Debug)]
pub struct TreeZone {
    /// The apex.
    pub origin: Name,
    /// The SOA's RDATA.
    pub soa: Box<[u8]>,
    /// The SOA record's own TTL.
    pub soa_ttl_s: u32,
    /// Whether answers bear the serial of its edition in place of the file's.
    pub own_serial: bool,
}

impl TreeZone {
    /// How long a negative answer may be kept (RFC 2308 §5): the lesser of the SOA's TTL and its last field.
    pub fn negative_ttl_s(&self) -> u32 {
        let minimum = self.soa.last_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
        self.soa_ttl_s.min(minimum)
    }
}

/// A name that exists, be it only because names below it do (RFC 4592 §2.2.2).
#[derive(Debug)]
pub struct TreeNode {
    /// The name.
    pub name: Name,
    /// The zone that answers for it.
    pub zone: u32,
    /// Its RRsets, by type.
    pub sets: Vec<RrSet>,
    /// What is steered there.
    pub steered: Option<SteeredName>,
    /// The DS RRset that the parent zone holds for it, where it is the apex of a zone of ours with a parent of ours.
    pub parent_ds: Option<(u32, Option<RrSet>)>,
    /// Its wildcard child.
    pub wildcard: Option<u32>,
    /// What stands above it and hides it.
    pub cover: Cover,
}

/// What hides a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Nothing.
    None,
    /// The delegation at this node.
    Cut(u32),
    /// The DNAME at this node.
    Dname(u32),
}

/// Records of one owner and type.
#[derive(Clone, Debug, PartialEq)]
pub struct RrSet {
    /// The type.
    pub rtype: u16,
    /// The least TTL of its records.
    pub ttl_s: u32,
    /// The RDATA of each.
    pub rdatas: Vec<Box<[u8]>>,
}

impl TreeNode {
    /// The RRset of a type.
    pub fn set(&self, rtype: u16) -> Option<&RrSet> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    /// Whether it exists only for the names below it.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.steered.is_none()
    }

    /// Where its CNAME leads.
    pub fn alias(&self) -> Option<Name> {
        Name::from_wire(self.set(rtype::CNAME)?.rdatas.first()?)
    }
}

/// What a name leads to, before its type is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The name itself, or the wildcard that stands in for it.
    Node(u32),
    /// Below a delegation (or the delegation itself), at this node.
    Cut(u32),
    /// Below the DNAME at this node.
    Dname(u32),
    /// It does not exist in this zone.
    Missing(u32),
    /// In no zone of ours.
    Outside,
}

impl Tree {
    /// All names of `zones`; the deepest zone that holds a name answers for it.
    pub fn new(zones: Vec<ZoneRecords>) -> Tree {
        let mut tree = Tree::default();
        for zone in &zones {
            let soa = zone.records.iter().find(|record| record.rtype == rtype::SOA);
            let soa = soa.expect("a zone without SOA is refused by the files' checks");
            tree.apexes.insert(soa.owner.clone(), tree.zones.len() as u32);
            tree.zones.push(TreeZone {
                origin: soa.owner.clone(),
                soa: soa.rdata.clone(),
                soa_ttl_s: soa.ttl_s,
                own_serial: zone.own_serial,
            });
        }
        for (at, zone) in zones.into_iter().enumerate() {
            tree.fill(at as u32, zone);
        }
        tree.link();
        tree
    }

    /// The node of this very name.
    pub fn node(&self, name: &Name) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// What a name leads to (RFC 1034 §4.3.2 step 3, RFC 4592 §3.3).
    pub fn reach(&self, name: &Name) -> Reached {
        let mut exact = true;
        let mut at = Some(name.clone());
        while let Some(candidate) = at {
            if let Some(node) = self.node(&candidate) {
                return self.reach_from(node, exact);
            }
            exact = false;
            at = candidate.parent();
        }
        Reached::Outside
    }

    /// The addresses of a nameserver or another target: of the name itself, of the wildcard that would make it, or glue
    /// (RFC 1034 §4.3.2 step 3b).
    pub fn addresses(&self, host: &Name) -> impl Iterator<Item = &RrSet> {
        let known = self.host(host).map_or(&[][..], |node| &node.sets);
        let is_address = |set: &&RrSet| matches!(set.rtype, rtype::A | rtype::AAAA);
        let glue = || self.glue.get(host).map_or(&[][..], |sets| sets);
        let sets = if known.iter().any(|set| is_address(&set)) { known } else { glue() };
        sets.iter().filter(is_address)
    }

    fn host(&self, name: &Name) -> Option<&TreeNode> {
        if let Some(node) = self.node(name) {
            return Some(&self.nodes[node as usize]);
        }
        let mut at = name.parent();
        while let Some(above) = at {
            if let Some(node) = self.node(&above) {
                return self.nodes[node as usize].wildcard.map(|wildcard| &self.nodes[wildcard as usize]);
            }
            at = above.parent();
        }
        None
    }

    fn reach_from(&self, id: u32, exact: bool) -> Reached {
        let node = &self.nodes[id as usize];
        match node.cover {
            Cover::Cut(cut) => return Reached::Cut(cut),
            Cover::Dname(dname) => return Reached::Dname(dname),
            Cover::None => {}
        }
        if self.is_cut(id) {
            return Reached::Cut(id);
        }
        match (exact, node.set(rtype::DNAME), node.wildcard) {
            (true, _, _) => Reached::Node(id),
            (false, Some(_), _) => Reached::Dname(id),
            // RFC 4592 §4.2: what a wildcard makes is no cut, even where the wildcard itself is one.
            (false, None, Some(wildcard)) => Reached::Node(wildcard),
            (false, None, None) => Reached::Missing(node.zone),
        }
    }

    /// Whether a delegation begins at this node.
    pub fn is_cut(&self, id: u32) -> bool {
        let node = &self.nodes[id as usize];
        node.set(rtype::NS).is_some() && node.name != self.zones[node.zone as usize].origin
    }

    /// The zone of ours that holds a name: the deepest.
    fn zone_of(&self, name: &Name) -> Option<u32> {
        let mut at = Some(name.clone());
        while let Some(candidate) = at {
            if let Some(zone) = self.apexes.get(&candidate) {
                return Some(*zone);
            }
            at = candidate.parent();
        }
        None
    }

    fn fill(&mut self, zone: u32, from: ZoneRecords) {
        let origin = self.zones[zone as usize].origin.clone();
        self.exist(&origin, zone);
        if let Some(parent) = origin.parent().and_then(|parent| self.zone_of(&parent)) {
            let apex = self.exist(&origin, zone);
            self.nodes[apex as usize].parent_ds.get_or_insert((parent, None));
        }
        for record in from.records {
            match self.zone_of(&record.owner) {
                Some(holder) if holder == zone => {
                    let node = self.exist(&record.owner, zone);
                    add(&mut self.nodes[node as usize].sets, record);
                }
                // RFC 4035 §3.1.4.1: the DS of a child that we serve, too, comes from its parent.
                Some(child) if record.rtype == rtype::DS && self.is_parent(zone, child, &record.owner) => {
                    let apex = self.exist(&record.owner, child);
                    let (_, ds) = self.nodes[apex as usize].parent_ds.get_or_insert((zone, None));
                    let mut sets: Vec<RrSet> = ds.take().into_iter().collect();
                    let owner = record.owner.clone();
                    add(&mut sets, record);
                    *ds = sets.pop();
                    self.exist_above(&owner, zone);
                }
                // Hidden by a zone of ours further down. The names above that one exist here all the same.
                _ => {
                    self.exist_above(&record.owner, zone);
                    if matches!(record.rtype, rtype::A | rtype::AAAA) {
                        add(self.glue.entry(record.owner.clone()).or_default(), record);
                    }
                }
            }
        }
        for steered in from.steered {
            if self.zone_of(&steered.owner) == Some(zone) {
                let node = self.exist(&steered.owner, zone);
                let own = &mut self.nodes[node as usize].steered;
                match own {
                    Some(own) => own.types.extend(steered.types),
                    None => *own = Some(steered),
                }
            } else {
                self.exist_above(&steered.owner, zone);
            }
        }
    }

    /// Whether `apex` is that of `child`, and `zone` is the next of our zones above it.
    fn is_parent(&self, zone: u32, child: u32, apex: &Name) -> bool {
        let above = || apex.parent().and_then(|parent| self.zone_of(&parent));
        self.zones[child as usize].origin == *apex && above() == Some(zone)
    }

    /// Makes the nodes of this zone above a name that a zone below it holds (RFC 4592 §2.2.2).
    fn exist_above(&mut self, name: &Name, zone: u32) {
        let mut at = name.parent();
        while let Some(above) = at {
            if self.zone_of(&above) == Some(zone) {
                self.exist(&above, zone);
                return;
            }
            at = above.parent();
        }
    }

    /// What hides an apex of ours from the zone of ours above it: a delegation or a DNAME between the two.
    pub fn between(&self, apex: &Name) -> Option<Cover> {
        let parent = apex.parent()?;
        match self.reach(&parent) {
            Reached::Cut(cut) => Some(Cover::Cut(cut)),
            Reached::Dname(dname) => Some(Cover::Dname(dname)),
            Reached::Node(id) => {
                let node = &self.nodes[id as usize];
                let renames = node.name == parent && node.set(rtype::DNAME).is_some();
                renames.then_some(Cover::Dname(id))
            }
            Reached::Missing(_) | Reached::Outside => None,
        }
    }

    /// The node of a name, made with those between it and the apex where they are not there.
    fn exist(&mut self, name: &Name, zone: u32) -> u32 {
        if let Some(node) = self.node(name) {
            return node;
        }
        let id = self.nodes.len() as u32;
        self.nodes.push(TreeNode {
            name: name.clone(),
            zone,
            sets: Vec::new(),
            steered: None,
            parent_ds: None,
            wildcard: None,
            cover: Cover::None,
        });
        self.by_name.insert(name.clone(), id);
        if *name != self.zones[zone as usize].origin {
            let parent = name.parent().expect("below its apex, so not the root");
            let above = self.exist(&parent, zone);
            if name.is_wildcard() {
                self.nodes[above as usize].wildcard = Some(id);
            }
        }
        id
    }

    /// Finds what hides each name, from the apexes down.
    fn link(&mut self) {
        let mut order: Vec<(usize, u32)> =
            self.nodes.iter().zip(0u32..).map(|(node, id)| (node.name.label_count(), id)).collect();
        order.sort_unstable();
        for (_, id) in order {
            let node = &self.nodes[id as usize];
            if node.name == self.zones[node.zone as usize].origin {
                continue;
            }
            let parent = node.name.parent().and_then(|parent| self.node(&parent));
            let parent = parent.expect("names between a name and its apex exist");
            let above = &self.nodes[parent as usize];
            let cover = match above.cover {
                Cover::None if self.is_cut(parent) => Cover::Cut(parent),
                Cover::None if above.set(rtype::DNAME).is_some() => Cover::Dname(parent),
                cover => cover,
            };
            self.nodes[id as usize].cover = cover;
        }
    }
}

fn add(sets: &mut Vec<RrSet>, record: Record) {
    match sets.iter_mut().find(|set| set.rtype == record.rtype) {
        Some(set) => {
            set.ttl_s = set.ttl_s.min(record.ttl_s);
            if !set.rdatas.contains(&record.rdata) {
                set.rdatas.push(record.rdata);
            }
        }
        None => {
            let set = RrSet { rtype: record.rtype, ttl_s: record.ttl_s, rdatas: vec![record.rdata] };
            sets.push(set);
        }
    }
}

/// The name that RDATA of this type leads to, as far as its addresses belong to an answer (RFC 1034 §3.7, RFC 2782,
/// RFC 9460 §4.1); `owner` is the record's.
pub fn target(owner: &Name, rtype: u16, rdata: &[u8]) -> Option<Name> {
    let at = match rtype {
        rtype::NS => 0,
        rtype::MX | rtype::SVCB | rtype::HTTPS => 2,
        rtype::SRV => 6,
        _ => return None,
    };
    let target = Name::from_wire(rdata.get(at..)?)?;
    // RFC 9460 §2.5: `.` is the owner itself, in ServiceMode; in AliasMode it says that there is no such service.
    let own = matches!(rtype, rtype::SVCB | rtype::HTTPS) && target == Name::root() && rdata[..2] != [0, 0];
    Some(if own { owner.clone() } else { target })
}
