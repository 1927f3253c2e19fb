//! Who is answered by another cluster: the maps of two Plans laid over one another, all nodes at rest in both.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::{Moved, Moves, Places as Found, Side};
use crate::cluster::{ClusterId, Family};
use crate::geo::places::{Places, Stretch};
use crate::impact::flow::added_ms;
use crate::impact::ground::Share;
use crate::impact::result::{Part, Spread};
use crate::impact::seats::{Seat, chosen};
use crate::plan::{Plan, Route};
use crate::steering::census::{clients, last_of, placed};
use crate::steering::compile::Mapped;
use crate::steering::service::AllDown;
use crate::wire::name::Name;

/// Countries and autonomous systems of a move that are told.
const TOLD_MAX: usize = 5;

/// What becomes of the clients of all services that both have, those that are answered alike together.
pub(super) fn moves(before: &Side<'_>, after: &Side<'_>) -> Vec<Moves> {
    let ranges = Family::ALL.map(|family| placed(family, after.places));
    let totals = Family::ALL.map(|family| total(family, &ranges[family as usize]));
    let known = totals.map(|total| total > 0.0);
    let mut seating = Seating::new([before, after]);
    let mut alike: BTreeMap<Alike, Services<'_>> = BTreeMap::new();
    let olds = routes(&before.snapshot.plan);
    for ((name, family), new) in routes(&after.snapshot.plan) {
        let Some(old) = olds.get(&(name.clone(), family)) else { continue };
        let places = [seating.places(0, old), seating.places(1, new)];
        let services =
            alike.entry(Alike { maps: [old.map, new.map], places }).or_insert((new, BTreeMap::new()));
        services.1.entry(name.to_string()).or_default().push(new.family.rtype());
    }
    let told = alike.into_iter().flat_map(|(Alike { maps, places: [was, is] }, (route, services))| {
        let [old, new] = [(before, maps[0]), (after, maps[1])]
            .map(|(side, map)| &side.snapshot.plan.maps[usize::from(map)]);
        if was == is && old.print.is_some() && old.print == new.print {
            return Vec::new(); // The same map, and the same choice of it.
        }
        let mut sweep = Sweep { was: &was, is: &is, places: after.places, flows: BTreeMap::new() };
        for (family, ranges) in Family::ALL.into_iter().zip(&ranges) {
            sweep.run(family, [&old.mapped, &new.mapped], ranges, totals[family as usize]);
        }
        if sweep.flows.is_empty() {
            return Vec::new();
        }
        let all = told(sweep.flows, (after, route), &seating, known);
        // Most services have both types; what has one alone is told apart.
        let mut by_types: BTreeMap<Vec<&'static str>, Vec<String>> = BTreeMap::new();
        for (name, types) in services {
            by_types.entry(types).or_default().push(name);
        }
        by_types.into_iter().map(|(types, services)| Moves { services, types, ..all.clone() }).collect()
    });
    told.collect()
}

/// What makes services move alike: their maps, and who answers each list of those.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    maps: [u16; 2],
    places: [Rc<[Place]>; 2],
}

/// One of their routes, and the types of each of them by its name.
type Services<'s> = (&'s Route, BTreeMap<String, Vec<&'static str>>);

/// All routes that are not a cluster's own name, by what they answer.
fn routes(plan: &Plan) -> BTreeMap<(Name, u8), &Route> {
    let named = plan.routes.iter().filter_map(|route| {
        let service = &plan.services[route.service.0 as usize];
        (!service.is_exposed).then(|| ((service.owner.clone(), route.family as u8), route))
    });
    named.collect()
}

fn total(family: Family, ranges: &[(u64, u64)]) -> f64 {
    ranges.iter().map(|(first, last)| clients(family, *first, *last)).sum()
}

/// Where clients of a list go: a cluster is a place in [`Seating::keys`].
type Place = Seat<u16>;

/// Who answers the lists of both Plans.
struct Seating<'s> {
    sides: [&'s Side<'s>; 2],
    /// The keys of the clusters of both.
    keys: Vec<Arc<str>>,
    /// Plan by Plan, cluster by cluster where its key is.
    numbers: [Vec<u16>; 2],
    /// What was found: most services of a platform are answered alike.
    known: HashMap<(usize, u16, u16, AllDown), Rc<[Place]>>,
}

