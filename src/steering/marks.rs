//! Marks: which of a policy's own prefixes hold a client.

use std::collections::HashMap;
use std::net::IpAddr;

use super::rules::{Policy, RttFrom};
use crate::cluster::{ClusterId, Family};
use crate::geo::place::Prefix;

/// Which of a policy's prefixes hold a client: those of its rules, and those of its RTT table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The rules (places in [`Policy::rules`]) of which a prefix holds the client, ascending.
    pub rules: Vec<u32>,
    /// For each cluster that has one, the row (a place in [`Policy::rtt`]) of the longest prefix that holds the client.
    pub rows: Vec<(ClusterId, u32)>,
}

/// The marks of all addresses.
#[derive(Debug)]
pub struct Marks {
    /// Distinct marks; the first one is empty.
    pub known: Vec<Mark>,
    /// `(start, place in known)` for IPv4, sorted, from 0 on.
    pub v4: Vec<(u128, u32)>,
    /// The same for IPv6.
    pub v6: Vec<(u128, u32)>,
}

/// What a prefix of a policy belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A rule: a place in [`Policy::rules`].
    Rule(u32),
    /// A row: a place in [`Policy::rtt`].
    Row(u32),
}

/// All prefixes that a policy names, and what each belongs to.
pub fn prefixes(policy: &Policy) -> impl Iterator<Item = (Prefix, Owner)> {
    let rules = (0..).zip(&policy.rules).flat_map(|(number, rule)| {
        rule.from.prefixes.iter().map(move |&prefix| (prefix, Owner::Rule(number)))
    });
    let rows = (0..).zip(&policy.rtt).filter_map(|(number, row)| match row.from {
        RttFrom::Prefix(prefix) => Some((prefix, Owner::Row(number))),
        _ => None,
    });
    rules.chain(rows)
}

/// The first and the last address of a prefix, as a number.
pub fn ends(prefix: Prefix) -> (u128, u128) {
    let (first, width) = match prefix.address() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let host = u32::from(width - prefix.bits());
    (first, first | u128::MAX.checked_shl(host).map_or(u128::MAX, |mask| !mask))
}

impl Mark {
    /// The mark of one address.
    pub fn at(policy: &Policy, address: IpAddr) -> Mark {
        let mut held: Vec<(Prefix, Owner)> =
            prefixes(policy).filter(|(prefix, _)| prefix.contains(address)).collect();
        held.sort_by_key(|(prefix, owner)| (prefix.bits(), *owner));
        let mut mark = Mark::default();
        for level in held.chunk_by(|a, b| a.0 == b.0) {
            mark = mark.within(level.iter().map(|held| held.1), policy);
        }
        mark
    }

    /// The mark inside a longer prefix that belongs to `owners`. Of two rows for one cluster the first one holds.
    fn within(&self, owners: impl DoubleEndedIterator<Item = Owner>, policy: &Policy) -> Mark {
        let mut mark = self.clone();
        for owner in owners.rev() {
            match owner {
                Owner::Rule(rule) => {
                    if let Err(at) = mark.rules.binary_search(&rule) {
                        mark.rules.insert(at, rule);
                    }
                }
                Owner::Row(row) => {
                    let to = policy.rtt[row as usize].to;
                    match mark.rows.binary_search_by_key(&to, |known| known.0) {
                        Ok(at) => mark.rows[at].1 = row,
                        Err(at) => mark.rows.insert(at, (to, row)),
                    }
                }
            }
        }
        mark
    }
}

impl Marks {
    /// The marks of a policy.
    pub fn new(policy: &Policy) -> Marks {
        let mut known = Known { marks: vec![Mark::default()], ids: HashMap::from([(Mark::default(), 0)]) };
        let [v4, v6] = Family::ALL.map(|family| {
            let of_family = prefixes(policy).filter(|(prefix, _)| Family::of(prefix.address()) == family);
            let mut held: Vec<(u128, u128, Owner)> = of_family
                .map(|(prefix, owner)| {
                    let (first, last) = ends(prefix);
                    (first, last, owner)
                })
                .collect();
            // Outer prefixes before those within them.
            held.sort_unstable_by_key(|&(first, last, owner)| (first, std::cmp::Reverse(last), owner));
            known.flatten(&held, policy)
        });
        Marks { known: known.marks, v4, v6 }
    }
}

/// Marks and their numbers.
struct Known {
    marks: Vec<Mark>,
    ids: HashMap<Mark, u32>,
}

impl Known {
    fn id(&mut self, mark: Mark) -> u32 {
        *self.ids.entry(mark).or_insert_with_key(|mark| {
            self.marks.push(mark.clone());
            u32::try_from(self.marks.len() - 1).expect("no more marks than prefixes")
        })
    }

