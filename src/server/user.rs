//! The user that the program becomes once its ports are open.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, chown, initgroups, setgid, setuid};

use super::start::NotStarted;
use crate::files::document::Written;
use crate::files::issue::Issue;
use crate::files::{server, show};
use crate::git::run;

/// Becomes that user: for good, and all threads. The state directory, and what is in it, becomes the user's, too.
pub(super) fn become_user(wanted: &Written<server::User>, state: &Path) -> Result<(), NotStarted> {
    let server::User { user, group } = &wanted.value;
    let failed = |what: String| {
        let issue = Issue::error(wanted.at.clone(), format!("cannot become user `{user}`: {what}"));
        NotStarted(show::issues(&[issue], show::Format::Full))
    };
    let found = User::from_name(user).map_err(|error| failed(error.to_string()))?;
    let found = found.ok_or_else(|| failed("this machine has none of that name".into()))?;
    let gid = match group {
        Some(group) => {
            let found = Group::from_name(group).map_err(|error| failed(error.to_string()))?;
            found.ok_or_else(|| failed(format!("this machine has no group `{group}`")))?.gid
        }
        None => found.gid,
    };
    if (Uid::effective(), Gid::effective()) == (found.uid, gid) {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        return Err(failed(
            "only root can become somebody else; start it as root, or leave `user` out".into(),
        ));
    }
    own(state, found.uid, gid).map_err(|error| failed(format!("`{}`: {error}", state.display())))?;
    let name = std::ffi::CString::new(user.as_str()).map_err(|error| failed(error.to_string()))?;
    let done = initgroups(&name, gid).and_then(|()| setgid(gid)).and_then(|()| setuid(found.uid));
    done.map_err(|error| failed(error.to_string()))?;
    // What cannot be taken back is looked at: root again would be a hole.
    if setuid(Uid::from_raw(0)).is_ok() && !found.uid.is_root() {
        return Err(failed("the system lets it become root again".into()));
    }
    Ok(())
}

/// Whom git runs as: this user, where we are it, or may become it.
pub(super) fn of_git(wanted: &server::User) -> Option<run::User> {
    let found = User::from_name(&wanted.user).ok()??;
    let gid = match &wanted.group {
        Some(group) => Group::from_name(group).ok()??.gid,
        None => found.gid,
    };
    let may = Uid::effective().is_root() || Uid::effective() == found.uid;
    may.then(|| run::User { uid: found.uid.as_raw(), gid: gid.as_raw(), home: found.dir })
}

/// Of files that the program could read before, those that it now cannot: with them a reload would be refused.
#[allow(clippy::disallowed_methods, reason = "it looks whether load could")]
pub(super) fn unreadable<'f>(files: impl Iterator<Item = &'f Path>) -> Vec<&'f Path> {
    files.filter(|path| File::open(path).is_err()).collect()
}

/// Gives a directory and the files in it to a user.
#[allow(clippy::disallowed_methods, reason = "the state directory is ours to make")]
pub(super) fn own(directory: &Path, uid: Uid, gid: Gid) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    chown(directory, Some(uid), Some(gid))?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // A link may lead to what is not ours to give away.
        if entry.file_type()?.is_file() {
            chown(&entry.path(), Some(uid), Some(gid))?;
        }
    }
    Ok(())
}
