//! Issues as people and programs read them: as rustc shows its own, one a line, or JSON.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::issue::{At, Issue, Severity, Source};
use super::lines::{Lines, Position};
use super::rdata;
use super::words::counted;
use crate::zone::record::Record;

/// So many issues are shown: a file with more of them has one cause.
pub const SHOWN_MAX: usize = 1000;
/// A line is cut so many octets behind the place that is meant.
const BEHIND_OCTETS_MAX: usize = 120;

/// How issues are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// With the lines of the files, as rustc does.
    #[default]
    Full,
    /// The same in colour.
    Coloured,
    /// One a line: `path:line:column: error: sentence (remedy)`.
    Short,
    /// One JSON object a line.
    Json,
}

/// The issues in the given form, sorted by file and place, at most [`SHOWN_MAX`]; each ends with a newline.
pub fn issues(issues: &[Issue], format: Format) -> String {
    let mut places = Places::default();
    let mut out = String::new();
    let sorted = sorted(issues);
    for issue in sorted.iter().take(SHOWN_MAX) {
        match format {
            Format::Full => full(issue, &mut places, &Renderer::plain(), &mut out),
            Format::Coloured => full(issue, &mut places, &Renderer::styled(), &mut out),
            Format::Short => short(issue, &mut places, &mut out),
            Format::Json => json(issue, &mut places, &mut out),
        }
    }
    if format != Format::Json && sorted.len() > SHOWN_MAX {
        writeln!(out, "and {} more", sorted.len() - SHOWN_MAX).expect("a String takes all");
    }
    out
}

/// How a record's type and its RDATA are written in master files.
pub fn record(record: &Record) -> (String, String) {
    (rdata::mnemonic(record.rtype), rdata::written(record.rtype, &record.rdata))
}

/// How many there are of each kind: `3 errors, 1 warning`; empty where there are none.
pub fn counts(issues: &[Issue]) -> String {
    let of = |severity| issues.iter().filter(|issue| issue.severity == severity).count();
    let counted = [(of(Severity::Error), "error"), (of(Severity::Warning), "warning")];
    let some = counted.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, noun)| self::counted(count, noun)).collect::<Vec<_>>().join(", ")
}

/// By file, then by place; issues without a place come first. The same issue twice is one.
fn sorted(issues: &[Issue]) -> Vec<&Issue> {
    fn key(issue: &Issue) -> (Option<(&str, usize)>, &str, Option<&str>) {
        let place = issue.at.as_ref().map(|at| (&*at.source.path, at.span.start));
        (place, &issue.what, issue.remedy.as_deref())
    }
    let mut sorted: Vec<&Issue> = issues.iter().collect();
    sorted.sort_by(|a, b| key(a).cmp(&key(b)));
    sorted.dedup_by(|a, b| key(a) == key(b));
    sorted
}

/// Looks up lines and columns; the lines of a file are found once.
#[derive(Default)]
struct Places<'i> {
    lines: HashMap<*const Source, Lines<'i>>,
}

impl<'i> Places<'i> {
    fn lines(&mut self, source: &'i Arc<Source>) -> &Lines<'i> {
        self.lines.entry(Arc::as_ptr(source)).or_insert_with(|| Lines::new(&source.text))
    }

    fn start(&mut self, at: &'i At) -> Position {
        self.lines(&at.source).position(at.span.start)
    }

    fn end(&mut self, at: &'i At) -> Position {
        self.lines(&at.source).position(at.span.end.max(at.span.start))
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn short<'i>(issue: &'i Issue, places: &mut Places<'i>, out: &mut String) {
    if let Some(at) = &issue.at {
        let Position { line, column } = places.start(at);
        write!(out, "{}:{line}:{column}: ", at.source.path).expect("a String takes all");
    }
    write!(out, "{}: {}", word(issue.severity), issue.what).expect("a String takes all");
    if let Some(remedy) = &issue.remedy {
        write!(out, " ({remedy})").expect("a String takes all");
    }
    out.push('\n');
}

/// An issue as a JSON object.
#[derive(Serialize)]
struct Object<'i> {
    severity: &'static str,
    #[serde(flatten)]
    span: Option<Span<'i>>,
    message: &'i str,
    help: Option<&'i str>,
    also: Option<Also<'i>>,
}

#[derive(Serialize)]
struct Also<'i> {
    #[serde(flatten)]
    span: Span<'i>,
    message: &'i str,
}

#[derive(Serialize)]
struct Span<'i> {
    file: &'i str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

fn json<'i>(issue: &'i Issue, places: &mut Places<'i>, out: &mut String) {
    let mut span = |at: &'i At| {
        let (start, end) = (places.start(at), places.end(at));
        Span {
            file: &at.source.path,
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        }
    };
    let object = Object {
        severity: word(issue.severity),
        span: issue.at.as_ref().map(&mut span),
        message: &issue.what,
        help: issue.remedy.as_deref(),
        also: issue.also.as_ref().map(|(at, what)| Also { span: span(at), message: what }),
    };
    out.push_str(&serde_json::to_string(&object).expect("strings and numbers are JSON"));
    out.push('\n');
}

