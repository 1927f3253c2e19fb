//! The header of an answer (RFC 1035 §4.1.1).

const QR: u16 = 1 << 15;
const AA: u16 = 1 << 10;
const TC: u16 = 1 << 9;
/// The bits of a query's flags that come back: opcode, RD, and CD (RFC 4035 §3.1.6).
const COPIED: u16 = 0x7910;
const RCODE: u16 = 0x000f;

/// What the header of an answer says beside what the query's said; packed as it is written, so that a template's costs one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    flags: u16,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT, 16 bits each.
    counts: u64,
}

impl Header {
    /// As it is kept: the flags, and the counts of all sections.
    #[inline]
    pub fn parts(self) -> (u16, u64) {
        (self.flags, self.counts)
    }

    /// The header that these are the parts of.
    #[inline]
    pub fn of_parts(flags: u16, counts: u64) -> Header {
        Header { flags, counts }
    }

    /// An RCODE (its low four bits; the others go into the OPT), one question, and nothing else.
    #[inline]
    pub const fn new(rcode: u16) -> Header {
        Header { flags: QR | rcode & RCODE, counts: 1 << 48 }
    }

    /// The same with AA.
    #[inline]
    pub const fn authoritative(self) -> Header {
        Header { flags: self.flags | AA, ..self }
    }

    /// The same with TC.
    #[inline]
    pub const fn truncated(self) -> Header {
        Header { flags: self.flags | TC, ..self }
    }

    /// The same with these counts of the answer, authority and additional sections.
    #[inline]
    pub const fn with_counts(self, answers: u16, authorities: u16, additionals: u16) -> Header {
        let questions = self.counts >> 48 << 48;
        let counts = questions | (answers as u64) << 32 | (authorities as u64) << 16 | additionals as u64;
        Header { counts, ..self }
    }

    /// The same where the question is not echoed.
    #[inline]
    pub const fn without_question(self) -> Header {
        Header { counts: self.counts & !(0xffff << 48), ..self }
    }

    /// One more record in the answer section.
    #[inline]
    pub const fn add_answer(&mut self) {
        self.counts += 1 << 32;
    }

    /// One more record in the additional section.
    #[inline]
    pub const fn add_additional(&mut self) {
        self.counts += 1;
    }

    /// ANCOUNT.
    #[inline]
    pub const fn answers(&self) -> u16 {
        (self.counts >> 32) as u16
    }

    /// NSCOUNT.
    #[inline]
    pub const fn authorities(&self) -> u16 {
        (self.counts >> 16) as u16
    }

    /// ARCOUNT.
    #[inline]
    pub const fn additionals(&self) -> u16 {
        self.counts as u16
    }

    /// The low four bits of the RCODE.
    #[inline]
    pub const fn rcode(&self) -> u16 {
        self.flags & RCODE
    }

    /// Whether TC is set.
    #[inline]
    pub const fn is_truncated(&self) -> bool {
        self.flags & TC != 0
    }

    /// Turns the query's header in `buf` into the answer's. ID, opcode, RD and CD stay, the rest is set.
    #[inline]
    pub fn write(self, buf: &mut [u8]) {
        let Some([_, _, high, low, counts @ ..]) = buf.first_chunk_mut::<12>() else { return };
        let flags = u16::from_be_bytes([*high, *low]) & COPIED | self.flags;
        [*high, *low] = flags.to_be_bytes();
        *counts = self.counts.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_id_opcode_rd_and_cd_and_no_other_bit_of_the_query() {
        let mut buf = [0xab, 0xcd, 0xff, 0xff, 9, 9, 9, 9, 9, 9, 9, 9];
        let mut header = Header::new(3).authoritative().with_counts(1, 2, 3);
        header.add_additional();
        header.write(&mut buf);
        assert_eq!(buf, [0xab, 0xcd, 0b1111_1101, 0b0001_0011, 0, 1, 0, 1, 0, 2, 0, 4]);
        Header::new(1).truncated().without_question().write(&mut buf);
        assert_eq!(buf, [0xab, 0xcd, 0b1111_1011, 0b0001_0001, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!header.is_truncated() && Header::new(0).truncated().is_truncated());
        assert_eq!((header.rcode(), header.answers(), header.authorities()), (3, 1, 2));
    }
}
