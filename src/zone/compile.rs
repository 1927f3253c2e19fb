//! Tree -> Zones: what each name says to each type, laid out once.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::chain::{self, End, Link};
use super::lookup::{Alias, AliasEnd, AliasId, Any, Dname, DnameId, Node, Set, What, Zones};
use super::record::rtype;
use super::template::{Composer, For, TemplateId, Templates, TooLarge};
use super::tree::{Cover, RrSet, Tree, TreeNode, TreeZone, ZoneRecords, target};
use crate::wire::name::Name;
use crate::wire::query::rcode;

/// Names whose addresses an answer adds beside what is needed (CVE-2024-11187: more of them cost more than they help).
const ADDITIONAL_NAMES_MAX: usize = 13;
/// How long the HINFO of RFC 8482 may be kept.
const ANY_TTL_S: u32 = 3600;

/// An RRset that no message can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLargeSet {
    /// Its owner.
    pub owner: Name,
}

impl fmt::Display for TooLargeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an answer for `{}` would not fit a message of 65,535 octets", self.owner)
    }
}

/// What answers hold beside what they must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extras {
    /// The addresses of the hosts that records lead to, where they are ours.
    #[default]
    Addresses,
    /// Nothing: of addresses, only the glue of referrals.
    None,
}

impl Zones {
    /// Lays out all answers of `zones`.
    pub fn new(zones: Vec<ZoneRecords>, extras: Extras) -> Result<Zones, TooLargeSet> {
        let tree = Tree::new(zones);
        let mut templates = Templates::default();
        let mut any = Composer::new(&mut templates, &Name::root(), For::Exactly);
        any.record(&Name::root(), rtype::HINFO, ANY_TTL_S, b"\x07RFC8482\0");
        let any = any.finish(0, true, false).expect("some twenty octets");
        let mut compiler = Compiler {
            tree: &tree,
            extras,
            zones: Zones::empty(templates, any),
            negative: Vec::new(),
            cuts: HashMap::new(),
            dnames: HashMap::new(),
        };
        compiler.compile().map_err(|(owner, TooLarge)| TooLargeSet { owner })?;
        Ok(Zones::assemble(compiler.zones))
    }
}

struct Compiler<'t> {
    tree: &'t Tree,
    extras: Extras,
    zones: Zones,
    /// NODATA and NXDOMAIN of each zone.
    negative: Vec<[TemplateId; 2]>,
    /// The referral of each delegation.
    cuts: HashMap<u32, TemplateId>,
    /// The DNAME of each owner.
    dnames: HashMap<Name, DnameId>,
}

impl<'t> Compiler<'t> {
    fn compile(&mut self) -> Result<(), (Name, TooLarge)> {
        let tree = self.tree;
        for (zone, number) in tree.zones.iter().zip(0..) {
            let mut pair = [TemplateId(0); 2];
            for (id, code) in pair.iter_mut().zip([rcode::NOERROR, rcode::NXDOMAIN]) {
                let mut composer = Composer::new(&mut self.zones.templates, &zone.origin, For::Below);
                put_soa(&mut composer, zone, number);
                *id =
                    composer.finish(code as u8, true, false).map_err(|large| (zone.origin.clone(), large))?;
            }
            self.negative.push(pair);
        }
        for (node, id) in tree.nodes.iter().zip(0u32..) {
            self.node(node, id).map_err(|large| (node.name.clone(), large))?;
        }
        for (node, id) in tree.nodes.iter().zip(0u32..) {
            if let Some(wildcard) = node.wildcard.filter(|wildcard| tree.is_cut(*wildcard)) {
                self.stand_in(id, wildcard).map_err(|large| (node.name.clone(), large))?;
            }
        }
        Ok(())
    }

    /// A delegated wildcard is a cut at its own name alone; what it makes is plain data, NS included
    /// (RFC 4592 §4.2 leaves it open; this is RFC 1034 §4.3.2 to the letter, and what NSD does). So `above`, its
    /// parent, sends what is missing to a node without a name.
    fn stand_in(&mut self, above: u32, wildcard: u32) -> Result<(), TooLarge> {
        if !matches!(self.zones.nodes[above as usize].below, What::Wildcard(_)) {
            return Ok(());
        }
        let sets_at = self.zones.sets.len();
        let (other, any) = self.own_sets_of(&self.tree.nodes[wildcard as usize])?;
        self.zones.nodes[above as usize].below = What::Wildcard(self.zones.nodes.len() as u32);
        self.push(&[], sets_at, any, other, other)
    }

