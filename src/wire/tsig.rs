//! Transaction signatures (RFC 8945): who asks, proven by a secret that both know; and that what is answered is ours.
//!
//! ```text
//! query with TSIG -> verify: key, MAC, time, length of the MAC, in this order (§5.2)
//!   Signer    signs the answer, or each message of a transfer: over the MAC before, the message, the key and the time (§4.3)
//!   Refusal   NOTAUTH with BADKEY, BADSIG (unsigned), BADTIME, BADTRUNC (signed); FORMERR without TSIG
//! ```

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::name::Name;
use super::query::{HEADER, TSIG, rcode};

/// How far the client's clock may be from ours, in seconds, as we say it (RFC 8945 §10 recommends 300).
const FUDGE_S: u16 = 300;
/// A MAC is cut to no less (RFC 8945 §5.2.2.1), and to no less than half of what its algorithm makes.
const MAC_OCTETS_MIN: usize = 10;
/// The longest MAC.
const MAC_OCTETS_MAX: usize = 64;

/// Errors of a TSIG record (RFC 8945 §3).
pub mod error {
    #![allow(missing_docs)]
    pub const NONE: u16 = 0;
    pub const BADSIG: u16 = 16;
    pub const BADKEY: u16 = 17;
    pub const BADTIME: u16 = 18;
    pub const BADTRUNC: u16 = 22;
}

/// How messages are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// hmac-sha256, the default.
    Sha256,
    /// hmac-sha384.
    Sha384,
    /// hmac-sha512.
    Sha512,
}

impl Algorithm {
    /// All of them, by the words that operators write.
    pub const ALL: [(&str, Algorithm); 3] = [
        ("hmac-sha256", Algorithm::Sha256),
        ("hmac-sha384", Algorithm::Sha384),
        ("hmac-sha512", Algorithm::Sha512),
    ];

    fn octets(self) -> &'static [u8] {
        match self {
            Algorithm::Sha256 => b"\x0bhmac-sha256\0",
            Algorithm::Sha384 => b"\x0bhmac-sha384\0",
            Algorithm::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// Octets of a whole MAC.
    fn mac_octets(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha384 => 48,
            Algorithm::Sha512 => 64,
        }
    }
}

/// A secret that a client and we know, with its name.
#[derive(Clone)]
pub struct Key {
    /// Its name: both sides must call it the same.
    pub name: Name,
    algorithm: Algorithm,
    keyed: Hash,
}

/// An HMAC, ready for what is hashed.
#[derive(Clone)]
enum Hash {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// A key of a name, an algorithm, and a secret of any length.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Key {
        const ANY: &str = "HMAC takes a key of any length";
        let keyed = match algorithm {
            Algorithm::Sha256 => Hash::Sha256(Hmac::new_from_slice(secret).expect(ANY)),
            Algorithm::Sha384 => Hash::Sha384(Hmac::new_from_slice(secret).expect(ANY)),
            Algorithm::Sha512 => Hash::Sha512(Hmac::new_from_slice(secret).expect(ANY)),
        };
        Key { name, algorithm, keyed }
    }

    /// The same for the same name, algorithm and secret, and else, as good as always, another.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = self.keyed.clone();
        hash.update(self.algorithm.octets());
        hash.update(self.name.octets());
        let mac = hash.mac();
        u64::from_be_bytes(*mac.octets.first_chunk().expect("a MAC is longer"))
    }

    /// How many octets a TSIG record of this key takes at most.
    fn record_len(&self) -> usize {
        let rdata = self.algorithm.octets().len() + 16 + self.algorithm.mac_octets() + 6;
        self.name.octets().len() + 10 + rdata
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.name, self.algorithm)
    }
}

impl Hash {
    fn update(&mut self, octets: &[u8]) {
        match self {
            Hash::Sha256(hash) => hash.update(octets),
            Hash::Sha384(hash) => hash.update(octets),
            Hash::Sha512(hash) => hash.update(octets),
        }
    }

    fn mac(self) -> Code {
        match self {
            Hash::Sha256(hash) => Code::new(&hash.finalize().into_bytes()),
            Hash::Sha384(hash) => Code::new(&hash.finalize().into_bytes()),
            Hash::Sha512(hash) => Code::new(&hash.finalize().into_bytes()),
        }
    }

