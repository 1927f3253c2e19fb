//! One run of git: its words, its time, its output, its end.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::processes::Group;

/// The most octets of its output that are read, of each of both; what is beyond ends it.
const OUTPUT_MAX: usize = 16 << 20;
/// How long the rest of what it wrote is waited for, once it has ended.
const REST_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether something else comes first.
const LOOK: Duration = Duration::from_millis(100);
/// Settings of this run, over whatever a repository says: no hooks, no daemons, no housekeeping behind our back.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "credential.interactive=false",
];
/// What an operator may tell git by its environment; whatever else begins with `GIT_` would be of another repository.
const TOLD: [&str; 6] = ["GIT_SSH", "GIT_SSL", "GIT_CONFIG", "GIT_PROXY", "GIT_HTTP", "GIT_ASKPASS"];

/// How long git may take, and what else ends it.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    /// From its start to its end.
    pub within: Duration,
    /// Set where it is to end at once, since something else comes first.
    pub stop: &'a AtomicBool,
}

/// Why git did not do what it was asked.
#[derive(Debug)]
pub enum Failed {
    /// There is no such program.
    Missing,
    /// It took too long, and was ended.
    Late(Duration),
    /// Something else comes first.
    Stopped,
    /// It said so, in its words; its exit status.
    Said(String, Option<i32>),
    /// The system's fault.
    System(io::Error),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failed::Missing => f.write_str("there is no `git` on this machine"),
            Failed::Late(within) => write!(f, "git did not end within {} s", within.as_secs()),
            Failed::Stopped => f.write_str("git was interrupted"),
            Failed::Said(words, _) => f.write_str(words),
            Failed::System(error) => write!(f, "git cannot be run: {error}"),
        }
    }
}

/// Whom git runs as: the user that the server becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The group's.
    pub gid: u32,
    /// Where the user's settings and keys are.
    pub home: PathBuf,
}

/// A git command that is not started yet.
#[derive(Debug)]
pub struct Git(Command);

impl Git {
    /// Git in a directory that belongs to whomever: `safe` is the top of its working tree, or its bare repository.
    pub fn within(directory: &Path, safe: &Path) -> Git {
        let mut command = Command::new("git");
        command.arg("-C").arg(directory);
        let mut trusted = OsString::from("safe.directory=");
        trusted.push(safe);
        command.arg("-c").arg(trusted);
        SETTINGS.iter().for_each(|setting| _ = command.args(["-c", setting]));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") && !TOLD.iter().any(|told| text.starts_with(told)) {
                command.env_remove(&name);
            }
        }
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
        // An ssh that has a question gets no answer, instead of waiting for one.
        command.env("SSH_ASKPASS", "/bin/false").env("SSH_ASKPASS_REQUIRE", "force");
        Git(command)
    }

    /// As another user, where that is not who we are.
    pub fn by(mut self, user: Option<&User>) -> Git {
        if let Some(User { uid, gid, home }) = user {
            self.0.uid(*uid).gid(*gid).env("HOME", home).env_remove("XDG_CONFIG_HOME");
        }
        self
    }

    /// With an index of its own.
    pub fn index(mut self, path: &Path) -> Git {
        self.0.env("GIT_INDEX_FILE", path);
        self
    }

    /// Further words of the command line.
    pub fn args(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Git {
        self.0.args(words);
        self
    }

    /// Runs it to its end: what it wrote.
    ///
    /// # Errors
    /// Why there is nothing.
    pub fn run(mut self, limit: Limit<'_>) -> Result<Vec<u8>, Failed> {
        // A group of its own: what it starts (ssh, helpers) is ended with it.
        self.0.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.0.spawn().map_err(not_run)?;
        let group = Group::led_by(Some(child.id()));
        let (done, ended) = mpsc::channel();
        thread::spawn(move || done.send(finish(child)));
        let until = Instant::now() + limit.within;
        let (status, output, words) = loop {
            match ended.recv_timeout(LOOK) {
                Ok(finished) => break finished.map_err(Failed::System)?,
                Err(_) if limit.stop.load(Ordering::Relaxed) => return Err(Failed::Stopped),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(_) => return Err(Failed::Late(limit.within)),
            }
        };
        drop(group);
        match status.success() {
            true => Ok(output),
            false => Err(Failed::Said(said(&words, status), status.code())),
        }
    }

    /// Starts it, to be asked one thing after the other: it is ended when this is dropped.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn talk(mut self) -> Result<Talk, Failed> {
        self.0.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = self.0.spawn().map_err(not_run)?;
        let group = Group::led_by(Some(child.id()));
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, answers) = pipes.ok_or_else(|| Failed::System(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Talk { questions, answers: BufReader::new(answers), child, group: Some(group) })
    }

    /// Runs it: what it wrote, as a line of text.
    ///
    /// # Errors
    /// As of [`run`](Git::run).
    pub fn line(self, limit: Limit<'_>) -> Result<String, Failed> {
        self.run(limit).map(|output| String::from_utf8_lossy(&output).trim_end().to_owned())
    }
}

