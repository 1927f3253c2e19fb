//! The servers and publishers of a platform, each as its operators would run it, and how they are killed, held and revived.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::home::{Home, command};
use super::media;
use super::programs::{Program, found, free_port, node_module};

/// How long a server may take to listen.
const LISTENS: Duration = Duration::from_secs(30);

/// A program of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// nginx with its RTMP module.
    Nginx,
    /// node-media-server.
    Node,
    /// srt-live-transmit.
    Srt,
    /// coturn.
    Turn,
    /// ffmpeg, which publishes to nginx.
    ToNginx,
    /// ffmpeg, which publishes to node-media-server.
    ToNode,
}

impl Role {
    /// Servers before those who publish to them.
    pub(crate) const ALL: [Role; 6] =
        [Role::Nginx, Role::Node, Role::Srt, Role::Turn, Role::ToNginx, Role::ToNode];
    pub(crate) const SERVERS: [Role; 4] = [Role::Nginx, Role::Node, Role::Srt, Role::Turn];
    pub(crate) const PUBLISHERS: [Role; 2] = [Role::ToNginx, Role::ToNode];

    /// Who publishes to it.
    pub(crate) fn publisher(self) -> Option<Role> {
        match self {
            Role::Nginx => Some(Role::ToNginx),
            Role::Node => Some(Role::ToNode),
            _ => None,
        }
    }
}

/// Where they listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) http: SocketAddr,
    pub(crate) rtmp: SocketAddr,
    pub(crate) node_http: SocketAddr,
    node_rtmp: SocketAddr,
    pub(crate) srt: SocketAddr,
    pub(crate) stun: SocketAddr,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Farm {
    pub(crate) at: Ports,
    /// `None` on loopback.
    pub(crate) home: Option<Home>,
    running: Vec<(Role, Program)>,
    scratch: TempDir,
    modules: PathBuf,
}

impl Farm {
    /// All of them, at work; `None`, with a loud word, where one is not installed.
    pub(crate) fn start(home: Option<Home>) -> Option<Farm> {
        let modules = node_module("node-media-server")?;
        let ours = ["/usr/bin/ffmpeg", "/usr/bin/srt-live-transmit", "/usr/bin/turnserver"];
        if !found(&[&[media::NGINX, media::RTMP_MODULE], &ours[..]].concat()) {
            return None;
        }
        let ip = home.as_ref().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |home| home.addresses()[0]);
        let [http, rtmp, node_http, node_rtmp, srt, stun] =
            [(); 6].map(|()| SocketAddr::new(ip, free_port().port()));
        let at = Ports { http, rtmp, node_http, node_rtmp, srt, stun };
        let scratch = in_memory();
        fs::write(scratch.path().join("alive"), "alive").unwrap();
        let mut farm = Farm { at, home, running: Vec::new(), scratch, modules };
        Role::ALL.into_iter().for_each(|role| farm.run(role));
        Some(farm)
    }

    /// Kills it (-9); a publisher loses its server then, and ends.
    pub(crate) fn kill(&mut self, role: Role) {
        self.running.retain(|(runs, _)| *runs != role);
    }

    /// Starts it anew, and who publishes to it.
    pub(crate) fn revive(&mut self, role: Role) {
        self.run(role);
        if let Some(publisher) = role.publisher() {
            self.kill(publisher);
            self.run(publisher);
        }
    }

    /// STOP or CONT.
    pub(crate) fn signal(&self, role: Role, name: &str) {
        let (_, program) = self.running.iter().find(|(runs, _)| *runs == role).unwrap();
        program.signal(name);
    }

    fn run(&mut self, role: Role) {
        let mut command = command(self.home.as_ref(), &self.words(role));
        command.current_dir(if role == Role::Node { &*self.modules } else { self.scratch.path() });
        if matches!(role, Role::Srt | Role::Turn | Role::ToNginx | Role::ToNode) {
            // They tell of callers that come and go, and of servers that died.
            command.stderr(std::process::Stdio::null());
        }
        self.running.push((role, Program::spawn(command)));
        match role {
            Role::Nginx => listens(self.at.rtmp),
            Role::Node => listens(self.at.node_rtmp),
            _ => {}
        }
    }

    fn words(&self, role: Role) -> Vec<String> {
        let (at, directory) = (&self.at, self.scratch.path());
        let file = |name: &str| directory.join(name).display().to_string();
        match role {
            Role::Nginx => media::nginx(directory, at.rtmp, at.http),
            Role::Node => media::node_media_server(at.node_rtmp, at.node_http),
            Role::Srt => {
                let url = format!("srt://{}?mode=listener", at.srt);
                ["srt-live-transmit".into(), url, "file://con".into()].into()
            }
            Role::Turn => {
                let words = "turnserver -n --stun-only --no-cli --no-tls --no-dtls --log-file=stdout";
                let places = [
                    format!("--listening-ip={}", at.stun.ip()),
                    format!("--listening-port={}", at.stun.port()),
                    format!("--pidfile={}", file("turn.pid")),
                    format!("--userdb={}", file("turn.db")),
                ];
                words.split(' ').map(String::from).chain(places).collect()
            }
            Role::ToNginx => media::publisher(at.rtmp, "show"),
            Role::ToNode => media::publisher(at.node_rtmp, "show"),
        }
    }
}

/// A directory in memory, where there is one: nginx writes its segments in the process that answers, and so a busy disk is one
/// more fault.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn listens(at: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(at).is_err() {
        assert!(begun.elapsed() < LISTENS, "nobody listens on {at}");
        thread::sleep(Duration::from_millis(5));
    }
}