    fn node(&mut self, node: &'t TreeNode, id: u32) -> Result<(), TooLarge> {
        let sets_at = self.zones.sets.len();
        let (other, any) = self.sets_of(node, id)?;
        let below = match (node.cover, node.wildcard) {
            (Cover::None, _) if self.tree.is_cut(id) => other,
            (Cover::None, _) if node.set(rtype::DNAME).is_some() => What::Dname(self.dname(node)),
            (Cover::None, Some(wildcard)) => What::Wildcard(wildcard),
            (Cover::None, None) => What::Template(self.negative[node.zone as usize][1]),
            _ => other,
        };
        self.zones.labels_max = self.zones.labels_max.max(node.name.label_count());
        self.push(node.name.octets(), sets_at, any, other, below)
    }

    fn push(
        &mut self,
        name: &[u8],
        sets_at: usize,
        any: Any,
        other: What,
        below: What,
    ) -> Result<(), TooLarge> {
        // The first of them stands in the node: it is taken out again.
        let none = Set { rtype: 0, what: other };
        let first = if self.zones.sets.len() > sets_at { self.zones.sets.remove(sets_at) } else { none };
        self.zones.nodes.push(Node {
            first,
            name_at: u32::try_from(self.zones.words.len()).map_err(|_| TooLarge)?,
            name_len: name.len() as u8,
            any,
            sets: u16::try_from(self.zones.sets.len() - sets_at).map_err(|_| TooLarge)?,
            sets_at: u32::try_from(sets_at).map_err(|_| TooLarge)?,
            other,
            below,
        });
        for chunk in name.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.zones.words.push(u64::from_le_bytes(word));
        }
        Ok(())
    }

    /// Puts the sets of a node; gives what other types get, and ANY.
    fn sets_of(&mut self, node: &'t TreeNode, id: u32) -> Result<(What, Any), TooLarge> {
        match node.cover {
            Cover::Cut(cut) => return Ok((What::Template(self.referral(cut)?), Any::Other)),
            Cover::Dname(dname) => {
                let dname = self.dname(&self.tree.nodes[dname as usize]);
                return Ok((What::Dname(dname), Any::Other));
            }
            Cover::None => {}
        }
        let nodata = What::Template(self.negative[node.zone as usize][0]);
        if self.tree.is_cut(id) {
            let referral = What::Template(self.referral(id)?);
            let ds = match node.set(rtype::DS) {
                Some(ds) => What::Template(self.positive(node, ds)?),
                None => nodata, // RFC 4035 §3.1.4.1: the parent answers for DS.
            };
            self.put(rtype::DS, ds);
            return Ok((referral, Any::Other));
        }
        self.own_sets_of(node)
    }

    /// The same, where nothing hides the node and no delegation begins there.
    fn own_sets_of(&mut self, node: &'t TreeNode) -> Result<(What, Any), TooLarge> {
        let nodata = What::Template(self.negative[node.zone as usize][0]);
        if node.alias().is_some() {
            let other = self.alias(node)?;
            // RFC 4035 §2.5: these two stand beside a CNAME, so they are not asked of its target.
            self.put(rtype::RRSIG, nodata);
            self.put(rtype::NSEC, nodata);
            return Ok((other, Any::Cname));
        }
        for set in &node.sets {
            if set.rtype == rtype::DS && node.parent_ds.is_some() {
                continue; // RFC 4035 §2.4: at an apex it means nothing, and the parent's is asked for.
            }
            let template = self.positive(node, set)?;
            self.put(set.rtype, What::Template(template));
        }
        if let Some(steered) = &node.steered {
            for &(rtype, way) in &steered.types {
                self.put(rtype, What::of(way));
            }
        }
        if let Some((parent, ds)) = &node.parent_ds {
            let what = match (self.tree.between(&node.name), ds) {
                (Some(Cover::Cut(cut)), _) => What::Template(self.referral(cut)?),
                (Some(Cover::Dname(dname)), _) => What::Dname(self.dname(&self.tree.nodes[dname as usize])),
                (_, Some(ds)) => What::Template(self.positive(node, ds)?),
                (_, None) => What::Template(self.negative[*parent as usize][0]),
            };
            self.put(rtype::DS, what);
        }
        Ok((nodata, if node.is_empty() { Any::Other } else { Any::Hinfo }))
    }

    fn put(&mut self, rtype: u16, what: What) {
        self.zones.sets.push(Set { rtype, what });
    }

    fn composer(&mut self, node: &TreeNode) -> Composer<'_> {
        let kind = if node.name.is_wildcard() { For::Wildcard } else { For::Exactly };
        Composer::new(&mut self.zones.templates, &node.name, kind)
    }

    fn positive(&mut self, node: &TreeNode, set: &RrSet) -> Result<TemplateId, TooLarge> {
        let (tree, extras) = (self.tree, self.extras);
        let mut composer = self.composer(node);
        put_data(&mut composer, tree, node, &node.name, set);
        composer.additional();
        if extras == Extras::Addresses {
            put_addresses(&mut composer, tree, &node.name, set);
        }
        composer.finish(0, true, false)
    }

    fn referral(&mut self, cut: u32) -> Result<TemplateId, TooLarge> {
        if let Some(template) = self.cuts.get(&cut) {
            return Ok(*template);
        }
        let tree = self.tree;
        let node = &tree.nodes[cut as usize];
        let mut composer = Composer::new(&mut self.zones.templates, &node.name, For::Below);
        composer.authority();
        let glue = put_referral(&mut composer, tree, node);
        let template = composer.finish(0, false, glue)?;
        self.cuts.insert(cut, template);
        Ok(template)
    }

    fn dname(&mut self, node: &TreeNode) -> DnameId {
        let set = node.set(rtype::DNAME).expect("asked only where one stands");
        if let Some(id) = self.dnames.get(&node.name) {
            return *id;
        }
        let id = DnameId(self.zones.dnames.len() as u32);
        let owner: Box<[u8]> = node.name.octets().into();
        let (target, ttl_s) = (set.rdatas[0].clone(), set.ttl_s);
        self.zones.dnames.push(Dname { owner, target, ttl_s });
        self.dnames.insert(node.name.clone(), id);
        id
    }

    /// Puts what an alias says to each type that its end knows; gives what it says to others.
    fn alias(&mut self, node: &'t TreeNode) -> Result<What, TooLarge> {
        let (links, end) = chain::follow(self.tree, node);
        let tree = self.tree;
        let mut composer = self.composer(node);
        put_links(&mut composer, &links[..1]);
        let first = composer.finish(0, true, false)?;
        self.put(rtype::CNAME, What::Template(first));
        self.alias_ds(node, &links, first, &end)?;
        let mut composer = self.composer(node);
        put_links(&mut composer, &links);
        let (code, negative) = match end {
            End::Stop => return Ok(What::Template(composer.finish(0, true, false)?)),
            End::Cut(cut, _) => {
                composer.authority();
                let glue = put_referral(&mut composer, tree, &tree.nodes[cut as usize]);
                return Ok(What::Template(composer.finish(0, true, glue)?));
            }
            // RFC 6604 §3: the RCODE is that of the last name.
            End::Missing(zone) => (rcode::NXDOMAIN, zone),
            End::Dname(dname, ref owner) => {
                drop(composer);
                let end = AliasEnd::Renamed(self.dname(&tree.nodes[dname as usize]));
                return Ok(match self.open_alias(node, &links, first, owner, end)? {
                    Some(alias) => What::Alias(alias),
                    None => What::Template(first),
                });
            }
            End::Node(end, ref owner) => {
                drop(composer);
                for set in end.sets.iter().filter(|set| set.rtype != rtype::CNAME) {
                    let mut composer = self.composer(node);
                    put_links(&mut composer, &links);
                    put_data(&mut composer, tree, end, owner, set);
                    let template = composer.finish(0, true, false)?;
                    self.put(set.rtype, What::Template(template));
                }
                if let Some(steered) = &end.steered {
                    for &(rtype, way) in &steered.types {
                        let end = AliasEnd::Steered(way);
                        let alias = self.open_alias(node, &links, first, owner, end)?.ok_or(TooLarge)?;
                        self.put(rtype, What::Alias(alias));
                    }
                }
                composer = self.composer(node);
                put_links(&mut composer, &links);
                (rcode::NOERROR, end.zone)
            }
        };
        put_soa(&mut composer, &tree.zones[negative as usize], negative);
        Ok(What::Template(composer.finish(code as u8, true, false)?))
    }

    /// DS, where a chain ends at the apex of a child: the zone above it answers (RFC 4035 §3.1.4.1).
    fn alias_ds(
        &mut self,
        node: &'t TreeNode,
        links: &[Link],
        first: TemplateId,
        end: &End<'t>,
    ) -> Result<(), TooLarge> {
        let tree = self.tree;
        let (zone, ds, owner) = match end {
            End::Cut(cut, owner) if tree.nodes[*cut as usize].name == *owner => {
                let cut = &tree.nodes[*cut as usize];
                (cut.zone, cut.set(rtype::DS), owner)
            }
            End::Node(TreeNode { parent_ds: Some((zone, ds)), .. }, owner) => (*zone, ds.as_ref(), owner),
            _ => return Ok(()),
        };
        let between = if let End::Node(end, _) = end { tree.between(&end.name) } else { None };
        if let Some(Cover::Dname(dname)) = between {
            let end = AliasEnd::Renamed(self.dname(&tree.nodes[dname as usize]));
            if let Some(alias) = self.open_alias(node, links, first, owner, end)? {
                self.put(rtype::DS, What::Alias(alias));
            }
            return Ok(());
        }
        let mut composer = self.composer(node);
        put_links(&mut composer, links);
        let mut glue = false;
        match (between, ds) {
            (Some(Cover::Cut(cut)), _) => {
                composer.authority();
                glue = put_referral(&mut composer, tree, &tree.nodes[cut as usize]);
            }
            (_, Some(ds)) => put_set(&mut composer, owner, ds),
            (_, None) => put_soa(&mut composer, &tree.zones[zone as usize], zone),
        }
        let template = composer.finish(0, true, glue)?;
        self.put(rtype::DS, What::Template(template));
        Ok(())
    }

    /// An alias whose end is found at answering; `None` where that is out of a pointer's reach.
    fn open_alias(
        &mut self,
        node: &TreeNode,
        links: &[Link],
        first: TemplateId,
        owner: &Name,
        end: AliasEnd,
    ) -> Result<Option<AliasId>, TooLarge> {
        let mut composer = self.composer(node);
        put_links(&mut composer, links);
        if !composer.knows(owner) {
            return Ok(None);
        }
        let pointer = composer.pointer_to(owner);
        let chain = composer.finish(0, true, false)?;
        let id = AliasId(self.zones.aliases.len() as u32);
        self.zones.aliases.push(Alias { chain, first, owner: pointer, end });
        Ok(Some(id))
    }
}

