//! What one answering thread has counted.

use super::worker::{Fact, Steered, Transport};
use crate::cluster::{CLUSTERS_MAX, Family};
use crate::metrics::Counter;
use crate::steering::choose::Reason;

/// Types that are counted by name; every other is `other`.
pub(super) const TYPES: [(u16, &str); 27] = [
    (0, "none"), // the question was not understood
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (39, "DNAME"),
    (43, "DS"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (52, "TLSA"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
];

/// Where each type is counted; those beyond the table are `other`.
const TYPE_CELLS: [u8; 258] = {
    let mut cells = [TYPES.len() as u8; 258];
    let mut i = 0;
    while i < TYPES.len() {
        cells[TYPES[i].0 as usize] = i as u8;
        i += 1;
    }
    cells
};

/// Response codes by number (RFC 6895 §2.3); an empty word is unassigned. Every other is `other`.
pub(super) const RCODES: [&str; 24] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "",
    "",
    "",
    "",
    "BADVERS",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
];
/// SERVFAIL's number.
const SERVFAIL: usize = 2;

/// What one answering thread counts. It alone writes; anybody reads.
///
/// A thread that answers both families has a Tally for each, so that neither is counted per query.
#[derive(Debug)]
#[repr(align(128))] // no two threads' counts in one cache line, nor in the pair that is fetched together
pub struct Tally {
    pub(super) transport: Transport,
    pub(super) family: Family,
    pub(super) types: [Counter; TYPES.len() + 1],
    pub(super) rcodes: [Counter; RCODES.len() + 1],
    pub(super) truncated: Counter,
    pub(super) ecs: Counter,
    pub(super) dropped: Counter,
    pub(super) limited: Counter,
    pub(super) slipped: Counter,
    pub(super) senders: [Counter; 3],
    pub(super) panics: Counter,
    pub(super) send_failures: Counter,
    pub(super) receive_failures: Counter,
    pub(super) late: Counter,
    pub(super) late_dropped: Counter,
    pub(super) steered: Box<[[Counter; Reason::ALL.len()]]>,
}

impl Tally {
    /// With nothing counted yet.
    pub fn new(transport: Transport, family: Family) -> Tally {
        Tally {
            transport,
            family,
            types: Default::default(),
            rcodes: Default::default(),
            truncated: Counter::default(),
            ecs: Counter::default(),
            dropped: Counter::default(),
            limited: Counter::default(),
            slipped: Counter::default(),
            senders: Default::default(),
            panics: Counter::default(),
            send_failures: Counter::default(),
            receive_failures: Counter::default(),
            late: Counter::default(),
            late_dropped: Counter::default(),
            steered: (0..CLUSTERS_MAX).map(|_| Default::default()).collect(),
        }
    }

    /// A query was answered.
    #[inline]
    pub fn answered(&self, fact: &Fact) {
        let cell = TYPE_CELLS.get(usize::from(fact.qtype)).copied().unwrap_or(TYPES.len() as u8);
        self.types[usize::from(cell)].bump();
        self.rcodes[usize::from(fact.rcode).min(RCODES.len())].bump();
        if fact.truncated {
            self.truncated.bump();
        }
        if fact.ecs {
            self.ecs.bump();
        }
        if fact.slipped {
            self.slipped.bump();
        }
        if let Some(sender) = fact.sender {
            self.senders[sender as usize].bump();
        }
        if let Some(Steered { counted, reason, .. }) = fact.steered {
            self.steered[usize::from(counted.0) % CLUSTERS_MAX][reason as usize].bump();
        }
    }

    /// A packet was given no answer.
    #[inline]
    pub fn dropped(&self) {
        self.dropped.bump();
    }

    /// A query was given no answer: its network had too many.
    #[inline]
    pub fn limited(&self) {
        self.limited.bump();
    }

    /// A transfer of this type began.
    #[cold]
    pub fn transferred(&self, qtype: u16) {
        let cell = TYPE_CELLS.get(usize::from(qtype)).copied().unwrap_or(TYPES.len() as u8);
        self.types[usize::from(cell)].bump();
        self.rcodes[0].bump();
    }

    /// Answering panicked; the client was told SERVFAIL.
    #[cold]
    pub fn panicked(&self) {
        self.panics.bump();
        self.types[0].bump();
        self.rcodes[SERVFAIL].bump();
    }

    /// The kernel refused to send so many answers.
    #[cold]
    pub fn send_failed(&self, answers: usize) {
        self.send_failures.add(answers as u64);
    }

    /// The kernel refused to receive, other than for want of packets.
    #[cold]
    pub fn receive_failed(&self) {
        self.receive_failures.bump();
    }

    /// A question was handed to the cold lane.
    #[cold]
    pub fn handed_on(&self) {
        self.late.bump();
    }

    /// The cold lane was full: the question was not answered by it.
    #[cold]
    pub fn lane_full(&self) {
        self.late_dropped.bump();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_own_number() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
        }
    }
}
