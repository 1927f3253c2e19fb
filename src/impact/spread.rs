//! Median, 95th percentile and the most of weighed values.

use serde::Serialize;

/// How values are spread over those who have them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of them have no more.
    pub median: f64,
    /// 95 of a hundred have no more.
    pub p95: f64,
    /// Nobody has more.
    pub max: f64,
}

impl Spread {
    /// Of values, each with its weight; `None` where nobody has any.
    pub(super) fn of(values: &mut [(f64, f64)]) -> Option<Spread> {
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = values.iter().map(|value| value.1).sum();
        let last = values.last()?.0;
        let at = |part: f64| {
            let mut sum = 0.0;
            let reached = values.iter().find(|(_, weight)| {
                sum += weight;
                sum >= total * part
            });
            reached.map_or(last, |value| value.0)
        };
        Some(Spread { median: at(0.5), p95: at(0.95), max: last })
    }

    /// Each of the three, changed.
    pub fn map(self, change: impl Fn(f64) -> f64) -> Spread {
        Spread { median: change(self.median), p95: change(self.p95), max: change(self.max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_weight() {
        let mut values = [(30.0, 0.04), (10.0, 0.6), (20.0, 0.36)];
        assert_eq!(Spread::of(&mut values), Some(Spread { median: 10.0, p95: 20.0, max: 30.0 }));
        assert_eq!(Spread::of(&mut []), None);
    }
}
