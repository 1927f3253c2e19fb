//! What stands behind the question of an answer, before its OPT is written.

use super::worker::Steered;
use crate::wire::edns::ExtendedError;
use crate::wire::query::{HEADER, Query};
use crate::wire::response::Header;
use crate::zone::record::CLASS_IN;

/// What stands behind the question, and what the header says of it; the OPT is still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    /// Where it ends.
    pub(super) end: usize,
    pub(super) header: Header,
    /// The upper eight bits of the RCODE, which stand in the OPT (RFC 6891 §6.1.3).
    pub(super) extended: u8,
    /// For whom it holds: SCOPE PREFIX-LENGTH.
    pub(super) scope: u8,
    pub(super) steered: Option<Steered>,
    pub(super) error: Option<&'static ExtendedError>,
}

impl Body {
    /// An RCODE and nothing else.
    #[cold]
    pub(super) fn bare(query: &Query, rcode: u16) -> Body {
        let header = Header::new(rcode);
        // Of a question that is none, or could not be read, nothing comes back.
        let header = if query.question_end == HEADER { header.without_question() } else { header };
        let body = Body::unsteered(query.question_end, header);
        Body { extended: (rcode >> 4) as u8, ..body }
    }

    /// The same for everybody.
    #[inline]
    pub(super) fn unsteered(end: usize, header: Header) -> Body {
        Body { end, header, extended: 0, scope: 0, steered: None, error: None }
    }

    /// The same with a reason for people.
    pub(super) fn because(self, error: &'static ExtendedError) -> Body {
        Body { error: Some(error), ..self }
    }

    /// The whole RCODE.
    pub(super) fn rcode(&self) -> u16 {
        u16::from(self.extended) << 4 | self.header.rcode()
    }
}

/// What stands before the records of a steered answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Where they begin.
    pub(super) at: usize,
    /// Records before them.
    pub(super) answers: u16,
    /// Their owner.
    pub(super) owner: [u8; 2],
}

/// The fixed part of a record that is made at answering.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    pub(super) owner: [u8; 2],
    pub(super) rtype: u16,
    pub(super) ttl_s: u32,
    pub(super) rdata_len: u16,
}

/// Octets of it.
pub(super) const FIXED: usize = 12;

impl Fixed {
    #[inline]
    pub(super) fn octets(self) -> [u8; FIXED] {
        let ([o0, o1], [t0, t1], [c0, c1]) = (self.owner, self.rtype.to_be_bytes(), CLASS_IN.to_be_bytes());
        let ([s0, s1, s2, s3], [l0, l1]) = (self.ttl_s.to_be_bytes(), self.rdata_len.to_be_bytes());
        [o0, o1, t0, t1, c0, c1, s0, s1, s2, s3, l0, l1]
    }
}
