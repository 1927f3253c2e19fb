//! Nodes: one nginx each, in a network namespace of its own behind a cable of its own; all of them die with this process.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::home::{Home, Land, command, run};
use super::nginx;
use super::support::served::{LOOK, PATIENCE};

/// What the certificates of all nodes say.
pub(crate) const NAME: &str = "edge.test";

/// How a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Death {
    /// kill -9: its kernel refuses.
    Killed,
    /// kill -STOP: its kernel accepts, and nobody answers.
    Held,
    /// Somewhere on the way every packet is dropped.
    Dropped,
    /// Its own cable is out: nobody there any more who answers "who has this address?".
    Unplugged,
}

impl Death {
    /// Those that need namespaces last.
    pub(crate) const ALL: [Death; 4] = [Death::Killed, Death::Held, Death::Dropped, Death::Unplugged];

    /// What it is called in tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Death::Killed => "killed with -9",
            Death::Held => "held with -STOP",
            Death::Dropped => "all packets dropped",
            Death::Unplugged => "cable unplugged",
        }
    }
}

/// The ports of the three services, the same at every node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) https: u16,
    pub(crate) rtmp: u16,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its addresses, IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
    /// What signs its certificate, as PEM.
    pub(crate) roots: String,
    /// Its namespace; `None` on loopback.
    home: Option<Home>,
    nginx: Child,
    scratch: TempDir,
}

impl Ports {
    /// Ports that nobody had a moment ago.
    pub(crate) fn free() -> Ports {
        let [http, https, rtmp] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        Ports { http: port(&http), https: port(&https), rtmp: port(&rtmp) }
    }
}

impl Node {
    /// A node that serves.
    pub(crate) fn start(number: u8, land: Land, ports: Ports) -> Node {
        let home = (land == Land::Namespaces).then(|| Home::new(number));
        let addresses = match &home {
            Some(home) => home.addresses(),
            None => vec![Ipv4Addr::new(127, 99, number, 2).into()],
        };
        let scratch = tempfile::tempdir().unwrap();
        let on = |port| -> Vec<_> { addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect() };
        let (http, https, rtmp) = (on(ports.http), on(ports.https), on(ports.rtmp));
        let roots = nginx::prepare(scratch.path(), NAME, &http, &https, &rtmp);
        let nginx = spawn(home.as_ref(), scratch.path());
        let node = Node { addresses, roots, home, nginx, scratch };
        let begun = Instant::now();
        for to in [http, https, rtmp].concat() {
            while TcpStream::connect(to).is_err() {
                let said = fs::read_to_string(node.scratch.path().join("error.log")).unwrap_or_default();
                assert!(begun.elapsed() < PATIENCE, "nginx does not listen on {to}: {said}");
                thread::sleep(LOOK);
            }
        }
        node
    }

    /// It dies.
    pub(crate) fn die(&mut self, how: Death) {
        match how {
            Death::Killed => {
                self.nginx.kill().unwrap();
                self.nginx.wait().unwrap();
            }
            Death::Held => self.signal("STOP"),
            Death::Dropped => self.home().drop_everything(),
            Death::Unplugged => self.home().within(&["ip", "link", "set", "eth0", "down"]),
        }
    }

    /// It lives again.
    pub(crate) fn revive(&mut self, how: Death) {
        match how {
            Death::Killed => self.nginx = spawn(self.home.as_ref(), self.scratch.path()),
            Death::Held => self.signal("CONT"),
            Death::Dropped => self.home().drop_nothing(),
            Death::Unplugged => self.home().within(&["ip", "link", "set", "eth0", "up"]),
        }
    }

    fn signal(&self, name: &str) {
        run(&["kill", &format!("-{name}"), &self.nginx.id().to_string()]);
    }

    /// Its namespace.
    pub(crate) fn home(&self) -> &Home {
        self.home.as_ref().expect("only nodes in namespaces have cables")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

fn spawn(home: Option<&Home>, scratch: &Path) -> Child {
    command(home, &nginx::words(scratch)).stderr(Stdio::null()).spawn().unwrap()
}
