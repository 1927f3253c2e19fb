//! What a load looked at, and how that looked: another look tells whether a new load would find anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::names;
use crate::files::read::is_of_zones;

/// What a git that is at work in a working tree leaves in its directory until it is done.
const GIT_LOCK: &str = "index.lock";
/// A lock that is older was left behind by a git that died.
const GIT_LOCK_AGE_MAX: Duration = Duration::from_secs(300);

/// What a load looked at: files and directories, present or not, behind whatever links lead to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `None`: it could not be read.
    files: BTreeMap<PathBuf, Option<Stamp>>,
    /// The names in each that a load goes by; `None`: it could not be listed.
    directories: BTreeMap<PathBuf, Option<BTreeSet<String>>>,
}

/// How a file looks without being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    octets: u64,
    modified: Option<SystemTime>,
    /// When its content, its name or its rights last changed, which nobody can set: seconds and nanoseconds. Its inode is no part of the
    /// stamp: some file systems number them anew at each look.
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|about| Stamp {
            octets: about.len(),
            modified: about.modified().ok(),
            changed: changed(&about),
        })
    }
}

#[cfg(unix)]
fn changed(about: &Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (about.ctime(), about.ctime_nsec())
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> (i64, i64) {
    (0, 0)
}

impl Seen {
    /// Looks at a file that is about to be read. Where it is read twice, the first look counts.
    pub(super) fn file(&mut self, path: &Path) {
        if !self.files.contains_key(path) {
            self.files.insert(path.to_owned(), Stamp::of(path));
        }
    }

    /// Takes down what a directory holds.
    pub(super) fn directory(&mut self, path: &Path, names: Option<&[String]>) {
        let names = names.map(|names| names.iter().filter(|name| is_of_zones(name)).cloned().collect());
        self.directories.entry(path.to_owned()).or_insert(names);
    }

    /// The files that could be read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().filter(|(_, stamp)| stamp.is_some()).map(|(path, _)| &**path)
    }

    /// The same, as it looks now.
    pub fn again(&self) -> Seen {
        let mut seen = Seen::default();
        for path in self.files.keys() {
            seen.file(path);
        }
        for path in self.directories.keys() {
            seen.directory(path, names(path).ok().as_deref());
        }
        seen
    }

    /// The first path at which the same looks otherwise.
    pub fn other_than(&self, earlier: &Seen) -> Option<&Path> {
        let file = self.files.iter().find(|(path, stamp)| earlier.files.get(*path) != Some(stamp));
        let directory =
            || self.directories.iter().find(|(path, names)| earlier.directories.get(*path) != Some(names));
        file.map(|(path, _)| &**path).or_else(|| directory().map(|(path, _)| &**path))
    }

    /// Whether a git is at work in a working tree that holds any of it.
    pub fn is_in_work(&self, now: SystemTime) -> bool {
        let parents = self.files.keys().filter_map(|path| path.parent());
        let directories: BTreeSet<&Path> =
            parents.chain(self.directories.keys().map(|path| &**path)).collect();
        let gits: BTreeSet<PathBuf> = directories.into_iter().filter_map(git_directory).collect();
        gits.iter().any(|git| {
            let locked = fs::metadata(git.join(GIT_LOCK)).and_then(|about| about.modified());
            locked.is_ok_and(|since| now.duration_since(since).is_ok_and(|age| age < GIT_LOCK_AGE_MAX))
        })
    }
}

/// The directory that git keeps for the working tree around a directory.
fn git_directory(directory: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(directory).ok()?;
    real.ancestors().find_map(|above| {
        let git = above.join(".git");
        let about = fs::metadata(&git).ok()?;
        if about.is_dir() {
            return Some(git);
        }
        // Of a linked working tree, a file that names it.
        let text = fs::read_to_string(&git).ok()?;
        Some(above.join(text.strip_prefix("gitdir:")?.trim()))
    })
}
