//! Tells a secondary something over UDP, again and again until it has heard (RFC 1996 §3.6).
#![allow(clippy::disallowed_methods, reason = "this shell has sockets of its own")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// How long an answer is waited for, try by try: a minute and a half in all.
const WAITS: [Duration; 5] = [
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(12),
    Duration::from_secs(24),
    Duration::from_secs(48),
];
/// The longest answer that is read.
const ANSWER: usize = 4096;

/// Sends `message` until something comes back of which `read` makes something; `None`: nothing came. From `source`, if the system
/// lets us: secondaries look at who tells them.
///
/// # Errors
/// Where no socket is to be had.
pub async fn tell<T>(
    to: SocketAddr,
    source: Option<IpAddr>,
    message: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let socket = match source {
        Some(source) => UdpSocket::bind((source, 0)).await,
        None => Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(_) => UdpSocket::bind((any, 0)).await?,
    };
    socket.connect(to).await?;
    let mut buf = [0; ANSWER];
    for wait in WAITS {
        let until = Instant::now() + wait;
        // What cannot be sent now (no route, nobody there) may be later: a secondary may be starting.
        let sent = socket.send(message).await.is_ok();
        while let Ok(received) = timeout_at(until, socket.recv(&mut buf)).await {
            match received {
                Ok(len) if sent => {
                    if let Some(heard) = read(&buf[..len]) {
                        return Ok(Some(heard));
                    }
                }
                _ => {
                    tokio::time::sleep_until(until).await;
                    break;
                }
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_told_until_it_is_heard() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = secondary.local_addr().unwrap();
        let listening = tokio::spawn(async move {
            let mut buf = [0; 16];
            let (len, from) = secondary.recv_from(&mut buf).await.unwrap();
            secondary.send_to(b"what?", from).await.unwrap();
            secondary.send_to(&buf[..len], from).await.unwrap();
        });
        let own = Some("127.0.0.1".parse().unwrap());
        let heard = tell(to, own, b"news", |answer| (answer == b"news").then_some(7)).await.unwrap();
        listening.await.unwrap();
        assert_eq!(heard, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_told_five_times() {
        let secondary = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        secondary.set_nonblocking(true).unwrap();
        let to = secondary.local_addr().unwrap();
        assert_eq!(tell(to, None, b"news", |_| Some(())).await.unwrap(), None);
        let mut buf = [0; 16];
        let count = std::iter::from_fn(|| secondary.recv_from(&mut buf).ok()).count();
        assert_eq!(count, WAITS.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_where_nobody_listens_ends_it_in_time() {
        let to = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(tell(to, None, b"news", |_| Some(())).await.unwrap(), None);
    }
}
