//! Real servers beside ours: NSD, Knot and BIND on loopback, each with a scratch directory, ended on drop.
#![allow(clippy::disallowed_methods)] // A shell: it starts programs, writes files, asks over sockets.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use steerdns::answer::worker::Transport;
use steerdns::wire::name;
use tempfile::TempDir;

/// How long a server may take until it answers for all its zones.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one answer may take, and how often it is asked for: loopback loses nothing, but machines stall.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const TRIES: usize = 3;
/// How often another port is tried where somebody was faster.
const PORTS_TRIED: usize = 5;
/// Set to 1: a program that is not installed is a failure, not a skip.
const REQUIRE: &str = "STEERDNS_REQUIRE_PEERS";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// NLnet Labs' NSD.
    Nsd,
    /// CZ.NIC's Knot DNS.
    Knot,
    /// ISC's BIND.
    Bind,
}

/// A zone as a file.
#[derive(Clone, Debug)]
pub struct ZoneText {
    /// Its apex, absolute.
    pub origin: String,
    /// Its master file.
    pub text: String,
}

/// Whose secondary a server is.
#[derive(Clone, Debug)]
pub struct Primary {
    /// Where the primary answers.
    pub at: SocketAddr,
    /// The zones' apexes, absolute.
    pub origins: Vec<String>,
    /// The key that both sign with.
    pub key: &'static str,
    /// Its algorithm.
    pub algorithm: &'static str,
    /// Its secret, base64.
    pub secret: &'static str,
}

/// The RCODE of an answer that never came.
pub const SILENCE: u16 = 15;

/// The secret that all of them make cookies with (RFC 9018).
pub const COOKIE_SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

/// A running server.
#[derive(Debug)]
pub struct Peer {
    /// Which.
    pub program: Program,
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    udp: UdpSocket,
    child: Child,
    dir: TempDir,
    id: AtomicU16,
    /// Whether it has left a question without an answer, though it is there.
    pub silent: AtomicBool,
}

