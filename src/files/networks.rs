//! Networks: in TOML, and in prefix files (one a line, `#` begins a comment).

use std::net::IpAddr;
use std::sync::Arc;

use super::document::{Value, Written};
use super::issue::{At, Issue, Source};
use super::words::shown;
use crate::cluster::Family;
use crate::geo::place::Prefix;

/// The longest prefixes that hold exactly for ECS: a longer one holds for a resolver's own address alone.
pub const EXACT_BITS_MAX: [(Family, u8); 2] = [(Family::V4, 24), (Family::V6, 56)];

/// Reads a prefix file.
pub fn read(source: &Arc<Source>, issues: &mut Vec<Issue>) -> Vec<Written<Prefix>> {
    let mut prefixes = Vec::new();
    let mut offset = 0;
    for line in source.text.split_inclusive('\n') {
        let body = line.split('#').next().unwrap_or_default();
        let body = if offset == 0 { body.trim_start_matches('\u{feff}') } else { body };
        let text = body.trim();
        if !text.is_empty() {
            let start = offset + line.find(text).unwrap_or(0);
            let at = At { source: source.clone(), span: start..start + text.len() };
            match Prefix::parse(text) {
                Some(prefix) => prefixes.push(Written { value: prefix, at }),
                None => issues.push(fault(text, at)),
            }
        }
        offset += line.len();
    }
    if prefixes.is_empty() {
        let at = At { source: source.clone(), span: 0..0 };
        issues
            .push(Issue::warning(at, "no prefix is in this file").remedy("one a line, e.g. `192.0.2.0/24`"));
    }
    prefixes
}

/// A prefix in TOML.
pub fn prefix(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Prefix> {
    let text = value.text(issues)?;
    let prefix = Prefix::parse(text);
    if prefix.is_none() {
        issues.push(fault(text, value.at.clone()));
    }
    prefix
}

/// Warns of prefixes longer than ECS clients are told apart by; the first stands for all of one place.
pub fn warn_of_long(prefixes: &[Written<Prefix>], issues: &mut Vec<Issue>) {
    let bits_max = |prefix: &Prefix| {
        let family = Family::of(prefix.address());
        EXACT_BITS_MAX.into_iter().find(|(of, _)| *of == family).map_or(u8::MAX, |(_, bits)| bits)
    };
    let mut long = prefixes.iter().filter(|prefix| prefix.value.bits() > bits_max(&prefix.value));
    let Some(first) = long.next() else { return };
    let bits = bits_max(&first.value);
    let more = match long.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let what = format!(
        "`{}`{more} is longer than /{bits}: with ECS its /{bits} counts as most of it does",
        first.value
    );
    issues.push(
        Issue::warning(first.at.clone(), what).remedy("it holds exactly for a resolver's own address alone"),
    );
}

/// Why a text is no prefix, and which one was probably meant.
fn fault(text: &str, at: At) -> Issue {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(ip) = address.parse::<IpAddr>() else {
        let issue = Issue::error(at, format!("`{}` is not a prefix", shown(text)));
        return issue.remedy("e.g. `192.0.2.0/24` or `2001:db8::/32`");
    };
    let max: u8 = if ip.is_ipv4() { 32 } else { 128 };
    match bits.and_then(|bits| bits.parse::<u8>().ok()).filter(|bits| *bits <= max) {
        Some(bits) => {
            let issue = Issue::error(at, format!("`{}` has bits set behind its length", shown(text)));
            issue.remedy(format!("write `{}`", Prefix::around(ip, bits)))
        }
        None => {
            let issue = Issue::error(at, format!("`{}` is not a prefix", shown(text)));
            issue.remedy(format!("its length must be 0 to {max}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { path: "telco.txt".into(), text: text.into() })
    }

    #[test]
    fn a_prefix_file_has_one_a_line_with_comments() {
        let mut issues = Vec::new();
        let text = "\u{feff}# ours\n192.0.2.0/24 # core\r\n\n  2001:db8::/32\n198.51.100.7";
        let prefixes: Vec<String> =
            read(&source(text), &mut issues).iter().map(|prefix| prefix.value.to_string()).collect();
        assert_eq!(prefixes, ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"]);
        assert!(issues.is_empty());
    }

    #[test]
    fn every_bad_line_is_told() {
        let mut issues = Vec::new();
        read(&source("192.0.2.1/24\nx\n192.0.2.0/33\n"), &mut issues);
        let remedies: Vec<_> = issues.iter().map(|issue| issue.remedy.as_deref().unwrap()).collect();
        assert_eq!(
            remedies,
            [
                "write `192.0.2.0/24`",
                "e.g. `192.0.2.0/24` or `2001:db8::/32`",
                "its length must be 0 to 32",
                "one a line, e.g. `192.0.2.0/24`"
            ]
        );
    }
}
