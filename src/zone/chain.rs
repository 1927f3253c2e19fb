//! Where an alias leads, through further ones (RFC 1034 §3.6.2).

use super::record::rtype;
use super::tree::{Reached, Tree, TreeNode};
use crate::wire::name::Name;

/// The most aliases that an answer follows; resolvers give up no later.
pub const CHAIN_MAX: usize = 8;

/// One CNAME of a chain.
#[derive(Debug)]
pub struct Link {
    /// Its owner.
    pub owner: Name,
    /// Its TTL.
    pub ttl_s: u32,
    /// Its RDATA.
    pub rdata: Box<[u8]>,
}

/// Where a chain of aliases ends.
#[derive(Debug)]
pub enum End<'t> {
    /// At this node, asked by this name.
    Node(&'t TreeNode, Name),
    /// At a name that does not exist in this zone.
    Missing(u32),
    /// At or below this delegation, asked by this name.
    Cut(u32, Name),
    /// Below the DNAME at this node, asked by this name: what that makes of it is found when it is asked for.
    Dname(u32, Name),
    /// Nowhere that we would follow: outside our zones, in a loop.
    Stop,
}

/// Follows the aliases from `node` on, at most [`CHAIN_MAX`] of them, each name once.
pub fn follow<'t>(tree: &'t Tree, node: &'t TreeNode) -> (Vec<Link>, End<'t>) {
    let mut links: Vec<Link> = Vec::new();
    let mut owner = node.name.clone();
    let mut at = node;
    loop {
        let (Some(set), Some(target)) = (at.set(rtype::CNAME), at.alias()) else {
            return (links, End::Node(at, owner));
        };
        links.push(Link { owner, ttl_s: set.ttl_s, rdata: set.rdatas[0].clone() });
        let looped = links.iter().any(|link| link.owner == target);
        if looped || links.len() == CHAIN_MAX {
            return (links, End::Stop);
        }
        at = match tree.reach(&target) {
            Reached::Node(next) => &tree.nodes[next as usize],
            Reached::Cut(cut) => return (links, End::Cut(cut, target)),
            Reached::Missing(zone) => return (links, End::Missing(zone)),
            Reached::Dname(dname) => return (links, End::Dname(dname, target)),
            Reached::Outside => return (links, End::Stop),
        };
        // A wildcard that leads back to itself: the question may be the very name that it leads to.
        if std::ptr::eq(at, node) {
            return (links, End::Stop);
        }
        owner = target;
    }
}
