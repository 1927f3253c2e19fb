//! What operators say of nodes while it runs: `drain`, `down`, `up`, `clear`, `overrides`.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::hook::Hook;
use super::support::served::{Served, steerdns, until, until_or};
use super::world::{SERVER, SINGAPORE, World, played, status, until_held};

const BOTH: [&str; 2] = ["192.0.2.11", "192.0.2.12"];

/// A command that succeeds, and its words.
fn told(served: &Served, words: &[&str]) -> String {
    let output = served.run(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const BY_ANA: [&str; 4] = ["--why", "disk replaced", "--who", "ana"];

#[test]
fn a_drained_node_has_left_when_the_command_returns_and_stays_away_over_a_crash_until_it_is_cleared() {
    let world = World::new();
    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), BOTH);
    let words = told(&served, &[&["drain", "sin/sin-1", "--for", "2h"], &BY_ANA[..]].concat());
    assert_eq!(words, "sin/sin-1 (1 node): drain for 2h\n");
    assert_eq!(played(&served, SINGAPORE), BOTH[1..]);
    let said = |served: &Served| {
        let mut order = status(served)["overrides"][0].clone();
        let left = order["ends_in_s"].as_u64().unwrap();
        assert!((7000..=7200).contains(&left), "{left}");
        order["ends_in_s"] = Value::Null;
        order["age_s"] = Value::Null;
        order
    };
    let order = json!({
        "target": "sin/sin-1", "verdict": "drain", "why": "disk replaced", "who": "ana",
        "age_s": null, "ends_in_s": null, "nodes": ["sin/sin-1"], "in_files": [],
    });
    assert_eq!(said(&served), order);
    // It is killed: what the command had promised is on the disk.
    drop(served);
    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), BOTH[1..]);
    assert_eq!(said(&served), order);
    let listed = told(&served, &["overrides"]);
    assert!(listed.starts_with("sin/sin-1  drain  for ") && listed.lines().count() == 1, "{listed}");
    assert!(listed.ends_with(" s more, 1 node, said by ana: disk replaced\n"), "{listed}");
    let explained = told(&served, &["explain", "play.live.example.com", "--client", SINGAPORE]);
    assert!(explained.contains("drain by ana: disk replaced"), "{explained}");
    assert_eq!(told(&served, &["clear", "sin/sin-1"]), "sin/sin-1: cleared, the probes decide\n");
    assert_eq!(played(&served, SINGAPORE), BOTH);
    assert_eq!(told(&served, &["overrides"]), "no override stands\n");
    drop(served);
    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), BOTH, "what was cleared does not come back");
}

#[test]
fn an_override_ends_when_its_time_is_over_and_that_is_told_once() {
    let hook = Hook::start(&[]);
    let world = World::new();
    let alerts = format!("[alert.to.chat]\nkind = \"webhook\"\nurl = \"http://{}/alert\"\n", hook.at);
    world.write("steerdns.toml", &format!("{SERVER}{alerts}"));
    let served = world.serve_warm();
    let begun = Instant::now();
    told(&served, &[&["drain", "sin/sin-1", "--for", "2s"], &BY_ANA[..]].concat());
    until("it is back", || played(&served, SINGAPORE) == BOTH);
    assert!(begun.elapsed() >= Duration::from_secs(2), "not before its time");
    assert_eq!(status(&served)["overrides"], json!([]));
    served.until_logged(0, "override expired: ");
    let messages = served.messages();
    let of = |word: &str| format!("override {word}: sin/sin-1 drain");
    let orders: Vec<&String> = messages.iter().filter(|message| message.starts_with("override ")).collect();
    assert_eq!(orders, [&of("given"), &of("expired")]);
    let heard = hook.heard(1).remove(0).body;
    assert_eq!(heard["summary"], "the override `drain` of sin/sin-1 has ended (given by ana: disk replaced)");
    assert_eq!([&heard["alert"], &heard["severity"]], ["OverrideExpired", "info"]);
    assert_eq!(heard["alerts"][0]["labels"], json!({ "target": "sin/sin-1", "verdict": "drain" }));
    let firing = "steerdns_alerts_firing{alert=\"OverrideExpired\",severity=\"info\"}";
    assert_eq!(served.metric(firing), 1.0);
    // A restart does not tell it again, nor bring the order back.
    let kept = || std::fs::read_to_string(world.path("state/alerts.json")).unwrap_or_default();
    until_or(
        "it is kept as told",
        || kept().contains("OverrideExpired") && kept().contains("\"waiting\":{}"),
        kept,
    );
    drop(served);
    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), BOTH);
    assert_eq!(hook.heard(2).remove(1).body["event"], "resolved");
    until("it is over", || status(&served)["alerts"] == json!([]));
    assert_eq!(hook.heard(2).len(), 2);
}

