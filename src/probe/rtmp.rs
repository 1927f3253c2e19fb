//! RTMP as a publisher begins it: C0 C1 -> S0 S1 S2 -> C2, and `connect` -> `_result`.
//!
//! It goes no further: a `publish` would run the server's hooks, and a `play` proves nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::chunks::{Chunks, Message, chunked};
use super::ended::{Ended, Limit};
use crate::health::check::Rtmp;

/// The version that C0 and S0 say.
const VERSION: u8 = 3;
/// Octets of C1, C2, S1 and S2.
const HANDSHAKE: usize = 1536;
/// The port that `tcUrl` leaves out.
const DEFAULT_PORT: u16 = 1935;
/// So much is read behind the handshake, in octets, before `_result` must have come.
const ANSWER_MAX: usize = 64 * 1024;

const ACKNOWLEDGEMENT: u8 = 3;
const WINDOW_SIZE: u8 = 5;
const COMMAND_AMF3: u8 = 17;
const COMMAND: u8 = 20;

/// Handshake and `connect`.
pub(super) async fn connect(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    rtmp: &Rtmp,
    to: SocketAddr,
    limit: &Limit,
) -> Result<(), Ended> {
    let s1 = limit.step("handshake", handshake(&mut stream)).await?;
    limit.step("application", ask(&mut stream, &s1, &command(rtmp, to))).await
}

async fn handshake(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Vec<u8>, Ended> {
    let io = |error| Ended::io("handshake", &error);
    let mut c0_c1 = vec![0; 1 + HANDSHAKE];
    c0_c1[0] = VERSION;
    // Behind time and zero, 1528 octets of any value: with a zero version nobody looks for a digest in them.
    c0_c1[9..].iter_mut().zip(1u8..=u8::MAX).for_each(|(octet, value)| *octet = value);
    stream.write_all(&c0_c1).await.map_err(io)?;
    let version = stream.read_u8().await.map_err(io)?;
    if version != VERSION {
        return Err(Ended::at("handshake", format!("S0 says version {version}, not {VERSION}")));
    }
    let mut s1_s2 = vec![0; 2 * HANDSHAKE];
    stream.read_exact(&mut s1_s2).await.map_err(io)?;
    s1_s2.truncate(HANDSHAKE);
    Ok(s1_s2)
}

/// Sends C2 and the command in one, and reads until it is answered.
async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    s1: &[u8],
    command: &[u8],
) -> Result<(), Ended> {
    let io = |error| Ended::io("application", &error);
    stream.write_all(&[s1, &chunked(3, COMMAND, command)].concat()).await.map_err(io)?;
    let (mut chunks, mut octets) = (Chunks::new(), [0; 4096]);
    let (mut read, mut acknowledged, mut window) = (0usize, 0usize, usize::MAX);
    while read <= ANSWER_MAX {
        while let Some(message) = chunks.next().map_err(|what| Ended::at("application", what))? {
            if let (WINDOW_SIZE, Ok(size)) = (message.kind, <[u8; 4]>::try_from(&message.body[..])) {
                window = u32::from_be_bytes(size) as usize;
            }
            if let Some(answer) = answer(&message) {
                return answer;
            }
        }
        let more = stream.read(&mut octets).await.map_err(io)?;
        if more == 0 {
            return Err(Ended::at("application", "closed after `connect`: is there such an application?"));
        }
        chunks.push(&octets[..more]);
        read += more;
        if read - acknowledged >= window {
            acknowledged = read;
            let so_far = u32::try_from(read).unwrap_or(u32::MAX).to_be_bytes();
            stream.write_all(&chunked(2, ACKNOWLEDGEMENT, &so_far)).await.map_err(io)?;
        }
    }
    Err(Ended::at("application", "64 KiB, and `connect` is not answered"))
}

