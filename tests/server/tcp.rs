//! TCP: frames, limits, and ends.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use hickory_proto::op::{Message, ResponseCode};

use super::{Engine, LANE, PATIENCE, Server, query, until};
use steerdns::net::stream::Limits;

fn connected(server: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(server).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The next answer; an error where the connection has ended.
fn answer(client: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 2];
    client.read_exact(&mut len)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    client.read_exact(&mut message)?;
    Ok(message)
}

fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

fn asked(client: &mut TcpStream, n: u16) -> io::Result<u16> {
    client.write_all(&framed(&query(n, "a")))?;
    answer(client).map(|it| id(&it))
}

/// Whether the server has ended the connection: waits for it.
fn is_ended(client: &mut TcpStream) -> bool {
    match client.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn pipelined_queries_are_answered_in_order() {
    for engine in [Engine::Portable, Engine::Hickory] {
        let server = Server::udp(engine);
        let mut client = connected(server.address);
        let all: Vec<u8> = (0..1000).flat_map(|n| framed(&query(n, "a"))).collect();
        client.write_all(&all).unwrap();
        for n in 0..1000 {
            assert_eq!(id(&answer(&mut client).unwrap()), n, "{engine:?}");
        }
    }
}

#[test]
fn what_one_segment_brought_goes_back_in_one_in_order() {
    let server = Server::tcp(Limits::default());
    let mut client = connected(server.address);
    // As many as one segment holds, there and back, whatever the interface.
    let all: Vec<u8> = (0..30).flat_map(|n| framed(&query(n, "a"))).collect();
    // More than once: answers that left one by one might by chance be there together.
    for _ in 0..20 {
        client.write_all(&all).unwrap();
        let mut octets = [0; 4096];
        let read = client.read(&mut octets).unwrap();
        let mut answers = &octets[..read];
        for n in 0..30 {
            assert_eq!(answer(&mut answers).map(|it| id(&it)).ok(), Some(n));
        }
        assert!(answers.is_empty());
    }
}

#[test]
fn a_query_may_come_octet_by_octet() {
    let server = Server::tcp(Limits::default());
    let mut client = connected(server.address);
    for n in 0..3 {
        for octet in framed(&query(n, "a")) {
            client.write_all(&[octet]).unwrap();
        }
        assert_eq!(id(&answer(&mut client).unwrap()), n);
    }
}

#[test]
fn the_largest_message_is_read_whole() {
    let server = Server::tcp(Limits::default());
    let mut client = connected(server.address);
    let mut largest = query(5, "nothing");
    largest.resize(65_535, 0);
    client.write_all(&framed(&largest)).unwrap();
    assert_eq!(asked(&mut client, 6).unwrap(), 6);
    assert_eq!(server.totals().paths[1].dropped, 1);
}

#[test]
fn large_answers_go_to_a_slow_reader_whole() {
    let server = Server::tcp(Limits::default());
    let mut client = connected(server.address);
    let (asker, n) = (client.try_clone().unwrap(), 200);
    thread::scope(|scope| {
        scope.spawn(move || {
            let all: Vec<u8> = (0..n).flat_map(|n| framed(&query(n, "large"))).collect();
            (&asker).write_all(&all).unwrap();
        });
        for n in 0..n {
            let answer = answer(&mut client).unwrap();
            assert_eq!((id(&answer), answer.len()), (n, 60_000));
        }
    });
}

#[test]
fn a_message_shorter_than_a_header_ends_the_connection() {
    let server = Server::tcp(Limits::default());
    let mut client = connected(server.address);
    client.write_all(&framed(&[0; 11])).unwrap();
    assert!(is_ended(&mut client));
    assert_eq!(asked(&mut connected(server.address), 1).unwrap(), 1);
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    let mut server = Server::tcp(Limits::default());
    let mut client = connected(server.address);
    client.write_all(&[framed(&query(1, "later")), framed(&query(2, "a"))].concat()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(id(&answer(&mut client).unwrap()), 2);
    server.errands.blocking_recv().unwrap().answer(&query(1, "later"));
    assert_eq!(id(&answer(&mut client).unwrap()), 1);
    assert!(is_ended(&mut client));
}

#[test]
fn a_panic_is_answered_servfail_and_the_connection_goes_on() {
    for engine in [Engine::Portable, Engine::Hickory] {
        let server = Server::udp(engine);
        let mut client = connected(server.address);
        client.write_all(&framed(&query(0xABCD, "panic"))).unwrap();
        let told = Message::from_vec(&answer(&mut client).unwrap()).unwrap();
        assert_eq!((told.metadata.id, told.metadata.response_code), (0xABCD, ResponseCode::ServFail));
        assert_eq!(asked(&mut client, 2).unwrap(), 2, "{engine:?}");
        until("counted", || server.totals().paths[1].panics == 1);
    }
}

#[test]
fn the_cold_lane_holds_up_nobody() {
    let mut server = Server::tcp(Limits::default());
    let mut client = connected(server.address);
    client.write_all(&framed(&query(1, "later"))).unwrap();
    let errand = server.errands.blocking_recv().unwrap();
    assert_eq!(asked(&mut client, 2).unwrap(), 2);
    errand.answer(&query(1, "later"));
    assert_eq!(answer(&mut client).unwrap(), query(1, "later"));
    // On a stream, silence would be waited for.
    for n in 0..=LANE as u16 {
        client.write_all(&framed(&query(n, "later"))).unwrap();
    }
    let told = answer(&mut client).unwrap();
    assert_eq!((id(&told), told[3] & 15), (LANE as u16, 2));
    // Questions that the lane drops are not waited for.
    client.shutdown(Shutdown::Write).unwrap();
    for _ in 0..LANE {
        drop(server.errands.blocking_recv());
    }
    assert!(is_ended(&mut client));
}

#[test]
fn an_idle_connection_is_closed() {
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let server = Server::tcp(limits);
    let mut client = connected(server.address);
    assert_eq!(asked(&mut client, 1).unwrap(), 1);
    let begun = Instant::now();
    assert!(is_ended(&mut client));
    assert!(begun.elapsed() > limits.idle / 2, "it had its time: {:?}", begun.elapsed());
    until("counted", || server.connection_metrics().contains("closed_total{cause=\"idle\"} 1\n"));
    until("its seat is free", || server.connection_metrics().contains("steerdns_tcp_connections 0\n"));
}

#[test]
fn a_message_that_drips_in_does_not_hold_its_connection() {
    let server = Server::tcp(Limits { idle: Duration::from_millis(300), ..Limits::default() });
    let mut client = connected(server.address);
    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    client.write_all(&[0xFF, 0xFF]).unwrap();
    let begun = Instant::now();
    // Each octet comes long before the limit; the message never does.
    while client.write_all(&[0]).is_ok() {
        match client.read(&mut [0]) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            _ => assert!(begun.elapsed() < PATIENCE, "still open"),
        }
    }
    until("counted", || server.connection_metrics().contains("closed_total{cause=\"idle\"} 1\n"));
}

#[test]
fn a_newcomer_gets_the_seat_of_the_idlest_of_the_same_client() {
    let server = Server::tcp(Limits { per_client: 3, ..Limits::default() });
    let mut clients: Vec<_> = (0..3).map(|_| connected(server.address)).collect();
    // The first is the idlest by connecting, not by asking.
    for n in [1, 2, 0] {
        assert_eq!(asked(&mut clients[n], 7).unwrap(), 7);
    }
    assert_eq!(asked(&mut connected(server.address), 8).unwrap(), 8);
    assert!(is_ended(&mut clients[1]));
    assert_eq!(asked(&mut clients[2], 9).unwrap(), 9);
    assert_eq!(asked(&mut clients[0], 9).unwrap(), 9);
    assert!(server.connection_metrics().contains("closed_total{cause=\"evicted\"} 1\n"));
}

#[test]
fn held_connections_keep_nobody_out() {
    let server = Server::tcp(Limits { connections: 20, ..Limits::default() });
    let mut held: Vec<_> = (0..300).map(|_| connected(server.address)).collect();
    let begun = Instant::now();
    assert_eq!(asked(&mut connected(server.address), 1).unwrap(), 1);
    assert!(begun.elapsed() < Duration::from_secs(2), "served after {:?}", begun.elapsed());
    assert!(is_ended(&mut held[0]));
    until("no more than allowed", || {
        let text = server.connection_metrics();
        let open = text.lines().find_map(|l| l.strip_prefix("steerdns_tcp_connections "));
        open.is_some_and(|open| open.parse::<u32>().unwrap() <= 20)
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read_from_and_then_closed() {
    let server = Server::tcp(Limits { write: Duration::from_millis(300), ..Limits::default() });
    let deaf = connected(server.address);
    deaf.set_write_timeout(Some(PATIENCE)).unwrap();
    // 2,000 answers of 60,000 octets: more than any socket's queue holds.
    let all: Vec<u8> = (0..2000).flat_map(|n| framed(&query(n, "large"))).collect();
    // Whether all is taken depends on queues that are not ours.
    let _ = (&deaf).write_all(&all);
    assert_eq!(asked(&mut connected(server.address), 1).unwrap(), 1, "others are served meanwhile");
    until("closed", || server.connection_metrics().contains("closed_total{cause=\"stalled\"} 1\n"));
    assert!(server.totals().paths[1].answered() < 2000, "it was not read from while it did not read");
}

#[test]
fn clients_that_do_not_read_make_us_hold_no_more_than_a_bound() {
    const DEAF: usize = 8;
    /// Questions that wait: what was read at once, 16 KiB. Answers: one, as it passes 16 KiB. And a connection's own.
    const EACH: usize = 16 * 1024 + (2 + 60_000) + 8 * 1024;
    let server = Server::tcp(Limits { write: Duration::from_secs(1), ..Limits::default() });
    let most_held = || {
        let mut client = connected(server.address);
        client.write_all(&framed(&query(1, "held"))).unwrap();
        let told = answer(&mut client).unwrap();
        usize::from_be_bytes(*told.last_chunk().unwrap())
    };
    let before = most_held();
    // 2,000 questions of 600 octets for answers of 60,000: more of both than any socket's queue holds.
    let mut question = query(1, "large");
    question.resize(600, 0);
    let all = framed(&question).repeat(2000);
    thread::scope(|scope| {
        for _ in 0..DEAF {
            scope.spawn(|| {
                let mut deaf = connected(server.address);
                deaf.set_write_timeout(Some(PATIENCE)).unwrap();
                // It ends with the connection.
                let _ = deaf.write_all(&all);
                let closed = format!("closed_total{{cause=\"stalled\"}} {DEAF}\n");
                until("closed", || server.connection_metrics().contains(&closed));
            });
        }
    });
    let grown = most_held() - before;
    assert!((1..=DEAF * EACH).contains(&grown), "{grown} octets for {DEAF} connections");
}

#[test]
fn one_client_cannot_starve_another() {
    let server = Server::tcp(Limits::default());
    let done = AtomicBool::new(false);
    let asker = connected(server.address);
    let reader = asker.try_clone().unwrap();
    thread::scope(|scope| {
        let all: Vec<u8> = (0..1000).flat_map(|n| framed(&query(n, "a"))).collect();
        scope.spawn(|| {
            let all = all;
            while !done.load(Ordering::Relaxed) {
                (&asker).write_all(&all).unwrap();
            }
            let _ = asker.shutdown(Shutdown::Write);
        });
        scope.spawn(|| while (&reader).read(&mut [0; 65_536]).is_ok_and(|read| read > 0) {});
        let mut other = connected(server.address);
        let slowest = (0..100)
            .map(|n| {
                let begun = Instant::now();
                assert_eq!(asked(&mut other, n).unwrap(), n);
                begun.elapsed()
            })
            .max();
        done.store(true, Ordering::Relaxed);
        assert!(slowest < Some(Duration::from_secs(2)), "{slowest:?}");
    });
}

#[test]
fn a_stop_drains() {
    let mut server = Server::tcp(Limits::default());
    let (mut asking, mut idle) = (connected(server.address), connected(server.address));
    assert_eq!(asked(&mut idle, 1).unwrap(), 1);
    asking.write_all(&[framed(&query(1, "later")), framed(&query(2, "a"))].concat()).unwrap();
    let errand = server.errands.blocking_recv().unwrap();
    server.stop.store(true, Ordering::Relaxed);
    assert!(is_ended(&mut idle));
    errand.answer(&query(1, "later"));
    assert_eq!(id(&answer(&mut asking).unwrap()), 2);
    assert_eq!(id(&answer(&mut asking).unwrap()), 1, "it was asked before the stop");
    assert!(is_ended(&mut asking));
    let begun = Instant::now();
    server.end();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens any more");
}

/// Runs in a process of its own, which may open few files.
#[cfg(unix)]
#[test]
fn without_file_descriptors_the_idlest_makes_room() {
    const FEW: &str = "STEERDNS_TEST_FEW_FILES";
    if env::var_os(FEW).is_none() {
        let script =
            "ulimit -n 64 && exec \"$0\" --exact tcp::without_file_descriptors_the_idlest_makes_room";
        let mut again = std::process::Command::new("sh");
        let done =
            again.args(["-c", script]).arg(env::current_exe().unwrap()).env(FEW, "1").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        return;
    }
    let server = Server::tcp(Limits::default());
    let mut first = connected(server.address);
    assert_eq!(asked(&mut first, 1).unwrap(), 1);
    // Both ends of each connection are this process's: the server's accept must soon fail.
    let mut held = Vec::new();
    while let Ok(client) = TcpStream::connect(server.address) {
        held.push(client);
    }
    until("the system has refused", || !server.connection_metrics().contains("accept_errors_total 0\n"));
    assert!(is_ended(&mut first), "the idlest made room");
    // The loop above may have taken what the server had made room for: this gives it back.
    held.truncate(held.len() / 2);
    let mut last = connected(server.address);
    assert_eq!(asked(&mut last, 3).unwrap(), 3);
}
