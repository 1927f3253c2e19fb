//! A small world on this machine: two clusters whose nodes are listeners of the test's own, and files about them.

use std::fmt::Write;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tempfile::TempDir;

use super::support::ask::Question;
use super::support::served::{Served, until};

/// Viewers in Singapore and in Germany, as the world's geofeed has them.
pub(crate) const SINGAPORE: &str = "11.0.1.0/24";
pub(crate) const GERMANY: &str = "11.16.1.0/24";

pub(crate) const SERVER: &str = "listen = [\"127.0.0.1:0\"]\nnsid = \"test\"\n[geoip]\ngeofeeds = [\"own.csv\"]\n\
                                 [admin]\nlisten = \"127.0.0.1:0\"\n";
pub(crate) const ZONE: &str = "$TTL 1h\n@ SOA ns1 hostmaster.example.com. 1 1h 15m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n\
                               www CNAME play\n*.docs TXT \"any\"\nlong TXT \"word\"\nsub NS ns.sub\nns.sub A 192.0.2.54\n";
pub(crate) const SERVICES: &str =
    "[service.play]\npolicy = \"everywhere\"\ncheck = \"edge\"\nttl = \"5s\"\nipv6 = \"off\"\n";

/// A listener that can be closed and opened again on its port.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) at: SocketAddr,
    listening: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

/// Files in a scratch directory, and the nodes that they speak of: `sin-1`, `sin-2`, `fra-1`.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) backends: Vec<Backend>,
    scratch: TempDir,
}

impl Backend {
    pub(crate) fn start() -> Backend {
        let mut backend = Backend { at: ([127, 0, 0, 1], 0).into(), listening: None };
        backend.open();
        backend
    }

    /// Accepts, and closes what it accepted.
    pub(crate) fn open(&mut self) {
        let listener = TcpListener::bind(self.at).unwrap();
        self.at = listener.local_addr().unwrap();
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                drop(stream);
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        self.listening = Some((stop, thread));
    }

    /// From now on connections are refused.
    pub(crate) fn close(&mut self) {
        let Some((stop, thread)) = self.listening.take() else { return };
        stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.at);
        thread.join().unwrap();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.close();
    }
}

impl World {
    /// All nodes live; a check notices within a second, and the one-TTL promise holds.
    pub(crate) fn new() -> World {
        let backends = (0..3).map(|_| Backend::start()).collect();
        let world = World { backends, scratch: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("zones")).unwrap();
        world.write("steerdns.toml", SERVER);
        world.write("own.csv", "11.0.0.0/12,SG,,,\n11.16.0.0/12,DE,,,\n");
        world.write("zones/clusters.toml", &world.clusters(&["sin-1", "sin-2"], ""));
        world.write("zones/live.example.com.toml", SERVICES);
        world.write("zones/live.example.com.zone", ZONE);
        world
    }

    /// clusters.toml, with these nodes in Singapore and more lines at its end.
    pub(crate) fn clusters(&self, sin: &[&str], more: &str) -> String {
        let mut text = String::from(
            "[check.edge]\nkind = \"tcp\"\nport = 1\ninterval = \"100ms\"\ntimeout = \"1s\"\nfall = 3\nrise = 3\n\
             [policy.everywhere]\n[cluster.fra]\nplace = [50.11, 8.68]\n[cluster.fra.node]\n",
        );
        let node = |key: &str, address: &str, backend: usize| {
            let at = self.backends[backend].at;
            format!("{key} = {{ addresses = [\"{address}\"], probe = [\"{at}\"] }}\n")
        };
        text += &node("fra-1", "203.0.113.11", 2);
        text += "[cluster.sin]\nplace = [1.35, 103.82]\n[cluster.sin.node]\n";
        for key in sin {
            let number: usize = key.trim_start_matches("sin-").parse().unwrap();
            text += &node(key, &format!("192.0.2.1{number}"), (number - 1) % 2);
        }
        write!(text, "{more}").unwrap();
        text
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        // Never half a file where somebody may read it.
        fs::write(self.path("fresh"), text).unwrap();
        fs::rename(self.path("fresh"), self.path(name)).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("steerdns.toml")
    }

    /// The server of this world.
    pub(crate) fn serve(&self) -> Served {
        Served::start(&self.config())
    }

    /// The same, and something has been observed of every node.
    pub(crate) fn serve_warm(&self) -> Served {
        let served = self.serve();
        until("all is observed", || verdicts(&served).iter().all(|(_, verdict, _)| verdict != "unknown"));
        served
    }
}

/// `play` for a viewer of that network.
pub(crate) fn play(network: &str) -> Question {
    Question::new("play.live.example.com.", "A").subnet(network)
}

/// The addresses that a viewer of that network gets, sorted.
pub(crate) fn played(served: &Served, network: &str) -> Vec<String> {
    let mut addresses: Vec<_> =
        served.ask(&play(network)).addresses().iter().map(ToString::to_string).collect();
    addresses.sort_unstable();
    addresses
}

/// /status.
pub(crate) fn status(served: &Served) -> Value {
    serde_json::from_str(&served.get("/status")).unwrap()
}

/// Every node with its verdict and its age, as /status has them.
pub(crate) fn verdicts(served: &Served) -> Vec<(String, String, u64)> {
    let status = status(served);
    let clusters = status["clusters"].as_array().unwrap();
    let targets = clusters.iter().flat_map(|cluster| cluster["targets"].as_array().unwrap());
    let verdict = |target: &Value| {
        let word = |key: &str| target[key].as_str().unwrap().to_owned();
        (word("node"), word("verdict"), target["age_s"].as_u64().unwrap())
    };
    targets.map(verdict).collect()
}

/// Waits until a node is held to be so.
pub(crate) fn until_held(served: &Served, node: &str, verdict: &str) {
    until(&format!("{node} is {verdict}"), || {
        verdicts(served).iter().any(|(key, held, _)| key == node && held == verdict)
    });
}