    /// Whether `mac` is the beginning of it; takes as long whatever differs.
    fn begins_with(self, mac: &[u8]) -> bool {
        match self {
            Hash::Sha256(hash) => hash.verify_truncated_left(mac).is_ok(),
            Hash::Sha384(hash) => hash.verify_truncated_left(mac).is_ok(),
            Hash::Sha512(hash) => hash.verify_truncated_left(mac).is_ok(),
        }
    }
}

/// A message authentication code.
#[derive(Clone, Copy, Debug)]
struct Code {
    octets: [u8; MAC_OCTETS_MAX],
    len: usize,
}

impl Code {
    const NONE: Code = Code { octets: [0; MAC_OCTETS_MAX], len: 0 };

    fn new(mac: &[u8]) -> Code {
        let mut octets = [0; MAC_OCTETS_MAX];
        octets[..mac.len()].copy_from_slice(mac);
        Code { octets, len: mac.len() }
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// A TSIG record of a message.
struct Record<'m> {
    key: Name,
    algorithm: Name,
    time_s: u64,
    fudge_s: u16,
    mac: &'m [u8],
    original_id: [u8; 2],
    error: u16,
    other: &'m [u8],
}

impl Record<'_> {
    /// The record that begins at `at` and ends the message.
    fn read(message: &[u8], at: usize) -> Option<Record<'_>> {
        let mut at = at;
        let key = Name::read(message, &mut at)?;
        at += 10; // type, class, TTL, RDLENGTH: looked at when it was found
        let algorithm = Name::read(message, &mut at)?;
        let (&[a, b, c, d, e, f, fudge_high, fudge_low, mac_high, mac_low], rest) =
            message.get(at..)?.split_first_chunk()?;
        let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([mac_high, mac_low])))?;
        let (&[id_high, id_low, error_high, error_low, other_high, other_low], other) =
            rest.split_first_chunk()?;
        let whole = other.len() == usize::from(u16::from_be_bytes([other_high, other_low]));
        whole.then_some(Record {
            key,
            algorithm,
            time_s: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            fudge_s: u16::from_be_bytes([fudge_high, fudge_low]),
            mac,
            original_id: [id_high, id_low],
            error: u16::from_be_bytes([error_high, error_low]),
            other,
        })
    }
}

/// Signs what answers a query whose signature was good.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Arc<Key>,
    id: [u8; 2],
    /// The query's MAC, then that of the message signed last.
    last: Code,
    /// Whether a message was signed already: later ones are signed without the key's name (RFC 8945 §5.3.1).
    begun: bool,
}

/// Why a signature is not good.
#[derive(Debug)]
pub enum Refusal {
    /// It cannot be read: FORMERR, without a TSIG record.
    Malformed,
    /// NOTAUTH, with a TSIG record that tells the error.
    NotAuth(Box<Refused>),
}

/// A refused signature: what its answer's TSIG record says.
#[derive(Debug)]
pub struct Refused {
    /// One of [`error`].
    pub error: u16,
    key: Name,
    algorithm: Name,
    time_s: u64,
    fudge_s: u16,
    id: [u8; 2],
    /// Our time, where that is what differs.
    ours_s: Option<u64>,
    /// Signs the answer, where key and MAC are good.
    signer: Option<Signer>,
}

