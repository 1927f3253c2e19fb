//! The program itself: `steerdns serve` as a child, what it logs, its ports, and the other commands.
#![allow(clippy::disallowed_methods)] // A shell: it starts programs, waits, asks over sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ask::{Answer, Question};

/// Longer than anything that is waited for takes, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often something is looked at that cannot be waited for.
pub const LOOK: Duration = Duration::from_millis(5);

/// `steerdns serve`, answering; killed when dropped.
#[derive(Debug)]
pub struct Served {
    /// Where it answers, with the ports that the system chose.
    pub addresses: Vec<SocketAddr>,
    /// Where `/metrics` and `/status` are.
    pub admin: Option<SocketAddr>,
    /// Its file.
    pub config: PathBuf,
    child: Child,
    log: Arc<Log>,
}

/// What it logged, line by line, as JSON.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Value>,
    ended: bool,
}

/// A command of the program, run to its end.
pub fn steerdns(words: &[&str], config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steerdns"));
    command.args(words).arg("--config").arg(config).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).output().unwrap()
}

impl Served {
    /// Starts it, and waits until it says where it answers; panics with its words where it does not.
    pub fn start(config: &Path) -> Served {
        let mut child = Command::new(env!("CARGO_BIN_EXE_steerdns"))
            .args(["serve", "--config"])
            .arg(config)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Log>::default();
        let (stderr, writing) = (child.stderr.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || writing.follow(BufReader::new(stderr)));
        let (addresses, admin, config) = (Vec::new(), None, config.to_owned());
        let mut served = Served { addresses, admin, config, child, log };
        let answering = served.until_logged(0, "answering on ");
        served.addresses = answering.split(", ").map(|address| address.parse().unwrap()).collect();
        let messages = served.messages();
        let admin = messages.iter().find_map(|message| message.strip_prefix("metrics and state on http://"));
        served.admin = admin.map(|address| address.parse().unwrap());
        served
    }

    /// Waits for a message that begins so, among those after the first `from`: the rest of it.
    pub fn until_logged(&self, from: usize, beginning: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            let rest = lines.lines.iter().skip(from).find_map(|line| message(line).strip_prefix(beginning));
            if let Some(rest) = rest {
                return rest.to_owned();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !lines.ended, "`{beginning}` is not in {:#?}", lines.lines);
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// How many lines it has logged.
    pub fn logged(&self) -> usize {
        self.log.lines.lock().unwrap().lines.len()
    }

    /// Its log: the fields of each line.
    pub fn log(&self) -> Vec<Value> {
        self.log.lines.lock().unwrap().lines.clone()
    }

    /// The messages of its log.
    pub fn messages(&self) -> Vec<String> {
        self.log().iter().map(|line| message(line).to_owned()).collect()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its process id.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end: {:#?}", self.messages());
            thread::sleep(LOOK);
        }
    }

    /// Ends it in order.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// A command about this server.
    pub fn run(&self, words: &[&str]) -> Output {
        steerdns(words, &self.config)
    }

    /// What the admin listener says at a path.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin.unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().ends_with("200 OK"), "{head}");
        body.to_owned()
    }

    /// The value of a metric, by its name and labels as they are written.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("`{name}` is not in\n{text}")).parse().unwrap()
    }

    /// The sum of a metric over all its labels.
    pub fn total(&self, name: &str) -> f64 {
        let text = self.get("/metrics");
        let of = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values = text.lines().filter(|line| of(line)).map(|line| line.rsplit(' ').next().unwrap());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    }

    /// Its answer over UDP at its first address.
    pub fn ask(&self, question: &Question) -> Answer {
        let octets = exchange(&client(self.addresses[0]), &question.octets());
        Answer::read(&octets.expect("it answers"), None)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn follow(&self, stderr: impl BufRead) {
        for line in stderr.lines().map_while(Result::ok) {
            // What is no JSON is told by the program itself, not by its log.
            let json = serde_json::from_str::<Value>(&line).map(|mut line| line["fields"].take());
            let fields = json.unwrap_or_else(|_| serde_json::json!({ "message": line }));
            self.lines.lock().unwrap().lines.push(fields);
            self.more.notify_all();
        }
        self.lines.lock().unwrap().ended = true;
        self.more.notify_all();
    }
}

fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

/// A socket that asks there.
pub fn client(server: SocketAddr) -> UdpSocket {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Asks, and gives the answer with that ID; none within the socket's patience is an error.
pub fn exchange(socket: &UdpSocket, query: &[u8]) -> std::io::Result<Vec<u8>> {
    socket.send(query)?;
    let mut buf = [0; 4096];
    loop {
        let len = socket.recv(&mut buf)?;
        if len >= 12 && buf[..2] == query[..2] {
            return Ok(buf[..len].to_vec());
        }
    }
}

/// Looks again and again until it is so.
pub fn until(what: &str, so: impl Fn() -> bool) {
    until_or(what, so, String::new);
}

/// The same; `tell` says more where it does not become so.
pub fn until_or(what: &str, so: impl Fn() -> bool, tell: impl Fn() -> String) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "not yet: {what}\n{}", tell());
        thread::sleep(LOOK);
    }
}
