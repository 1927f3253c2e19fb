//! Kinds of clients, and the ranked lists that they share.

use hashbrown::HashMap;

use super::marks::Marks;
use super::pieces::{Piece, each_piece};
use super::ranker::{Class, Grain, Ranker, Weighed};
use crate::both::both;
use crate::cluster::{ClusterId, Family};
use crate::geo::place::Place;
use crate::geo::places::Places;

/// The most ranked lists of a policy; where clients would need more, they are classed more coarsely.
pub const LISTS_MAX: usize = 65_535;
/// The most entries of all ranked lists of a policy together (32 MiB); handled like [`LISTS_MAX`].
pub const LIST_ENTRIES_MAX: usize = 1 << 22;

/// Clusters, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedList {
    /// The clusters.
    pub clusters: Box<[ClusterId]>,
    /// What each counts as in ms, the mean over the list's clients: never less than the one before it.
    pub costs_ms: Box<[f32]>,
}

/// Stands for the kind of what has none.
const NO_KIND: u32 = u32::MAX;

/// The kinds of clients that a policy can tell apart: by their place, and by their mark. Places of which it sees the same are not joined:
/// to find them takes longer than to rank each.
pub(super) struct Kinds<'a> {
    places: &'a [Place],
    /// Each kind's place, mark, and number of pieces.
    kinds: Vec<(u32, u32, u32)>,
    of: Numbers,
}

/// A number for each piece: its kind's, or its list's.
pub(super) struct Numbers {
    /// For each place without a mark.
    unmarked: Vec<u32>,
    /// For each place and mark.
    marked: HashMap<(u32, u32), u32>,
}

impl Numbers {
    /// The number of a piece.
    #[inline]
    pub(super) fn of(&self, piece: Piece) -> u32 {
        match piece.mark {
            0 => self.unmarked[piece.place as usize],
            mark => self.marked[&(piece.place, mark)],
        }
    }

    /// How many pieces of a family there are of each place and mark.
    fn counted(family: Family, places: &Places, marks: &Marks) -> Numbers {
        let mut counts = Numbers { unmarked: vec![0; places.known.len()], marked: HashMap::default() };
        each_piece(family, places, marks, |piece| {
            let count = match piece.mark {
                0 => &mut counts.unmarked[piece.place as usize],
                mark => counts.marked.entry((piece.place, mark)).or_insert(0),
            };
            *count = count.saturating_add(1);
        });
        counts
    }
}

