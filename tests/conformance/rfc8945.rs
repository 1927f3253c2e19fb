//! RFC 8945: transaction signatures. Signed by a hand of its own; dnspython's octets are the model.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};

use crate::desk::{Desk, NOW_S, SECRET, Told, edns, header, name, opt, plain_opt, query, question};
use crate::support::message::Rr;

const ZONE: &str = "live.example.com.";
const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
const BADTRUNC: u16 = 22;
const FORMERR: u16 = 1;
const NOTAUTH: u16 = 9;
/// `dns.message.make_query("live.example.com.", "SOA")` with a TSIG of dnspython at `NOW_S`, by key `test` (hmac-sha256)...
const BY_DNSPYTHON: &str = "abcd00000001000000000001046c697665076578616d706c6503636f6d000006000104746573740000fa00ff00000000003d0b686d61632d7368613235360000006b49d200012c002057ed7a0076501a7b267cbe3955cf490991c13dec7fca5c82ff1702c0af1c8800abcd00000000";
/// ... and by key `wide` (hmac-sha512).
const WIDE_BY_DNSPYTHON: &str = "abcd00000001000000000001046c697665076578616d706c6503636f6d000006000104776964650000fa00ff00000000005d0b686d61632d7368613531320000006b49d200012c0040f3eb35046bba024bfcfe1ab9597bfd114c3edfd1d04a0087d30fbd227d1c0127047e6c611d3bdbb0783c67e74c1ce02ff1ec06f34c563af93bb14f3f2f5b2becabcd00000000";

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A TSIG record, and how it is signed.
#[derive(Clone)]
struct Tsig {
    key: String,
    secret: Vec<u8>,
    time_s: u64,
    fudge_s: u16,
    /// The MAC is cut to so many octets.
    mac_len: usize,
    error: u16,
    other: Vec<u8>,
}

impl Tsig {
    fn good() -> Tsig {
        Tsig {
            key: "test.".into(),
            secret: SECRET.into(),
            time_s: NOW_S,
            fudge_s: 300,
            mac_len: usize::MAX,
            error: 0,
            other: Vec::new(),
        }
    }

    fn algorithm(&self) -> Vec<u8> {
        name(if self.key == "wide." { "hmac-sha512." } else { "hmac-sha256." })
    }

    fn timers(&self) -> Vec<u8> {
        [&self.time_s.to_be_bytes()[2..], &self.fudge_s.to_be_bytes()].concat()
    }

    /// §4.3: the MAC over what was sent before, a message without its TSIG, and the variables.
    fn mac(&self, before: Option<&[u8]>, message: &[u8], timers_alone: bool) -> Vec<u8> {
        let before =
            before.map(|mac| [&(mac.len() as u16).to_be_bytes()[..], mac].concat()).unwrap_or_default();
        let len = (self.other.len() as u16).to_be_bytes();
        let variables: &[&[u8]] = &[
            &name(&self.key),
            &[0, 255, 0, 0, 0, 0],
            &self.algorithm(),
            &self.timers(),
            &self.error.to_be_bytes(),
            &len,
            &self.other,
        ];
        let variables = if timers_alone { self.timers() } else { variables.concat() };
        let all = [&before[..], message, &variables].concat();
        if self.key == "wide." {
            let mut mac = Hmac::<Sha512>::new_from_slice(&self.secret).unwrap();
            mac.update(&all);
            mac.finalize().into_bytes().to_vec()
        } else {
            let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
            mac.update(&all);
            mac.finalize().into_bytes().to_vec()
        }
    }

