//! What was told of alerts, and what had not reached its receiver.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{SIZE_MAX, VERSION, bounded, replace, too_large};
use crate::alert::desk;
use crate::alert::notification::Notification;

/// The file's name in the state directory.
const FILE: &str = "alerts.json";

/// What was told of alerts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptAlerts {
    /// Those that were told, and whose end was not.
    pub told: Vec<desk::Kept>,
    /// What had not reached its receiver, by receiver; by mail, by mailbox.
    pub waiting: BTreeMap<Arc<str>, Vec<Arc<Notification>>>,
}

#[derive(Serialize, Deserialize)]
struct Written<Kept> {
    steerdns_alerts: u32,
    #[serde(flatten)]
    kept: Kept,
}

/// Keeps what was told of alerts.
///
/// # Errors
/// The disk's, or that it is too much to be read again.
pub fn write_alerts(directory: &Path, kept: &KeptAlerts) -> io::Result<()> {
    let mut text = serde_json::to_string(&Written { steerdns_alerts: VERSION, kept })?;
    text.push('\n');
    if text.len() > SIZE_MAX {
        return Err(io::Error::other(too_large()));
    }
    replace(directory, FILE, text.as_bytes())
}

/// Reads it. Nothing, where there is no file.
///
/// # Errors
/// Why the file cannot be used, in a sentence.
pub fn read_alerts(directory: &Path) -> Result<KeptAlerts, String> {
    let path = directory.join(FILE);
    let unusable = |what: String| format!("{}: {what}; alerts that were told are told again", path.display());
    let Some(text) = bounded(&path).map_err(unusable)? else { return Ok(KeptAlerts::default()) };
    let read: Written<KeptAlerts> =
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    match read.steerdns_alerts {
        VERSION => Ok(read.kept),
        other => Err(unusable(format!("alerts of version {other}, not {VERSION}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::alert::condition::{Condition, Identity, Kind, Label, Place, Region};
    use crate::alert::message::test;
    use crate::alert::notification::{Group, Scope};

    fn kept(summary: String) -> KeptAlerts {
        let region = Some(Region { key: "asia".into(), clusters: 3, nodes: 12 });
        let condition = Condition {
            identity: Identity { kind: Kind::NodeDown, labels: vec![(Label::Cluster, "sin".into())] },
            summary,
            since: Duration::from_millis(1_795_000_000_123),
            place: Some(Place { cluster: "sin".into(), nodes: 4, region }),
            is_said: true,
        };
        let group = Group { name: "NodeDown/sin/1".into(), scope: Some(Scope::Cluster("sin".into())) };
        let told =
            vec![desk::Kept { condition, group: group.into(), at: Duration::from_secs(1_795_000_030) }];
        let waiting = BTreeMap::from([("chat".into(), test(Duration::from_secs(1)).map(Arc::new).into())]);
        KeptAlerts { told, waiting }
    }

    #[test]
    fn what_was_told_of_alerts_is_kept_and_a_broken_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_alerts(directory.path()).unwrap(), KeptAlerts::default());
        let kept = kept("sin-1 is \"down\"".into());
        write_alerts(directory.path(), &kept).unwrap();
        assert_eq!(read_alerts(directory.path()).unwrap(), kept);
        let path = directory.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "it is no larger than it must be");
        for broken in ["", "{}", &text[..text.len() / 2], &text.replace("_alerts\":1", "_alerts\":2")] {
            fs::write(&path, broken).unwrap();
            let what = read_alerts(directory.path()).unwrap_err();
            assert!(what.ends_with("alerts that were told are told again"), "{what}");
        }
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written_over_what_can() {
        let directory = tempfile::tempdir().unwrap();
        let small = kept("sin-1".into());
        write_alerts(directory.path(), &small).unwrap();
        let error = write_alerts(directory.path(), &kept("x".repeat(SIZE_MAX))).unwrap_err();
        assert_eq!(error.to_string(), "larger than 64 MiB");
        assert_eq!(read_alerts(directory.path()).unwrap(), small);
    }
}
