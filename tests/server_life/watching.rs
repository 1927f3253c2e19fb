//! Files that change and are read by themselves: `[reload] watch`.

use std::fs;
use std::os::unix::fs::symlink;

use super::maps::{database, world_with_a_database};
use super::reloading::{switch, while_asked};
use super::support::ask::Question;
use super::support::git::Repository;
use super::support::served::{Served, until};
use super::world::{GERMANY, SERVER, SINGAPORE, World, ZONE, played, until_held};

const WATCH: &str = "[reload]\nwatch = true\nsettle = \"100ms\"\n";
const NAME: &str = "zones/live.example.com.zone";
const TAKEN: &str = "steerdns_reloads_total{outcome=\"taken\"}";
const REFUSED: &str = "steerdns_reloads_total{outcome=\"refused\"}";

fn watched() -> World {
    let world = World::new();
    world.write("steerdns.toml", &format!("{SERVER}{WATCH}"));
    world
}

/// The zone, with a record that tells which one it is.
fn zone(word: &str) -> String {
    format!("{ZONE}which TXT \"{word}\"\n")
}

fn which(served: &Served) -> String {
    let answers = served.ask(&Question::new("which.live.example.com.", "TXT")).answers();
    answers.first().map_or(String::new(), |line| line.rsplit(' ').next().unwrap().to_owned())
}

fn until_which(served: &Served, word: &str) {
    until(&format!("`{word}` answers"), || which(served) == word);
}

#[test]
fn a_commit_that_is_checked_out_is_in_force_by_itself() {
    let world = watched();
    let repository = Repository::new(&world.path(""));
    world.write(".gitignore", "state\n");
    world.write(NAME, &zone("one"));
    repository.commit("one");
    world.write(NAME, &zone("two"));
    world.write("zones/clusters.toml", &world.clusters(&["sin-1", "sin-2", "sin-3"], ""));
    repository.commit("two");
    let served = world.serve_warm();
    assert_eq!(which(&served), "two");
    repository.git(&["checkout", "--quiet", "HEAD~"]);
    until_which(&served, "one");
    until("sin-3 is gone", || played(&served, SINGAPORE) == ["192.0.2.11", "192.0.2.12"]);
    repository.git(&["checkout", "--quiet", "main"]);
    until_which(&served, "two");
    until_held(&served, "sin-3", "up");
    assert_eq!(served.metric(REFUSED), 0.0, "no half of a commit was read");
}

#[test]
fn while_git_is_at_work_nothing_is_read_and_then_all_of_it() {
    let world = watched();
    Repository::new(&world.path("")).commit("one");
    let served = world.serve_warm();
    fs::write(world.path(".git/index.lock"), "").unwrap();
    let from = served.logged();
    world.write(NAME, "half");
    // What is asked for by hand is read all the same: until then nothing was.
    assert!(!served.run(&["reload"]).status.success());
    assert_eq!(served.metric(REFUSED), 1.0);
    world.write(NAME, &zone("whole"));
    fs::remove_file(world.path(".git/index.lock")).unwrap();
    served.until_logged(from, "reloaded");
    until_which(&served, "whole");
    assert_eq!((served.metric(REFUSED), served.metric(TAKEN)), (1.0, 1.0));
}

#[test]
fn a_file_that_is_renamed_into_its_place_is_read() {
    let world = watched();
    let served = world.serve_warm();
    // As rsync does: beside it, then over it, with the time that it has elsewhere.
    let hidden = world.path("zones/.live.example.com.zone.x7Yq2a");
    fs::write(&hidden, zone("renamed")).unwrap();
    let old = fs::metadata(world.path(NAME)).unwrap().modified().unwrap();
    fs::File::options().write(true).open(&hidden).unwrap().set_modified(old).unwrap();
    fs::rename(&hidden, world.path(NAME)).unwrap();
    until_which(&served, "renamed");
    let other = ZONE.replace("hostmaster.example.com.", "hostmaster");
    world.write("zones/other.example.com.zone", &other);
    let soa = Question::new("other.example.com.", "SOA");
    until("a new zone answers", || served.ask(&soa).status() == "NOERROR aa");
    assert_eq!(served.metric(TAKEN), 2.0);
}

