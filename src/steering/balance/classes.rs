//! Classes of slots: all slots of one are open to the same clusters.

use super::world::Cluster;

/// For each kind of pool a partition of the 64 slots. It has one part, unless clusters are open for some slots and not for others.
#[derive(Debug, Default)]
pub(super) struct Classes(Vec<Vec<u64>>);

impl Classes {
    /// The classes of these clusters.
    pub(super) fn new(clusters: &[Cluster<'_>]) -> Classes {
        let kinds = clusters.iter().map(Cluster::kinds).max().unwrap_or(0);
        let of_kind = |kind: usize| {
            let mut parts = vec![u64::MAX];
            for open in clusters.iter().map(|cluster| cluster.open(kind)) {
                if open != 0 && open != u64::MAX {
                    let cut = |part: u64| [part & open, part & !open].into_iter().filter(|&part| part != 0);
                    parts = parts.into_iter().flat_map(cut).collect();
                }
            }
            parts
        };
        Classes((0..kinds).map(of_kind).collect())
    }

    /// The parts of all slots, for clients of a kind.
    pub(super) fn of(&self, kind: usize) -> &[u64] {
        self.0.get(kind).map_or(&[u64::MAX], |parts| parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_a_class_are_open_to_the_same_clusters() {
        let masks = [[u64::MAX, 0], [0xff, 1], [0xfff0, u64::MAX]];
        let clusters: Vec<Cluster<'_>> =
            masks.iter().map(|open| Cluster::new(1.0, open, None).unwrap()).collect();
        let classes = Classes::new(&clusters);
        assert_eq!(classes.of(0), [0xf0, 0x0f, 0xff00, !0xffff]);
        assert_eq!(classes.of(1), [1, !1]);
        assert_eq!(classes.of(7), [u64::MAX], "a kind that nobody has");
    }
}