#[test]
fn an_override_that_ends_while_the_server_is_away_is_told_at_the_next_start_and_not_at_that_after() {
    let world = World::new();
    let served = world.serve_warm();
    told(&served, &[&["drain", "sin/sin-1", "--for", "1h"], &BY_ANA[..]].concat());
    told(&served, &[&["drain", "sin/sin-2"], &BY_ANA[..]].concat());
    served.stop();
    // An hour later.
    let kept = world.path("state/overrides.json");
    let mut orders: Value = serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    for time in ["since_unix_ms", "until_unix_ms"] {
        orders[0][time] = (orders[0][time].as_u64().unwrap() - 3_600_001).into();
    }
    world.write("state/overrides.json", &orders.to_string());
    let served = world.serve_warm();
    served.until_logged(0, "override expired: sin/sin-1 drain");
    let standing = |text: &str| serde_json::from_str::<Value>(text).unwrap().as_array().unwrap().len();
    until("the other one alone is kept", || standing(&std::fs::read_to_string(&kept).unwrap()) == 1);
    served.stop();
    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), BOTH[..1]);
    told(&served, &[&["up", "fra"], &BY_ANA[..]].concat());
    served.until_logged(0, "override given: ");
    let messages = served.messages();
    let of_orders: Vec<_> = messages.iter().filter(|message| message.starts_with("override ")).collect();
    assert_eq!(of_orders, ["override given: fra up"], "nothing of the one that was told");
}

#[test]
fn a_node_is_held_up_though_it_is_dead_and_a_cluster_down_though_it_lives() {
    let mut world = World::new();
    let served = world.serve_warm();
    world.backends[0].close();
    until_held(&served, "sin-1", "down");
    until("it has left", || played(&served, SINGAPORE) == BOTH[1..]);
    let words = told(&served, &["up", "sin/sin-1", "--why", "the check is wrong"]);
    assert_eq!(words, "sin/sin-1 (1 node): up until it is cleared\n");
    assert_eq!(played(&served, SINGAPORE), BOTH);
    assert_eq!(
        told(&served, &["down", "sin", "--why", "moving"]),
        "sin (2 nodes): down until it is cleared\n"
    );
    assert_eq!(played(&served, SINGAPORE), ["203.0.113.11"], "the newest of two holds");
    told(&served, &["clear", "sin"]);
    assert_eq!(played(&served, SINGAPORE), BOTH);
    told(&served, &["clear", "sin/sin-1"]);
    assert_eq!(played(&served, SINGAPORE), BOTH[1..], "the probes decide");
}

/// What is said of each node of Singapore, and why.
fn said(served: &Served) -> Vec<(String, String)> {
    let status = status(served);
    let sin = status["clusters"].as_array().unwrap().iter().find(|of| of["cluster"] == "sin").unwrap();
    let word = |target: &Value, key: &str| target["override"][key].as_str().unwrap_or("nothing").to_owned();
    let targets = sin["targets"].as_array().unwrap().iter();
    targets.map(|target| (word(target, "verdict"), word(target, "why"))).collect()
}

/// clusters.toml with what is exported put where its comments say.
fn pasted(clusters: &str, exported: &str) -> String {
    let mut lines: Vec<String> = clusters.lines().map(str::to_owned).collect();
    let mut at = None;
    for line in exported.lines() {
        let place = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted)).unwrap();
        match line.strip_prefix("# in [cluster.sin") {
            Some("]:") => at = Some((place("[cluster.sin]"), false)),
            Some(node) => {
                let node = node.strip_prefix(".node], ").unwrap();
                let (node, _) = node.split_once(" = { addresses = …, and this }:").unwrap();
                at = Some((place(&format!("{node} = {{ ")), true));
            }
            None if line.starts_with('#') => {}
            None => match at.take().unwrap() {
                (at, false) => lines[at] = format!("{}\n{line}", lines[at]),
                (at, true) => {
                    // In place of one that stands there.
                    let own = lines[at].split(", override").next().unwrap().trim_end_matches(" }").to_owned();
                    lines[at] = format!("{own}, {line} }}");
                }
            },
        }
    }
    lines.join("\n")
}

/// Says these words, and holds that files with what is exported say the same once all of it is cleared.
fn outlives(clusters: impl Fn(&World) -> String, orders: &[&[&str]], held: [&str; 2]) -> String {
    let world = World::new();
    let before = clusters(&world);
    world.write("zones/clusters.toml", &before);
    let served = world.serve_warm();
    for order in orders {
        told(&served, &[order, &["--who", "ana", "--why", order[0]][..]].concat());
    }
    let words = |said: Vec<(String, String)>| said.into_iter().map(|(word, _)| word).collect::<Vec<_>>();
    let today = words(said(&served));
    assert_eq!(today, held);
    let exported = told(&served, &["overrides", "--format", "toml"]);
    world.write("zones/clusters.toml", &pasted(&before, &exported));
    told(&served, &["reload"]);
    for order in orders {
        told(&served, &["clear", order[1]]);
    }
    assert_eq!(words(said(&served)), today, "{exported}");
    exported
}

