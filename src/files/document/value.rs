//! One value of a TOML document: its type, its range, and what is said where it is another.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::table::Table;
use super::{Document, Written, beside};
use crate::files::duration;
use crate::files::issue::{At, Issue};
use crate::files::words::{key_fault, listed, nearest, shown};

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
    pub(super) fn new(
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

    /// Whether it is `true` or `false`.
    pub fn is_flag(&self) -> bool {
        self.value.is_bool()
    }

    /// Whether it is an integer or a fraction.
    pub fn is_number(&self) -> bool {
        self.value.is_integer() || self.value.is_float()
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