impl<'a> Kinds<'a> {
    /// The kinds of all pieces.
    pub(super) fn new(places: &'a Places, marks: &Marks) -> Kinds<'a> {
        let counted = |family| move || Numbers::counted(family, places, marks);
        let (v4, v6) = both(counted(Family::V4), counted(Family::V6));
        let mut kinds: Vec<(u32, u32, u32)> = Vec::with_capacity(places.known.len());
        let mut kind = |place: u32, mark: u32, pieces: u32| {
            kinds.push((place, mark, pieces));
            u32::try_from(kinds.len() - 1).expect("fewer kinds than pieces")
        };
        let mut unmarked = v4.unmarked;
        for ((place, pieces), of_v6) in (0..).zip(&mut unmarked).zip(v6.unmarked) {
            let all = pieces.saturating_add(of_v6);
            *pieces = if all > 0 { kind(place, 0, all) } else { NO_KIND };
        }
        let mut marked = v4.marked;
        for (of, pieces) in v6.marked {
            let all = marked.entry(of).or_insert(0);
            *all = all.saturating_add(pieces);
        }
        let mut all: Vec<_> = marked.iter_mut().collect();
        all.sort_unstable_by_key(|(of, _)| **of);
        for (&(place, mark), pieces) in all {
            *pieces = kind(place, mark, *pieces);
        }
        Kinds { places: &places.known, kinds, of: Numbers { unmarked, marked } }
    }

    /// The list of each piece, by that of its kind.
    pub(super) fn lists(self, list_of: &[u32]) -> Numbers {
        let list = |kind: &mut u32| *kind = list_of.get(*kind as usize).copied().unwrap_or(NO_KIND);
        let mut numbers = self.of;
        numbers.unmarked.iter_mut().for_each(list);
        numbers.marked.values_mut().for_each(list);
        numbers
    }

    /// The ranked lists, each kind's list, and how finely it was classed.
    pub(super) fn ranked(
        &self,
        ranker: &Ranker<'_>,
        marks: &Marks,
        candidates: usize,
    ) -> (Vec<RankedList>, Vec<u32>, Grain) {
        let most = LISTS_MAX.min(LIST_ENTRIES_MAX / candidates.max(1));
        let [finer @ .., coarsest] = Grain::ALL;
        let tried = finer.into_iter().find_map(|grain| self.classed(ranker, marks, grain, most));
        tried.unwrap_or_else(|| {
            self.classed(ranker, marks, coarsest, usize::MAX).expect("as many as there are kinds")
        })
    }

    /// The same with classes of one `grain`; `None` where there would be more than `most`.
    fn classed(
        &self,
        ranker: &Ranker<'_>,
        marks: &Marks,
        grain: Grain,
        most: usize,
    ) -> Option<(Vec<RankedList>, Vec<u32>, Grain)> {
        let classed = |kinds| move || Classed::new(ranker, marks, grain, self.places, kinds, most);
        let (first, second) = self.kinds.split_at(self.kinds.len() / 2);
        let (first, second) = both(classed(first), classed(second));
        let (mut first, second) = (first?, second?);
        first.extend(second);
        if first.sums.len() > most {
            return None;
        }
        let lists = first.sums.into_iter().map(|sum| sum.list(ranker)).collect();
        Some((lists, first.list_of, grain))
    }
}

/// Kinds in classes: the ranked lists in the making, and each kind's.
struct Classed {
    classes: HashMap<Class, u32>,
    sums: Vec<Sum>,
    list_of: Vec<u32>,
}

impl Classed {
    /// `None` where there would be more than `most` classes.
    fn new(
        ranker: &Ranker<'_>,
        marks: &Marks,
        grain: Grain,
        places: &[Place],
        kinds: &[(u32, u32, u32)],
        most: usize,
    ) -> Option<Classed> {
        let list_of = Vec::with_capacity(kinds.len());
        let mut classed = Classed { classes: HashMap::default(), sums: Vec::new(), list_of };
        let (mut weighed, mut class, mut costs) = (Weighed::default(), Class::default(), Vec::new());
        for &(place, mark, pieces) in kinds {
            let (place, mark) = (&places[place as usize], &marks.known[mark as usize]);
            ranker.weigh(place, mark, &mut weighed);
            ranker.class(ranker.rule(place, mark), &mut weighed, grain, &mut class);
            let list = classed.list(&class, || ranker.order(&class));
            if classed.sums.len() > most {
                return None;
            }
            let sum = &mut classed.sums[list as usize];
            ranker.costs(&sum.class, &sum.order, &weighed, &mut costs);
            let weight = f64::from(pieces);
            sum.add(weight, costs.iter().map(|cost| cost * weight));
            classed.list_of.push(list);
        }
        Some(classed)
    }

    /// The list of a class, a new one where it was not met before.
    fn list(&mut self, class: &Class, order: impl FnOnce() -> Vec<usize>) -> u32 {
        if let Some(&list) = self.classes.get(class) {
            return list;
        }
        let list = u32::try_from(self.sums.len()).expect("fewer classes than kinds");
        let order = order();
        let costs_ms = vec![0.0; order.len()];
        self.classes.insert(class.clone(), list);
        self.sums.push(Sum { class: class.clone(), order, costs_ms, pieces: 0.0 });
        list
    }