impl<'s> Seating<'s> {
    fn new(sides: [&'s Side<'s>; 2]) -> Seating<'s> {
        let mut keys: Vec<Arc<str>> = Vec::new();
        let numbers = sides.map(|side| {
            let clusters = &side.snapshot.plan.inventory.clusters;
            let number = |key: &Arc<str>| {
                let at = keys.iter().position(|known| known == key).unwrap_or_else(|| {
                    keys.push(Arc::clone(key));
                    keys.len() - 1
                });
                at as u16
            };
            clusters.iter().map(|cluster| &cluster.key).map(number).collect()
        });
        Seating { sides, keys, numbers, known: HashMap::new() }
    }

    /// List by list of a route of one of both: who answers. All slots of a pool at rest are open: they do not differ.
    fn places(&mut self, of: usize, route: &Route) -> Rc<[Place]> {
        let Seating { sides, numbers, known, .. } = self;
        let found = known.entry((of, route.map, route.kind, route.all_down)).or_insert_with(|| {
            let snapshot = sides[of].snapshot;
            let lists = &snapshot.plan.maps[usize::from(route.map)].mapped.lists;
            let place = |list| chosen(snapshot, route, list, 0).0.map(|id| numbers[of][usize::from(id.0)]);
            lists.iter().zip(0..).map(place).collect()
        });
        Rc::clone(found)
    }

    fn key(&self, place: Place) -> Option<String> {
        place.cluster().map(|number| self.keys[usize::from(number)].to_string())
    }

    /// Where that is in the Plan after; nowhere, where it has no such cluster.
    fn after(&self, place: Place) -> Seat {
        let id =
            |number| self.numbers[1].iter().position(|own| *own == number).map(|at| ClusterId(at as u16));
        place.cluster().and_then(id).map_or(Seat::Nothing, |id| place.map(|_| id))
    }
}

/// Clients who go from one place to another.
#[derive(Default)]
struct Flow {
    share: Share,
    /// By their list in the Plan after.
    lists: HashMap<u32, Share>,
    /// By what is known of their addresses: a place in [`Places::known`].
    places: HashMap<u32, Share>,
}

struct Sweep<'s> {
    was: &'s [Place],
    is: &'s [Place],
    places: &'s Places,
    flows: BTreeMap<(Place, Place), Flow>,
}

impl Sweep<'_> {
    /// Looks at all clients of a family.
    fn run(&mut self, family: Family, [old, new]: [&Mapped; 2], ranges: &[(u64, u64)], total: f64) {
        let [old, new] = [old, new].map(|mapped| if family == Family::V4 { &mapped.v4 } else { &mapped.v6 });
        for &(first, end) in ranges {
            let mut at = first;
            loop {
                let ((from, from_bits), (to, to_bits)) = (old.get(at), new.get(at));
                let last = last_of(at, from_bits.max(to_bits)).min(end);
                let (was, is) = (self.was[from as usize], self.is[to as usize]);
                if was != is {
                    self.add(family, (was, is), to, (at, last), total);
                }
                if last == end {
                    break;
                }
                at = last + 1;
            }
        }
    }

    fn add(&mut self, family: Family, key: (Place, Place), list: u32, (first, last): (u64, u64), total: f64) {
        let flow = self.flows.entry(key).or_default();
        let part = |first, last| {
            let mut share = Share::default();
            *share.of(family) = clients(family, first, last) / total;
            share
        };
        let share = part(first, last);
        flow.share.add(share);
        flow.lists.entry(list).or_default().add(share);
        let mut place = |place, first, last| flow.places.entry(place).or_default().add(part(first, last));
        match family {
            Family::V4 => within(&self.places.v4, |start| u64::from(start) << 32, (first, last), &mut place),
            Family::V6 => within(&self.places.v6, |start| start, (first, last), &mut place),
        }
    }
}

