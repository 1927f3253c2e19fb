//! The header and the end of an answer (RFC 1035 §4.1.1).

/// What the header of an answer says beside what the query's said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Header {
    /// The low four bits of the RCODE.
    pub rcode: u16,
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
    /// QDCOUNT: 1, or 0 where the question is not echoed.
    pub questions: u16,
    /// ANCOUNT.
    pub answers: u16,
    /// NSCOUNT.
    pub authorities: u16,
    /// ARCOUNT, an OPT included.
    pub additionals: u16,
}

impl Header {
    /// Turns the query's header in `buf` into the answer's. ID, opcode and RD stay, CD is copied (RFC 4035 §3.1.6),
    /// the rest is set.
    #[inline]
    pub fn write(self, buf: &mut [u8]) {
        let flags =
            buf[2] & 0b0111_1001 | 0x80 | u8::from(self.authoritative) << 2 | u8::from(self.truncated) << 1;
        let low = buf[3] & 0x10 | (self.rcode & 0x0f) as u8;
        buf[2] = flags;
        buf[3] = low;
        let counts = u64::from(self.questions) << 48
            | u64::from(self.answers) << 32
            | u64::from(self.authorities) << 16
            | u64::from(self.additionals);
        buf[4..12].copy_from_slice(&counts.to_be_bytes());
    }
}
