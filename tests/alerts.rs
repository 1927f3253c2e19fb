//! Alerts to real receivers: Prometheus' Alertmanager, and a mail server with STARTTLS and passwords (aiosmtpd).
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a test has clocks, sockets and programs of its own")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

#[path = "server_life/world.rs"]
#[allow(dead_code, reason = "it is the world of other tests, too")]
mod world;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;
use support::served::{PATIENCE, steerdns, until_or};
use tempfile::TempDir;
use world::{SERVER, World};

const ALERTMANAGER: &str = "/usr/bin/prometheus-alertmanager";
/// Debian's own: it has Debian's aiosmtpd.
const PYTHON: &str = "/usr/bin/python3";

const TIMING: &str = "[alert]\nhold = \"300ms\"\nresolve_after = \"1s\"\ngroup_wait = \"500ms\"\n";

/// Says loudly that something is not installed; `STEERDNS_REQUIRE_PEERS=1` makes that a failure.
fn skipped(what: &str) {
    assert_ne!(std::env::var("STEERDNS_REQUIRE_PEERS").as_deref(), Ok("1"), "{what} is not installed");
    // Not eprintln: that is not heard where the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: needs {what}");
}

/// A program that ends with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Alertmanager {
    at: SocketAddr,
    scratch: TempDir,
    program: Option<Program>,
}

impl Alertmanager {
    fn start() -> Alertmanager {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut alertmanager = Alertmanager { at, scratch: tempfile::tempdir().unwrap(), program: None };
        alertmanager.begin();
        alertmanager
    }

    fn begin(&mut self) {
        let path = |name: &str| self.scratch.path().join(name);
        std::fs::write(path("config.yml"), "route: { receiver: none }\nreceivers: [ { name: none } ]\n")
            .unwrap();
        let log = File::create(path("log")).unwrap();
        let child = Command::new(ALERTMANAGER)
            .arg(format!("--config.file={}", path("config.yml").display()))
            .arg(format!("--storage.path={}", path("data").display()))
            .arg(format!("--web.listen-address={}", self.at))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.program = Some(Program(child.unwrap()));
        let log = || std::fs::read_to_string(path("log")).unwrap_or_default();
        until_or("Alertmanager listens", || self.connect().is_some(), log);
    }

    fn end(&mut self) {
        self.program = None;
    }

    /// A connection to it. The system may choose our port to be its own, while nobody listens there: that is none.
    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect(self.at).ok()?;
        (stream.local_addr().ok()? != self.at).then_some(stream)
    }

    /// Its firing alerts.
    fn firing(&self) -> Vec<Value> {
        let Some(mut stream) = self.connect() else { return Vec::new() };
        let request = "GET /api/v2/alerts HTTP/1.0\r\nhost: alertmanager\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let body = answer.split_once("\r\n\r\n").map_or("[]", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }

    fn until_firing(&self, count: usize) -> Vec<Value> {
        let tell = || format!("{:#?}", self.firing());
        until_or("it knows so many", || self.firing().len() == count, tell);
        self.firing()
    }
}

#[test]
fn an_alertmanager_knows_what_fires_and_when_it_ends_even_where_it_was_away() {
    if !Path::new(ALERTMANAGER).exists() {
        return skipped("prometheus-alertmanager");
    }
    let mut alertmanager = Alertmanager::start();
    let mut world = World::new();
    let to = format!("[alert.to.oncall]\nkind = \"alertmanager\"\nurl = \"http://{}\"\n", alertmanager.at);
    world.write("steerdns.toml", &format!("{SERVER}{TIMING}{to}"));
    let tried = steerdns(&["alert", "test"], &world.config());
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stdout));
    assert!(alertmanager.firing().is_empty(), "the test was resolved");
    let served = world.serve_warm();
    world.backends[0].close();
    let firing = alertmanager.until_firing(1).remove(0);
    let labels = serde_json::json!({
        "alertname": "NodeDown", "job": "steerdns", "server": "test", "severity": "warning",
        "cluster": "sin", "node": "sin-1", "address": "192.0.2.11", "check": "edge",
    });
    assert_eq!(firing["labels"], labels);
    assert_eq!(
        firing["annotations"]["summary"],
        "sin-1 (192.0.2.11) in sin is down (check edge): connect: refused"
    );
    world.backends[0].open();
    alertmanager.until_firing(0);
    // What happens while it is away it learns when it is there again; what it forgot, too.
    world.backends[1].close();
    alertmanager.until_firing(1);
    let logged = served.logged();
    alertmanager.end();
    world.backends[0].close();
    served.until_logged(logged, "oncall cannot be told of alerts");
    alertmanager.begin();
    let firing = alertmanager.until_firing(2);
    let nodes = firing.iter().filter(|alert| alert["labels"]["alertname"] == "ClusterDown").count();
    assert_eq!(nodes, 1, "a node that was told, and its cluster: {firing:#?}");
}

