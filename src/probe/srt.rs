//! SRT as a caller begins it (draft-sharabayko-srt §4.3.1): induction, and the conclusion for a stream, where one is named.
//!
//! ```text
//! induction  ->            version 4, type 1                    costs the listener nothing: it keeps no state, writes no log
//!            <- induction  version 5, magic, a cookie
//! conclusion ->            version 5, the cookie, HSREQ, SID    only where there is a `streamid`
//!            <- conclusion accepted, or a rejection 1000 + code
//! shutdown   ->            a second after an accepted one, also where that comes too late for the probe
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::ended::{Ended, Limit};
use super::udp::{self, Datagrams};
use crate::health::check::{Rejected, Srt};

/// Octets of a packet's header (§3).
const HEADER: usize = 16;
/// Octets of a handshake without extensions, its header included (§3.2.1).
const HANDSHAKE: usize = 64;
/// The first half of a control packet's first word: the bit that makes it one, and its type.
const IS_HANDSHAKE: u16 = 0x8000;
const IS_SHUTDOWN: u16 = 0x8005;
/// What an induction says in place of extensions: to a listener 2, from it the magic.
const DATAGRAMS: u16 = 2;
const MAGIC: u16 = 0x4A17;
/// Types of handshakes (§3.2.1); from 1000 on, rejections.
const INDUCTION: u32 = 1;
const CONCLUSION: u32 = 0xFFFF_FFFF;
const REJECTIONS: u32 = 1000;
/// How long an answer is awaited that came too late for the probe, so that what it accepts can be shut down. A listener drops
/// by itself whom it has not heard for 5 s (libsrt).
const FAREWELL_WITHIN: Duration = Duration::from_secs(5);
/// How long a stream that was accepted stands before it is shut down. libsrt accepts it before its program hears of it, and a
/// program that finds it gone already may wait for its end for ever, deaf to all others (srt-live-transmit 1.5.1).
const FAREWELL_AFTER: Duration = Duration::from_secs(1);
/// Which extensions follow: HSREQ, and CONFIG with the stream id.
const FLAGS: u16 = 1 | 4;
/// HSREQ (§3.2.1.1): the version that we say, flags of a live sender, and latencies both ways in ms.
const HSREQ: [u8; 16] = [0, 1, 0, 3, 0, 1, 5, 1, 0, 0, 0, 0xBF, 0, 120, 0, 120];
/// The type of the stream id's extension (§3.2.1.3).
const SID: u16 = 5;

/// Codes of rejections in words (libsrt's access control); the others are told by number.
const REASONS: [(u32, &str); 28] = [
    (1000, "unknown"),
    (1001, "system"),
    (1002, "by the application"),
    (1003, "no resources"),
    (1004, "rogue"),
    (1005, "backlog full"),
    (1006, "internal error"),
    (1007, "closing"),
    (1008, "version"),
    (1009, "cookie"),
    (1010, "wrong passphrase"),
    (1011, "a passphrase on one side alone"),
    (1012, "message API"),
    (1013, "congestion control"),
    (1014, "packet filter"),
    (1015, "group"),
    (1016, "timeout"),
    (1017, "cipher"),
    (2400, "bad request"),
    (2401, "unauthorized"),
    (2402, "overload"),
    (2403, "forbidden"),
    (2404, "not found"),
    (2405, "mode not supported"),
    (2409, "conflict"),
    (2423, "locked"),
    (2500, "internal server error"),
    (2503, "down"),
];

/// A handshake as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reply {
    version: u32,
    /// The field for extensions.
    extensions: u16,
    kind: u32,
    /// The other side's socket.
    socket: u32,
    cookie: u32,
}

