//! What operators are told of their mistakes, word for word: `data/mistakes/*.txt`.
//!
//! A case is an operator's change to the good world of `data/mistakes/world`, and what is then said:
//!
//! ```text
//! == an interval without its unit
//! in zones/clusters.toml
//! - interval = "1s"
//! + interval = 1
//! says zones/clusters.toml:3:12: error: …
//! ```
//!
//! `-` lines stand in the file one below the other and are taken out, `+` lines take their place; without `-`
//! lines they come at the end. `new` begins a file, `gone` takes one away.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use steerdns::files::issue::{At, Issue, Severity, Source};
use steerdns::files::link::Linked;
use steerdns::files::read::{Disk, Tree, read};
use steerdns::files::show::{Format, counts, issues as shown};
use steerdns::wire::name::Name;
use steerdns::zone::record::{Record, rtype};

type World = BTreeMap<PathBuf, String>;

/// The good world that cases change.
fn good() -> World {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mistakes/world");
    let names = ["clusters.toml", "live.example.com.toml", "live.example.com.zone"];
    let paths = names.map(|name| format!("zones/{name}"));
    let paths = paths.iter().map(String::as_str).chain(["steerdns.toml"]);
    paths.map(|path| (path.into(), std::fs::read_to_string(root.join(path)).unwrap())).collect()
}

/// Reads a world that is in memory.
fn read_world(world: &World) -> (Option<Linked>, Vec<Issue>) {
    let file = |path: &Path| {
        let text = world.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(text.clone().into_bytes())
    };
    let names = |directory: &Path| {
        let within = world.keys().filter(|path| path.parent() == Some(directory));
        let names: Vec<String> =
            within.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    };
    let disk = Disk { file: &file, names: &names };
    read(Path::new("steerdns.toml"), Tree::InForce(&|_| None), disk, &records)
}

/// Owner and type of each line: all that linking asks of a master file.
fn records(source: &Arc<Source>, origin: &Name, _: &mut Vec<Issue>) -> (Vec<Record>, Vec<At>) {
    let (mut records, mut places) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let mut words = line.split_whitespace();
        if let (Some(owner), Some(word)) = (words.next(), words.next()) {
            let rtype = match word {
                "SOA" => rtype::SOA,
                "NS" => rtype::NS,
                "A" => rtype::A,
                "AAAA" => rtype::AAAA,
                "CNAME" => rtype::CNAME,
                "DNAME" => rtype::DNAME,
                _ => rtype::TXT,
            };
            let Ok(owner) = Name::parse(owner, Some(origin)) else { continue };
            records.push(Record { owner, rtype, ttl_s: 3600, rdata: Box::new([]) });
            places.push(At { source: source.clone(), span: start..start + line.trim_end().len() });
        }
        start += line.len();
    }
    (records, places)
}

/// One case of a file.
#[derive(Default)]
struct Case {
    title: String,
    changes: Vec<Change>,
    says: Vec<String>,
}

enum Change {
    Edit { path: PathBuf, out: Vec<String>, put: Vec<String> },
    New { path: PathBuf, put: Vec<String> },
    Gone(PathBuf),
}

