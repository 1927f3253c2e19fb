//! A repository that is followed: what was fetched of it, and a working copy for each commit that may serve.
//!
//! ```text
//! git/mirror.git      bare: the branch, as it was fetched last
//! git/trees/<commit>  a working copy, whole: made beside (`<commit>.new`), put on the disk, then renamed
//! git/current         a link to the tree in force, put elsewhere by a rename: whoever is killed leaves the old one or the new one
//! ```
//!
//! One at a time uses it: who holds the control socket of the state directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::run::{Failed, Git, Limit, User};
use crate::files::git::{CURRENT, Git as Settings};

/// Where the branch is in the mirror.
const REF: &str = "refs/steerdns/branch";
/// A lock that is older was left behind by a git that was killed: none of ours runs for so long.
const LOCK_AGE_MAX: Duration = Duration::from_secs(900);
/// What git says of a repository that is damaged.
const DAMAGED: [&str; 6] =
    ["not a git repository", "corrupt", "bad object", "missing blob", "unable to read tree", "is empty"];

/// A repository that is followed.
#[derive(Clone, Debug)]
pub struct Mirror {
    settings: Settings,
    /// Whom git runs as, where that is not who we are.
    user: Option<User>,
}

impl Mirror {
    /// The mirror of these settings. Git runs as that user, where there is one; the directories become that user's.
    pub fn new(settings: Settings, user: Option<User>) -> Mirror {
        // Git is run within its directory: relative paths would mean something else there.
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let repository = match settings.repository.split('/').next().is_some_and(|first| first.contains(':'))
        {
            true => settings.repository.clone(),
            false => whole(Path::new(&*settings.repository)).to_string_lossy().into(),
        };
        let allowed_signers = settings.allowed_signers.as_deref().map(whole);
        let directory = whole(&settings.directory);
        Mirror { settings: Settings { repository, allowed_signers, directory, ..settings }, user }
    }

