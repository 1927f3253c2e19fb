//! What it tells: the commands, the admin listener, the log, and `_why`.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::support::ask::Question;
use super::support::served::{Served, steerdns};
use super::world::{SERVICES, SINGAPORE, World, ZONE, play, played, status, until_held};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn check_says_what_was_read_and_fails_on_mistakes_alone() {
    let world = World::new();
    let good = steerdns(&["check"], &world.config());
    assert_eq!(good.status.code(), Some(0));
    assert!(stdout(&good).contains("1 zones") || stdout(&good).contains("1 zone,"), "{}", stdout(&good));

    world.write("zones/live.example.com.zone", &(ZONE.to_owned() + "old CNAME gone\n"));
    let warned = steerdns(&["check"], &world.config());
    assert_eq!(warned.status.code(), Some(0));
    assert!(stdout(&warned).contains("1 warning"), "{}", stdout(&warned));
    assert_eq!(steerdns(&["check", "--strict"], &world.config()).status.code(), Some(1));

    world.write("zones/live.example.com.toml", &SERVICES.replace("ttl", "tll"));
    for words in [&["check"][..], &["check", "--strict"], &["check", "--format", "short"]] {
        assert_eq!(steerdns(words, &world.config()).status.code(), Some(1));
    }
    assert_eq!(steerdns(&["check", "--format", "loud"], &world.config()).status.code(), Some(2));
}

#[test]
fn check_tells_the_same_mistakes_in_every_format() {
    let world = World::new();
    world.write("zones/live.example.com.toml", &SERVICES.replace("ttl", "tll"));
    let of = |format: &str| stdout(&steerdns(&["check", "--format", format], &world.config()));
    let (full, short, json) = (of("full"), of("short"), of("json"));
    assert!(short.lines().all(|line| line.contains(": error: ") || line.contains(": warning: ")), "{short}");
    assert!(short.contains("live.example.com.toml:4:1: error: "), "{short}");
    let issues: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(issues.len(), short.lines().count());
    for (issue, line) in issues.iter().zip(short.lines()) {
        let what = issue["what"].as_str().or(issue["message"].as_str()).unwrap();
        assert!(line.contains(what) && full.contains(what), "{what}: {line}: {full}");
    }
    assert!(full.contains("tll = \"5s\""), "the line itself is shown: {full}");
}

/// An explanation without the ages of verdicts, which differ from second to second.
fn explained(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut json: Value = serde_json::from_str(&stdout(output)).unwrap();
    for listed in json["list"].as_array_mut().unwrap() {
        for node in listed["nodes"].as_array_mut().unwrap() {
            node["age_s"] = Value::Null;
        }
    }
    json
}

const EXPLAIN: [&str; 5] = ["explain", "play.live.example.com", "--client", SINGAPORE, "--json"];

#[test]
fn explain_says_the_same_offline_as_the_server_does_and_as_it_answers() {
    let world = World::new();
    let served = world.serve_warm();
    let offline = explained(&served.run(&[&EXPLAIN[..], &["--offline"]].concat()));
    let asked = until_equal(&offline, || explained(&served.run(&EXPLAIN)));
    let answer = served.ask(&play(SINGAPORE));
    assert_eq!(asked["scope"], answer.scope.unwrap());
    assert_eq!(asked["ttl_s"], answer.message.answers[0].ttl);
    assert_eq!(sorted(&asked["answer"]), played(&served, SINGAPORE));
    let words = stdout(&served.run(&EXPLAIN[..4]));
    for word in ["own.csv", "SG", "sin-1", "192.0.2.11", "fra-1"] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
}

/// Looks until it is as expected: on a busy machine a probe may be late, and a node suspect for a moment.
fn until_equal(expected: &Value, look: impl Fn() -> Value) -> Value {
    let mut seen = look();
    for _ in 0..20 {
        if seen == *expected {
            break;
        }
        seen = look();
    }
    assert_eq!(seen, *expected);
    seen
}

