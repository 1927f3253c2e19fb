//! Network namespaces with a cable each, in which packets can be dropped; all of it ends with the process that made it.
//!
//! ```text
//! this namespace: whoever probes                a home
//!   n0  10.99.0.1 fd99:0:0:1::1  ==cable==        eth0  10.99.0.2 fd99:0:0:1::2
//!   n1  10.99.1.1 fd99:0:0:2::1  ==cable==        eth0  10.99.1.2 fd99:0:0:2::2
//! ```
//!
//! Packets are dropped where they arrive, at both ends: their sender knows nothing of it.
#![allow(dead_code)] // Each test binary uses its own part.
#![allow(clippy::disallowed_methods, reason = "a shell: it starts programs")]

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command, Stdio};

/// The variable that tells a test that it runs in namespaces of its own.
const LAND: &str = "STEERDNS_TEST_LAND";
/// Everything in new namespaces ends with the process that made them.
const UNSHARE: [&str; 6] = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Where a test's servers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Land {
    /// A network namespace each.
    Namespaces,
    /// Loopback: they can be killed and held, but their cables cannot be cut.
    Loopback,
}

/// Does `prove` where this test may make homes, in namespaces of its own: called by its name once more. Where there are none
/// it is done on loopback, with a loud word; a failure where `STEERDNS_REQUIRE_PEERS=1`. Without that variable nothing is done:
/// such a test takes minutes, and the machine for itself.
pub(crate) fn within_land(test: &str, prove: impl FnOnce(Land)) {
    if env::var(LAND).as_deref() == Ok("namespaces") {
        run(&["ip", "link", "set", "lo", "up"]);
        return prove(Land::Namespaces);
    }
    let wanted = env::var("STEERDNS_REQUIRE_PEERS");
    if wanted.is_err() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: a part of `./check peers`");
        return;
    }
    let Some(unshare) = namespaces() else {
        assert_ne!(wanted.as_deref(), Ok("1"), "network namespaces cannot be made");
        eprintln!("SKIPPED in part: no network namespaces here, so no cable is cut and no packet lost");
        return prove(Land::Loopback);
    };
    let mut again = Command::new(unshare[0]);
    again.args(&unshare[1..]).arg(env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    assert!(again.env(LAND, "namespaces").status().unwrap().success(), "see above");
}

/// The words that make namespaces in which cables and firewalls work, if there are any.
fn namespaces() -> Option<Vec<&'static str>> {
    let as_root = UNSHARE.to_vec();
    let as_user = [&UNSHARE[..], &["--map-root-user"]].concat();
    let trial = "ip link set lo up && ip link add n0 type veth peer name eth0 && nft list ruleset && nsenter --version";
    [as_root, as_user].into_iter().find(|unshare| {
        let tried = Command::new(unshare[0]).args(&unshare[1..]).args(["sh", "-c", trial]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// A namespace at the other end of a new cable.
#[derive(Debug)]
pub(crate) struct Home {
    number: u8,
    /// A process that holds it.
    holder: Child,
}

impl Home {
    /// The home of that number.
    pub(crate) fn new(number: u8) -> Home {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", "echo here; exec sleep infinity"]).stdout(Stdio::piped());
        let mut holder = command.stdin(Stdio::null()).spawn().unwrap();
        let mut here = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut here).unwrap();
        assert_eq!(here, "here\n");
        let home = Home { number, holder };
        home.connect();
        home
    }

    fn connect(&self) {
        let (device, pid) = (self.device(), self.holder.id().to_string());
        run(&["ip", "link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &pid]);
        // Or an unplugged cable would take the IPv6 address with it.
        self.within(&["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down"]);
        for (near, far) in self.ends(1).iter().zip(&self.addresses()) {
            let (bits, nodad) = if near.is_ipv4() { (24, &[][..]) } else { (64, &["nodad"][..]) };
            let (near, far) = (format!("{near}/{bits}"), format!("{far}/{bits}"));
            run(&[&["ip", "addr", "add", &near, "dev", &device], nodad].concat());
            self.within(&[&["ip", "addr", "add", &far, "dev", "eth0"], nodad].concat());
        }
        run(&["ip", "link", "set", &device, "up"]);
        self.within(&["ip", "link", "set", "eth0", "up"]);
        self.within(&["ip", "link", "set", "lo", "up"]);
    }

    /// Its own addresses, IPv4 first.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.ends(2)
    }

    /// More addresses, all its own: 10.98.number.1 and so on, at most 254.
    pub(crate) fn more_addresses(&self, count: u8) -> Vec<IpAddr> {
        let network = format!("10.98.{}.0/24", self.number);
        self.within(&["ip", "addr", "add", &network, "dev", "lo"]);
        run(&["ip", "route", "add", &network, "via", &self.addresses()[0].to_string()]);
        (1..=count).map(|host| Ipv4Addr::new(10, 98, self.number, host).into()).collect()
    }

    /// The addresses at that end of its cable: 1 is ours, 2 its own.
    fn ends(&self, end: u8) -> Vec<IpAddr> {
        let v6 = Ipv6Addr::new(0xfd99, 0, 0, u16::from(self.number) + 1, 0, 0, 0, u16::from(end));
        vec![Ipv4Addr::new(10, 99, self.number, end).into(), v6.into()]
    }

    /// The words before a program that runs in it; the process is the program's own.
    pub(crate) fn enter(&self) -> [String; 4] {
        ["nsenter".into(), "-n".into(), "-t".into(), self.holder.id().to_string()]
    }

    /// Runs a command in it.
    pub(crate) fn within(&self, words: &[&str]) {
        run(&[&["nsenter", "-n", "-t", &self.holder.id().to_string()], words].concat());
    }

    /// Each packet is dropped with this chance, each way, independently.
    pub(crate) fn lose(&self, percent: u8) {
        self.drop_packets(&format!("numgen random mod 100 < {percent} drop"));
    }

    /// Every packet is dropped, each way.
    pub(crate) fn drop_everything(&self) {
        self.drop_packets("drop");
    }

    /// The end of both.
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
        self.within(&["nft", &table("lossy", "eth0")]);
        run(&["nft", &table(&format!("lossy{}", self.number), &self.device())]);
    }

    fn device(&self) -> String {
        format!("n{}", self.number)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A program, in a home or here.
pub(crate) fn command(home: Option<&Home>, words: &[impl AsRef<OsStr>]) -> Command {
    let enter: Vec<_> = home.map(Home::enter).into_iter().flatten().collect();
    let mut all: Vec<&OsStr> = enter.iter().map(AsRef::as_ref).collect();
    all.extend(words.iter().map(AsRef::as_ref));
    let mut command = Command::new(all[0]);
    command.args(&all[1..]).stdin(Stdio::null());
    command
}

/// Runs a command that must succeed.
pub(crate) fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
