//! The choice: a ranked list, a slot and the state of pools -> a cluster.

use super::service::AllDown;
use crate::cluster::ClusterId;

/// What a choice needs to know of one cluster's addresses of the answer's family, under the service's check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Bit n: slot n may come here. Death, shedding and slow start close bits.
    pub open: u64,
    /// What can be had of it.
    pub standing: Standing,
}

impl Pool {
    /// Whether it is up, and open for a slot.
    #[inline]
    fn takes(self, slot: u8) -> bool {
        self.standing == Standing::Up && self.open >> (slot & 63) & 1 == 1
    }
}

/// What can be had of a pool at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At least one address is up (suspect counts as up).
    Up,
    /// Some are up, of fewer nodes than the cluster needs (`min_nodes`).
    Short,
    /// None is up, at least one was never observed.
    Unknown,
    /// All are down.
    Dead,
    /// It has no addresses, or an operator took all of them out: not chosen even when all is down.
    Withdrawn,
}

/// Which cluster was chosen, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The cluster to answer.
    pub cluster: ClusterId,
    /// Why that one.
    pub reason: Reason,
}

/// Why a cluster was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first of the client's ranked list.
    First,
    /// The one at which the choice of the slot begins, so that no cluster is overrun.
    Load,
    /// A later one: those before it are down or closed for the slot.
    Next,
    /// The first that is up, though closed for the slot: so is every other that is up.
    Closed,
    /// The first that has any address up: all that are up are short of nodes.
    Short,
    /// Never observed, and no up address on the list.
    Unknown,
    /// All down: as if the first one were up.
    ServeAll,
    /// All down: the service's fallback.
    Fallback,
}

impl Reason {
    /// All of them: to count answers by.
    pub const ALL: [Reason; 8] = [
        Reason::First,
        Reason::Load,
        Reason::Next,
        Reason::Closed,
        Reason::Short,
        Reason::Unknown,
        Reason::ServeAll,
        Reason::Fallback,
    ];

    /// The word for it in `explain`, metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Reason::First => "first",
            Reason::Load => "load",
            Reason::Next => "next",
            Reason::Closed => "closed",
            Reason::Short => "short",
            Reason::Unknown => "unknown",
            Reason::ServeAll => "serve-all",
            Reason::Fallback => "fallback",
        }
    }
}

/// The first cluster of `list` (best first, but beginning at rank `first`, and from the top behind its end) that is up and open for
/// `slot`. If none is open, the first that is up; if none
/// is up, the first that is up in part; if none is, the first that was never observed. `None`: all down, see
/// [`last_resort`].
#[inline]
pub fn choose(list: &[ClusterId], first: u8, slot: u8, pool: impl Fn(ClusterId) -> Pool) -> Option<Choice> {
    // Nearly every choice ends here.
    let at_first = list.get(usize::from(first));
    if let Some(&cluster) = at_first
        && pool(cluster).takes(slot)
    {
        return Some(Choice { cluster, reason: if first == 0 { Reason::First } else { Reason::Load } });
    }
    later(list, first, slot, pool)
}

/// The same, where the first one does not take the slot.
fn later(list: &[ClusterId], first: u8, slot: u8, pool: impl Fn(ClusterId) -> Pool) -> Option<Choice> {
    let (mut closed, mut short, mut unknown) = (None, None, None);
    let (top, rest) = list.split_at_checked(usize::from(first)).unwrap_or((list, &[]));
    for &cluster in rest.iter().chain(top) {
        let pool = pool(cluster);
        match pool.standing {
            Standing::Up if pool.takes(slot) => return Some(Choice { cluster, reason: Reason::Next }),
            Standing::Up => closed = closed.or(Some(Choice { cluster, reason: Reason::Closed })),
            Standing::Short => short = short.or(Some(Choice { cluster, reason: Reason::Short })),
            Standing::Unknown => unknown = unknown.or(Some(Choice { cluster, reason: Reason::Unknown })),
            Standing::Dead | Standing::Withdrawn => {}
        }
    }
    closed.or(short).or(unknown)
}

