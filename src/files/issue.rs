//! Mistakes in what operators write: where, what, and what to do.

use std::ops::Range;
use std::sync::Arc;

/// A file that was read: its path as operators know it, and its text.
#[derive(Debug)]
pub struct Source {
    /// The path to show.
    pub path: Arc<str>,
    /// The whole text.
    pub text: String,
}

/// A place in a file.
#[derive(Clone, Debug)]
pub struct At {
    /// The file.
    pub source: Arc<Source>,
    /// Octets of its text; may be empty.
    pub span: Range<usize>,
}

/// How grave an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Loaded all the same; `check --strict` fails on it.
    Warning,
    /// Nothing is loaded.
    Error,
}

/// One mistake of an operator.
#[derive(Clone, Debug)]
pub struct Issue {
    /// How grave it is.
    pub severity: Severity,
    /// Where; `None` only where the file itself could not be read, named in the sentence then.
    pub at: Option<At>,
    /// What: one sentence, lower case, no full stop, values in backticks.
    pub what: String,
    /// What to do, where that is known: the same form.
    pub remedy: Option<String>,
    /// Another place that belongs to it, and what it is (`first written here`).
    pub also: Option<(At, String)>,
}

/// Whether an error is among them.
pub fn is_grave(issues: &[Issue]) -> bool {
    issues.iter().any(|issue| issue.severity == Severity::Error)
}

impl Issue {
    /// An error.
    pub fn error(at: At, what: impl Into<String>) -> Issue {
        Issue { at: Some(at), ..Issue::of_all(what) }
    }

    /// An error of no place in a file.
    pub fn of_all(what: impl Into<String>) -> Issue {
        Issue { severity: Severity::Error, at: None, what: what.into(), remedy: None, also: None }
    }

    /// A warning.
    pub fn warning(at: At, what: impl Into<String>) -> Issue {
        Issue { severity: Severity::Warning, ..Issue::error(at, what) }
    }

    /// The same, with what to do.
    pub fn remedy(self, remedy: impl Into<String>) -> Issue {
        Issue { remedy: Some(remedy.into()), ..self }
    }

    /// The same, with another place that belongs to it.
    pub fn also(self, at: At, what: impl Into<String>) -> Issue {
        Issue { also: Some((at, what.into())), ..self }
    }
}
