//! Files that change while it serves.

use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::support::ask::{Answer, Question};
use super::support::served::{Served, client, exchange, until};
use super::world::{GERMANY, SERVICES, SINGAPORE, World, ZONE, played, until_held, verdicts};

/// What a command said, on both outputs.
fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn txt(served: &Served, name: &str) -> Vec<String> {
    served.ask(&Question::new(&format!("{name}.live.example.com."), "TXT")).answers()
}

#[test]
fn good_files_are_taken_and_verdicts_of_addresses_that_stay_are_kept() {
    let mut world = World::new();
    world.backends[1].close();
    let served = world.serve_warm();
    until_held(&served, "sin-2", "down");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11"]);
    assert_eq!(txt(&served, "new"), [""; 0]);

    world.write("zones/clusters.toml", &world.clusters(&["sin-1", "sin-2", "sin-3"], ""));
    world.write("zones/live.example.com.zone", &(ZONE.replace(" 1 1h", " 2 1h") + "new TXT \"here\"\n"));
    let from = served.logged();
    let reload = served.run(&["reload"]);
    assert!(reload.status.success() && words(&reload).starts_with("reloaded"), "{}", words(&reload));
    // When the command has ended, the new files are in force.
    assert_eq!(txt(&served, "new"), ["new.live.example.com. 3600 TXT here"]);
    assert_eq!(served.metric("steerdns_zone_serial{zone=\"live.example.com.\"}"), 2.0);
    until_held(&served, "sin-3", "up");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.13"]);
    served.until_logged(from, "unknown -> up");
    let turned = served.log().split_off(from);
    let new: Vec<_> = turned.iter().filter(|line| line["message"] == "unknown -> up").collect();
    assert!(new.len() == 1 && new[0]["node"] == "sin-3", "the verdicts of the others stand: {turned:?}");
    let sin_2 = verdicts(&served).into_iter().find(|(node, ..)| node == "sin-2").unwrap();
    assert_eq!(sin_2.1, "down");
}

#[test]
fn a_hangup_reloads_too_from_the_first_moment_on() {
    let world = World::new();
    let served = world.serve();
    world.write("zones/live.example.com.zone", &(ZONE.to_owned() + "new TXT \"here\"\n"));
    let from = served.logged();
    served.signal("HUP");
    served.until_logged(from, "reloaded");
    until("the new name is there", || txt(&served, "new").len() == 1);
    assert_eq!(served.metric("steerdns_reloads_total{outcome=\"taken\"}"), 1.0);
}

