//! A line of HAProxy's agent-check: `up`, `75%`, `drain`, `down#disk full`, …
//!
//! Each line is the whole truth: HAProxy leaves as it was what a line does not say, we hold nothing over.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::ended::{Ended, Limit};
use crate::health::note::Note;

const LAYER: &str = "agent";
/// The longest line, in octets.
const LINE_MAX: usize = 256;

/// What a line says.
#[derive(Debug, Default, PartialEq)]
struct Said {
    /// The word for which nobody is to be sent there.
    down: Option<String>,
    drain: bool,
    /// The share of its usual part that it wants, in percent.
    percent: Option<u32>,
    /// Whether there was any word that we know.
    known: bool,
    /// What stands behind `#`.
    reason: String,
}

/// Reads the line, and takes its word for it.
pub(super) async fn hear(
    mut stream: impl AsyncRead + Unpin,
    notes: &mut Vec<Note>,
    limit: &Limit,
) -> Result<(), Ended> {
    let line = limit.step(LAYER, line(&mut stream)).await?;
    let said = read(&line);
    if let Some(word) = said.down {
        let reason = if said.reason.is_empty() { String::new() } else { format!(": {}", said.reason) };
        return Err(Ended::at(LAYER, format!("{word}{reason}")));
    }
    if !said.known {
        return Err(Ended::at(LAYER, format!("says `{}`", line.trim())));
    }
    notes.push(Note::Drain(said.drain));
    if let Some(percent) = said.percent {
        // A weight: who takes 75 % of its usual part is busy by a quarter. Many agents say 100 %, or more, whatever happens: that is
        // no word about load.
        if percent < 100 {
            notes.push(Note::Load { used: 1.0 - f64::from(percent) / 100.0 });
        }
    }
    Ok(())
}

/// What comes before the first CR or LF.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> Result<String, Ended> {
    let mut line = Vec::with_capacity(LINE_MAX);
    loop {
        if let Some(end) = line.iter().position(|octet| matches!(octet, b'\r' | b'\n')) {
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if line.len() >= LINE_MAX {
            return Err(Ended::at(LAYER, "256 octets, and no end of the line"));
        }
        let mut octets = [0; LINE_MAX];
        let room = LINE_MAX - line.len();
        let more = stream.read(&mut octets[..room]).await.map_err(|error| Ended::io(LAYER, &error))?;
        if more == 0 {
            return Err(Ended::at(LAYER, "closed before the end of the line"));
        }
        line.extend_from_slice(&octets[..more]);
    }
}

/// Words are parted by blanks and commas, whatever their case; those that nobody knows, and `maxconn:`, say nothing to us.
fn read(line: &str) -> Said {
    let (words, reason) = line.split_once('#').unwrap_or((line, ""));
    let mut said = Said { reason: reason.trim().into(), ..Said::default() };
    for word in words.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "up" | "ready" => {}
            "down" | "fail" | "failed" | "stopped" | "maint" => said.down = said.down.or(Some(word)),
            "drain" => said.drain = true,
            _ => match word.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok()) {
                // To HAProxy a weight of nothing is a drain.
                Some(0) => (said.drain, said.percent) = (true, Some(0)),
                Some(percent) => said.percent = Some(percent),
                None => continue,
            },
        }
        said.known = true;
    }
    said
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn words_may_be_combined() {
        let said = read("ready UP,\t75% maxconn:30");
        assert_eq!(said, Said { percent: Some(75), known: true, ..Said::default() });
        let said = read("up drain 0%");
        assert_eq!(said, Said { drain: true, percent: Some(0), known: true, ..Said::default() });
    }

    #[test]
    fn down_is_down_whatever_else_is_said_and_gives_its_reason() {
        let said = read("up down 50% # disk full");
        assert_eq!(said.down.as_deref(), Some("down"));
        assert_eq!(said.reason, "disk full");
        for word in ["down", "fail", "failed", "stopped", "maint"] {
            assert_eq!(read(word).down.as_deref(), Some(word));
        }
    }

    #[tokio::test]
    async fn a_weight_tells_of_load_only_where_it_is_not_the_whole() {
        for (line, used) in [("up 75%\n", Some(0.25)), ("up 100%\n", None), ("150%\n", None), ("up\n", None)]
        {
            let mut notes = Vec::new();
            let limit = Limit::from_now(std::time::Duration::from_secs(5));
            assert!(hear(line.as_bytes(), &mut notes, &limit).await.is_ok());
            let load = notes.iter().find_map(|note| match note {
                Note::Load { used } => Some(*used),
                _ => None,
            });
            assert_eq!(load, used, "{line}");
        }
    }

    #[test]
    fn a_weight_of_nothing_is_a_drain() {
        assert!(read("0%").drain);
        assert!(!read("1%").drain);
    }

    #[test]
    fn foreign_words_are_no_words() {
        for line in ["", "# up", "HTTP/1.1 400 Bad Request", "-5%", "%", "upward"] {
            assert!(!read(line).known, "{line}");
        }
    }

    proptest! {
        // Reading never panics.
        #[test]
        fn garbage_is_borne(line in ".{0,256}") {
            let _ = read(&line);
        }
    }
}
