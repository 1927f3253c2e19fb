//! What docs/ say of tests is true: each that they name exists, and each reason for a difference is told.
#![allow(clippy::disallowed_methods, reason = "a test reads files")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// All files of tests.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What stands in the last column of a page's tables of tests: file, and test where one is named.
fn named(page: &str) -> Vec<(String, Option<String>)> {
    let text = read(page);
    let tables = text.split("\n## ").filter(|part| part.contains(" test |") || part.contains(" tests |"));
    let rows = tables.flat_map(str::lines).filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit('|').next());
    let split = |name: &str| match name.split_once("::") {
        Some((file, test)) => (file.to_owned(), Some(test.to_owned())),
        None => (name.to_owned(), None),
    };
    cells.flat_map(quoted).map(split).collect()
}

#[test]
fn tests_that_are_named_exist() {
    let sources = sources();
    for page in ["docs/conformance.md", "docs/limits.md"] {
        let named = named(page);
        assert!(named.len() >= 20, "{page}: {named:?}");
        for (file, test) in named {
            let mut files = sources.iter().filter(|path| path.file_stem().is_some_and(|stem| *stem == *file));
            let holds = |path: &PathBuf| {
                let text = fs::read_to_string(path).unwrap();
                test.as_ref().is_none_or(|test| text.contains(&format!("fn {test}()")))
            };
            assert!(files.any(holds), "{page}: there is no `{file}::{}`", test.as_deref().unwrap_or("*"));
        }
    }
}

#[test]
fn every_file_of_rules_is_told_of() {
    let page = read("docs/conformance.md") + &read("docs/limits.md");
    for path in sources().iter().filter(|path| path.parent().unwrap().ends_with("conformance")) {
        let module = path.file_stem().unwrap().to_str().unwrap();
        assert!(module == "desk" || page.contains(&format!("`{module}")), "{module}");
    }
}

#[test]
fn every_reason_for_a_difference_is_told() {
    let page = read("docs/conformance.md");
    let mut told = 0;
    for file in ["tests/differential/licences.rs", "tests/differential/faults.rs"] {
        let source = read(file);
        for name in
            source.lines().filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","))
        {
            assert!(page.contains(&format!("| {name} |")), "{file}: {name}");
            told += 1;
        }
    }
    assert!(told > 20, "{told}");
}
