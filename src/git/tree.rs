//! The commit of a working tree that files are read from.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::run::{Failed, Git, Limit};
use crate::plan::parts::Commit;

/// The commit of the working tree that holds a directory, if there is one. It is modified where a file of the commit differs, or where one of
/// those that were `read` is no part of it.
///
/// # Errors
/// A sentence: there is a working tree, and it cannot be looked at.
pub fn commit<'r>(
    directory: &Path,
    read: impl Iterator<Item = &'r Path>,
    limit: Limit<'_>,
) -> Result<Option<Commit>, String> {
    let Some(top) = top(directory) else { return Ok(None) };
    let of_top = |failed: Failed| format!("the commit of `{}` is not known: {failed}", top.display());
    let git = || Git::within(&top, &top);
    let id = match git().args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).line(limit) {
        // Nothing is committed yet.
        Err(Failed::Said(_, Some(1))) => return Ok(None),
        id => id.map_err(of_top)?,
    };
    let status = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all"];
    let status = git().args(status).run(limit).map_err(of_top)?;
    let (strange, changed): (Vec<&[u8]>, Vec<&[u8]>) = status
        .split(|octet| *octet == 0)
        .filter(|entry| !entry.is_empty())
        .partition(|entry| entry.starts_with(b"?? "));
    let is_modified = !changed.is_empty()
        || !strange.is_empty() && {
            let read: HashSet<PathBuf> = read.filter_map(|path| fs::canonicalize(path).ok()).collect();
            strange.iter().any(|entry| read.contains(&top.join(OsStr::from_bytes(&entry[3..]))))
        };
    Ok(Some(Commit { id: id.into(), is_modified }))
}

/// The top of the working tree that holds a directory.
pub fn top(directory: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(directory).ok()?;
    real.ancestors().find(|above| above.join(".git").exists()).map(Path::to_owned)
}