fn put_links(composer: &mut Composer<'_>, links: &[Link]) {
    for link in links {
        composer.record(&link.owner, rtype::CNAME, link.ttl_s, &link.rdata);
    }
}

/// The SOA of a negative answer (RFC 2308 §3).
fn put_soa(composer: &mut Composer<'_>, zone: &TreeZone, number: u32) {
    composer.authority();
    composer.record(&zone.origin, rtype::SOA, zone.negative_ttl_s(), &zone.soa);
    if zone.own_serial {
        composer.serial_is_of(number);
    }
}

/// An RRset of `node` in the answer section, told of `owner`; a SOA with the serial that is in force.
fn put_data(composer: &mut Composer<'_>, tree: &Tree, node: &TreeNode, owner: &Name, set: &RrSet) {
    put_set(composer, owner, set);
    if set.rtype == rtype::SOA && tree.zones[node.zone as usize].own_serial {
        composer.serial_is_of(node.zone);
    }
}

fn put_set(composer: &mut Composer<'_>, owner: &Name, set: &RrSet) {
    for rdata in &set.rdatas {
        composer.record(owner, set.rtype, set.ttl_s, rdata);
    }
}

/// The addresses of the names that an RRset leads to, as far as they are ours and unsteered.
fn put_addresses(composer: &mut Composer<'_>, tree: &Tree, owner: &Name, set: &RrSet) {
    let mut seen: Vec<Name> = Vec::new();
    for name in set.rdatas.iter().filter_map(|rdata| target(owner, set.rtype, rdata)) {
        if seen.contains(&name) || seen.len() == ADDITIONAL_NAMES_MAX {
            continue;
        }
        put_addresses_of(composer, tree, &name);
        seen.push(name);
    }
}

/// The NS of a delegation and the glue for it; gives whether any of the glue is needed (RFC 9471 §2.1): of that nothing is left out.
fn put_referral(composer: &mut Composer<'_>, tree: &Tree, cut: &TreeNode) -> bool {
    let ns = cut.set(rtype::NS).expect("a delegation has NS");
    put_set(composer, &cut.name, ns);
    composer.additional();
    let hosts: BTreeSet<Name> =
        ns.rdatas.iter().filter_map(|rdata| target(&cut.name, rtype::NS, rdata)).collect();
    let (needed, others): (Vec<_>, Vec<_>) = hosts.iter().partition(|host| host.is_within(&cut.name));
    let is_there = |any, host| put_addresses_of(composer, tree, host) || any;
    let any = needed.into_iter().fold(false, is_there);
    for host in others.into_iter().take(ADDITIONAL_NAMES_MAX) {
        put_addresses_of(composer, tree, host);
    }
    any
}

/// Puts the addresses of a host; gives whether there are any.
fn put_addresses_of(composer: &mut Composer<'_>, tree: &Tree, host: &Name) -> bool {
    let mut any = false;
    for set in tree.addresses(host) {
        put_set(composer, host, set);
        any = true;
    }
    any
}
