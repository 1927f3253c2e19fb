//! Zones that come from a repository: `[git]`, and `steerdns rollback`.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::commits::told;
use super::reloading::{switch, while_asked};
use super::support::ask::Question;
use super::support::git::Repository;
use super::support::served::{Served, steerdns, until, until_or};
use super::world::{SERVER, SINGAPORE, World, ZONE, played, status};

const ZONE_FILE: &str = "upstream/zones/live.example.com.zone";

/// A world whose zones and geofeed are in a repository beside the server's file.
fn world() -> (World, Repository) {
    let world = World::new();
    fs::create_dir(world.path("upstream")).unwrap();
    for name in ["zones", "own.csv"] {
        fs::rename(world.path(name), world.path(&format!("upstream/{name}"))).unwrap();
    }
    follow(&world, "upstream", "");
    let repository = Repository::new(&world.path("upstream"));
    (world, repository)
}

/// Has the server follow that repository.
fn follow(world: &World, repository: &str, more: &str) {
    world.write(
        "steerdns.toml",
        &format!("{SERVER}[git]\nrepository = \"{repository}\"\ninterval = \"1s\"\n{more}"),
    );
}

/// Commits a zone that tells of itself.
fn commit(world: &World, repository: &Repository, word: &str) -> String {
    world.write(ZONE_FILE, &format!("{ZONE}which TXT \"{word}\"\n"));
    repository.commit(word)
}

fn which(served: &Served) -> String {
    let answers = served.ask(&Question::new("which.live.example.com.", "TXT")).answers();
    answers.first().map_or(String::new(), |line| line.rsplit(' ').next().unwrap().to_owned())
}

/// Waits until that commit serves, and all of it.
fn until_told(served: &Served, id: &str, word: &str) {
    until_or(&format!("{word} serves"), || told(served) == id, || format!("{:#?}", served.messages()));
    assert_eq!(which(served), word);
}

