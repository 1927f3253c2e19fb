//! One connectivity check of ICE (RFC 8445 §7): a STUN Binding (RFC 8489) with the credentials of both sides.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::ended::{Ended, Limit};
use super::sdp::Credentials;
use super::udp;

const LAYER: &str = "ice";

const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const PRIORITY: u16 = 0x0024;
const FINGERPRINT: u16 = 0x8028;
const CONTROLLING: u16 = 0x802A;
/// That of a peer-reflexive candidate (RFC 8445 §5.1.2.1), which is what we are to the server.
const PRIORITY_OF_OURS: u32 = (110 << 24) | (65_535 << 8) | 255;

/// What makes a check unlike any other.
pub(super) struct Chance {
    pub(super) transaction: [u8; 12],
    pub(super) tie_breaker: [u8; 8],
}

/// Sends a check, and once more where nothing comes for a while.
pub(super) async fn bind(
    to: SocketAddr,
    own: &Credentials,
    theirs: &Credentials,
    chance: &Chance,
    limit: &Limit,
) -> Result<(), Ended> {
    let request = request(own, theirs, chance);
    let socket = udp::connect(to).await?;
    let answered = socket.ask(LAYER, &request, limit, |datagram| judge(datagram, theirs, chance)).await?;
    answered.map_err(|what| Ended::at(LAYER, what))
}