    /// What it is made by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn bare(&self) -> PathBuf {
        self.settings.directory.join("mirror.git")
    }

    fn trees(&self) -> PathBuf {
        self.settings.directory.join("trees")
    }

    fn git(&self) -> Git {
        let bare = self.bare();
        Git::within(&bare, &bare).by(self.user.as_ref()).args(["--git-dir", "."])
    }

    /// Makes the directories, for their owner alone.
    fn make(&self) -> io::Result<()> {
        for directory in [self.settings.directory.clone(), self.bare(), self.trees()] {
            fs::create_dir_all(&directory)?;
            if let Some(user) = &self.user {
                std::os::unix::fs::chown(&directory, Some(user.uid), Some(user.gid))?;
            }
        }
        Ok(())
    }

    /// Fetches the branch: its newest commit.
    ///
    /// # Errors
    /// Why it is not known, in a sentence. A mirror that is damaged is made anew by the next one.
    pub fn fetch(&self, limit: Limit<'_>) -> Result<String, Failed> {
        self.make().map_err(Failed::System)?;
        let Settings { repository, branch, .. } = &self.settings;
        let bare = self.bare();
        if !bare.join("HEAD").exists() {
            Git::within(&bare, &bare)
                .by(self.user.as_ref())
                .args(["init", "--quiet", "--bare", "--template="])
                .run(limit)?;
        }
        unlock(&bare, SystemTime::now());
        let refspec = format!("+refs/heads/{branch}:{REF}");
        let words =
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"];
        let fetched = self.git().args(words).args([&**repository, &refspec]).run(limit);
        let tip = fetched.and_then(|_| {
            self.git().args(["rev-parse", "--verify", &format!("{REF}^{{commit}}")]).line(limit)
        });
        if let Err(Failed::Said(words, _)) = &tip
            && DAMAGED.iter().any(|damaged| words.contains(damaged))
            && !self.is_sound(limit)
        {
            let _ = fs::remove_dir_all(&bare);
        }
        tip
    }

    /// Whether what the mirror holds can be read.
    fn is_sound(&self, limit: Limit<'_>) -> bool {
        !matches!(self.git().args(["fsck", "--connectivity-only"]).run(limit), Err(Failed::Said(..)))
    }

    /// The commit that words mean: an id or its beginning, `HEAD~2` is none.
    ///
    /// # Errors
    /// That none is.
    pub fn meant(&self, words: &str, limit: Limit<'_>) -> Result<String, Failed> {
        let is_id = words.len() >= 4 && words.bytes().all(|octet| octet.is_ascii_hexdigit());
        if !is_id {
            let what = format!("`{words}` is no id of a commit: at least 4 hexadecimal digits");
            return Err(Failed::Said(what, None));
        }
        let found =
            self.git().args(["rev-parse", "--verify", "--quiet", &format!("{words}^{{commit}}")]).line(limit);
        found.map_err(|failed| match failed {
            Failed::Said(..) => {
                let branch = &self.settings.branch;
                Failed::Said(format!("`{words}` means no commit, or several, of branch `{branch}`"), None)
            }
            failed => failed,
        })
    }

    /// Whether a commit is signed as it must be.
    ///
    /// # Errors
    /// That it is not, or why that is not known.
    pub fn verify(&self, id: &str, limit: Limit<'_>) -> Result<(), Failed> {
        if !self.settings.signed {
            return Ok(());
        }
        let mut git = self.git();
        if let Some(file) = &self.settings.allowed_signers {
            if let Err(error) = File::open(file) {
                return Err(Failed::Said(format!("`{}` cannot be read: {error}", file.display()), None));
            }
            let mut signers = OsString::from("gpg.ssh.allowedSignersFile=");
            signers.push(file);
            // Whoever is in a keyring beside it is not meant.
            git = git.args([OsString::from("-c"), signers]);
            git = git.args([
                "-c",
                "gpg.program=/bin/false",
                "-c",
                "gpg.openpgp.program=/bin/false",
                "-c",
                "gpg.x509.program=/bin/false",
            ]);
        }
        git.args(["verify-commit", id]).run(limit).map(drop).map_err(|failed| match failed {
            Failed::Said(words, status) => {
                // Git says nothing of a commit that is not signed at all.
                let words =
                    if words.starts_with("git ends with") { String::new() } else { format!(": {words}") };
                Failed::Said(format!("it is not signed by anybody who is trusted{words}"), status)
            }
            failed => failed,
        })
    }

    /// Whether a commit comes after another one, or is it.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn is_after(&self, id: &str, earlier: &str, limit: Limit<'_>) -> Result<bool, Failed> {
        match self.git().args(["merge-base", "--is-ancestor", earlier, id]).run(limit) {
            Ok(_) => Ok(true),
            Err(Failed::Said(_, Some(1))) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    /// A working copy of a commit, whole. Once it is there, nothing is asked of git for it.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn tree(&self, id: &str, limit: Limit<'_>) -> Result<PathBuf, Failed> {
        let tree = self.trees().join(id);
        if tree.is_dir() {
            return Ok(tree);
        }
        self.make().map_err(Failed::System)?;
        let (fresh, index) =
            (self.trees().join(format!("{id}.new")), self.trees().join(format!("{id}.index")));
        let _ = fs::remove_dir_all(&fresh);
        let _ = fs::remove_file(&index);
        fs::create_dir(&fresh).map_err(Failed::System)?;
        if let Some(user) = &self.user {
            std::os::unix::fs::chown(&fresh, Some(user.uid), Some(user.gid)).map_err(Failed::System)?;
        }
        let git = Git::within(&fresh, &self.bare()).by(self.user.as_ref()).index(&index);
        let git =
            git.args(["-c", "core.bare=false", "--git-dir"]).args([self.bare()]).args(["--work-tree", "."]);
        let checked_out = git.args(["read-tree", "--reset", "-u", id]).run(limit);
        let _ = fs::remove_file(&index);
        checked_out?;
        let kept = on_disk(&fresh)
            .and_then(|()| fs::rename(&fresh, &tree))
            .and_then(|()| on_disk_alone(&self.trees()));
        kept.map_err(Failed::System)?;
        Ok(tree)
    }

    /// The commit in force, as of the last life or this one.
    pub fn in_force(&self) -> Option<String> {
        let tree = fs::canonicalize(self.settings.directory.join(CURRENT)).ok()?;
        Some(tree.file_name()?.to_str()?.to_owned())
    }

    /// The commit that was in force last, though its tree may be gone.
    pub fn linked(&self) -> Option<String> {
        let tree = fs::read_link(self.settings.directory.join(CURRENT)).ok()?;
        Some(tree.file_name()?.to_str()?.to_owned())
    }

    /// From now on a start serves this commit, of which there is a tree.
    ///
    /// # Errors
    /// The disk's.
    pub fn put_in_force(&self, id: &str) -> io::Result<()> {
        let (link, fresh) =
            (self.settings.directory.join(CURRENT), self.settings.directory.join("current.new"));
        let _ = fs::remove_file(&fresh);
        symlink(Path::new("trees").join(id), &fresh)?;
        fs::rename(&fresh, &link)?;
        on_disk_alone(&self.settings.directory)
    }

    /// Takes away the trees of all commits but these, and packs what was fetched.
    pub fn tidy(&self, keep: &BTreeSet<String>, limit: Limit<'_>) {
        for entry in fs::read_dir(self.trees()).into_iter().flatten().flatten() {
            if !keep.iter().any(|id| *id.as_str() == *entry.file_name()) {
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
        // Where it cannot, it is tried again after the next commit.
        let _ = self
            .git()
            .args(["-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet"])
            .run(limit);
    }
}

/// Takes away locks that nobody holds any more.
fn unlock(directory: &Path, now: SystemTime) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
        let age = about.modified().ok().and_then(|since| now.duration_since(since).ok());
        if about.is_dir() && path.file_name().is_some_and(|name| name != "objects") {
            unlock(&path, now);
        } else if path.extension().is_some_and(|end| end == "lock")
            && age.is_some_and(|age| age > LOCK_AGE_MAX)
        {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Waits until all of a directory is on the disk.
fn on_disk(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => on_disk(&entry.path())?,
            kind if kind.is_file() => File::open(entry.path())?.sync_all()?,
            _ => {}
        }
    }
    on_disk_alone(directory)
}

/// Waits until the names in a directory are on the disk.
fn on_disk_alone(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