fn sorted(addresses: &Value) -> Vec<String> {
    let mut addresses: Vec<_> =
        addresses.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    addresses.sort_unstable();
    addresses
}

#[test]
fn what_cannot_be_explained_is_said_with_status_1() {
    let world = World::new();
    for (words, said) in [
        (&["explain", "play.example.org"][..], "`play.example.org.` is in no zone of ours"),
        (&["explain", "ns1.live.example.com"], "`ns1.live.example.com.` is not steered in this family"),
        (&["explain", "play.live.example.com", "MX"], "`MX` is not steered: A and AAAA are"),
        (&["explain", "play.live.example.com", "--down", "sni"], "no node and no cluster is called `sni`"),
    ] {
        let output = steerdns(&[words, &["--offline"]].concat(), &world.config());
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("steerdns: {said}\n"));
    }
}

#[test]
fn explain_goes_on_where_the_disk_has_not_what_is_loaded_and_says_so() {
    let world = World::new();
    let served = world.serve_warm();
    let place = |served: &Served| {
        let output = served.run(&EXPLAIN[..4]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let text = stdout(&output);
        assert!(text.contains("answer   sin (first)"), "{text}");
        text.lines().find(|line| line.starts_with("place ")).unwrap().to_owned()
    };
    assert!(place(&served).contains("country SG"));
    let feed = std::fs::read_to_string(world.path("own.csv")).unwrap();
    // Another country: the list in force was made of the first one.
    world.write("own.csv", &feed.replace("SG", "DE"));
    let newer = place(&served);
    assert!(newer.starts_with("place    not known: `"), "{newer}");
    assert!(newer.ends_with("own.csv` is newer than what is loaded: reload"), "{newer}");
    assert_eq!(explained(&served.run(&EXPLAIN))["rule"], "");
    world.write("own.csv", "no network,SG,,,\n");
    let broken = place(&served);
    assert!(broken.starts_with("place    not known: ") && broken.contains("own.csv:1:"), "{broken}");
    world.write("own.csv", &feed);
    assert!(place(&served).contains("country SG"));
}

#[test]
fn where_nobody_serves_explain_says_that_it_reads_the_files() {
    let world = World::new();
    let output = steerdns(&EXPLAIN, &world.config());
    assert_eq!(explained(&output)["cluster"], "sin");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("steerdns: no server answers on `") && said.lines().count() == 1, "{said}");
}

#[test]
fn when_a_node_dies_the_answer_the_log_the_status_and_the_metrics_tell() {
    let mut world = World::new();
    let served = world.serve_warm();
    let before = explained(&served.run(&EXPLAIN));
    assert_eq!(before["cluster"], "sin");
    world.backends[0].close();
    until_held(&served, "sin-1", "down");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.12"]);
    let transitions = |to: &str| served.metric(&format!("steerdns_health_transitions_total{{to=\"{to}\"}}"));
    assert_eq!(transitions("down"), 1.0);
    assert!(transitions("suspect") >= 1.0);
    for histogram in ["steerdns_removal_seconds", "steerdns_death_to_removal_seconds"] {
        assert_eq!(served.metric(&format!("{histogram}_count")), 1.0);
        let took = served.metric(&format!("{histogram}_sum"));
        assert!(0.0 < took && took < 5.0, "{histogram}: {took} s");
    }
    let up = "steerdns_health_up{cluster=\"sin\",node=\"sin-1\",address=\"192.0.2.11\",check=\"edge\"}";
    assert_eq!(served.metric(up), 0.0);
    let log = served.log();
    let line = log.iter().find(|line| line["message"] == "suspect -> down").unwrap();
    assert_eq!((&line["node"], &line["cause"]), (&"sin-1".into(), &"connect: refused".into()));
    let target = &status(&served)["clusters"][1]["targets"][0];
    assert_eq!((&target["verdict"], &target["cause"]), (&"down".into(), &"connect: refused".into()));
}