/// Checks the TSIG record that begins at `at` and ends `message` (RFC 8945 §5.2): who signed it.
pub fn verify(keys: &[Arc<Key>], message: &[u8], at: usize, unix_s: u64) -> Result<Signer, Refusal> {
    let record = Record::read(message, at).ok_or(Refusal::Malformed)?;
    let refuse = |error, ours_s, signer| {
        Refusal::NotAuth(Box::new(Refused {
            error,
            key: record.key.clone(),
            algorithm: record.algorithm.clone(),
            time_s: record.time_s,
            fudge_s: record.fudge_s,
            id: record.original_id,
            ours_s,
            signer,
        }))
    };
    let named =
        |key: &&Arc<Key>| key.name == record.key && key.algorithm.octets() == record.algorithm.octets();
    let Some(key) = keys.iter().find(named) else { return Err(refuse(error::BADKEY, None, None)) };
    let whole = key.algorithm.mac_octets();
    if !((whole / 2).max(MAC_OCTETS_MIN)..=whole).contains(&record.mac.len()) {
        return Err(Refusal::Malformed); // RFC 8945 §5.2.2.1
    }
    let mut hash = key.keyed.clone();
    let [_, _, between @ .., ar_high, ar_low] = message.first_chunk::<HEADER>().ok_or(Refusal::Malformed)?;
    let additionals = u16::from_be_bytes([*ar_high, *ar_low]).wrapping_sub(1);
    for part in [&record.original_id[..], between, &additionals.to_be_bytes(), &message[HEADER..at]] {
        hash.update(part);
    }
    variables(&mut hash, key, record.time_s, record.fudge_s, record.error, record.other);
    if !hash.begins_with(record.mac) {
        return Err(refuse(error::BADSIG, None, None));
    }
    let signer =
        Signer { key: Arc::clone(key), id: record.original_id, last: Code::new(record.mac), begun: false };
    if record.time_s.abs_diff(unix_s) > record.fudge_s.into() {
        return Err(refuse(error::BADTIME, Some(unix_s), Some(signer)));
    }
    // Nobody needs to cut a MAC of 32 octets: what was cut is a guess made easier.
    if record.mac.len() < whole {
        return Err(refuse(error::BADTRUNC, None, Some(signer)));
    }
    Ok(signer)
}

impl Signer {
    /// The name of the key.
    pub fn key(&self) -> &Name {
        &self.key.name
    }

    /// How many octets [`Signer::sign`] appends at most.
    pub fn record_len(&self) -> usize {
        self.key.record_len()
    }

    /// A signer of a query that we send; it signs it, too. Its answer is checked with [`Signer::is_answer`].
    pub fn of_query(key: Arc<Key>, id: [u8; 2]) -> Signer {
        Signer { key, id, last: Code::NONE, begun: false }
    }

    /// Appends a TSIG record to the message in the first `len` octets of `buf`, which has room for it; gives its new length.
    pub fn sign(&mut self, buf: &mut [u8], len: usize, unix_s: u64) -> usize {
        let mut hash = self.key.keyed.clone();
        if self.last.len > 0 {
            hash.update(&(self.last.len as u16).to_be_bytes());
            hash.update(self.last.octets());
        }
        // RFC 8945 §4.3.2: as the message was with the client, whoever changed its ID on the way.
        hash.update(&self.id);
        hash.update(&buf[2..len]);
        if self.begun {
            timers(&mut hash, unix_s, FUDGE_S);
        } else {
            variables(&mut hash, &self.key, unix_s, FUDGE_S, error::NONE, &[]);
        }
        self.begun = true;
        self.last = hash.mac();
        let Key { name, algorithm, .. } = &*self.key;
        let written = Written {
            key: name.octets(),
            algorithm: algorithm.octets(),
            time_s: unix_s,
            fudge_s: FUDGE_S,
            mac: self.last.octets(),
            id: self.id,
            error: error::NONE,
            other: &[],
        };
        written.append(buf, len)
    }

    /// Whether `message` is the signed answer to the query that was signed last, its TSIG record at `at`.
    pub fn is_answer(&self, message: &[u8], at: usize, unix_s: u64) -> bool {
        let Some(record) = Record::read(message, at) else { return false };
        let Key { name, algorithm, keyed } = &*self.key;
        let Some([_, _, between @ .., ar_high, ar_low]) = message.first_chunk::<HEADER>() else {
            return false;
        };
        let mut hash = keyed.clone();
        hash.update(&(self.last.len as u16).to_be_bytes());
        hash.update(self.last.octets());
        let additionals = u16::from_be_bytes([*ar_high, *ar_low]).wrapping_sub(1);
        for part in [&record.original_id[..], between, &additionals.to_be_bytes(), &message[HEADER..at]] {
            hash.update(part);
        }
        variables(&mut hash, &self.key, record.time_s, record.fudge_s, record.error, record.other);
        record.key == *name
            && record.algorithm.octets() == algorithm.octets()
            && record.mac.len() == algorithm.mac_octets()
            && record.time_s.abs_diff(unix_s) <= record.fudge_s.into()
            && hash.begins_with(record.mac)
    }
}

