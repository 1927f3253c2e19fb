//! Marks and times.

use std::time::Duration;

/// How much further away a cluster at its high mark counts, in ms: between the middle of the marks and the high one it sheds those to
/// whom another cluster is nearer than that. At 100 ms viewers leave their continent only when there is no room in it.
pub const RAMP_MS: f64 = 100.0;
/// A slot leaves a cluster that is not its own for another only where that is so much better, in ms: what would be gained by less is
/// not worth a new connection.
pub const STICK_MS: f64 = 5.0;
/// The share of its own clients, by weight, that a cluster keeps, whatever it says of its load: a liar does not empty a region.
pub const KEPT_MIN: f64 = 0.25;
/// The share of a cluster's load that may leave it at once because of load; that much may leave again after as long as clients take to
/// follow: before the next eighth goes, reports tell what the first one did.
pub const LEAVE_MAX: f64 = 0.125;

/// How full clusters may be, as shares of their capacity: 0 < low <= high <= 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marks {
    low: f64,
    high: f64,
}

impl Marks {
    /// `None` unless 0 < low <= high <= 1.
    pub fn new(low: f64, high: f64) -> Option<Marks> {
        (0.0 < low && low <= high && high <= 1.0).then_some(Marks { low, high })
    }

    /// Under this it takes back what it shed.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// From here on it sheds those least hurt, and strangers come only where others are much farther.
    pub fn middle(&self) -> f64 {
        f64::midpoint(self.low, self.high)
    }

    /// Full: above this is nobody while another has room.
    pub fn high(&self) -> f64 {
        self.high
    }
}

impl Default for Marks {
    fn default() -> Marks {
        Marks { low: 0.8, high: 0.95 }
    }
}

/// What an operator may turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How full clusters may be; default 0.8 and 0.95. Lower both where load rises faster than clients follow.
    pub marks: Marks,
    /// How much of all capacity is in use where nobody reports it; default 0.6. It decides alone how many strangers a cluster takes.
    /// More than 0, at most 1.
    pub assumed: f64,
    /// A slot moves because of load at most once in this time; default 60 s. At least `follow`.
    pub hold: Duration,
    /// How long clients take to follow a change: a TTL, and how long they stay connected to where they were; default 30 s. Turn it up
    /// where clusters go below `low` right after they shed.
    pub follow: Duration,
    /// How long a change of load takes to be believed (the time constant of the moving average); default 30 s.
    pub damping: Duration,
    /// A report that is older says nothing; default 30 s. At least twice as long as reports are apart.
    pub expiry: Duration,
    /// How long what reports said is held on to when they end; default 10 min. Then load is assumed, as if there had been none.
    pub memory: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            marks: Marks::default(),
            assumed: 0.6,
            hold: Duration::from_secs(60),
            follow: Duration::from_secs(30),
            damping: Duration::from_secs(30),
            expiry: Duration::from_secs(30),
            memory: Duration::from_secs(600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_shares_in_order() {
        assert!(Marks::new(0.8, 0.95).is_some() && Marks::new(1.0, 1.0).is_some());
        for (low, high) in [(0.0, 0.5), (0.9, 0.8), (0.8, 1.1), (f64::NAN, 0.9), (0.5, f64::NAN)] {
            assert!(Marks::new(low, high).is_none(), "{low} {high}");
        }
    }
}
