//! Relays in front of servers, over TCP and UDP, that pass on, delay, say nothing, or answer something else.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::chance::Chance;

/// The longest piece that is passed on at once.
const PIECE: usize = 16 * 1024;
/// Pieces that may be under way in one direction.
const UNDER_WAY: usize = 256;
/// A conversation of datagrams that is silent for so long is over.
const IDLE: Duration = Duration::from_secs(5);

/// What a relay does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Passes on, at once.
    Through,
    /// Passes on each piece after `least`, and up to `jitter` more; never one before another.
    Delayed { least: Duration, jitter: Duration },
    /// Accepts, hears, and says nothing.
    Mute,
    /// Says this of what it heard first, and closes.
    Says(fn(&[u8]) -> Vec<u8>),
}

/// What is relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Udp,
}

/// A relay.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) at: SocketAddr,
    way: Arc<Mutex<Way>>,
}

impl Relay {
    /// In front of that server.
    pub(crate) async fn start(over: Over, to: SocketAddr) -> Relay {
        let way = Arc::new(Mutex::new(Way::Through));
        let at = match over {
            Over::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let at = listener.local_addr().unwrap();
                tokio::spawn(connections(listener, to, way.clone()));
                at
            }
            Over::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let at = socket.local_addr().unwrap();
                tokio::spawn(datagrams(Arc::new(socket), to, way.clone()));
                at
            }
        };
        Relay { at, way }
    }

    /// From the next connection or datagram on.
    pub(crate) fn go(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}

async fn connections(listener: TcpListener, to: SocketAddr, way: Arc<Mutex<Way>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let way = *way.lock().unwrap();
        tokio::spawn(connection(stream, to, way));
    }
}

async fn connection(mut near: TcpStream, to: SocketAddr, way: Way) -> io::Result<()> {
    near.set_nodelay(true)?;
    match way {
        Way::Mute => while near.read(&mut [0; PIECE]).await? > 0 {},
        Way::Says(says) => {
            let mut heard = vec![0; PIECE];
            let len = near.read(&mut heard).await?;
            near.write_all(&says(&heard[..len])).await?;
        }
        Way::Through => {
            let mut far = TcpStream::connect(to).await?;
            tokio::io::copy_bidirectional(&mut near, &mut far).await?;
        }
        Way::Delayed { .. } => {
            let (from_near, to_near) = near.into_split();
            let (from_far, to_far) = TcpStream::connect(to).await?.into_split();
            tokio::try_join!(late(from_near, to_far, way), late(from_far, to_near, way))?;
        }
    }
    Ok(())
}

/// One direction of a connection.
async fn late(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, way: Way) -> io::Result<()> {
    let (on_its_way, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let hears = async move {
        let mut delay = Delay::new(way);
        loop {
            let mut piece = vec![0; PIECE];
            let len = from.read(&mut piece).await?;
            piece.truncate(len);
            if len == 0 || on_its_way.send((delay.due(), piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let says = async move {
        while let Some((at, piece)) = due.recv().await {
            tokio::time::sleep_until(at.into()).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(hears, says).map(|_: ((), ())| ())
}

/// When pieces of one direction are due.
struct Delay {
    way: Way,
    chance: Chance,
    last: Instant,
}

impl Delay {
    fn new(way: Way) -> Delay {
        Delay { way, chance: Chance(seed()), last: Instant::now() }
    }

    fn due(&mut self) -> Instant {
        let wait = match self.way {
            Way::Delayed { least, jitter } => {
                least + Duration::from_micros(self.chance.below(jitter.as_micros() as u64 + 1))
            }
            _ => Duration::ZERO,
        };
        self.last = self.last.max(Instant::now() + wait);
        self.last
    }
}

/// Another one for each direction.
fn seed() -> u64 {
    static NEXT: Mutex<Chance> = Mutex::new(Chance(1));
    NEXT.lock().unwrap().below(u64::MAX)
}

async fn datagrams(near: Arc<UdpSocket>, to: SocketAddr, way: Arc<Mutex<Way>>) {
    let mut conversations: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut heard = vec![0; PIECE];
    loop {
        let Ok((len, peer)) = near.recv_from(&mut heard).await else { continue };
        let way = *way.lock().unwrap();
        match way {
            Way::Mute => continue,
            Way::Says(says) => {
                let _ = near.send_to(&says(&heard[..len]), peer).await;
                continue;
            }
            Way::Through | Way::Delayed { .. } => {}
        }
        conversations.retain(|_, conversation| !conversation.is_closed());
        let conversation = conversations.entry(peer).or_insert_with(|| {
            let (tell, told) = mpsc::channel(UNDER_WAY);
            tokio::spawn(conversation(near.clone(), peer, to, told, way));
            tell
        });
        let _ = conversation.try_send(heard[..len].to_vec());
    }
}

/// Datagrams of one peer, there and back, until there are none for a while.
async fn conversation(
    near: Arc<UdpSocket>,
    peer: SocketAddr,
    to: SocketAddr,
    mut told: mpsc::Receiver<Vec<u8>>,
    way: Way,
) -> io::Result<()> {
    let far = Arc::new(UdpSocket::bind(("0.0.0.0", 0)).await?);
    far.connect(to).await?;
    let (mut there, mut back) = (Delay::new(way), Delay::new(way));
    let mut answer = vec![0; PIECE];
    loop {
        tokio::select! {
            datagram = told.recv() => {
                let Some(datagram) = datagram else { return Ok(()) };
                let (at, far) = (there.due(), far.clone());
                tokio::spawn(async move {
                    tokio::time::sleep_until(at.into()).await;
                    let _ = far.send(&datagram).await;
                });
            }
            len = far.recv(&mut answer) => {
                // A server that has gone is silence here.
                let Ok(len) = len else { continue };
                let (at, near, answer) = (back.due(), near.clone(), answer[..len].to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep_until(at.into()).await;
                    let _ = near.send_to(&answer, peer).await;
                });
            }
            () = tokio::time::sleep(IDLE) => return Ok(()),
        }
    }
}
