//! Programs that a test starts, and that end with it.
#![allow(dead_code)] // Each test binary uses its own part.
#![allow(clippy::disallowed_methods, reason = "a shell: it starts programs")]

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Set to 1: what is not installed is a failure, not a skip.
const REQUIRE: &str = "STEERDNS_REQUIRE_PEERS";
/// Where `./check peers --install` puts what npm has.
const NODE_MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers");

/// Says that something is missing.
fn missing(what: &str) {
    assert_ne!(std::env::var(REQUIRE).as_deref(), Ok("1"), "{what} is not installed");
    eprintln!("SKIPPED: needs {what}");
}

/// Whether all these files are there.
pub(crate) fn found(paths: &[&str]) -> bool {
    let absent = paths.iter().find(|path| !Path::new(path).exists());
    if let Some(absent) = absent {
        missing(absent);
    }
    absent.is_none()
}

/// The directory from which node finds a module.
pub(crate) fn node_module(name: &str) -> Option<PathBuf> {
    let there = Path::new(NODE_MODULES).join("node_modules").join(name).exists();
    if !there {
        missing(&format!("{name} of npm (npm install --prefix target/peers {name})"));
    }
    there.then(|| NODE_MODULES.into())
}

/// A Python that has a module.
pub(crate) fn python_module(name: &str) -> Option<&'static str> {
    let has = |python: &&str| {
        let tried =
            Command::new(python).args(["-c", &format!("import {name}")]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has);
    if python.is_none() {
        missing(&format!("python3-{name}"));
    }
    python
}

/// A port of loopback that nobody had a moment ago.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn start(program: &str, words: &[impl AsRef<OsStr>]) -> Program {
        Program::start_in(program, words, Path::new("/"))
    }

    /// The program is the first of the words.
    pub(crate) fn run(words: Vec<String>) -> Program {
        Program::start(&words[0], &words[1..])
    }

    /// In this directory.
    pub(crate) fn start_in(program: &str, words: &[impl AsRef<OsStr>], directory: &Path) -> Program {
        let mut command = Command::new(program);
        command.args(words).current_dir(directory);
        Program::spawn(command)
    }

    /// That says nothing here, but for errors.
    pub(crate) fn spawn(mut command: Command) -> Program {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // A group of its own: what it starts ends with it.
        Program(command.process_group(0).spawn().unwrap())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let group = format!("-{}", self.0.id());
        let sent = Command::new("kill").args([&format!("-{name}"), "--", &group]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