#[test]
fn when_a_cluster_dies_explain_dig_why_status_and_log_change_together() {
    let mut world = World::new();
    let served = world.serve_warm();
    let why = Question::new("_why.play.live.example.com.", "TXT").subnet(SINGAPORE);
    let told = |served: &super::support::served::Served| served.ask(&why).answers().join("\n");
    assert!(told(&served).contains("sin"), "{}", told(&served));
    world.backends[0].close();
    world.backends[1].close();
    until_held(&served, "sin-1", "down");
    until_held(&served, "sin-2", "down");

    assert_eq!(played(&served, SINGAPORE), ["203.0.113.11"]);
    let asked = explained(&served.run(&EXPLAIN));
    assert_eq!((&asked["cluster"], sorted(&asked["answer"])), (&"fra".into(), vec!["203.0.113.11".into()]));
    let offline = explained(&served.run(&[&EXPLAIN[..], &["--down", "sin"]].concat()));
    assert_eq!(offline["cluster"], "fra");
    for same in ["answer", "slot", "scope", "reason"] {
        assert_eq!(asked[same], offline[same], "{same}");
    }
    assert!(told(&served).contains("203.0.113.11"), "{}", told(&served));
    let status: Value = serde_json::from_str(&stdout(&served.run(&["status"]))).unwrap();
    let by_cluster = status["answers_by_cluster"].as_array().unwrap();
    let next = by_cluster.iter().find(|row| row["cluster"] == "fra" && row["reason"] == asked["reason"]);
    assert!(next.is_some_and(|row| row["answers"].as_u64() >= Some(1)), "{by_cluster:?}");
    let down = served.messages().iter().filter(|message| message.ends_with("-> down")).count();
    assert_eq!(down, 2);

    world.backends[0].open();
    until_held(&served, "sin-1", "up");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11"]);
    assert_eq!(explained(&served.run(&EXPLAIN))["cluster"], "sin");
}

#[test]
fn status_is_what_the_admin_listener_has() {
    let world = World::new();
    let served = world.serve_warm();
    let without_times = |mut json: Value| {
        json["uptime_s"] = Value::Null;
        json["loaded_s_ago"] = Value::Null;
        for cluster in json["clusters"].as_array_mut().unwrap() {
            for target in cluster["targets"].as_array_mut().unwrap() {
                target["age_s"] = Value::Null;
            }
        }
        json
    };
    let by_http = without_times(status(&served));
    until_equal(&by_http, || without_times(serde_json::from_str(&stdout(&served.run(&["status"]))).unwrap()));
    assert_eq!(served.get("/healthz"), "ok\n");
    let output = steerdns(&["status"], &World::new().config());
    assert_eq!(output.status.code(), Some(1), "nobody serves there");
}

#[test]
fn the_log_level_of_the_file_is_heeded() {
    let world = World::new();
    world.write("steerdns.toml", &format!("log = \"debug\"\n{}", super::world::SERVER));
    assert_eq!(world.serve_warm().stop().code(), Some(0));
    world.write(
        "steerdns.toml",
        &format!("log = \"error\"\n{}", super::world::SERVER).replace("127.0.0.1:0\"]", "192.0.2.1:53\"]"),
    );
    let output = steerdns(&["serve"], &world.config());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "steerdns: `192.0.2.1:53` is no address of this machine\n");
}

#[test]
fn who_has_read_enough_ends_no_command_with_a_panic() {
    let world = World::new();
    let served = world.serve_warm();
    for words in
        [&["status"][..], &["overrides"], &EXPLAIN, &["check"], &["drill"], &["--version", "--verbose"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_steerdns"));
        command.args(words).stdin(Stdio::null()).stdout(writer);
        if !words.contains(&"--version") {
            command.arg("--config").arg(&served.config);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{words:?}");
    }
}
