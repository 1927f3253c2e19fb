//! What a service answers beside its addresses: HTTPS and SVCB with the addresses that its A and AAAA would have, SRV with the names of
//! those nodes; and the next clusters of the client's list behind them.

use std::net::IpAddr;

use super::asking::Asking;
use super::body::{Body, Fixed, Head};
use super::steered::{all_down, trouble_of};
use super::worker::Steered;
use crate::cluster::{Address, Cluster, ClusterId, Family};
use crate::plan::{BoundName, Placed, Route};
use crate::sets::AddressSet;
use crate::snapshot::Snapshot;
use crate::steering::binding::Form;
use crate::steering::choose::{Choice, Reason, Standing};
use crate::steering::client::Whose;
use crate::wire::query::rcode;
use crate::wire::response::Header;
use crate::zone::record::rtype;
use crate::zone::tree::BindingId;

/// SvcParamKeys (RFC 9460 §14.3.2).
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;
/// Nodes that an SRV answer names; it is large enough.
const NODES_MAX: usize = 64;
/// Clusters that an answer names: those chosen for A and for AAAA, and those that follow.
const CLUSTERS_MAX: usize = 10;

/// One family's side of the answer.
struct Side<'s> {
    route: &'s Route,
    placed: Placed<'s>,
    whose: Whose,
    choice: Option<Choice>,
}

impl<'s> Side<'s> {
    fn of(asking: &Asking<'s>, route: &'s Route) -> Side<'s> {
        let plan = &asking.snapshot.plan;
        let subnet = asking.query.edns.as_ref().and_then(|edns| edns.subnet.as_ref());
        let client = plan.client(route, subnet, asking.peer);
        let placed = plan.place(route, &client);
        Side { route, placed, whose: client.whose, choice: asking.snapshot.choose(route, &placed) }
    }

    /// The addresses that this family's answer would have, or that of a client whose first cluster `id` is.
    fn addresses(&self, snapshot: &'s Snapshot, id: ClusterId, turn: u32) -> Option<AddressSet<'s>> {
        let choice = match self.choice {
            Some(choice) if choice.cluster == id => choice,
            _ if self.is_open(snapshot, id) => Choice { cluster: id, reason: Reason::Next },
            _ => return None,
        };
        Some(snapshot.addresses(self.route, &choice, self.placed.slot, self.whose, turn))
    }

    /// Whether a cluster is on the list, up, and open for the client.
    fn is_open(&self, snapshot: &Snapshot, id: ClusterId) -> bool {
        let pool = snapshot.pool(id, self.route).pool;
        self.placed.list.clusters.contains(&id)
            && pool.standing == Standing::Up
            && pool.open >> (self.placed.slot & 63) & 1 == 1
    }
}

/// The clusters that are named, the best first.
struct Ranks {
    ids: [ClusterId; CLUSTERS_MAX],
    len: usize,
}

impl Ranks {
    fn push(&mut self, id: ClusterId) {
        if self.len < CLUSTERS_MAX && !self.ids[..self.len].contains(&id) {
            self.ids[self.len] = id;
            self.len += 1;
        }
    }
}

/// Lays the records of a binding behind what stands before them.
#[cold]
pub(super) fn answer(
    asking: &Asking<'_>,
    buf: &mut [u8],
    id: BindingId,
    head: Head,
    turns: &mut [u32; 3],
) -> Body {
    let Asking { snapshot, query, room, .. } = *asking;
    let plan = &*snapshot.plan;
    let bound = plan.bound(id);
    let turn = turns[2];
    turns[2] = turn.wrapping_add(1);
    let sides = bound.routes.map(|route| Some(Side::of(asking, plan.route(route?))));
    let each = || sides.iter().flatten();
    let scope = each().map(|side| side.placed.scope).max().unwrap_or(0);
    let Some(choice) = each().find_map(|side| side.choice) else {
        return Body { scope, ..all_down(query) };
    };
    let mut ranks = Ranks { ids: [choice.cluster; CLUSTERS_MAX], len: 1 };
    // Behind the cluster of A: where that of AAAA is another one, SRV names it, too.
    let by_name = matches!(bound.binding.form, Form::Nodes { .. });
    each().filter_map(|side| side.choice).filter(|_| by_name).for_each(|choice| ranks.push(choice.cluster));
    let chosen = ranks.len;
    if let Some(side) = each().find(|side| side.choice.is_some()) {
        for &next in snapshot.list(side.route, &side.placed).0 {
            if ranks.len < chosen + usize::from(bound.binding.next) && side.is_open(snapshot, next) {
                ranks.push(next);
            }
        }
    }
    let ttl_s = each().filter_map(|side| {
        let set = side.addresses(snapshot, side.choice?.cluster, turn)?;
        Some(set.ttl_s(side.route.ttl_s, asking.now.instant))
    });
    let fixed =
        Fixed { owner: head.owner, rtype: query.qtype, ttl_s: ttl_s.min().unwrap_or(1), rdata_len: 0 };
    let mut page = Page { buf, at: head.at, limit: room.records };
    let laid = match &bound.binding.form {
        Form::Service { target, params } => {
            put_services(&mut page, fixed, bound, &sides, &ranks, snapshot, turn, target, params)
        }
        Form::Nodes { port } => put_nodes(&mut page, fixed, bound, &sides, &ranks, snapshot, turn, *port),
    };
    let header = Header::new(rcode::NOERROR).authoritative();
    let (end, header) = match laid {
        Some((answers, additionals)) => (page.at, header.with_counts(head.answers + answers, 0, additionals)),
        None => (query.question_end, header.truncated()),
    };
    let steered = Steered {
        service: bound.binding.service,
        cluster: choice.cluster,
        counted: plan.counted[usize::from(choice.cluster.0)],
        reason: choice.reason,
    };
    let error = trouble_of(choice.reason);
    Body { end, header, extended: 0, scope, steered: Some(steered), error }
}

