//! What survives a restart, verdicts first: JSON files, each written whole or not at all.
#![allow(clippy::disallowed_methods, reason = "this shell writes the disk")]

mod alerts;
mod commits;
mod orders;
pub mod ways;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use alerts::{KeptAlerts, read_alerts, write_alerts};
pub use commits::{KeptCommits, read_commits, write_commits};
pub use orders::{read_orders, write_orders};

use crate::health::board::{KEPT_MAX, Kept};
use crate::health::target::TargetKey;
use crate::wire::cookie::SECRET_OCTETS;
use crate::wire::name::Name;
use crate::zone::edition::Mark;

/// The file's name in the state directory.
pub const FILE: &str = "verdicts.json";
/// No file is read if it is larger, in octets: some 200,000 verdicts, or ways; some 100,000 alerts.
const SIZE_MAX: usize = 64 << 20;
/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Writes the verdicts of `now` into the directory, which is made if it is not there. A reader, or a machine that
/// loses its power, sees the old file or the new one.
pub fn write(directory: &Path, kept: &[Kept], now: SystemTime) -> io::Result<()> {
    replace(directory, FILE, text(kept, now).as_bytes())
}

/// Reads the verdicts in the directory, aged up to `now`. None where there is no file.
pub fn read(directory: &Path, now: SystemTime) -> Result<Vec<Kept>, Unreadable> {
    let path = directory.join(FILE);
    match bounded(&path).and_then(|text| text.map(|text| parse(&text, now)).transpose()) {
        Ok(kept) => Ok(kept.unwrap_or_default()),
        Err(what) => Err(Unreadable { path, what }),
    }
}

/// What a file holds, if it is there.
///
/// # Errors
/// Why it cannot be read, in a few words.
fn bounded(path: &Path) -> Result<Option<String>, String> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| error.to_string())?,
    };
    let mut text = String::new();
    file.take(SIZE_MAX as u64 + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > SIZE_MAX { Err(too_large()) } else { Ok(Some(text)) }
}

fn too_large() -> String {
    format!("larger than {} MiB", SIZE_MAX >> 20)
}

/// The file of the cookies' secret.
const COOKIE: &str = "cookie.secret";

/// The file of serials.
const SERIALS: &str = "serials.json";

/// Keeps what secondaries were told of zones.
pub fn write_serials(directory: &Path, marks: &HashMap<Name, Mark>) -> io::Result<()> {
    let sorted: BTreeMap<String, (u32, u64)> =
        marks.iter().map(|(zone, mark)| (zone.to_string(), (mark.serial, mark.digest))).collect();
    let mut text = serde_json::to_string_pretty(&sorted).expect("strings and numbers alone");
    text.push('\n');
    replace(directory, SERIALS, text.as_bytes())
}

/// Reads them. None where there is no file.
///
/// # Errors
/// Why the file cannot be used, in a sentence.
pub fn read_serials(directory: &Path) -> Result<HashMap<Name, Mark>, String> {
    let path = directory.join(SERIALS);
    let unusable = |what: String| format!("{}: {what}; serials begin anew", path.display());
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        read => read.map_err(|error| unusable(error.to_string()))?,
    };
    let read: BTreeMap<String, (u32, u64)> =
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    let mark = |(zone, (serial, digest)): (String, _)| {
        Some((Name::parse(&zone, None).ok()?, Mark { serial, digest }))
    };
    Ok(read.into_iter().filter_map(mark).collect())
}

/// The secret of cookies that a server makes for itself: made once, and kept, so that its cookies outlive a restart.
pub fn cookie_secret(directory: &Path) -> io::Result<[u8; SECRET_OCTETS]> {
    let mut secret = [0; SECRET_OCTETS];
    match fs::read(directory.join(COOKIE)) {
        Ok(kept) if kept.len() == SECRET_OCTETS => secret.copy_from_slice(&kept),
        _ => {
            getrandom::fill(&mut secret).map_err(io::Error::other)?;
            replace(directory, COOKIE, &secret)?;
        }
    }
    Ok(secret)
}