fn until_alert(served: &Served, kind: &str, stands: bool) -> String {
    let found = || {
        let alerts = status(served)["alerts"].as_array().unwrap().clone();
        alerts
            .iter()
            .find(|alert| alert["alert"] == kind)
            .map(|alert| alert["summary"].as_str().unwrap().to_owned())
    };
    until_or(
        &format!("{kind}: {stands}"),
        || found().is_some() == stands,
        || format!("{:#?}", served.messages()),
    );
    found().unwrap_or_default()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn rollback(served: &Served, more: &[&str]) -> (bool, String) {
    let output = served.run(&[&["rollback"], more].concat());
    (output.status.success(), words(&output))
}

#[test]
fn a_commit_that_is_pushed_is_in_force_and_a_bad_one_is_refused_until_a_good_one_comes() {
    let (world, repository) = world();
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.12"]);
    let two = commit(&world, &repository, "two");
    until_told(&served, &two, "two");

    world.write(ZONE_FILE, &format!("{ZONE}bad A 192.0.2.999\nbad MX x\nwhich TXT \"bad\"\n"));
    let bad = repository.commit("bad");
    let summary = until_alert(&served, "CommitRefused", true);
    let beginning =
        format!("commit {} is refused, {} serves: zones/live.example.com.zone:10:", &bad[..12], &two[..12]);
    assert!(summary.starts_with(&beginning) && summary.ends_with("(and 1 more)"), "{summary}");
    assert_eq!((told(&served), which(&served)), (two.clone(), "two".into()));
    assert!(!served.get("/status").contains("ReloadRefused"));
    assert_eq!(served.metric("steerdns_git_refused"), 1.0);
    // It is not read again and again.
    let refused = served.metric("steerdns_reloads_total{outcome=\"refused\"}");
    let fetched = served.metric("steerdns_git_fetches_total{outcome=\"good\"}");
    until("it is fetched again", || served.metric("steerdns_git_fetches_total{outcome=\"good\"}") > fetched);
    assert_eq!((served.metric("steerdns_reloads_total{outcome=\"refused\"}"), refused), (1.0, 1.0));

    let (id, config) = (served.id(), served.config.clone());
    assert_eq!(served.stop().code(), Some(0), "{id}");
    let served = Served::start(&config);
    assert_eq!((told(&served), which(&served)), (two.clone(), "two".into()), "the last good one");
    assert!(words(&steerdns(&["check"], &config)).contains("1 zone"));
    until_alert(&served, "CommitRefused", true);

    let good = commit(&world, &repository, "good");
    until_told(&served, &good, "good");
    until_alert(&served, "CommitRefused", false);
    let shown = status(&served)["repository"].clone();
    assert_eq!(
        (&shown["in_force"], &shown["newest"], &shown["branch"]),
        (&good.into(), &shown["in_force"], &"main".into())
    );
    assert_eq!(shown["good"].as_array().unwrap().len(), 3, "{shown}");
}

#[test]
fn a_restart_needs_no_network() {
    let (world, repository) = world();
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    assert_eq!(served.stop().code(), Some(0));
    fs::rename(world.path("upstream"), world.path("gone")).unwrap();
    let served = world.serve();
    until_told(&served, &one, "one");
    assert_eq!(served.stop().code(), Some(0));
    // Nor the working copies, where somebody took them away.
    fs::remove_dir_all(world.path("state/git/trees")).unwrap();
    let served = world.serve();
    until_told(&served, &one, "one");
    let summary = until_alert(&served, "RepositoryUnreached", true);
    assert!(
        summary.starts_with(&format!("the repository cannot be fetched, {} serves: ", &one[..12])),
        "{summary}"
    );
    assert!(served.run(&["reload"]).status.success());
    fs::rename(world.path("gone"), world.path("upstream")).unwrap();
    let two = commit(&world, &repository, "two");
    until_told(&served, &two, "two");
    until_alert(&served, "RepositoryUnreached", false);
}

#[test]
fn where_no_commit_is_here_yet_a_start_without_a_repository_is_one_sentence() {
    let (world, repository) = world();
    let started = || steerdns(&["serve"], &world.config());
    let said = words(&started());
    let beginning = "steerdns: no commit of the repository is here yet, and it cannot be fetched: ";
    assert!(said.contains(beginning) && said.contains("refs/heads/main"), "{said}");
    let check = words(&steerdns(&["check"], &world.config()));
    assert!(check.contains("no commit of the repository is here yet"), "{check}");
    world.write(ZONE_FILE, "bad");
    repository.commit("bad");
    let said = words(&started());
    assert!(said.contains("live.example.com.zone:1"), "{said}");
    assert!(!world.path("state/git/current").exists());
}

#[test]
fn a_commit_that_loads_no_more_at_a_start_gives_way_to_one_that_does() {
    let (world, repository) = world();
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    assert_eq!(served.stop().code(), Some(0));
    // As if a newer program found fault with it.
    world.write(&format!("state/git/trees/{one}/zones/live.example.com.zone"), "bad");
    let output = steerdns(&["serve"], &world.config());
    assert!(
        output.status.code() == Some(1) && words(&output).contains("live.example.com.zone:1"),
        "{}",
        words(&output)
    );
    let two = commit(&world, &repository, "two");
    let served = world.serve();
    assert_eq!((told(&served), which(&served)), (two, "two".into()));
}

#[test]
fn a_repository_that_does_not_answer_holds_nothing_up() {
    let (world, repository) = world();
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    assert_eq!(served.stop().code(), Some(0));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    follow(&world, &format!("git://{}/zones", silent.local_addr().unwrap()), "");
    let served = world.serve();
    let (_asking, _) = silent.accept().unwrap();
    assert_eq!(which(&served), "one");
    assert!(served.run(&["reload"]).status.success());
    // One git at a time, and none after the end.
    let at = silent.local_addr().unwrap().to_string();
    let gits = || {
        let all = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
        all.filter(|line| line.starts_with(b"git\0-C") && String::from_utf8_lossy(line).contains(&at)).count()
    };
    assert_eq!(gits(), 1);
    let (good, said) = rollback(&served, &["--why", "x"]);
    assert!(
        !good && said.contains("no commit was in force before"),
        "it does not wait for the network: {said}"
    );
    assert_eq!(served.stop().code(), Some(0));
    until("git has ended, too", || gits() == 0);
}

#[test]
fn who_is_killed_in_the_middle_leaves_a_commit_that_serves() {
    let (world, repository) = world();
    let mut last = commit(&world, &repository, "zero");
    let mut served = world.serve_warm();
    until_told(&served, &last, "zero");
    for (word, mark) in [("one", "state/git/trees/ID.new"), ("two", "state/git/trees/ID"), ("three", "")] {
        let next = commit(&world, &repository, word);
        let mark = world.path(&mark.replace("ID", &next));
        let tree = world.path(&format!("state/git/trees/{next}"));
        until("git is at work", || mark.exists() || tree.exists());
        served.signal("KILL");
        served.ended();
        served = world.serve();
        let now = told(&served);
        assert!(now == last || now == next, "{now}");
        until_told(&served, &next, word);
        last = next;
    }
}

/// A new key of ssh; `None`: this machine cannot make one.
fn key(world: &World, name: &str) -> Option<PathBuf> {
    let path = world.path(name);
    match Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        made => {
            let made = made.unwrap();
            assert!(made.status.success(), "{}", words(&made));
            Some(path)
        }
    }
}

