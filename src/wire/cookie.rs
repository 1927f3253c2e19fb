//! DNS cookies (RFC 7873), with server cookies that all servers make alike (RFC 9018).

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// Octets of a client cookie.
pub const CLIENT_OCTETS: usize = 8;
/// Octets of our server cookies: version, three that are reserved, time, hash (RFC 9018 §4).
pub const SERVER_OCTETS: usize = 16;
/// Octets of a COOKIE option with both.
pub const COOKIE_OCTETS: usize = CLIENT_OCTETS + SERVER_OCTETS;
/// Octets of a secret.
pub const SECRET_OCTETS: usize = 16;

/// What other server cookies than ours may measure (RFC 7873 §4).
const SERVER_OCTETS_MIN: usize = 8;
const SERVER_OCTETS_MAX: usize = 32;
/// The version of RFC 9018.
const VERSION: u8 = 1;
/// Older ones are bad (RFC 9018 §4.3).
const AGE_S_MAX: u32 = 3600;
/// Older ones are good, and the client gets a new one (RFC 9018 §4.3).
const RENEW_S: u32 = 1800;
/// How far in the future the time may lie: another server's clock may be ahead (RFC 9018 §4.3).
const AHEAD_S_MAX: u32 = 300;

/// The COOKIE option of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// The client's own.
    pub client: [u8; CLIENT_OCTETS],
    /// The server's, where it is of a length that ours have.
    server: Option<[u8; SERVER_OCTETS]>,
    /// Whether there was a server's of whatever length.
    has_server: bool,
}

impl Cookie {
    /// Reads the option; `None` where its length is wrong (RFC 7873 §5.2.2: FORMERR).
    pub(super) fn read(option: &[u8]) -> Option<Cookie> {
        let (client, server) = option.split_first_chunk()?;
        let has_server = !server.is_empty();
        let right = !has_server || (SERVER_OCTETS_MIN..=SERVER_OCTETS_MAX).contains(&server.len());
        right.then_some(Cookie { client: *client, server: server.try_into().ok(), has_server })
    }
}

/// What a cookie tells of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// It has a good server cookie: its address is its own.
    Known,
    /// It has none yet.
    New,
    /// What it has is too old, made elsewhere, or made up.
    Doubtful,
}

/// The secrets of server cookies: the first makes them, each of them makes them good. The same on all servers of an anycast set.
///
/// To roll one over (RFC 9018 §5): put the new one last, everywhere; then first, everywhere; an hour later take out the old one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Box<[[u8; SECRET_OCTETS]]>);