fn not_run(error: io::Error) -> Failed {
    match error.kind() {
        io::ErrorKind::NotFound => Failed::Missing,
        _ => Failed::System(error),
    }
}

/// A git that is asked one thing after the other.
#[derive(Debug)]
pub struct Talk {
    /// Where it is asked.
    pub questions: ChildStdin,
    /// What it answers.
    pub answers: BufReader<ChildStdout>,
    child: Child,
    group: Option<Group>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        // Before it is waited for: nobody else has its number until then.
        drop(self.group.take());
        let _ = self.child.wait();
    }
}

/// Waits for its end: its exit status, and what it wrote on both outputs.
fn finish(mut child: Child) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (output, words) = (child.stdout.take().map(Gathered::of), child.stderr.take().map(Gathered::of));
    let status = child.wait()?;
    let taken = |gathered: Option<Gathered>| gathered.map(Gathered::taken).unwrap_or_default();
    Ok((status, taken(output), taken(words)))
}

/// What a run writes, read as it comes.
struct Gathered {
    octets: Arc<Mutex<Vec<u8>>>,
    /// Its sender is gone when nothing more comes.
    all: mpsc::Receiver<()>,
}

impl Gathered {
    fn of(mut from: impl Read + Send + 'static) -> Gathered {
        let (reading, all) = mpsc::channel::<()>();
        let octets = Arc::<Mutex<Vec<u8>>>::default();
        let gathered = Gathered { octets: Arc::clone(&octets), all };
        thread::spawn(move || {
            let mut part = [0; 1 << 14];
            while let Ok(count @ 1..) = from.read(&mut part) {
                let mut octets = octets.lock().unwrap_or_else(PoisonError::into_inner);
                octets.extend_from_slice(&part[..count]);
                if octets.len() > OUTPUT_MAX {
                    break;
                }
            }
            drop(reading);
        });
        gathered
    }

    /// All of it; or what is there, where a process that outlives the run (an ssh that is shared) holds the pipe open.
    fn taken(self) -> Vec<u8> {
        let _ = self.all.recv_timeout(REST_WITHIN);
        std::mem::take(&mut self.octets.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What it says of its failure, as one line: an error, or else its last word.
fn said(words: &[u8], status: ExitStatus) -> String {
    let words = String::from_utf8_lossy(words);
    let lines = || words.lines().map(str::trim).filter(|line| !line.is_empty());
    let errors = lines().filter_map(|line| line.strip_prefix("fatal: ").or(line.strip_prefix("error: ")));
    let line = errors.chain(lines().rev()).next().map(str::to_owned);
    let line = line.unwrap_or_else(|| format!("git ends with {status}"));
    line.chars().map(|character| if character.is_control() { ' ' } else { character }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let (stop, mark) = (AtomicBool::new(false), directory.path().join("pid"));
        let alias = format!("alias.long=!sleep 600 & echo $! >{}; sleep 600", mark.display());
        let git = |within| {
            let git = Git::within(directory.path(), directory.path()).args(["-c", &alias, "long"]);
            git.run(Limit { within, stop: &stop })
        };
        let failed = git(Duration::from_secs(1)).unwrap_err();
        assert_eq!(failed.to_string(), "git did not end within 1 s");
        let pid = std::fs::read_to_string(&mark).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // Whoever inherited it may not have waited for it yet.
        let is_gone =
            || state().rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"));
        while !is_gone() {
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(git(Duration::from_secs(600)).unwrap_err().to_string(), "git was interrupted");
    }

    #[test]
    fn a_failure_is_one_line_of_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let git = Git::within(directory.path(), directory.path()).args(["rev-parse", "HEAD"]);
        let failed = git.run(Limit { within: Duration::from_secs(10), stop: &stop }).unwrap_err();
        let words = failed.to_string();
        assert!(words.starts_with("not a git repository") && !words.contains('\n'), "{words}");
    }
}
