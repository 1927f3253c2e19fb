//! Points as unit vectors: distances between many points without much trigonometry.

use super::place::{EARTH_RADIUS_KM, Point};

/// A point on the globe, seen from its centre: of length 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vector([f64; 3]);

impl Vector {
    /// The direction of a point.
    pub fn of(point: Point) -> Vector {
        let (lat_sin, lat_cos) = point.lat().to_radians().sin_cos();
        let (lon_sin, lon_cos) = point.lon().to_radians().sin_cos();
        Vector([lat_cos * lon_cos, lat_cos * lon_sin, lat_sin])
    }

    /// Great-circle distance in whole metres: the last digits of different machines' arithmetic decide nothing.
    #[inline]
    pub fn metres(self, other: Vector) -> u32 {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        let chord = ((a - x) * (a - x) + (b - y) * (b - y) + (c - z) * (c - z)).sqrt();
        let metres = 2000.0 * EARTH_RADIUS_KM * (chord / 2.0).min(1.0).asin();
        metres.round() as u32 // At most half the globe: 20,015,115 m.
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = Point> {
        (-90.0..=90.0, -180.0..=180.0).prop_map(|(lat, lon)| Point::new(lat, lon).unwrap())
    }

    proptest! {
        // Distances agree with the haversine to the metre, between far points and near ones.
        #[test]
        fn distances_agree_with_the_haversine(a in point(), b in point(), near in 0.0..1e-3f64) {
            let north: f64 = a.lat() + near;
            let beside = Point::new(north.min(90.0), a.lon()).unwrap();
            for other in [b, beside, a] {
                let metres = f64::from(Vector::of(a).metres(Vector::of(other)));
                prop_assert!((metres - a.distance_km(other) * 1000.0).abs() <= 0.51);
            }
        }
    }
}
