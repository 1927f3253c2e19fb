//! The files of a git revision, read as if they were on the disk. The program `git` reads them.
#![allow(clippy::disallowed_methods)] // What the repository has not is read from the disk.

use std::cell::RefCell;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A commit of the repository around a directory.
pub(super) struct Revision {
    root: PathBuf,
    commit: String,
    objects: RefCell<Objects>,
}

/// `git cat-file`, which is asked object by object.
struct Objects {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Revision {
    /// The commit that `name` names in the repository around `directory`.
    ///
    /// # Errors
    /// There is no repository, no such commit, or no `git`.
    pub(super) fn open(directory: &Path, name: &str) -> Result<Revision, String> {
        let root = git(directory, &["rev-parse", "--show-toplevel"])
            .map_err(|why| format!("`{name}` is no directory, and here is no git repository ({why})"))?;
        let root = PathBuf::from(root.trim_end_matches('\n'));
        let commit = git(
            &root,
            &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")],
        )
        .map_err(|_| format!("`{name}` is neither a directory nor a commit of {}", root.display()))?;
        let mut child = command(&root, &["cat-file", "--batch", "--follow-symlinks"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("git cannot be run: {error}"))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, answers) = pipes.ok_or("git has no pipes")?;
        let objects = RefCell::new(Objects { child, questions, answers: BufReader::new(answers) });
        Ok(Revision { root, commit: commit.trim().to_owned(), objects })
    }

    /// Its first digits.
    pub(super) fn shown(&self) -> &str {
        self.commit.get(..12).unwrap_or(&self.commit)
    }

    /// A file as it is in the commit. What is outside of the repository, or ignored by it, is as it is on the disk.
    pub(super) fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let Some(within) = self.within(path) else { return fs::read(path) };
        match self.objects.borrow_mut().read(&format!("{}:{within}", self.commit))? {
            Some(octets) => Ok(octets),
            None if self.is_ignored(&within) => fs::read(path),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The names of the files of a directory of the commit.
    pub(super) fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let Some(within) = self.within(directory) else { return crate::load::names(directory) };
        let listed = git(&self.root, &["ls-tree", "-z", &format!("{}:{within}", self.commit)]);
        let listed = listed.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        // `mode type object<TAB>name`
        let rows = listed.split('\0').filter_map(|row| row.split_once('\t'));
        Ok(rows.filter(|(about, _)| about.contains(" blob ")).map(|(_, name)| name.to_owned()).collect())
    }

    /// A path as the repository has it; `None`: outside.
    fn within(&self, path: &Path) -> Option<String> {
        let mut plain = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => _ = plain.pop(),
                Component::CurDir => {}
                part => plain.push(part),
            }
        }
        plain.strip_prefix(&self.root).ok()?.to_str().map(str::to_owned)
    }

    fn is_ignored(&self, within: &str) -> bool {
        git(&self.root, &["check-ignore", "--quiet", "--", within]).is_ok()
    }
}

impl Objects {
    /// What an object holds; `None`: there is none.
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        if name.contains('\n') {
            return Ok(None);
        }
        writeln!(self.questions, "{name}")?;
        self.questions.flush()?;
        let mut head = String::new();
        self.answers.read_line(&mut head)?;
        // `<object> blob <octets>`, and the octets; or a word about why not.
        let words: Vec<&str> = head.split_whitespace().collect();
        let (is_blob, octets) = match *words.as_slice() {
            [_, kind, octets] => (kind == "blob", octets.parse::<u64>().ok()),
            [_, octets] => (false, octets.parse().ok()),
            _ => (false, None),
        };
        let Some(octets) = octets.filter(|_| !head.trim_end().ends_with(" missing")) else { return Ok(None) };
        let mut content = Vec::new();
        let read = (&mut self.answers).take(octets + 1).read_to_end(&mut content)?;
        if read as u64 != octets + 1 {
            return Err(io::Error::other("git ended early"));
        }
        content.pop();
        Ok(is_blob.then_some(content))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(words).stdin(Stdio::null()).env("GIT_OPTIONAL_LOCKS", "0");
    command
}

/// What `git` says.
fn git(directory: &Path, words: &[&str]) -> Result<String, String> {
    let run = command(directory, words).output().map_err(|error| format!("git cannot be run: {error}"))?;
    match run.status.success() {
        true => String::from_utf8(run.stdout).map_err(|error| error.to_string()),
        false => Err(String::from_utf8_lossy(&run.stderr).lines().next().unwrap_or("it says no").to_owned()),
    }
}
