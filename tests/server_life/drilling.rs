//! Rehearsed failures: on paper, and on the server itself.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use steerdns::admin::control;
use steerdns::server::drilling::{Asked, Request};

use super::support::served::{Served, steerdns, until};
use super::world::{SERVER, SERVICES, SINGAPORE, World, played, status, until_held};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|_| panic!("{}{}", stdout(output), stderr(output)))
}

fn is_near(a: &Value, b: &Value) -> bool {
    (share(a) - share(b)).abs() < 1e-9
}

fn share(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn on_paper_a_cluster_s_clients_go_to_the_next_one_and_a_node_s_stay() {
    let world = World::new();
    let drill =
        |words: &[&str]| json(&steerdns(&[&["drill", "--format", "json"], words].concat(), &world.config()));
    let cluster = drill(&["--kill", "sin"]);
    let play = &cluster["services"][0];
    assert_eq!((&play["services"][0], &play["family"]), (&"play.live.example.com.".into(), &"A".into()));
    assert_eq!(play["moves"].as_array().unwrap().len(), 1);
    assert_eq!((&play["moves"][0]["from"], &play["moves"][0]["to"]), (&"sin".into(), &"fra".into()));
    assert!(is_near(&play["moved"]["share"], &play["moves"][0]["share"]));
    assert!(is_near(&cluster["moved"], &play["moved"]["share"]));
    assert!(share(&play["moves"][0]["added_ms"]["median"]) > 0.0);
    let carried = |key: &str, when: &str| {
        let clusters = cluster["clusters"].as_array().unwrap();
        share(&clusters.iter().find(|of| of["cluster"] == key).unwrap()[when])
    };
    assert!(carried("sin", "share_after") < 1e-9);
    assert!((carried("fra", "share_after") - 1.0).abs() < 1e-9);
    assert!((carried("sin", "share_before") - share(&cluster["moved"])).abs() < 1e-9);

    let node = drill(&["--kill", "sin/sin-1"]);
    assert_eq!((share(&node["moved"]), node["nodes"].as_u64()), (0.0, Some(1)));
    let thinned = &node["services"][0]["thinned"][0];
    assert_eq!(
        (&thinned["cluster"], share(&thinned["lost"])),
        (&"sin".into(), 1.0),
        "both are in each answer"
    );

    let all = drill(&["--kill", "sin", "--kill", "fra"]);
    assert!(is_near(&all["unanswered"], &1.0.into()));
    assert_eq!(all["services"][0]["moves"][0]["gets"], "dead nodes");
    // With one of them down already, the other answers everybody, and then nobody does.
    let on_top = drill(&["--kill", "sin", "--down", "fra"]);
    assert!(is_near(&on_top["unanswered"], &1.0.into()), "{on_top:#}");
}

#[test]
fn on_paper_the_worst_single_failures_are_found_and_told_in_every_form() {
    let world = World::new();
    let output = steerdns(&["drill"], &world.config());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for words in ["the worst single node:", "the worst single cluster:", "play.live.example.com. A"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert!(!text.contains("region"), "there is none: {text}");
    let markdown = stdout(&steerdns(&["drill", "--kill", "sin", "--format", "markdown"], &world.config()));
    assert!(markdown.contains("| sin | fra |"), "{markdown}");
}

#[test]
fn gates_fail_with_status_1_and_words_that_mean_nothing_with_2() {
    let world = World::new();
    let code = |words: &[&str]| {
        let output = steerdns(&[&["drill"], words].concat(), &world.config());
        (output.status.code(), stderr(&output))
    };
    assert_eq!(
        code(&["--kill", "sin", "--fail-if-unanswered", "--fail-if-moved", "100%"]),
        (Some(0), String::new())
    );
    let (status, said) = code(&["--kill", "sin", "--fail-if-moved", "0.1%"]);
    assert!(status == Some(1) && said.contains("change the cluster, more than 0.1 %"), "{said}");
    let (status, said) = code(&["--kill", "sin", "--kill", "fra", "--fail-if-unanswered"]);
    assert!(status == Some(1) && said.contains("are not answered"), "{said}");
    // The fullest is at 70 %, and takes over the rest of the world.
    let clusters = world.clusters(&["sin-1", "sin-2"], "").replace("place = ", "capacity = 100\nplace = ");
    world.write("zones/clusters.toml", &clusters);
    let (status, said) = code(&["--worst", "cluster", "--fail-if-over-capacity", "--peak", "95%"]);
    assert!(status == Some(1) && said.contains(" is at 1"), "{said}");
    assert_eq!(code(&["--worst", "cluster", "--fail-if-over-capacity", "--peak", "10%"]).0, Some(0));
    // Nothing to judge is no pass.
    let (status, said) = code(&["--worst", "region"]);
    assert_eq!(
        (status, said.as_str()),
        (Some(1), "steerdns: no cluster has a `region`: there is no worst one\n")
    );
    world.write("zones/clusters.toml", &world.clusters(&["sin-1", "sin-2"], ""));
    let (status, said) = code(&["--kill", "sin", "--fail-if-over-capacity"]);
    assert!(status == Some(1) && said.contains("--fail-if-over-capacity has nothing to judge"), "{said}");
    for wrong in [
        &["--kill", "sni"][..],
        &["--kill", "a b"],
        &["--worst", "world"],
        &["--fail-if-moved", "much"],
        &["--real"],
    ] {
        assert_eq!(code(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_real_drill_measures_the_removal_and_leaves_all_as_it_was() {
    let world = World::new();
    let served = world.serve_warm();
    let words = ["drill", "--real", "--kill", "sin/sin-1", "--for", "3s", "--yes", "--format", "json"];
    let output = served.run(&words);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(
        (&report["passed"], &report["unanswered"], &report["ttl_s"]),
        (&true.into(), &0.into(), &5.into())
    );
    let seconds = |key: &str| share(&report[key]);
    assert!(
        seconds("suspect_s") <= seconds("down_s") && seconds("down_s") <= seconds("removed_s"),
        "{report:#}"
    );
    assert!(seconds("removed_s") < 3.0 && seconds("ended_s") >= 3.0, "{report:#}");
    assert!(seconds("last_answer_s") < 3.0 && seconds("recovery_s") < 5.0, "{report:#}");
    assert!(share(&report["asked"]) >= 10.0, "{report:#}");
    assert_eq!(report["questions"][0]["name"], "play.live.example.com.");
    // It says that it is a drill, and holds nothing against the node.
    let log = served.log();
    let fall = log.iter().find(|line| line["message"] == "suspect -> down").unwrap();
    assert!(fall["cause"].as_str().unwrap().starts_with("drill: a drill by "), "{fall}");
    served.until_logged(0, "a drill begins: sin/sin-1 fails at the probe for 3s");
    served.until_logged(0, "the drill of sin/sin-1 is over: its time is over");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.12"]);
    let target = &status(&served)["clusters"][1]["targets"][0];
    assert_eq!((&target["relapses"], &target["held_down_for_s"]), (&0.into(), &Value::Null));
}

#[test]
fn what_is_in_no_answer_is_named_and_not_waited_for() {
    let world = World::new();
    // An IPv6 address in a world whose services have none, and a node that is drained.
    let clusters = world.clusters(&["sin-1", "sin-2"], "");
    let second = world.backends[0].at;
    let one = format!("probe = [\"{second}\"]");
    let dual = clusters.replacen("\"192.0.2.11\"", "\"192.0.2.11\", \"2001:db8::11\"", 1).replacen(
        &one,
        &format!("probe = [\"{second}\", \"{second}\"]"),
        1,
    );
    world.write("zones/clusters.toml", &dual);
    let served = world.serve_warm();
    assert!(served.run(&["drain", "sin/sin-2", "--why", "a test"]).status.success());
    let words = ["drill", "--real", "--yes", "--kill", "sin", "--for", "3s", "--format", "json"];
    let output = served.run(&words);
    let report = json(&output);
    assert_eq!((output.status.code(), &report["passed"]), (Some(0), &true.into()), "{report:#}");
    let others = serde_json::json!(["sin/sin-2 192.0.2.12", "sin/sin-1 2001:db8::11"]);
    assert_eq!(report["not_in_answers"], others);
}

#[test]
fn a_drill_asks_from_where_its_questions_were_chosen_and_fails_if_no_answer_held_the_node() {
    let world = World::new();
    // Resolvers of ::1 are sent to Frankfurt, all others to Singapore.
    world.write("steerdns.toml", &SERVER.replace("listen = [\"127.0.0.1:0\"]", "listen = [\"[::1]:0\"]"));
    let rules = "[policy.here]\necs = false\n[[policy.here.rule]]\nfrom = { prefix = [\"::1/128\"] }\nprefer = [\"fra\"]\n\
                 [[policy.here.rule]]\nprefer = [\"sin\"]\n";
    world.write("zones/clusters.toml", &world.clusters(&["sin-1", "sin-2"], rules));
    world.write("zones/live.example.com.toml", &SERVICES.replace("everywhere", "here"));
    let served = world.serve_warm();
    let drill = |kill: &str| {
        let words = ["drill", "--real", "--yes", "--kill", kill, "--for", "3s", "--format", "json"];
        let output = served.run(&words);
        (output.status.code(), json(&output))
    };
    let (code, report) = drill("fra");
    assert_eq!((code, &report["questions"][0]["seen"]), (Some(0), &true.into()), "{report:#}");
    let (code, report) = drill("sin/sin-1");
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["faults"][0].as_str().unwrap().ends_with("nothing was seen over DNS"), "{report:#}");
}

#[test]
fn a_drill_is_looked_at_and_ended_by_whoever_began_it_alone() {
    let world = World::new();
    let served = world.serve_warm();
    let socket = control::socket(&world.path("state"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |asked: &Asked| {
        let body = serde_json::to_string(asked).unwrap();
        let told = runtime.block_on(control::ask(&socket, "POST", "/drill", body)).unwrap();
        told.map(|told| serde_json::from_str::<Value>(&told).unwrap())
    };
    let begin = || {
        let request = Request {
            kill: vec!["sin/sin-1".into()],
            length: "1m".into(),
            who: "ana".into(),
            force: false,
            dry: false,
        };
        ask(&Asked::Begin(request)).unwrap()["id"].as_u64().unwrap()
    };
    let first = begin();
    assert_eq!(ask(&Asked::Look(first)).unwrap()["state"], "running");
    assert_eq!(ask(&Asked::End(first)).unwrap()["state"], "over");
    assert_eq!(ask(&Asked::Look(first)).unwrap()["state"], "over");
    let second = begin();
    for asked in [Asked::Look(first), Asked::End(first)] {
        assert_eq!(ask(&asked).unwrap_err().trim(), "your drill is over");
    }
    assert_eq!(ask(&Asked::Look(second)).unwrap()["state"], "running");
    assert_eq!(ask(&Asked::End(second)).unwrap()["why"], "it was ended");
    drop(served);
}

#[test]
fn ctrl_c_at_the_question_ends_the_command_and_begins_nothing() {
    let world = World::new();
    let served = world.serve_warm();
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_steerdns"))
        .args(["drill", "--real", "--kill", "sin/sin-1", "--config"])
        .arg(&served.config)
        .stdin(terminal.slave)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut said, mut stderr) = (Vec::new(), child.stderr.take().unwrap());
    while !said.ends_with(b"[yes/no] ") {
        let mut octet = [0];
        stderr.read_exact(&mut octet).unwrap();
        said.extend(octet);
    }
    // What runs these tests in the background has them, and all that they start, ignore SIGINT: SIGTERM is heard by the same handlers.
    assert!(Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert!(!served.messages().iter().any(|message| message.starts_with("a drill begins")));
}

/// `drill --real` as a child that may be killed.
fn drilling(served: &Served, length: &str) -> std::process::Child {
    let child = Command::new(env!("CARGO_BIN_EXE_steerdns"))
        .args(["drill", "--real", "--yes", "--kill", "sin/sin-1", "--for", length, "--config"])
        .arg(&served.config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.unwrap();
    until_held(served, "sin-1", "down");
    child
}

#[test]
fn a_drill_whose_command_is_killed_ends_by_itself() {
    let world = World::new();
    let served = world.serve_warm();
    let mut child = drilling(&served, "5m");
    child.kill().unwrap();
    child.wait().unwrap();
    served.until_logged(0, "the drill of sin/sin-1 is over: nobody watches it any more");
    until("it answers again", || played(&served, SINGAPORE) == ["192.0.2.11", "192.0.2.12"]);
}

#[test]
fn ctrl_c_ends_a_drill_at_once() {
    let world = World::new();
    let served = world.serve_warm();
    let child = drilling(&served, "5m");
    let sent = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("FAILED: it was ended before its time"), "{}", stdout(&output));
    served.until_logged(0, "the drill of sin/sin-1 is over: it was ended");
    until("it answers again", || played(&served, SINGAPORE) == ["192.0.2.11", "192.0.2.12"]);
}

#[test]
fn a_drill_is_refused_where_it_would_do_harm_or_tell_nothing() {
    let mut world = World::new();
    let refused = |served: &Served, words: &[&str], said: &str| {
        let output = served.run(&[&["drill", "--real", "--yes"], words].concat());
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(stderr(&output).contains(said), "{words:?}: {}", stderr(&output));
    };
    let served = world.serve_warm();
    let everything = ["--kill", "sin", "--kill", "fra"];
    refused(&served, &everything, "clients of play.live.example.com. A would be left without an answer");
    refused(&served, &["--kill", "sni"], "no node is meant by `sni`");
    refused(&served, &["--kill", "sin", "--for", "11m"], "`11m` is no length of a drill");
    let output = served.run(&["drill", "--real", "--kill", "sin/sin-1"]);
    assert!(stderr(&output).contains("use --yes"), "{}", stderr(&output));
    let mut first = drilling(&served, "30s");
    refused(&served, &["--kill", "sin/sin-2"], "a drill by ");
    let _ = Command::new("kill").arg("-TERM").arg(first.id().to_string()).status();
    first.wait().unwrap();
    until_held(&served, "sin-1", "up");
    world.backends[0].close();
    until_held(&served, "sin-1", "down");
    refused(&served, &["--kill", "sin/sin-1"], "none of these nodes is in an answer now");
    assert_eq!(served.stop().code(), Some(0));
    let output = steerdns(&["drill", "--real", "--yes", "--kill", "sin"], &world.config());
    assert!(stderr(&output).contains("no server answers on"), "{}", stderr(&output));
}

#[test]
fn with_force_a_drill_that_leaves_nobody_to_answer_fails_and_says_so() {
    let world = World::new();
    world.write("zones/live.example.com.toml", &(SERVICES.to_owned() + "all_down = \"servfail\"\n"));
    let served = world.serve_warm();
    let words = [
        "drill", "--real", "--force", "--yes", "--kill", "sin", "--kill", "fra", "--for", "3s", "--format",
        "json",
    ];
    let output = served.run(&words);
    let report = json(&output);
    assert_eq!((output.status.code(), &report["passed"]), (Some(1), &false.into()), "{report:#}");
    assert!(share(&report["unanswered"]) > 0.0, "{report:#}");
    let faults = report["faults"].as_array().unwrap();
    assert!(faults.iter().any(|fault| fault.as_str().unwrap().ends_with("had no answer")), "{faults:?}");
    assert!(Duration::from_secs_f64(share(&report["recovery_s"])) < Duration::from_secs(10));
}
