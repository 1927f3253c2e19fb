//! A question's name and type -> what is said: one hash probe, one more for each label that does not exist.

use super::template::{Pointer, Template, TemplateId, Templates};
use super::tree::{BindingId, RouteId, Way};
use crate::wire::lowered::Lowered;
use crate::zone::record::rtype;

/// What is found for a name and a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// This, as it stands: data, NODATA, NXDOMAIN, a referral, an alias that leads to static data.
    Template(TemplateId),
    /// A service's addresses.
    Steered(RouteId),
    /// What names a service's nodes.
    Bound(BindingId),
    /// Aliases whose end is found at answering.
    Alias(AliasId),
    /// Below a DNAME.
    Dname(DnameId),
    /// In no zone of ours.
    Outside,
}

/// An alias's place in [`Zones::alias`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasId(pub u32);

/// A DNAME's place in [`Zones::dname`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnameId(pub u32);

/// Aliases whose end is found at answering.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// All CNAMEs of the chain.
    pub chain: TemplateId,
    /// The first one alone: what a query with ECS gets (RFC 7871 §7.2.1).
    pub first: TemplateId,
    /// The name that the chain leads to.
    pub owner: Pointer,
    /// What is there.
    pub end: AliasEnd,
}

/// What aliases lead to, where that is found at answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasEnd {
    /// A service.
    Steered(Way),
    /// A name below a DNAME.
    Renamed(DnameId),
}

/// What is below a name goes to another one (RFC 6672).
#[derive(Clone, Debug)]
pub struct Dname {
    /// Its owner's wire octets.
    pub owner: Box<[u8]>,
    /// The target's wire octets.
    pub target: Box<[u8]>,
    /// The TTL of the CNAME that is synthesised (RFC 6672 §3.1: the DNAME's).
    pub ttl_s: u32,
}

/// What a node says to a type, or of names below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    Template(TemplateId),
    Steered(RouteId),
    Bound(BindingId),
    Alias(AliasId),
    Dname(DnameId),
    /// As the wildcard at this node says.
    Wildcard(u32),
}