/// Where records are laid, one behind the other, up to a limit.
struct Page<'b> {
    buf: &'b mut [u8],
    at: usize,
    limit: usize,
}

impl Page<'_> {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.at + octets.len();
        if end > self.limit {
            return None;
        }
        self.buf[self.at..end].copy_from_slice(octets);
        self.at = end;
        Some(())
    }

    /// One record: its fixed part, and its RDATA as `put` lays it.
    fn record(&mut self, fixed: Fixed, put: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.put(&fixed.octets())?;
        let start = self.at;
        put(self)?;
        let len = (self.at - start) as u16;
        self.buf[start - 2..start].copy_from_slice(&len.to_be_bytes());
        Some(())
    }

    /// The name of a cluster, `<cluster>.<zone>`.
    fn cluster(&mut self, cluster: &Cluster, origin: &[u8]) -> Option<()> {
        self.label(&cluster.key)?;
        self.put(origin)
    }

    fn label(&mut self, label: &str) -> Option<()> {
        self.put(&[label.len() as u8])?;
        self.put(label.as_bytes())
    }
}

/// HTTPS and SVCB: a record for each cluster, with the addresses of its nodes as hints.
#[expect(clippy::too_many_arguments, reason = "what an answer is made of")]
fn put_services(
    page: &mut Page<'_>,
    fixed: Fixed,
    bound: &BoundName,
    sides: &[Option<Side<'_>>; 2],
    ranks: &Ranks,
    snapshot: &Snapshot,
    turn: u32,
    target: &[u8],
    params: &[u8],
) -> Option<(u16, u16)> {
    for (rank, &id) in ranks.ids[..ranks.len].iter().enumerate() {
        let cluster = snapshot.plan.inventory.cluster(id);
        page.record(fixed, |page| {
            page.put(&(rank as u16 + 1).to_be_bytes())?;
            if rank == 0 { page.put(target) } else { page.cluster(cluster, &bound.origin) }?;
            page.put(params)?;
            for (side, key) in sides.iter().zip([IPV4_HINT, IPV6_HINT]) {
                // The first record's hints are what A and AAAA answer, be it of two clusters.
                let set = side.as_ref().and_then(|side| {
                    let id = if rank == 0 { side.choice?.cluster } else { id };
                    side.addresses(snapshot, id, turn)
                });
                if let Some(set) = set.filter(|set| set.len() > 0) {
                    page.put(&key.to_be_bytes())?;
                    page.put(&(set.len() as u16).to_be_bytes())?;
                    page.put(set.octets())?;
                }
            }
            Some(())
        })?;
    }
    Some((ranks.len as u16, 0))
}

/// SRV: a record for each node, and its addresses behind them where there is room.
#[expect(clippy::too_many_arguments, reason = "what an answer is made of")]
fn put_nodes(
    page: &mut Page<'_>,
    fixed: Fixed,
    bound: &BoundName,
    sides: &[Option<Side<'_>>; 2],
    ranks: &Ranks,
    snapshot: &Snapshot,
    turn: u32,
    port: Option<u16>,
) -> Option<(u16, u16)> {
    let plan = &*snapshot.plan;
    let mut named = [(0, ClusterId(0), 0); NODES_MAX];
    let mut answers = 0;
    for (rank, &id) in ranks.ids[..ranks.len].iter().enumerate() {
        let cluster = plan.inventory.cluster(id);
        let check = sides.iter().flatten().find_map(|side| plan.kind(side.route).check_in(cluster));
        let port = port.or_else(|| check.map(|check| plan.checks[usize::from(check.0)].port))?;
        for (at, node) in cluster.nodes.iter().enumerate() {
            let is_answered = sides.iter().flatten().any(|side| {
                let of_family = |address: &&Address| Family::of(address.ip) == side.route.family;
                let mut own = node.addresses.iter().filter(of_family);
                let set = side.addresses(snapshot, id, turn);
                set.is_some_and(|set| own.any(|address| set.holds(address.ip)))
            });
            if !is_answered || answers == NODES_MAX {
                continue;
            }
            page.record(fixed, |page| {
                page.put(&(rank as u16 + 1).to_be_bytes())?;
                page.put(&(node.weight as u16).to_be_bytes())?;
                page.put(&port.to_be_bytes())?;
                named[answers] = (page.at, id, at);
                page.label(&node.key)?;
                page.cluster(cluster, &bound.origin)
            })?;
            answers += 1;
        }
    }
    let (end, mut additionals) = (page.at, 0);
    for &(target, id, node) in &named[..answers] {
        for address in &plan.inventory.cluster(id).nodes[node].addresses {
            let owner = (0xc000 | target as u16).to_be_bytes();
            let fixed = match Family::of(address.ip) {
                Family::V4 => Fixed { owner, rtype: rtype::A, ..fixed },
                Family::V6 => Fixed { owner, rtype: rtype::AAAA, ..fixed },
            };
            let laid = page.record(fixed, |page| match address.ip {
                IpAddr::V4(v4) => page.put(&v4.octets()),
                IpAddr::V6(v6) => page.put(&v6.octets()),
            });
            if laid.is_none() || target > 0x3fff {
                page.at = end; // all of them or none: nothing is missed without them
                return Some((answers as u16, 0));
            }
            additionals += 1;
        }
    }
    Some((answers as u16, additionals))
}
