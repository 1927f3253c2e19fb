//! What an exec check says: the command, and which of its figures is the load.

use super::default;
use crate::files::document::{Table, Value};
use crate::files::issue::Issue;
use crate::files::words::{listed, nearest, shown};
use crate::health::check::{Exec, VARIABLES};

/// Words of a command, at most: as many as anybody writes by hand.
const WORDS_MAX: usize = 64;

pub(super) fn exec(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Exec {
    let example = "command = [\"/usr/lib/nagios/plugins/check_tcp\", \"-H\", \"${TARGET}\"]";
    let command = table.need("command", example, issues);
    let command = command.map(|value| command_of(&value, issues)).unwrap_or_default();
    let load = table.take("load").and_then(|value| value.filled(issues));
    let unknown = table.take("unknown");
    let unknown = unknown.and_then(|value| value.word(&[("stands", false), ("fails", true)], issues));
    Exec { command, load: load.unwrap_or(default::LOAD).into(), unknown_fails: unknown.unwrap_or(false) }
}

fn command_of(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<String> {
    let words = value.filled_list("\"/usr/local/bin/probe\"", issues);
    if words.len() > WORDS_MAX {
        issues.push(Issue::error(value.at.clone(), "`command` has more than 64 words"));
    }
    let words = words.iter().enumerate().take(WORDS_MAX);
    words
        .filter_map(|(at, word)| if at == 0 { program(word, issues) } else { argument(word, issues) })
        .collect()
}

/// What runs: one program, wherever we were started, and whatever PATH says.
fn program(word: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = word.filled(issues)?;
    if text.starts_with('/') && !text.ends_with('/') {
        return Some(text.into());
    }
    let remedy = match text.contains(' ') {
        true => "one word each: `[\"/bin/sh\", \"-c\", \"…\"]`",
        false => "write where it is, from `/` on",
    };
    issues.push(word.unfit("a program by its absolute path").remedy(remedy));
    None
}

/// An argument, in which `${NAME}` stands for what is known of the target.
fn argument(word: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = word.text(issues)?;
    for part in text.split("${").skip(1) {
        let name = part.split('}').next().unwrap_or_default();
        if !VARIABLES.contains(&name) {
            let what = format!("`${{{}}}` is not known", shown(name));
            let remedy = match nearest(name, VARIABLES) {
                Some(meant) => format!("there is `${{{meant}}}`"),
                None => format!("there is {}", listed(&VARIABLES.map(|name| format!("${{{name}}}")), "and")),
            };
            issues.push(Issue::error(word.at.clone(), what).remedy(remedy));
            return None;
        }
    }
    if let Some(name) = VARIABLES.iter().find(|name| text.strip_prefix('$') == Some(**name)) {
        let issue = Issue::error(word.at.clone(), format!("no shell replaces `${name}`"));
        issues.push(issue.remedy(format!("write `${{{name}}}`")));
        return None;
    }
    Some(text.into())
}
