//! A webhook on loopback: it keeps what it hears, and answers as it is told to.
#![allow(clippy::disallowed_methods)] // A shell: it listens and waits.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::served::PATIENCE;

/// How it answers one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// With this status.
    Status(u16),
    /// Not at all, until [`Hook::let_go`].
    Never,
}

/// What it heard once.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Request line and headers.
    pub head: String,
    /// The body.
    pub body: Value,
}

/// A webhook.
#[derive(Debug)]
pub struct Hook {
    pub at: SocketAddr,
    own: Arc<Own>,
}

#[derive(Debug, Default)]
struct Own {
    heard: Mutex<Vec<Heard>>,
    more: Condvar,
    replies: Mutex<VecDeque<Reply>>,
    held: Mutex<Vec<TcpStream>>,
}

impl Hook {
    /// It gives these replies, and then 200.
    pub fn start(replies: &[Reply]) -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let own = Arc::new(Own { replies: Mutex::new(replies.iter().copied().collect()), ..Own::default() });
        let serving = Arc::clone(&own);
        thread::spawn(move || {
            for stream in listener.incoming() {
                serving.serve(stream.unwrap());
            }
        });
        Hook { at, own }
    }

    /// Waits until it has heard so much: all that it has.
    pub fn heard(&self, count: usize) -> Vec<Heard> {
        let until = Instant::now() + PATIENCE;
        let mut heard = self.own.heard.lock().unwrap();
        while heard.len() < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{count} are not in {heard:#?}");
            heard = self.own.more.wait_timeout(heard, left).unwrap().0;
        }
        heard.clone()
    }

    /// Closes what it never answered.
    pub fn let_go(&self) {
        self.own.held.lock().unwrap().clear();
    }
}

impl Own {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head += &line;
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() || head.is_empty() {
            return;
        }
        let body = serde_json::from_slice(&body).unwrap();
        let reply = self.replies.lock().unwrap().pop_front().unwrap_or(Reply::Status(200));
        match reply {
            Reply::Status(status) => {
                let said = "its own words";
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}",
                    said.len()
                );
                let _ = (&stream).write_all(answer.as_bytes());
            }
            Reply::Never => self.held.lock().unwrap().push(stream),
        }
        self.heard.lock().unwrap().push(Heard { head, body });
        self.more.notify_all();
    }
}