/// `connect` with its one argument, in AMF0.
fn command(rtmp: &Rtmp, to: SocketAddr) -> Vec<u8> {
    let host = rtmp.host.clone().unwrap_or_else(|| match to {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    });
    let port = if to.port() == DEFAULT_PORT { String::new() } else { format!(":{}", to.port()) };
    let url = format!("rtmp://{host}{port}/{}", rtmp.app);
    let mut body = Vec::new();
    string(&mut body, "connect");
    body.push(0);
    body.extend(1f64.to_be_bytes());
    body.push(3);
    let properties =
        [("app", &*rtmp.app), ("type", "nonprivate"), ("flashVer", "FMLE/3.0 (steerdns)"), ("tcUrl", &url)];
    for (name, value) in properties {
        counted(&mut body, name);
        string(&mut body, value);
    }
    body.extend([0, 0, 9]);
    body
}

fn string(body: &mut Vec<u8>, text: &str) {
    body.push(2);
    counted(body, text);
}

/// Two octets of length, then so many; what does not fit is cut off.
fn counted(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(&text.as_bytes()[..usize::from(length)]);
}

/// What a message says to our `connect`; `None` where it is about something else.
fn answer(message: &Message) -> Option<Result<(), Ended>> {
    let command = match (message.kind, &message.body[..]) {
        (COMMAND, body) => body,
        (COMMAND_AMF3, [0, body @ ..]) => body,
        _ => return None,
    };
    let (name, rest) = read_string(command.strip_prefix(&[2])?)?;
    let transaction = rest.strip_prefix(&[0])?.first_chunk::<8>()?;
    if f64::from_be_bytes(*transaction) != 1.0 {
        return None;
    }
    match name {
        b"_result" => Some(Ok(())),
        b"_error" => {
            let words = property(rest, "description").or_else(|| property(rest, "code"));
            Some(Err(Ended::at("application", format!("`connect` refused: {}", words.unwrap_or_default()))))
        }
        _ => None,
    }
}

fn read_string(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The text of an object's property, wherever it stands.
fn property(body: &[u8], name: &str) -> Option<String> {
    let mut wanted = Vec::new();
    counted(&mut wanted, name);
    wanted.push(2);
    let at = body.windows(wanted.len()).position(|window| window == wanted)?;
    let (text, _) = read_string(&body[at + wanted.len()..])?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn reply(name: &str, transaction: f64) -> Message {
        let mut body = Vec::new();
        string(&mut body, name);
        body.push(0);
        body.extend(transaction.to_be_bytes());
        body.push(3);
        counted(&mut body, "code");
        string(&mut body, "NetConnection.Connect.Rejected");
        counted(&mut body, "description");
        string(&mut body, "no such application");
        body.extend([0, 0, 9]);
        Message { kind: COMMAND, body }
    }

    #[test]
    fn a_result_of_our_connect_is_success() {
        assert!(matches!(answer(&reply("_result", 1.0)), Some(Ok(()))));
        assert!(answer(&reply("_result", 2.0)).is_none());
        assert!(answer(&reply("onBWDone", 1.0)).is_none());
    }

    #[test]
    fn the_same_in_amf3_is_understood() {
        let Message { body, .. } = reply("_result", 1.0);
        let message = Message { kind: COMMAND_AMF3, body: [&[0], &body[..]].concat() };
        assert!(matches!(answer(&message), Some(Ok(()))));
    }

    #[test]
    fn an_error_is_told_in_the_servers_words() {
        let Some(Err(Ended::Failed(cause))) = answer(&reply("_error", 1.0)) else { panic!("no failure") };
        assert_eq!(cause.to_string(), "application: `connect` refused: no such application");
    }

    #[test]
    fn the_url_names_host_port_and_application() {
        let rtmp = Rtmp { app: "live".into(), host: None };
        let has = |to: &str, url: &str| {
            assert_eq!(property(&command(&rtmp, to.parse().unwrap()), "tcUrl").unwrap(), url);
        };
        has("192.0.2.1:1935", "rtmp://192.0.2.1/live");
        has("[2001:db8::1]:1936", "rtmp://[2001:db8::1]:1936/live");
    }

    proptest! {
        // Reading an answer never panics.
        #[test]
        fn garbage_is_no_answer(kind in 16u8..22, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&Message { kind, body });
        }
    }
}
