//! Points as unit vectors: distances between many points without much trigonometry.

use std::f64::consts::FRAC_PI_2;

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

    /// Great-circle distance in whole metres, at most half the globe's 20,015,115: the last digits of different machines' arithmetic
    /// decide nothing.
    #[inline]
    pub fn metres(self, other: Vector) -> f64 {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        let chord_squared = (a - x) * (a - x) + (b - y) * (b - y) + (c - z) * (c - z);
        let metres = 2000.0 * EARTH_RADIUS_KM * asin_of_root((chord_squared / 4.0).min(1.0));
        (metres + WHOLE) - WHOLE
    }
}

/// Numbers from 2^52 on have no fraction. Added and taken away again it rounds, for several numbers at once.
const WHOLE: f64 = (1_u64 << 52) as f64;

/// The arc sine of the square root of a number from 0 to 1, as FreeBSD's `msun` approximates it: some ulps from the truth, the same on
/// every machine, and in a third of the time that a call takes.
#[inline]
fn asin_of_root(square: f64) -> f64 {
    const P: [f64; 6] = [
        1.666_666_666_666_666_6e-1,
        -3.255_658_186_224_009e-1,
        2.012_125_321_348_629_3e-1,
        -4.005_553_450_067_941e-2,
        7.915_349_942_898_145e-4,
        3.479_331_075_960_212e-5,
    ];
    const Q: [f64; 5] = [
        1.0,
        -2.403_394_911_734_414,
        2.020_945_760_233_505_7,
        -6.882_839_716_054_533e-1,
        7.703_815_055_590_194e-2,
    ];
    // From a half on by the half angle: asin x = π/2 - 2 asin √((1 - x) / 2).
    let is_near = square <= 0.25;
    let z = if is_near { square } else { (1.0 - square.sqrt()) / 2.0 };
    let root = z.sqrt();
    let p = z * (P[0] + z * (P[1] + z * (P[2] + z * (P[3] + z * (P[4] + z * P[5])))));
    let q = Q[0] + z * (Q[1] + z * (Q[2] + z * (Q[3] + z * Q[4])));
    let arc = root + root * (p / q);
    if is_near { arc } else { FRAC_PI_2 - 2.0 * arc }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = Point> {
        (-90.0..=90.0, -180.0..=180.0).prop_map(|(lat, lon)| Point::new(lat, lon).unwrap())
    }

    proptest! {
        #[test]
        fn the_arc_sine_is_that_of_the_library(x in 0.0..=1.0f64) {
            prop_assert!((asin_of_root(x * x) - x.asin()).abs() < 1e-14 + 1e-16 / (1.0 - x * x).sqrt());
        }

        // Distances agree with the haversine to the metre, between far points and near ones.
        #[test]
        fn distances_agree_with_the_haversine(a in point(), b in point(), near in 0.0..1e-3f64) {
            let north: f64 = a.lat() + near;
            let beside = Point::new(north.min(90.0), a.lon()).unwrap();
            for other in [b, beside, a] {
                let metres = Vector::of(a).metres(Vector::of(other));
                prop_assert_eq!(metres, metres.round());
                prop_assert!((metres - a.distance_km(other) * 1000.0).abs() <= 0.51);
            }
        }
    }
}
