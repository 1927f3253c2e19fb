//! What fuzzing begins with, and what it has found, as plain tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test may")]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a library of its own, too")]
mod fuzz;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Every input of a target, with a name for it.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = fuzz::seeds(target).into_iter().zip(0..).map(|(octets, at)| (format!("seed {at}"), octets));
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/found").join(target);
    let found = fs::read_dir(found).into_iter().flatten().map(|entry| {
        let path = entry.unwrap().path();
        (path.display().to_string(), fs::read(&path).unwrap())
    });
    seeds.chain(found).collect()
}

#[test]
fn seeds_and_findings_hold() {
    for (target, run) in fuzz::TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty());
        for (name, octets) in inputs {
            let held = catch_unwind(AssertUnwindSafe(|| run(&octets)));
            assert!(held.is_ok(), "{target}: {name}");
        }
    }
}

/// Cut anywhere, and with any octet set to another: what a fuzzer does first.
#[test]
fn seeds_that_are_cut_or_bent_hold() {
    for (target, run) in fuzz::TARGETS {
        for (octets, number) in fuzz::seeds(target).into_iter().zip(0..) {
            // Files take their time; packets are asked at every octet.
            let step = (octets.len() * if target == "respond" { 1 } else { 20 } / 400).max(1);
            for at in (0..octets.len()).step_by(step) {
                let mut bent = octets.clone();
                bent[at] = bent[at].wrapping_add(at as u8 | 1);
                for input in [&octets[..at], &bent] {
                    let held = catch_unwind(AssertUnwindSafe(|| run(input)));
                    assert!(held.is_ok(), "{target}: seed {number} at {at}");
                }
            }
        }
    }
}
