//! What was measured, as a table; and whether it keeps what is promised.

use std::fmt;
use std::time::Duration;

use steerdns::health::promise::Detection;

use super::fault::Fault;
use super::watch::check;

/// Granted beside the machine's stalls: the moment of a fault is taken before the command that makes it runs.
const GRANTED: Duration = Duration::from_millis(250);
/// For a server, and who publishes to it, to start and have the first segment.
const STARTS: Duration = Duration::from_secs(10);

/// One target that failed, and came back.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) fault: Fault,
    pub(crate) probe: &'static str,
    /// What it waits for by itself.
    pub(crate) rule: Duration,
    /// From the fault to the verdict *down*.
    pub(crate) removal: Duration,
    /// From the moment before the command that repairs to the verdict *up*.
    pub(crate) back: Duration,
    /// How long the machine stalled meanwhile: until the removal, and from the repair.
    pub(crate) stalled: [Duration; 2],
    /// What was told of it.
    pub(crate) cause: String,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) probes: Vec<&'static str>,
    pub(crate) measured: Vec<Measured>,
    pub(crate) notes: Vec<String>,
}

impl Measured {
    /// What follows of the check, whatever the server's usual time, and of the probe's own rule.
    fn limits(&self) -> [Duration; 2] {
        let check = check(self.probe, steerdns::health::check::Kind::Tcp);
        let to_come_back = check.interval * (check.rise + 1) + check.timeout + STARTS;
        let [before, behind] = self.stalled;
        [
            Detection::worst(&check).total() + self.rule + GRANTED + before,
            to_come_back + self.rule + GRANTED + behind,
        ]
    }

    fn kept(&self) -> bool {
        let [removal, back] = self.limits();
        self.removal <= removal && self.back <= back
    }
}

impl Report {
    /// Panics with those that stayed too long, in or out.
    pub(crate) fn assert_kept(&self) {
        let late: Vec<_> = self.measured.iter().filter(|measured| !measured.kept()).collect();
        assert!(late.is_empty(), "too late: {late:#?}");
    }

    /// A cell: median, and the worst where there are several.
    fn cell(&self, fault: Fault, probe: &str, of: impl Fn(&Measured) -> Duration) -> String {
        let here = |measured: &&Measured| measured.fault == fault && measured.probe == probe;
        let mut all: Vec<_> = self.measured.iter().filter(here).map(of).collect();
        all.sort_unstable();
        let seconds = |at: usize| all[at].as_secs_f64();
        match all.len() {
            0 => "–".into(),
            1 => format!("{:.1}", seconds(0)),
            len => format!("{:.1} ({:.1})", seconds(len / 2), seconds(len - 1)),
        }
    }

    fn table(
        &self,
        f: &mut fmt::Formatter<'_>,
        what: &str,
        of: impl Fn(&Measured) -> Duration,
    ) -> fmt::Result {
        writeln!(
            f,
            "| {what} | {} |\n| --- |{}",
            self.probes.join(" | "),
            " --- |".repeat(self.probes.len())
        )?;
        for fault in Fault::ALL {
            let cells = self.probes.iter().map(|probe| self.cell(fault, probe, &of));
            let cells: Vec<_> = cells.collect();
            if cells.iter().any(|cell| cell != "–") {
                writeln!(f, "| {} | {} |", fault.word(), cells.join(" | "))?;
            }
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table(f, "from fault to removal, s", |measured| measured.removal)?;
        self.table(f, "from repair to return, s", |measured| measured.back)?;
        let stalls = self.measured.iter().flat_map(|measured| measured.stalled);
        writeln!(
            f,
            "the machine's own stalls within one of these: at most {:.2} s",
            stalls.max().unwrap_or_default().as_secs_f64()
        )?;
        let mut told: Vec<_> = self
            .measured
            .iter()
            .map(|measured| format!("{}, {}: {}", measured.fault.word(), measured.probe, measured.cause))
            .collect();
        told.sort_unstable();
        told.dedup();
        told.iter().chain(&self.notes).try_for_each(|line| writeln!(f, "{line}"))
    }
}
