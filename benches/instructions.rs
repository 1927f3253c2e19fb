//! Instructions per answer, by kind. They repeat exactly where nanoseconds do not: a change to the path of a query is
//! judged by them. With valgrind:
//!
//! ```text
//! cargo bench --bench instructions            every kind
//! cargo bench --bench instructions -- ECS     those whose label holds the word
//! cargo bench --bench instructions -- --check fails where a kind costs more than benches/instructions.txt says
//! cargo bench --bench instructions -- --renew writes that file
//! ```
//!
//! It runs itself once per kind under callgrind, which counts within [`answer`] alone, and divides. The last profile of each
//! kind stays in target/callgrind: `callgrind_annotate` shows where the instructions go.
#![allow(clippy::disallowed_methods, reason = "a bench has a disk of its own")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use steerdns::answer::worker::Reply;
use support::{Asker, KINDS, Kind, World};

/// Answers that are counted.
const ANSWERS: u64 = 20_000;
/// Tells the inner run, which callgrind watches, from the outer one.
const INNER: &str = "--of-kind";
/// How far a kind may be from what is held of it, in percent: with every change elsewhere the compiler lays code out a
/// little differently.
const SLACK_PERCENT: f64 = 3.0;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [INNER, label] => {
            run(KINDS.into_iter().find(|kind| kind.label == *label).expect("a kind of ours"));
            Ok(())
        }
        ["--check"] => check(),
        ["--renew"] => renew(),
        words => show(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("instructions: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the kinds whose labels hold all of these words.
fn show(words: &[&str]) -> Result<(), String> {
    for kind in KINDS.into_iter().filter(|kind| words.iter().all(|word| kind.label.contains(word))) {
        println!("{:<20}{:>8.1}", kind.label, per_answer(kind)?);
    }
    Ok(())
}

/// Holds every kind against the file.
fn check() -> Result<(), String> {
    let text = std::fs::read_to_string(file()).map_err(|error| format!("{}: {error}", file().display()))?;
    let (compiler, mut held) = read(&text)?;
    let (mut dearer, mut cheaper) = (Vec::new(), Vec::new());
    for kind in KINDS {
        let label = kind.label;
        let held = held.remove(label).ok_or_else(|| format!("`{label}` is not in the file: --renew"))?;
        let count = per_answer(kind)?;
        let percent = (count / held - 1.0) * 100.0;
        println!("{label:<20}{count:>8.1}{held:>8.1}{percent:>+8.1} %");
        if percent > SLACK_PERCENT {
            dearer.push(label);
        } else if percent < -SLACK_PERCENT {
            cheaper.push(label);
        }
    }
    if let Some(label) = held.keys().next() {
        return Err(format!("there is no kind `{label}` any more: --renew"));
    }
    let other = match rustc() {
        ours if ours == compiler => String::new(),
        ours => format!(" (the file is of {compiler}, this is {ours})"),
    };
    if !cheaper.is_empty() {
        println!("cheaper by more than {SLACK_PERCENT} %: {}: --renew{other}", cheaper.join("; "));
    }
    if dearer.is_empty() {
        return Ok(());
    }
    Err(format!("dearer by more than {SLACK_PERCENT} %: {}{other}", dearer.join("; ")))
}

/// Writes the file.
fn renew() -> Result<(), String> {
    let mut text =
        format!("# Instructions per answer, by `cargo bench --bench instructions -- --renew`: {}\n", rustc());
    for kind in KINDS {
        writeln!(text, "{:<20}{:>8.1}", kind.label, per_answer(kind)?).expect("a String takes all");
    }
    print!("{text}");
    std::fs::write(file(), text).map_err(|error| format!("{}: {error}", file().display()))
}

/// What is held of each kind.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

/// The compiler that the file is of, and the kinds.
fn read(text: &str) -> Result<(&str, BTreeMap<&str, f64>), String> {
    let (head, lines) = text.split_once('\n').unwrap_or_default();
    let (_, compiler) = head.rsplit_once(": ").unwrap_or_default();
    let held = lines.lines().map(|line| {
        let (label, count) = line.rsplit_once(' ')?;
        Some((label.trim_end(), count.parse().ok()?))
    });
    let held = held.collect::<Option<_>>().ok_or("a line of the file is no label and count: --renew")?;
    Ok((compiler, held))
}

/// The compiler that cargo uses: another one counts otherwise.
fn rustc() -> String {
    let told = Command::new("rustc").arg("--version").output();
    told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default()
}

/// What one answer of a kind costs.
fn per_answer(kind: Kind) -> Result<f64, String> {
    let count = watched(kind).ok_or("valgrind is needed, or what it runs failed")?;
    Ok(count as f64 / ANSWERS as f64)
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
