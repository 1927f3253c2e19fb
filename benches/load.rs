//! What a load takes: seconds and memory of the embedded country table, of a City database (`STEERDNS_CITY_DB=<file>`), of the same when
//! rules alone have changed, and of 100,000 static names. `cargo bench --bench load [rounds]`; memory on Linux alone.
//!
//! Each round of each kind is a process of its own, so that what one load leaves behind is not the next one's.

#![allow(clippy::disallowed_methods, reason = "a bench reads what the kernel says of it")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use steerdns::load::{Loaded, Took, load_kept};
use support::{city, loaded};
use tempfile::TempDir;

const ROUNDS: usize = 5;
/// Static names of the last kind.
const NAMES: usize = 100_000;
/// Tells the inner run from the outer one.
const INNER: &str = "--of-kind";
const EMBEDDED: &str = "embedded table";
const CITY: &str = "City database";
/// A server's load: places are kept, and maps of other rules.
const RULES: &str = "City database, rules changed";
const MANY: &str = "100,000 names";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, kind, directory @ ..] = args.as_slice()
        && flag == INNER
    {
        run(kind, directory.first().map(Path::new));
        return ExitCode::SUCCESS;
    }
    let rounds = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(ROUNDS);
    println!(
        "median of {rounds} rounds: seconds of reading, locating, compiling; MB resident after, and at the peak"
    );
    for kind in [EMBEDDED, CITY, RULES, MANY] {
        if [CITY, RULES].contains(&kind) && city().is_none() {
            println!("{kind}: left out, {} names none", support::CITY_DB);
            continue;
        }
        let kept = (kind == RULES).then(|| city().map(|database| kept(&database))).flatten();
        let directory = kept.as_ref().map(TempDir::path);
        let runs = (0..rounds).map(|_| inner(kind, directory));
        let Some(mut runs) = runs.collect::<Option<Vec<_>>>() else {
            eprintln!("load: a run failed");
            return ExitCode::FAILURE;
        };
        let mut median = |column: usize| {
            runs.sort_by(|a, b| a.0[column].total_cmp(&b.0[column]));
            runs[rounds / 2].0[column]
        };
        let row: Vec<String> = (0..5).map(|column| format!("{:8.3}", median(column))).collect();
        println!("{kind:<28}{}   {}", row.join(""), runs[0].1);
    }
    ExitCode::SUCCESS
}

/// The example's files with this database; what a load of them keeps is there, and a rule says something else since.
fn kept(database: &Path) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("steerdns.toml");
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("it is written");
    for name in ["zones", "geoip"] {
        fs::create_dir(directory.path().join(name)).expect("a directory");
    }
    write(
        "steerdns.toml",
        &format!(
            "listen = ['127.0.0.1:5300']\n[geoip]\ndatabases = [{:?}]\n",
            fs::canonicalize(database).expect("it is there")
        ),
    );
    let clusters = include_str!("../zones/clusters.toml");
    write("zones/clusters.toml", clusters);
    write("zones/live.example.com.toml", include_str!("../zones/live.example.com.toml"));
    write("zones/live.example.com.zone", include_str!("../zones/live.example.com.zone"));
    write("geoip/rtt.csv", include_str!("../geoip/rtt.csv"));
    let upkeep = load_kept(&config, None, &Arc::default()).loaded.expect("the example is in order").upkeep;
    upkeep.expect("a server's load").run().expect("it is kept");
    let changed = clusters.replace("prefer = [\"jkt\", \"sin\"]", "prefer = [\"sin\", \"jkt\"]");
    assert_ne!(changed, clusters, "the example has such a rule");
    write("zones/clusters.toml", &changed);
    directory
}

/// A run's numbers, and what it says of the maps.
fn inner(kind: &str, directory: Option<&Path>) -> Option<(Vec<f64>, String)> {
    let mut run = Command::new(std::env::current_exe().ok()?);
    let run = run.args([INNER, kind]).args(directory).output().ok()?;
    let text = String::from_utf8(run.stdout).ok()?;
    let (numbers, maps) = text.trim_end().split_once(';')?;
    let numbers: Vec<f64> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    Some((numbers, maps.to_string()))
}

fn run(kind: &str, directory: Option<&Path>) {
    let database = if kind == CITY { city() } else { None };
    let names = if kind == MANY { NAMES } else { 0 };
    let loaded = match directory {
        Some(directory) => {
            let config = directory.join("steerdns.toml");
            load_kept(&config, None, &Arc::default()).loaded.expect("the example is in order")
        }
        None => loaded(names, database.as_deref()),
    };
    let Loaded { plan, geography, took, .. } = loaded;
    if kind == RULES {
        assert!(geography.databases.is_empty(), "places were kept, and no database was read");
    }
    drop(geography); // as `serve` does
    let Took { reading, geography, compiling } = took;
    let seconds = [reading, geography, compiling].map(|took| took.as_secs_f64());
    let (resident, peak) = (status_mb("VmRSS:"), status_mb("VmHWM:"));
    let maps: Vec<String> = plan
        .maps
        .iter()
        .map(|map| {
            let (mapped, mb) = (&map.mapped, map.mapped.bytes() as f64 / 1e6);
            let (v4, v6) = (mapped.v4.tile_count(), mapped.v6.tile_count());
            format!("{} lists, {v4} + {v6} tiles, {mb:.1} MB", mapped.lists.len())
        })
        .collect();
    let zones = plan.zones.bytes() as f64 / 1e6;
    println!(
        "{} {} {} {resident} {peak};maps: {}; {} names, {zones:.1} MB",
        seconds[0],
        seconds[1],
        seconds[2],
        maps.join("; "),
        plan.zones.name_count(),
    );
}

/// What the kernel says of this process's memory, in MB; 0 where it says nothing.
fn status_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}