/// A Binding request (RFC 8445 §7.1).
fn request(own: &Credentials, theirs: &Credentials, chance: &Chance) -> Vec<u8> {
    let mut message = [&REQUEST.to_be_bytes()[..], &[0, 0], &COOKIE, &chance.transaction].concat();
    attribute(&mut message, USERNAME, format!("{}:{}", theirs.ufrag, own.ufrag).as_bytes());
    attribute(&mut message, PRIORITY, &PRIORITY_OF_OURS.to_be_bytes());
    attribute(&mut message, CONTROLLING, &chance.tie_breaker);
    // RFC 8489 §14.5, §14.7: the length that is hashed counts the attribute that will hold the hash.
    let integrity = integrity(&message, &theirs.password).finalize().into_bytes();
    attribute(&mut message, MESSAGE_INTEGRITY, &integrity);
    set_length(&mut message, 8);
    let fingerprint = crc32fast::hash(&message) ^ 0x5354_554E;
    attribute(&mut message, FINGERPRINT, &fingerprint.to_be_bytes());
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    message.extend(kind.to_be_bytes());
    message.extend(length.to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_length(message, 0);
}

/// The header says how many octets follow it; `more` are yet to come.
fn set_length(message: &mut [u8], more: usize) {
    let length = u16::try_from(message.len() - 20 + more).unwrap_or(u16::MAX);
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// The HMAC over what stands before MESSAGE-INTEGRITY (RFC 8489 §14.5).
fn integrity(before: &[u8], password: &str) -> Hmac<Sha1> {
    let mut message = before.to_vec();
    set_length(&mut message, 24);
    let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(password.as_bytes());
    let mut mac = mac.expect("HMAC takes keys of any length");
    mac.update(&message);
    mac
}

/// What a datagram says to our request; `None`: it is none of its answers.
fn judge(datagram: &[u8], theirs: &Credentials, chance: &Chance) -> Option<Result<(), String>> {
    let (head, mut rest) = datagram.split_first_chunk::<20>()?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[4..8] != COOKIE || head[8..] != chance.transaction || length != rest.len() {
        return None;
    }
    let mut refusal = None;
    while let Some((attribute, behind)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = *attribute;
        let (name, length) = (u16::from_be_bytes([a, b]), usize::from(u16::from_be_bytes([c, d])));
        let value = behind.get(..length)?;
        match name {
            MESSAGE_INTEGRITY if kind == SUCCESS => {
                let before = &datagram[..datagram.len() - rest.len()];
                return match integrity(before, &theirs.password).verify_slice(value) {
                    Ok(()) => Some(Ok(())),
                    Err(_) => {
                        Some(Err("answered, but not by who knows the password (MESSAGE-INTEGRITY)".into()))
                    }
                };
            }
            ERROR_CODE => refusal = value.split_first_chunk::<4>(),
            _ => {}
        }
        rest = behind.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    match (kind, refusal) {
        (SUCCESS, _) => Some(Err("answered without MESSAGE-INTEGRITY".into())),
        (ERROR, Some(([_, _, class, number], words))) => {
            let code = u16::from(class & 7) * 100 + u16::from(*number);
            Some(Err(format!("refused: {code} {}", String::from_utf8_lossy(words))))
        }
        (ERROR, None) => Some(Err("refused".into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn credentials(ufrag: &str, password: &str) -> Credentials {
        Credentials { ufrag: ufrag.into(), password: password.into() }
    }

    /// RFC 5769 §2.1: its request, from the same username, password, priority, tie-breaker and transaction; but for its
    /// SOFTWARE, and padding of spaces.
    #[test]
    fn a_request_is_as_the_rfc_has_it() {
        let chance = Chance {
            transaction: [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE],
            tie_breaker: [0x93, 0x2F, 0xF9, 0xB1, 0x51, 0x26, 0x3B, 0x36],
        };
        let theirs = credentials("evtj", "VOkJxbRl1RmTxUk/WvJxBt");
        let message = request(&credentials("h6vY", "unused"), &theirs, &chance);
        assert_eq!(&message[..8], [0, 1, 0, 68, 0x21, 0x12, 0xA4, 0x42]);
        assert_eq!(&message[20..36], [&[0, 6, 0, 9][..], b"evtj:h6vY\0\0\0"].concat());
        assert_eq!(&message[36..44], [0, 0x24, 0, 4, 0x6E, 0xFF, 0xFF, 0xFF]);
        assert_eq!(&message[44..48], [0x80, 0x2A, 0, 8]);
        assert_eq!(&message[56..60], [0, 8, 0, 20]);
        assert_eq!(&message[80..84], [0x80, 0x28, 0, 4]);
        assert_eq!(message.len(), 88);
    }

    /// RFC 5769 §2.2, octet by octet: a success response for IPv4, with the password of §2.
    #[rustfmt::skip]
    const RESPONSE: [u8; 80] = [
        0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
        0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20,
        0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
        0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7,
        0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96,
    ];

    fn judged(datagram: &[u8], password: &str) -> Option<Result<(), String>> {
        let transaction = [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE];
        judge(datagram, &credentials("evtj", password), &Chance { transaction, tie_breaker: [0; 8] })
    }

    #[test]
    fn the_rfcs_response_is_taken_with_its_password_alone() {
        assert_eq!(judged(&RESPONSE, "VOkJxbRl1RmTxUk/WvJxBt"), Some(Ok(())));
        let wrong = judged(&RESPONSE, "another").unwrap().unwrap_err();
        assert!(wrong.contains("MESSAGE-INTEGRITY"), "{wrong}");
        for at in [8, 30, 44, 60] {
            let mut changed = RESPONSE;
            changed[at] ^= 1;
            assert_ne!(judged(&changed, "VOkJxbRl1RmTxUk/WvJxBt"), Some(Ok(())), "octet {at}");
        }
        assert_eq!(judged(&RESPONSE[..79], "VOkJxbRl1RmTxUk/WvJxBt"), None);
    }

    #[test]
    fn a_refusal_is_told_with_its_code() {
        let mut message = [&ERROR.to_be_bytes()[..], &[0, 0], &COOKIE, &RESPONSE[8..20]].concat();
        attribute(&mut message, ERROR_CODE, &[&[0, 0, 4, 1][..], b"Unauthorized"].concat());
        assert_eq!(judged(&message, "p"), Some(Err("refused: 401 Unauthorized".into())));
    }

    proptest! {
        // Reading what a stranger sends never panics, and never takes it.
        #[test]
        fn any_datagram_is_judged(tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut message = [&SUCCESS.to_be_bytes()[..], &[0, 0], &COOKIE, &RESPONSE[8..20], &tail].concat();
            set_length(&mut message, 0);
            assert_ne!(judged(&message, "p"), Some(Ok(())));
            assert_ne!(judged(&tail, "p"), Some(Ok(())));
        }
    }
}
