//! Which commits were good, and which one is pinned.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{VERSION, bounded, replace};
use crate::alert::followed::Pin;

/// The file's name in the state directory.
const FILE: &str = "commits.json";

/// Which commits were good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptCommits {
    /// Those that were in force, the newest first.
    pub good: Vec<Arc<str>>,
    /// The one that is held.
    pub pin: Option<Pin>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    steerdns_commits: u32,
    good: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    commit: Arc<str>,
    who: Arc<str>,
    why: Arc<str>,
    since_unix_ms: u64,
}

/// Keeps them.
///
/// # Errors
/// The disk's.
pub fn write_commits(directory: &Path, kept: &KeptCommits) -> io::Result<()> {
    let pin = kept.pin.as_ref().map(|pin| Row {
        commit: pin.id.clone(),
        who: pin.who.clone(),
        why: pin.why.clone(),
        since_unix_ms: u64::try_from(pin.since.as_millis()).unwrap_or(u64::MAX),
    });
    let written = Written { steerdns_commits: VERSION, good: kept.good.clone(), pin };
    let mut text = serde_json::to_string_pretty(&written)?;
    text.push('\n');
    replace(directory, FILE, text.as_bytes())
}

/// Reads them. None, where there is no file.
///
/// # Errors
/// Why the file cannot be used, in a sentence.
pub fn read_commits(directory: &Path) -> Result<KeptCommits, String> {
    let path = directory.join(FILE);
    let unusable = |what: String| {
        format!("{}: {what}; no commit is pinned, and none is known to roll back to", path.display())
    };
    let Some(text) = bounded(&path).map_err(unusable)? else { return Ok(KeptCommits::default()) };
    let read: Written = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    if read.steerdns_commits != VERSION {
        return Err(unusable(format!("commits of version {}, not {VERSION}", read.steerdns_commits)));
    }
    let pin = read.pin.map(|row| Pin {
        id: row.commit,
        who: row.who,
        why: row.why,
        since: Duration::from_millis(row.since_unix_ms),
    });
    Ok(KeptCommits { good: read.good, pin })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn commits_and_a_pin_are_kept_and_a_broken_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_commits(directory.path()).unwrap(), KeptCommits::default());
        let since = Duration::from_millis(1_795_000_000_123);
        let pin = Pin { id: "b".into(), who: "ana".into(), why: "c \"fails\"".into(), since };
        let kept = KeptCommits { good: vec!["c".into(), "b".into()], pin: Some(pin) };
        write_commits(directory.path(), &kept).unwrap();
        assert_eq!(read_commits(directory.path()).unwrap(), kept);
        let text = fs::read_to_string(directory.path().join(FILE)).unwrap();
        for broken in ["", "{}", &text[..text.len() / 2], &text.replace("_commits\": 1", "_commits\": 2")] {
            fs::write(directory.path().join(FILE), broken).unwrap();
            let what = read_commits(directory.path()).unwrap_err();
            assert!(what.ends_with("none is known to roll back to"), "{what}");
        }
    }
}