impl Program {
    fn word(self) -> &'static str {
        match self {
            Program::Nsd => "nsd",
            Program::Knot => "knotd",
            Program::Bind => "named",
        }
    }

    /// The program, where it is installed; else a loud word, or a panic where `STEERDNS_REQUIRE_PEERS=1`.
    pub fn installed(self) -> bool {
        let there = Command::new(self.word()).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if there.is_err() {
            let word = self.word();
            assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{word} is not installed, and {REQUIRE}=1");
            // Not eprintln: that is not heard where the test passes.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {word} is not installed");
        }
        there.is_ok()
    }

    /// What stands before the zones.
    fn general(self, dir: &Path, port: u16) -> String {
        let dir = dir.display();
        match self {
            Program::Nsd => format!(
                "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n server-count: 1\n database: \"\"\n \
                 zonesdir: \"{dir}\"\n pidfile: \"{dir}/pid\"\n xfrdfile: \"{dir}/xfrd\"\n xfrdir: \"{dir}\"\n \
                 zonelistfile: \"{dir}/list\"\n rrl-ratelimit: 0\n answer-cookie: yes\n cookie-secret: \"{COOKIE_SECRET}\"\nremote-control:\n control-enable: no\n"
            ),
            Program::Knot => format!(
                "server:\n  listen: 127.0.0.1@{port}\n  rundir: {dir}\n  udp-workers: 1\n  tcp-workers: 1\n  \
                 background-workers: 1\ndatabase:\n  storage: {dir}\nlog:\n- target: stderr\n  any: warning\nmod-cookies:\n- id: shared\n  secret: 0x{COOKIE_SECRET}\n  badcookie-slip: 1\n"
            ),
            Program::Bind => format!(
                "options {{ directory \"{dir}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n \
                 pid-file none; session-keyfile none; recursion no; notify no; dnssec-validation no; empty-zones-enable no;\n \
                 check-names secondary ignore; check-integrity no; check-wildcard no; check-sibling no; check-mx ignore;\n \
                 check-mx-cname ignore; check-srv-cname ignore; check-dup-records ignore; check-spf ignore;\n \
                 zero-no-soa-ttl no; cookie-secret \"{COOKIE_SECRET}\"; require-server-cookie yes; max-records-per-type 0; max-types-per-name 0; masterfile-format text; }};\n\
                 controls {{ }};\nlogging {{ channel all {{ stderr; severity warning; }}; category default {{ all; }}; }};\n"
            ),
        }
    }

    /// The configuration of a server that has its zones from files.
    fn config(self, dir: &Path, port: u16, zones: &[ZoneText]) -> String {
        let mut config = self.general(dir, port);
        if self == Program::Knot {
            let dir = dir.display();
            config += &format!(
                "template:\n- id: default\n  storage: {dir}\n  semantic-checks: off\n  global-module: mod-cookies/shared\n  zonefile-load: whole\n  \
                 zonefile-sync: -1\n  journal-content: none\nzone:\n"
            );
        }
        for (zone, at) in zones.iter().zip(0..) {
            let origin = &zone.origin;
            config += &match self {
                Program::Nsd => format!("zone:\n name: \"{origin}\"\n zonefile: \"{at}.zone\"\n"),
                Program::Knot => format!("- domain: \"{origin}\"\n  file: {at}.zone\n"),
                // As a secondary, which finds its primary gone, it takes its file as it is: a primary takes nothing that is odd.
                Program::Bind => format!(
                    "zone \"{origin}\" {{ type secondary; primaries {{ 127.0.0.1 port 1; }}; file \"{at}.zone\"; }};\n"
                ),
            };
        }
        config
    }

    /// The configuration of a secondary.
    fn secondary(self, dir: &Path, port: u16, primary: &Primary) -> String {
        let Primary { at, origins, key, algorithm, secret } = primary;
        let (ip, from) = (at.ip(), at.port());
        let mut config = self.general(dir, port);
        config += &match self {
            Program::Nsd => {
                format!("key:\n name: \"{key}\"\n algorithm: {algorithm}\n secret: \"{secret}\"\n")
            }
            Program::Knot => format!(
                "key:\n- id: {key}\n  algorithm: {algorithm}\n  secret: {secret}\nremote:\n- id: primary\n  \
                 address: {ip}@{from}\n  key: {key}\nacl:\n- id: told\n  address: {ip}\n  key: {key}\n  action: notify\n\
                 template:\n- id: default\n  storage: {}\n  master: primary\n  acl: told\n  zonefile-load: none\n  zonefile-sync: -1\n  journal-content: all\nzone:\n",
                dir.display()
            ),
            Program::Bind => format!(
                "key \"{key}\" {{ algorithm {algorithm}; secret \"{secret}\"; }};\nserver {ip} {{ keys {{ \"{key}\"; }}; }};\n"
            ),
        };
        for (origin, at) in origins.iter().zip(0..) {
            config += &match self {
                Program::Nsd => format!(
                    "zone:\n name: \"{origin}\"\n zonefile: \"{at}.zone\"\n allow-notify: {ip} {key}\n \
                     request-xfr: {ip}@{from} {key}\n"
                ),
                Program::Knot => format!("- domain: \"{origin}\"\n"),
                Program::Bind => format!(
                    "zone \"{origin}\" {{ type secondary; primaries {{ {ip} port {from} key \"{key}\"; }}; file \"{at}.zone\"; \
                     }};\n"
                ),
            };
        }
        config
    }

    fn command(self, dir: &Path) -> Command {
        let mut command = Command::new(self.word());
        match self {
            Program::Nsd => _ = command.arg("-d"),
            Program::Knot => {}
            Program::Bind => _ = command.args(["-g", "-n", "1"]),
        }
        command.arg("-c").arg(dir.join("conf"));
        command
    }
}

impl Peer {
    /// A server that answers for `zones`; `None`, with a loud word, where the program is not installed.
    ///
    /// Panics, with what the server said, where it does not load them.
    pub fn start(program: Program, zones: &[ZoneText]) -> Option<Peer> {
        if !program.installed() {
            return None;
        }
        let origins: Vec<String> = zones.iter().map(|zone| zone.origin.clone()).collect();
        for _ in 0..PORTS_TRIED {
            let port = free_port();
            let mut peer = Peer::launch(program, port, |dir| {
                for (zone, at) in zones.iter().zip(0..) {
                    fs::write(dir.join(format!("{at}.zone")), &zone.text).unwrap();
                }
                program.config(dir, port, zones)
            });
            match peer.wait(&origins) {
                Ok(()) => return Some(peer),
                Err(said) if said.to_lowercase().contains("address already in use") => {}
                Err(said) => panic!("{} does not answer: {said}", program.word()),
            }
        }
        panic!("{}: no free port", program.word());
    }

