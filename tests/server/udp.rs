//! UDP, over each engine.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};

use super::{Engine, LANE, PATIENCE, Server, query, until};
use steerdns::net::stream::Limits;

/// A client that takes answers from nobody but the server.
fn client(server: SocketAddr) -> UdpSocket {
    let any: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    let client = UdpSocket::bind(any).unwrap();
    client.connect(server).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

fn received(client: &UdpSocket) -> Vec<u8> {
    let mut buf = [0; 4096];
    let len = client.recv(&mut buf).expect("an answer");
    buf[..len].to_vec()
}

fn asked(client: &UdpSocket, query: &[u8]) -> Vec<u8> {
    client.send(query).unwrap();
    received(client)
}

fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

#[test]
fn every_engine_answers_both_families() {
    for &engine in Engine::ALL {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = Server::on(engine, address, Limits::default());
            let answer = Message::from_vec(&asked(&client(server.address), &query(7, "a"))).unwrap();
            assert_eq!((answer.metadata.id, answer.answers.len()), (7, 1), "{engine:?} {address}");
        }
    }
}

#[test]
fn the_engines_answers_are_equal_after_decoding() {
    let answers: Vec<_> = Engine::ALL
        .iter()
        .map(|&engine| {
            let server = Server::udp(engine);
            Message::from_vec(&asked(&client(server.address), &query(7, "CaSe"))).unwrap()
        })
        .collect();
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");
}

#[test]
fn more_than_a_batch_is_answered_whole() {
    for &engine in Engine::ALL {
        let server = Server::udp(engine);
        let client = client(server.address);
        let ids: BTreeSet<u16> = (0..200).collect();
        for &id in &ids {
            client.send(&query(id, "a")).unwrap();
        }
        let answered: BTreeSet<u16> = ids.iter().map(|_| id(&received(&client))).collect();
        assert_eq!(answered, ids, "{engine:?}");
        until("all counted", || server.totals().answered() == 200);
    }
}

#[test]
fn what_gets_no_answer_disturbs_no_neighbour() {
    for &engine in Engine::OURS {
        let server = Server::udp(engine);
        let clients = [client(server.address), client(server.address)];
        // In one batch or in several, as it comes.
        for round in 0..20 {
            for (i, client) in clients.iter().enumerate() {
                let id = |n| round * 100 + (i as u16) * 50 + n;
                client.send(&query(id(0), "nothing")).unwrap();
                client.send(&query(id(1), "a")).unwrap();
                client.send(&query(id(2), "panic")).unwrap();
                client.send(&[0; 11]).unwrap();
                client.send(&[0; 5000]).unwrap();
                client.send(&query(id(3), "large")).unwrap();
                client.send(&query(id(4), "a")).unwrap();
            }
            for (i, client) in clients.iter().enumerate() {
                let got: Vec<_> = (0..4)
                    .map(|_| received(client))
                    .map(|answer| (id(&answer) - round * 100 - (i as u16) * 50, answer[3] & 15, answer.len()))
                    .collect();
                let plain = query(0, "a").len() + 16;
                assert_eq!(got, [(1, 0, plain), (2, 2, 12), (3, 0, 1232), (4, 0, plain)], "{engine:?}");
            }
        }
        until("all counted", || server.totals().paths[0].dropped == 20 * 2 * 3);
        assert_eq!(server.totals().paths[0].panics, 40);
    }
}

#[test]
fn a_panic_is_answered_servfail_and_the_engine_goes_on() {
    for &engine in Engine::ALL {
        let server = Server::udp(engine);
        let client = client(server.address);
        for _ in 0..3 {
            let answer = Message::from_vec(&asked(&client, &query(0xABCD, "panic"))).unwrap();
            assert_eq!((answer.metadata.id, answer.metadata.response_code), (0xABCD, ResponseCode::ServFail));
            assert_eq!(id(&asked(&client, &query(9, "a"))), 9, "{engine:?}");
        }
        until("all counted", || server.totals().paths[0].panics == 3);
    }
}

#[test]
fn the_cold_lane_answers_from_the_same_socket() {
    for &engine in Engine::ALL {
        let mut server = Server::udp(engine);
        let client = client(server.address);
        client.send(&query(1, "later")).unwrap();
        let errand = server.errands.blocking_recv().unwrap();
        assert_eq!(*errand.ask.query, query(1, "later"));
        assert_eq!(errand.peer, client.local_addr().unwrap().ip());
        // Meanwhile others are answered.
        assert_eq!(id(&asked(&client, &query(2, "a"))), 2);
        let mut answer = query(1, "later");
        answer[2] |= 0x80;
        errand.answer(&answer);
        let told = received(&client);
        assert_eq!(id(&told), 1, "{engine:?}");
    }
}

#[test]
fn a_full_lane_drops_and_counts() {
    for &engine in Engine::OURS {
        let mut server = Server::udp(engine);
        let client = client(server.address);
        for id in 0..5 {
            client.send(&query(id, "later")).unwrap();
        }
        until("all counted", || server.totals().paths[0].late_dropped == 5 - LANE as u64);
        assert_eq!(server.totals().paths[0].late, LANE as u64);
        assert_eq!(
            id(&server.errands.blocking_recv().unwrap().ask.query),
            0,
            "{engine:?}: the first came first"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    for (listen, asked_at) in
        [("0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "127.9.8.7"][..]), ("[::]:0", &["::1"])]
    {
        let mut server = Server::on(Engine::Mmsg, listen, Limits::default());
        for ip in asked_at {
            // A connected socket takes answers from no other address.
            let client = client(SocketAddr::new(ip.parse().unwrap(), server.address.port()));
            for n in 0..3 {
                assert_eq!(id(&asked(&client, &query(n, "a"))), n, "{ip}");
            }
            client.send(&query(77, "later")).unwrap();
            server.errands.blocking_recv().unwrap().answer(&query(77, "later"));
            assert_eq!(id(&received(&client)), 77, "{ip}: through the cold lane");
        }
    }
}

#[test]
fn threads_of_one_port_share_its_queries() {
    use steerdns::net::listen;
    let listeners = listen::bind("127.0.0.1:0".parse().unwrap(), 4, 0).unwrap();
    // The kernel chooses by the client's port, among others.
    let clients: Vec<_> = (0..200).map(|_| client(listeners.address)).collect();
    clients.iter().for_each(|client| assert_eq!(client.send(b"?").unwrap(), 1));
    let shares: Vec<usize> = listeners
        .udp
        .iter()
        .map(|socket| {
            socket.set_nonblocking(true).unwrap();
            std::iter::from_fn(|| socket.recv(&mut [0; 16]).ok()).count()
        })
        .collect();
    assert_eq!(shares.iter().sum::<usize>(), clients.len());
    assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
}

#[test]
fn a_stop_is_seen_soon_though_nobody_asks() {
    for &engine in Engine::ALL {
        let mut server = Server::udp(engine);
        assert_eq!(id(&asked(&client(server.address), &query(1, "a"))), 1);
        let begun = Instant::now();
        server.end();
        // 250 ms, what a connection may take to drain (2 s), and a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(5), "{engine:?} took {:?}", begun.elapsed());
    }
}