    /// The message with its TSIG, and the MAC.
    fn sign(&self, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut mac = self.mac(None, message, false);
        mac.resize(self.mac_len.min(mac.len()), 0);
        let rdata: &[&[u8]] = &[
            &self.algorithm(),
            &self.timers(),
            &(mac.len() as u16).to_be_bytes(),
            &mac,
            &message[..2],
            &self.error.to_be_bytes(),
            &(self.other.len() as u16).to_be_bytes(),
            &self.other,
        ];
        let rdata = rdata.concat();
        let record: &[&[u8]] =
            &[&name(&self.key), &[0, 250, 0, 255, 0, 0, 0, 0], &(rdata.len() as u16).to_be_bytes(), &rdata];
        let mut signed = [message, &record.concat()].concat();
        let count = u16::from_be_bytes([signed[10], signed[11]]) + 1;
        signed[10..12].copy_from_slice(&count.to_be_bytes());
        (signed, mac)
    }
}

/// The TSIG record of an answer, read.
#[derive(Debug)]
struct Read {
    /// The answer without it.
    message: Vec<u8>,
    time_s: u64,
    mac: Vec<u8>,
    id: [u8; 2],
    error: u16,
    other: Vec<u8>,
}

fn tsig(told: &Told) -> Option<Read> {
    let rr: &Rr = told.said.additional.iter().find(|rr| rr.rtype == 250)?;
    assert_eq!((rr.class, rr.ttl_s), (255, 0), "§4.2");
    let algorithm = rr.rdata.iter().position(|octet| *octet == 0).unwrap() + 1;
    let rest = &rr.rdata[algorithm..];
    let number = |at: usize| usize::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
    let mac_len = number(8);
    let behind = 10 + mac_len;
    let other = rest[behind + 6..].to_vec();
    assert_eq!(other.len(), number(behind + 4));
    let len = rr.owner.len() + 10 + rr.rdata.len();
    // §5.3: it is the last record.
    let mut message = told.octets[..told.octets.len() - len].to_vec();
    let count = u16::from_be_bytes([message[10], message[11]]) - 1;
    message[10..12].copy_from_slice(&count.to_be_bytes());
    Some(Read {
        message,
        time_s: rest[..6].iter().fold(0, |time, octet| time << 8 | u64::from(*octet)),
        mac: rest[10..behind].to_vec(),
        id: [rest[behind], rest[behind + 1]],
        error: number(behind + 2) as u16,
        other,
    })
}

/// Asks for the SOA with that signature: the answer, its TSIG record, and the query's MAC.
fn ask(signature: &Tsig) -> (Told, Option<Read>, Vec<u8>) {
    let (packet, mac) = signature.sign(&query(ZONE, "SOA"));
    let told = Desk::new().tell(&packet).unwrap();
    let read = tsig(&told);
    (told, read, mac)
}

/// What dnspython signs is good, and what our hand signs is what dnspython signs.
#[test]
fn signatures_of_another_implementation_are_good() {
    for (key, model) in [("test.", BY_DNSPYTHON), ("wide.", WIDE_BY_DNSPYTHON)] {
        let signature = Tsig { key: key.into(), ..Tsig::good() };
        assert_eq!(signature.sign(&query(ZONE, "SOA")).0, octets(model), "{key}");
        let told = Desk::new().tell(&octets(model)).unwrap();
        assert_eq!((told.said.rcode, told.types()), (0, vec![6]), "{key}");
    }
}

/// §5.3: the answer to a good signature is signed: over the query's MAC, the answer, our time, with the query's key and ID.
#[test]
fn s5_3_the_answer_is_signed() {
    for key in ["test.", "wide."] {
        let signature = Tsig { key: key.into(), ..Tsig::good() };
        let (told, read, mac) = ask(&signature);
        let read = read.unwrap();
        assert_eq!((told.said.rcode, read.error, read.id, read.time_s), (0, 0, [0xab, 0xcd], NOW_S));
        assert_eq!(read.mac, signature.mac(Some(&mac), &read.message, false), "{key}");
    }
}

