//! RFC 7873 and RFC 9018: cookies.

use crate::desk::{COOKIE_SECRET, Desk, Told, edns, files, header, opt, query};
use steerdns::answer::worker::Worker;

const ZONE: &str = "live.example.com.";
const CLIENT: &[u8] = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57";

fn cookie(desk: &mut Desk, option: &[u8]) -> Told {
    desk.tell(&edns(ZONE, "SOA", &opt(1232, 0, 0, &[(10, option)]))).unwrap()
}

/// RFC 9018 Appendix A.1: to this client, at this time, with this secret, this cookie.
#[test]
fn rfc9018_a_1_learning_a_new_server_cookie() {
    let mut desk = Desk::new();
    (desk.peer, desk.unix_s) = ("198.51.100.100".parse().unwrap(), 1_559_731_985);
    let told = cookie(&mut desk, CLIENT);
    let expected =
        b"\x24\x64\xc4\xab\xcf\x10\xc9\x57\x01\0\0\0\x5c\xf7\x9f\x11\x1f\x81\x30\xc3\xee\xe2\x94\x80";
    assert_eq!((told.said.rcode, told.option(10)), (0, Some(&expected[..])));
}

/// RFC 9018 Appendix A.2: the same client learns a renewed one 40 minutes later.
#[test]
fn rfc9018_a_2_the_same_client_learns_a_renewed_cookie() {
    let mut desk = Desk::new();
    (desk.peer, desk.unix_s) = ("198.51.100.100".parse().unwrap(), 1_559_734_385);
    let had = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57\x01\0\0\0\x5c\xf7\x9f\x11\x1f\x81\x30\xc3\xee\xe2\x94\x80";
    let told = cookie(&mut desk, had);
    let expected =
        b"\x24\x64\xc4\xab\xcf\x10\xc9\x57\x01\0\0\0\x5c\xf7\xa8\x71\xd4\xa5\x64\xa1\x44\x2a\xca\x77";
    assert_eq!(told.option(10), Some(&expected[..]));
}

/// RFC 9018 Appendix A.3: another client, and another's cookie renewed.
#[test]
fn rfc9018_a_3_another_client() {
    let mut desk = Desk::new();
    (desk.peer, desk.unix_s) = ("203.0.113.203".parse().unwrap(), 1_559_734_700);
    let had =
        b"\xfc\x93\xfc\x62\x80\x7d\xdb\x86\x01\xab\xcd\xef\x5c\xf7\x8f\x71\xa3\x14\x22\x7b\x66\x79\xeb\xf5";
    let told = cookie(&mut desk, had);
    let expected =
        b"\xfc\x93\xfc\x62\x80\x7d\xdb\x86\x01\0\0\0\x5c\xf7\xa9\xac\xf7\x3a\x78\x10\xac\xa2\x38\x1e";
    assert_eq!(told.option(10), Some(&expected[..]));
}