impl Refused {
    /// How many octets [`Refused::sign`] appends at most.
    pub fn record_len(&self) -> usize {
        let mac = self.signer.as_ref().map_or(0, |signer| signer.key.algorithm.mac_octets());
        self.key.octets().len() + 10 + self.algorithm.octets().len() + 16 + mac + 6
    }

    /// Appends the TSIG record of the refusal to the message in the first `len` octets of `buf`; gives its new length.
    ///
    /// RFC 8945 §5.2.3: with BADTIME the client's time, its fudge, and ours beside it.
    pub fn sign(&self, buf: &mut [u8], len: usize) -> usize {
        let ours = self.ours_s.map(time);
        let other = ours.as_ref().map_or(&[][..], |ours| ours);
        let mac = self.signer.as_ref().map_or(Code::NONE, |signer| {
            let mut hash = signer.key.keyed.clone();
            hash.update(&(signer.last.len as u16).to_be_bytes());
            hash.update(signer.last.octets());
            hash.update(&self.id);
            hash.update(&buf[2..len]);
            variables(&mut hash, &signer.key, self.time_s, self.fudge_s, self.error, other);
            hash.mac()
        });
        let written = Written {
            key: self.key.octets(),
            algorithm: self.algorithm.octets(),
            time_s: self.time_s,
            fudge_s: self.fudge_s,
            mac: mac.octets(),
            id: self.id,
            error: self.error,
            other,
        };
        written.append(buf, len)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.error {
            error::BADKEY => "BADKEY",
            error::BADSIG => "BADSIG",
            error::BADTIME => "BADTIME",
            _ => "BADTRUNC",
        };
        write!(f, "{word} of key `{}`", self.key)
    }
}

/// RCODE of an answer whose TSIG record bears an error.
pub const REFUSED_RCODE: u16 = rcode::NOTAUTH;

/// A TSIG record to be written.
struct Written<'w> {
    key: &'w [u8],
    algorithm: &'w [u8],
    time_s: u64,
    fudge_s: u16,
    mac: &'w [u8],
    id: [u8; 2],
    error: u16,
    other: &'w [u8],
}

impl Written<'_> {
    /// Appends it to a message, and counts it.
    fn append(&self, buf: &mut [u8], len: usize) -> usize {
        let rdata_len = self.algorithm.len() + 16 + self.mac.len() + self.other.len();
        let mut end = len;
        let parts: [&[u8]; 13] = [
            self.key,
            &TSIG.to_be_bytes(),
            &[0, 255, 0, 0, 0, 0],
            &(rdata_len as u16).to_be_bytes(),
            self.algorithm,
            &time(self.time_s),
            &self.fudge_s.to_be_bytes(),
            &(self.mac.len() as u16).to_be_bytes(),
            self.mac,
            &self.id,
            &self.error.to_be_bytes(),
            &(self.other.len() as u16).to_be_bytes(),
            self.other,
        ];
        for part in parts {
            buf[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        let additionals = u16::from_be_bytes([buf[10], buf[11]]).wrapping_add(1);
        buf[10..HEADER].copy_from_slice(&additionals.to_be_bytes());
        end
    }
}

/// What is hashed behind a message (RFC 8945 §4.3.3).
fn variables(hash: &mut Hash, key: &Key, time_s: u64, fudge_s: u16, error: u16, other: &[u8]) {
    for part in [key.name.octets(), &[0, 255, 0, 0, 0, 0], key.algorithm.octets()] {
        hash.update(part);
    }
    timers(hash, time_s, fudge_s);
    for part in [&error.to_be_bytes()[..], &(other.len() as u16).to_be_bytes(), other] {
        hash.update(part);
    }
}

/// What is hashed behind each further message of a transfer (RFC 8945 §5.3.1).
fn timers(hash: &mut Hash, time_s: u64, fudge_s: u16) {
    hash.update(&time(time_s));
    hash.update(&fudge_s.to_be_bytes());
}

/// Seconds since 1970 in 48 bits.
fn time(unix_s: u64) -> [u8; 6] {
    let [_, _, octets @ ..] = unix_s.to_be_bytes();
    octets
}
