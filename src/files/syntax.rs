//! Mistakes of TOML syntax, in an operator's words.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue, Error};

use super::issue::{At, Issue, Source};
use super::lines::Lines;
use super::words::shown;

/// So many mistakes of syntax are told of one file: behind them stands no TOML at all.
const SYNTAX_ISSUES_MAX: usize = 20;

/// What the parser says of a key or table that is written again.
const DUPLICATE: &str = "duplicate key";

/// Mistakes of syntax, and the lines that hold one.
pub struct Syntax {
    /// The first mistake of each line, in the order of the file.
    pub issues: Vec<Issue>,
    /// The indices of the lines that were not understood, in order.
    lines: Vec<usize>,
}

impl Syntax {
    /// The parser's errors in an operator's words.
    pub fn new(source: &Arc<Source>, lines: &Lines<'_>, root: &DeTable<'_>, errors: &[Error]) -> Syntax {
        let mut sorted: Vec<(usize, &Error)> =
            errors.iter().map(|error| (lines.index(start(error)), error)).collect();
        sorted.sort_by_key(|(_, error)| start(error));
        // The parser stumbles on behind a mistake: the first of a line is the one to mend.
        sorted.dedup_by_key(|(line, _)| *line);
        drop_repeated_tables(&mut sorted, lines);
        let told = sorted.iter().take(SYNTAX_ISSUES_MAX);
        let mut issues: Vec<Issue> = told.map(|(_, error)| issue(source, lines, root, error)).collect();
        if let Some((_, error)) = sorted.get(SYNTAX_ISSUES_MAX) {
            let at = At { source: source.clone(), span: start(error)..start(error) };
            issues.push(Issue::error(at, "more mistakes of syntax follow").remedy("is this a TOML file?"));
        }
        Syntax { issues, lines: sorted.into_iter().map(|(line, _)| line).collect() }
    }

    /// Whether the line of this index holds a mistake.
    pub fn tears(&self, line: usize) -> bool {
        self.lines.binary_search(&line).is_ok()
    }
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn issue(source: &Arc<Source>, lines: &Lines<'_>, root: &DeTable<'_>, error: &Error) -> Issue {
    let span = error.span().unwrap_or(0..0);
    let at = At { source: source.clone(), span: span.clone() };
    let text = source.text.get(span.clone()).unwrap_or_default();
    if error.message() == DUPLICATE {
        let issue = Issue::error(at, format!("`{}` is written twice", shown(text)));
        return match first(source, lines, root, text, span.start) {
            Some(first) => issue.also(At { source: source.clone(), span: first }, "first written here"),
            None => issue,
        };
    }
    let message = error.message();
    let unquoted = message.starts_with("string values must be quoted");
    let message = match (unquoted, text.trim()) {
        (true, "") => "a value is missing",
        (true, _) => "a string stands in quotes",
        (false, _) => message,
    };
    let issue = Issue::error(at, format!("this is not TOML: {}", message.replace('\n', " ")));
    match message {
        _ if unquoted && text.trim().is_empty() => issue,
        _ if unquoted && text.split_whitespace().all(|word| word.parse::<f64>().is_ok()) => {
            issue.remedy("between the elements of a list stands a comma")
        }
        _ if unquoted => issue.remedy(format!("write `\"{}\"`", shown(text.trim()))),
        m if m.starts_with("invalid unquoted key") => {
            issue.remedy("a key with other characters than letters, digits, `-` and `_` stands in quotes")
        }
        _ => issue,
    }
}

/// Keeps of a table that is written again only its header: its keys are all written again, too.
fn drop_repeated_tables(errors: &mut Vec<(usize, &Error)>, lines: &Lines<'_>) {
    let mut repeated = 0..0;
    errors.retain(|(line, error)| {
        if error.message() != DUPLICATE || repeated.contains(line) {
            return error.message() != DUPLICATE;
        }
        if lines.line(*line).starts_with('[') {
            let end = (line + 1..lines.count()).find(|next| lines.line(*next).trim_start().starts_with('['));
            repeated = line + 1..end.unwrap_or(lines.count());
        }
        true
    });
}

/// Where the key or header that is written again at `again` was written first.
fn first(
    source: &Source,
    lines: &Lines<'_>,
    root: &DeTable<'_>,
    key: &str,
    again: usize,
) -> Option<Range<usize>> {
    let index = lines.index(again);
    let header = lines.line(index).trim_end();
    if header.starts_with('[') {
        let same = (0..index).find(|earlier| lines.line(*earlier).trim_end() == header)?;
        let at = lines.start(same) + (again - lines.start(index));
        return Some(at..at + key.len());
    }
    let mut nearest = None;
    visit(root, &mut |span| {
        let same = source.text.get(span.clone()) == Some(key) && span.start < again;
        if same && nearest.as_ref().is_none_or(|near: &Range<usize>| near.start < span.start) {
            nearest = Some(span);
        }
    });
    nearest
}

/// Shows the span of every key of a table and of those within it.
fn visit(table: &DeTable<'_>, see: &mut impl FnMut(Range<usize>)) {
    for (key, value) in table {
        see(key.span());
        visit_value(value.get_ref(), see);
    }
}

fn visit_value(value: &DeValue<'_>, see: &mut impl FnMut(Range<usize>)) {
    match value {
        DeValue::Table(table) => visit(table, see),
        DeValue::Array(list) => list.iter().for_each(|element| visit_value(element.get_ref(), see)),
        _ => {}
    }
}