fn sign_with(repository: &Repository, key: &Path) {
    let key = key.to_str().unwrap();
    for (name, value) in [("gpg.format", "ssh"), ("user.signingkey", key), ("commit.gpgsign", "true")] {
        repository.git(&["config", name, value]);
    }
}

#[test]
fn where_signatures_are_demanded_none_is_taken_without_and_no_old_one_again() {
    let (world, repository) = world();
    let (Some(ours), Some(other)) = (key(&world, "ours"), key(&world, "other")) else {
        eprintln!("SKIPPED: ssh-keygen is not installed (Debian: openssh-client)");
        return;
    };
    let public = fs::read_to_string(world.path("ours.pub")).unwrap();
    world.write("signers", &format!("ana@example.com {public}"));
    follow(&world, "upstream", "signed = true\nallowed_signers = \"signers\"\n");
    sign_with(&repository, &ours);
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    let two = commit(&world, &repository, "two");
    until_told(&served, &two, "two");

    repository.git(&["config", "commit.gpgsign", "false"]);
    let unsigned = commit(&world, &repository, "unsigned");
    let not = |id: &str, why: &str| {
        let wanted = format!("commit {} is refused, {} serves: {why}", &id[..12], &two[..12]);
        until_or(
            &wanted,
            || status(&served)["alerts"].to_string().contains(&wanted),
            || format!("{:#?}", served.messages()),
        );
    };
    not(&unsigned, "it is not signed by anybody who is trusted");
    sign_with(&repository, &other);
    not(&commit(&world, &repository, "strange"), "it is not signed by anybody who is trusted");
    // Whoever has the repository, and no key, can show what was signed once.
    repository.git(&["reset", "--quiet", "--hard", &one]);
    not(&one, &format!("it does not come after {}", &two[..12]));
    assert_eq!((told(&served), which(&served)), (two.clone(), "two".into()));
    // An operator may go back; to what is not signed nobody may.
    assert!(rollback(&served, &[&one[..10], "--why", "two fails"]).0);
    assert_eq!(which(&served), "one");
    let (good, said) = rollback(&served, &[&unsigned[..10], "--why", "try it"]);
    assert!(!good && said.contains("it is not signed by anybody"), "{said}");
    assert_eq!(which(&served), "one");
}

