//! What ways usually take: without it a server that starts while one of them is worse would take that for usual.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Target, VERSION, age, bounded, replace, unix_ms};
use crate::health::baseline::{BUCKETS, UsualWay};
use crate::health::quality::KeptUsual;

/// The file's name in the state directory.
pub const FILE: &str = "ways.json";

#[derive(Serialize, Deserialize)]
struct Written {
    steerdns_ways: u32,
    ways: Vec<Row>,
}

/// A time is milliseconds since 1970-01-01 UTC.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    target: Target,
    usual_ms: f32,
    usual_loss: f32,
    medians: usize,
    measured_unix_ms: u64,
}

/// Keeps what is usual, as of `now`.
pub fn write(directory: &Path, kept: &[KeptUsual], now: SystemTime) -> io::Result<()> {
    let mut rows: Vec<Row> = kept.iter().map(|kept| Row::of(kept, now)).collect();
    rows.sort_unstable_by(|one, other| one.key().cmp(&other.key()));
    let written = Written { steerdns_ways: VERSION, ways: rows };
    let mut text = serde_json::to_string_pretty(&written).expect("strings and numbers alone");
    text.push('\n');
    replace(directory, FILE, text.as_bytes())
}

/// Reads it, aged up to `now`. Nothing, where there is no file.
///
/// # Errors
/// Why the file cannot be used, in a sentence.
pub fn read(directory: &Path, now: SystemTime) -> Result<Vec<KeptUsual>, String> {
    let path = directory.join(FILE);
    let unusable =
        |what: String| format!("{}: {what}; what ways usually take is measured anew", path.display());
    let Some(text) = bounded(&path).map_err(unusable)? else { return Ok(Vec::new()) };
    let read: Written = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    match read.steerdns_ways {
        VERSION => Ok(read.ways.into_iter().filter_map(|row| row.kept(now)).collect()),
        other => Err(unusable(format!("ways of version {other}, not {VERSION}"))),
    }
}

impl Row {
    fn of(kept: &KeptUsual, now: SystemTime) -> Row {
        Row {
            target: Target::of(&kept.key, &kept.kind, kept.probe),
            usual_ms: kept.usual.ms,
            usual_loss: kept.usual.loss,
            medians: kept.buckets,
            measured_unix_ms: unix_ms(now, kept.age),
        }
    }

    fn key(&self) -> (&str, &str, IpAddr, &str) {
        let Target { cluster, node, address, check, .. } = &self.target;
        (cluster, node, *address, check)
    }

    /// `None` where it holds what nobody can have measured.
    fn kept(self, now: SystemTime) -> Option<KeptUsual> {
        let sound = self.usual_ms.is_finite()
            && self.usual_ms >= 0.0
            && (0.0..=1.0).contains(&self.usual_loss)
            && (1..=BUCKETS).contains(&self.medians);
        sound.then(|| KeptUsual {
            key: self.target.key(),
            probe: self.target.probe,
            kind: self.target.kind,
            usual: UsualWay { ms: self.usual_ms, loss: self.usual_loss },
            buckets: self.medians,
            age: age(self.measured_unix_ms, now),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::health::target::TargetKey;

    fn kept(node: &str, age_s: u64) -> KeptUsual {
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        KeptUsual {
            key: TargetKey { cluster: "sin".into(), node: node.into(), address, check: "ingest".into() },
            probe: SocketAddr::new(address, 1935),
            kind: "rtmp".into(),
            usual: UsualWay { ms: 34.567, loss: 0.012 },
            buckets: 288,
            age: Duration::from_secs(age_s),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn what_is_written_is_read_and_has_aged() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        assert_eq!(read(&state, at(0)), Ok(vec![]));
        write(&state, &[kept("sin-2", 2), kept("sin-1", 1)], at(0)).unwrap();
        assert_eq!(read(&state, at(30)), Ok(vec![kept("sin-1", 31), kept("sin-2", 32)]));
    }

    #[test]
    fn a_broken_file_is_an_error_in_one_sentence_and_a_mad_row_is_none() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &[kept("sin-1", 1)], at(0)).unwrap();
        let path = directory.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        for broken in ["", "{}", &text[..text.len() / 2], &text.replace("_ways\": 1", "_ways\": 2")] {
            fs::write(&path, broken).unwrap();
            let what = read(directory.path(), at(0)).unwrap_err();
            assert!(what.ends_with("what ways usually take is measured anew"), "{what}");
        }
        for mad in ["\"usual_ms\": -1", "\"usual_ms\": 1e39", "\"usual_loss\": 2", "\"medians\": 0"] {
            let word = mad.split(':').next().unwrap();
            let lines = text.lines().map(|line| match line.contains(word) {
                true => format!("{mad},"),
                false => line.to_owned(),
            });
            fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
            assert_eq!(read(directory.path(), at(0)), Ok(vec![]), "{mad}");
        }
    }
}