/// What to answer when [`choose`] found all of `list` down. `None`: SERVFAIL.
///
/// `ServeAll` is the first of the list, as if its nodes were up; a cluster that an operator withdrew is passed over. A
/// fallback that is down, too, is as `ServeAll`.
#[cold]
pub fn last_resort(
    list: &[ClusterId],
    all_down: AllDown,
    pool: impl Fn(ClusterId) -> Pool,
) -> Option<Choice> {
    let serve_all = || {
        let cluster = list.iter().copied().find(|&cluster| pool(cluster).standing != Standing::Withdrawn)?;
        Some(Choice { cluster, reason: Reason::ServeAll })
    };
    match all_down {
        AllDown::ServFail => None,
        AllDown::ServeAll => serve_all(),
        AllDown::Fallback(cluster) => match pool(cluster).standing {
            Standing::Up | Standing::Short | Standing::Unknown => {
                Some(Choice { cluster, reason: Reason::Fallback })
            }
            Standing::Dead | Standing::Withdrawn => serve_all(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: [ClusterId; 3] = [ClusterId(4), ClusterId(0), ClusterId(2)];
    const DEAD: Pool = Pool { open: 0, standing: Standing::Dead };
    const GONE: Pool = Pool { open: 0, standing: Standing::Withdrawn };
    const UNKNOWN: Pool = Pool { open: u64::MAX, standing: Standing::Unknown };
    const UP: Pool = Pool { open: u64::MAX, standing: Standing::Up };
    const SHED: Pool = Pool { open: 0, standing: Standing::Up };

    /// The pools of clusters 4, 0, 2 in this order; cluster 9 stands last.
    fn pools(of: [Pool; 4]) -> impl Fn(ClusterId) -> Pool {
        move |id| of[[4, 0, 2, 9].iter().position(|&known| known == id.0).unwrap()]
    }

    fn chosen(of: [Pool; 3], slot: u8) -> Option<(u16, Reason)> {
        let choice = choose(&LIST, 0, slot, pools([of[0], of[1], of[2], DEAD]))?;
        Some((choice.cluster.0, choice.reason))
    }

    #[test]
    fn the_first_of_the_list_answers_while_it_is_up() {
        assert_eq!(chosen([UP, UP, UP], 0), Some((4, Reason::First)));
    }

    #[test]
    fn the_next_one_answers_for_a_dead_one() {
        assert_eq!(chosen([DEAD, UP, UP], 0), Some((0, Reason::Next)));
        assert_eq!(chosen([DEAD, GONE, UP], 63), Some((2, Reason::Next)));
    }

    #[test]
    fn a_closed_slot_goes_to_the_next_and_the_others_stay() {
        let half = Pool { open: 0xffff_ffff, standing: Standing::Up };
        assert_eq!(chosen([half, UP, UP], 31), Some((4, Reason::First)));
        assert_eq!(chosen([half, UP, UP], 32), Some((0, Reason::Next)));
    }

    #[test]
    fn where_every_up_cluster_is_closed_the_first_up_one_answers_and_never_an_unknown_one() {
        assert_eq!(chosen([UNKNOWN, SHED, SHED], 5), Some((0, Reason::Closed)));
    }

    #[test]
    fn a_far_up_cluster_goes_before_a_near_unknown_one() {
        assert_eq!(chosen([UNKNOWN, DEAD, UP], 5), Some((2, Reason::Next)));
        assert_eq!(chosen([DEAD, UNKNOWN, UNKNOWN], 5), Some((0, Reason::Unknown)));
    }

    #[test]
    fn a_slot_that_begins_elsewhere_goes_on_from_there_and_comes_round() {
        let from = |of: [Pool; 3], first| {
            let choice = choose(&LIST, first, 5, pools([of[0], of[1], of[2], DEAD])).unwrap();
            (choice.cluster.0, choice.reason)
        };
        assert_eq!(from([UP, UP, UP], 1), (0, Reason::Load));
        assert_eq!(from([UP, UP, UP], 2), (2, Reason::Load));
        assert_eq!(from([UP, DEAD, UP], 1), (2, Reason::Next));
        assert_eq!(from([UP, DEAD, DEAD], 1), (4, Reason::Next));
        assert_eq!(from([UP, UP, UP], 200), (4, Reason::Next), "a rank that is not there: from the top");
    }

    #[test]
    fn a_cluster_short_of_nodes_goes_before_an_unknown_one_and_behind_every_whole_one() {
        const SHORT: Pool = Pool { open: 0, standing: Standing::Short };
        assert_eq!(chosen([SHORT, DEAD, UP], 5), Some((2, Reason::Next)));
        assert_eq!(chosen([SHORT, DEAD, SHED], 5), Some((2, Reason::Closed)));
        assert_eq!(chosen([UNKNOWN, SHORT, SHORT], 5), Some((0, Reason::Short)));
    }

    #[test]
    fn all_down_serves_the_first_cluster_that_no_operator_withdrew() {
        let resort = |of, word| last_resort(&LIST, word, pools(of)).map(|c| (c.cluster.0, c.reason));
        assert_eq!(chosen([DEAD, DEAD, GONE], 5), None);
        assert_eq!(resort([DEAD, DEAD, DEAD, DEAD], AllDown::ServeAll), Some((4, Reason::ServeAll)));
        assert_eq!(resort([GONE, DEAD, DEAD, DEAD], AllDown::ServeAll), Some((0, Reason::ServeAll)));
        assert_eq!(resort([GONE, GONE, GONE, DEAD], AllDown::ServeAll), None);
        assert_eq!(resort([DEAD, DEAD, DEAD, UP], AllDown::ServFail), None);
    }

    #[test]
    fn a_fallback_answers_unless_it_is_down_too() {
        let resort = |of| last_resort(&LIST, AllDown::Fallback(ClusterId(9)), pools(of)).unwrap();
        let of = |last| [DEAD, DEAD, DEAD, last];
        assert_eq!(resort(of(UP)), Choice { cluster: ClusterId(9), reason: Reason::Fallback });
        assert_eq!(resort(of(UNKNOWN)), Choice { cluster: ClusterId(9), reason: Reason::Fallback });
        assert_eq!(resort(of(DEAD)), Choice { cluster: ClusterId(4), reason: Reason::ServeAll });
        assert_eq!(resort(of(GONE)), Choice { cluster: ClusterId(4), reason: Reason::ServeAll });
    }
}
