//! The table of measured round-trip times, ready to be asked.

use std::collections::HashMap;

use super::marks::Mark;
use super::rules::{Policy, RttFrom};
use crate::cluster::ClusterId;
use crate::geo::place::{Country, Place, Point, Subdivision};

/// A measured point counts for places within so many km.
pub(super) const POINT_KM: f64 = 400.0;
/// No point within [`POINT_KM`] lies more degrees of latitude away: a degree is 111.2 km.
const POINT_LAT: f64 = 3.7;

/// A row: the cluster's place among the candidates, and the row's place in [`Policy::rtt`].
type Row = (usize, u32);

/// The rows of a policy's RTT table, by where they were measured.
#[derive(Debug)]
pub(super) struct Measured {
    candidates: Vec<ClusterId>,
    asns: HashMap<u32, Vec<Row>>,
    subdivisions: HashMap<Subdivision, Vec<Row>>,
    countries: HashMap<Country, Vec<Row>>,
    /// By latitude.
    points: Vec<(Point, Vec<Row>)>,
}

impl Measured {
    /// The rows to `candidates`.
    pub(super) fn new(policy: &Policy, candidates: &[ClusterId]) -> Measured {
        let position: HashMap<ClusterId, usize> =
            candidates.iter().enumerate().map(|(position, &id)| (id, position)).collect();
        let mut measured = Measured {
            candidates: candidates.to_vec(),
            asns: HashMap::new(),
            subdivisions: HashMap::new(),
            countries: HashMap::new(),
            points: Vec::new(),
        };
        let mut at_points = Vec::new();
        for (number, row) in (0..).zip(&policy.rtt) {
            let Some(&position) = position.get(&row.to) else { continue };
            let row_of = (position, number);
            match row.from {
                RttFrom::Prefix(_) => {} // The client's Mark holds them.
                RttFrom::Asn(asn) => measured.asns.entry(asn).or_default().push(row_of),
                RttFrom::Subdivision(part) => measured.subdivisions.entry(part).or_default().push(row_of),
                RttFrom::Country(country) => measured.countries.entry(country).or_default().push(row_of),
                RttFrom::Point(point) => at_points.push((point, row_of)),
            }
        }
        at_points.sort_by(|(a, _), (b, _)| a.lat().total_cmp(&b.lat()).then(a.lon().total_cmp(&b.lon())));
        for rows in at_points.chunk_by(|a, b| a.0 == b.0) {
            measured.points.push((rows[0].0, rows.iter().map(|row| row.1).collect()));
        }
        measured
    }

    /// For each candidate the row that holds for a client: longest prefix, ASN, subdivision, country, nearest point. And whether there is
    /// one at all.
    pub(super) fn rows(&self, place: &Place, mark: &Mark, rows: &mut Vec<Option<u32>>) -> bool {
        rows.clear();
        rows.resize(self.candidates.len(), None);
        let mut is_known = false;
        let mut lay = |position: usize, row| {
            rows[position] = Some(row);
            is_known = true;
        };
        // From the weakest word to the strongest; of equal ones the first row of the file is laid last.
        let mut lay_all = |known: Option<&Vec<Row>>| {
            known.into_iter().flatten().rev().for_each(|&(position, row)| lay(position, row));
        };
        if let Some(client) = place.point {
            for near in self.near(client) {
                lay_all(Some(near));
            }
        }
        lay_all(place.country.and_then(|country| self.countries.get(&country)));
        lay_all(place.subdivision.and_then(|part| self.subdivisions.get(&part)));
        lay_all(place.asn.and_then(|asn| self.asns.get(&asn)));
        for &(cluster, row) in &mark.rows {
            if let Some(position) = self.candidates.iter().position(|&id| id == cluster) {
                lay(position, row);
            }
        }
        is_known
    }

    /// The rows of the measured points around a client, the farthest first.
    fn near(&self, client: Point) -> impl Iterator<Item = &Vec<Row>> {
        let from = self.points.partition_point(|(point, _)| point.lat() < client.lat() - POINT_LAT);
        let band =
            self.points[from..].iter().take_while(|(point, _)| point.lat() <= client.lat() + POINT_LAT);
        let mut near: Vec<(f64, &Vec<Row>)> = band
            .map(|(point, rows)| (point.distance_km(client), rows))
            .filter(|(distance, _)| *distance <= POINT_KM)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.into_iter().map(|near| near.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::place::Prefix;
    use crate::steering::marks::tests::policy;
    use crate::steering::rules::Rtt;

    /// The milliseconds to cluster 0 that hold for a client in Kuala Lumpur, with these rows to it.
    fn ms(rows: &[(RttFrom, f64)]) -> Option<f64> {
        let mut policy = policy(1);
        policy.rtt = rows.iter().map(|&(from, ms)| Rtt { from, to: ClusterId(0), ms }).collect();
        let place = Place {
            country: Country::parse("MY"),
            subdivision: Subdivision::parse("MY-14"),
            point: Point::new(3.139, 101.687),
            asn: Some(64500),
            ..Place::default()
        };
        let mut found = Vec::new();
        let mark = Mark::at(&policy, [192, 0, 2, 1].into());
        Measured::new(&policy, &policy.clusters).rows(&place, &mark, &mut found);
        found[0].map(|row| policy.rtt[row as usize].ms)
    }

    #[test]
    fn the_closest_word_about_a_client_holds() {
        let words = [
            (RttFrom::Prefix(Prefix::parse("192.0.2.0/24").unwrap()), 1.0),
            (RttFrom::Prefix(Prefix::parse("192.0.0.0/16").unwrap()), 2.0),
            (RttFrom::Asn(64500), 3.0),
            (RttFrom::Subdivision(Subdivision::parse("MY-14").unwrap()), 4.0),
            (RttFrom::Country(Country::parse("MY").unwrap()), 5.0),
            (RttFrom::Point(Point::new(3.0, 101.4).unwrap()), 6.0),
            (RttFrom::Point(Point::new(2.19, 102.25).unwrap()), 7.0),
        ];
        for at in 0..words.len() {
            let mut weaker = words[at..].to_vec();
            weaker.reverse();
            assert_eq!(ms(&weaker), Some(words[at].1));
        }
    }

    #[test]
    fn a_point_beyond_four_hundred_kilometres_says_nothing() {
        let east = |km: f64| RttFrom::Point(Point::new(3.139, 101.687 + km / 111.02).unwrap());
        assert_eq!(ms(&[(east(399.0), 6.0)]), Some(6.0));
        assert_eq!(ms(&[(east(401.0), 6.0)]), None);
        let north = |km: f64| RttFrom::Point(Point::new(3.139 + km / 111.2, 101.69).unwrap());
        assert_eq!((ms(&[(north(399.0), 6.0)]), ms(&[(north(401.0), 6.0)])), (Some(6.0), None));
    }

    #[test]
    fn other_networks_and_countries_say_nothing() {
        assert_eq!(ms(&[(RttFrom::Asn(64501), 1.0)]), None);
        assert_eq!(ms(&[(RttFrom::Country(Country::parse("SG").unwrap()), 1.0)]), None);
    }
}
