//! What was measured, as a table; and whether it keeps the promise.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::asking::TTL_S;
use super::nodes::Death;

/// Targets on near paths (docs/health.md): a refused port has left within this, a silent death within that.
const REFUSED: Duration = Duration::from_secs(2);
const SILENT: Duration = Duration::from_secs(3);
/// Granted beside the machine's stalls: the moment of death is taken before the command that kills runs (some ten
/// milliseconds, more for a firewall), and neither tokio's timers nor ours (1 ms and a turn of the scheduler, five times in
/// a row) know of each other.
const GRANTED: Duration = Duration::from_millis(250);

/// One address that died under one check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) death: Death,
    pub(crate) check: &'static str,
    pub(crate) address: IpAddr,
    /// From its death to the last answer that held it.
    pub(crate) removal: Duration,
    /// From its death to the end of the last copy of such an answer, in a cache that keeps TTLs.
    pub(crate) cached: Duration,
    /// How long the machine stalled between death and removal.
    pub(crate) stalled: Duration,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) measured: Vec<Measured>,
    pub(crate) notes: Vec<String>,
}

impl Measured {
    fn limit(&self) -> Duration {
        match self.death {
            Death::Killed => REFUSED,
            Death::Held | Death::Dropped | Death::Unplugged => SILENT,
        }
    }

    /// Within design's seconds, but for what the machine took from everybody; and within the TTL whatever it did.
    fn kept(&self) -> bool {
        let ttl = Duration::from_secs(TTL_S.into());
        self.removal <= self.limit() + GRANTED + self.stalled && self.removal <= ttl
    }
}

impl Report {
    /// Panics with those that stayed too long.
    pub(crate) fn assert_kept(&self) {
        for late in self.measured.iter().filter(|measured| !measured.kept()) {
            let Measured { death, check, address, .. } = late;
            panic!("{address} ({check}, {}) left too late: {late:?}", death.word());
        }
        assert!(self.measured.len() >= 20, "only {} deaths", self.measured.len());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: BTreeMap<(Death, &str), Vec<&Measured>> = BTreeMap::new();
        for measured in &self.measured {
            rows.entry((measured.death, measured.check)).or_default().push(measured);
        }
        writeln!(
            f,
            "| dies | check | deaths | out of the answers after: median | worst | out of caches after: worst |\n\
             | --- | --- | --- | --- | --- | --- |"
        )?;
        for ((death, check), mut row) in rows {
            row.sort_by_key(|measured| measured.removal);
            let (median, worst) = (row[row.len() / 2].removal, row[row.len() - 1].removal);
            let cached = row.iter().map(|measured| measured.cached).max().unwrap_or_default();
            writeln!(
                f,
                "| {} | {check} | {} | {:.2} s | {:.2} s | {:.2} s |",
                death.word(),
                row.len(),
                median.as_secs_f64(),
                worst.as_secs_f64(),
                cached.as_secs_f64(),
            )?;
        }
        let stalled = self.measured.iter().map(|measured| measured.stalled).max().unwrap_or_default();
        writeln!(f, "the machine's own stalls within a death: at most {:.2} s", stalled.as_secs_f64())?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
