//! RTMP as a publisher begins it: C0 C1 -> S0 S1 S2 -> C2, and `connect` -> `_result`.
//!
//! By itself it goes no further: a `publish` would run the server's hooks.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::chunks::{Chunks, Message, chunked};
use super::ended::{Ended, Limit};
use crate::health::check::Rtmp;

/// The version that C0 and S0 say.
const VERSION: u8 = 3;
/// Octets of C1, C2, S1 and S2.
const HANDSHAKE: usize = 1536;
/// So much is read, in octets, before what was asked for must have come.
pub(super) const ANSWER_MAX: usize = 64 * 1024;

const ACKNOWLEDGEMENT: u8 = 3;
const WINDOW_SIZE: u8 = 5;
const COMMAND_AMF3: u8 = 17;
/// A command in AMF0 (§7.1.1).
pub(super) const COMMAND: u8 = 20;

/// How a `tcUrl` begins, and the port that it leaves out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scheme(&'static str, u16);

/// Over TCP alone.
pub(super) const PLAIN: Scheme = Scheme("rtmp", 1935);
/// Over TLS.
pub(super) const ENCRYPTED: Scheme = Scheme("rtmps", 443);

/// A connection behind the handshake.
#[derive(Debug)]
pub(super) struct Session<S> {
    stream: S,
    /// What has come.
    pub chunks: Chunks,
    /// Octets of it.
    pub read: usize,
    acknowledged: usize,
    window: usize,
}

/// Handshake and `connect`.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    rtmp: &Rtmp,
    scheme: Scheme,
    to: SocketAddr,
    limit: &Limit,
) -> Result<Session<S>, Ended> {
    let s1 = limit.step("handshake", handshake(&mut stream)).await?;
    let chunks = Chunks::new();
    let mut session = Session { stream, chunks, read: 0, acknowledged: 0, window: usize::MAX };
    // C2 and the command in one.
    let command = [s1, chunked(3, COMMAND, 0, &command(rtmp, scheme, to))].concat();
    limit.step("application", session.ask("connect", 1.0, &command)).await?;
    Ok(session)
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

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Sends a command, and reads until it is answered: what stands behind the transaction in its `_result`.
    pub(super) async fn ask(
        &mut self,
        word: &str,
        transaction: f64,
        command: &[u8],
    ) -> Result<Vec<u8>, Ended> {
        let layer = "application";
        self.send(layer, command).await?;
        let from = self.read;
        while self.read - from <= ANSWER_MAX {
            while let Some(message) = self.next(layer)? {
                if let Some(answer) = answer(&message, word, transaction) {
                    return answer;
                }
            }
            if !self.more(layer).await? {
                let hint = if word == "connect" { ": is there such an application?" } else { "" };
                return Err(Ended::at(layer, format!("closed after `{word}`{hint}")));
            }
        }
        Err(Ended::at(layer, format!("64 KiB, and `{word}` is not answered")))
    }

    /// Sends what is chunked already.
    pub(super) async fn send(&mut self, layer: &'static str, chunks: &[u8]) -> Result<(), Ended> {
        self.stream.write_all(chunks).await.map_err(|error| Ended::io(layer, &error))?;
        // TLS may hold it back.
        self.stream.flush().await.map_err(|error| Ended::io(layer, &error))
    }

    /// The next whole message that is there.
    pub(super) fn next(&mut self, layer: &'static str) -> Result<Option<Message>, Ended> {
        let message = self.chunks.next().map_err(|what| Ended::at(layer, what))?;
        if let Some(Message { kind: WINDOW_SIZE, body }) = &message
            && let Ok(size) = <[u8; 4]>::try_from(&body[..])
        {
            self.window = u32::from_be_bytes(size) as usize;
        }
        Ok(message)
    }

    /// Reads more, and acknowledges it as the server wants (§5.4.3); `false`: it has closed.
    pub(super) async fn more(&mut self, layer: &'static str) -> Result<bool, Ended> {
        let mut octets = [0; 4096];
        let more = self.stream.read(&mut octets).await.map_err(|error| Ended::io(layer, &error))?;
        self.chunks.push(&octets[..more]);
        self.read += more;
        if self.read - self.acknowledged >= self.window {
            self.acknowledged = self.read;
            let so_far = u32::try_from(self.read).unwrap_or(u32::MAX).to_be_bytes();
            self.send(layer, &chunked(2, ACKNOWLEDGEMENT, 0, &so_far)).await?;
        }
        Ok(more > 0)
    }
}