/// §5.3: errors of other kinds are signed, too: NXDOMAIN, REFUSED, BADVERS, a referral, FORMERR behind a good signature.
#[test]
fn s5_3_whatever_is_answered_is_signed() {
    let badvers = edns(ZONE, "A", &[0, 0, 41, 4, 208, 0, 7, 0, 0, 0, 0]);
    for packet in [
        query("nothing.live.example.com.", "A"),
        query("example.org.", "A"),
        query("sub.live.example.com.", "A"),
        query("play.live.example.com.", "A"),
        edns(ZONE, "SOA", &plain_opt()),
        badvers,
        [header(0x2800, [1, 0, 0, 0]), question(ZONE, "SOA", 1)].concat(),
    ] {
        let (signed, mac) = Tsig::good().sign(&packet);
        let told = Desk::new().tell(&signed).unwrap();
        let read = tsig(&told).unwrap_or_else(|| panic!("{}", told.said));
        assert_eq!(read.mac, Tsig::good().mac(Some(&mac), &read.message, false), "{}", told.said);
    }
}

/// §5.2.1: a key that nobody here knows, by name or by algorithm: NOTAUTH, BADKEY, unsigned.
#[test]
fn s5_2_1_badkey() {
    let wrong_algorithm = octets(&WIDE_BY_DNSPYTHON.replace("0477696465", "0474657374"));
    let (unknown, _) = Tsig { key: "nobody.".into(), ..Tsig::good() }.sign(&query(ZONE, "SOA"));
    for packet in [wrong_algorithm, unknown] {
        let told = Desk::new().tell(&packet).unwrap();
        let read = tsig(&told).unwrap();
        assert_eq!(
            (told.said.rcode, read.error, read.mac.len(), told.types().len()),
            (NOTAUTH, BADKEY, 0, 0)
        );
    }
}

/// §5.2.2: a MAC that does not fit: NOTAUTH, BADSIG, unsigned.
#[test]
fn s5_2_2_badsig() {
    let (told, read, _) = ask(&Tsig { secret: b"another".into(), ..Tsig::good() });
    let read = read.unwrap();
    assert_eq!((told.said.rcode, read.error, read.mac.len(), told.types().len()), (NOTAUTH, BADSIG, 0, 0));
    let (packet, _) = Tsig::good().sign(&query(ZONE, "SOA"));
    for at in [2, 13, packet.len() - 8, packet.len() - 20, packet.len() - 44] {
        let mut packet = packet.clone();
        packet[at] ^= 1;
        let told = Desk::new().tell(&packet).unwrap();
        assert_eq!(tsig(&told).map(|read| read.error), Some(BADSIG), "{at}: {}", told.said);
    }
    // §5.3.1, RFC 2845 §4.3: the ID of the header is not signed: a forwarder may have changed it.
    let mut forwarded = packet;
    forwarded[0] ^= 0xff;
    assert_eq!(Desk::new().tell(&forwarded).unwrap().types(), [6]);
}

/// §5.2.3: a time too far from ours: NOTAUTH, BADTIME, signed, with our time.
#[test]
fn s5_2_3_badtime() {
    for (time_s, error) in
        [(NOW_S - 300, 0), (NOW_S + 300, 0), (NOW_S - 301, BADTIME), (NOW_S + 301, BADTIME), (0, BADTIME)]
    {
        let (told, read, mac) = ask(&Tsig { time_s, ..Tsig::good() });
        let read = read.unwrap();
        assert_eq!(read.error, error, "{time_s}");
        if error == BADTIME {
            assert_eq!(
                (told.said.rcode, read.time_s, &read.other[..]),
                (NOTAUTH, time_s, &NOW_S.to_be_bytes()[2..])
            );
            let signature = Tsig { time_s, error, other: read.other.clone(), ..Tsig::good() };
            assert_eq!(read.mac, signature.mac(Some(&mac), &read.message, false));
        }
    }
}

