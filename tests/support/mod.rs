//! What the tests share: a world made of texts, and questions to it without sockets.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test binary uses its own part.

pub mod ask;
pub mod dice;
pub mod git;
pub mod hook;
pub mod message;
pub mod peers;
pub mod post_office;
pub mod questions;
pub mod scenario;
pub mod served;
pub mod world;

use std::sync::Arc;

use steerdns::files::issue::{Issue, Severity, Source};
use steerdns::files::zone;
use steerdns::plan::parts::ZonePart;
use steerdns::plan::served::Secondaries;
use steerdns::wire::name::Name;

/// A zone without services, from the text of its master file; panics on errors.
pub fn zone(origin: &str, text: &str) -> ZonePart {
    let source = Arc::new(Source { path: format!("{origin}zone").into(), text: text.into() });
    let origin = Name::parse(origin, None).unwrap();
    let mut issues: Vec<Issue> = Vec::new();
    let file = zone::read(&source, &origin, &mut |_, _| Err("no includes here".into()), &mut issues);
    let errors: Vec<_> = issues.iter().filter(|issue| issue.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    ZonePart { origin, records: file.records, services: Vec::new(), secondaries: Secondaries::default() }
}
