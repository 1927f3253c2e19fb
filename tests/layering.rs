//! The walls: which module may import which, held against every `crate::` and `super::super` in src/.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

/// Bottom first: a module may use those above it in this list, never those below. Modules of one line are
/// strangers to one another.
const LAYERS: &[&[&str]] = &[
    &["both", "metrics", "processes", "wire"],
    &["geo"],
    &["cluster"],
    &["health", "steering", "zone"],
    &["sets"],
    &["plan"],
    &["snapshot"],
    &["answer"],
    &["explain", "export", "impact"],
    &["why"],
    &["alert"],
    &["bending"],
    &["publisher"],
    &["files"],
    &["load", "admin", "courier", "git", "net", "notify", "probe", "state"],
    &["asked", "record"],
    &["server"],
    &["cli"],
];

/// Imports that point sideways, each with its reason.
const ALLOWED: &[(&str, &str, &str)] =
    &[("record", "net", "counts that belong to the transports are shown beside the others")];

/// Who may know TOML, hickory, tokio, the clock: crates that stay behind one door.
const DOORS: &[(&str, &[&str])] = &[
    ("toml::", &["files"]),
    ("hickory_server::", &["net"]),
    ("hickory_proto::", &["net"]),
    ("maxminddb::", &["geo"]),
    ("domain::", &["files"]),
    ("axum::", &["admin"]),
    ("hyper::", &["probe", "admin", "courier"]),
    ("rustls::", &["probe", "courier"]),
    ("x509_parser::", &["probe"]),
    ("lettre::", &["courier"]),
    ("jiff::", &["alert"]),
    ("hmac::", &["wire", "probe"]),
    ("sha1::", &["probe"]),
    ("crc32fast::", &["probe", "load"]),
    ("hashbrown::", &["geo", "steering", "zone", "files"]),
    ("sha2::", &["wire"]),
    ("siphasher::", &["wire", "steering", "load"]),
    ("base64::", &["files"]),
    ("nix::", &["server", "processes"]),
    ("rustix::", &["server"]),
    ("getrandom::", &["server", "state", "probe"]),
    ("libc::", &["net", "probe", "server"]),
    ("tokio::", &["courier", "net", "notify", "probe", "admin", "server", "cli", "state"]),
    ("tracing::", &["server", "cli", "net", "probe", "courier"]),
];

fn floor(module: &str) -> Option<usize> {
    LAYERS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn imports_only_point_down() {
    let mut wrong = Vec::new();
    for (module, path, text) in files() {
        for (number, line) in code(&text) {
            for target in mentioned(line) {
                let down =
                    matches!((floor(&target), floor(&module)), (Some(below), Some(own)) if below < own);
                let allowed = ALLOWED.iter().any(|(from, to, _)| *from == module && *to == target);
                if !down && !allowed && target != module {
                    wrong.push(format!("{}:{number}: {module} -> {target}", path.display()));
                }
            }
            if line.contains("super::super") {
                wrong.push(format!("{}:{number}: `super::super` hides where it points", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up or sideways, or name no module:\n{}", wrong.join("\n"));
}

#[test]
fn each_crate_stays_behind_its_door() {
    let mut wrong = Vec::new();
    for (module, path, text) in files() {
        for (number, line) in code(&text) {
            for (name, doors) in DOORS {
                let named = line.match_indices(name).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':')
                });
                if named && !doors.contains(&module.as_str()) {
                    wrong.push(format!("{}:{number}: {name} in {module}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "crates beyond their doors:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_floor() {
    let lib = fs::read_to_string("src/lib.rs").unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in declared {
        assert!(floor(module).is_some(), "`{module}` is on no floor");
    }
}

/// The modules that a line names by `crate::`.
fn mentioned(line: &str) -> Vec<String> {
    let targets = line.match_indices("crate::").filter_map(|(at, word)| {
        let before = line[..at].chars().next_back();
        if before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
            return None; // another crate's `…_crate::`
        }
        let rest = &line[at + word.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    });
    targets.collect()
}

/// The lines of a file that are code, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// All files of src/ with the module that each belongs to; lib.rs and main.rs belong to none.
fn files() -> Vec<(String, PathBuf, String)> {
    fn visit(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { visit(&path, found) } else { found.push(path) }
        }
    }
    let mut paths = Vec::new();
    visit(Path::new("src"), &mut paths);
    let files =
        paths.into_iter().filter(|path| !path.ends_with("src/lib.rs") && !path.ends_with("src/main.rs"));
    let files = files.map(|path| {
        let below = path.strip_prefix("src").unwrap();
        let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        (first.trim_end_matches(".rs").to_owned(), path, text)
    });
    files.collect()
}
