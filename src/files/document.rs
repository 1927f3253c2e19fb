//! A TOML document, read key by key: a key that nobody asks for is a mistake, and every value knows where it stands.
//!
//! ```text
//! read(source)  ->  Table  --take("listen")-->  Value  --text(), whole(0..=64), duration(..), list(), table()-->
//!                     └──finish(): what nobody took is an unknown key, with the nearest known one
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::duration;
use super::issue::{At, Issue, Source};
use super::lines::Lines;
use super::syntax::Syntax;
use super::words::{key_fault, listed, nearest, shown};

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
    fn new(document: Document<'d>, table: &'d DeTable<'d>, title: String, at: At) -> Table<'d> {
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

/// A value and its key.
#[derive(Clone)]
pub struct Value<'d> {
    document: Document<'d>,
    /// Its key; of an element of a list, the list's.
    pub key: &'d str,
    /// Where the key is written; of an element of a list, where the element is.
    pub key_at: At,
    /// Where the value is written.
    pub at: At,
    value: &'d DeValue<'d>,
}

impl<'d> Value<'d> {
    fn new(
        document: Document<'d>,
        key: &'d Spanned<Cow<'d, str>>,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Value<'d> {
        let (key_at, at) = (document.at(key.span()), document.at(value.span()));
        Value { document, key: key.get_ref(), key_at, at, value: value.get_ref() }
    }

    /// The mistake that the value has another type than it must.
    fn mistyped(&self, must: &str, remedy: Option<String>, issues: &mut Vec<Issue>) {
        let is = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let issue = Issue::error(self.at.clone(), format!("`{}` must be {must}, is {is}", shown(self.key)));
        issues.push(Issue { remedy, ..issue });
    }

    /// The value as a sentence shows it: a string without its quotes, anything else as it is written.
    pub fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) => shown(text),
            _ => shown(self.document.source.text.get(self.at.span.clone()).unwrap_or_default()),
        }
    }

    /// The mistake that the value is not what it `must` be.
    pub fn unfit(&self, must: &str) -> Issue {
        Issue::error(self.at.clone(), format!("`{}` must be {must}, is `{}`", shown(self.key), self.shown()))
    }

    /// The value with its place.
    pub fn written<T>(&self, value: T) -> Written<T> {
        Written { value, at: self.at.clone() }
    }

    /// The string, where it is one; nothing is said where it is not.
    pub fn as_text(&self) -> Option<&'d str> {
        self.value.as_str()
    }

    /// The integer, where it is one; nothing is said where it is not.
    pub fn as_whole(&self) -> Option<i64> {
        let integer = self.value.as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// A string, without control characters.
    pub fn text(&self, issues: &mut Vec<Issue>) -> Option<&'d str> {
        let Some(text) = self.as_text() else {
            let remedy = (self.value.is_integer() || self.value.is_float())
                .then(|| format!("write `{} = \"{}\"`", self.key, self.shown()));
            self.mistyped("a string", remedy, issues);
            return None;
        };
        if text.chars().any(char::is_control) {
            issues.push(self.unfit("a string without control characters"));
            return None;
        }
        Some(text)
    }

    /// A string that is not empty, without control characters.
    pub fn filled(&self, issues: &mut Vec<Issue>) -> Option<&'d str> {
        let text = self.text(issues)?;
        if text.is_empty() {
            issues.push(Issue::error(self.at.clone(), format!("`{}` is empty", shown(self.key))));
            return None;
        }
        Some(text)
    }

    /// An integer within `range`.
    pub fn whole(&self, range: RangeInclusive<i64>, issues: &mut Vec<Issue>) -> Option<i64> {
        let must = format!("an integer from {} to {}", range.start(), range.end());
        if !self.value.is_integer() {
            let digits = self.as_text().filter(|text| text.parse::<i64>().is_ok());
            let remedy = digits.map(|digits| format!("write `{} = {digits}`", self.key));
            self.mistyped(&must, remedy, issues);
            return None;
        }
        let fit = self.as_whole().filter(|whole| range.contains(whole));
        if fit.is_none() {
            issues.push(self.unfit(&must));
        }
        fit
    }

    /// A number, finite.
    pub fn number(&self, issues: &mut Vec<Issue>) -> Option<f64> {
        let number = match self.value {
            DeValue::Integer(_) => self.as_whole().map(|whole| whole as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => {
                let digits = self.as_text().filter(|text| text.parse::<f64>().is_ok());
                let remedy = digits.map(|digits| format!("write `{digits}`, without quotes"));
                self.mistyped("a number", remedy, issues);
                return None;
            }
        };
        let finite = number.filter(|number: &f64| number.is_finite());
        if finite.is_none() {
            issues.push(self.unfit("a finite number"));
        }
        finite
    }

    /// `true` or `false`.
    pub fn flag(&self, issues: &mut Vec<Issue>) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            let word = self.as_text().filter(|text| ["true", "false"].contains(text));
            let remedy = word.map(|word| format!("write `{} = {word}`, without quotes", self.key));
            self.mistyped("true or false", remedy, issues);
        }
        flag
    }

    /// A duration within `range`.
    pub fn duration(&self, range: RangeInclusive<Duration>, issues: &mut Vec<Issue>) -> Option<Duration> {
        let (from, to) = (duration::shown(*range.start()), duration::shown(*range.end()));
        let Some(text) = self.as_text() else {
            let remedy = (self.value.is_integer() || self.value.is_float())
                .then(|| format!("write it with its unit: `{} = \"{}s\"`", self.key, self.shown()));
            self.mistyped("a string with a unit", remedy, issues);
            return None;
        };
        let Some(read) = duration::parse(text) else {
            let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
            let remedy = if digits {
                format!("write its unit: `\"{text}s\"` or `\"{text}ms\"`")
            } else {
                "numbers with the units d, h, m, s, ms, down to whole milliseconds: `\"1m30s\"`, `\"2.5s\"`"
                    .into()
            };
            issues.push(self.unfit(&format!("a duration from {from} to {to}")).remedy(remedy));
            return None;
        };
        let fit = range.contains(&read);
        if !fit {
            issues.push(self.unfit(&format!("from {from} to {to}")));
        }
        fit.then_some(read)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)], issues: &mut Vec<Issue>) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let Some(text) = self.as_text() else {
            self.mistyped(&listed(&known, "or"), None, issues);
            return None;
        };
        let meant = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        if meant.is_none() {
            let issue = self.unfit(&listed(&known, "or"));
            let near = nearest(text, known.iter().copied());
            issues.push(Issue { remedy: near.map(|near| format!("there is `{near}`")), ..issue });
        }
        meant
    }

    /// The elements of a list; `example` is an element as it may be written.
    pub fn list(&self, example: &str, issues: &mut Vec<Issue>) -> Vec<Value<'d>> {
        let Some(elements) = self.value.as_array() else {
            let same = matches!(self.value, DeValue::String(_)) == example.starts_with('"');
            let shown = if same && !self.is_table() { self.raw() } else { example.to_owned() };
            self.mistyped("a list", Some(format!("write `{} = [{shown}]`", self.key)), issues);
            // What it means is plain, so what it says is checked all the same.
            return if self.is_table() { Vec::new() } else { vec![self.clone()] };
        };
        let element = |element: &'d Spanned<DeValue<'d>>| {
            let at = self.document.at(element.span());
            Value { key_at: at.clone(), at, value: element.get_ref(), ..self.clone() }
        };
        elements.iter().map(element).collect()
    }

    /// The elements of a list that has at least one.
    pub fn filled_list(&self, example: &str, issues: &mut Vec<Issue>) -> Vec<Value<'d>> {
        let elements = self.list(example, issues);
        if elements.is_empty() && self.is_list() {
            issues.push(Issue::error(self.at.clone(), format!("`{}` is an empty list", shown(self.key))));
        }
        elements
    }

    /// A table; `title` is how sentences call it.
    pub fn table(&self, title: impl Into<String>, issues: &mut Vec<Issue>) -> Option<Table<'d>> {
        let Some(table) = self.value.as_table() else {
            self.mistyped("a table", None, issues);
            return None;
        };
        // A table under a header is shown by its key there; one in braces, by the braces.
        let inline = self.raw().starts_with('{');
        let at = if inline { self.at.clone() } else { self.key_at.clone() };
        Some(Table::new(self.document, table, title.into(), at))
    }

    /// The key, which must be one LDH label; `noun` is what it names.
    pub fn label(&self, noun: &str, issues: &mut Vec<Issue>) -> Written<Arc<str>> {
        if let Some(fault) = key_fault(self.key) {
            let what = format!("the key of {noun} `{}` {fault}", shown(self.key));
            issues.push(Issue::error(self.key_at.clone(), what).remedy(LABEL_REMEDY));
        }
        Written { value: self.key.into(), at: self.key_at.clone() }
    }

    /// A string that must be one LDH label.
    pub fn label_text(&self, issues: &mut Vec<Issue>) -> Option<Written<Arc<str>>> {
        let text = self.text(issues)?;
        if let Some(fault) = key_fault(text) {
            let what = format!("`{}` `{}` {fault}", shown(self.key), shown(text));
            issues.push(Issue::error(self.at.clone(), what).remedy(LABEL_REMEDY));
        }
        Some(self.written(text.into()))
    }

    /// The key of something that is defined elsewhere.
    pub fn reference(&self, issues: &mut Vec<Issue>) -> Option<Written<Arc<str>>> {
        self.filled(issues).map(|text| self.written(text.into()))
    }

    /// A path, relative to the directory of this document.
    pub fn path(&self, issues: &mut Vec<Issue>) -> Option<Written<PathBuf>> {
        let text = self.filled(issues)?;
        Some(self.written(beside(&self.document.source.path, text)))
    }

    fn raw(&self) -> String {
        let raw = self.document.source.text.get(self.at.span.clone()).unwrap_or_default();
        shown(raw)
    }
}

/// What a key must be.
const LABEL_REMEDY: &str = "keys are one label each: letters, digits, hyphens between";

/// The path that `text` means in the file `named_in`: relative to its directory.
pub fn beside(named_in: &str, text: &str) -> PathBuf {
    Path::new(named_in).parent().unwrap_or(Path::new("")).join(text)
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
