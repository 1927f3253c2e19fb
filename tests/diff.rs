//! What a change does to people, as `steerdns diff` tells it: by git, by directories; and held against what both worlds really answer.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads, writes, and may")]

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::Value;
use steerdns::files::show;
use steerdns::geo::places::Places;
use steerdns::impact::change::{Change, Side};
use steerdns::load::{disk, load_from};
use steerdns::plan::Plan;
use steerdns::snapshot::Snapshot;
use steerdns::wire::edns::Subnet;
use support::dice::Dice;
use tempfile::TempDir;

/// The example in a directory of its own.
fn example() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["zones", "geoip"] {
        fs::create_dir(directory.path().join(part)).unwrap();
    }
    let files = [
        "steerdns.toml",
        "geoip/rtt.csv",
        "zones/clusters.toml",
        "zones/live.example.com.toml",
        "zones/live.example.com.zone",
    ];
    for file in files {
        fs::copy(root.join(file), directory.path().join(file)).unwrap();
    }
    directory
}

fn edit(directory: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(directory.join(file)).unwrap();
    assert!(text.contains(from), "{file} has no `{from}`");
    fs::write(directory.join(file), text.replace(from, to)).unwrap();
}

fn git(directory: &Path, words: &[&str]) {
    let identity =
        ["-c", "user.name=Operator", "-c", "user.email=operator@example.com", "-c", "commit.gpgsign=false"];
    let run = Command::new("git").arg("-C").arg(directory).args(identity).args(words).output().unwrap();
    assert!(run.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&run.stderr));
}

/// The example, committed.
fn repository() -> TempDir {
    let directory = example();
    git(directory.path(), &["init", "--quiet"]);
    git(directory.path(), &["add", "."]);
    git(directory.path(), &["commit", "--quiet", "-m", "as it was"]);
    directory
}

