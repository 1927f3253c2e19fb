//! The files of a git revision, read as if they were on the disk. The program `git` reads them.
#![allow(clippy::disallowed_methods)] // What the repository has not is read from the disk.

use std::cell::RefCell;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::git::run::{Failed, Git, Limit, Talk};
use crate::git::tree;

/// How long git may take to say what is here.
const WITHIN: Duration = Duration::from_secs(60);

/// A commit of the repository around a directory.
pub(super) struct Revision {
    root: PathBuf,
    commit: String,
    /// `git cat-file`, which is asked object by object.
    objects: RefCell<Talk>,
}

impl Revision {
    /// The commit that `name` names in the repository around `directory`.
    ///
    /// # Errors
    /// There is no repository, no such commit, or no `git`.
    pub(super) fn open(directory: &Path, name: &str) -> Result<Revision, String> {
        let root = tree::top(directory)
            .ok_or_else(|| format!("`{name}` is no directory, and here is no git repository"))?;
        let revision = format!("{name}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &revision];
        let commit = asked(&root, &words).map_err(|failed| match failed {
            Failed::Said(..) => {
                format!("`{name}` is neither a directory nor a commit of {}", root.display())
            }
            failed => failed.to_string(),
        })?;
        let objects = Git::within(&root, &root).args(["cat-file", "--batch", "--follow-symlinks"]).talk();
        let objects = RefCell::new(objects.map_err(|failed| failed.to_string())?);
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        Ok(Revision { root, commit, objects })
    }

    /// Its first digits.
    pub(super) fn shown(&self) -> &str {
        self.commit.get(..12).unwrap_or(&self.commit)
    }

    /// A file as it is in the commit. What is outside of the repository, or ignored by it, is as it is on the disk.
    pub(super) fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let Some(within) = self.within(path) else { return fs::read(path) };
        match object(&mut self.objects.borrow_mut(), &format!("{}:{within}", self.commit))? {
            Some(octets) => Ok(octets),
            None if self.is_ignored(&within) => fs::read(path),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The names of the files of a directory of the commit.
    pub(super) fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let Some(within) = self.within(directory) else { return crate::load::names(directory) };
        let of = format!("{}:{within}", self.commit);
        let listed = asked(&self.root, &["ls-tree", "-z", &of]);
        let listed = listed.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        // `mode type object<TAB>name`; other names than UTF-8 are not ours.
        let rows =
            listed.split(|octet| *octet == 0).filter_map(|row| str::from_utf8(row).ok()?.split_once('\t'));
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
        asked(&self.root, &["check-ignore", "--quiet", "--", within]).is_ok()
    }
}

/// What an object holds; `None`: there is none.
fn object(git: &mut Talk, name: &str) -> io::Result<Option<Vec<u8>>> {
    if name.contains('\n') {
        return Ok(None);
    }
    writeln!(git.questions, "{name}")?;
    git.questions.flush()?;
    let mut head = String::new();
    git.answers.read_line(&mut head)?;
    // `<object> blob <octets>`, and the octets; or a word about why not.
    let words: Vec<&str> = head.split_whitespace().collect();
    let (is_blob, octets) = match *words.as_slice() {
        [_, kind, octets] => (kind == "blob", octets.parse::<u64>().ok()),
        [_, octets] => (false, octets.parse().ok()),
        _ => (false, None),
    };
    let Some(octets) = octets.filter(|_| !head.trim_end().ends_with(" missing")) else { return Ok(None) };
    let mut content = Vec::new();
    let read = (&mut git.answers).take(octets + 1).read_to_end(&mut content)?;
    if read as u64 != octets + 1 {
        return Err(io::Error::other("git ended early"));
    }
    content.pop();
    Ok(is_blob.then_some(content))
}

/// What git says of a repository.
fn asked(root: &Path, words: &[&str]) -> Result<Vec<u8>, Failed> {
    let stop = AtomicBool::new(false);
    Git::within(root, root).args(words).run(Limit { within: WITHIN, stop: &stop })
}