fn plain(world: &World) -> String {
    world.clusters(&["sin-1", "sin-2"], "")
}

#[test]
fn what_is_exported_holds_as_it_held_once_it_stands_in_the_files() {
    // The newest holds, however wide: of sin-1 nothing else is written.
    let exported = outlives(plain, &[&["up", "sin/sin-1"], &["drain", "sin"]], ["drain", "drain"]);
    let drain = "override = { verdict = \"drain\", why = \"drain (ana)\" }\n";
    assert_eq!(exported, format!("# in [cluster.sin]:\n{drain}"));
    let exported = outlives(plain, &[&["drain", "sin"], &["up", "sin/sin-1"]], ["up", "drain"]);
    assert_eq!(
        exported,
        format!(
            "# in [cluster.sin.node], sin-1 = {{ addresses = …, and this }}:\n\
             override = {{ verdict = \"up\", why = \"up (ana)\" }}\n# in [cluster.sin]:\n{drain}"
        )
    );
    // Two patterns that both mean a node: it gets one override.
    let exported = outlives(plain, &[&["down", "*/sin-*"], &["up", "s*/*-2", "--for", "2h"]], ["down", "up"]);
    assert_eq!(exported.matches("override = ").count(), 2, "{exported}");
    assert!(exported.starts_with("# ends by itself in "), "{exported}");
    assert!(exported.contains("; in a file it stands until you take it out\n"), "{exported}");
    // The files held sin-2 up, and today's word on the cluster was above that.
    let pinned = |world: &World| {
        let clusters = plain(world);
        let line = clusters.lines().find(|line| line.starts_with("sin-2")).unwrap();
        let held =
            format!("{}, override = {{ verdict = \"up\", why = \"x\" }} }}", line.trim_end_matches(" }"));
        clusters.replace(line, &held)
    };
    outlives(pinned, &[&["drain", "sin"]], ["drain", "drain"]);
}

#[test]
fn the_reason_is_exported_letter_by_letter() {
    let world = World::new();
    let served = world.serve_warm();
    told(&served, &["drain", "sin", "--why", "a \"quoted\" \\ reason", "--who", "ana"]);
    let exported = told(&served, &["overrides", "--format", "toml"]);
    world.write("zones/clusters.toml", &pasted(&plain(&world), &exported));
    told(&served, &["reload"]);
    told(&served, &["clear", "sin"]);
    assert_eq!(played(&served, SINGAPORE), ["203.0.113.11"], "now the file says so");
    assert_eq!(said(&served)[0], ("drain".into(), "a \"quoted\" \\ reason (ana)".into()));
}

#[test]
fn mistakes_are_told_and_change_nothing() {
    let world = World::new();
    let served = world.serve_warm();
    let why = ["--why", "a test"];
    let wrong = |words: &[&str]| {
        let output = served.run(words);
        assert!(output.stdout.is_empty(), "{words:?}");
        (output.status.code(), stderr(&output))
    };
    let said = |words: &[&str], error: &str| {
        let expected = (Some(1), format!("steerdns: {error}\n"));
        assert_eq!(wrong(words), expected, "{words:?}");
    };
    said(&["drain", "sni", "--why", "a test"], "no node is meant by `sni`; there is `sin`");
    said(&["drain", "sin/sin-9", "--why", "a test"], "no node is meant by `sin/sin-9`; there is `sin/sin-1`");
    said(&["down", "region:asia", "--why", "a test"], "no node is meant by `region:asia`");
    said(
        &["up", "sin sin-1", "--why", "a test"],
        "`sin sin-1` names no nodes: write `cluster`, `cluster/node` or `region:name`, with `*` for any characters",
    );
    said(
        &["drain", "sin", "--why", " "],
        "say why: --why \"disk replaced\"; whoever wakes at night reads it",
    );
    let length =
        |text: &str| format!("`{text}` is no length: write e.g. `30m`, `2h` or `7d`, at most a year");
    for text in ["2", "0s", "400d", "soon"] {
        said(&[&["drain", "sin", "--for", text], &why[..]].concat(), &length(text));
    }
    said(&["clear", "sin"], "no override stands");
    let (code, words) = wrong(&["drain", "sin"]);
    assert_eq!(code, Some(2));
    assert!(words.contains("--why <WORDS>"), "{words}");
    assert_eq!(played(&served, SINGAPORE), BOTH);
    told(&served, &["drain", "sin/sin-1", "--why", "a test"]);
    said(&["clear", "sin"], "no override of `sin` stands: sin/sin-1");
    assert_eq!(status(&served)["overrides"].as_array().unwrap().len(), 1);
    served.stop();
    let absent = steerdns(&["drain", "sin", "--why", "a test"], &world.config());
    assert_eq!(absent.status.code(), Some(1));
    assert!(stderr(&absent).contains("no server answers on"), "{}", stderr(&absent));
}