fn diff(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_steerdns"))
        .current_dir(directory)
        .arg("diff")
        .args(words)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const CLUSTERS: &str = "zones/clusters.toml";
const ZONE: &str = "zones/live.example.com.zone";
const SERVICES: &str = "zones/live.example.com.toml";

#[test]
fn an_edit_is_held_against_the_last_commit() {
    let home = repository();
    let at = home.path();
    assert_eq!(text(&diff(at, &[])), "nobody changes the cluster\n");
    // Jakarta is taken out, a name server moves, a service's answers may be kept for longer.
    edit(
        at,
        CLUSTERS,
        "[cluster.jkt]                # Jakarta\n",
        "[cluster.jkt]\noverride = { verdict = \"down\", why = \"moving\" }\n",
    );
    edit(at, ZONE, "ns1       A      192.0.2.53", "ns1       A      192.0.2.54\nnew A 192.0.2.99");
    edit(at, SERVICES, "ttl = \"20s\"                 # how", "ttl = \"30s\"   # how");
    let run = diff(at, &[]);
    let told = text(&run);
    assert!(run.status.success());
    let lines = [
        "ingest.live.example.com. play.live.example.com. A and AAAA (policy `everywhere`)",
        "jkt -> sin",
        "AU 8",
        "  + new.live.example.com. A: 3600 192.0.2.99",
        "  ~ ns1.live.example.com. A: 3600 192.0.2.53 -> 3600 192.0.2.54",
        "  ~ ingest.live.example.com.: ttl 20 s -> ttl 30 s",
        "  ~ jkt: override down",
    ];
    lines.iter().for_each(|line| assert!(told.contains(line), "`{line}` is not in:\n{told}"));
    // The same between two commits, and from a directory.
    git(at, &["commit", "--quiet", "-am", "Jakarta moves"]);
    assert_eq!(text(&diff(at, &["HEAD~1", "HEAD"])), told);
    let old = example();
    assert_eq!(text(&diff(at, &[old.path().to_str().unwrap(), "."])), told);
    let back = text(&diff(at, &["HEAD", "HEAD~1"]));
    assert!(
        back.contains("sin -> jkt") && back.contains("  - new.live.example.com. A: 3600 192.0.2.99"),
        "{back}"
    );
}

#[test]
fn thresholds_decide_the_exit_status_and_promises_are_named() {
    let home = repository();
    let at = home.path();
    edit(
        at,
        CLUSTERS,
        "[cluster.jkt]                # Jakarta\n",
        "[cluster.jkt]\noverride = { verdict = \"down\", why = \"moving\" }\n",
    );
    let run = diff(at, &["--fail-if-moved", "0.1%", "--format", "json"]);
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("of all clients change the cluster, more than 0.1 %"), "{said}");
    let json: Value = serde_json::from_slice(&run.stdout).unwrap();
    let moved = json["moved"].as_f64().unwrap();
    assert!(moved > 0.001 && moved < 0.5, "{json:#}");
    assert_eq!(json["moves"][0]["moves"][0]["from"], "jkt");
    let run = diff(at, &["--format", "markdown", "--fail-if-moved", "50%"]);
    let markdown = text(&run);
    assert!(
        run.status.success() && markdown.starts_with("### ") && markdown.contains("| jkt | sin |"),
        "{markdown}"
    );
    // Frankfurt can carry less: the failure of a neighbour would fill it now.
    git(at, &["checkout", "--quiet", "."]);
    let fra = "region = \"europe\"\ncapacity = 60_000";
    edit(at, CLUSTERS, fra, "region = \"europe\"\ncapacity = 6_000");
    edit(
        at,
        SERVICES,
        "ttl = \"20s\"                 # how",
        "ttl = \"2s\"\ndetect_within = \"20s\"   # how",
    );
    let run = diff(at, &["--fail-if-broken"]);
    assert_eq!(run.status.code(), Some(1));
    let told = text(&run);
    assert!(told.contains("down, fra carries ") && told.contains(" of its capacity ("), "{told}");
    assert!(told.contains("a silent death at ingest.live.example.com. may go unseen for "), "{told}");
    assert!(told.contains("longer than its TTL of 2 s"), "{told}");
    // What stays as bad as it was is no news.
    git(at, &["commit", "--quiet", "-am", "it is so"]);
    assert_eq!(text(&diff(at, &["--fail-if-broken"])), "nobody changes the cluster\n");
}

#[test]
fn what_does_not_load_is_told_with_all_its_mistakes() {
    let home = repository();
    let at = home.path();
    let refused = |words: &[&str]| {
        let run = diff(at, words);
        assert_eq!(run.status.code(), Some(1), "{words:?}");
        String::from_utf8(run.stderr).unwrap()
    };
    assert!(refused(&["nothing-such"]).contains("`nothing-such` is neither a directory nor a commit of "));
    edit(at, SERVICES, "policy = \"everywhere\"", "policy = \"nowhere\"");
    let said = refused(&[]);
    assert!(said.contains("nowhere") && said.contains("live.example.com.toml"), "{said}");
    git(at, &["commit", "--quiet", "-am", "a mistake"]);
    git(at, &["checkout", "--quiet", "HEAD~1", "--", "."]);
    let said = refused(&["HEAD"]);
    assert!(said.contains(" does not load:") && said.contains("nowhere"), "{said}");
    // What the repository ignores is as it is on the disk.
    fs::write(at.join(".gitignore"), "geoip/rtt.csv\n").unwrap();
    git(at, &["rm", "--quiet", "--cached", "geoip/rtt.csv"]);
    git(at, &["add", "."]);
    git(at, &["commit", "--quiet", "-m", "measured elsewhere"]);
    assert_eq!(text(&diff(at, &["HEAD"])), "nobody changes the cluster\n");
    let alone = tempfile::tempdir().unwrap();
    let run = diff(alone.path(), &[]);
    assert!(String::from_utf8_lossy(&run.stderr).contains("here is no git repository"));
}