    /// A secondary at that port, which has its zones.
    pub fn follow(program: Program, port: u16, primary: &Primary) -> Peer {
        let mut peer = Peer::launch(program, port, |dir| program.secondary(dir, port, primary));
        if let Err(said) = peer.wait(&primary.origins) {
            panic!("{} has not its zones: {said}", program.word());
        }
        peer
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn launch(program: Program, port: u16, config: impl FnOnce(&Path) -> String) -> Peer {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("conf"), config(dir.path())).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = program.command(dir.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let child = command.spawn().unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        udp.connect(address).unwrap();
        udp.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        Peer { program, address, udp, child, dir, id: AtomicU16::new(0), silent: AtomicBool::new(false) }
    }

    /// Asks until there is a SOA for each zone; the error is what the server wrote.
    fn wait(&mut self, origins: &[String]) -> Result<(), String> {
        let until = Instant::now() + READY_WITHIN;
        self.udp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        for origin in origins {
            let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            name::encode(origin.as_bytes(), None, &mut query).unwrap();
            query.extend([0, 6, 0, 1]);
            // EDNS with 4096 octets: a SOA of long names is more than 512.
            query.extend([0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
            loop {
                let answer = self.exchange(&query);
                // NOERROR, and a record in the answer section.
                if answer.as_ref().is_ok_and(|answer| answer[3] & 0xf == 0 && answer[7] == 1) {
                    break;
                }
                let log = self.log();
                let gone = self.child.try_wait().unwrap().is_some();
                // BIND tells all the flags that it was compiled with, and that it will not hear of new interfaces.
                let is_word = |line: &str| line.contains("built with") || line.contains("route socket");
                let is_error =
                    |line: &&str| (line.contains("error") || line.contains("failed:")) && !is_word(line);
                let errors: Vec<_> = log.lines().filter(is_error).take(20).collect();
                if gone || !errors.is_empty() || Instant::now() > until {
                    let said = if errors.is_empty() { log } else { errors.join("\n") };
                    return Err(format!("{origin} SOA: {answer:02x?}, gone: {gone}\n{said}"));
                }
            }
        }
        self.udp.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        Ok(())
    }

    /// The answer to a query, whose ID is replaced; where there is none, a header with [`SILENCE`].
    pub fn ask(&self, query: &[u8], transport: Transport) -> Vec<u8> {
        for _ in 0..TRIES {
            let answer = match transport {
                Transport::Udp => self.exchange(query),
                Transport::Tcp => self.stream(query),
            };
            if let Ok(answer) = answer {
                return answer;
            }
        }
        // It is there, and silent: told as an RCODE that nobody has.
        self.silent.store(true, Ordering::Relaxed);
        let state = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let lives = state.lines().any(|line| line.starts_with("State") && !line.contains('Z'));
        assert!(lives, "{} has ended at {query:02x?}\n{}", self.program.word(), self.log());
        [&query[..2], &[0x80, SILENCE as u8, 0, 0, 0, 0, 0, 0, 0, 0]].concat()
    }

    fn exchange(&self, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut query = query.to_vec();
        let id = self.id.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        query[..2].copy_from_slice(&id);
        self.udp.send(&query)?;
        let mut buf = [0; 65_535];
        loop {
            let len = self.udp.recv(&mut buf)?;
            if len >= 12 && buf[..2] == id {
                return Ok(buf[..len].to_vec());
            }
        }
    }

    fn stream(&self, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], query].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut answer)?;
        if answer.len() < 12 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The group: NSD answers from a child of its own.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that has dnspython; `None`, with a loud word, where there is none.
pub fn dnspython() -> Option<&'static str> {
    let has = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import dns.message"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has);
    if python.is_none() {
        assert!(std::env::var_os(REQUIRE).is_none(), "dnspython is not installed, and {REQUIRE} is set");
        eprintln!("SKIPPED: dnspython is not installed");
    }
    python
}

/// A port that nobody had a moment ago, over UDP and TCP.
pub fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
