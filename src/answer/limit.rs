//! Response rate limiting: how many answers of one kind a network gets in a second, so that forged queries do not make us flood
//! whom they name.

use std::net::IpAddr;

use crate::plan::parts::Rates;
use crate::wire::query::rcode;
use crate::wire::response::Header;

/// Pairs of cells of one answering thread: 256 KiB, in which 32,768 networks and kinds are counted at a time.
const PAIRS: usize = 1 << 14;
/// The bits of a cell that count.
const COUNT: u64 = (1 << 20) - 1;
/// The bits of a cell that tell in which second: they come again after an hour.
const SECOND: u64 = 0xfff << 20;

/// Kinds of answers, each counted by itself: a network that is forged to get one still gets the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records in the answer section.
    Data,
    /// None: NODATA and referrals.
    Nothing,
    /// NXDOMAIN.
    NoSuchName,
    /// Every other RCODE.
    Error,
}

impl Kind {
    /// The kind of an answer with this header.
    #[inline]
    pub fn of(header: &Header) -> Kind {
        match header.rcode() {
            rcode::NOERROR if header.answers() == 0 => Kind::Nothing,
            rcode::NOERROR => Kind::Data,
            rcode::NXDOMAIN => Kind::NoSuchName,
            _ => Kind::Error,
        }
    }
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// It is sent empty.
    Slip,
    /// It is not sent.
    Drop,
}

/// What one answering thread has counted. The default one counts nothing, and sends everything.
#[derive(Debug, Default)]
pub struct Limiter {
    /// Two cells where a network's count may stand: tag (32 bits), second (12), count (20).
    pairs: Option<Box<[[u64; 2]; PAIRS]>>,
    /// So that nobody can tell whose counts stand together.
    seed: u64,
    /// How many threads share the rate.
    threads: u32,
    /// The rate, and what of it is this thread's.
    share: (u32, u64),
}

/// What one of so many threads gives a network in a second, so that all of them give it the rate: its share, and as much as chance may bring
/// beyond it (three times the square root: flows are spread over threads by a hash), but never more than the rate.
fn share(per_s: u32, threads: u32) -> u64 {
    let mean = f64::from(per_s) / f64::from(threads);
    let share = if threads == 1 { mean } else { (mean + 3.0 * mean.sqrt()).ceil() };
    (share as u64).clamp(1, u64::from(per_s).max(1))
}

impl Limiter {
    /// For one of `threads` answering threads; `chance` is a random number.
    pub fn new(threads: usize, chance: u64) -> Limiter {
        let pairs = vec![[0; 2]; PAIRS].into_boxed_slice().try_into().ok();
        Limiter { pairs, seed: chance | 1, threads: threads.max(1) as u32, share: (0, 0) }
    }

    /// Counts an answer of a kind to `peer`, at this second.
    #[inline]
    pub fn count(&mut self, rates: &Option<Rates>, peer: IpAddr, kind: Kind, unix_s: u64) -> Verdict {
        let (Some(rates), Some(pairs)) = (rates, &mut self.pairs) else { return Verdict::Send };
        let network = match peer {
            IpAddr::V4(v4) => u64::from(v4.to_bits().wrapping_shr(rates.ipv4_shift)) << 1,
            IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64).wrapping_shr(rates.ipv6_shift) << 1 | 1,
        };
        let hash = (network ^ (kind as u64) << 62 ^ self.seed).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let hash = (hash ^ hash >> 32).wrapping_mul(self.seed);
        let pair = &mut pairs[(hash >> 16) as usize % PAIRS];
        let mark = hash >> 32 << 32 | (unix_s << 20) & SECOND;
        let is = |cell: u64| cell & !COUNT == mark;
        let cell = if is(pair[0]) {
            &mut pair[0]
        } else if is(pair[1]) {
            &mut pair[1]
        } else {
            // The lesser count of this second gives way; counts of other seconds are none.
            let count = |cell: u64| if (cell ^ mark) & SECOND == 0 { cell & COUNT } else { 0 };
            let lesser = usize::from(count(pair[1]) < count(pair[0]));
            pair[lesser] = mark;
            &mut pair[lesser]
        };
        // Nobody gets so many in a second that this would run into the bits beside it.
        *cell += 1;
        let many = *cell & COUNT;
        if self.share.0 != rates.per_s {
            self.share = (rates.per_s, share(rates.per_s, self.threads));
        }
        if many <= self.share.1 { Verdict::Send } else { over(rates, peer, many - self.share.1) }
    }
}

