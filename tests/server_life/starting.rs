//! How it starts and ends.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::support::ask::{Answer, Question};
use super::support::served::{Served, client, exchange, steerdns, until};
use super::world::{SERVER, SINGAPORE, World, play, played, until_held, verdicts};

/// How long steered answers wait for first outcomes, and what a busy machine takes beside it.
const WARM: Duration = Duration::from_millis(1000 + 1500);

#[test]
fn static_names_answer_at_once_and_steered_ones_after_a_second_of_probing() {
    let world = World::new();
    // One that takes connections and says nothing: not a word of it within the first second.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = "[check.slow]\nkind = \"http\"\nport = 1\n";
    let clusters = world.clusters(&["sin-1", "sin-2"], check).replace("kind = \"tcp\"", "kind = \"http\"");
    let node = |backend: usize| format!("\"{}\"", world.backends[backend].at);
    let clusters = (0..3).fold(clusters, |text, backend| {
        text.replace(&node(backend), &format!("\"{}\"", mute.local_addr().unwrap()))
    });
    world.write("zones/clusters.toml", &clusters);
    let served = world.serve();

    let begun = Instant::now();
    let steered = client(served.addresses[0]);
    steered.send(&play(SINGAPORE).octets()).unwrap();
    let still = served.ask(&Question::new("ns1.live.example.com.", "A"));
    let static_took = begun.elapsed();
    let mut buf = [0; 4096];
    let len = steered.recv(&mut buf).unwrap();
    let steered_took = begun.elapsed();
    assert_eq!(still.answers(), ["ns1.live.example.com. 3600 A 192.0.2.53"]);
    assert_eq!(Answer::read(&buf[..len], None).addresses().len(), 2, "unknown, and there is nothing better");
    assert!(static_took < steered_took, "static {static_took:?}, steered {steered_took:?}");
    assert!(steered_took < WARM, "{steered_took:?}");
}

#[test]
fn a_restart_keeps_verdicts_and_their_age() {
    let mut world = World::new();
    let served = world.serve_warm();
    world.backends[0].close();
    until_held(&served, "sin-1", "down");
    let held = |served: &Served| verdicts(served).into_iter().find(|(node, ..)| node == "sin-1").unwrap();
    until("it is down for a second", || held(&served).2 >= 1);
    assert_eq!(served.stop().code(), Some(0));

    world.backends[0].open();
    let served = world.serve();
    let (_, verdict, age_s) = held(&served);
    assert!(verdict == "down" && age_s >= 1 || verdict == "up", "{verdict} for {age_s} s");
    served.until_logged(0, "down -> up");
    assert!(!served.messages().iter().any(|message| message.starts_with("unknown")), "nothing was unknown");
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.12"]);
}

#[test]
fn after_a_crash_it_starts_again_with_what_was_kept() {
    let mut world = World::new();
    let mut served = world.serve_warm();
    world.backends[0].close();
    until_held(&served, "sin-1", "down");
    until("the state file says so", || {
        std::fs::read_to_string(world.path("state/verdicts.json")).is_ok_and(|text| text.contains("\"down\""))
    });
    served.signal("KILL");
    assert_eq!(served.ended().code(), None);
    assert!(world.path("state/control.sock").exists(), "nobody took it away");

    let served = world.serve();
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.12"]);
    assert!(!served.messages().iter().any(|message| message.starts_with("unknown")), "nothing was unknown");
    assert_eq!(served.run(&["reload"]).status.code(), Some(0));
}

#[test]
fn a_state_file_that_cannot_be_read_is_told_and_left_aside() {
    let world = World::new();
    std::fs::create_dir(world.path("state")).unwrap();
    world.write("state/verdicts.json", "{ half of");
    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), ["192.0.2.11", "192.0.2.12"]);
    let told = served.until_logged(0, "verdicts of an earlier life are not known: ");
    assert!(told.contains("verdicts.json: not a state file of steerdns"), "{told}");
}

#[test]
fn it_ends_in_order_whoever_is_connected() {
    for signal in ["TERM", "INT"] {
        let world = World::new();
        let mut served = world.serve_warm();
        let idle = TcpStream::connect(served.addresses[0]).unwrap();
        let admin = TcpStream::connect(served.admin.unwrap()).unwrap();
        assert!(world.path("state/control.sock").exists());
        served.signal(signal);
        assert_eq!(served.ended().code(), Some(0), "{:#?}", served.messages());
        assert!(!world.path("state/control.sock").exists());
        assert!(world.path("state/verdicts.json").exists());
        drop((idle, admin));
        let served = world.serve();
        assert_eq!(served.stop().code(), Some(0), "and it can start again");
    }
}

#[test]
fn a_port_in_use_is_one_sentence_and_status_1() {
    let world = World::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    world.write("steerdns.toml", &SERVER.replace("127.0.0.1:0\"]\nnsid", &format!("{address}\"]\nnsid")));
    let output = steerdns(&["serve"], &world.config());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, format!("steerdns: `{address}` is in use: another program listens there\n"));
}

#[test]
fn a_state_directory_in_use_is_one_sentence_and_status_1() {
    let world = World::new();
    let _first = world.serve();
    let output = steerdns(&["serve"], &world.config());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let state = world.path("state");
    assert_eq!(said, format!("steerdns: another server runs with `state = \"{}\"`\n", state.display()));
}