/// Writes a file whole or not at all, for our own eyes.
fn replace(directory: &Path, name: &str, octets: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let (path, fresh) = (directory.join(name), directory.join(format!("{name}.new")));
    let mut file = private(&fresh)?;
    file.write_all(octets)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&fresh, &path)?;
    File::open(directory)?.sync_all()
}

/// A new file that nobody else may read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A state file that cannot be used. Nothing is lost but the verdicts: they begin as unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why, in one sentence.
    pub what: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; all verdicts begin as unknown", self.path.display(), self.what)
    }
}

impl std::error::Error for Unreadable {}

#[derive(Serialize, Deserialize)]
struct Written {
    steerdns_state: u32,
    verdicts: Vec<Row>,
}

/// Which target, and how it is probed.
#[derive(Serialize, Deserialize)]
struct Target {
    cluster: String,
    node: String,
    address: IpAddr,
    check: String,
    kind: String,
    probe: SocketAddr,
}

impl Target {
    fn of(key: &TargetKey, kind: &str, probe: SocketAddr) -> Target {
        Target {
            cluster: key.cluster.to_string(),
            node: key.node.to_string(),
            address: key.address,
            check: key.check.to_string(),
            kind: kind.to_owned(),
            probe,
        }
    }

    fn key(&self) -> TargetKey {
        TargetKey {
            cluster: self.cluster.as_str().into(),
            node: self.node.as_str().into(),
            address: self.address,
            check: self.check.as_str().into(),
        }
    }
}

/// Times are milliseconds since 1970-01-01 UTC.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    target: Target,
    verdict: Word,
    since_unix_ms: u64,
    observed_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<(String, String)>,
    #[serde(default)]
    recovered: bool,
    #[serde(default)]
    relapses: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_until_unix_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Up,
    Down,
}

/// The file's text.
fn text(kept: &[Kept], now: SystemTime) -> String {
    let rows = kept.iter().map(|kept| Row {
        target: Target::of(&kept.key, &kept.kind, kept.probe),
        verdict: if kept.up { Word::Up } else { Word::Down },
        since_unix_ms: unix_ms(now, kept.stood),
        observed_unix_ms: unix_ms(now, kept.observed),
        cause: kept.cause.clone(),
        recovered: kept.recovered,
        relapses: kept.relapses,
        held_until_unix_ms: kept.held.map(|left| unix_ms_in(now, left)),
    });
    let written = Written { steerdns_state: VERSION, verdicts: rows.collect() };
    let mut text = serde_json::to_string_pretty(&written).expect("strings and numbers alone");
    text.push('\n');
    text
}

/// The file's text, read; an error is one sentence.
fn parse(text: &str, now: SystemTime) -> Result<Vec<Kept>, String> {
    let written: Written =
        serde_json::from_str(text).map_err(|error| format!("not a state file of steerdns: {error}"))?;
    if written.steerdns_state != VERSION {
        return Err(format!("state of version {}, not {VERSION}", written.steerdns_state));
    }
    let kept = written.verdicts.into_iter().map(|row| Kept {
        key: row.target.key(),
        probe: row.target.probe,
        kind: row.target.kind,
        up: matches!(row.verdict, Word::Up),
        stood: age(row.since_unix_ms, now),
        observed: age(row.observed_unix_ms, now),
        cause: row.cause,
        recovered: row.recovered,
        relapses: row.relapses,
        held: row.held_until_unix_ms.map(|until| left(until, now)),
    });
    Ok(kept.collect())
}

fn unix_ms(now: SystemTime, age: Duration) -> u64 {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age);
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

