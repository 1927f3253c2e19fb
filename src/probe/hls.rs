//! HLS as a player sees it: the playlist is there, and it advances.
#![allow(clippy::disallowed_methods, reason = "a shell knows the time")]

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use hyper::header::{self, HeaderMap};

use super::body::Reading;
use super::conversation::{Origin, Question};
use super::ended::Ended;
use super::playlist::{self, Media, Playlist};
use super::{Probe, reference};
use crate::health::check::HttpVersion;
use crate::health::note::Note;
use crate::health::resource::Hls;

const LAYER: &str = "playlist";
/// The longest playlist that is read, in octets: hours of segments.
const PLAYLIST_MAX: usize = 1024 * 1024;
/// So many target durations may a playlist stand still, unless the check says otherwise: players wait no longer.
const STANDSTILL_MAX: u32 = 3;

/// Where a playlist was when it was last looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// The number of the segment that comes next, and how many parts of it are there.
    next: (u64, u64),
    /// When it was first seen there.
    since: Instant,
}

/// Fetches the playlist, or the first variant that it names, and sees whether it has advanced.
pub(super) async fn look(probe: &Probe<'_>, hls: &Hls, notes: &mut Vec<Note>) -> Result<(), Ended> {
    let origin = Origin::of(probe, hls.at.host.as_deref(), HttpVersion::One)?;
    let (mut text, mut age) = fetch(probe, hls, &origin, &hls.at.path, notes).await?;
    let media = match read(&text)? {
        Playlist::Media(media) => media,
        Playlist::Master(variant) => {
            let path = reference::followed(variant, &hls.at.path, origin.scheme(), &origin.authority)
                .map_err(|why| Ended::at(LAYER, format!("the first variant is `{variant}`: {why}")))?;
            (text, age) = fetch(probe, hls, &origin, &path, notes).await?;
            match read(&text)? {
                Playlist::Media(media) => media,
                Playlist::Master(_) => {
                    return Err(Ended::at(LAYER, "the first variant is a master playlist"));
                }
            }
        }
    };
    let mut last = probe.memory.playlist.lock().unwrap_or_else(PoisonError::into_inner);
    judge(hls, &media, age, &mut last, Instant::now())
}

async fn fetch(
    probe: &Probe<'_>,
    hls: &Hls,
    origin: &Origin,
    path: &str,
    notes: &mut Vec<Note>,
) -> Result<(Vec<u8>, Duration), Ended> {
    let mut conversation = origin.open(&probe.limit, notes).await?;
    let question = Question { headers: &hls.at.headers, ..Question::get(path) };
    let response = conversation.ask(question, &probe.limit).await?;
    if !response.status().is_success() {
        return Err(Ended::at("status", format!("status {} of `{path}`", response.status().as_u16())));
    }
    let age = age(response.headers());
    let mut body = Reading::new(response.into_body(), PLAYLIST_MAX);
    probe.limit.step("body", body.whole()).await?;
    Ok((body.into_read(), age))
}

/// How long ago the answer was last changed, by the server's own clock (RFC 9110 §6.6.1, §8.8.2); zero where it does not say.
fn age(headers: &HeaderMap) -> Duration {
    let time = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let changed = time(header::DATE).zip(time(header::LAST_MODIFIED));
    changed.and_then(|(date, changed)| date.duration_since(changed).ok()).unwrap_or_default()
}

fn read(text: &[u8]) -> Result<Playlist<'_>, Ended> {
    playlist::read(text).map_err(|what| Ended::at(LAYER, what))
}

