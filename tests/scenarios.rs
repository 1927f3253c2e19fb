//! The specification that runs: tests/scenarios/*.txt, in an operator's words (support/scenario.rs says which).
//!
//! `STEERDNS_SCENARIOS=renew cargo test --test scenarios` writes the answers that are given into the files: to be read,
//! line by line, before they are committed.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(
    clippy::disallowed_methods,
    reason = "scenarios are read from the disk, and virtual time begins somewhere"
)]

mod support;

use std::path::{Path, PathBuf};

use support::scenario::play;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

#[test]
fn every_scenario_holds() {
    let renew = std::env::var("STEERDNS_SCENARIOS").as_deref() == Ok("renew");
    let entries = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    paths.sort();
    let only = std::env::var("STEERDNS_SCENARIO").ok();
    paths.retain(|path| only.as_deref().is_none_or(|only| path.to_string_lossy().contains(only)));
    let (mut asked, mut report) = (0, String::new());
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        match play(&text, &directory().join("worlds")) {
            Err(wrong) => report += &format!("{name} {wrong}\n"),
            Ok(played) => {
                asked += played.asked;
                for differs in &played.differing {
                    report += &format!("{name} {differs}");
                }
                if renew && !played.differing.is_empty() {
                    std::fs::write(&path, played.renewed).unwrap();
                }
            }
        }
    }
    println!("{asked} questions asked");
    assert!(report.is_empty(), "\n{report}");
}
