//! A node of the demo: a small server on loopback that speaks as much HTTP and RTMP as a probe asks for, and can be
//! killed, frozen and revived.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a connection is kept.
const KEEP: Duration = Duration::from_secs(10);
/// An RTMP handshake packet, C1 and S1 (Adobe RTMP 1.0 §5.2.3).
const HANDSHAKE: usize = 1536;

/// How a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It answers.
    Alive,
    /// Its process is gone: connections are refused.
    Killed,
    /// It hangs, as under SIGSTOP: connections open, and nothing is ever said.
    Frozen,
}

/// A node's servers, one for each of its addresses.
#[derive(Debug)]
pub(super) struct Node {
    /// Where each of its addresses is probed.
    pub(super) addresses: Vec<SocketAddr>,
    life: Arc<watch::Sender<Life>>,
}

impl Node {
    /// Starts servers on free ports of these hosts.
    pub(super) async fn start(hosts: impl Iterator<Item = std::net::IpAddr>) -> io::Result<Node> {
        let life = Arc::new(watch::Sender::new(Life::Alive));
        let mut addresses = Vec::new();
        for host in hosts {
            let listener = TcpListener::bind((host, 0)).await?;
            let address = listener.local_addr()?;
            addresses.push(address);
            tokio::spawn(live(listener, address, life.subscribe()));
        }
        Ok(Node { addresses, life })
    }

    /// Kills, freezes or revives it.
    pub(super) fn turn(&self, life: Life) {
        self.life.send_replace(life);
    }
}

/// One address of a node through its lives.
async fn live(listener: TcpListener, address: SocketAddr, mut life: watch::Receiver<Life>) {
    let mut listening = Some(listener);
    loop {
        let now = *life.borrow_and_update();
        let Some(listener) = &listening else {
            if now == Life::Killed {
                if life.changed().await.is_err() {
                    return;
                }
            } else {
                // Its port is its own: nobody else was told of it.
                listening = TcpListener::bind(address).await.ok();
                if listening.is_none() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            continue;
        };
        if now == Life::Killed {
            listening = None;
            continue;
        }
        tokio::select! {
            accepted = listener.accept(), if now == Life::Alive => {
                if let Ok((stream, _)) = accepted {
                    let mut life = life.clone();
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = timeout(KEEP, answer(stream)) => {}
                            _ = life.wait_for(|life| *life != Life::Alive) => {}
                        }
                    });
                }
            }
            changed = life.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Answers one connection: RTMP where it begins with version 3, else HTTP.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let first = stream.read_u8().await?;
    if first == 3 { rtmp(stream).await } else { http(stream).await }
}

/// `200` to whatever is asked.
async fn http(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut octets = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 16_384 {
        let read = stream.read(&mut octets).await?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&octets[..read]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n").await
}

/// The handshake, and `_result` to the `connect` that follows.
async fn rtmp(mut stream: TcpStream) -> io::Result<()> {
    let mut c1 = [0; HANDSHAKE];
    stream.read_exact(&mut c1).await?;
    let mut reply = vec![3];
    reply.extend([0; HANDSHAKE]);
    reply.extend(c1);
    stream.write_all(&reply).await?;
    let mut c2 = [0; HANDSHAKE];
    stream.read_exact(&mut c2).await?;
    let mut connect = [0; 1024];
    if stream.read(&mut connect).await? == 0 {
        return Ok(());
    }
    // AMF0: "_result", transaction 1, no properties, an information object with `code`.
    let mut body = b"\x02\x00\x07_result\x00\x3f\xf0\0\0\0\0\0\0\x05\x03".to_vec();
    body.extend(b"\0\x05level\x02\0\x06status\0\x04code\x02\0\x1dNetConnection.Connect.Success\0\0\x09");
    let mut message = vec![3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0];
    message.extend(&body[..body.len().min(128)]);
    stream.write_all(&message).await?;
    // The prober says goodbye.
    let _ = stream.read(&mut connect).await?;
    Ok(())
}
