//! HAProxy's agent-check: agents that say this and that.

use std::net::SocketAddr;

use steerdns::health::check::Kind;
use steerdns::health::note::Note;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{LONG, SHORT, learned};

/// An agent that says this to all that connect; `stays`: and does not close.
async fn agent(says: &str, stays: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, says) = (listener.local_addr().unwrap(), says.to_owned());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(says.as_bytes()).await;
            kept.extend(stays.then_some(stream));
        }
    });
    at
}

#[tokio::test]
async fn an_agent_is_taken_at_its_word() {
    let load = |used: f64| Note::Load { used };
    let cases = [
        ("up\n", "succeeded", vec![Note::Drain(false)]),
        ("ready 75%\r\n", "succeeded", vec![Note::Drain(false), load(0.25)]),
        ("up 120%\n", "succeeded", vec![Note::Drain(false)]),
        ("drain\n", "succeeded", vec![Note::Drain(true)]),
        ("0%\n", "succeeded", vec![Note::Drain(true), load(1.0)]),
        ("down#disk full\n", "agent: down: disk full", vec![]),
        ("maint\nup\n", "agent: maint", vec![]),
        ("up stopped\n", "agent: stopped", vec![]),
        ("220 mail.example.com ESMTP\r\n", "agent: says `220 mail.example.com ESMTP`", vec![]),
    ];
    for (says, told, notes) in cases {
        // What it says is the end: it need not close.
        for stays in [true, false] {
            let heard = learned(Kind::Agent, agent(says, stays).await, LONG).await;
            assert_eq!(heard, (told.to_owned(), notes.clone()), "{says}");
        }
    }
}

#[tokio::test]
async fn an_agent_without_a_whole_line_fails() {
    let cases = [
        ("up", false, "agent: closed before the end of the line"),
        ("", false, "agent: closed before the end of the line"),
        ("up", true, "agent: no answer within 400 ms"),
        (&"up ".repeat(100), true, "agent: 256 octets, and no end of the line"),
    ];
    for (says, stays, told) in cases {
        assert_eq!(learned(Kind::Agent, agent(says, stays).await, SHORT).await.0, told, "{says}");
    }
}
