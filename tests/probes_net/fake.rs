//! Servers over UDP that misbehave on command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;

/// A server that says these to the first, second, … datagram (the last of them to all that follow), made from what it heard.
pub(crate) struct Datagrams {
    pub(crate) at: SocketAddr,
    /// How many it heard.
    pub(crate) heard: Arc<AtomicUsize>,
}

/// Answers the n-th datagram with what `answer` makes of n (from 0) and of it, each in a datagram.
pub(crate) async fn datagrams(answer: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Datagrams {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    tokio::spawn(async move {
        let mut octets = [0; 2048];
        loop {
            // Somebody who went away is told to us as an error.
            let Ok((len, from)) = socket.recv_from(&mut octets).await else { continue };
            let number = count.fetch_add(1, Ordering::SeqCst);
            for datagram in answer(number, &octets[..len]) {
                let _ = socket.send_to(&datagram, from).await;
            }
        }
    });
    Datagrams { at, heard }
}

/// An address where nobody listens over UDP: closed a moment ago.
pub(crate) async fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