/// The handshake, as far as the check goes.
pub(super) async fn shake(to: SocketAddr, srt: &Srt, limit: &Limit) -> Result<(), Ended> {
    let [a, b, c, d, e, f, g, h] = super::chance()?;
    // Neither has its top bits set: those of a socket mark groups, that of a packet's number control packets.
    let socket = u32::from_be_bytes([a & 0x3F, b, c, d]);
    let first = u32::from_be_bytes([e & 0x7F, f, g, h]);
    let asking = udp::connect(to).await?;
    let reply_to_us = |octets: &[u8]| read(octets, socket);

    let hello = handshake([4, INDUCTION, 0], DATAGRAMS, [first, socket], to.ip(), &[]);
    let induced = |octets: &[u8]| reply_to_us(octets).filter(|reply| reply.kind != CONCLUSION);
    let induced = asking.ask("handshake", &hello, limit, induced).await?;
    if induced.kind >= REJECTIONS {
        return rejected(induced.kind, srt);
    }
    if (induced.version, induced.extensions, induced.kind) != (5, MAGIC, INDUCTION) {
        let Reply { version, extensions, .. } = induced;
        let what = format!("version {version} with {extensions:#06x}, not 5 with {MAGIC:#06x}");
        return Err(Ended::at("handshake", what));
    }
    let Some(streamid) = &srt.streamid else { return Ok(()) };

    let extensions = [&HSREQ[..], &sid(streamid)].concat();
    let wish = handshake([5, CONCLUSION, induced.cookie], FLAGS, [first, socket], to.ip(), &extensions);
    let mut stream = Stream { asking: Arc::new(asking), socket, answered: None };
    let concluded = stream.asking.ask("stream", &wish, limit, |octets| conclusion(octets, socket)).await?;
    stream.answered = Some(concluded);
    match concluded.kind {
        CONCLUSION => Ok(()),
        REJECTIONS..CONCLUSION => rejected(concluded.kind, srt),
        kind => Err(Ended::at("stream", format!("a handshake of type {kind}, not a conclusion"))),
    }
}

/// A stream that was asked for; it is shut down when this is dropped, be the probe at its end, at its deadline or withdrawn. A
/// listener that takes one caller at a time would else be closed to all others for some seconds.
struct Stream {
    asking: Arc<Datagrams>,
    /// Ours.
    socket: u32,
    /// What the listener said; `None` where nothing has come yet.
    answered: Option<Reply>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (asking, socket, answered) = (self.asking.clone(), self.socket, self.answered);
        runtime.spawn(async move {
            let late = asking.heard(|octets| conclusion(octets, socket));
            let reply = match answered {
                Some(reply) => reply,
                None => match tokio::time::timeout(FAREWELL_WITHIN, late).await {
                    Ok(Ok(reply)) => reply,
                    _ => return,
                },
            };
            if reply.kind == CONCLUSION {
                tokio::time::sleep(FAREWELL_AFTER).await;
                asking.tell(&shutdown(reply.socket));
            }
        });
    }
}

/// What answers a conclusion for our socket: no second answer to an induction that was sent twice.
fn conclusion(octets: &[u8], socket: u32) -> Option<Reply> {
    read(octets, socket).filter(|reply| reply.kind != INDUCTION)
}

fn rejected(code: u32, srt: &Srt) -> Result<(), Ended> {
    match srt.rejected {
        Rejected::Succeeds => Ok(()),
        Rejected::Fails => {
            let reason = REASONS.iter().find(|(known, _)| *known == code);
            let reason = reason.map_or(String::new(), |(_, words)| format!(" ({words})"));
            Err(Ended::at("stream", format!("rejected: {code}{reason}")))
        }
    }
}