fn full<'i>(issue: &'i Issue, places: &mut Places<'i>, renderer: &Renderer, out: &mut String) {
    let level = match issue.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(issue.what.as_str()));
    if let Some(at) = &issue.at {
        group = with_place(group, at, None, AnnotationKind::Primary, places);
    }
    if let Some((at, what)) = &issue.also {
        group = with_place(group, at, Some(what), AnnotationKind::Context, places);
    }
    if let Some(remedy) = &issue.remedy {
        group = group.element(Level::HELP.message(remedy.as_str()));
    }
    out.push_str(&renderer.render(&[group]));
    out.push_str("\n\n");
}

/// Adds the line of a place, with what is meant marked.
fn with_place<'i>(
    group: Group<'i>,
    at: &'i At,
    label: Option<&'i str>,
    kind: AnnotationKind,
    places: &mut Places<'i>,
) -> Group<'i> {
    let lines = places.lines(&at.source);
    let index = lines.index(at.span.start);
    let start = at.span.start - lines.start(index);
    let (text, marked) = excerpt(lines.line(index), start, at.span.len());
    let mark = kind.span(marked).label(label);
    group.element(Snippet::source(text).path(&*at.source.path).line_start(index + 1).annotation(mark))
}

/// A line as it is shown, and the place in it: what reaches beyond the line is cut off.
fn excerpt(line: &str, start: usize, len: usize) -> (&str, Range<usize>) {
    let floor = |mut offset: usize| {
        offset = offset.min(line.len());
        while !line.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let mark = if line.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let start = floor(start).max(mark);
    let end = floor(start.saturating_add(len)).max(start).min(floor(start + 2 * BEHIND_OCTETS_MAX));
    (&line[mark..floor(end + BEHIND_OCTETS_MAX)], start - mark..end - mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str, span: Range<usize>) -> At {
        At { source: Arc::new(Source { path: "a.toml".into(), text: text.into() }), span }
    }

    #[test]
    fn an_issue_is_shown_in_its_line() {
        let text = "a = 1\nbé = 22\n";
        let issue = Issue::error(at(text, 12..14), "`b` must be 1 to 9, is `22`").remedy("less");
        let issue = issue.also(at(text, 4..5), "as here");
        let shown = issues(&[issue], Format::Full);
        let wanted = "\
error: `b` must be 1 to 9, is `22`
 --> a.toml:2:6
  |
2 | bé = 22
  |      ^^
  |
 ::: a.toml:1:5
  |
1 | a = 1
  |     - as here
  |
  = help: less

";
        assert_eq!(shown, wanted, "\n{shown}");
    }

    #[test]
    fn the_short_form_is_one_line_and_json_is_one_object() {
        let text = "a = 1\n";
        let issue = Issue::warning(at(text, 4..5), "odd").remedy("even");
        let nowhere = Issue::error(at("", 0..0), "cannot read `b.toml`");
        let nowhere = Issue { at: None, ..nowhere };
        let both = [issue, nowhere];
        assert_eq!(
            issues(&both, Format::Short),
            "error: cannot read `b.toml`\na.toml:1:5: warning: odd (even)\n"
        );
        let json = issues(&both, Format::Json);
        assert_eq!(
            json.lines().last().unwrap(),
            r#"{"severity":"warning","file":"a.toml","line":1,"column":5,"end_line":1,"end_column":6,"message":"odd","help":"even","also":null}"#
        );
        assert_eq!(counts(&both), "1 error, 1 warning");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}X{}", "é".repeat(500_000), "é".repeat(500_000));
        let issue = Issue::error(at(&line, 1_000_000..1_000_001), "odd");
        let shown = issues(&[issue], Format::Full);
        assert!(shown.contains("a.toml:1:500001") && shown.contains('X'), "{shown}");
        assert!(shown.len() < 1000, "{}", shown.len());
    }

    #[test]
    fn no_more_are_shown_than_anybody_reads() {
        let at = at(&"x".repeat(2000), 0..0);
        let issue = |place| Issue::error(At { span: place..place + 1, ..at.clone() }, "odd");
        let many: Vec<Issue> = (0..2000).map(issue).collect();
        let shown = issues(&many, Format::Short);
        assert_eq!(shown.lines().count(), SHOWN_MAX + 1);
        assert!(shown.ends_with("\nand 1000 more\n"));
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        let issue = Issue::error(at("\u{feff}ab", 4..5), "odd");
        let shown = issues(std::slice::from_ref(&issue), Format::Full);
        assert!(shown.contains("a.toml:1:2"), "{shown}");
        assert_eq!(issues(&[issue], Format::Short), "a.toml:1:2: error: odd\n");
    }

    proptest! {
        // Showing never panics, whatever the text and the span; lines and columns are within the text.
        #[test]
        fn showing_never_panics(text in "(\u{feff}|[a\té\r\n\u{1F600}e\u{301}=\"]|\\PC){0,60}", start in 0usize..80, len in 0usize..80) {
            let issue = Issue::error(at(&text, start..start + len), "x").also(at(&text, len..start.max(len)), "y");
            for format in [Format::Full, Format::Coloured, Format::Short, Format::Json] {
                let shown = issues(std::slice::from_ref(&issue), format);
                prop_assert!(shown.ends_with('\n'));
            }
        }
    }
}