impl What {
    pub(super) fn of(way: Way) -> What {
        match way {
            Way::Addresses(route) => What::Steered(route),
            Way::Binding(binding) => What::Bound(binding),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) name_at: u32,
    /// 0: it has no name, and is reached from another node alone.
    pub(super) name_len: u8,
    /// What ANY gets (RFC 8482).
    pub(super) any: Any,
    /// How many sets there are beside the first.
    pub(super) sets: u16,
    pub(super) sets_at: u32,
    /// What the first type gets, which most names have alone; of type 0, what others get: there is none.
    pub(super) first: Set,
    /// What types get that are not among the sets.
    pub(super) other: What,
    /// What names get that do not exist below this one, the closest that does.
    pub(super) below: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Any {
    /// HINFO, since there is something (RFC 8482 §4.2).
    Hinfo,
    /// The CNAME.
    Cname,
    /// As other types: nothing is there, or not here.
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub(super) rtype: u16,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The upper half of the hash.
    tag: u32,
    /// The node, or [`EMPTY`].
    node: u32,
}

const EMPTY: u32 = u32::MAX;

/// All zones, ready to answer.
#[derive(Debug, Default)]
pub struct Zones {
    slots: Box<[Slot]>,
    pub(super) nodes: Vec<Node>,
    pub(super) words: Vec<u64>,
    pub(super) sets: Vec<Set>,
    pub(super) templates: Templates,
    pub(super) aliases: Vec<Alias>,
    pub(super) dnames: Vec<Dname>,
    pub(super) any: TemplateId,
    pub(super) labels_max: usize,
}

impl Zones {
    /// Puts the parts together.
    pub(super) fn assemble(mut zones: Zones) -> Zones {
        let size = (zones.nodes.len() * 2).next_power_of_two().max(2);
        let mut slots = vec![Slot { tag: 0, node: EMPTY }; size].into_boxed_slice();
        for (node, id) in zones.nodes.iter().zip(0u32..).filter(|(node, _)| node.name_len > 0) {
            let words = &zones.words[node.name_at as usize..][..usize::from(node.name_len).div_ceil(8)];
            let octets: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let hash = Lowered::of(&octets[..usize::from(node.name_len)]).hash();
            let mut at = hash as usize & (size - 1);
            while slots[at].node != EMPTY {
                at = (at + 1) & (size - 1);
            }
            slots[at] = Slot { tag: (hash >> 32) as u32, node: id };
        }
        zones.slots = slots;
        zones.templates.shrink();
        zones
    }

    /// No zones.
    pub(super) fn empty(templates: Templates, any: TemplateId) -> Zones {
        Zones {
            slots: Box::new([]),
            nodes: Vec::new(),
            words: Vec::new(),
            sets: Vec::new(),
            templates,
            aliases: Vec::new(),
            dnames: Vec::new(),
            any,
            labels_max: 0,
        }
    }

    /// What is said to a question (RFC 1034 §4.3.2). `scratch` is overwritten.
    #[inline]
    pub fn find(&self, name: &Lowered, scratch: &mut Lowered, qtype: u16) -> Found {
        match self.probe(name) {
            Some(node) => self.say(node, qtype),
            None => self.find_below(name, scratch, qtype),
        }
    }

    /// The node of the closest encloser decides (RFC 4592 §3.3.1).
    fn find_below(&self, name: &Lowered, scratch: &mut Lowered, qtype: u16) -> Found {
        let mut at = 0;
        let mut labels = name.label_count();
        while labels > 0 {
            at += 1 + usize::from(name.octet(at));
            labels -= 1;
            if labels > self.labels_max {
                continue;
            }
            name.suffix(at, scratch);
            if let Some(node) = self.probe(scratch) {
                return match node.below {
                    What::Wildcard(wildcard) => self.say(&self.nodes[wildcard as usize], qtype),
                    what => found(what),
                };
            }
        }
        Found::Outside
    }

    #[inline]
    fn say(&self, node: &Node, qtype: u16) -> Found {
        if node.first.rtype == qtype {
            return found(node.first.what);
        }
        let sets = &self.sets[node.sets_at as usize..][..usize::from(node.sets)];
        if let Some(set) = sets.iter().find(|set| set.rtype == qtype) {
            return found(set.what);
        }
        match (qtype, node.any) {
            (rtype::ANY, Any::Hinfo) => Found::Template(self.any),
            (rtype::ANY, Any::Cname) => self.say(node, rtype::CNAME),
            _ => found(node.other),
        }
    }

    #[inline]
    fn probe(&self, name: &Lowered) -> Option<&Node> {
        let hash = name.hash();
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.node == EMPTY {
                return None;
            }
            if slot.tag == tag {
                let node = &self.nodes[slot.node as usize];
                let words = name.words();
                let own = &self.words[node.name_at as usize..];
                // A name is a few words: comparing them here costs less than calling memcmp.
                let mut pairs = own.iter().zip(words);
                let same = usize::from(node.name_len) == name.octet_count() && pairs.all(|(a, b)| a == b);
                if same {
                    return Some(node);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// How the name without its first label is steered: whether `_why.<name>` can be answered.
    pub fn steered_below_first_label(&self, name: &Lowered, qtype: u16) -> Option<RouteId> {
        if name.label_count() < 2 {
            return None;
        }
        let below = name.octets().split_off(1 + usize::from(name.octet(0)));
        match self.find(&Lowered::of(&below), &mut Lowered::default(), qtype) {
            Found::Steered(route) => Some(route),
            Found::Alias(alias) => match self.alias(alias).end {
                AliasEnd::Steered(Way::Addresses(route)) => Some(route),
                AliasEnd::Steered(Way::Binding(_)) | AliasEnd::Renamed(_) => None,
            },
            _ => None,
        }
    }

    /// Whether the name itself exists.
    pub fn owns(&self, name: &Lowered) -> bool {
        self.probe(name).is_some()
    }

    /// A template.
    #[inline]
    pub fn template(&self, id: TemplateId) -> &Template {
        self.templates.get(id)
    }

    /// All templates.
    #[inline]
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// An alias.
    #[inline]
    pub fn alias(&self, id: AliasId) -> &Alias {
        &self.aliases[id.0 as usize]
    }

    /// A DNAME.
    pub fn dname(&self, id: DnameId) -> &Dname {
        &self.dnames[id.0 as usize]
    }

    /// How many names exist, those included that do so only for others below them.
    pub fn name_count(&self) -> usize {
        self.nodes.iter().filter(|node| node.name_len > 0).count()
    }

    /// How many octets all of it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
            + self.nodes.capacity() * size_of::<Node>()
            + self.words.capacity() * 8
            + self.sets.capacity() * size_of::<Set>()
            + self.templates.bytes()
    }
}

#[inline]
fn found(what: What) -> Found {
    match what {
        What::Template(template) => Found::Template(template),
        What::Steered(route) => Found::Steered(route),
        What::Bound(binding) => Found::Bound(binding),
        What::Alias(alias) => Found::Alias(alias),
        What::Dname(dname) => Found::Dname(dname),
        What::Wildcard(_) => unreachable!("a wildcard's own sets hold no wildcard"),
    }
}
