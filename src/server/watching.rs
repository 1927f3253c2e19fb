//! Files that change are read anew by themselves: a look at them now and then, and a reload once they have come to rest.
//!
//! It looks instead of being told. The system tells of what is changed through this machine's own directories; not of what another one
//! changes on a network disk, nor of a link somewhere in a path that is put elsewhere.
#![allow(clippy::disallowed_methods)] // It hands the clock to itself.

use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::publishing::Wanted;
use crate::files::server::Reload;
use crate::load::seen::Seen;

/// How often it looks at most, and at least.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// What the last load looked at, be it refused.
    pub(super) seen: Seen,
    /// Whether, and when, it is read anew.
    pub(super) reload: Reload,
}

/// Looks until the server ends. `loads` brings what each load looked at, before whoever asked for it is told.
pub(super) fn watch(loads: &std_mpsc::Receiver<Watched>, reloads: &mpsc::WeakSender<Wanted>) {
    let Ok(mut watched) = loads.recv() else { return };
    let mut settling = Settling::default();
    loop {
        let Watched { reload: Reload { watch, settle }, .. } = watched;
        let next = match watch {
            true => loads.recv_timeout((settle / 2).clamp(LOOK.0, LOOK.1)),
            false => loads.recv().map_err(|_| std_mpsc::RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(newer) => {
                watched = newer;
                continue;
            }
            Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
            Err(std_mpsc::RecvTimeoutError::Timeout) => {}
        }
        let now = watched.seen.again();
        if !settling.is_over(&watched.seen, &now, settle, Instant::now()) || now.is_in_work(SystemTime::now())
        {
            continue;
        }
        if let Some(path) = now.other_than(&watched.seen) {
            tracing::info!("`{}` changed: the files are read anew", path.display());
        }
        let (wanted, told) = Wanted::again();
        let Some(reloads) = reloads.upgrade() else { return };
        if reloads.blocking_send(wanted).is_err() {
            return;
        }
        // What came of it is logged where it is decided; here it is known by what the load looked at.
        let _ = told.blocking_recv();
        settling = Settling::default();
    }
}

/// Files that look otherwise than they did, and since when they look as they do.
#[derive(Debug, Default)]
struct Settling(Option<(Seen, Instant)>);

impl Settling {
    /// Whether something else than `read` is there, and has been for so long.
    fn is_over(&mut self, read: &Seen, there: &Seen, settle: Duration, now: Instant) -> bool {
        match &self.0 {
            _ if read == there => self.0 = None,
            Some((last, since)) if last == there => return now.saturating_duration_since(*since) >= settle,
            _ => self.0 = Some((there.clone(), now)),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::load::kept::KeptMaps;
    use crate::load::load_kept;

    fn seen(config: &Path) -> Seen {
        load_kept(config, None, &Arc::<KeptMaps>::default()).seen
    }

    #[test]
    fn what_goes_on_changing_is_not_read_and_what_is_as_it_was_neither() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("steerdns.toml");
        fs::write(&config, "listen = [\"127.0.0.1:0\"]\n").unwrap();
        let (begun, settle) = (Instant::now(), Duration::from_secs(2));
        let mut settling = Settling::default();
        let mut looks = |read: &Seen, there: &Seen, second: u64| {
            settling.is_over(read, there, settle, begun + Duration::from_secs(second))
        };
        let first = seen(&config);
        assert!(!looks(&first, &first.again(), 0));
        fs::write(&config, "listen = [\"127.0.0.1:0\"]\nzones").unwrap();
        let half = first.again();
        assert!(half != first && !looks(&first, &half, 1) && !looks(&first, &half, 2));
        fs::write(&config, "listen = [\"127.0.0.1:0\"]\nzones = \"z\"\n").unwrap();
        let whole = first.again();
        assert!(whole != half && !looks(&first, &whole, 3) && !looks(&first, &whole, 4));
        assert!(looks(&first, &whole, 5));
        // It was read, refused, and nothing has changed since.
        assert!(!looks(&whole, &whole, 10) && !looks(&whole, &whole, 20));
    }

    #[test]
    fn what_was_missing_is_looked_at_too() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("steerdns.toml");
        fs::write(&config, "listen = [\"127.0.0.1:0\"]\n").unwrap();
        let refused = seen(&config);
        let zones = directory.path().join("zones");
        fs::create_dir(&zones).unwrap();
        assert_eq!(refused.again().other_than(&refused), Some(&*zones));
        let refused = seen(&config);
        fs::write(zones.join(".live.zone.swp"), "").unwrap();
        assert_eq!(refused.again(), refused, "an editor's file is none of ours");
        fs::write(zones.join("x.test.zone"), "").unwrap();
        assert_eq!(refused.again().other_than(&refused), Some(&*zones));
    }

    #[test]
    fn while_a_git_is_at_work_in_the_tree_nothing_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("etc/steerdns.toml");
        fs::create_dir_all(directory.path().join(".git")).unwrap();
        fs::create_dir_all(directory.path().join("etc/zones")).unwrap();
        fs::write(&config, "listen = [\"127.0.0.1:0\"]\n").unwrap();
        let seen = seen(&config);
        let now = SystemTime::now();
        assert!(!seen.is_in_work(now));
        fs::write(directory.path().join(".git/index.lock"), "").unwrap();
        let now = SystemTime::now();
        assert!(seen.is_in_work(now));
        assert!(!seen.is_in_work(now + Duration::from_secs(600)), "that git died");
    }
}
