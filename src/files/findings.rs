//! The mistakes of one reading, bounded: a file that is no master file fills no screen.

use crate::files::issue::{At, Issue, Severity};

/// The most errors that one reading tells; then it stops.
pub(super) const ERRORS_MAX: usize = 100;
/// The most warnings that one reading tells; the rest are counted.
pub(super) const WARNINGS_MAX: usize = 100;

/// Where mistakes go.
pub(super) struct Findings<'a> {
    issues: &'a mut Vec<Issue>,
    errors: usize,
    warnings: usize,
}

impl<'a> Findings<'a> {
    pub(super) fn new(issues: &'a mut Vec<Issue>) -> Findings<'a> {
        Findings { issues, errors: 0, warnings: 0 }
    }

    /// Tells of a mistake, unless too many were told already.
    pub(super) fn tell(&mut self, issue: Issue) {
        let (count, max, what) = match issue.severity {
            Severity::Error => (&mut self.errors, ERRORS_MAX, "errors; reading stopped here"),
            Severity::Warning => (&mut self.warnings, WARNINGS_MAX, "warnings; there are more"),
        };
        *count += 1;
        match (*count).cmp(&max) {
            std::cmp::Ordering::Less => self.issues.push(issue),
            std::cmp::Ordering::Equal => {
                let at: Option<At> = issue.at.clone();
                let severity = issue.severity;
                self.issues.push(issue);
                self.issues.push(Issue {
                    severity,
                    at,
                    what: format!("these were {max} {what}"),
                    remedy: None,
                    also: None,
                });
            }
            std::cmp::Ordering::Greater => {}
        }
    }

    /// Whether nothing more can be told: time to stop.
    pub(super) fn is_full(&self) -> bool {
        self.errors >= ERRORS_MAX
    }

    /// Whether there were errors.
    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }
}
