//! Few connections, each for a while: whatever is done to the admin listener, the files and the memory that
//! it takes are bounded, and answering DNS does not notice.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// A listener that accepts no more than it has seats.
pub(super) struct Seats {
    listener: TcpListener,
    free: Arc<Semaphore>,
    keep: Duration,
}

impl Seats {
    /// So many connections at a time, each for so long: whoever needs more connects again.
    pub(super) fn new(listener: TcpListener, seats: usize, keep: Duration) -> Seats {
        Seats { listener, free: Arc::new(Semaphore::new(seats)), keep }
    }
}

impl Listener for Seats {
    type Io = Seated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Seated, SocketAddr) {
        let seat = Arc::clone(&self.free).acquire_owned().await.expect("nobody closes this semaphore");
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Seated { stream, until: Box::pin(sleep(self.keep)), _seat: seat }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection. When its time is over, it reads as if its client had closed it, and can send no more.
pub(super) struct Seated {
    stream: TcpStream,
    until: Pin<Box<Sleep>>,
    _seat: OwnedSemaphorePermit,
}

impl Seated {
    fn is_over(&mut self, cx: &mut Context) -> bool {
        self.until.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Seated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context, buf: &mut ReadBuf) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
