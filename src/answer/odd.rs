//! What few ask for: another class than IN, or a type that asks for something to be done.

use super::asking::Asking;
use super::body::Body;
use super::worker::Reply;
use super::{transfer, trouble};
use crate::wire::query::{HEADER, Query, rcode};
use crate::wire::response::Header;
use crate::zone::record::{CLASS_IN, rtype};

const CLASS_CHAOS: u16 = 3;

/// Another class, or a type that asks for no data but for something to be done (RFC 6895 §3.1), or OPT; ANY is answered.
#[inline]
pub(super) fn is_odd(query: &Query) -> bool {
    let meta = query.qtype == rtype::OPT || (128..rtype::ANY).contains(&query.qtype);
    meta || query.qclass != CLASS_IN
}

/// Another class, or a type that is no data's.
#[cold]
pub(super) fn odd(asking: &Asking<'_>, buf: &mut [u8], len: usize) -> Result<Body, Reply> {
    let Asking { query, .. } = *asking;
    match (query.qclass, query.qtype) {
        (CLASS_IN, rtype::AXFR | rtype::IXFR) => transfer::answer(asking, buf, len),
        (CLASS_IN, rtype::OPT) => Ok(Body::bare(query, rcode::FORMERR)),
        (CLASS_IN, _) => Ok(Body::bare(query, rcode::NOTIMP).because(&trouble::META)),
        (CLASS_CHAOS, rtype::TXT | rtype::ANY) => Ok(chaos(asking, buf)),
        _ => Ok(Body::bare(query, rcode::REFUSED).because(&trouble::CLASS)),
    }
}

/// CHAOS TXT tells who answers (RFC 4892), and by the files of which commit.
fn chaos(asking: &Asking<'_>, buf: &mut [u8]) -> Body {
    let Asking { snapshot, query, name, .. } = *asking;
    let is = |names: [&[u8]; 2]| names.iter().any(|octets| name.is(octets));
    let settings = &snapshot.plan.settings;
    let commit;
    let text: &[u8] = if is([b"\x07version\x04bind\0", b"\x07version\x06server\0"]) {
        settings.version.as_bytes()
    } else if is([b"\x08hostname\x04bind\0", b"\x02id\x06server\0"]) {
        &settings.nsid
    } else if name.is(b"\x06commit\x06server\0") {
        commit = settings.commit.as_ref().map(ToString::to_string).unwrap_or_default();
        commit.as_bytes()
    } else {
        &[]
    };
    if text.is_empty() {
        return Body::bare(query, rcode::REFUSED).because(&trouble::CLASS);
    }
    let len = text.len().min(255);
    let at = query.question_end;
    let fixed = [
        0xc0,
        HEADER as u8,
        0,
        rtype::TXT as u8,
        0,
        CLASS_CHAOS as u8,
        0,
        0,
        0,
        0,
        0,
        len as u8 + 1,
        len as u8,
    ];
    buf[at..at + fixed.len()].copy_from_slice(&fixed);
    let end = at + fixed.len() + len;
    buf[at + fixed.len()..end].copy_from_slice(&text[..len]);
    Body::unsteered(end, Header::new(rcode::NOERROR).authoritative().with_counts(1, 0, 0))
}