#[test]
fn bad_files_are_refused_with_all_their_mistakes_and_the_old_ones_serve_on() {
    let world = World::new();
    let served = world.serve_warm();
    world.write(
        "zones/live.example.com.zone",
        &(ZONE.to_owned() + "new TXT \"here\"\nbad A 192.0.2.999\nbad MX x\n"),
    );
    world.write("zones/clusters.toml", &world.clusters(&["sin-1"], "[policy.other]\nclusters = [\"sni\"]\n"));
    let from = served.logged();
    let reload = served.run(&["reload"]);
    assert_eq!(reload.status.code(), Some(1));
    served.until_logged(from, "the reload is refused");
    let said = String::from_utf8(reload.stderr).unwrap();
    for word in ["clusters.toml:", "`sni`", "live.example.com.zone:11:", "live.example.com.zone:12:"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    assert!(said.ends_with("the reload is refused; the last good files stay in force\n"), "{said}");
    let from = served.logged();
    served.signal("HUP");
    let logged = served.until_logged(from, "the reload is refused");
    assert!(logged.contains("live.example.com.zone:12:"), "{logged}");

    assert_eq!(txt(&served, "new"), [""; 0]);
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.12"]);
    assert_eq!(served.metric("steerdns_reloads_total{outcome=\"refused\"}"), 2.0);
    world.write("zones/clusters.toml", &world.clusters(&["sin-1"], ""));
    world.write("zones/live.example.com.zone", ZONE);
    assert!(served.run(&["reload"]).status.success());
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11"]);
}

#[test]
fn where_nobody_serves_a_reload_is_one_sentence_and_status_1() {
    let world = World::new();
    let output = super::support::served::steerdns(&["reload"], &world.config());
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(said.starts_with("steerdns: no server answers on `") && said.lines().count() == 1, "{said}");
}

/// Two worlds with nothing in common: which one an answer is from, all its records tell.
pub(crate) fn switch(world: &World, side: char) {
    let word = format!("side-{side}");
    let services = SERVICES.replace("service.play", &format!("service.play-{side}"));
    let node = if side == 'a' { "sin-1" } else { "sin-2" };
    world.write("zones/clusters.toml", &world.clusters(&[node], ""));
    let zone = ZONE.replace("CNAME play", &format!("CNAME play-{side}"));
    let many: String = (0..9).map(|at| format!("many TXT \"{word}\" \"{at}\"\n")).collect();
    world.write("zones/live.example.com.zone", &(zone + &many));
    world.write("zones/live.example.com.toml", &services);
}

/// Which world an answer is from; panics where it is from both or none.
fn side(answer: &Answer) -> char {
    let of = |line: &String| match line {
        line if line.contains("side-a") || line.contains("play-a") && !line.ends_with(" 192.0.2.12") => 'a',
        line if line.contains("side-b") || line.contains("play-b") && !line.ends_with(" 192.0.2.11") => 'b',
        line => panic!("{line} in {:?}", answer.answers()),
    };
    let sides: Vec<_> = answer.answers().iter().map(of).collect();
    assert!(!sides.is_empty() && sides.iter().all(|side| *side == sides[0]), "{:?}", answer.answers());
    sides[0]
}

/// Asks that server without a pause, while `work` changes its world by one name after the other and hands each to `wait`, which waits for its
/// answers. No query may be lost or answered from two worlds. Gives how often the world turned.
pub(crate) fn while_asked(served: &Served, work: impl FnOnce(&dyn Fn(char))) -> usize {
    let (done, latest) = (AtomicBool::new(false), AtomicU32::new(0));
    let questions = [
        Question::new("many.live.example.com.", "TXT"),
        Question::new("www.live.example.com.", "A"),
        Question { edns: Some(1232), ..Question::new("www.live.example.com.", "A") },
    ];
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let (socket, mut seen) = (client(served.addresses[0]), Vec::new());
            let mut id = 0u16;
            while !done.load(Ordering::Relaxed) {
                for question in &questions {
                    let mut query = question.octets();
                    id = id.wrapping_add(1);
                    query[..2].copy_from_slice(&id.to_be_bytes());
                    let answer = Answer::read(&exchange(&socket, &query).expect("none is lost"), None);
                    assert_eq!(answer.status(), "NOERROR aa");
                    seen.push(side(&answer));
                    latest.store(side(&answer).into(), Ordering::Relaxed);
                }
            }
            seen
        });
        work(&|next| {
            until("the new world answers", || {
                latest.load(Ordering::Relaxed) == u32::from(next) || asking.is_finished()
            });
        });
        done.store(true, Ordering::Relaxed);
        let seen = asking.join().unwrap();
        let turns = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
        println!("{} answers, the world turned {turns} times", seen.len());
        turns
    })
}

#[test]
fn over_twenty_reloads_no_query_is_lost_or_answered_from_two_worlds() {
    const RELOADS: usize = 20;
    let world = World::new();
    switch(&world, 'a');
    let served = world.serve_warm();
    let turns = while_asked(&served, |wait| {
        for reload in 0..RELOADS {
            let next = if reload % 2 == 0 { 'b' } else { 'a' };
            switch(&world, next);
            let output = served.run(&["reload"]);
            assert!(output.status.success(), "{}", words(&output));
            wait(next);
        }
    });
    assert_eq!(turns, RELOADS, "each reload is seen, and none before or after its time");
    assert_eq!(served.metric("steerdns_reloads_total{outcome=\"taken\"}"), RELOADS as f64);
}

#[test]
fn a_reload_moves_clients_whole_when_a_cluster_leaves_the_files() {
    let world = World::new();
    let served = world.serve_warm();
    assert_eq!(played(&served, GERMANY), ["203.0.113.11"]);
    let clusters = world.clusters(&["sin-1", "sin-2"], "");
    let without: String =
        clusters.replace("[policy.everywhere]", "[policy.everywhere]\nclusters = [\"sin\"]");
    world.write("zones/clusters.toml", &without);
    assert!(served.run(&["reload"]).status.success(), "a cluster that nobody is sent to is a warning");
    assert_eq!(played(&served, GERMANY), ["192.0.2.11", "192.0.2.12"]);
}