fn handshake(
    [version, kind, cookie]: [u32; 3],
    field: u16,
    [first, socket]: [u32; 2],
    peer: IpAddr,
    extensions: &[u8],
) -> Vec<u8> {
    let mut octets = control(IS_HANDSHAKE, 0);
    octets.extend(version.to_be_bytes());
    octets.extend([0, 0]); // No cipher is proposed.
    octets.extend(field.to_be_bytes());
    // The first packet's number, the largest packet, packets that may be under way: libsrt's own.
    for word in [first, 1500, 8192, kind, socket, cookie] {
        octets.extend(word.to_be_bytes());
    }
    octets.extend(swapped(&match peer {
        IpAddr::V4(v4) => [&v4.octets()[..], &[0; 12]].concat(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }));
    octets.extend(extensions);
    octets
}

/// A control packet's header: its type, and for whom it is. Its time is 0: the connection begins with it.
fn control(kind: u16, socket: u32) -> Vec<u8> {
    let mut octets = kind.to_be_bytes().to_vec();
    octets.extend([0; 10]);
    octets.extend(socket.to_be_bytes());
    octets
}

fn shutdown(socket: u32) -> Vec<u8> {
    [control(IS_SHUTDOWN, socket), vec![0; 4]].concat()
}

/// The extension with a stream id, which files hold to 512 octets.
fn sid(streamid: &str) -> Vec<u8> {
    let mut text = streamid.as_bytes().to_vec();
    text.resize(text.len().next_multiple_of(4), 0);
    let words = u16::try_from(text.len() / 4).unwrap_or(u16::MAX);
    [&SID.to_be_bytes()[..], &words.to_be_bytes(), &swapped(&text)].concat()
}

/// Each word of four octets the other way round: so libsrt sends what is no number.
fn swapped(octets: &[u8]) -> Vec<u8> {
    octets.chunks(4).flat_map(|word| word.iter().rev().copied()).collect()
}

/// A handshake that is for our socket.
fn read(octets: &[u8], socket: u32) -> Option<Reply> {
    let octets = octets.first_chunk::<HANDSHAKE>()?;
    let word = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let ours = half(0) == IS_HANDSHAKE && word(HEADER - 4) == socket;
    ours.then(|| Reply {
        version: word(HEADER),
        extensions: half(HEADER + 6),
        kind: word(HEADER + 20),
        socket: word(HEADER + 24),
        cookie: word(HEADER + 28),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, proptest};

    use super::*;

    #[test]
    fn a_handshake_reads_as_it_was_written() {
        let octets = handshake([5, CONCLUSION, 7], FLAGS, [1, 9], "192.0.2.1".parse().unwrap(), &[]);
        let to_nine = [&octets[..12], &9u32.to_be_bytes(), &octets[16..]].concat();
        let reply = Reply { version: 5, extensions: FLAGS, kind: CONCLUSION, socket: 9, cookie: 7 };
        assert_eq!(octets.len(), HANDSHAKE);
        assert_eq!(read(&to_nine, 9), Some(reply));
        assert_eq!(read(&to_nine, 8), None, "it is for another");
    }

    #[test]
    fn addresses_and_stream_ids_stand_word_by_word_the_other_way_round() {
        let octets = handshake([4, 1, 0], 2, [0, 0], "192.0.2.1".parse().unwrap(), &[]);
        assert_eq!(octets[48..56], [1, 2, 0, 192, 0, 0, 0, 0]);
        assert_eq!(sid("#!::r"), [0, 5, 0, 2, b':', b':', b'!', b'#', 0, 0, 0, b'r']);
    }

    #[test]
    fn a_rejection_is_told_where_it_is_a_failure() {
        let srt = |rejected| Srt { streamid: Some("s".into()), rejected };
        assert!(rejected(1011, &srt(Rejected::Succeeds)).is_ok());
        let told = |code| match rejected(code, &srt(Rejected::Fails)) {
            Err(Ended::Failed(cause)) => cause.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(1011), "stream: rejected: 1011 (a passphrase on one side alone)");
        assert_eq!(told(3000), "stream: rejected: 3000");
    }

    proptest! {
        // Reading never panics, and takes nothing for ours that is for another socket.
        #[test]
        fn garbage_is_nobodys(octets in prop::collection::vec(any::<u8>(), 0..100), socket in any::<u32>()) {
            let ours = octets.get(12..16) == Some(&socket.to_be_bytes()[..]);
            prop_assert!(ours || read(&octets, socket).is_none());
        }
    }
}
