//! What all answering threads have counted, in sum and as metrics.

use std::sync::Arc;

use super::tally::{RCODES, TYPES, Tally};
use super::worker::Transport;
use crate::cluster::{CLUSTERS_MAX, CountId, Family};
use crate::metrics::{Exposition, Kind};
use crate::steering::choose::Reason;

/// What cookies tell of who sent them, in the order of [`Sender`](crate::wire::cookie::Sender).
const SENDERS: [&str; 3] = ["known", "new", "doubtful"];

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
    /// Queries that got no answer since their network had too many.
    pub limited: u64,
    /// Queries that got an empty one for it.
    pub slipped: u64,
    /// Queries with a cookie, by what it told.
    pub senders: [u64; SENDERS.len()],
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
            limited: 0,
            slipped: 0,
            senders: [0; SENDERS.len()],
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
        [("proto", proto), ("family", self.family.label())]
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
    /// The sum of what these have counted.
    pub fn of(tallies: &[Arc<Tally>]) -> Totals {
        let mut totals = Totals::default();
        for tally in tallies {
            totals.add(tally);
        }
        totals
    }

    /// Answers by cluster and reason; those only that occurred.
    pub fn steered(&self) -> impl Iterator<Item = (CountId, Reason, u64)> {
        self.steered.iter().enumerate().flat_map(|(cluster, counts)| {
            let reasons = Reason::ALL.into_iter().zip(counts).filter(|(_, count)| **count > 0);
            reasons.map(move |(reason, count)| (CountId(cluster as u16), reason, *count))
        })
    }

    /// Queries answered.
    pub fn answered(&self) -> u64 {
        self.paths.iter().map(Path::answered).sum()
    }

    /// Writes them as metrics. `key` tells a cluster's key; a cluster without one is left out.
    pub fn write<'a>(&self, text: &mut Exposition, key: impl Fn(CountId) -> Option<&'a str>) {
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
        const COLUMNS: [Column; 10] = [
            ("steerdns_dns_truncated_total", "Answers with TC set.", |p| p.truncated),
            ("steerdns_ecs_requests_total", "Queries with a client subnet.", |p| p.ecs),
            ("steerdns_dns_dropped_total", "Packets that got no answer.", |p| p.dropped),
            ("steerdns_rate_limited_total", "Queries beyond what their network gets: no answer.", |p| {
                p.limited
            }),
            ("steerdns_rate_slipped_total", "The same: an empty answer.", |p| p.slipped),
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
        let mut family =
            text.family("steerdns_cookies_total", Kind::Counter, "Queries with a cookie, by what it told.");
        for path in &self.paths {
            let [proto, ip] = path.labels();
            for (word, count) in SENDERS.into_iter().zip(path.senders) {
                family.sample(&[proto, ip, ("sender", word)], count);
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
        path.limited += tally.limited.count();
        path.slipped += tally.slipped.count();
        path.senders.iter_mut().zip(&tally.senders).for_each(|(sum, cell)| *sum += cell.count());
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
    use crate::answer::worker::{Fact, Steered};
    use crate::cluster::ClusterId;
    use crate::steering::service::ServiceId;

    fn fact(qtype: u16, rcode: u16) -> Fact {
        Fact { rcode, qtype, truncated: false, slipped: false, ecs: false, sender: None, steered: None }
    }

    fn steered(cluster: u16, reason: Reason) -> Fact {
        let (cluster, counted) = (ClusterId(0), CountId(cluster));
        let steered = Steered { service: ServiceId(0), cluster, counted, reason };
        Fact { steered: Some(steered), ecs: true, ..fact(1, 0) }
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
        let totals = Totals::of(&tallies);
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
        let totals = Totals::of(&[tally]);
        let all: Vec<_> = totals.steered().collect();
        assert_eq!(all, [(CountId(0), Reason::First, 1), (CountId(1023), Reason::Fallback, 1)]);
    }

    #[test]
    fn a_panic_counts_as_a_servfail() {
        let tally = Arc::new(Tally::new(Transport::Udp, Family::V4));
        tally.panicked();
        let totals = Totals::of(&[tally]);
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
        Totals::of(&[tally]).write(&mut text, |id| keys.get(usize::from(id.0)).copied());
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
