//! A mail server on loopback: it keeps what it takes, and says of mailboxes what it is told to.
#![allow(clippy::disallowed_methods)] // A shell: it listens and waits.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use super::served::PATIENCE;

/// What it says of a mailbox, mail by mail; the last of it again and again. Of mailboxes that are not named it says 250.
pub type Words = &'static [(&'static str, &'static [&'static str])];

/// A mail server.
#[derive(Debug)]
pub struct PostOffice {
    pub at: SocketAddr,
    own: Arc<Own>,
}

#[derive(Debug, Default)]
struct Own {
    words: Words,
    /// How often each mailbox was named.
    named: Mutex<HashMap<String, usize>>,
    taken: Mutex<Vec<(String, String)>>,
    more: Condvar,
}

impl PostOffice {
    pub fn start(words: Words) -> PostOffice {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let own = Arc::new(Own { words, ..Own::default() });
        let serving = Arc::clone(&own);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let own = Arc::clone(&serving);
                thread::spawn(move || own.serve(stream.unwrap()));
            }
        });
        PostOffice { at, own }
    }

    /// Waits until it has taken so many: all that it has, mailbox and subject, sorted by mailbox.
    pub fn taken(&self, count: usize) -> Vec<(String, String)> {
        let until = Instant::now() + PATIENCE;
        let mut taken = self.own.taken.lock().unwrap();
        while taken.len() < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{count} are not in {taken:#?}");
            taken = self.own.more.wait_timeout(taken, left).unwrap().0;
        }
        let mut taken = taken.clone();
        taken.sort_by(|(one, _), (other, _)| one.cmp(other));
        taken
    }
}

impl Own {
    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let mut say = |words: &str| _ = stream.write_all(format!("{words}\r\n").as_bytes());
        let mut mailboxes = Vec::new();
        say("220 post office");
        while let Some(line) = lines.next() {
            match line.get(..4).unwrap_or_default() {
                "RCPT" => {
                    let mailbox = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    let words = self.word(&mailbox);
                    if words.starts_with('2') {
                        mailboxes.push(mailbox);
                    }
                    say(words);
                }
                "DATA" => {
                    say("354 go on");
                    let mail: Vec<_> = lines.by_ref().take_while(|line| line != ".").collect();
                    let subject = mail.iter().find_map(|line| line.strip_prefix("Subject: "));
                    let subject = subject.unwrap_or_default();
                    let taken = mailboxes.drain(..).map(|mailbox| (mailbox, subject.to_owned()));
                    self.taken.lock().unwrap().extend(taken);
                    self.more.notify_all();
                    say("250 taken");
                }
                "QUIT" => return say("221 bye"),
                _ => say("250 ok"),
            }
        }
    }

    fn word(&self, mailbox: &str) -> &'static str {
        let mut named = self.named.lock().unwrap();
        let times = named.entry(mailbox.to_owned()).or_default();
        let words =
            self.words.iter().find(|(name, _)| *name == mailbox).map_or(&["250 ok"][..], |(_, words)| words);
        let word = words[(*times).min(words.len() - 1)];
        *times += 1;
        word
    }
}