/// It is too much, unless the network is one of those that may.
#[cold]
fn over(rates: &Rates, peer: IpAddr, beyond: u64) -> Verdict {
    if rates.allow.iter().any(|network| network.contains(peer)) {
        return Verdict::Send;
    }
    // The first one slips: whoever is barely over it is told to come by TCP.
    match (beyond - 1).checked_rem(rates.slip.into()) {
        Some(0) => Verdict::Slip,
        _ => Verdict::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::place::Prefix;
    use proptest::prelude::*;

    fn rates(per_s: u32, slip: u32) -> Option<Rates> {
        Some(Rates::new(per_s, slip, 24, 56, vec![Prefix::parse("198.51.100.0/24").unwrap()]))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `asked` answers are sent, slipped, dropped.
    fn counts(
        limiter: &mut Limiter,
        rates: &Option<Rates>,
        peer: &str,
        kind: Kind,
        asked: usize,
        at: u64,
    ) -> [usize; 3] {
        let mut counts = [0; 3];
        for _ in 0..asked {
            counts[limiter.count(rates, ip(peer), kind, at) as usize] += 1;
        }
        counts
    }

    #[test]
    fn a_network_gets_its_rate_each_second_and_then_every_second_answer_empty() {
        let (mut limiter, rates) = (Limiter::new(1, 7), rates(10, 2));
        for second in [100, 101, 357] {
            assert_eq!(counts(&mut limiter, &rates, "192.0.2.1", Kind::Data, 30, second), [10, 10, 10]);
            assert_eq!(
                counts(&mut limiter, &rates, "192.0.2.250", Kind::Data, 4, second),
                [0, 2, 2],
                "the same /24"
            );
            assert_eq!(counts(&mut limiter, &rates, "192.0.3.1", Kind::Data, 10, second), [10, 0, 0]);
            assert_eq!(counts(&mut limiter, &rates, "192.0.2.1", Kind::Error, 10, second), [10, 0, 0]);
        }
    }

    #[test]
    fn ipv6_networks_are_told_apart_by_56_bits() {
        let (mut limiter, rates) = (Limiter::new(1, 7), rates(5, 1));
        assert_eq!(counts(&mut limiter, &rates, "2001:db8:0:1::1", Kind::Data, 7, 1), [5, 2, 0]);
        assert_eq!(counts(&mut limiter, &rates, "2001:db8:0:ff::1", Kind::Data, 2, 1), [0, 2, 0]);
        assert_eq!(counts(&mut limiter, &rates, "2001:db8:0:100::1", Kind::Data, 5, 1), [5, 0, 0]);
    }

    #[test]
    fn threads_share_the_rate_and_slip_0_sends_nothing_more() {
        let (mut limiter, rates) = (Limiter::new(4, 7), rates(20, 0));
        assert_eq!(counts(&mut limiter, &rates, "192.0.2.1", Kind::Data, 20, 1), [12, 0, 8]);
    }

    /// A rate below the number of threads once answered nobody.
    #[test]
    fn a_thread_s_share_is_at_least_one_and_at_most_the_rate() {
        let shares = [(1, 16), (10, 16), (500, 2), (500, 64), (500, 1), (3, 2)]
            .map(|(per_s, threads)| share(per_s, threads));
        assert_eq!(shares, [1, 3, 298, 17, 500, 3]);
    }

    #[test]
    fn who_is_allowed_gets_everything_and_so_does_everybody_without_a_limit() {
        let mut limiter = Limiter::new(1, 7);
        assert_eq!(counts(&mut limiter, &rates(1, 2), "198.51.100.9", Kind::Data, 99, 1), [99, 0, 0]);
        assert_eq!(counts(&mut limiter, &None, "192.0.2.1", Kind::Data, 99, 1), [99, 0, 0]);
        assert_eq!(counts(&mut Limiter::default(), &rates(1, 2), "192.0.2.1", Kind::Data, 99, 1), [99, 0, 0]);
    }

    /// All of the widest and narrowest networks are counted without a panic.
    #[test]
    fn networks_may_be_of_any_length() {
        for (ipv4_bits, ipv6_bits) in [(1, 1), (32, 64)] {
            let (mut limiter, rates) =
                (Limiter::new(1, 7), Some(Rates::new(1, 1, ipv4_bits, ipv6_bits, vec![])));
            for peer in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
                assert_eq!(counts(&mut limiter, &rates, peer, Kind::Data, 2, 1), [1, 1, 0], "{peer}");
            }
        }
    }

    proptest! {
        /// A network that stays below the rate loses nothing, whoever floods beside it.
        #[test]
        fn who_keeps_to_the_rate_loses_nothing(chance: u64, flood in prop::collection::vec(any::<u32>(), 0..64)) {
            let (mut limiter, rates) = (Limiter::new(1, chance), rates(10, 0));
            for _ in 0..10 {
                for peer in flood.iter().filter(|peer| **peer >> 8 != 0x00c0_0002) {
                    for _ in 0..20 {
                        limiter.count(&rates, IpAddr::V4((*peer).into()), Kind::Data, 5);
                    }
                }
                prop_assert_eq!(limiter.count(&rates, ip("192.0.2.1"), Kind::Data, 5), Verdict::Send);
            }
        }
    }
}
