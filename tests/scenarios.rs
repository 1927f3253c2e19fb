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

/// A test that cannot fail is a defect: a scenario that is wrong is told so, with the whole of both sides.
#[test]
fn a_wrong_expectation_is_shown_with_the_whole_answer() {
    let wrong = "with small\nload zones/\n# No\nask mail.live.example.com A ecs 20.1.0.0/16\n    NOERROR aa scope 1\n    mail.live.example.com. 3600 A 192.0.2.25\n";
    let played = play(wrong, &directory().join("worlds")).unwrap();
    let shown = played.differing[0].to_string();
    let expected = "line 4: ask mail.live.example.com A ecs 20.1.0.0/16\n  expected\n      NOERROR aa scope 1\n      mail.live.example.com. 3600 A 192.0.2.25\n  answered\n      NOERROR aa scope 0\n      mail.live.example.com. 3600 A 192.0.2.25\n";
    assert_eq!(shown, expected);
    assert_eq!(played.renewed, wrong.replace("scope 1", "scope 0"));
}

#[test]
fn a_record_too_many_too_few_or_twice_is_no_agreement() {
    let play = |lines: &str| {
        let text = format!(
            "with small\nload zones/\nask play.live.example.com A ecs 20.2.1.0/24\n    NOERROR aa scope 16\n{lines}"
        );
        play(&text, &directory().join("worlds")).unwrap().differing.is_empty()
    };
    let a = |last: u8| format!("    play.live.example.com. 20 A 198.51.100.{last}\n");
    assert!(play(&(a(21) + &a(22))) && play(&(a(22) + &a(21))));
    assert!(play("    play.live.example.com. 20 A 2 of 198.51.100.21 198.51.100.22 198.51.100.23\n"));
    assert!(!play(&a(21)) && !play(&(a(21) + &a(21))) && !play(&(a(21) + &a(22) + &a(23))) && !play(""));
    assert!(!play("    play.live.example.com. 20 A 1 of 198.51.100.21 198.51.100.22\n"));
}

#[test]
fn what_makes_no_sense_is_told_with_its_line() {
    let wrong = |text: &str| play(text, &directory().join("worlds")).unwrap_err();
    assert_eq!(wrong("\nbreak fra\n"), "line 2: `break fra`: no such thing can be said here");
    assert_eq!(
        wrong("with small\nload zones/\ndown fra/fra-9\n"),
        "line 3: `down fra/fra-9`: `fra/fra-9` is no target"
    );
    assert!(
        wrong("with small\nappend zones/clusters.toml\n    [cluster.x]\nload zones/\n").contains("place")
    );
}