#[test]
fn an_earlier_commit_is_held_until_the_branch_is_followed_again() {
    let (world, repository) = world();
    let mut commits = vec![commit(&world, &repository, "one")];
    let served = world.serve_warm();
    until_told(&served, &commits[0], "one");
    let (good, said) = rollback(&served, &["--why", "it fails"]);
    assert!(!good && said.ends_with("no commit was in force before this one: say which\n"), "{said}");
    for word in ["two", "three"] {
        commits.push(commit(&world, &repository, word));
        until_told(&served, commits.last().unwrap(), word);
    }
    let [one, two, _] = &commits[..] else { unreachable!() };

    let (good, said) = rollback(&served, &["--who", "ana", "--why", "three fails"]);
    let pinned = format!(
        "commit {} is in force and pinned; `steerdns rollback --resume` follows branch main again\n",
        &two[..12]
    );
    assert!(good && said == pinned, "{said}");
    assert_eq!((told(&served), which(&served)), (two.clone(), "two".into()));
    let summary = until_alert(&served, "CommitPinned", true);
    assert_eq!(
        summary,
        format!("commit {} is pinned, branch main is not followed (by ana: three fails)", &two[..12])
    );
    let pin = status(&served)["repository"]["pinned"].clone();
    assert_eq!(
        (&pin["commit"], &pin["who"], &pin["why"]),
        (&two.as_str().into(), &"ana".into(), &"three fails".into())
    );
    assert!(served.messages().contains(&format!("commit {} is pinned", &two[..12])));

    // What comes meanwhile is seen, and waits; a reload changes nothing of it, nor does a restart.
    let four = commit(&world, &repository, "four");
    until("four is seen", || status(&served)["repository"]["newest"] == *four);
    assert!(served.run(&["reload"]).status.success());
    assert_eq!(which(&served), "two");
    let (id, config) = (served.id(), served.config.clone());
    assert_eq!(served.stop().code(), Some(0), "{id}");
    let served = Served::start(&config);
    until("four is seen", || status(&served)["repository"]["newest"] == *four);
    assert_eq!((told(&served), which(&served)), (two.clone(), "two".into()));

    assert!(rollback(&served, &["--why", "two fails, too"]).0);
    assert_eq!(which(&served), "one");
    assert!(rollback(&served, &[&commits[2][..8], "--why", "three was right"]).0);
    assert_eq!(which(&served), "three");
    assert!(rollback(&served, &[one, "--why", "it was not"]).0);
    for (wrong, why) in [
        ("--oops", "unexpected argument"),
        ("HEAD~1", "is no id of a commit"),
        ("0000000", "means no commit"),
    ] {
        let (good, said) = rollback(&served, &[wrong, "--why", "x"]);
        assert!(!good && said.contains(why), "{said}");
    }
    assert!(!rollback(&served, &[one]).0, "no reason is given");
    assert_eq!(which(&served), "one");

    let (good, said) = rollback(&served, &["--resume"]);
    assert!(
        good && said == format!("branch main is followed again: commit {} is in force\n", &four[..12]),
        "{said}"
    );
    assert_eq!((told(&served), which(&served)), (four, "four".into()));
    until_alert(&served, "CommitPinned", false);
    let (good, said) = rollback(&served, &["--resume"]);
    assert!(!good && said.contains("no commit is pinned"), "{said}");
}

#[test]
fn a_commit_that_does_not_load_cannot_be_rolled_back_to() {
    let (world, repository) = world();
    world.write(ZONE_FILE, "bad");
    let bad = repository.commit("bad");
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    let (good, said) = rollback(&served, &[&bad, "--why", "x"]);
    assert!(!good && said.contains("is refused: zones/live.example.com.zone:1:1: error"), "{said}");
    assert_eq!((told(&served), which(&served)), (one, "one".into()));
    assert!(status(&served)["repository"]["pinned"].is_null());
}

#[test]
fn without_a_repository_there_is_nothing_to_roll_back() {
    let world = World::new();
    let served = world.serve();
    let (good, said) = rollback(&served, &["--why", "x"]);
    assert!(
        !good && said == "steerdns: no `[git]` is in steerdns.toml: there is nothing to roll back\n",
        "{said}"
    );
}

#[test]
fn the_repository_comes_and_goes_with_a_restart_alone() {
    let (world, repository) = world();
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    fs::create_dir(world.path("zones")).unwrap();
    world.write("zones/live.example.com.zone", ZONE);
    world.write("steerdns.toml", &SERVER.replace("geofeeds = [\"own.csv\"]", ""));
    let reload = served.run(&["reload"]);
    assert!(!reload.status.success() && words(&reload).contains("`[git]` is not in `"), "{}", words(&reload));
    assert_eq!(which(&served), "one");
    follow(&world, "upstream", "branch = \"other\"\n");
    let reload = served.run(&["reload"]);
    assert!(words(&reload).contains("what changed of `[git]` takes a restart"), "{}", words(&reload));
}

