//! Programs of others, for as long as a test lasts.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whether a program is installed; else said so, and `STEERDNS_REQUIRE_PEERS=1` makes that a failure.
pub(crate) fn installed(program: &str, package: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        assert_ne!(std::env::var("STEERDNS_REQUIRE_PEERS").as_deref(), Ok("1"), "{program} is not installed");
        eprintln!("SKIPPED: needs {program} ({package})");
    }
    there
}

/// A program that runs until it is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(program: &str, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Running {
        let mut command = Command::new(program);
        let command = command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
