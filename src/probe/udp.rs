//! Datagrams: a question to one address, and what it says to it.
#![allow(clippy::disallowed_methods, reason = "sockets are this shell's work")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use super::ended::{Ended, Limit};
use super::tcp;

/// The longest datagram that is read, in octets; what is longer is cut off. No answer of ours needs more.
const DATAGRAM_MAX: usize = 4096;
/// A question is sent again after this part of the time that is left: one lost packet is no failure yet. The deadline is four
/// times the usual time, so this is a little later than the answer should have been there.
const AGAIN_AFTER: u32 = 3;

/// A socket that is connected: it hears nobody else, and is told at once where nobody listens (ICMP port unreachable).
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    to: SocketAddr,
}

/// Connects; nothing is sent yet.
pub(super) async fn connect(to: SocketAddr) -> Result<Datagrams, Ended> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await;
    let socket = socket.map_err(|error| Ended::Local(format!("no socket: {error}").into()))?;
    socket.connect(to).await.map_err(|error| tcp::sort(&error, to))?;
    // Where the kernel chose the target's own port, we would hear ourselves.
    match socket.local_addr() {
        Ok(own) if own == to => Err(Ended::at("connect", "refused")),
        _ => Ok(Datagrams { socket, to }),
    }
}

impl Datagrams {
    /// Asks, and once more where nothing comes for a while; `read` makes something of an answer, and nothing of what is none.
    pub(super) async fn ask<T>(
        &self,
        layer: &'static str,
        question: &[u8],
        limit: &Limit,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, Ended> {
        let asked = async {
            self.send(question).await?;
            let again = tokio::time::sleep(limit.left() / AGAIN_AFTER);
            let heard = self.heard(read);
            tokio::pin!(again, heard);
            tokio::select! {
                answer = &mut heard => return answer,
                () = &mut again => self.send(question).await?,
            }
            heard.await
        };
        limit.step(layer, asked).await
    }

    /// The first that `read` makes something of, however long that takes.
    pub(super) async fn heard<T>(&self, read: impl Fn(&[u8]) -> Option<T>) -> Result<T, Ended> {
        let mut octets = [0; DATAGRAM_MAX];
        loop {
            let len = self.socket.recv(&mut octets).await.map_err(|error| self.sort(&error))?;
            if let Some(answer) = read(&octets[..len]) {
                return Ok(answer);
            }
        }
    }

    /// Sends what needs no answer; if it cannot be sent at once, it is not.
    pub(super) fn tell(&self, octets: &[u8]) {
        let _ = self.socket.try_send(octets);
    }

    async fn send(&self, octets: &[u8]) -> Result<(), Ended> {
        self.socket.send(octets).await.map(drop).map_err(|error| self.sort(&error))
    }

    fn sort(&self, error: &io::Error) -> Ended {
        tcp::sort(error, self.to)
    }
}
