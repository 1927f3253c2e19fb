//! Instructions per answer, by kind. They repeat exactly where nanoseconds do not: a change to the path of a query is
//! judged by them. With valgrind:
//!
//! ```text
//! cargo bench --bench instructions            every kind
//! cargo bench --bench instructions -- ECS     those whose label holds the word
//! ```
//!
//! It runs itself once per kind under callgrind, which counts within [`answer`] alone, and divides. The last profile of each
//! kind stays in target/callgrind: `callgrind_annotate` shows where the instructions go.

mod support;

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use steerdns::answer::worker::Reply;
use support::{Asker, KINDS, Kind, World};

/// Answers that are counted.
const ANSWERS: u64 = 20_000;
/// Tells the inner run, which callgrind watches, from the outer one.
const INNER: &str = "--of-kind";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.as_slice() {
        [flag, label] if flag == INNER => {
            run(KINDS.into_iter().find(|kind| kind.label == label).expect("a kind of ours"));
            ExitCode::SUCCESS
        }
        words => {
            let asked = |kind: &Kind| words.iter().all(|word| kind.label.contains(word));
            for kind in KINDS.into_iter().filter(asked) {
                let Some(count) = watched(kind) else {
                    eprintln!("instructions: valgrind is needed, or what it runs failed");
                    return ExitCode::FAILURE;
                };
                println!("{:<20}{:>8.1}", kind.label, count as f64 / ANSWERS as f64);
            }
            ExitCode::SUCCESS
        }
    }
}

/// Instructions that callgrind counts of a kind's run.
fn watched(kind: Kind) -> Option<u64> {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/callgrind");
    std::fs::create_dir_all(&out).ok()?;
    let out = out.join(kind.label.replace([' ', ','], "_"));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*instructions::answer*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().ok()?)
        .args([INNER, kind.label])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    if !run.status.success() {
        return None;
    }
    // `==123== Collected : 4660000`
    let line = text.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn run(kind: Kind) {
    let world = World::new();
    let mut asker = Asker::new(&world, kind);
    for _ in 0..ANSWERS {
        asker.prepare();
        black_box(answer(&mut asker));
    }
}

/// What is counted.
#[inline(never)]
fn answer(asker: &mut Asker<'_>) -> Reply {
    asker.answer()
}
