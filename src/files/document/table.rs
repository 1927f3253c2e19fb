//! A table of a TOML document, whose keys are taken one by one.

use toml::Spanned;
use toml::de::DeTable;

use super::value::Value;
use super::{Document, Wholeness};
use crate::files::issue::{At, Issue};
use crate::files::words::{listed, nearest, shown};

/// A table whose keys are taken one by one.
pub struct Table<'d> {
    document: Document<'d>,
    /// How sentences call it, ``check `ingest` ``; empty for the whole document.
    title: String,
    at: At,
    /// What has not been taken, in the order of the file.
    left: Vec<Value<'d>>,
    is_empty: bool,
    known: Vec<&'static str>,
}

impl<'d> Table<'d> {
    pub(super) fn new(document: Document<'d>, table: &'d DeTable<'d>, title: String, at: At) -> Table<'d> {
        let value = |(key, value): (&'d Spanned<_>, &'d Spanned<_>)| Value::new(document, key, value);
        let mut left: Vec<Value<'d>> = table.iter().map(value).collect();
        left.sort_by_key(|value| value.key_at.span.start);
        Table { document, title, at, left, is_empty: table.is_empty(), known: Vec::new() }
    }

    /// Where it begins: its key, or its braces.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// Whether nothing at all is written in it.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The value of a key that may be absent.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.known.push(key);
        let place = self.left.iter().position(|value| value.key == key)?;
        Some(self.left.remove(place))
    }

    /// The value of a key that must be there; `example` is a line that would do.
    pub fn need(&mut self, key: &'static str, example: &str, issues: &mut Vec<Issue>) -> Option<Value<'d>> {
        let value = self.take(key);
        if value.is_none() {
            self.missing(key, example, issues);
        }
        value
    }

    /// Says that a key is missing, unless it may stand in what was not understood.
    pub fn missing(&self, key: &str, example: &str, issues: &mut Vec<Issue>) {
        if self.document.wholeness == Wholeness::Torn {
            return;
        }
        let what = match &*self.title {
            "" => format!("`{key}` is missing"),
            title => format!("{title} has no `{key}`"),
        };
        issues.push(Issue::error(self.at.clone(), what).remedy(format!("e.g. `{example}`")));
    }

    /// All values that have not been taken: of a table whose keys are names that the operator gives.
    pub fn named(&mut self) -> Vec<Value<'d>> {
        std::mem::take(&mut self.left)
    }

    /// Takes all tables that have not been taken.
    pub fn tables(&mut self) -> Vec<Value<'d>> {
        let (tables, left) = std::mem::take(&mut self.left).into_iter().partition(Value::is_table);
        self.left = left;
        tables
    }

    /// Where the first of these keys is written, of those that have not been taken.
    pub fn first_of(&self, keys: &[&str]) -> Option<At> {
        self.left.iter().find(|value| keys.contains(&value.key)).map(|value| value.key_at.clone())
    }

    /// Says of a key that is known elsewhere why it may not stand here, if it does.
    pub fn refuse(&mut self, key: &'static str, what: &str, remedy: &str, issues: &mut Vec<Issue>) {
        if let Some(place) = self.left.iter().position(|value| value.key == key) {
            let value = self.left.remove(place);
            issues.push(Issue::error(value.key_at, what).remedy(remedy));
        }
    }

    /// Ends the reading: what has not been taken is unknown.
    pub fn finish(self, issues: &mut Vec<Issue>) {
        for value in &self.left {
            let of = if self.title.is_empty() { String::new() } else { format!(" of {}", self.title) };
            let key = shown(value.key);
            let issue = Issue::error(value.key_at.clone(), format!("`{key}` is not a key{of}"));
            let free = self.known.iter().copied();
            issues.push(match nearest(value.key, free) {
                Some(meant) => issue.remedy(format!("there is `{meant}`")),
                None if self.known.is_empty() => issue,
                None => issue.remedy(format!("there is {}", listed(&self.known, "and"))),
            });
        }
    }
}
