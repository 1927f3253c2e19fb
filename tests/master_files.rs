//! Master files, as operators write them and as they get them wrong.

use std::sync::Arc;

use steerdns::files::issue::{Issue, Source};
use steerdns::files::zone::{self, ZoneFile};
use steerdns::wire::name::Name;

fn read(text: &str) -> (ZoneFile, Vec<Issue>) {
    let source = Arc::new(Source { path: "a.zone".into(), text: text.to_string() });
    let origin = Name::parse("example.com.", None).unwrap();
    let mut issues = Vec::new();
    let zone = zone::read(&source, &origin, &mut |_, _| Err("no".to_string()), &mut issues);
    (zone, issues)
}

#[test]
fn all_types() {
    let (zone, issues) = read(include_str!("data/zones/types.zone"));
    for issue in &issues {
        eprintln!(
            "{:?} {} {:?}",
            issue.at.as_ref().map(|at| &at.source.text[at.span.clone()]),
            issue.what,
            issue.remedy
        );
    }
    eprintln!("{}", zone.records.len());
    assert!(issues.is_empty());
}
