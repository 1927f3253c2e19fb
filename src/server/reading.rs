//! What a server reads: its files, and the commit that they are of.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::start::Loader;
use crate::files::issue::{Issue, Severity};
use crate::git::run::Limit;
use crate::git::tree;
use crate::load::kept::KeptMaps;
use crate::load::seen::Seen;
use crate::load::{Loaded, beside, load_kept};
use crate::plan::parts::Commit;

/// How long git may take to say of which commit files are: a load waits for it.
const GIT_WITHIN: Duration = Duration::from_secs(5);

/// Reads what this steerdns.toml names.
pub fn loader(config: PathBuf) -> Loader {
    let kept = Arc::<KeptMaps>::default();
    Arc::new(move |tree| {
        let mut reading = load_kept(&config, tree, &kept);
        if let Ok(loaded) = &mut reading.loaded {
            match commit(&config, loaded, &reading.seen) {
                Ok(commit) => loaded.plan.settings.commit = commit,
                Err(what) => {
                    loaded.issues.push(Issue { severity: Severity::Warning, ..Issue::of_all(what) });
                }
            }
        }
        reading
    })
}

/// The commit of the repository that is followed; or else of the working tree that holds the zones; or else, steerdns.toml.
fn commit(config: &Path, loaded: &Loaded, seen: &Seen) -> Result<Option<Commit>, String> {
    if let Some(tree) = &loaded.server.tree {
        let id = tree.file_name().map(|id| id.to_string_lossy());
        return Ok(id.map(|id| Commit { id: id.into(), is_modified: false }));
    }
    let limit = Limit { within: GIT_WITHIN, stop: &AtomicBool::new(false) };
    let mut found = None;
    for directory in [&loaded.server.zones.value, beside(config)] {
        found = tree::commit(directory, seen.files(), limit)?;
        if found.is_some() {
            break;
        }
    }
    // What changed since it was read may be of another one.
    let is_other = found.is_some() && seen.again() != *seen;
    Ok(found.map(|commit| Commit { is_modified: commit.is_modified || is_other, ..commit }))
}
