//! RTMP as a viewer goes on: `createStream`, `play`, and media.
//!
//! `NetStream.Play.Start` proves nothing: nginx-rtmp and node-media-server say it of streams that nobody publishes. Nor do
//! metadata and decoder configurations, which a server may keep of a publisher that has gone.

use tokio::io::{AsyncRead, AsyncWrite};

use super::chunks::{AGGREGATE, AUDIO, Message, VIDEO, chunked};
use super::ended::{Ended, Limit};
use super::rtmp::{
    ANSWER_MAX, COMMAND, Session, called, number, property, read_command, read_number, refused, string,
};

const LAYER: &str = "media";
/// AMF0's null.
const NULL: u8 = 5;
/// Octets before the body of a message within an aggregate (§7.1.6).
const WITHIN: usize = 11;

/// Plays a stream until a sound or a picture of it comes.
pub(super) async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    mut session: Session<S>,
    stream: &str,
    limit: &Limit,
) -> Result<(), Ended> {
    let mut create = called("createStream", 2.0);
    create.push(NULL);
    let create = chunked(3, COMMAND, 0, &create);
    let created = limit.step("application", session.ask("createStream", 2.0, &create)).await?;
    let on = stream_id(&created)
        .ok_or_else(|| Ended::at("application", "`createStream` is answered without a stream"))?;
    limit.step(LAYER, media(&mut session, stream, on)).await
}

/// The message stream that a `_result` of `createStream` names, behind its null.
fn stream_id(result: &[u8]) -> Option<u32> {
    let (_, rest) = result.split_first()?;
    let (id, _) = read_number(rest)?;
    (id.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&id)).then_some(id as u32)
}

async fn media<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    stream: &str,
    on: u32,
) -> Result<(), Ended> {
    let mut body = called("play", 0.0);
    body.push(NULL);
    string(&mut body, stream);
    // Live alone, no recording of that name (§7.2.2.1). In milliseconds, as ffmpeg and librtmp say it.
    number(&mut body, -1000.0);
    session.send(LAYER, &chunked(8, COMMAND, on, &body)).await?;
    let from = session.read;
    while session.read - from <= ANSWER_MAX {
        loop {
            if session.chunks.begun().is_some_and(|(kind, body)| is_media(kind, body)) {
                return Ok(());
            }
            let Some(message) = session.next(LAYER)? else { break };
            if is_media(message.kind, &message.body) {
                return Ok(());
            }
            if let Some(ended) = no_stream(&message) {
                return Err(ended);
            }
        }
        if !session.more(LAYER).await? {
            return Err(Ended::at(LAYER, "closed after `play`"));
        }
    }
    Err(Ended::at(LAYER, "64 KiB, and neither sound nor picture"))
}

/// Whether this is a sound or a picture, or the first two octets of one: not what only configures a decoder.
pub(super) fn is_media(kind: u8, body: &[u8]) -> bool {
    let Some((first, rest)) = body.split_first() else { return false };
    let packet = rest.first();
    match kind {
        AUDIO => match first >> 4 {
            // AAC: 0 configures (Adobe's FLV 10.1, §E.4.2.1).
            10 => packet == Some(&1),
            // Enhanced RTMP: coded frames, of one track or several.
            9 => matches!(first & 0x0F, 1 | 5),
            _ => packet.is_some(),
        },
        // Enhanced RTMP: coded frames, with or without their offset, of several tracks, or with more said of them.
        VIDEO if first & 0x80 != 0 => matches!(first & 0x0F, 1 | 3 | 6 | 7),
        VIDEO => match (first >> 4, first & 0x0F) {
            // No picture, but a command (§E.4.3.1).
            (5, _) => false,
            // AVC, and HEVC as it was before Enhanced RTMP: 0 configures, 2 ends.
            (_, 7 | 12) => packet == Some(&1),
            _ => packet.is_some(),
        },
        AGGREGATE => body.get(WITHIN..).is_some_and(|within| *first != AGGREGATE && is_media(*first, within)),
        _ => false,
    }
}

/// What a status of the stream says, where it says that there is nothing to play.
fn no_stream(message: &Message) -> Option<Ended> {
    match read_command(message)? {
        (b"onStatus", _, said) if property(said, "level").as_deref() == Some("error") => {
            Some(refused(LAYER, "play", said))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    #[test]
    fn sounds_and_pictures_are_media_and_what_configures_is_not() {
        let media: [(u8, &[u8]); 9] = [
            (AUDIO, &[0xAF, 1, 0x21]),
            (AUDIO, &[0x2F, 0xFF]),
            (AUDIO, &[0x91, b'O', b'p', b'u', b's']),
            (VIDEO, &[0x17, 1, 0, 0, 0]),
            (VIDEO, &[0x27, 1]),
            (VIDEO, &[0x22, 0]),
            (VIDEO, &[0x91, b'h', b'v', b'c', b'1']),
            (VIDEO, &[0xA3, b'a', b'v', b'0', b'1']),
            (AGGREGATE, &[AUDIO, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0xAF, 1, 0x21]),
        ];
        let none: [(u8, &[u8]); 9] = [
            (AUDIO, &[]),
            (AUDIO, &[0xAF, 0, 0x12, 0x10]),
            (AUDIO, &[0xAF]),
            (VIDEO, &[0x17, 0, 0, 0, 0]),
            (VIDEO, &[0x90, b'h', b'v', b'c', b'1']),
            (VIDEO, &[0x57, 1]),
            (18, b"\x02\x00\x0AonMetaData"),
            (AGGREGATE, &[AGGREGATE; 40]),
            (AGGREGATE, &[AUDIO, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]),
        ];
        assert!(media.iter().all(|(kind, body)| is_media(*kind, body)));
        for (kind, body) in none {
            assert!(!is_media(kind, body), "{kind} {body:?}");
        }
    }

    #[test]
    fn a_stream_is_a_whole_number_behind_a_null() {
        let mut result = vec![NULL];
        number(&mut result, 1.0);
        assert_eq!(stream_id(&result), Some(1));
        result.truncate(5);
        assert_eq!(stream_id(&result), None);
        for wrong in [0.5, -1.0, 1e12, f64::NAN] {
            let mut result = vec![NULL];
            number(&mut result, wrong);
            assert_eq!(stream_id(&result), None, "{wrong}");
        }
    }

    proptest! {
        // Reading never panics.
        #[test]
        fn garbage_is_borne(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (is_media(kind, &body), stream_id(&body), no_stream(&Message { kind, body }));
        }
    }
}
