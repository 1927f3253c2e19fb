//! What a publisher offers in SDP (RFC 8866, RFC 9725), and what a probe needs of the answer.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// RFC 8839 §5.4: a fragment has 4 to 256 characters, a password 22 to 256.
const CREDENTIAL_MAX: usize = 256;
/// Candidates beyond so many are not looked at.
const CANDIDATES_MAX: usize = 64;

/// The credentials of one side (RFC 8839 §5.4).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Credentials {
    pub(super) ufrag: String,
    pub(super) password: String,
}

/// What a probe needs of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) credentials: Credentials,
    /// Where the server can be met over UDP.
    pub(super) candidates: Vec<SocketAddr>,
}

/// An offer to send sound (Opus) and picture (H.264), as encoders make it. `fingerprint` is that of a certificate that
/// nobody will see: the probe ends before DTLS begins.
pub(super) fn offer(own: &Credentials, fingerprint: &[u8; 32]) -> String {
    let fingerprint: Vec<String> = fingerprint.iter().map(|octet| format!("{octet:02X}")).collect();
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:actpass\r\n\
         a=sendonly\r\na=rtcp-mux\r\n",
        own.ufrag,
        own.password,
        fingerprint.join(":"),
    );
    let source = |number: u32, kind: &str| {
        format!(
            "a=msid:steerdns {kind}\r\na=ssrc:{number} cname:steerdns\r\na=ssrc:{number} msid:steerdns {kind}\r\n"
        )
    };
    let mut text = String::from(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic:WMS *\r\n",
    );
    let mut add = |media: &str, mid: u32, codec: &str, source: &str| {
        write!(text, "{media}\r\n{transport}a=mid:{mid}\r\n{codec}{source}").expect("a String takes all");
    };
    let opus = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";
    add("m=audio 9 UDP/TLS/RTP/SAVPF 111", 0, opus, &source(1001, "audio"));
    let h264 = "a=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";
    add("m=video 9 UDP/TLS/RTP/SAVPF 96", 1, h264, &source(1002, "video"));
    text
}

/// Reads an answer: the first credentials (all are one bundle), and the candidates.
pub(super) fn answer(text: &[u8]) -> Result<Answer, &'static str> {
    let text = str::from_utf8(text).map_err(|_| "the answer is not UTF-8")?;
    let (mut ufrag, mut password, mut candidates) = (None, None, Vec::new());
    for line in text.lines() {
        let Some((name, value)) = line.strip_prefix("a=").and_then(|line| line.split_once(':')) else {
            continue;
        };
        match name {
            "ice-ufrag" => ufrag = ufrag.or(Some(value.trim())),
            "ice-pwd" => password = password.or(Some(value.trim())),
            "candidate" if candidates.len() < CANDIDATES_MAX => candidates.extend(candidate(value)),
            _ => {}
        }
    }
    let fits = |credential: &&str| (1..=CREDENTIAL_MAX).contains(&credential.len());
    let ufrag = ufrag.filter(fits).ok_or("the answer has no ice-ufrag")?.to_owned();
    let password = password.filter(fits).ok_or("the answer has no ice-pwd")?.to_owned();
    Ok(Answer { credentials: Credentials { ufrag, password }, candidates })
}

/// `foundation component transport priority address port …` (RFC 8839 §5.1). `None`: not over UDP, or by name.
fn candidate(value: &str) -> Option<SocketAddr> {
    let mut fields = value.split_ascii_whitespace();
    let transport = fields.nth(2)?;
    let address: IpAddr = fields.nth(1)?.parse().ok()?;
    let port: u16 = fields.next()?.parse().ok()?;
    (transport.eq_ignore_ascii_case("udp") && port != 0).then(|| SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn an_answer_tells_credentials_and_candidates() {
        let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abcd\r\n\
                    a=ice-pwd:0123456789012345678901\r\na=candidate:0 1 udp 2130706431 192.0.2.1 8000 typ host generation 0\r\n\
                    a=candidate:1 1 TCP 1 192.0.2.1 8001 typ host tcptype passive\r\n\
                    a=candidate:2 1 UDP 1 2001:db8::1 8000 typ host\r\na=candidate:3 1 udp 1 x.local 8000 typ host\r\n\
                    a=candidate:4 1 udp\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:later\r\na=ice-pwd:later\r\n";
        let credentials = Credentials { ufrag: "abcd".into(), password: "0123456789012345678901".into() };
        let candidates = ["192.0.2.1:8000", "[2001:db8::1]:8000"].map(|at| at.parse().unwrap()).to_vec();
        assert_eq!(answer(text.as_bytes()), Ok(Answer { credentials, candidates }));
    }

    #[test]
    fn an_answer_without_credentials_is_told() {
        assert_eq!(answer(b"v=0\r\n"), Err("the answer has no ice-ufrag"));
        assert_eq!(answer(b"a=ice-ufrag:a\r\na=ice-pwd:\r\n"), Err("the answer has no ice-pwd"));
        assert_eq!(answer(&[0xFF]), Err("the answer is not UTF-8"));
    }

    #[test]
    fn an_offer_is_read_back_as_an_answer() {
        let own = Credentials { ufrag: "abcd".into(), password: "p".repeat(24) };
        let text = offer(&own, &[0xAB; 32]);
        assert_eq!(answer(text.as_bytes()).unwrap().credentials, own);
        assert!(text.lines().all(|line| line.as_bytes()[1] == b'='), "{text}");
        assert_eq!(text.matches("\r\n").count(), text.lines().count());
    }

    proptest! {
        // Reading an answer never panics.
        #[test]
        fn any_answer_is_read(text in "(a=(candidate|ice-ufrag|ice-pwd):[a-z0-9 .:]{0,60}\r\n|\\PC{0,20}\r\n){0,30}") {
            let _ = answer(text.as_bytes());
        }
    }
}
