//! A git repository of a test's own, through the program.
#![allow(dead_code)] // Each test binary uses its own part.
#![allow(clippy::disallowed_methods, reason = "a shell: it starts programs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A repository with a working tree, whose branch is `main`.
#[derive(Debug)]
pub struct Repository {
    /// The top of its working tree.
    pub top: PathBuf,
}

impl Repository {
    /// Makes one of what is there; nothing is committed yet.
    pub fn new(top: &Path) -> Repository {
        let repository = Repository { top: top.to_owned() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        for (key, value) in
            [("user.name", "Ana"), ("user.email", "ana@example.com"), ("commit.gpgsign", "false")]
        {
            repository.git(&["config", key, value]);
        }
        repository
    }

    /// Runs git in it; what it wrote, without the last line's end.
    pub fn git(&self, words: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.top).args(["-c", "safe.directory=*"]).args(words).stdin(Stdio::null());
        // Nothing of this machine's, nor of a git that runs the tests.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Commits all that changed: the commit's id.
    pub fn commit(&self, words: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", words]);
        self.git(&["rev-parse", "HEAD"])
    }
}
