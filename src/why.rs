//! `_why.<service>` TXT: an explanation in a few lines, by dig.

use std::net::IpAddr;
use std::time::Instant;

use crate::answer::respond::why_route;
use crate::answer::worker::Why;
use crate::explain::{Beside, explain};
use crate::geo::place::Place;
use crate::geo::sources::Known;
use crate::health::quality::Ways;
use crate::snapshot::Snapshot;
use crate::wire::lowered::Lowered;
use crate::wire::query::{self, BUFFER_MIN};

/// What a query is told that `respond` found to ask why; `None` where the Snapshot has no such service. `known` tells what
/// sources say of an address, if they can be asked; `ways` are what those to clusters cost, if that was measured.
///
/// The scope is that of the answer which is explained.
pub fn why(
    snapshot: &Snapshot,
    query: &[u8],
    peer: IpAddr,
    now: Instant,
    ways: &[Ways],
    known: impl Fn(IpAddr) -> Option<(Vec<Known>, Place)>,
) -> Option<Why> {
    let mut message = query.to_vec();
    message.resize(query.len().max(BUFFER_MIN), 0);
    let mut name = Lowered::default();
    let asked = query::read(&message, query.len(), &mut name).ok()?;
    let plan = &*snapshot.plan;
    let route = plan.route(why_route(plan, &name)?);
    let subnet = asked.edns.as_ref().and_then(|edns| edns.subnet.as_ref());
    let told = known(plan.client(route, subnet, peer).address);
    let known = told.as_ref().map(|(known, place)| (&known[..], place));
    let explanation = explain(snapshot, route, subnet, peer, now, &Beside { known, ways });
    Some(Why { lines: explanation.short(), scope: explanation.scope })
}
