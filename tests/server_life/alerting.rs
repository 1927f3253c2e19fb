//! Alerts through the program: what a webhook hears of a node's death and return, whatever happens on the way.

use serde_json::{Value, json};

use super::support::hook::{Hook, Reply};
use super::support::post_office::PostOffice;
use super::support::served::{Served, steerdns, until, until_or};
use super::world::{SERVER, World, status};

/// Quick enough for a test, and a blip is still none.
const TIMING: &str = "[alert]\nhold = \"300ms\"\nresolve_after = \"1s\"\ngroup_wait = \"500ms\"\n";

fn webhook(name: &str, hook: &Hook, more: &str) -> String {
    format!("[alert.to.{name}]\nkind = \"webhook\"\nurl = \"http://{}/alert\"\n{more}\n", hook.at)
}

fn world(receivers: &str) -> World {
    let world = World::new();
    world.write("steerdns.toml", &format!("{SERVER}{TIMING}{receivers}"));
    world
}

/// The alerts of /status, by name and stage.
fn alerts(served: &Served) -> Vec<(String, String)> {
    let word = |alert: &Value, key: &str| alert[key].as_str().unwrap().to_owned();
    let status = status(served);
    let all = status["alerts"].as_array().unwrap().iter();
    all.map(|alert| (word(alert, "alert"), word(alert, "stage"))).collect()
}

fn until_alerts(served: &Served, expected: &[(&str, &str)]) {
    let is = || {
        let now = alerts(served);
        now.iter().map(|(alert, stage)| (&**alert, &**stage)).eq(expected.iter().copied())
    };
    until_or("these alerts stand", is, || format!("{expected:?} is not {:?}", alerts(served)));
}

#[test]
fn a_webhook_hears_once_of_a_dead_node_and_once_of_its_return() {
    let hook = Hook::start(&[]);
    let mut world = world(&webhook("chat", &hook, "severity = \"warning\""));
    let served = world.serve_warm();
    world.backends[0].close();
    let heard = hook.heard(1).remove(0);
    assert!(heard.head.starts_with("POST /alert HTTP/1.1\r\n"), "{}", heard.head);
    let said = |body: &Value, key: &str| body[key].as_str().unwrap().to_owned();
    let body = heard.body;
    assert_eq!(said(&body, "summary"), "sin-1 (192.0.2.11) in sin is down (check edge): connect: refused");
    assert_eq!([&body["status"], &body["event"], &body["severity"]], ["firing", "fired", "warning"]);
    assert_eq!((&body["server"], &body["count"], &body["firing"]), (&json!("test"), &json!(1), &json!(1)));
    let labels = json!({ "cluster": "sin", "node": "sin-1", "address": "192.0.2.11", "check": "edge" });
    assert_eq!(body["alerts"][0]["labels"], labels);
    until_alerts(&served, &[("NodeDown", "firing")]);
    assert_eq!(served.metric("steerdns_alerts_firing{alert=\"NodeDown\",severity=\"warning\"}"), 1.0);
    world.backends[0].open();
    let heard = hook.heard(2);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    assert_eq!([&heard[1].body["status"], &heard[1].body["key"]], [&json!("resolved"), &body["key"]]);
    until_alerts(&served, &[]);
    let delivered = "steerdns_alert_notifications_total{receiver=\"chat\",outcome=\"delivered\"}";
    until("both are counted", || served.metric(delivered) == 2.0);
}

#[test]
fn a_dead_cluster_is_told_and_its_nodes_are_not() {
    let hook = Hook::start(&[]);
    let mut world = world(&webhook("chat", &hook, ""));
    // Long enough for both to be found dead, however busy the machine.
    let timing = TIMING.replace("300ms", "3s");
    world.write("steerdns.toml", &format!("{SERVER}{timing}{}", webhook("chat", &hook, "")));
    let served = world.serve_warm();
    world.backends[0].close();
    world.backends[1].close();
    let heard = hook.heard(1).remove(0);
    assert_eq!(heard.body["summary"], "sin has no IPv4 address up (check edge)");
    let expected = [("ClusterDown", "firing"), ("NodeDown", "inhibited"), ("NodeDown", "inhibited")];
    until_alerts(&served, &expected);
    // With the last cluster everything is down: that is told, and nothing else.
    world.backends[2].close();
    let heard = hook.heard(2);
    let summary = heard[1].body["summary"].as_str().unwrap();
    assert!(summary.starts_with("play.live.example.com. has no IPv4 node up in any cluster"), "{summary}");
    assert_eq!(heard[1].body["severity"], "critical");
}

