//! Which commit serves: of a working tree that somebody else keeps.

use std::fs;

use super::support::ask::Question;
use super::support::git::Repository;
use super::support::served::Served;
use super::world::{SERVER, World, ZONE, status};

/// What CHAOS TXT `commit.server` tells.
pub(crate) fn told(served: &Served) -> String {
    let question = Question { qclass: 3, ..Question::new("commit.server.", "TXT") };
    let answers = served.ask(&question).answers();
    answers.first().map_or(String::new(), |line| line.split_once(" TXT ").unwrap().1.to_owned())
}

fn reload(served: &Served) {
    let output = served.run(&["reload"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_commit_of_the_working_tree_is_told_and_whether_files_differ() {
    let world = World::new();
    let repository = Repository::new(&world.path(""));
    world.write(".gitignore", "state\nown.csv\n");
    let one = repository.commit("one");
    let served = world.serve_warm();
    assert_eq!(told(&served), one);
    let shown = status(&served);
    assert_eq!((&shown["commit"]["id"], &shown["commit"]["modified"]), (&one.as_str().into(), &false.into()));
    let by_command = String::from_utf8(served.run(&["status"]).stdout).unwrap();
    assert!(by_command.contains(&one));
    let metric =
        |id: &str, modified| format!("steerdns_commit_info{{commit=\"{id}\",modified=\"{modified}\"}}");
    assert_eq!(served.metric(&metric(&one, false)), 1.0);

    // What is not read is no matter, whatever becomes of it.
    world.write("notes.txt", "untracked");
    reload(&served);
    assert_eq!(told(&served), one);
    world.write("zones/other.example.com.zone", ZONE);
    reload(&served);
    assert_eq!(told(&served), format!("{one} modified"), "a zone that is in no commit");
    let two = repository.commit("two");
    assert_eq!(told(&served), format!("{one} modified"), "nothing was read since");
    reload(&served);
    assert_eq!(told(&served), two);
    world.write("zones/live.example.com.zone", &format!("{ZONE}more TXT \"\"\n"));
    reload(&served);
    assert_eq!(told(&served), format!("{two} modified"));
    assert_eq!(served.metric(&metric(&two, true)), 1.0);
    repository.git(&["checkout", "--quiet", "--force", "HEAD~"]);
    reload(&served);
    assert_eq!(told(&served), one);
}

#[test]
fn of_no_working_tree_and_of_one_without_a_commit_nothing_is_told() {
    let world = World::new();
    let served = world.serve();
    let refused = |served: &Served| {
        let question = Question { qclass: 3, ..Question::new("commit.server.", "TXT") };
        served.ask(&question).status()
    };
    assert_eq!(refused(&served), "REFUSED");
    assert!(status(&served)["commit"].is_null() && !served.get("/metrics").contains("commit_info"));
    let repository = Repository::new(&world.path(""));
    reload(&served);
    assert_eq!(refused(&served), "REFUSED");
    // The directory of the zones comes first, wherever it is.
    let zones = world.path("elsewhere/zones");
    fs::create_dir(world.path("elsewhere")).unwrap();
    fs::rename(world.path("zones"), &zones).unwrap();
    let of_zones = Repository::new(&world.path("elsewhere"));
    let of_zones = of_zones.commit("zones");
    let server = repository.commit("server");
    world.write("steerdns.toml", &format!("zones = \"elsewhere/zones\"\n{SERVER}"));
    reload(&served);
    assert_eq!(told(&served), of_zones);
    assert_ne!(server, of_zones);
}

#[test]
fn a_repository_that_is_broken_costs_a_warning_and_nothing_else() {
    let world = World::new();
    let repository = Repository::new(&world.path(""));
    repository.commit("one");
    fs::remove_file(world.path(".git/HEAD")).unwrap();
    let served = world.serve();
    let output = served.run(&["reload"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("is not known: not a git repository"), "{said}");
    assert!(status(&served)["commit"].is_null());
}