/// A mail server that wants STARTTLS and a password; it prints what it takes.
const MAIL_SERVER: &str = r#"
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
class Handler:
    async def handle_DATA(self, server, session, envelope):
        print("from", envelope.mail_from, "to", ",".join(envelope.rcpt_tos), "tls" if session.ssl else "plain")
        print(envelope.content.decode(), flush=True)
        print("end", flush=True)
        return "250 taken"
def login(server, session, envelope, mechanism, data):
    # Not handled: its own 535 is sent.
    return AuthResult(success=(data.login, data.password) == (b"steerdns", b"s3cret"), handled=False)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("cert.pem", "key.pem")
async def main():
    make = lambda: SMTP(Handler(), tls_context=context, require_starttls=True, authenticator=login, auth_required=True)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

#[test]
fn a_mail_is_sent_by_starttls_with_a_password_and_not_without_them() {
    let there = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return skipped("python3-aiosmtpd");
    }
    let mut world = World::new();
    let certificate = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    world.write("cert.pem", &certificate.cert.pem());
    world.write("key.pem", &certificate.signing_key.serialize_pem());
    world.write("password", "s3cret\n");
    let child = Command::new(PYTHON)
        .args(["-c", MAIL_SERVER])
        .current_dir(world.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut server = Program(child.unwrap());
    let lines = lines_of(&mut server.0);
    let next = || lines.recv_timeout(PATIENCE).unwrap();
    let mail = || {
        let mut text = String::new();
        loop {
            match next() {
                line if line == "end" => return text,
                line => text += &(line + "\n"),
            }
        }
    };
    let port: u16 = next().parse().unwrap();
    let to = format!(
        "[alert.to.mail]\nkind = \"email\"\nserver = \"localhost:{port}\"\nroots = \"cert.pem\"\nuser = \"steerdns\"\n\
         password_file = \"password\"\nfrom = \"steerdns@example.com\"\nto = [\"a@example.com\", \"b@example.com\"]\n"
    );
    let config = format!("{SERVER}{TIMING}{to}");
    world.write("steerdns.toml", &config);
    let served = world.serve_warm();
    world.backends[0].close();
    let mut told = [mail(), mail()];
    told.sort_unstable();
    for (told, to) in told.iter().zip(["a@example.com", "b@example.com"]) {
        assert!(told.starts_with(&format!("from steerdns@example.com to {to} tls\n")), "{told}");
        assert!(told.contains("To: a@example.com, b@example.com\n"), "{told}");
        assert!(
            told.contains("Subject: [steerdns test] warning: sin-1 (192.0.2.11) in sin is down"),
            "{told}"
        );
        assert!(told.contains("alert NodeDown, 1 of this group still firing"), "{told}");
    }
    world.backends[0].open();
    for told in [mail(), mail()] {
        assert!(told.contains("resolved: sin-1"), "{told}");
    }
    served.stop();
    let said = |config: &str| {
        world.write("steerdns.toml", config);
        let tried = steerdns(&["alert", "test"], &world.config());
        (tried.status.success(), String::from_utf8(tried.stdout).unwrap())
    };
    let taken =
        ["a", "b"].map(|to| format!("mail ({to}@example.com): took the test alert and its resolution\n"));
    assert_eq!(said(&config), (true, taken.concat()));
    // Where it does not encrypt with a certificate that is trusted, or takes no such password, nothing is sent.
    let (taken, words) = said(&config.replace("roots = \"cert.pem\"\n", ""));
    assert!(!taken && words.contains("UnknownIssuer"), "{words}");
    world.write("password", "wrong\n");
    let (taken, words) = said(&config);
    assert!(!taken && words.contains("535"), "{words}");
}