/// `connect` with its one argument, in AMF0.
fn command(rtmp: &Rtmp, Scheme(scheme, usual_port): Scheme, to: SocketAddr) -> Vec<u8> {
    let host = rtmp.host.clone().unwrap_or_else(|| match to {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    });
    let port = if to.port() == usual_port { String::new() } else { format!(":{}", to.port()) };
    let url = format!("{scheme}://{host}{port}/{}", rtmp.app);
    let mut body = called("connect", 1.0);
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

/// A command's name and transaction, in AMF0.
pub(super) fn called(name: &str, transaction: f64) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, name);
    number(&mut body, transaction);
    body
}

/// A number, in AMF0.
pub(super) fn number(body: &mut Vec<u8>, number: f64) {
    body.push(0);
    body.extend(number.to_be_bytes());
}

/// A string, in AMF0.
pub(super) fn string(body: &mut Vec<u8>, text: &str) {
    body.push(2);
    counted(body, text);
}

/// Two octets of length, then so many; what does not fit is cut off.
fn counted(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(&text.as_bytes()[..usize::from(length)]);
}

/// The name of the command that a message is, its transaction, and what stands behind.
pub(super) fn read_command(message: &Message) -> Option<(&[u8], f64, &[u8])> {
    let command = match (message.kind, &message.body[..]) {
        (COMMAND, body) => body,
        (COMMAND_AMF3, [0, body @ ..]) => body,
        _ => return None,
    };
    let (name, rest) = read_string(command.strip_prefix(&[2])?)?;
    let (transaction, rest) = read_number(rest)?;
    Some((name, transaction, rest))
}

/// A number of AMF0, and what stands behind it.
pub(super) fn read_number(octets: &[u8]) -> Option<(f64, &[u8])> {
    let (number, rest) = octets.strip_prefix(&[0])?.split_first_chunk::<8>()?;
    Some((f64::from_be_bytes(*number), rest))
}

/// What a message says to a command of ours; `None` where it is about something else.
fn answer(message: &Message, word: &str, asked: f64) -> Option<Result<Vec<u8>, Ended>> {
    match read_command(message)? {
        (b"_result", transaction, rest) if transaction == asked => Some(Ok(rest.to_vec())),
        (b"_error", transaction, rest) if transaction == asked => {
            Some(Err(refused("application", word, rest)))
        }
        _ => None,
    }
}

/// That a command was refused, in the server's words.
pub(super) fn refused(layer: &'static str, word: &str, said: &[u8]) -> Ended {
    let words = property(said, "description").filter(|words| !words.is_empty());
    let words = words.or_else(|| property(said, "code")).unwrap_or_default();
    Ended::at(layer, format!("`{word}` refused: {words}"))
}

fn read_string(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The text of an object's property, wherever it stands.
pub(super) fn property(body: &[u8], name: &str) -> Option<String> {
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
        let mut body = called(name, transaction);
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
        assert!(matches!(answer(&reply("_result", 1.0), "connect", 1.0), Some(Ok(_))));
        assert!(answer(&reply("_result", 2.0), "connect", 1.0).is_none());
        assert!(answer(&reply("onBWDone", 1.0), "connect", 1.0).is_none());
    }

    #[test]
    fn the_same_in_amf3_is_understood() {
        let Message { body, .. } = reply("_result", 1.0);
        let message = Message { kind: COMMAND_AMF3, body: [&[0], &body[..]].concat() };
        assert!(matches!(answer(&message, "connect", 1.0), Some(Ok(_))));
    }

    #[test]
    fn an_error_is_told_in_the_servers_words() {
        let Some(Err(Ended::Failed(cause))) = answer(&reply("_error", 1.0), "connect", 1.0) else {
            panic!("no failure")
        };
        assert_eq!(cause.to_string(), "application: `connect` refused: no such application");
    }

    #[test]
    fn the_url_names_scheme_host_port_and_application() {
        let rtmp = Rtmp { app: "live".into(), host: None, play: None };
        let has = |scheme: Scheme, to: &str, url: &str| {
            assert_eq!(property(&command(&rtmp, scheme, to.parse().unwrap()), "tcUrl").unwrap(), url);
        };
        has(PLAIN, "192.0.2.1:1935", "rtmp://192.0.2.1/live");
        has(PLAIN, "[2001:db8::1]:1936", "rtmp://[2001:db8::1]:1936/live");
        has(ENCRYPTED, "192.0.2.1:443", "rtmps://192.0.2.1/live");
    }

    proptest! {
        // Reading an answer never panics.
        #[test]
        fn garbage_is_no_answer(kind in 16u8..22, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&Message { kind, body }, "connect", 1.0);
        }
    }
}