#[test]
fn a_zone_with_secondaries_whose_serial_stays_is_a_broken_promise() {
    let home = repository();
    let at = home.path();
    let transfers = "[transfer]\nallow = [\"192.0.2.0/24\"]\n";
    let services = fs::read_to_string(at.join(SERVICES)).unwrap();
    fs::write(at.join(SERVICES), format!("{transfers}{services}")).unwrap();
    if !diff(at, &[".", "."]).status.success() {
        panic!("{}", String::from_utf8_lossy(&diff(at, &[".", "."]).stderr));
    }
    git(at, &["commit", "--quiet", "-am", "secondaries"]);
    edit(at, ZONE, "192.0.2.80", "192.0.2.81");
    let told = text(&diff(at, &[]));
    assert!(told.contains("! the serial of live.example.com. is 2025010101, and was 2025010101"), "{told}");
    edit(at, ZONE, "2025010101", "2025010102");
    let told = text(&diff(at, &[]));
    assert!(!told.contains("serial") && told.contains("*.docs.live.example.com. A"), "{told}");
}

/// The share that is told is the share of those who are answered otherwise.
#[test]
fn shares_are_those_of_the_answers() {
    let [old, new] = [example(), example()];
    let at = new.path();
    edit(at, CLUSTERS, "place = [50.11, 8.68]", "place = [1.35, 103.83]");
    edit(
        at,
        CLUSTERS,
        "from = { country = [\"ID\"], asn = [7713] }\nprefer = [\"jkt\", \"sin\"]",
        "from = { country = [\"US\"] }\nprefer = [\"gru\"]",
    );
    let worlds = [old.path(), at].map(|directory| {
        let loaded = load_from(&directory.join("steerdns.toml"), disk(), |_| {}).unwrap();
        (Arc::new(loaded.plan), loaded.geography.places())
    });
    let snapshots = [0, 1].map(|at| Snapshot::all_up(Arc::clone(&worlds[at].0)));
    let side = |at: usize| Side {
        snapshot: &snapshots[at],
        places: &worlds[at].1,
        zones: &[],
        write: &show::record,
    };
    let change = Change::new(&side(0), &side(1), None);
    let of = change.moves.iter().find(|of| of.types.contains(&"A")).unwrap();
    let (mut asked, mut moved) = (0.0, 0.0);
    let mut dice = Dice::new(17);
    while asked < 40_000.0 {
        let address = Ipv4Addr::from(dice.next() as u32);
        if !is_client(address, &worlds[1].1) {
            continue;
        }
        let [was, is] = [0, 1].map(|at| answers(&snapshots[at], address));
        asked += 1.0;
        moved += if was == is { 0.0 } else { 1.0 };
    }
    let seen = moved / asked;
    assert!(
        seen > 0.02 && (seen - of.moved.ipv4).abs() < 0.01,
        "{seen} of the answers, told {}",
        of.moved.ipv4
    );
    let sum: f64 = of.moves.iter().map(|of| of.part.ipv4).sum();
    assert!((sum - of.moved.ipv4).abs() < 1e-9);
}

/// Whether an address counts: public, and placed.
fn is_client(address: Ipv4Addr, places: &Places) -> bool {
    let [first, ..] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || first == 0
        || first >= 224;
    !special && places.at(IpAddr::V4(address)).country.is_some()
}

/// The key of the cluster that answers.
fn answers(snapshot: &Snapshot, address: Ipv4Addr) -> Arc<str> {
    let plan: &Plan = &snapshot.plan;
    let route = plan.routes.iter().find(|route| route.family == steerdns::cluster::Family::V4).unwrap();
    let subnet = Subnet::new(IpAddr::V4(address), 24).unwrap();
    let client = plan.client(route, Some(&subnet), IpAddr::V4(address));
    let choice = snapshot.choose(route, &plan.place(route, &client)).unwrap();
    Arc::clone(&plan.inventory.cluster(choice.cluster).key)
}
