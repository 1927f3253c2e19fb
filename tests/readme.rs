//! The README's dig sessions are true: they are replayed against the demo that its first command starts.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use support::ask::{Answer, Question};

/// How long anything of a demo may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The demo, as the README starts it, but for its ports.
struct Demo {
    child: Child,
    says: std::io::Lines<BufReader<ChildStdout>>,
    socket: UdpSocket,
    address: String,
}

impl Demo {
    fn start() -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_steerdns"))
            .args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = says.next().unwrap().unwrap();
        let address = first.split("answering on ").nth(1).unwrap_or_else(|| panic!("{first}")).to_owned();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(&address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Demo { child, says, socket, address }
    }

    /// Types a command, and gives what the demo says to it.
    fn type_in(&mut self, command: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}").unwrap();
        let key = command.split_whitespace().nth(1).unwrap();
        self.says.find_map(|line| line.ok().filter(|line| line.starts_with(key))).unwrap()
    }

    /// What dig shows: words of each line, sorted, since answers rotate.
    fn dig(&self, command: &str) -> Vec<String> {
        let mut name = None;
        let mut qtype = "A";
        let mut subnet = None;
        let mut short = false;
        let mut words = command.split_whitespace().skip(1);
        while let Some(word) = words.next() {
            match word {
                "-p" => drop(words.next()),
                "+short" => short = true,
                "A" | "AAAA" | "TXT" => qtype = word,
                _ if word.starts_with("+subnet=") => subnet = word.strip_prefix("+subnet="),
                _ if word.starts_with('+') || word.starts_with('@') => {}
                _ => name = Some(format!("{}.", word.trim_end_matches('.'))),
            }
        }
        let mut question = Question::new(&name.unwrap(), qtype);
        question.edns = Some(1232);
        if let Some(subnet) = subnet {
            // dig cuts the address to the prefix.
            question = question.subnet(subnet);
        }
        let answer = self.ask(&question);
        let lines = answer.message.answers.iter().map(|record| {
            let data = match qtype {
                "TXT" => format!("\"{}\"", record.data),
                _ => record.data.to_string(),
            };
            if short {
                data
            } else {
                format!("{} {} IN {} {data}", record.name, record.ttl, record.record_type())
            }
        });
        sorted(lines)
    }

    fn ask(&self, question: &Question) -> Answer {
        let began = Instant::now();
        let mut buf = [0; 4096];
        while began.elapsed() < PATIENCE {
            self.socket.send(&question.octets()).unwrap();
            if let Ok(len) = self.socket.recv(&mut buf) {
                return Answer::read(&buf[..len], None);
            }
        }
        panic!("no answer from {}", self.address);
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // In order, so that its state goes with it.
        if self.child.stdin.as_mut().is_none_or(|stdin| writeln!(stdin, "quit").is_err()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> =
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}

/// A step of the README: a dig with what it shows, or a command to the demo.
#[derive(Debug)]
enum Step {
    Dig(String, Vec<String>),
    Type(String),
}

fn steps() -> Vec<Step> {
    let readme = include_str!("../README.md");
    let mut steps = Vec::new();
    let mut block = "";
    for line in readme.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            block = kind;
        } else if block == "console" {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step::Dig(command.into(), Vec::new())),
                (None, Some(Step::Dig(_, shown))) => shown.push(line.to_owned()),
                (None, _) => panic!("output without a command: {line}"),
            }
        } else if block == "text" && line.starts_with("kill ") {
            steps.push(Step::Type(line.into()));
        }
    }
    steps
}

#[test]
fn the_readmes_sessions_are_true() {
    let mut demo = Demo::start();
    let steps = steps();
    assert!(steps.len() >= 6, "{steps:?}");
    for step in steps {
        match step {
            Step::Dig(command, shown) => {
                assert!(command.starts_with("dig @127.0.0.1 -p 5300 "), "{command}");
                assert_eq!(demo.dig(&command), sorted(shown.into_iter()), "{command}");
                if let Some(real) = real_dig(&demo.address, &command) {
                    assert_eq!(real, demo.dig(&command), "dig itself: {command}");
                }
            }
            Step::Type(command) => {
                let said = demo.type_in(&command);
                let seconds =
                    said.split(" left the answers after ").nth(1).unwrap_or_else(|| panic!("{said}"));
                let seconds: f64 = seconds.trim_end_matches(" s").parse().unwrap();
                assert!(seconds < 20.0, "within the TTL: {said}");
            }
        }
    }
}

/// What the real dig shows, where it is installed.
fn real_dig(address: &str, command: &str) -> Option<Vec<String>> {
    let (_, port) = address.rsplit_once(':')?;
    let words = command.split_whitespace().skip(1).map(|word| if word == "5300" { port } else { word });
    let output = Command::new("dig").args(words).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8(output.stdout).ok()?;
            Some(sorted(text.lines().filter(|line| !line.is_empty()).map(str::to_owned)))
        }
        _ => {
            eprintln!("SKIPPED: dig is not installed (Debian: bind9-dnsutils)");
            None
        }
    }
}