    /// Adds those of the kinds that follow.
    fn extend(&mut self, other: Classed) {
        let lists: Vec<u32> = other
            .sums
            .into_iter()
            .map(|sum| {
                let list = self.list(&sum.class, || sum.order);
                self.sums[list as usize].add(sum.pieces, sum.costs_ms);
                list
            })
            .collect();
        self.list_of.extend(other.list_of.iter().map(|&list| lists[list as usize]));
    }
}

/// A ranked list in the making: the costs of its clients, added up.
struct Sum {
    class: Class,
    order: Vec<usize>,
    costs_ms: Vec<f64>,
    pieces: f64,
}

impl Sum {
    fn add(&mut self, pieces: f64, costs_ms: impl IntoIterator<Item = f64>) {
        self.pieces += pieces;
        for (sum, cost) in self.costs_ms.iter_mut().zip(costs_ms) {
            *sum += cost;
        }
    }

    fn list(self, ranker: &Ranker<'_>) -> RankedList {
        RankedList {
            clusters: self.order.into_iter().map(|position| ranker.cluster(position)).collect(),
            costs_ms: self.costs_ms.into_iter().map(|sum| (sum / self.pieces) as f32).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::place::Point;
    use crate::geo::places::Stretch;
    use crate::steering::marks::tests::{policy, rule_for};
    use crate::steering::rank::tests::{id, world};
    use crate::steering::rules::Order;

    /// Places all over the globe, each with a stretch of its own.
    fn globe() -> Places {
        let grid = (-8..=8).flat_map(|lat| {
            (-17..=17).map(move |lon| Point::new(f64::from(lat) * 10.0, f64::from(lon) * 10.0))
        });
        let on_grid = grid.map(|point| Place { point, ..Place::default() });
        let known: Vec<Place> = [Place::default()].into_iter().chain(on_grid).collect();
        let count = known.len() as u32;
        let v4 = (0..count).map(|place| Stretch { start: place << 12, place }).collect();
        Places { known, v4: Vec::into(v4), v6: Vec::new().into() }
    }

    #[test]
    fn where_lists_would_be_too_many_clients_are_classed_more_coarsely() {
        let (policy, world, places) = (policy(6), world(), globe());
        let ranker = Ranker::new(&policy, &policy.clusters, &world);
        let marks = Marks::new(&policy);
        let kinds = Kinds::new(&places, &marks);
        let lists = |grain, most| kinds.classed(&ranker, &marks, grain, most);
        let counts: Vec<usize> =
            Grain::ALL[..4].iter().map(|&grain| lists(grain, LISTS_MAX).unwrap().0.len()).collect();
        assert!(counts.is_sorted_by(|a, b| a > b), "{counts:?}");
        assert_eq!(counts[3], 7, "one for each cluster, and one for places without coordinates");
        assert!(lists(Grain::FINEST, counts[0]).is_some() && lists(Grain::FINEST, counts[0] - 1).is_none());
        // The first cluster is the nearest at any grain.
        let firsts = Grain::ALL.map(|grain| {
            let (lists, list_of, _) = lists(grain, LISTS_MAX).unwrap();
            list_of.iter().map(|&list| lists[list as usize].clusters[0]).collect::<Vec<ClusterId>>()
        });
        assert!(firsts.iter().all(|of_grain| *of_grain == firsts[0]));
    }

    #[test]
    fn at_the_coarsest_a_rule_has_one_list() {
        let (mut policy, world, places) = (policy(6), world(), globe());
        policy.rules = vec![rule_for(vec![], Order::Prefer(vec![id("bkk")]))];
        let ranker = Ranker::new(&policy, &policy.clusters, &world);
        let marks = Marks::new(&policy);
        let kinds = Kinds::new(&places, &marks);
        let (lists, _, _) = kinds.classed(&ranker, &marks, Grain::ALL[4], LISTS_MAX).unwrap();
        // And one for places without coordinates.
        assert_eq!(lists.len(), 2);
        assert!(lists.iter().all(|list| list.clusters[0] == id("bkk") && list.clusters.len() == 6));
    }
}