    /// One sweep over sorted prefixes, which are nested or apart but never overlap half.
    fn flatten(&mut self, held: &[(u128, u128, Owner)], policy: &Policy) -> Vec<(u128, u32)> {
        let mut runs = vec![(0, 0)];
        // The prefixes that hold the present address, outermost first: last address, mark.
        let mut open: Vec<(u128, u32)> = Vec::new();
        let close = |open: &mut Vec<(u128, u32)>, runs: &mut Vec<(u128, u32)>, before: Option<u128>| {
            while let Some((last, _)) = open.pop_if(|(last, _)| before.is_none_or(|before| *last < before)) {
                let outer = open.last().map_or(0, |outer| outer.1);
                if let Some(next) = last.checked_add(1) {
                    lay(runs, next, outer);
                }
            }
        };
        for level in held.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (first, last, _) = level[0];
            close(&mut open, &mut runs, Some(first));
            let outer = open.last().map_or(0, |outer| outer.1);
            let inner = self.marks[outer as usize].within(level.iter().map(|held| held.2), policy);
            let inner = self.id(inner);
            lay(&mut runs, first, inner);
            open.push((last, inner));
        }
        close(&mut open, &mut runs, None);
        runs
    }
}

/// From `start` on, `mark` holds: over what was laid from there before, and joined to an equal neighbour.
fn lay(runs: &mut Vec<(u128, u32)>, start: u128, mark: u32) {
    runs.pop_if(|run| run.0 == start);
    if runs.last().is_none_or(|run| run.1 != mark) {
        runs.push((start, mark));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::steering::rules::{From, Order, Rtt, Rule, Spread};

    pub(in crate::steering) fn policy(clusters: u16) -> Policy {
        Policy {
            key: "test".into(),
            clusters: (0..clusters).map(ClusterId).collect(),
            rules: Vec::new(),
            spread: Spread::default(),
            ecs: true,
            rtt: Vec::new(),
            rtt_margin: Duration::from_millis(20),
            quality: None,
        }
    }

    pub(in crate::steering) fn rule_for(prefixes: Vec<Prefix>, order: Order) -> Rule {
        Rule { from: From { prefixes, ..From::default() }, order }
    }

    /// Prefixes near one another, so that they nest.
    fn prefix() -> impl Strategy<Value = Prefix> {
        let v4 = (any::<u8>(), 20..=32u8)
            .prop_map(|(low, bits)| Prefix::around([10, 0, low & 3, low].into(), bits));
        let v6 = (any::<u16>(), 50..=128u8).prop_map(|(low, bits)| {
            Prefix::around([0x2001, 0xdb8, 0, low & 0xf, low >> 12, 0, 0, low].into(), bits)
        });
        prop_oneof![v4, v6, Just(Prefix::parse("0.0.0.0/0").unwrap()), Just(Prefix::parse("::/0").unwrap())]
    }

    proptest! {
        // The sweep agrees with a scan over all prefixes, at every edge of every prefix.
        #[test]
        fn the_marks_of_all_addresses_agree_with_the_mark_of_each(
            rules in prop::collection::vec(prop::collection::vec(prefix(), 0..6), 0..4),
            rows in prop::collection::vec((prefix(), 0..3u16), 0..8),
        ) {
            let mut policy = policy(3);
            policy.rules =
                rules.into_iter().map(|prefixes| rule_for(prefixes, Order::Prefer(vec![]))).collect();
            policy.rtt = rows.into_iter()
                .map(|(prefix, to)| Rtt { from: RttFrom::Prefix(prefix), to: ClusterId(to), ms: 1.0 })
                .collect();
            let marks = Marks::new(&policy);
            for (prefix, _) in prefixes(&policy) {
                let (first, last) = ends(prefix);
                let (runs, max) = match prefix.address() {
                    IpAddr::V4(_) => (&marks.v4, u128::from(u32::MAX)),
                    IpAddr::V6(_) => (&marks.v6, u128::MAX),
                };
                prop_assert!(runs.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1));
                for at in [first, last, first.saturating_sub(1), last.saturating_add(1).min(max)] {
                    let address = match prefix.address() {
                        IpAddr::V4(_) => IpAddr::V4((at as u32).into()),
                        IpAddr::V6(_) => IpAddr::V6(at.into()),
                    };
                    let run = runs.iter().rev().find(|run| run.0 <= at).unwrap();
                    prop_assert_eq!(&marks.known[run.1 as usize], &Mark::at(&policy, address));
                }
            }
        }
    }

    #[test]
    fn the_longest_measured_prefix_holds_for_each_cluster() {
        let mut policy = policy(2);
        let row = |prefix, to| Rtt { from: RttFrom::Prefix(Prefix::parse(prefix).unwrap()), to, ms: 1.0 };
        let (zero, one) = (ClusterId(0), ClusterId(1));
        policy.rtt = vec![row("10.0.0.0/8", zero), row("10.0.0.0/8", one), row("10.1.0.0/16", one)];
        assert_eq!(Mark::at(&policy, [10, 1, 2, 3].into()).rows, [(zero, 0), (one, 2)]);
        assert_eq!(Mark::at(&policy, [10, 2, 2, 3].into()).rows, [(zero, 0), (one, 1)]);
        assert_eq!(Mark::at(&policy, [11, 0, 0, 0].into()), Mark::default());
    }
}