#[test]
fn bad_files_are_told_whole_and_nothing_starts() {
    let world = World::new();
    world.write(
        "zones/live.example.com.toml",
        "[service.play]\npolicy = \"nowhere\"\ncheck = \"egde\"\nttl = \"5s\"\n",
    );
    let output = steerdns(&["serve"], &world.config());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for word in ["`nowhere`", "`egde`", "live.example.com.toml:2:", "live.example.com.toml:3:"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
}

#[test]
fn all_engines_answer_the_same() {
    let engines = ["mmsg", "portable", "hickory"];
    let worlds = engines.map(|engine| {
        let world = World::new();
        world.write("steerdns.toml", &(SERVER.to_owned() + &format!("[udp]\nengine = \"{engine}\"\n")));
        world
    });
    let all_served = worlds.each_ref().map(World::serve_warm);
    let names = [
        "live",
        "ns1.live",
        "www.live",
        "play.live",
        "PLAY.Live",
        "x.docs.live",
        "docs.live",
        "none.live",
        "a.none.live",
        "sub.live",
        "x.sub.live",
        "long.live",
        "other",
    ];
    let mut asked = 0;
    for name in names {
        for qtype in ["A", "AAAA", "TXT", "NS", "SOA", "CNAME", "ANY", "TYPE65280"] {
            let plain = Question::new(&format!("{name}.example.com."), qtype);
            let with = |edns| Question { edns, ..plain.clone() };
            for question in [
                plain.clone(),
                Question { recursion_desired: true, ..with(Some(1232)) },
                Question { nsid: true, dnssec_ok: true, ..with(Some(4096)) },
                plain.clone().subnet(SINGAPORE),
                plain.clone().subnet("0.0.0.0/0"),
                plain.clone().subnet("2001:db8:1::/48"),
            ] {
                let [first, others @ ..] =
                    all_served.each_ref().map(|served| decoded(&served.ask(&question)));
                for (other, engine) in others.iter().zip(&engines[1..]) {
                    assert_eq!(*other, first, "{engine}: {question:?}");
                }
                asked += 1;
            }
        }
    }
    assert_eq!(asked, names.len() * 8 * 6);
}

/// What an answer says, whatever its order and compression.
#[derive(Debug, PartialEq)]
struct Decoded {
    status: String,
    recursion_desired: bool,
    sections: [Vec<String>; 3],
    subnet: Option<Vec<u8>>,
    /// Payload size, version, DO.
    edns: Option<(u16, u8, bool)>,
}

fn decoded(answer: &Answer) -> Decoded {
    let sorted = |mut lines: Vec<String>| {
        lines.iter_mut().for_each(|line| line.make_ascii_lowercase());
        lines.sort_unstable();
        lines
    };
    let edns = answer.message.edns.as_ref();
    Decoded {
        status: answer.status(),
        recursion_desired: answer.message.metadata.recursion_desired,
        sections: [answer.answers(), answer.authorities(), answer.additionals()].map(sorted),
        subnet: answer.subnet(),
        edns: edns.map(|edns| (edns.max_payload(), edns.version(), edns.flags().dnssec_ok)),
    }
}

#[test]
fn tcp_answers_as_udp_does() {
    use std::io::{Read, Write};
    let world = World::new();
    let served = world.serve_warm();
    let query = play(SINGAPORE).octets();
    let mut stream = TcpStream::connect(served.addresses[0]).unwrap();
    stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat()).unwrap();
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut answer).unwrap();
    let by_udp = exchange(&client(served.addresses[0]), &query).unwrap();
    assert_eq!(decoded(&Answer::read(&answer, None)), decoded(&Answer::read(&by_udp, None)));
}

/// A port below 1024 that nobody has, over UDP and TCP.
fn privileged_port() -> Option<u16> {
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    (700..1024).find(|&port| UdpSocket::bind(at(port)).is_ok() && TcpListener::bind(at(port)).is_ok())
}

/// It opens its ports as root, and answers as somebody who may not.
#[test]
fn it_takes_a_privileged_port_and_becomes_another_user() {
    let Some(port) = privileged_port() else {
        eprintln!("SKIPPED: only root may have a port below 1024");
        return;
    };
    let world = World::new();
    let here = world.path("");
    let open = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(&here, open(0o755)).unwrap();
    world.write(
        "steerdns.toml",
        &SERVER.replace("127.0.0.1:0\"]", &format!("127.0.0.1:{port}\"]\nuser = \"nobody\"")),
    );
    let served = world.serve_warm();
    assert_eq!(served.addresses[0].port(), port);
    assert_eq!(played(&served, SINGAPORE).len(), 2);
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    for line in ["Uid:", "Gid:"] {
        let ids = status.lines().find_map(|other| other.strip_prefix(line)).unwrap();
        assert!(ids.split_whitespace().all(|id| id != "0"), "{line} {ids}");
    }
    // What it keeps is its own, and it reads its files as that user.
    assert!(served.run(&["reload"]).status.success());
    let logged = served.logged();
    std::fs::set_permissions(world.path("zones/clusters.toml"), open(0o600)).unwrap();
    assert!(!served.run(&["reload"]).status.success(), "what it may not read is refused");
    assert_eq!(played(&served, SINGAPORE).len(), 2);
    served.until_logged(logged, "the reload is refused");
    served.stop();
    let served = world.serve();
    served.until_logged(0, "as user `nobody` it cannot read 1 of its files, ");
}