/// The cases of a text.
fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "==" {
            cases.push(Case { title: rest.into(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a case begins with ==");
        match (word, case.changes.last_mut()) {
            ("in", _) => {
                case.changes.push(Change::Edit { path: rest.into(), out: Vec::new(), put: Vec::new() })
            }
            ("new", _) => case.changes.push(Change::New { path: rest.into(), put: Vec::new() }),
            ("gone", _) => case.changes.push(Change::Gone(rest.into())),
            ("-", Some(Change::Edit { out, .. })) => out.push(rest.into()),
            ("+", Some(Change::Edit { put, .. } | Change::New { put, .. })) => put.push(rest.into()),
            ("says", _) => case.says.push(rest.into()),
            _ => panic!("`{line}` is no line of a case"),
        }
    }
    cases
}

/// The good world with the changes of a case.
fn changed(case: &Case) -> World {
    let mut world = good();
    for change in &case.changes {
        match change {
            Change::Gone(path) => {
                world.remove(path).unwrap_or_else(|| panic!("{}: {path:?}", case.title));
            }
            Change::New { path, put } => {
                world.insert(path.clone(), put.iter().map(|line| format!("{line}\n")).collect());
            }
            Change::Edit { path, out, put } => {
                let text = world.get_mut(path).unwrap_or_else(|| panic!("{}: {path:?}", case.title));
                let (out, put) = (out.join("\n"), put.join("\n"));
                let there = format!("\n{text}").find(&format!("\n{out}\n"));
                let at = if out.is_empty() { Some(text.len()) } else { there };
                let at = at.unwrap_or_else(|| panic!("{}: no such line: {out}", case.title));
                text.replace_range(at..at + out.len(), &put);
            }
        }
    }
    world
}

/// The files of cases, by name.
fn case_files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mistakes");
    let files = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|ext| ext == "txt"));
    texts.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn the_good_world_has_no_issue() {
    let (linked, issues) = read_world(&good());
    assert_eq!(shown(&issues, Format::Short), "");
    assert_eq!(linked.unwrap().services.len(), 2);
}