fn unix_ms_in(now: SystemTime, left: Duration) -> u64 {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(left);
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// How long it is until then; zero, where it is over.
fn left(unix_ms: u64, now: SystemTime) -> Duration {
    Duration::from_millis(unix_ms).saturating_sub(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// How long ago that was. A clock that was set back a little makes it just now; one that was set back far makes it
/// older than anything that is kept: its word cannot be trusted.
fn age(unix_ms: u64, now: SystemTime) -> Duration {
    let (then, now) = (Duration::from_millis(unix_ms), now.duration_since(UNIX_EPOCH).unwrap_or_default());
    match now.checked_sub(then) {
        Some(age) => age,
        None if then - now <= KEPT_MAX => Duration::ZERO,
        None => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn kept(node: &str, observed_s: u64) -> Kept {
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        Kept {
            key: TargetKey { cluster: "sin".into(), node: node.into(), address, check: "ingest".into() },
            probe: SocketAddr::new(address, 1935),
            kind: "rtmp".into(),
            up: node == "sin-1",
            stood: Duration::from_secs(observed_s + 60),
            observed: Duration::from_secs(observed_s),
            cause: (node != "sin-1").then(|| ("connect".into(), "refused".into())),
            recovered: node == "sin-1",
            relapses: 2,
            held: (node != "sin-1").then(|| Duration::from_secs(100 - observed_s)),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn what_is_written_is_read_and_has_aged() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        assert_eq!(read(&state, at(0)).unwrap(), []);
        write(&state, &[kept("sin-1", 1), kept("sin-2", 2)], at(0)).unwrap();
        assert_eq!(read(&state, at(30)).unwrap(), [kept("sin-1", 31), kept("sin-2", 32)]);
    }

    #[test]
    fn a_new_file_replaces_the_old_one_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &[kept("sin-1", 1)], at(0)).unwrap();
        write(directory.path(), &[], at(1)).unwrap();
        assert_eq!(read(directory.path(), at(1)).unwrap(), []);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn serials_and_the_cookies_secret_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        assert_eq!(read_serials(&state).unwrap(), HashMap::new());
        let mark = Mark { serial: 1_795_000_000, digest: u64::MAX };
        let serials = HashMap::from([(Name::parse("live.example.com.", None).unwrap(), mark)]);
        write_serials(&state, &serials).unwrap();
        assert_eq!(read_serials(&state).unwrap(), serials);
        let secret = cookie_secret(&state).unwrap();
        assert_ne!(secret, [0; SECRET_OCTETS]);
        assert_eq!(cookie_secret(&state).unwrap(), secret);
        fs::write(state.join(COOKIE), [1; 3]).unwrap();
        assert_ne!(cookie_secret(&state).unwrap()[..3], [1; 3], "one that is cut off is made anew");
        fs::write(state.join(SERIALS), "[").unwrap();
        assert!(read_serials(&state).unwrap_err().ends_with("serials begin anew"));
        let files: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap()).collect();
        #[cfg(unix)]
        for file in files {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert!(mode == 0o600 || mode == 0o644 && file.file_name() == SERIALS, "{file:?} {mode:o}");
        }
    }

    #[test]
    fn a_broken_or_foreign_file_is_an_error_in_one_sentence() {
        let whole = text(&[kept("sin-1", 1)], at(0));
        for broken in ["", "{}", "[1,2]", "\0\0\0\0", &whole[..whole.len() / 2]] {
            let what = parse(broken, at(0)).unwrap_err();
            assert!(what.starts_with("not a state file of steerdns: "), "{what}");
        }
        let newer = whole.replace("\"steerdns_state\": 1", "\"steerdns_state\": 2");
        assert_eq!(parse(&newer, at(0)).unwrap_err(), "state of version 2, not 1");
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), [0xFF; 10]).unwrap();
        assert!(read(directory.path(), at(0)).is_err());
    }

    #[test]
    fn a_clock_that_was_set_back_a_little_makes_it_just_now_and_far_makes_it_too_old() {
        let text = text(&[kept("sin-1", 0)], at(1000));
        let observed = |now| parse(&text, now).unwrap()[0].observed;
        assert_eq!(observed(at(990)), Duration::ZERO);
        assert!(observed(UNIX_EPOCH) > KEPT_MAX);
    }

    proptest! {
        // Reading never panics, whatever the file holds and whatever the clock says.
        #[test]
        fn any_times_are_read(since in any::<u64>(), observed in any::<u64>(), seconds in 0u64..1 << 40) {
            let text = text(&[kept("sin-1", 1)], at(0))
                .replace("1799999939000", &since.to_string())
                .replace("1799999999000", &observed.to_string());
            parse(&text, UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
    }
}
