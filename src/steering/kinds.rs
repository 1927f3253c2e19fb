//! Kinds of clients, and the ranked lists that they share.

use std::collections::{HashMap, HashSet};

use super::marks::Marks;
use super::pieces::Piece;
use super::ranker::{Class, Grain, Ranker, Weighed};
use super::rules::Policy;
use crate::cluster::ClusterId;
use crate::geo::place::{Continent, Country, Place, Subdivision};
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

/// What a policy can see of a place: the rest makes no difference, and would only make more kinds.
#[derive(PartialEq, Eq, Hash)]
struct Seen {
    continent: Option<Continent>,
    country: Option<Country>,
    subdivision: Option<Subdivision>,
    asn: Option<u32>,
    point: Option<(u64, u64)>,
}

/// The kinds of clients that a policy can tell apart: by what it sees of their place, and by their mark.
pub(super) struct Kinds<'a> {
    /// For each known place, the first that looks the same.
    like: Vec<u32>,
    places: &'a [Place],
    /// The kind of each place without a mark; `NO_KIND` where none was met yet.
    unmarked: Vec<u32>,
    marked: HashMap<(u32, u32), u32>,
    /// Each kind's place, mark, and number of pieces.
    kinds: Vec<(u32, u32, u32)>,
}

const NO_KIND: u32 = u32::MAX;

impl<'a> Kinds<'a> {
    pub(super) fn new(policy: &Policy, ranker: &Ranker<'_>, places: &'a Places) -> Kinds<'a> {
        let froms = || policy.rules.iter().map(|rule| &rule.from);
        let by_continent = froms().any(|from| !from.continents.is_empty());
        let asns: HashSet<u32> = froms().flat_map(|from| &from.asns).copied().collect();
        let measured = ranker.measured();
        let asn = |asn: &u32| asns.contains(asn) || measured.knows_asn(*asn);
        let country = |country: &Country| {
            measured.knows_country(*country) || froms().any(|from| from.countries.contains(country))
        };
        let subdivision = |part: &Subdivision| {
            measured.knows_subdivision(*part) || froms().any(|from| from.subdivisions.contains(part))
        };
        let mut first = HashMap::new();
        let like = (0..).zip(&places.known).map(|(number, place)| {
            let seen = Seen {
                continent: place.continent.filter(|_| by_continent),
                country: place.country.filter(country),
                subdivision: place.subdivision.filter(subdivision),
                asn: place.asn.filter(asn),
                point: place.point.map(|point| (point.lat().to_bits(), point.lon().to_bits())),
            };
            *first.entry(seen).or_insert(number)
        });
        let like: Vec<u32> = like.collect();
        let unmarked = vec![NO_KIND; like.len()];
        Kinds { like, places: &places.known, unmarked, marked: HashMap::new(), kinds: Vec::new() }
    }

    /// The kind of a piece.
    pub(super) fn kind(&mut self, piece: Piece) -> u32 {
        let place = self.like[piece.place as usize];
        let kind = match piece.mark {
            0 => &mut self.unmarked[place as usize],
            mark => self.marked.entry((place, mark)).or_insert(NO_KIND),
        };
        if *kind == NO_KIND {
            *kind = u32::try_from(self.kinds.len()).expect("fewer kinds than pieces");
            self.kinds.push((place, piece.mark, 0));
        }
        *kind
    }

    /// Counts a piece: a list's costs are the mean over pieces.
    pub(super) fn count(&mut self, piece: Piece) {
        let kind = self.kind(piece);
        let pieces = &mut self.kinds[kind as usize].2;
        *pieces = pieces.saturating_add(1);
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
        let mut classes: HashMap<Class, u32> = HashMap::new();
        let mut sums: Vec<Sum> = Vec::new();
        let mut list_of = Vec::with_capacity(self.kinds.len());
        let mut weighed = Weighed::default();
        let mut costs = Vec::new();
        for &(place, mark, pieces) in &self.kinds {
            let place = &self.places[place as usize];
            let mark = &marks.known[mark as usize];
            ranker.weigh(place, mark, &mut weighed);
            let class = ranker.class(ranker.rule(place, mark), &weighed, grain);
            let list = match classes.get(&class) {
                Some(&list) => list,
                None if sums.len() == most => return None,
                None => {
                    let order = ranker.order(&class);
                    let costs_ms = vec![0.0; order.len()];
                    let list = u32::try_from(sums.len()).expect("fewer classes than kinds");
                    sums.push(Sum { order, costs_ms, pieces: 0.0 });
                    classes.insert(class.clone(), list);
                    list
                }
            };
            let sum = &mut sums[list as usize];
            ranker.costs(&class, &sum.order, &weighed, &mut costs);
            let weight = f64::from(pieces);
            sum.pieces += weight;
            for (sum, cost) in sum.costs_ms.iter_mut().zip(&costs) {
                *sum += cost * weight;
            }
            list_of.push(list);
        }
        let lists = sums.into_iter().map(|sum| sum.list(ranker)).collect();
        Some((lists, list_of, grain))
    }
}

/// A ranked list in the making: the costs of its clients, added up.
struct Sum {
    order: Vec<usize>,
    costs_ms: Vec<f64>,
    pieces: f64,
}

impl Sum {
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
    use crate::cluster::Family;
    use crate::geo::place::Point;
    use crate::geo::places::Stretch;
    use crate::steering::marks::tests::{policy, rule_for};
    use crate::steering::pieces::pieces;
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
        Places { known, v4, v6: Vec::new() }
    }

    #[test]
    fn where_lists_would_be_too_many_clients_are_classed_more_coarsely() {
        let (policy, world, places) = (policy(6), world(), globe());
        let ranker = Ranker::new(&policy, &policy.clusters, &world);
        let marks = Marks::new(&policy);
        let mut kinds = Kinds::new(&policy, &ranker, &places);
        pieces(Family::V4, &places, &marks).for_each(|piece| kinds.count(piece));
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
        let mut kinds = Kinds::new(&policy, &ranker, &places);
        pieces(Family::V4, &places, &marks).for_each(|piece| kinds.count(piece));
        let (lists, _, _) = kinds.classed(&ranker, &marks, Grain::ALL[4], LISTS_MAX).unwrap();
        // And one for places without coordinates.
        assert_eq!(lists.len(), 2);
        assert!(lists.iter().all(|list| list.clusters[0] == id("bkk") && list.clusters.len() == 6));
    }
}