#[test]
fn every_mistake_is_told_in_these_words() {
    let (mut count, mut wrong) = (0, String::new());
    for (path, text) in case_files() {
        for case in cases(&text) {
            count += 1;
            let (linked, issues) = read_world(&changed(&case));
            let said = shown(&issues, Format::Short);
            let expected: String = case.says.iter().map(|line| format!("{line}\n")).collect();
            if said != expected {
                let said: String = said.lines().map(|line| format!("says {line}\n")).collect();
                wrong.push_str(&format!("{path}\n== {}\n{said}\n", case.title));
            }
            assert_eq!(
                linked.is_none(),
                said.contains(" error: ") || said.starts_with("error: "),
                "{}",
                case.title
            );
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(count >= 60, "only {count} cases");
}

#[test]
fn a_mistake_is_shown_as_rustc_shows_it() {
    let mut world = good();
    let toml = world.get_mut(Path::new("zones/live.example.com.toml")).unwrap();
    *toml = toml.replace("[service.play]", "[service.www]").replace("check = \"edge\"", "check = \"egde\"");
    let (_, issues) = read_world(&world);
    let wanted = "\
error: `www.live.example.com.` is steered, and has CNAME records in the master file
 --> zones/live.example.com.toml:6:10
  |
6 | [service.www]
  |          ^^^
  |
 ::: zones/live.example.com.zone:4:1
  |
4 | www CNAME
  | --------- this record
  |
  = help: leave one of them out

error: no check is called `egde`
 --> zones/live.example.com.toml:8:9
  |
8 | check = \"egde\"
  |         ^^^^^^
  |
  = help: there is `edge`

";
    let said = shown(&issues, Format::Full);
    assert_eq!(said, wanted, "\n{said}");
    assert_eq!(counts(&issues), "2 errors");
}

#[test]
fn a_mistake_is_one_json_object_for_programs() {
    let mut world = good();
    let toml = world.get_mut(Path::new("zones/live.example.com.toml")).unwrap();
    *toml = toml.replace("ttl = \"20s\"", "ttl = \"20s\"\nttl = \"30s\"");
    let (_, issues) = read_world(&world);
    let wanted = concat!(
        r#"{"severity":"error","file":"zones/live.example.com.toml","line":5,"column":1,"end_line":5,"end_column":4,"#,
        r#""message":"`ttl` is written twice","help":null,"also":{"file":"zones/live.example.com.toml","#,
        r#""line":4,"column":1,"end_line":4,"end_column":4,"message":"first written here"}}"#,
        "\n"
    );
    assert_eq!(shown(&issues, Format::Json), wanted);
}

#[test]
fn a_file_in_another_encoding_is_told_as_such() {
    let world = good();
    let file = |path: &Path| match path.ends_with("clusters.toml") {
        true => Ok(b"# M\xfcnchen\n".to_vec()),
        false => world.get(path).map(|text| text.clone().into_bytes()).ok_or(io::ErrorKind::NotFound.into()),
    };
    let names = |_: &Path| Ok(vec!["clusters.toml".into(), "live.example.com.zone".into()]);
    let (linked, issues) = read(
        Path::new("steerdns.toml"),
        Tree::InForce(&|_| None),
        Disk { file: &file, names: &names },
        &records,
    );
    assert!(linked.is_none());
    assert_eq!(
        shown(&issues, Format::Short),
        "zones/clusters.toml:1:4: error: this is not UTF-8 text (save the file as UTF-8)\n"
    );
}

/// The example of the repository, as it lies on the disk.
fn example() -> (Option<Linked>, Vec<Issue>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |path: &Path| std::fs::read(root.join(path));
    let names = |directory: &Path| {
        let entries = std::fs::read_dir(root.join(directory))?;
        entries.map(|entry| Ok(entry?.file_name().into_string().unwrap())).collect()
    };
    let zone = |_: &Arc<Source>, _: &Name, _: &mut Vec<Issue>| (Vec::new(), Vec::new());
    read(Path::new("steerdns.toml"), Tree::InForce(&|_| None), Disk { file: &file, names: &names }, &zone)
}

#[test]
fn the_example_of_the_repository_has_no_issue() {
    let (linked, issues) = example();
    assert_eq!(shown(&issues, Format::Full), "");
    let linked = linked.unwrap();
    let keys: Vec<&str> = linked.inventory.clusters.iter().map(|cluster| &*cluster.key).collect();
    assert_eq!(keys, ["sin", "jkt", "bkk", "sgn", "iad", "pdx", "yyz", "fra", "lhr", "cdg", "gru", "eze"]);
    let owners: Vec<String> = linked.services.iter().map(|service| service.owner.to_string()).collect();
    assert_eq!(owners, ["ingest.live.example.com.", "play.live.example.com."]);
    assert_eq!(linked.policies.len(), 1);
    assert!(linked.inventory.clusters.iter().all(|cluster| (2..=4).contains(&cluster.nodes.len())));
}

/// A file of the good world, with a piece of it replaced.
fn mutated() -> impl Strategy<Value = World> {
    let piece = prop_oneof!["\\PC{0,12}", "[\\[\\]{}=.,\"'#\n 0-9a-z_-]{0,12}", Just("\u{feff}".to_owned())];
    (0usize..4, any::<prop::sample::Index>(), 0usize..30, piece).prop_map(|(file, at, len, piece)| {
        let mut world = good();
        let text = world.values_mut().nth(file).unwrap();
        let mut places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        places.push(text.len());
        let from = at.index(places.len());
        let to = (from + len).min(places.len() - 1);
        text.replace_range(places[from]..places[to], &piece);
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    // Reading never panics; it links exactly where no issue is an error; showing what it says never panics.
    #[test]
    fn a_slip_of_the_hand_never_panics(world in mutated()) {
        let (linked, issues) = read_world(&world);
        prop_assert_eq!(linked.is_none(), issues.iter().any(|issue| issue.severity == Severity::Error));
        for format in [Format::Full, Format::Coloured, Format::Short, Format::Json] {
            shown(&issues, format);
        }
    }

    // The same of files in which anything stands.
    #[test]
    fn arbitrary_text_never_panics(text in "(\\PC|\n|\\[|\\]|=|\"|\\.|[a-z]){0,200}", file in 0usize..4) {
        let mut world = good();
        *world.values_mut().nth(file).unwrap() = text;
        let (_, issues) = read_world(&world);
        shown(&issues, Format::Full);
    }

    // Mistakes in two files are told together: each as if it were alone.
    #[test]
    fn two_mistakes_give_two_issues(fall in 101i64..1000, answers in 65i64..1000) {
        let mut world = good();
        let clusters = world.get_mut(Path::new("zones/clusters.toml")).unwrap();
        *clusters = clusters.replace("fall = 5", &format!("fall = {fall}"));
        let steering = world.get_mut(Path::new("zones/live.example.com.toml")).unwrap();
        *steering = steering.replace("answers = 4", &format!("answers = {answers}"));
        let (_, issues) = read_world(&world);
        prop_assert_eq!(issues.len(), 2);
    }
}
