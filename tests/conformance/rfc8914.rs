//! RFC 8914: extended DNS errors, with a text that names the cause.

use std::path::Path;

use crate::desk::{Desk, Told, edns, files, header, opt, plain_opt, query, question};
use steerdns::answer::worker::Reply;

/// INFO-CODE and EXTRA-TEXT.
fn error(told: &Told) -> Option<(u16, String)> {
    let octets = told.option(15)?;
    let text = String::from_utf8(octets[2..].to_vec()).unwrap();
    Some((u16::from_be_bytes([octets[0], octets[1]]), text))
}

fn asked(desk: &mut Desk, name: &str, qtype: &str) -> Option<(u16, String)> {
    error(&desk.tell(&edns(name, qtype, &plain_opt())).unwrap())
}

/// §4.21: a name of nobody here.
#[test]
fn s4_21_not_authoritative() {
    let (code, text) = asked(&mut Desk::new(), "www.example.org.", "A").unwrap();
    assert_eq!((code, text.contains("no zone")), (20, true), "{text}");
}

/// §4.22: types and classes that are not spoken.
#[test]
fn s4_22_not_supported() {
    assert_eq!(asked(&mut Desk::new(), "live.example.com.", "TYPE250").unwrap().0, 21);
    let packet = [header(0, [1, 0, 0, 1]), question("live.example.com.", "A", 4), plain_opt()].concat();
    assert_eq!(error(&Desk::new().tell(&packet).unwrap()).unwrap().0, 21);
    let mut granted = Desk::new();
    granted.peer = "192.0.2.7".parse().unwrap();
    let (code, text) = asked(&mut granted, "live.example.com.", "AXFR").unwrap();
    assert_eq!((code, text.contains("TCP")), (21, true), "{text}");
}

/// §4.19: a transfer that is not granted.
#[test]
fn s4_19_prohibited() {
    let (code, text) = asked(&mut Desk::new().tcp(), "live.example.com.", "AXFR").unwrap();
    assert_eq!((code, text.contains("transfer")), (18, true), "{text}");
}

/// §4.1: all is down, and served anyway; the fallback; SERVFAIL: each is told.
#[test]
fn s4_1_all_is_down() {
    for (all_down, word, rcode) in [
        ("", "as if they were up", 0),
        ("all_down = { fallback = \"spare\" }\n", "fallback", 0),
        ("all_down = \"servfail\"\n", "all nodes are down", 2),
    ] {
        let mut files = files();
        let services = files.0[Path::new("zones/live.example.com.toml")].replacen(
            "policy = \"near\"\n",
            &format!("policy = \"near\"\n{all_down}"),
            1,
        );
        files.put("zones/live.example.com.toml", &services);
        files.append(
            "zones/clusters.toml",
            "[cluster.spare]\nplace = [0.0, 0.0]\n[cluster.spare.node]\nspare-1 = [\"198.51.100.99\", \"2001:db8:9::1\"]\n",
        );
        let mut desk = Desk::of(&files);
        assert_eq!(asked(&mut desk, "play.live.example.com.", "A"), None);
        for target in
            ["sin", "fra"].iter().flat_map(|cluster| desk.world.targets(cluster, None)).collect::<Vec<_>>()
        {
            desk.world.down(&target);
        }
        let told = desk.tell(&edns("play.live.example.com.", "A", &plain_opt())).unwrap();
        let (code, text) = error(&told).unwrap();
        assert_eq!((code, told.said.rcode, text.contains(word)), (0, rcode, true), "{text}");
    }
}

/// Who sends a subnet that cannot be read is told so.
#[test]
fn a_malformed_option_is_named() {
    let packet = edns("play.live.example.com.", "A", &opt(1232, 0, 0, &[(8, &[0, 1, 24])]));
    let told = Desk::new().tell(&packet).unwrap();
    let (code, text) = error(&told).unwrap();
    assert_eq!((told.said.rcode, code), (1, 0), "{text}");
    assert!(text.to_lowercase().contains("subnet"), "{text}");
}

/// §3: it stands in the OPT: who sends none gets none; and where all is well there is none.
#[test]
fn s3_none_without_opt_and_none_without_error() {
    assert!(Desk::new().ask("www.example.org.", "A").options.is_empty());
    for (name, qtype) in [
        ("live.example.com.", "SOA"),
        ("nothing.live.example.com.", "A"),
        ("sub.live.example.com.", "A"),
        ("play.live.example.com.", "A"),
    ] {
        assert_eq!(asked(&mut Desk::new(), name, qtype), None, "{name}");
    }
}

/// §3: it never makes an answer longer than allowed: it is what is left out.
#[test]
fn s3_it_gives_way() {
    let name = format!("{}.{}.{}.example.org.", "x".repeat(63), "y".repeat(63), "z".repeat(63));
    let told = Desk::new().tell(&edns(&name, "A", &opt(512, 0, 0, &[]))).unwrap();
    assert!(told.octets.len() <= 512 && told.said.rcode == 5);
}

/// `_why` is told to loopback by default: not to addresses that only hold one of it in their bits, which anybody may forge.
#[test]
fn why_is_told_to_loopback_alone() {
    let mut files = files();
    let server = files.0[Path::new("steerdns.toml")].replace("[explain]\nallow = []\n", "");
    files.put("steerdns.toml", &server);
    let mut desk = Desk::of(&files);
    let packet = query("_why.play.live.example.com.", "TXT");
    for (peer, told) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("2002:7f00:1::1", false),
        ("64:ff9b::7f00:1", false),
        ("2001:0:7f00:1::", false),
        ("192.0.2.1", false),
    ] {
        desk.peer = peer.parse().unwrap();
        let (reply, _) = desk.reply(&packet);
        assert_eq!(matches!(reply, Reply::Later(_)), told, "{peer}");
    }
}
