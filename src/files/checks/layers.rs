//! Checks that are made of others: `all`, `any`, `at-least`.

use std::sync::Arc;

use super::{Check, HoldDown, Kind, Several, WrittenCheck, default};
use crate::files::document::{Table, Written};
use crate::files::issue::{At, Issue};
use crate::files::words::listed;

/// The most that one is made of.
const LAYERS_MAX: usize = 16;
/// What the checks say that it is made of, not it itself.
const OF_PROBES: [&str; 6] = ["interval", "timeout", "fall", "rise", "hold_down", "hold_down_max"];

/// How many must be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Least {
    /// Each of them.
    All,
    /// Any of them.
    One,
    /// As many as `least` says.
    Some,
}

/// What a check is made of.
#[derive(Clone, Debug)]
pub struct WrittenLayers {
    /// The keys of other checks, from the ground up.
    pub of: Vec<Written<Arc<str>>>,
    /// How many of them must be up; at least 1 and at most all.
    pub least: u8,
    /// Whether it says its port itself.
    pub has_port: bool,
    /// Where `of` stands.
    pub at: At,
}

/// Reads the rest of one.
pub(super) fn several(
    key: Written<Arc<str>>,
    mut table: Table<'_>,
    least: Least,
    port: Option<u16>,
    issues: &mut Vec<Issue>,
) -> WrittenCheck {
    let list = table.need("of", "of = [\"ping\", \"rtmp\"]", issues);
    let mut at = table.at().clone();
    let elements = list.map(|value| {
        at = value.at.clone();
        value.filled_list("\"rtmp\"", issues)
    });
    let elements = elements.unwrap_or_default();
    if elements.len() > LAYERS_MAX {
        issues.push(
            Issue::error(at.clone(), format!("`of` names {} checks", elements.len()))
                .remedy(format!("at most {LAYERS_MAX}")),
        );
    }
    let mut of: Vec<Written<Arc<str>>> = Vec::new();
    let references: Vec<_> = elements.iter().filter_map(|value| value.reference(issues)).collect();
    for reference in references {
        match of.iter().find(|known| known.value == reference.value) {
            Some(first) => {
                let issue = Issue::error(reference.at, format!("`{}` stands in `of` twice", reference.value));
                issues.push(issue.also(first.at.clone(), "first here"));
            }
            None => of.push(reference),
        }
    }
    let all = u8::try_from(of.len().min(LAYERS_MAX)).unwrap_or(u8::MAX).max(1);
    let written = match least {
        Least::Some => table.need("least", "least = 2", issues),
        Least::All | Least::One => {
            let what = "`least` is a key of checks of kind `at-least` alone";
            table.refuse("least", what, "write `kind = \"at-least\"`, or leave it out", issues);
            None
        }
    };
    let count = written.and_then(|value| value.whole(1..=i64::from(all), issues));
    let least = match least {
        Least::All => all,
        Least::One => 1,
        Least::Some => count.and_then(|count| u8::try_from(count).ok()).unwrap_or(1),
    };
    for own in OF_PROBES {
        let what = format!("`{own}` is not a key of a check that is made of others");
        let names: Vec<&str> = of.iter().map(|key| &*key.value).collect();
        let remedy = match names.is_empty() {
            true => "it belongs to the checks that `of` names".into(),
            false => format!("it belongs to {}", listed(&names, "and")),
        };
        table.refuse(own, &what, &remedy, issues);
    }
    table.finish(issues);
    let check = Check {
        key: key.value.clone(),
        // Whose they are is known when all files are read.
        kind: Kind::Several(Several { least, of: Vec::new() }),
        port: port.unwrap_or(default::HTTP_PORT),
        interval: default::INTERVAL,
        timeout: default::TIMEOUT,
        fall: default::FALL,
        rise: default::RISE,
        hold_down: HoldDown::default(),
    };
    let layers = WrittenLayers { of, least, has_port: port.is_some(), at };
    WrittenCheck { key, check, roots: None, layers: Some(layers) }
}
