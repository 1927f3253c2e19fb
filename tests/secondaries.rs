//! NSD, Knot and BIND as our secondaries: they take our zones by AXFR with TSIG, follow NOTIFY and IXFR, and answer as we do.
//!
//! Part of the tier `peers`: without the programs it is skipped, loudly; with `STEERDNS_REQUIRE_PEERS=1` it fails.
#![allow(clippy::disallowed_methods, reason = "a test has clocks, sockets and programs of its own")]
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared with another test")]

mod support;

#[path = "server_life/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use steerdns::answer::worker::Transport;
use support::ask::Question;
use support::message::Said;
use support::peers::{Peer, Primary, Program, free_port};
use support::served::{PATIENCE, Served, client, exchange, until, until_or};
use world::{SERVER, SERVICES, World, until_held};

const SECRETS: [(&str, &str); 3] = [
    ("hmac-sha256", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="),
    ("hmac-sha384", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4"),
    ("hmac-sha512", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="),
];
const KEY: &str = "standby.example.com";
const ORIGIN: &str = "live.example.com.";

/// The zone, at a serial, with more lines: enough for several messages.
fn zone(serial: u32, more: &str) -> String {
    let many: String =
        (0..3000).map(|at| format!("n{at} TXT \"{at}\" \"{}\"\n", "x".repeat(at % 60))).collect();
    format!(
        "$TTL 1h\n@ SOA ns1 hostmaster.example.com. {serial} 1h 15m 2w 5m\n@ NS ns1\n@ NS ns2.example.net.\nns1 A 192.0.2.53\n\
         @ MX 10 mail\nmail AAAA 2001:db8::25\nwww CNAME play\nouter CNAME www.example.org.\n*.docs TXT \"any\"\n\
         *.of.docs CNAME www\nold DNAME new\nnew TXT \"moved\"\nx.new A 192.0.2.80\nsub NS ns.sub\nns.sub A 192.0.2.54\n\
         sub DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118\na.b.c TXT \"deep\"\n_sip._tcp SRV 0 5 5060 mail\n\
         odd\\.dot.ent TXT \"\\000\\255\"\ncaa CAA 0 issue \"ca.example\"\nloc LOC 42 21 54 N 71 06 18 W -24m 30m\n\
         unknown TYPE65280 \\# 4 01020304\n{more}{many}"
    )
}

/// All names that matter, and some that do not exist.
const NAMES: [&str; 35] = [
    "",
    "ns1.",
    "mail.",
    "www.",
    "outer.",
    "docs.",
    "a.docs.",
    "a.b.docs.",
    "*.docs.",
    "of.docs.",
    "q.of.docs.",
    "old.",
    "x.old.",
    "y.old.",
    "new.",
    "x.new.",
    "sub.",
    "ns.sub.",
    "deep.sub.",
    "c.",
    "b.c.",
    "a.b.c.",
    "z.a.b.c.",
    "_sip._tcp.",
    "_tcp.",
    "odd\\.dot.ent.",
    "ent.",
    "caa.",
    "loc.",
    "unknown.",
    "n0.",
    "n2999.",
    "play.",
    "added.",
    "sin-1.sin.",
];
const TYPES: [&str; 16] = [
    "A",
    "AAAA",
    "NS",
    "SOA",
    "MX",
    "TXT",
    "CNAME",
    "DNAME",
    "SRV",
    "DS",
    "CAA",
    "TYPE29",
    "TYPE65280",
    "HTTPS",
    "SVCB",
    "PTR",
];

fn secondary(program: Program, at: usize, services: &str, export: &str) -> (World, Served, Peer, Primary) {
    let world = World::new();
    let port = free_port();
    let (algorithm, secret) = SECRETS[at];
    let signed = format!(
        "[key.\"{KEY}\"]\nalgorithm = \"{algorithm}\"\nsecret = \"{secret}\"\n[transfer]\n\
         allow = [{{ from = \"127.0.0.0/8\", key = \"{KEY}\" }}]\nnotify = [{{ address = \"127.0.0.1:{port}\", key = \"{KEY}\" }}]\n"
    );
    world.write("steerdns.toml", &(SERVER.to_owned() + &signed));
    world.write("zones/live.example.com.zone", &zone(1, ""));
    world.write("zones/live.example.com.toml", &(export.to_owned() + services));
    let served = world.serve_warm();
    let primary =
        Primary { at: served.addresses[0], origins: vec![ORIGIN.into()], key: KEY, algorithm, secret };
    let peer = Peer::follow(program, port, &primary);
    (world, served, peer, primary)
}

fn asked(served: &Served, question: &Question) -> Said {
    Said::read(&exchange(&client(served.addresses[0]), &question.octets()).unwrap()).unwrap()
}

/// What a secondary says once it has its zone: NSD's process of before answers until it is gone, SERVFAIL where it had none yet.
fn peers(peer: &Peer, question: &Question) -> Said {
    let begun = Instant::now();
    loop {
        let said = Said::read(&peer.ask(&question.octets(), Transport::Udp)).unwrap();
        if said.rcode != 2 {
            return said;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?} has no zone: {said}\n{}", peer.program, peer.log());
    }
}

fn serial(said: &Said) -> Option<u32> {
    let soa = said.answer.iter().find(|rr| rr.rtype == 6)?;
    Some(u32::from_be_bytes(soa.rdata[soa.rdata.len() - 20..][..4].try_into().unwrap()))
}

fn soa() -> Question {
    Question::new(ORIGIN, "SOA")
}

/// The answer sections, and what tells that there is nothing, are the same.
fn agree(served: &Served, peer: &Peer) {
    for name in NAMES {
        for qtype in TYPES {
            let question = Question { edns: Some(1232), ..Question::new(&format!("{name}{ORIGIN}"), qtype) };
            let told = |said: &Said| {
                let soa = said.authority.iter().filter(|rr| rr.rtype == 6).cloned().collect::<BTreeSet<_>>();
                // Beside an answer NSD and Knot tell the NS of the zone.
                let referral = (!said.is("aa")).then(|| said.authority.clone());
                (said.rcode, said.is("aa"), said.is("tc"), said.answer.clone(), soa, referral)
            };
            let ours = asked(served, &question);
            let begun = Instant::now();
            let theirs = loop {
                let theirs = peers(peer, &question);
                if told(&ours) == told(&theirs) || begun.elapsed() > PATIENCE {
                    break theirs;
                }
            };
            assert_eq!(
                told(&ours),
                told(&theirs),
                "{:?}: {name} {qtype}\nours {ours}\ntheirs {theirs}",
                peer.program
            );
        }
    }
}

fn installed() -> Vec<(usize, Program)> {
    let all = [Program::Bind, Program::Knot, Program::Nsd].into_iter().enumerate();
    all.filter(|(_, program)| program.installed()).collect()
}

#[test]
fn each_takes_the_zone_follows_notify_by_ixfr_and_answers_as_we_do() {
    for (at, program) in installed() {
        let services = format!(
            "{SERVICES}[service.edge]\npolicy = \"everywhere\"\ncheck = \"edge\"\nipv6 = \"off\"\nhttps = true\n"
        );
        let (world, served, peer, _) = secondary(program, at, &services, "expose = \"nodes\"\n");
        let said = peers(&peer, &soa());
        assert_eq!(serial(&said), Some(1), "{program:?}: {said}\n{}", peer.log());
        let count = |qtype: &str| {
            served
                .get("/metrics")
                .lines()
                .filter(|line| line.contains(&format!("type=\"{qtype}\"")))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>()
        };
        let (whole, steps) = (count("AXFR"), count("IXFR"));
        assert!(whole + steps >= 1.0, "{program:?}");
        agree(&served, &peer);

        let mut last = 1;
        for more in ["added TXT \"here\"\n", "added TXT \"there\"\nmore A 192.0.2.99\n", ""] {
            last += 1;
            world.write("zones/live.example.com.zone", &zone(last, more));
            assert!(served.run(&["reload"]).status.success());
            until(&format!("{program:?} has serial {last}"), || serial(&peers(&peer, &soa())) == Some(last));
            agree(&served, &peer);
        }
        assert_eq!(count("AXFR"), whole, "{program:?} takes steps alone\n{}", peer.log());
        assert!(count("IXFR") >= steps + 3.0, "{program:?}");
        served.until_logged(0, &format!("{} knows of {ORIGIN} {last}", peer.address));
        served.until_logged(0, &format!("127.0.0.1 has {ORIGIN} {last} by IXFR"));
        eprintln!("{program:?} with {}: agreed {} times", SECRETS[at].0, 4 * NAMES.len() * TYPES.len());
    }
}

#[test]
fn a_dead_node_leaves_the_zone_of_a_secondary_that_gets_health() {
    for (at, program) in installed() {
        let (mut world, served, peer, _) = secondary(program, at, SERVICES, "export = \"health\"\n");
        let addresses = || -> BTreeSet<Vec<u8>> {
            peers(&peer, &Question::new(&format!("play.{ORIGIN}"), "A"))
                .answer
                .into_iter()
                .map(|rr| rr.rdata)
                .collect()
        };
        let before = serial(&peers(&peer, &soa())).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        assert!(before.abs_diff(now) < 60, "{before} is a time of now, {now}");
        let all = addresses();
        assert!(all.contains(&[203, 0, 113, 11][..]) || all.contains(&[192, 0, 2, 11][..]), "{all:?}");
        // Whose node dies is whoever an unknown client is sent to.
        let (node, backend) = if all.contains(&[203, 0, 113, 11][..]) { ("fra-1", 2) } else { ("sin-1", 0) };
        world.backends[backend].close();
        until_held(&served, node, "down");
        let told = || {
            let ours: String = served.log().iter().map(|line| format!("{line}\n")).collect();
            format!("{program:?}: {all:?}, then {:?}\n{ours}{}", addresses(), peer.log())
        };
        let dropped = || addresses() != all && !addresses().is_empty();
        until_or("the secondary has dropped it", dropped, told);
        // For a moment NSD's processes of before and after it answer side by side.
        let now = || serial(&peers(&peer, &soa())).unwrap();
        until_or("its serial says so", || now() > before, told);
        let after = now().max(before + 1);
        world.backends[backend].open();
        until_or("the secondary has it again", || addresses() == all && now() > after, told);
    }
}

/// Restarts it on its port, with the files as they are now.
fn again(world: &World, served: Served) -> Served {
    let at = served.addresses[0];
    served.stop();
    let path = world.config();
    let text =
        std::fs::read_to_string(&path).unwrap().replace("127.0.0.1:0\"]\nnsid", &format!("{at}\"]\nnsid"));
    world.write("steerdns.toml", &text);
    world.serve()
}

/// Verdicts that are kept are in force at once: secondaries were once told that all is up, and heard nothing more.
#[test]
fn a_restart_gives_no_dead_node_back() {
    if !Program::Bind.installed() {
        return;
    }
    let (mut world, served, peer, _) = secondary(Program::Bind, 0, SERVICES, "export = \"health\"\n");
    let asked = || peers(&peer, &Question::new(&format!("play.{ORIGIN}"), "A"));
    let addresses = || asked().answer.into_iter().map(|rr| rr.rdata).collect::<BTreeSet<_>>();
    let all = addresses();
    let (node, backend) = if all.contains(&[203, 0, 113, 11][..]) { ("fra-1", 2) } else { ("sin-1", 0) };
    world.backends[backend].close();
    until_held(&served, node, "down");
    until("the secondary has dropped it", || addresses() != all && !addresses().is_empty());
    let without = addresses();
    let before = serial(&peers(&peer, &soa())).unwrap();
    let mut served = again(&world, served);
    for _ in 0..2 {
        until("the secondary has what this life says", || serial(&peers(&peer, &soa())).unwrap() > before);
        assert_eq!(addresses(), without, "{node} is dead still");
        served = again(&world, served);
    }
    world.backends[backend].open();
    until("it is up again", || addresses() == all);
}

/// Who has a serial that stood for two things gets the whole zone; a secondary was once left with what was wrong.
#[test]
fn a_serial_that_was_not_raised_is_repaired_by_the_next_one() {
    for (at, program) in installed() {
        let (world, served, peer, _) = secondary(program, at, SERVICES, "");
        let write = |serial: u32, more: &str| world.write("zones/live.example.com.zone", &zone(serial, more));
        let has = |serial_: u32| {
            until(&format!("{program:?} has {serial_}"), || serial(&peers(&peer, &soa())) == Some(serial_))
        };
        write(2, "added TXT \"one\"\n");
        assert!(served.run(&["reload"]).status.success());
        has(2);
        write(2, "added TXT \"two\"\n");
        let told = served.run(&["reload"]);
        assert!(String::from_utf8_lossy(&told.stdout).contains("its secondaries do not see it"), "{told:?}");
        write(3, "added TXT \"two\"\n");
        assert!(served.run(&["reload"]).status.success());
        has(3);
        agree(&served, &peer);
        // The same over a restart, which tells of it, too.
        write(3, "added TXT \"three\"\n");
        let served = again(&world, served);
        served.until_logged(0, &format!("`{ORIGIN}` changed, and its serial is 3"));
        write(4, "added TXT \"three\"\n");
        assert!(served.run(&["reload"]).status.success());
        has(4);
        agree(&served, &peer);
    }
}

/// A reload that names a secondary tells it, though no zone changed; one that names it no more is silent.
#[test]
fn a_secondary_that_is_new_is_told_at_once() {
    if !Program::Bind.installed() {
        return;
    }
    let (world, served, peer, _) = secondary(Program::Bind, 0, SERVICES, "");
    let named = std::fs::read_to_string(world.config()).unwrap();
    let line = named.lines().find(|line| line.starts_with("notify")).unwrap();
    world.write("steerdns.toml", &named.replace(line, ""));
    assert!(served.run(&["reload"]).status.success());
    let logged = served.logged();
    world.write("steerdns.toml", &named);
    assert!(served.run(&["reload"]).status.success());
    served.until_logged(logged, &format!("{} knows of {ORIGIN} 1", peer.address));
}

#[test]
fn what_is_exported_is_a_zone_to_all_checkers() {
    if !Program::Bind.installed() || !Program::Knot.installed() {
        return;
    }
    let (world, served, _peer, primary) = secondary(Program::Bind, 0, SERVICES, "expose = \"nodes\"\n");
    let port = served.addresses[0].port().to_string();
    let key = format!("{}:{KEY}:{}", primary.algorithm, primary.secret);
    let axfr = Command::new("dig")
        .args([
            "@127.0.0.1",
            "-p",
            &port,
            "-y",
            &key,
            "AXFR",
            ORIGIN,
            "+onesoa",
            "+nocomments",
            "+nocmd",
            "+nostats",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(axfr.stdout).unwrap();
    // dig writes the TSIG records, too.
    let zone: String =
        text.lines().filter(|line| !line.contains("\tTSIG\t")).map(|line| format!("{line}\n")).collect();
    assert!(zone.lines().count() > 3000, "{text}");
    world.write("exported.zone", &zone);
    let run = |words: &[&str]| {
        let output = Command::new(words[0])
            .args(&words[1..])
            .current_dir(world.path("exported.zone").parent().unwrap())
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout[..output.stdout.len().min(2000)]).into_owned();
        let said = format!("{words:?}: {out}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        out
    };
    run(&["named-checkzone", "-i", "local", ORIGIN, "exported.zone"]);
    run(&["kzonecheck", "-o", ORIGIN, "exported.zone"]);
    // It looks at signed zones alone: so it is signed, as somebody may do who signs what he is sent.
    let key = run(&["ldns-keygen", "-a", "ED25519", ORIGIN]);
    run(&["ldns-signzone", "-f", "signed.zone", "exported.zone", key.trim()]);
    run(&["ldns-verify-zone", "-V", "1", "signed.zone"]);
}