/// Whether a playlist is one to play, and where it is. Anything but standing still is a change: one that goes back was
/// begun anew.
///
/// One that was `age` old when it was first seen is not taken for one that advances, nor for one that does not: the next look tells.
fn judge(
    hls: &Hls,
    media: &Media,
    age: Duration,
    last: &mut Option<Position>,
    now: Instant,
) -> Result<(), Ended> {
    if media.segments == 0 && media.parts == 0 {
        return Err(Ended::at(LAYER, format!("empty at sequence {}", media.sequence)));
    }
    if !hls.live {
        return Ok(());
    }
    if media.ended {
        return Err(Ended::at(LAYER, format!("ended (EXT-X-ENDLIST) before sequence {}", media.next())));
    }
    let next = (media.next(), media.parts);
    let since = match last {
        Some(position) if position.next == next => position.since,
        Some(_) => now,
        None => now.checked_sub(age).unwrap_or(now),
    };
    let is_first = last.replace(Position { next, since }).is_none();
    let stands = now.saturating_duration_since(since);
    let allowed = hls.max_age.unwrap_or(media.target.saturating_mul(STANDSTILL_MAX));
    if stands <= allowed {
        return Ok(());
    }
    if is_first {
        let what = format!("the playlist is {} old: not seen to advance yet", seconds(stands));
        return Err(Ended::Local(what.into()));
    }
    let parts = if media.parts > 0 { format!(" ({} parts of it)", media.parts) } else { String::new() };
    Err(Ended::at(
        LAYER,
        format!(
            "has not advanced for {}, at most {}: still before sequence {}{parts}",
            seconds(stands),
            seconds(allowed),
            media.next(),
        ),
    ))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::resource::Resource;

    fn hls(max_age: Option<Duration>) -> Hls {
        let at = Resource { path: "/live.m3u8".into(), host: None, headers: vec![], tls: None };
        Hls { at, live: true, max_age }
    }

    fn media(sequence: u64, segments: u64, parts: u64) -> Media {
        Media { sequence, segments, parts, target: Duration::from_secs(2), ended: false }
    }

    /// What is told of a playlist seen at these seconds.
    fn told(hls: &Hls, looks: &[(u64, Media)]) -> Vec<Option<String>> {
        told_when(hls, Duration::ZERO, looks)
    }

    /// The same, of one that was so old at first.
    fn told_when(hls: &Hls, age: Duration, looks: &[(u64, Media)]) -> Vec<Option<String>> {
        let (start, mut last) = (Instant::now() + age, None);
        let look = |(second, media): &(u64, Media)| {
            let now = start + Duration::from_secs(*second);
            match judge(hls, media, age, &mut last, now) {
                Ok(()) => None,
                Err(Ended::Failed(cause)) => Some(cause.to_string()),
                Err(Ended::Local(what)) => Some(format!("local: {what}")),
            }
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn one_that_is_old_when_it_is_first_seen_must_be_seen_to_advance() {
        let stood = Duration::from_secs(3600);
        let stands = [(0, media(5, 3, 0)), (1, media(5, 3, 0)), (2, media(6, 3, 0))];
        let words = [
            Some("local: the playlist is 3600.0 s old: not seen to advance yet".into()),
            Some("playlist: has not advanced for 3601.0 s, at most 6.0 s: still before sequence 8".into()),
            None,
        ];
        assert_eq!(told_when(&hls(None), stood, &stands), words);
        assert_eq!(told_when(&hls(None), Duration::from_secs(6), &stands[..1]), [None]);
        // What a server that tells no true time serves is good as soon as it advances.
        assert_eq!(told_when(&hls(None), stood, &[(0, media(5, 3, 0)), (1, media(6, 3, 0))])[1], None);
    }

    #[test]
    fn the_age_is_told_by_the_servers_own_clock() {
        let told = |date: &str, changed: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, date.parse().unwrap());
            headers.insert(header::LAST_MODIFIED, changed.parse().unwrap());
            age(&headers).as_secs()
        };
        let (earlier, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:00 GMT");
        assert_eq!(told(later, earlier), 23);
        assert_eq!(told(earlier, later), 0);
        assert_eq!(told(later, "yesterday"), 0);
        assert_eq!(age(&HeaderMap::new()), Duration::ZERO);
    }

    #[test]
    fn one_that_advances_is_good_and_one_that_stands_still_is_told_with_place_and_age() {
        let words = "playlist: has not advanced for 7.0 s, at most 6.0 s: still before sequence 9";
        let looks = [
            (0, media(5, 3, 0)),
            (2, media(6, 3, 0)),
            (8, media(6, 3, 0)),
            (9, media(6, 3, 0)),
            (10, media(7, 3, 0)),
        ];
        assert_eq!(told(&hls(None), &looks), [None, None, None, Some(words.into()), None]);
    }

    #[test]
    fn a_part_more_and_a_beginning_anew_are_changes() {
        let looks = [
            (0, media(5, 3, 1)),
            (6, media(5, 3, 2)),
            (12, media(0, 1, 0)),
            (18, media(0, 2, 0)),
            (24, media(1, 2, 0)),
        ];
        assert_eq!(told(&hls(None), &looks), [const { None }; 5]);
        let words =
            "playlist: has not advanced for 7.0 s, at most 6.0 s: still before sequence 8 (1 parts of it)";
        assert_eq!(told(&hls(None), &[(0, media(5, 3, 1)), (7, media(5, 3, 1))])[1].as_deref(), Some(words));
    }

    #[test]
    fn the_check_may_say_how_long_it_may_stand_still() {
        let patient = hls(Some(Duration::from_secs(60)));
        let looks = [(0, media(5, 3, 0)), (60, media(5, 3, 0)), (61, media(5, 3, 0))];
        let words = "playlist: has not advanced for 61.0 s, at most 60.0 s: still before sequence 8";
        assert_eq!(told(&patient, &looks), [None, None, Some(words.into())]);
    }

    #[test]
    fn an_end_or_nothing_to_play_is_a_failure() {
        let ended = Media { ended: true, ..media(5, 3, 0) };
        assert_eq!(
            told(&hls(None), &[(0, ended.clone()), (0, media(5, 0, 0))]),
            [
                Some("playlist: ended (EXT-X-ENDLIST) before sequence 8".into()),
                Some("playlist: empty at sequence 5".into()),
            ]
        );
        let recorded = Hls { live: false, ..hls(None) };
        assert_eq!(told(&recorded, &[(0, ended.clone()), (100, ended)]), [None, None]);
        assert!(told(&recorded, &[(0, media(5, 0, 0))])[0].is_some());
    }
}
