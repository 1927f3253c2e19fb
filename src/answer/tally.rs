//! What one answering thread has counted, and the sum over all of them.

use std::sync::Arc;

use super::worker::{Fact, Steered, Transport};
use crate::cluster::{CLUSTERS_MAX, ClusterId, Family};
use crate::metrics::{Counter, Exposition, Kind};
use crate::steering::choose::Reason;

/// Types that are counted by name; every other is `other`.
const TYPES: [(u16, &str); 27] = [
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
const RCODES: [&str; 24] = [
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
    transport: Transport,
    family: Family,
    types: [Counter; TYPES.len() + 1],
    rcodes: [Counter; RCODES.len() + 1],
    truncated: Counter,
    ecs: Counter,
    dropped: Counter,
    panics: Counter,
    send_failures: Counter,
    receive_failures: Counter,
    late: Counter,
    late_dropped: Counter,
    steered: Box<[[Counter; Reason::ALL.len()]]>,
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
        if let Some(Steered { cluster, reason, .. }) = fact.steered {
            self.steered[usize::from(cluster.0) % CLUSTERS_MAX][reason as usize].bump();
        }
    }

    /// A packet was given no answer.
    #[inline]
    pub fn dropped(&self) {
        self.dropped.bump();
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

    /// All that these have counted.
    pub fn sum(tallies: &[Arc<Tally>]) -> Totals {
        let mut totals = Totals::default();
        for tally in tallies {
            totals.add(tally);
        }
        totals
    }
}

/// What was counted over one transport and family.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// How the queries came.
    pub transport: Transport,
    /// From addresses of which family.
    pub family: Family,
    /// Answers whose TC was set.
    pub truncated: u64,
    /// Queries with a well-formed ECS option.
    pub ecs: u64,
    /// Packets that got no answer.
    pub dropped: u64,
    /// Panics caught; each was answered SERVFAIL.
    pub panics: u64,
    /// Answers that the kernel refused to send.
    pub send_failures: u64,
    /// Times that the kernel refused to receive.
    pub receive_failures: u64,
    /// Questions handed to the cold lane.
    pub late: u64,
    /// Questions for which the cold lane had no room.
    pub late_dropped: u64,
    types: [u64; TYPES.len() + 1],
    rcodes: [u64; RCODES.len() + 1],
}

impl Path {
    fn new(transport: Transport, family: Family) -> Path {
        Path {
            transport,
            family,
            truncated: 0,
            ecs: 0,
            dropped: 0,
            panics: 0,
            send_failures: 0,
            receive_failures: 0,
            late: 0,
            late_dropped: 0,
            types: [0; TYPES.len() + 1],
            rcodes: [0; RCODES.len() + 1],
        }
    }

    /// Queries answered, by the word for their type.
    pub fn by_type(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TYPES.iter().map(|t| t.1).chain(["other"]).zip(self.types)
    }

    /// Answers, by the word for their response code.
    pub fn by_rcode(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RCODES.into_iter().chain(["other"]).zip(self.rcodes)
    }

    /// Queries answered.
    pub fn answered(&self) -> u64 {
        self.rcodes.iter().sum()
    }

    fn labels(&self) -> [(&'static str, &'static str); 2] {
        let proto = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        let family = match self.family {
            Family::V4 => "ip4",
            Family::V6 => "ip6",
        };
        [("proto", proto), ("family", family)]
    }
}

/// What all answering threads have counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// By transport and family; those only that are listened on.
    pub paths: Vec<Path>,
    steered: Vec<[u64; Reason::ALL.len()]>,
}

impl Totals {
    /// Answers by cluster and reason; those only that occurred.
    pub fn steered(&self) -> impl Iterator<Item = (ClusterId, Reason, u64)> {
        self.steered.iter().enumerate().flat_map(|(cluster, counts)| {
            let reasons = Reason::ALL.into_iter().zip(counts).filter(|(_, count)| **count > 0);
            reasons.map(move |(reason, count)| (ClusterId(cluster as u16), reason, *count))
        })
    }

    /// Queries answered.
    pub fn answered(&self) -> u64 {
        self.paths.iter().map(Path::answered).sum()
    }

