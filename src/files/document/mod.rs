//! A TOML document, read key by key: a key that nobody asks for is a mistake, and every value knows where it stands.
//!
//! ```text
//! read(source)  ->  Table  --take("listen")-->  Value  --text(), whole(0..=64), duration(..), list(), table()-->
//!                     └──finish(): what nobody took is an unknown key, with the nearest known one
//! ```

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, Error};

use super::issue::{At, Issue, Source};
use super::lines::Lines;
use super::syntax::Syntax;
use super::words::shown;

mod table;
mod value;

pub use table::Table;
pub use value::Value;

/// A value, and where it is written.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub at: At,
}

impl<T> Written<T> {
    /// The same place, with what `change` makes of the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Written<U> {
        Written { value: change(self.value), at: self.at }
    }
}

/// Whether all of a document was understood as TOML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wholeness {
    /// It was.
    #[default]
    Whole,
    /// It was not: what seems to be missing may stand in what was not understood.
    Torn,
}

/// Parses a document and lets `walk` read it: mistakes of syntax and those that `walk` finds are told together.
///
/// What `walk` says of a line that is no TOML is left out: it would be about our guess, not about the text.
pub fn read<T>(
    source: &Arc<Source>,
    issues: &mut Vec<Issue>,
    walk: impl FnOnce(Table<'_>, &mut Vec<Issue>) -> T,
) -> (T, Wholeness) {
    let (root, errors): (_, Vec<Error>) = DeTable::parse_recoverable(&source.text);
    let lines = Lines::new(&source.text);
    let syntax = Syntax::new(source, &lines, root.get_ref(), &errors);
    let wholeness = if errors.is_empty() { Wholeness::Whole } else { Wholeness::Torn };
    let document = Document { source, wholeness };
    let table = Table::new(document, root.get_ref(), String::new(), document.at(0..0));
    let mut found = Vec::new();
    let read = walk(table, &mut found);
    found.retain(|issue| issue.at.as_ref().is_none_or(|at| !syntax.tears(lines.index(at.span.start))));
    issues.extend(syntax.issues);
    issues.extend(found);
    (read, wholeness)
}

/// What all parts of a document share.
#[derive(Clone, Copy)]
struct Document<'d> {
    source: &'d Arc<Source>,
    wholeness: Wholeness,
}

impl Document<'_> {
    fn at(self, span: Range<usize>) -> At {
        At { source: self.source.clone(), span }
    }
}

/// The path that `text` means in the file `named_in`: relative to its directory.
pub fn beside(named_in: &str, text: &str) -> PathBuf {
    Path::new(named_in).parent().unwrap_or(Path::new("")).join(text)
}

/// The elements of a list, each once: of one that is listed again it is said.
pub fn each_once<T: Clone + Eq + Hash + ToString>(
    list: Vec<Written<T>>,
    issues: &mut Vec<Issue>,
) -> Vec<Written<T>> {
    let mut first: HashMap<T, At> = HashMap::new();
    let mut once = Vec::new();
    for element in list {
        if let Some(at) = first.get(&element.value) {
            let what = format!("`{}` is listed twice", shown(&element.value.to_string()));
            issues.push(Issue::error(element.at, what).also(at.clone(), "first listed here"));
            continue;
        }
        first.insert(element.value.clone(), element.at.clone());
        once.push(element);
    }
    once
}

/// Says of keys that differ in nothing but case that they are the same; `noun` is what they name.
pub fn same_keys<'k>(keys: impl Iterator<Item = &'k Written<Arc<str>>>, noun: &str, issues: &mut Vec<Issue>) {
    let mut seen: HashMap<String, &Written<Arc<str>>> = HashMap::new();
    for key in keys {
        if let Some(first) = seen.insert(key.value.to_ascii_lowercase(), key) {
            let (one, other) = (shown(&key.value), shown(&first.value));
            let what = format!("{noun} `{one}` differs from `{other}` in case alone");
            issues.push(Issue::error(key.at.clone(), what).also(first.at.clone(), "the other one"));
        }
    }
}

/// Says that there are more of something than there may be; `nouns` names them.
pub fn at_most(count: usize, max: usize, nouns: &str, at: &At, issues: &mut Vec<Issue>) {
    if count > max {
        issues.push(Issue::error(at.clone(), format!("{count} {nouns} are more than {max}")));
    }
}