/// RFC 9018 Appendix A.4: an IPv6 client, and a secret that was rolled over: the old one is good still.
#[test]
fn rfc9018_a_4_a_secret_rolls_over() {
    let mut files = files();
    files.put("cookies", "445536bcd2513298075a5d379663c962\ndd3bdf9344b678b185a6f5cb60fca715\n");
    let mut desk = Desk::of(&files);
    (desk.peer, desk.unix_s) = ("2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap(), 1_559_741_961);
    let had = b"\x22\x68\x1a\xb9\x7d\x52\xc2\x98\x01\0\0\0\x5c\xf7\xc5\x79\x26\x55\x6b\xd0\x93\x4c\x72\xf8";
    let told = cookie(&mut desk, had);
    let expected =
        b"\x22\x68\x1a\xb9\x7d\x52\xc2\x98\x01\0\0\0\x5c\xf7\xc6\x09\xa6\xbb\x79\xd1\x66\x25\x50\x7a";
    assert_eq!(told.option(10), Some(&expected[..]));
}

/// RFC 7873 §5.2.2: a length that no cookie has is FORMERR.
#[test]
fn s5_2_2_a_wrong_length_is_formerr() {
    for len in (0..=60).filter(|len| *len != 8 && !(16..=40).contains(len)) {
        let told = cookie(&mut Desk::new(), &vec![1; len]);
        assert_eq!((told.said.rcode, told.option(10)), (1, None), "{len}");
    }
}

/// §5.2.3: a client cookie alone is answered with both.
#[test]
fn s5_2_3_a_client_cookie_gets_a_server_cookie() {
    let told = cookie(&mut Desk::new(), CLIENT);
    assert_eq!((told.types(), &told.option(10).unwrap()[..8]), (vec![6], CLIENT));
}

/// §5.2.4: one that is not ours is answered as if there were none, with a new one.
#[test]
fn s5_2_4_a_bad_cookie_is_answered_with_a_good_one() {
    let good = cookie(&mut Desk::new(), CLIENT);
    let good = good.option(10).unwrap();
    for len in 8..=32 {
        let told = cookie(&mut Desk::new(), &[CLIENT, &vec![7; len]].concat());
        assert_eq!((told.types(), told.option(10)), (vec![6], Some(good)), "{len}");
    }
}

/// §5.2.5: a good one comes back as it is.
#[test]
fn s5_2_5_a_good_cookie_comes_back() {
    let mut desk = Desk::new();
    let good = cookie(&mut desk, CLIENT).option(10).unwrap().to_vec();
    desk.unix_s += 1000;
    assert_eq!(cookie(&mut desk, &good).option(10), Some(&good[..]));
    desk.peer = "192.0.2.201".parse().unwrap();
    assert_ne!(cookie(&mut desk, &good).option(10), Some(&good[..]), "another client's");
}

/// §5.4: no question, but a cookie: NOERROR with a cookie, and nothing else.
#[test]
fn s5_4_querying_for_a_server_cookie() {
    let packet = [header(0, [0, 0, 0, 1]), opt(1232, 0, 0, &[(10, CLIENT)])].concat();
    let told = Desk::new().tell(&packet).unwrap();
    assert_eq!((told.counts(), told.said.question.is_none()), ((0, 0, 0, 0), true));
    assert_eq!(told.option(10).map(<[u8]>::len), Some(24));
}

/// §5.2.3 "the server may … BADCOOKIE" under pressure: who has a cookie, but no good one, gets BADCOOKIE and a good one in place of
/// an empty answer with TC; with that it is limited no more.
#[test]
fn s5_2_3_badcookie_under_pressure() {
    let mut files = files();
    files.append("steerdns.toml", "[rrl]\nrate = 5\nslip = 1\nallow = []\n");
    let mut desk = Desk::of(&files);
    let mut worker = Worker::of(1, 7);
    std::mem::swap(&mut worker, desk.worker());
    for _ in 0..5 {
        assert_eq!(cookie(&mut desk, CLIENT).types(), [6]);
    }
    let limited = cookie(&mut desk, CLIENT);
    assert_eq!(limited.counts(), (23, 0, 0, 0));
    let good = limited.option(10).unwrap().to_vec();
    for _ in 0..100 {
        assert_eq!(cookie(&mut desk, &good).types(), [6]);
    }
    let plain = desk.tell(&query(ZONE, "SOA")).unwrap();
    assert_eq!((plain.counts(), plain.said.is("tc")), ((0, 0, 0, 0), true), "who has none comes back by TCP");
}

/// Whoever turns cookies off does not speak them: the option means nothing.
#[test]
fn cookies_that_are_off_are_not_spoken() {
    let mut files = files();
    let server = files
        .0
        .values()
        .find(|text| text.contains("[cookies]"))
        .unwrap()
        .replace("secret_file = \"cookies\"", "enabled = false");
    files.put("steerdns.toml", &server);
    assert_eq!(cookie(&mut Desk::of(&files), CLIENT).option(10), None);
    assert_eq!(COOKIE_SECRET.len(), 32);
}