#[test]
fn a_working_copy_is_checked_before_it_is_committed() {
    let (world, _) = world();
    let check = |tree: &str| {
        let output = steerdns(
            &["check", "--format", "short", "--tree", world.path(tree).to_str().unwrap()],
            &world.config(),
        );
        (output.status.code(), words(&output))
    };
    assert_eq!(check("upstream"), (Some(0), String::new()));
    world.write(ZONE_FILE, "bad");
    let (code, said) = check("upstream");
    assert!(code == Some(1) && said.contains("live.example.com.zone:1:1: error"), "{said}");
    world.write("steerdns.toml", SERVER);
    assert!(check("upstream").1.contains("`[git]` is not in `"));
}

#[test]
fn what_git_makes_belongs_to_the_user_that_the_server_becomes() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (world, repository) = world();
    let is_root = fs::metadata(world.path("upstream")).unwrap().uid() == 0;
    if !is_root {
        eprintln!("SKIPPED: only root may become another user");
        return;
    }
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let server = fs::read_to_string(world.config()).unwrap();
    world.write("steerdns.toml", &format!("user = \"nobody\"\n{server}"));
    let give = || {
        assert!(
            Command::new("chown")
                .args(["-R", "nobody"])
                .arg(world.path("upstream"))
                .status()
                .unwrap()
                .success()
        )
    };
    let one = commit(&world, &repository, "one");
    give();
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    let two = commit(&world, &repository, "two");
    give();
    until_told(&served, &two, "two");
    let owner = |name: &str| fs::symlink_metadata(world.path(name)).unwrap().uid();
    for name in [format!("trees/{one}/zones"), format!("trees/{two}/zones"), "mirror.git/objects".into()] {
        assert_ne!(owner(&format!("state/git/{name}")), 0, "{name}");
    }
    until("the link is the user's, too", || owner("state/git/current") != 0);
    assert_eq!(fs::metadata(world.path("state")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_mirror_that_is_damaged_or_locked_for_ever_mends_itself() {
    let (world, repository) = world();
    let one = commit(&world, &repository, "one");
    let served = world.serve_warm();
    until_told(&served, &one, "one");
    let objects = world.path("state/git/mirror.git/objects");
    let empty = |directory: &Path| {
        let mut open = vec![directory.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let _ = fs::remove_file(&path).and_then(|()| fs::write(&path, ""));
                }
            }
        }
    };
    empty(&objects);
    let two = commit(&world, &repository, "two");
    until_told(&served, &two, "two");
    fs::remove_dir_all(&objects).unwrap();
    let three = commit(&world, &repository, "three");
    until_told(&served, &three, "three");
    // As a git leaves it that is killed.
    let lock = world.path("state/git/mirror.git/refs/steerdns/branch.lock");
    let file = fs::File::create(lock).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    let four = commit(&world, &repository, "four");
    until_told(&served, &four, "four");
}

#[test]
fn while_commits_come_good_and_bad_no_query_is_lost_or_answered_from_two_worlds() {
    const COMMITS: usize = 6;
    let (world, repository) = world();
    symlink("upstream/zones", world.path("zones")).unwrap();
    switch(&world, 'a');
    repository.commit("a");
    let served = world.serve_warm();
    let turns = while_asked(&served, |wait| {
        for number in 0..COMMITS {
            let next = if number % 2 == 0 { 'b' } else { 'a' };
            if number % 3 == 0 {
                let from = served.logged();
                world.write(ZONE_FILE, "bad");
                repository.commit("bad");
                served.run(&["reload"]);
                served.until_logged(from, "the reload is refused");
            }
            switch(&world, next);
            repository.commit("good");
            served.run(&["reload"]);
            wait(next);
        }
    });
    assert_eq!(turns, COMMITS);
    assert_eq!(served.metric("steerdns_reloads_total{outcome=\"refused\"}"), 2.0);
}
