//! `_why.<service>` TXT: an explanation in a few lines, by dig.

use std::net::IpAddr;
use std::time::Instant;

use crate::answer::asking::PLAIN_MAX;
use crate::answer::respond::why_route;
use crate::answer::worker::Transport;
use crate::explain::explain;
use crate::geo::place::Place;
use crate::geo::sources::Known;
use crate::snapshot::Snapshot;
use crate::wire::edns;
use crate::wire::lowered::Lowered;
use crate::wire::query::{self, BUFFER_MIN, HEADER, rcode};
use crate::wire::response::Header;
use crate::zone::record::rtype;

/// What a TXT string holds.
const STRING_MAX: usize = 255;

/// The answer to a query that `respond` found to ask why; `None` where the Snapshot of now has no such service. `known`
/// tells what sources say of an address, if they can be asked.
///
/// Over UDP what does not fit the client is left out, line by line, and TC says so. TTL 0: it is the state of an
/// instant. The scope is that of the answer which is explained.
pub fn why(
    snapshot: &Snapshot,
    query: &[u8],
    peer: IpAddr,
    transport: Transport,
    now: Instant,
    known: impl Fn(IpAddr) -> Option<(Vec<Known>, Place)>,
) -> Option<Vec<u8>> {
    let mut message = query.to_vec();
    message.resize(query.len().max(BUFFER_MIN), 0);
    let mut name = Lowered::default();
    let asked = query::read(&message, query.len(), &mut name).ok()?;
    let plan = &*snapshot.plan;
    let route = plan.route(why_route(plan, &name)?);
    let subnet = asked.edns.as_ref().and_then(|edns| edns.subnet.as_ref());
    let told = known(plan.client(route, subnet, peer).address);
    let told = told.as_ref().map(|(known, place)| (&known[..], place));
    let explanation = explain(snapshot, route, subnet, peer, now, told);

    message.truncate(asked.question_end);
    let taken = match (transport, asked.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Some(edns)) => usize::from(edns.payload.min(plan.settings.payload_max)),
        (Transport::Udp, None) => PLAIN_MAX,
    };
    let opt = asked.edns.map_or(0, |edns| edns::answer_len(edns.subnet.as_ref()));
    let room = taken - opt;
    let mut header = Header::new(rcode::NOERROR).authoritative();
    for line in explanation.short() {
        let text = &line.as_bytes()[..line.len().min(STRING_MAX)];
        if message.len() + 13 + text.len() > room {
            header = header.truncated();
            break;
        }
        // Owner, type, class IN, TTL 0; RDLENGTH is one more than the string's length.
        message.extend([0xc0, HEADER as u8, 0, rtype::TXT as u8, 0, 1, 0, 0, 0, 0]);
        message.extend((text.len() as u16 + 1).to_be_bytes());
        message.push(text.len() as u8);
        message.extend(text);
        header.add_answer();
    }
    let end = message.len();
    if let Some(edns) = &asked.edns {
        message.resize(end + opt, 0);
        let subnet = edns.subnet.as_ref().map(|subnet| (subnet, explanation.scope));
        edns::write(&mut message[end..], plan.settings.payload_max, 0, edns.dnssec_ok, subnet);
        header.add_additional();
    }
    header.write(&mut message);
    Some(message)
}