#[test]
fn a_config_map_that_kubernetes_swaps_is_read() {
    let world = watched();
    let mount = world.path("zones");
    let lay = |version: &str, word: &str| {
        let directory = mount.join(format!("..{version}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("live.example.com.zone"), zone(word)).unwrap();
        for same in ["clusters.toml", "live.example.com.toml"] {
            fs::copy(world.path(&format!("kept/{same}")), directory.join(same)).unwrap();
        }
        symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    fs::rename(&mount, world.path("kept")).unwrap();
    fs::create_dir(&mount).unwrap();
    lay("2026_01", "one");
    for name in ["clusters.toml", "live.example.com.toml", "live.example.com.zone"] {
        symlink(format!("..data/{name}"), mount.join(name)).unwrap();
    }
    let served = world.serve_warm();
    assert_eq!(which(&served), "one");
    lay("2026_02", "two");
    fs::remove_dir_all(mount.join("..2026_01")).unwrap();
    until_which(&served, "two");
    assert_eq!((served.metric(REFUSED), served.metric(TAKEN)), (0.0, 1.0));
}

#[test]
fn a_file_that_is_cut_off_is_refused_once_and_read_when_it_is_whole() {
    let world = watched();
    let served = world.serve_warm();
    let whole = zone("whole");
    let from = served.logged();
    fs::write(world.path(NAME), &whole[..whole.len() - 4]).unwrap();
    served.until_logged(from, "the reload is refused");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.12"]);
    until("it is told", || served.get("/status").contains("ReloadRefused"));
    fs::write(world.path(NAME), &whole).unwrap();
    until_which(&served, "whole");
    assert_eq!((served.metric(REFUSED), served.metric(TAKEN)), (1.0, 1.0), "nothing spins");
}

#[test]
fn a_file_that_is_gone_is_missed_and_read_when_it_is_back() {
    let world = watched();
    let served = world.serve_warm();
    for name in ["zones/clusters.toml", "steerdns.toml", "own.csv"] {
        let (from, text) = (served.logged(), fs::read_to_string(world.path(name)).unwrap());
        fs::remove_file(world.path(name)).unwrap();
        served.until_logged(from, "the reload is refused");
        let from = served.logged();
        world.write(name, &text);
        served.until_logged(from, "reloaded");
        assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.12"]);
    }
    assert_eq!((served.metric(REFUSED), served.metric(TAKEN)), (3.0, 3.0));
}

#[test]
fn a_new_database_alone_is_read_and_other_maps_follow() {
    let world = world_with_a_database();
    let text = fs::read_to_string(world.config()).unwrap();
    world.write("steerdns.toml", &(text + WATCH));
    let served = world.serve_warm();
    assert_eq!(played(&served, GERMANY), ["203.0.113.11"]);
    fs::write(world.path("fresh.mmdb"), database("DE", "SG")).unwrap();
    fs::rename(world.path("fresh.mmdb"), world.path("own.mmdb")).unwrap();
    until("Germany is where Singapore was", || played(&served, SINGAPORE) == ["203.0.113.11"]);
    assert_eq!((served.metric(REFUSED), served.metric(TAKEN)), (0.0, 1.0));
}

#[test]
fn watching_begins_and_ends_with_a_reload() {
    let world = World::new();
    let served = world.serve_warm();
    world.write("steerdns.toml", &format!("{SERVER}{WATCH}"));
    assert!(served.run(&["reload"]).status.success());
    served.until_logged(0, "reloaded");
    for (name, text) in [(NAME, &*zone("one")), ("steerdns.toml", SERVER)] {
        let from = served.logged();
        world.write(name, text);
        served.until_logged(from, "reloaded");
    }
    assert_eq!(which(&served), "one");
    let looked = served.messages().iter().filter(|line| line.contains("changed: the files are read")).count();
    world.write(NAME, &zone("two"));
    assert!(served.run(&["reload"]).status.success());
    assert_eq!(which(&served), "two");
    let now = served.messages().iter().filter(|line| line.contains("changed: the files are read")).count();
    assert_eq!((looked, now), (2, 2));
}

#[test]
fn while_directories_are_swapped_no_query_is_lost_or_answered_from_two_worlds() {
    const SWAPS: usize = 8;
    let world = watched();
    world.write("steerdns.toml", &format!("zones = \"current/zones\"\n{SERVER}{WATCH}"));
    for release in ['a', 'b'] {
        switch(&world, release);
        let directory = world.path(&format!("release-{release}/zones"));
        fs::create_dir_all(&directory).unwrap();
        for entry in fs::read_dir(world.path("zones")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, directory.join(path.file_name().unwrap())).unwrap();
        }
    }
    let swap = |release: char| {
        symlink(format!("release-{release}"), world.path("next")).unwrap();
        fs::rename(world.path("next"), world.path("current")).unwrap();
    };
    swap('a');
    let served = world.serve_warm();
    let turns = while_asked(&served, |wait| {
        for number in 0..SWAPS {
            let next = if number % 2 == 0 { 'b' } else { 'a' };
            swap(next);
            wait(next);
        }
    });
    assert_eq!(turns, SWAPS);
    assert_eq!((served.metric(REFUSED), served.metric(TAKEN)), (0.0, SWAPS as f64));
}