#[test]
fn a_restart_repeats_nothing_and_the_end_is_still_told() {
    let hook = Hook::start(&[]);
    let mut world = world(&webhook("chat", &hook, ""));
    let served = world.serve_warm();
    world.backends[0].close();
    let fired = hook.heard(1).remove(0);
    until_alerts(&served, &[("NodeDown", "firing")]);
    served.stop();
    let served = world.serve_warm();
    until_alerts(&served, &[("NodeDown", "firing")]);
    world.backends[0].open();
    let heard = hook.heard(2);
    assert_eq!(heard[1].body["status"], "resolved", "{heard:#?}");
    assert_eq!(heard[1].body["key"], fired.body["key"]);
}

#[test]
fn one_who_fails_is_told_when_he_recovers_and_one_who_hangs_delays_nobody() {
    let (failing, hanging, good) = (
        Hook::start(&[Reply::Status(503), Reply::Status(401)]),
        Hook::start(&[Reply::Never]),
        Hook::start(&[]),
    );
    let receivers = [("failing", &failing), ("hanging", &hanging), ("good", &good)];
    let receivers: String = receivers.map(|(name, hook)| webhook(name, hook, "")).concat();
    let mut world = world(&receivers);
    let served = world.serve_warm();
    world.backends[0].close();
    good.heard(1);
    hanging.heard(1);
    world.backends[0].open();
    // The end reaches the good one while the other still says nothing to the beginning.
    assert_eq!(good.heard(2)[1].body["status"], "resolved");
    assert_eq!(hanging.heard(1).len(), 1);
    hanging.let_go();
    let summaries = |hook: &Hook, count: usize| -> Vec<String> {
        hook.heard(count).iter().map(|heard| heard.body["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(summaries(&hanging, 3), ["firing", "firing", "resolved"]);
    assert_eq!(summaries(&failing, 4), ["firing", "firing", "firing", "resolved"]);
    let log = served.messages();
    let tried = "failing cannot be told of alerts, and is tried again: status 503: its own words";
    assert_eq!(log.iter().filter(|message| message.starts_with("failing cannot")).count(), 1, "{log:#?}");
    assert!(log.iter().any(|message| message == tried), "{log:#?}");
}

#[test]
fn what_was_not_delivered_is_delivered_after_a_restart() {
    let hook = Hook::start(&[Reply::Status(500)]);
    let mut world = world(&webhook("chat", &hook, ""));
    let served = world.serve_warm();
    world.backends[0].close();
    hook.heard(1);
    served.until_logged(0, "chat cannot be told of alerts");
    served.stop();
    let _served = world.serve_warm();
    let heard = hook.heard(2);
    assert_eq!([&heard[1].body["event"], &heard[1].body["key"]], [&json!("fired"), &heard[0].body["key"]]);
}

#[test]
fn a_refused_reload_stands_until_the_next_good_one_and_receivers_follow_reloads() {
    let (first, second) = (Hook::start(&[]), Hook::start(&[]));
    let world = world(&webhook("chat", &first, ""));
    let served = world.serve_warm();
    let services = std::fs::read_to_string(world.path("zones/live.example.com.toml")).unwrap();
    world.write("zones/live.example.com.toml", &services.replace("everywhere", "evrywhere"));
    assert!(!served.run(&["reload"]).status.success());
    let told = first.heard(1).remove(0).body;
    let summary = told["summary"].as_str().unwrap();
    assert!(summary.starts_with("the reload is refused, the last good files serve: "), "{summary}");
    assert!(summary.contains("live.example.com.toml:2:10: error: "), "{summary}");
    world.write("zones/live.example.com.toml", &services);
    world.write("steerdns.toml", &format!("{SERVER}{TIMING}{}", webhook("chat", &second, "")));
    assert!(served.run(&["reload"]).status.success());
    let resolved = second.heard(1).remove(0).body;
    assert_eq!([&resolved["status"], &resolved["key"]], [&json!("resolved"), &told["key"]]);
    assert_eq!(first.heard(1).len(), 1);
}

#[test]
fn a_test_is_sent_with_its_secret_and_what_the_receiver_says_is_told() {
    let (good, bad) = (Hook::start(&[]), Hook::start(&[Reply::Status(403)]));
    let body = "token_file = \"chat.token\"\nseverity = \"critical\"\nbody = '{\"text\": \"{{status}}: {{summary}}\"}'";
    let world = world(&(webhook("chat", &good, body) + &webhook("other", &bad, "")));
    world.write("chat.token", "s3cret\n");
    let tried = steerdns(&["alert", "test", "chat"], &world.config());
    assert_eq!(String::from_utf8_lossy(&tried.stdout), "chat: took the test alert and its resolution\n");
    assert!(tried.status.success());
    let heard = good.heard(2);
    assert!(heard[0].head.contains("authorization: Bearer s3cret\r\n"), "{}", heard[0].head);
    assert_eq!(heard[0].body, json!({ "text": "firing: a test by `steerdns alert test`: nothing is wrong" }));
    assert!(heard[1].body["text"].as_str().unwrap().starts_with("resolved: "));
    let tried = steerdns(&["alert", "test"], &world.config());
    assert!(!tried.status.success());
    let said = String::from_utf8_lossy(&tried.stdout).into_owned();
    assert!(said.ends_with("other: the test alert was not taken: status 403: its own words\n"), "{said}");
    let tried = steerdns(&["alert", "test", "chta"], &world.config());
    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
    assert_eq!(said, "steerdns: no receiver is called `chta` (there is `chat`)\n");
}

#[test]
fn a_mailbox_that_is_refused_or_full_costs_the_others_nothing_and_nobody_gets_a_mail_twice() {
    let office = PostOffice::start(&[
        ("gone@example.com", &["550 no such mailbox"]),
        ("full@example.com", &["452 it is full", "452 it is full", "250 ok"]),
    ]);
    let to = "to = [\"gone@example.com\", \"full@example.com\", \"ana@example.com\"]\n";
    let mail = format!(
        "[alert.to.mail]\nkind = \"email\"\nserver = \"{}\"\ntls = \"none\"\nfrom = \"steerdns@example.com\"\n{to}",
        office.at
    );
    let mut world = world(&mail);
    let served = world.serve_warm();
    world.backends[0].close();
    let mailboxes = |taken: Vec<(String, String)>| taken.into_iter().map(|(to, _)| to).collect::<Vec<_>>();
    assert_eq!(mailboxes(office.taken(2)), ["ana@example.com", "full@example.com"]);
    world.backends[0].open();
    let taken = office.taken(4);
    let is_end: Vec<_> = taken.iter().map(|(to, subject)| (&**to, subject.contains(" resolved: "))).collect();
    let expected = ["ana@example.com", "full@example.com"].map(|to| [(to, false), (to, true)]);
    assert_eq!(is_end, expected.concat(), "{taken:#?}");
    let counted = |outcome: &str| {
        let labels = format!("receiver=\"mail\",outcome=\"{outcome}\"");
        served.metric(&format!("steerdns_alert_notifications_total{{{labels}}}"))
    };
    until("all is counted", || {
        [counted("refused"), counted("failed"), counted("delivered")] == [2.0, 2.0, 4.0]
    });
    let refused =
        "mail (gone@example.com) does not take a notification: permanent error (550): no such mailbox";
    assert_eq!(served.messages().iter().filter(|message| *message == refused).count(), 2);
    // Where it is tried out each says for itself what it takes.
    let tried = served.run(&["alert", "test"]);
    let words = String::from_utf8(tried.stdout).unwrap();
    let said = [
        "mail (gone@example.com): the test alert was not taken: permanent error (550): no such mailbox\n",
        "mail (full@example.com): took the test alert and its resolution\n",
        "mail (ana@example.com): took the test alert and its resolution\n",
    ];
    assert_eq!((words, tried.status.code()), (said.concat(), Some(1)));
}
