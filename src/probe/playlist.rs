//! HLS playlists (RFC 8216), as far as a probe must understand them.

use std::time::Duration;

/// A playlist.
#[derive(Debug, PartialEq)]
pub(super) enum Playlist<'t> {
    /// Of variants: the URI of the first.
    Master(&'t str),
    /// Of segments.
    Media(Media),
}

/// What a media playlist says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Media {
    /// The number of its first segment; 0 unless it says otherwise (§4.3.3.2).
    pub(super) sequence: u64,
    /// How many segments it has.
    pub(super) segments: u64,
    /// How many parts stand behind the last segment (RFC 8216bis §4.4.4.9): that one is not whole yet.
    pub(super) parts: u64,
    /// No segment is longer.
    pub(super) target: Duration,
    /// Whether no more segments will come.
    pub(super) ended: bool,
}

impl Media {
    /// The number that the next segment will have.
    pub(super) fn next(&self) -> u64 {
        self.sequence.saturating_add(self.segments)
    }
}

/// Reads a playlist. Tags that tell nothing of whether it advances are skipped, as unknown ones must be (§4.1).
pub(super) fn read(text: &[u8]) -> Result<Playlist<'_>, &'static str> {
    let text = str::from_utf8(text).map_err(|_| "no playlist: it is not UTF-8")?;
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("#EXTM3U") {
        return Err("no playlist: it does not begin with #EXTM3U");
    }
    let mut media = Media { sequence: 0, segments: 0, parts: 0, target: Duration::ZERO, ended: false };
    let (mut target, mut segment, mut variant) = (None, false, false);
    for line in lines.filter(|line| !line.is_empty()) {
        if !line.starts_with('#') {
            if variant {
                return Ok(Playlist::Master(line));
            }
            if std::mem::take(&mut segment) {
                media.segments += 1;
                media.parts = 0;
            }
            continue;
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXTINF" => segment = true,
            "#EXT-X-PART" => media.parts += 1,
            "#EXT-X-STREAM-INF" => variant = true,
            "#EXT-X-ENDLIST" => media.ended = true,
            "#EXT-X-MEDIA-SEQUENCE" => {
                media.sequence = value.trim().parse().map_err(|_| "EXT-X-MEDIA-SEQUENCE is no number")?;
            }
            "#EXT-X-TARGETDURATION" => {
                let seconds: u32 = value.trim().parse().map_err(|_| "EXT-X-TARGETDURATION is no number")?;
                target = Some(Duration::from_secs(seconds.into()));
            }
            _ => {}
        }
    }
    if variant {
        return Err("a master playlist without a variant");
    }
    media.target = target.ok_or("neither EXT-X-TARGETDURATION nor EXT-X-STREAM-INF is in it")?;
    Ok(Playlist::Media(media))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn media(text: &str) -> Media {
        match read(text.as_bytes()) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_media_playlist_tells_where_it_is() {
        let text = "#EXTM3U\r\n#EXT-X-VERSION:3\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n#EXT-X-TARGETDURATION:4\r\n\r\n\
                    #EXT-X-DISCONTINUITY\r\n#EXTINF:4.000,\r\nlive-7.ts\r\n#EXTINF:3.9,a title\r\nlive-8.ts\r\n";
        let target = Duration::from_secs(4);
        assert_eq!(media(text), Media { sequence: 7, segments: 2, parts: 0, target, ended: false });
        assert_eq!(media(text).next(), 9);
        assert!(media(&format!("{text}#EXT-X-ENDLIST\n")).ended);
    }

    #[test]
    fn parts_count_behind_the_last_segment() {
        let part = "#EXT-X-PART:DURATION=0.33,URI=\"p.mp4\"\n";
        let segment = "#EXTINF:1.0,\ns.mp4\n";
        let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q.mp4\"\n";
        let text = |body: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{body}");
        let at = |body: &str| (media(&text(body)).next(), media(&text(body)).parts);
        assert_eq!(at(&[part, part, segment].concat()), (1, 0));
        assert_eq!(at(&[part, part, segment, part, hint].concat()), (1, 1));
        assert_eq!(at(&[segment, part, part, part, hint].concat()), (1, 3));
    }

    #[test]
    fn a_master_playlist_tells_its_first_variant() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"audio.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=1280000\nlow/a.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=7680000\nhi/a.m3u8\n";
        assert_eq!(read(text.as_bytes()), Ok(Playlist::Master("low/a.m3u8")));
    }

    #[test]
    fn what_is_no_playlist_is_told() {
        let cases = [
            ("", "no playlist: it does not begin with #EXTM3U"),
            ("<html>", "no playlist: it does not begin with #EXTM3U"),
            ("#EXTM3U\n", "neither EXT-X-TARGETDURATION nor EXT-X-STREAM-INF is in it"),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:soon\n", "EXT-X-TARGETDURATION is no number"),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-1\n", "EXT-X-MEDIA-SEQUENCE is no number"),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "a master playlist without a variant"),
        ];
        for (text, told) in cases {
            assert_eq!(read(text.as_bytes()), Err(told), "{text}");
        }
        assert_eq!(read(b"#EXTM3U\n\xFF"), Err("no playlist: it is not UTF-8"));
    }

    proptest! {
        // Reading never panics, and counts no more than there is.
        #[test]
        fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = read(&octets);
        }

        #[test]
        fn any_lines_are_read(lines in "(#EXT(INF|-X-PART|-X-MEDIA-SEQUENCE|-X-TARGETDURATION)?:?[0-9]{0,25}\r?\n|a\n){0,40}") {
            if let Ok(Playlist::Media(media)) = read(format!("#EXTM3U\n{lines}").as_bytes()) {
                assert!(media.segments + media.parts <= lines.lines().count() as u64);
                media.next();
            }
        }
    }
}