    /// Writes them as metrics. `key` tells a cluster's key; a cluster without one is left out.
    pub fn write<'a>(&self, text: &mut Exposition, key: impl Fn(ClusterId) -> Option<&'a str>) {
        let mut family =
            text.family("steerdns_dns_requests_total", Kind::Counter, "Queries answered, by type.");
        for path in &self.paths {
            let [proto, ip] = path.labels();
            for (word, count) in path.by_type().filter(|(_, count)| *count > 0) {
                family.sample(&[proto, ip, ("type", word)], count);
            }
        }
        let mut family =
            text.family("steerdns_dns_responses_total", Kind::Counter, "Answers, by response code.");
        for path in &self.paths {
            let [proto, ip] = path.labels();
            for (word, count) in path.by_rcode().filter(|(_, count)| *count > 0) {
                family.sample(&[proto, ip, ("rcode", word)], count);
            }
        }
        type Column = (&'static str, &'static str, fn(&Path) -> u64);
        const COLUMNS: [Column; 8] = [
            ("steerdns_dns_truncated_total", "Answers with TC set.", |p| p.truncated),
            ("steerdns_ecs_requests_total", "Queries with a client subnet.", |p| p.ecs),
            ("steerdns_dns_dropped_total", "Packets that got no answer.", |p| p.dropped),
            ("steerdns_dns_panics_total", "Answers that panicked; SERVFAIL was sent.", |p| p.panics),
            ("steerdns_dns_send_errors_total", "Answers that could not be sent.", |p| p.send_failures),
            ("steerdns_dns_receive_errors_total", "Failures to receive.", |p| p.receive_failures),
            ("steerdns_dns_late_total", "Questions handed to the cold lane.", |p| p.late),
            ("steerdns_dns_late_dropped_total", "Questions that found it full.", |p| p.late_dropped),
        ];
        for (name, help, column) in COLUMNS {
            let mut family = text.family(name, Kind::Counter, help);
            for path in &self.paths {
                family.sample(&path.labels(), column(path));
            }
        }
        let help = "Steered answers, by cluster and reason.";
        let mut family = text.family("steerdns_answers_total", Kind::Counter, help);
        for (cluster, reason, count) in self.steered() {
            if let Some(key) = key(cluster) {
                family.sample(&[("cluster", key), ("reason", reason.word())], count);
            }
        }
    }

    fn add(&mut self, tally: &Tally) {
        let same = |p: &Path| p.transport == tally.transport && p.family == tally.family;
        let at = self.paths.iter().position(same).unwrap_or_else(|| {
            self.paths.push(Path::new(tally.transport, tally.family));
            self.paths.len() - 1
        });
        let path = &mut self.paths[at];
        path.truncated += tally.truncated.count();
        path.ecs += tally.ecs.count();
        path.dropped += tally.dropped.count();
        path.panics += tally.panics.count();
        path.send_failures += tally.send_failures.count();
        path.receive_failures += tally.receive_failures.count();
        path.late += tally.late.count();
        path.late_dropped += tally.late_dropped.count();
        path.types.iter_mut().zip(&tally.types).for_each(|(sum, cell)| *sum += cell.count());
        path.rcodes.iter_mut().zip(&tally.rcodes).for_each(|(sum, cell)| *sum += cell.count());
        self.steered.resize(CLUSTERS_MAX, [0; Reason::ALL.len()]);
        for (sums, cells) in self.steered.iter_mut().zip(&tally.steered) {
            sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell.count());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::service::ServiceId;

    fn fact(qtype: u16, rcode: u16) -> Fact {
        Fact { rcode, qtype, truncated: false, ecs: false, steered: None }
    }

    fn steered(cluster: u16, reason: Reason) -> Fact {
        let steered = Steered { service: ServiceId(0), cluster: ClusterId(cluster), reason };
        Fact { steered: Some(steered), ecs: true, ..fact(1, 0) }
    }

    #[test]
    fn every_reason_stands_at_its_own_number() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
        }
    }

    #[test]
    fn threads_are_summed_by_transport_and_family() {
        let tallies = [
            Arc::new(Tally::new(Transport::Udp, Family::V4)),
            Arc::new(Tally::new(Transport::Udp, Family::V4)),
            Arc::new(Tally::new(Transport::Tcp, Family::V6)),
        ];
        tallies[0].answered(&fact(1, 0));
        tallies[1].answered(&fact(28, 3));
        tallies[1].dropped();
        tallies[2].answered(&Fact { truncated: true, ..fact(65280, 4095) });
        let totals = Tally::sum(&tallies);
        assert_eq!(totals.paths.len(), 2);
        assert_eq!(totals.answered(), 3);
        let nonzero = |path: &Path| -> Vec<_> {
            path.by_type().chain(path.by_rcode()).filter(|(_, count)| *count > 0).collect()
        };
        assert_eq!(nonzero(&totals.paths[0]), [("A", 1), ("AAAA", 1), ("NOERROR", 1), ("NXDOMAIN", 1)]);
        assert_eq!(totals.paths[0].dropped, 1);
        assert_eq!(nonzero(&totals.paths[1]), [("other", 1), ("other", 1)]);
        assert_eq!(totals.paths[1].truncated, 1);
    }

    #[test]
    fn the_last_cluster_has_a_count_of_its_own() {
        let tally = Arc::new(Tally::new(Transport::Udp, Family::V4));
        tally.answered(&steered(0, Reason::First));
        tally.answered(&steered(1023, Reason::Fallback));
        let totals = Tally::sum(&[tally]);
        let all: Vec<_> = totals.steered().collect();
        assert_eq!(all, [(ClusterId(0), Reason::First, 1), (ClusterId(1023), Reason::Fallback, 1)]);
    }

    #[test]
    fn a_panic_counts_as_a_servfail() {
        let tally = Arc::new(Tally::new(Transport::Udp, Family::V4));
        tally.panicked();
        let totals = Tally::sum(&[tally]);
        assert_eq!(totals.paths[0].panics, 1);
        assert!(totals.paths[0].by_rcode().any(|it| it == ("SERVFAIL", 1)));
    }

    #[test]
    fn metrics_name_clusters_by_their_keys() {
        let tally = Arc::new(Tally::new(Transport::Udp, Family::V6));
        tally.answered(&steered(1, Reason::ServeAll));
        tally.answered(&steered(7, Reason::First));
        tally.send_failed(3);
        let mut text = Exposition::default();
        let keys = ["fra", "sin"];
        Tally::sum(&[tally]).write(&mut text, |id| keys.get(usize::from(id.0)).copied());
        let text = text.into_text();
        for line in [
            "steerdns_dns_requests_total{proto=\"udp\",family=\"ip6\",type=\"A\"} 2",
            "steerdns_dns_responses_total{proto=\"udp\",family=\"ip6\",rcode=\"NOERROR\"} 2",
            "steerdns_ecs_requests_total{proto=\"udp\",family=\"ip6\"} 2",
            "steerdns_dns_send_errors_total{proto=\"udp\",family=\"ip6\"} 3",
            "steerdns_answers_total{cluster=\"sin\",reason=\"serve-all\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("reason=\"first\""), "a cluster that left the files has no key");
    }
}
