//! `_why.<service>` TXT: a reason that the cold lane has found, in a few lines.

use super::asking::Asking;
use super::body::{Body, FIXED, Fixed};
use super::worker::Why;
use crate::wire::query::rcode;
use crate::wire::response::Header;
use crate::zone::record::rtype;
use crate::zone::template::Pointer;

/// What a TXT string holds.
const STRING_MAX: usize = 255;

/// A reason, a record for each line.
///
/// What does not fit the client is left out, line by line, and TC says so. TTL 0: it is the state of an instant.
#[cold]
pub(super) fn explained(asking: &Asking<'_>, buf: &mut [u8], why: &Why) -> Body {
    let (mut at, mut laid) = (asking.query.question_end, 0);
    for line in &why.lines {
        let text = &line.as_bytes()[..line.len().min(STRING_MAX)];
        let end = at + FIXED + 1 + text.len();
        if end > asking.room.records {
            break;
        }
        let (owner, rdata_len) = (Pointer::QUESTION.octets, text.len() as u16 + 1);
        let fixed = Fixed { owner, rtype: rtype::TXT, ttl_s: 0, rdata_len }.octets();
        buf[at..at + FIXED].copy_from_slice(&fixed);
        buf[at + FIXED] = text.len() as u8;
        buf[at + FIXED + 1..end].copy_from_slice(text);
        (at, laid) = (end, laid + 1);
    }
    let header = Header::new(rcode::NOERROR).authoritative().with_counts(laid, 0, 0);
    let header = if usize::from(laid) < why.lines.len() { header.truncated() } else { header };
    Body { scope: why.scope, ..Body::unsteered(at, header) }
}