impl Secrets {
    /// At least one, else cookies are not spoken.
    pub fn new(secrets: Vec<[u8; SECRET_OCTETS]>) -> Secrets {
        Secrets(secrets.into())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a cookie from `peer` tells, and the cookie of the answer; `None` without a secret.
    pub fn check(&self, cookie: &Cookie, peer: IpAddr, unix_s: u64) -> Option<(Sender, [u8; COOKIE_OCTETS])> {
        let (making, _) = self.0.split_first()?;
        let now = unix_s as u32; // RFC 9018 §4.3: serial number arithmetic, so it may wrap
        let mut sender = if cookie.has_server { Sender::Doubtful } else { Sender::New };
        if let Some(server) = &cookie.server
            && self.0.iter().any(|secret| is_by(secret, &cookie.client, server, peer))
            && let Some(age_s) = age_s(server, now)
        {
            sender = Sender::Known;
            // Made with the first secret, and young: it comes back as it is.
            if age_s <= RENEW_S && is_by(making, &cookie.client, server, peer) {
                return Some((sender, joined(&cookie.client, server)));
            }
        }
        Some((sender, joined(&cookie.client, &make(making, &cookie.client, peer, now))))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

fn joined(client: &[u8; CLIENT_OCTETS], server: &[u8; SERVER_OCTETS]) -> [u8; COOKIE_OCTETS] {
    let mut both = [0; COOKIE_OCTETS];
    both[..CLIENT_OCTETS].copy_from_slice(client);
    both[CLIENT_OCTETS..].copy_from_slice(server);
    both
}

/// How old a server cookie is; `None` where it is too old, or too far ahead.
fn age_s(server: &[u8; SERVER_OCTETS], now: u32) -> Option<u32> {
    let &[_, _, _, _, a, b, c, d, ..] = server;
    let age_s = now.wrapping_sub(u32::from_be_bytes([a, b, c, d])).cast_signed();
    let good = (-AHEAD_S_MAX.cast_signed()..=AGE_S_MAX.cast_signed()).contains(&age_s);
    good.then_some(age_s.max(0).cast_unsigned())
}

/// A server cookie of now.
fn make(
    secret: &[u8; SECRET_OCTETS],
    client: &[u8; CLIENT_OCTETS],
    peer: IpAddr,
    now: u32,
) -> [u8; SERVER_OCTETS] {
    let mut server = [0; SERVER_OCTETS];
    server[0] = VERSION;
    server[4..8].copy_from_slice(&now.to_be_bytes());
    let hash = hash(secret, client, &server, peer);
    server[8..].copy_from_slice(&hash);
    server
}

/// Whether this secret made a server cookie; what is reserved counts as it stands.
fn is_by(
    secret: &[u8; SECRET_OCTETS],
    client: &[u8; CLIENT_OCTETS],
    server: &[u8; SERVER_OCTETS],
    peer: IpAddr,
) -> bool {
    // Whoever guesses octet by octet needs to see by a nanosecond how far a comparison of one word went: there is none.
    let theirs = u64::from_ne_bytes(server[8..].try_into().expect("eight of sixteen"));
    server[0] == VERSION && u64::from_ne_bytes(hash(secret, client, server, peer)) == theirs
}

/// SipHash-2-4 of client cookie, version, reserved, time, client address (RFC 9018 §4.4).
fn hash(
    secret: &[u8; SECRET_OCTETS],
    client: &[u8; CLIENT_OCTETS],
    server: &[u8; SERVER_OCTETS],
    peer: IpAddr,
) -> [u8; 8] {
    let mut message = [0; CLIENT_OCTETS + 8 + 16];
    message[..CLIENT_OCTETS].copy_from_slice(client);
    message[CLIENT_OCTETS..16].copy_from_slice(&server[..8]);
    let end = match peer {
        IpAddr::V4(v4) => {
            message[16..20].copy_from_slice(&v4.octets());
            20
        }
        IpAddr::V6(v6) => {
            message[16..32].copy_from_slice(&v6.octets());
            32
        }
    };
    SipHasher24::new_with_key(secret).hash(&message[..end]).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        let octet = |at: usize| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap();
        std::array::from_fn(octet)
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    fn check(secrets: &[&str], peer: &str, cookie: &str, unix_s: u64) -> (Sender, String) {
        let secrets = Secrets::new(secrets.iter().map(|secret| octets(secret)).collect());
        let option: Vec<u8> =
            (0..cookie.len() / 2).map(|at| octets::<24>(&format!("{cookie:0<48}"))[at]).collect();
        let (sender, answer) =
            secrets.check(&Cookie::read(&option).unwrap(), peer.parse().unwrap(), unix_s).unwrap();
        (sender, answer.iter().map(|octet| format!("{octet:02x}")).collect())
    }

    /// RFC 9018, Appendix A.1.
    #[test]
    fn a_new_client_learns_a_server_cookie() {
        let (sender, answer) = check(&[SECRET], "198.51.100.100", "2464c4abcf10c957", 1_559_731_985);
        assert_eq!((sender, &*answer), (Sender::New, "2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
    }

    /// RFC 9018, Appendix A.2: 40 minutes later.
    #[test]
    fn an_old_cookie_is_good_and_renewed_and_a_young_one_comes_back() {
        let cookie = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let (sender, answer) = check(&[SECRET], "198.51.100.100", cookie, 1_559_734_385);
        assert_eq!((sender, &*answer), (Sender::Known, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"));
        assert_eq!(
            check(&[SECRET], "198.51.100.100", cookie, 1_559_731_985 + 60),
            (Sender::Known, cookie.into())
        );
    }

    /// RFC 9018, Appendix A.3: what is reserved counts as it stands. There the answer comes too late for the cookie to be good.
    #[test]
    fn reserved_octets_are_hashed_as_they_came() {
        let cookie = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        assert_eq!(check(&[SECRET], "203.0.113.203", cookie, 1_559_727_985).0, Sender::Known);
        let (sender, answer) = check(&[SECRET], "203.0.113.203", cookie, 1_559_734_700);
        assert_eq!(
            (sender, &*answer),
            (Sender::Doubtful, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e")
        );
    }

    /// RFC 9018, Appendix A.4.
    #[test]
    fn a_cookie_of_the_last_secret_is_good_and_renewed_with_the_first() {
        let secrets = ["445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"];
        let cookie = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let peer = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let (sender, answer) = check(&secrets, peer, cookie, 1_559_741_961);
        assert_eq!((sender, &*answer), (Sender::Known, "22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
        assert_eq!(check(&secrets[..1], peer, cookie, 1_559_741_961).0, Sender::Doubtful);
    }

    #[test]
    fn times_are_good_from_an_hour_ago_to_five_minutes_ahead() {
        let cookie = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let sender = |unix_s| check(&[SECRET], "198.51.100.100", cookie, unix_s).0;
        let made = 1_559_731_985;
        assert_eq!([made + 3600, made - 300].map(sender), [Sender::Known; 2]);
        assert_eq!([made + 3601, made - 301].map(sender), [Sender::Doubtful; 2]);
    }

    #[test]
    fn a_cookie_holds_for_one_address_and_one_client_cookie() {
        let sender = |peer, cookie| check(&[SECRET], peer, cookie, 1_559_731_985).0;
        assert_eq!(
            sender("198.51.100.101", "2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
            Sender::Doubtful
        );
        assert_eq!(
            sender("198.51.100.100", "2464c4abcf10c956010000005cf79f111f8130c3eee29480"),
            Sender::Doubtful
        );
        assert_eq!(
            sender("198.51.100.100", "2464c4abcf10c957010000005cf79f11"),
            Sender::Doubtful,
            "another's"
        );
    }

    #[test]
    fn without_a_secret_cookies_are_not_spoken() {
        let cookie = Cookie::read(&[1; 8]).unwrap();
        assert_eq!(Secrets::default().check(&cookie, "192.0.2.1".parse().unwrap(), 0), None);
    }
}