/// §5.2.2.1: a MAC that was cut to less than half, or to less than 10 octets, or that is too long, is FORMERR; §5.2.4: one that was cut
/// less is BADTRUNC, as our policy is.
#[test]
fn s5_2_4_truncated_macs() {
    for mac_len in 0..32 {
        let (told, read, mac) = ask(&Tsig { mac_len, ..Tsig::good() });
        if mac_len < 16 {
            assert_eq!((told.said.rcode, read.is_none()), (FORMERR, true), "{mac_len}");
        } else {
            let read = read.unwrap();
            assert_eq!((told.said.rcode, read.error), (NOTAUTH, BADTRUNC), "{mac_len}");
            let signature = Tsig { error: BADTRUNC, ..Tsig::good() };
            assert_eq!(read.mac, signature.mac(Some(&mac), &read.message, false), "{mac_len}");
        }
    }
}

/// §5.1: it is the last record, the only one, of class ANY with TTL 0, in the additional section; else FORMERR.
#[test]
fn s5_1_where_it_may_stand() {
    let good = Tsig::good();
    let (packet, _) = good.sign(&query(ZONE, "SOA"));
    let record = packet[query(ZONE, "SOA").len()..].to_vec();
    let formerr = |packet: Vec<u8>, what: &str| {
        let told = Desk::new().tell(&packet).unwrap();
        assert_eq!((told.said.rcode, tsig(&told).is_none()), (FORMERR, true), "{what}");
    };
    let with = |counts: [u16; 4], parts: &[&[u8]]| {
        [&header(0, counts), &question(ZONE, "SOA", 1), &parts.concat()[..]].concat()
    };
    formerr(with([1, 0, 0, 2], &[&record, &plain_opt()]), "an OPT behind it");
    formerr(with([1, 0, 0, 2], &[&record, &record]), "two");
    formerr(with([1, 1, 0, 0], &[&record]), "an answer");
    formerr(with([1, 0, 1, 0], &[&record]), "authority");
    let class = name("test.").len() + 2;
    for (at, what) in [(class + 1, "class"), (class + 2, "TTL")] {
        let mut other = record.clone();
        other[at] ^= 1;
        formerr(with([1, 0, 0, 1], &[&other]), what);
    }
    for cut in 1..record.len() {
        let told = Desk::new().tell(&with([1, 0, 0, 1], &[&record[..cut]])).unwrap();
        assert_eq!(told.said.rcode, FORMERR, "cut to {cut}");
    }
}

/// §4.2, CVE-2020-8617: who sends an error in a query learns nothing by it, and harms nobody.
#[test]
fn an_error_in_a_query_harms_nobody() {
    for error in [BADSIG, BADKEY, BADTIME, BADTRUNC, 0xffff] {
        for secret in [SECRET, b"another"] {
            let (told, read, _) =
                ask(&Tsig { error, secret: secret.into(), other: vec![1; 6], ..Tsig::good() });
            assert_eq!(read.unwrap().error, if secret == SECRET { 0 } else { BADSIG });
            assert!([0, NOTAUTH].contains(&told.said.rcode));
        }
    }
}

/// An answer has room for its signature: what does not fit beside it has TC.
#[test]
fn a_signed_answer_is_no_longer_than_allowed() {
    let lines: String = (0..40).map(|at| format!("many A 192.0.2.{at}\n")).collect();
    for count in 20..40 {
        let lines: String = lines.split_inclusive('\n').take(count).collect();
        let (packet, _) = Tsig::good().sign(&query("many.live.example.com.", "A"));
        let told = Desk::with(&lines).tell(&packet).unwrap();
        assert!(told.octets.len() <= 512, "{count}");
        assert!(tsig(&told).is_some() && (told.said.is("tc") == told.said.answer.is_empty()), "{count}");
    }
}

