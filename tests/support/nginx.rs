//! nginx with its RTMP module, with a configuration of its own: on free ports of 127.0.0.1, or wherever a test wants it.
#![allow(dead_code)] // Each test binary uses its own part.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;
use tokio::net::TcpStream;

const BINARY: &str = "/usr/sbin/nginx";
const RTMP_MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

pub(crate) struct Nginx {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) rtmp: SocketAddr,
    /// What its certificate is signed by, as PEM.
    pub(crate) roots: Arc<[u8]>,
    child: Child,
    scratch: TempDir,
}

/// Whether it is installed; else said so, and `STEERDNS_REQUIRE_PEERS=1` makes that a failure.
pub(crate) fn installed() -> bool {
    let there = Path::new(BINARY).exists() && Path::new(RTMP_MODULE).exists();
    if !there {
        assert_ne!(std::env::var("STEERDNS_REQUIRE_PEERS").as_deref(), Ok("1"), "nginx is not installed");
        eprintln!("SKIPPED: needs nginx and libnginx-mod-rtmp");
    }
    there
}

/// The program and its words, for a directory that [`prepare`] filled.
pub(crate) fn words(directory: &Path) -> [&OsStr; 7] {
    let [binary, prefix, file, name, log, to] = [BINARY, "-p", "-c", "nginx.conf", "-e", "error.log"];
    [
        binary.as_ref(),
        prefix.as_ref(),
        directory.as_os_str(),
        file.as_ref(),
        name.as_ref(),
        log.as_ref(),
        to.as_ref(),
    ]
}

/// Writes its configuration and a new certificate for `name` into a directory; what signs the certificate, as PEM.
/// One process, in the foreground, serves all: a signal to it is a signal to the node.
pub(crate) fn prepare(
    directory: &Path,
    name: &str,
    http: &[SocketAddr],
    https: &[SocketAddr],
    rtmp: &[SocketAddr],
) -> String {
    let certificate = generate_simple_self_signed([name.into()]).unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
    file("cert.pem", &certificate.cert.pem());
    file("key.pem", &certificate.signing_key.serialize_pem());
    let listen = |addresses: &[SocketAddr], how: &str| -> String {
        addresses.iter().map(|address| format!("listen {address}{how}; ")).collect()
    };
    let (http, https, rtmp) = (listen(http, ""), listen(https, " ssl"), listen(rtmp, ""));
    let config = format!(
        "daemon off; master_process off; user root root; pid nginx.pid; error_log error.log;
        load_module {RTMP_MODULE};
        events {{ worker_connections 512; }}
        http {{
            access_log off; client_body_temp_path body; proxy_temp_path proxy;
            fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ {http} location / {{ return 200 alive; }} location /broken {{ return 503; }} }}
            server {{
                {https} ssl_certificate cert.pem; ssl_certificate_key key.pem;
                location / {{ return 200 alive; }}
            }}
        }}
        rtmp {{ access_log off; server {{ {rtmp} application live {{ live on; }} }} }}"
    );
    file("nginx.conf", &config);
    certificate.cert.pem()
}

/// `None` where it is not [`installed`].
pub(crate) async fn start() -> Option<Nginx> {
    if !installed() {
        return None;
    }
    // Another program may take a port between its choice and its use: then once more.
    for _ in 0..5 {
        let nginx = spawn();
        if let Some(nginx) = listening(nginx).await {
            return Some(nginx);
        }
    }
    panic!("nginx does not start");
}

fn spawn() -> Nginx {
    let scratch = tempfile::tempdir().unwrap();
    let [http, https, rtmp] =
        [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let roots = prepare(scratch.path(), "127.0.0.1", &[http], &[https], &[rtmp]);
    let [binary, words @ ..] = words(scratch.path());
    let mut command = Command::new(binary);
    let child = command.args(words).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Nginx { http, https, rtmp, roots: roots.into_bytes().into(), child, scratch }
}

async fn listening(mut nginx: Nginx) -> Option<Nginx> {
    let patience = Instant::now() + Duration::from_secs(10);
    // Whoever took one of its ports answers there, too: nginx writes its number once it has bound all of them.
    let pid = nginx.scratch.path().join("nginx.pid");
    for to in [nginx.http, nginx.https, nginx.rtmp] {
        while !pid.exists() || TcpStream::connect(to).await.is_err() {
            if nginx.child.try_wait().unwrap().is_some() || Instant::now() > patience {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Some(nginx)
}

impl Nginx {
    /// Sends it a signal, by its process id.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Kills it at once (-9).
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