/// Tells which place holds from key to key.
fn within<A: Copy>(
    stretches: &[Stretch<A>],
    key: impl Fn(A) -> u64,
    (first, last): (u64, u64),
    tell: &mut impl FnMut(u32, u64, u64),
) {
    let mut at = stretches.partition_point(|stretch| key(stretch.start) <= first).saturating_sub(1);
    let mut from = first;
    while from <= last {
        let end = stretches.get(at + 1).map_or(last, |next| (key(next.start) - 1).min(last));
        tell(stretches[at].place, from, end);
        match end.checked_add(1) {
            Some(next) => from = next,
            None => break,
        }
        at += 1;
    }
}

/// The same in words, of services that are to be named.
fn told(
    flows: BTreeMap<(Place, Place), Flow>,
    (after, route): (&Side<'_>, &Route),
    seating: &Seating<'_>,
    known: [bool; 2],
) -> Moves {
    let plan = &*after.snapshot.plan;
    let lists = &plan.maps[usize::from(route.map)].mapped.lists;
    let service = &plan.services[route.service.0 as usize];
    let part =
        |share: Share| Part { share: share.of_all(known), ipv4: share.v4, ipv6: share.v6, queries: None };
    let (mut moved, mut unanswered) = (Share::default(), Share::default());
    let mut moves: Vec<Moved> = flows
        .into_iter()
        .map(|((from, to), flow)| {
            match (from, to) {
                (Seat::At(_), Seat::At(_)) => moved.add(flow.share),
                (Seat::At(_), _) => unanswered.add(flow.share),
                _ => {}
            }
            let deltas = flow.lists.iter().filter_map(|(list, share)| {
                Some((
                    added_ms(&lists[*list as usize], seating.after(from), seating.after(to))?,
                    share.of_all(known),
                ))
            });
            let known_places = &after.places.known;
            let of = |name: &dyn Fn(u32) -> Option<String>| most(&flow, known, name);
            Moved {
                from: seating.key(from),
                to: seating.key(to),
                gets: to.gets(),
                part: part(flow.share),
                added_ms: Spread::of(&mut deltas.collect::<Vec<_>>()),
                countries: of(&|place| {
                    known_places[place as usize].country.map(|country| country.code().to_string())
                }),
                asns: of(&|place| known_places[place as usize].asn.map(|asn| format!("AS{asn}"))),
            }
        })
        .collect();
    moves.sort_by(|a, b| b.part.share.total_cmp(&a.part.share));
    Moves {
        services: Vec::new(),
        types: Vec::new(),
        policy: plan.policies[usize::from(service.policy.0)].key.to_string(),
        moved: part(moved),
        unanswered: part(unanswered),
        moves,
    }
}

/// Where most of a flow's clients are: each with its part of the flow.
fn most(flow: &Flow, known: [bool; 2], name: &dyn Fn(u32) -> Option<String>) -> Vec<Found> {
    let mut by_name: BTreeMap<String, f64> = BTreeMap::new();
    for (place, share) in &flow.places {
        if let Some(name) = name(*place) {
            *by_name.entry(name).or_default() += share.of_all(known);
        }
    }
    let all = flow.share.of_all(known).max(f64::MIN_POSITIVE);
    let mut found: Vec<Found> =
        by_name.into_iter().map(|(name, share)| Found { name, part: share / all }).collect();
    found.sort_by(|a, b| b.part.total_cmp(&a.part));
    found.truncate(TOLD_MAX);
    found
}

/// How many services both have, each family counted apart.
pub(super) fn common(before: &Side<'_>, after: &Side<'_>) -> usize {
    let olds = routes(&before.snapshot.plan);
    routes(&after.snapshot.plan).keys().filter(|key| olds.contains_key(key)).count()
}

/// Cluster by cluster: the clients there, those of each service counted as 1.
pub(super) fn there(side: &Side<'_>) -> BTreeMap<String, f64> {
    let plan = &*side.snapshot.plan;
    let (mut seating, mut there) = (Seating::new([side, side]), BTreeMap::new());
    for route in routes(plan).values() {
        let parts = &plan.maps[usize::from(route.map)].mapped.parts;
        for (list, place) in seating.places(0, route).iter().enumerate() {
            if let (Seat::At(_), Some(key)) = (place, seating.key(*place)) {
                let share = Share { v4: parts[0][list], v6: parts[1][list] };
                *there.entry(key).or_default() += share.of_all([true, true]);
            }
        }
    }
    there
}