/// §5.3.1: every message of a transfer is signed, those behind the first over the MAC before and the timers alone.
#[test]
fn s5_3_1_every_message_of_a_transfer_is_signed() {
    let mut desk = Desk::with(&(0..4000).map(|at| format!("n{at} TXT \"{at}\"\n")).collect::<String>()).tcp();
    let (packet, mut last) = Tsig::good().sign(&query(ZONE, "AXFR"));
    let mut transfer = desk.transfer(&packet);
    let mut buf = vec![0; 65_535];
    let mut count = 0;
    while let Some(len) = transfer.next(&mut buf, NOW_S) {
        let read = tsig(&Told::read(&buf[..len])).unwrap();
        assert_eq!(read.mac, Tsig::good().mac(Some(&last), &read.message, count > 0), "message {count}");
        last = read.mac;
        count += 1;
    }
    assert!(count > 3, "{count}");
}

/// The longest key name, and a right MAC under a wrong name: BADKEY, or BADSIG where that name is a key, too (CVE-2017-11104).
#[test]
fn s5_2_1_key_names() {
    let long = format!("{}.{}.{}.{}.", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
    assert_eq!(name(&long).len(), 255);
    let (told, read, _) = ask(&Tsig { key: long, ..Tsig::good() });
    assert_eq!((told.said.rcode, read.unwrap().error), (NOTAUTH, BADKEY));
    let (packet, _) = Tsig::good().sign(&query(ZONE, "SOA"));
    let renamed = |to: &[u8; 4]| {
        let mut packet = packet.clone();
        let at = packet.windows(4).rposition(|octets| octets == b"test").unwrap();
        packet[at..at + 4].copy_from_slice(to);
        tsig(&Desk::new().tell(&packet).unwrap()).unwrap().error
    };
    assert_eq!(
        (renamed(b"none"), renamed(b"wide"), renamed(b"TEST")),
        (BADKEY, BADKEY, 0),
        "§4.2: compared without case"
    );
}

/// A stranger's names may be long. An answer that has no room for them is told without: once it panicked, or was longer than 512 octets.
#[test]
fn long_names_of_strangers_fit_or_are_left_out() {
    let label = |letter: char, len: usize| letter.to_string().repeat(len);
    let long = |letter: char| {
        format!("{}.{}.{}.{}.", label(letter, 63), label('b', 63), label('c', 63), label('d', 61))
    };
    let options: [&[(u16, &[u8])]; 4] = [
        &[],
        &[(10, &[7; 8])],
        &[(3, &[])],
        &[(3, &[]), (10, &[7; 8]), (19, &[]), (8, &[0, 1, 24, 0, 11, 0, 7])],
    ];
    for key in ["a.", &long('a'), "test."] {
        for owner in ["a.", &long('q'), "live.example.com."] {
            for payload in [512, 700, 1232] {
                for options in options {
                    let plain = edns(owner, "SOA", &opt(payload, 0, 0, options));
                    for packet in [plain, query(owner, "SOA")] {
                        let most = if packet[11] == 0 { 512 } else { usize::from(payload) };
                        let (signed, _) =
                            Tsig { key: key.into(), secret: b"x".into(), ..Tsig::good() }.sign(&packet);
                        let told = Desk::new().tell(&signed).unwrap();
                        assert!(told.octets.len() <= most, "{} octets", told.octets.len());
                        assert_eq!(told.said.rcode, NOTAUTH);
                    }
                }
            }
        }
    }
}

/// §4.3.2: the ID of the header may be changed on the way; what is signed has the original one, in answers, too.
#[test]
fn s4_3_2_the_answer_is_signed_under_the_original_id() {
    let (mut packet, mac) = Tsig::good().sign(&query(ZONE, "SOA"));
    packet[..2].copy_from_slice(&[0x11, 0x11]);
    let told = Desk::new().tell(&packet).unwrap();
    let mut read = tsig(&told).unwrap();
    assert_eq!((&read.message[..2], read.id), (&[0x11, 0x11][..], [0xab, 0xcd]));
    read.message[..2].copy_from_slice(&read.id);
    assert_eq!(read.mac, Tsig::good().mac(Some(&mac), &read.message, false));
}
