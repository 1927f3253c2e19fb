//! Nodes: one nginx each, in a network namespace of its own behind a cable of its own; all of them die with this process.
//!
//! ```text
//! this namespace: steerdns, the askers          a namespace per node
//!   n0  10.99.0.1 fd99:0:0:1::1  ==cable==        eth0  10.99.0.2 fd99:0:0:1::2   nginx
//!   n1  10.99.1.1 fd99:0:0:2::1  ==cable==        eth0  10.99.1.2 fd99:0:0:2::2   nginx
//! ```
//!
//! Packets are dropped where they arrive, at both ends: their sender knows nothing of it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

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

/// Where nodes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Land {
    /// A network namespace each.
    Namespaces,
    /// Addresses of 127.99.0.0/16: they can be killed and held, but their cables cannot be cut.
    Loopback,
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
    number: u8,
    /// A process that holds its namespace; `None` on loopback.
    home: Option<Child>,
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
        let (home, addresses) = match land {
            Land::Namespaces => (Some(home(number)), cable_ends(number)[1].clone()),
            Land::Loopback => (None, vec![Ipv4Addr::new(127, 99, number, 2).into()]),
        };
        let scratch = tempfile::tempdir().unwrap();
        let on = |port| -> Vec<_> { addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect() };
        let (http, https, rtmp) = (on(ports.http), on(ports.https), on(ports.rtmp));
        let roots = nginx::prepare(scratch.path(), NAME, &http, &https, &rtmp);
        let nginx = spawn(home.as_ref(), &nginx::words(scratch.path()));
        let node = Node { addresses, roots, number, home, nginx, scratch };
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
            Death::Dropped => self.drop_packets("drop"),
            Death::Unplugged => self.within(&["ip", "link", "set", "eth0", "down"]),
        }
    }

    /// It lives again.
    pub(crate) fn revive(&mut self, how: Death) {
        match how {
            Death::Killed => self.nginx = spawn(self.home.as_ref(), &nginx::words(self.scratch.path())),
            Death::Held => self.signal("CONT"),
            Death::Dropped => self.drop_nothing(),
            Death::Unplugged => self.within(&["ip", "link", "set", "eth0", "up"]),
        }
    }

    /// Each packet is dropped with this chance, each way, independently.
    pub(crate) fn lose(&self, percent: u8) {
        self.drop_packets(&format!("numgen random mod 100 < {percent} drop"));
    }

    /// The end of [`Node::lose`].
    pub(crate) fn drop_nothing(&self) {
        self.within(&["nft", "delete", "table", "inet", "lossy"]);
        run(&["nft", "delete", "table", "inet", &format!("lossy{}", self.number)]);
    }

    fn drop_packets(&self, rule: &str) {
        let table = |table: &str, device: &str| {
            format!(
                "table inet {table} {{ chain arriving {{\n\
                 type filter hook prerouting priority -300;\n iifname \"{device}\" {rule}\n }}\n }}\n"
            )
        };
        let file = self.scratch.path().join("lossy.nft");
        fs::write(&file, table("lossy", "eth0")).unwrap();
        self.within(&["nft", "-f", file.to_str().unwrap()]);
        fs::write(&file, table(&format!("lossy{}", self.number), &format!("n{}", self.number))).unwrap();
        run(&["nft", "-f", file.to_str().unwrap()]);
    }

    fn signal(&self, name: &str) {
        run(&["kill", &format!("-{name}"), &self.nginx.id().to_string()]);
    }

    /// Runs a command in its namespace.
    fn within(&self, words: &[&str]) {
        let home = self.home.as_ref().expect("only nodes in namespaces have cables");
        run(&[&["nsenter", "-n", "-t", &home.id().to_string()], words].concat());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in [Some(&mut self.nginx), self.home.as_mut()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A namespace at the other end of a new cable.
fn home(number: u8) -> Child {
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", "echo here; exec sleep infinity"]).stdout(Stdio::piped());
    let mut home = command.stdin(Stdio::null()).spawn().unwrap();
    let mut here = String::new();
    BufReader::new(home.stdout.take().unwrap()).read_line(&mut here).unwrap();
    assert_eq!(here, "here\n");
    let (device, pid) = (format!("n{number}"), home.id().to_string());
    run(&["ip", "link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &pid]);
    let [near, far] = cable_ends(number);
    let within = |words: &[&str]| run(&[&["nsenter", "-n", "-t", &pid], words].concat());
    // Or an unplugged cable would take the IPv6 address with it.
    within(&["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down"]);
    for (near, far) in near.iter().zip(&far) {
        let (bits, nodad) = if near.is_ipv4() { (24, &[][..]) } else { (64, &["nodad"][..]) };
        let (near, far) = (format!("{near}/{bits}"), format!("{far}/{bits}"));
        run(&[&["ip", "addr", "add", &near, "dev", &device], nodad].concat());
        within(&[&["ip", "addr", "add", &far, "dev", "eth0"], nodad].concat());
    }
    run(&["ip", "link", "set", &device, "up"]);
    within(&["ip", "link", "set", "eth0", "up"]);
    home
}

/// The addresses at our end of a node's cable, and at its own.
fn cable_ends(number: u8) -> [Vec<IpAddr>; 2] {
    [1, 2].map(|end| {
        let v6 = Ipv6Addr::new(0xfd99, 0, 0, u16::from(number) + 1, 0, 0, 0, u16::from(end));
        vec![Ipv4Addr::new(10, 99, number, end).into(), v6.into()]
    })
}

fn spawn(home: Option<&Child>, words: &[&OsStr]) -> Child {
    let pid = home.map(|home| home.id().to_string());
    let mut all: Vec<&OsStr> = match &pid {
        Some(pid) => vec!["nsenter".as_ref(), "-n".as_ref(), "-t".as_ref(), pid.as_ref()],
        None => Vec::new(),
    };
    all.extend(words);
    Command::new(all[0]).args(&all[1..]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs a command that must succeed.
pub(crate) fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
