//! The admin listener: HTTP, for operators and their tools. What it says comes from outside.
//!
//! It has no authentication, so it belongs on loopback or on a network of the operator's own. What is to be read is told to those alone
//! who ask by a name of ours.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::seats::Seats;
use crate::metrics::Exposition;

/// Where it listens unless told otherwise.
pub const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9353);

/// Connections at a time; who comes beyond waits.
const CONNECTIONS: usize = 64;
/// The longest that a connection is kept, idle or not.
const KEEP: Duration = Duration::from_secs(60);
/// The longest body that is taken, in octets.
const BODY_MAX: usize = 16 * 1024;
/// How long answers under way may take when we stop.
const DRAIN: Duration = Duration::from_secs(2);

/// What there is to read, as it is told to those who ask for something else.
const PATHS: &str = "/metrics   counts and measures, for Prometheus\n\
                     /status    the state of everything, as JSON\n\
                     /healthz   `ok` while this process serves\n\
                     /load/CLUSTER/NODE   PUT {\"load\": 0.42}: how busy a node is, by whoever has the token\n\
                     /load/srs   POST: the heartbeat of an SRS\n";

/// Who gives the texts. They are called for each request, on the task that answers it: they must not block.
#[derive(Clone)]
pub struct Sources {
    /// What this listener may be asked by, beside addresses and `localhost`: host names, in lower case.
    pub names: Arc<[String]>,
    /// All metrics.
    pub metrics: Arc<dyn Fn() -> Exposition + Send + Sync>,
    /// The state of everything.
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Takes what a node says of its load.
    pub push: Arc<dyn Fn(Push) -> Result<(), Refused> + Send + Sync>,
}

/// What a node says of its load, by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// What it shows for being allowed to.
    pub token: String,
    /// Which node it is.
    pub whose: Whose,
    /// The used share of what it can carry.
    pub used: f64,
}

/// Which node says something.
#[derive(Clone, Debug, PartialEq)]
pub enum Whose {
    /// The one of these keys.
    Node {
        /// The cluster's.
        cluster: String,
        /// The node's.
        node: String,
    },
    /// The one of this key or this address: what an SRS knows of itself.
    Device(String, String),
}

/// Why a word about load is not taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// There is no token, or it is another one.
    Token,
    /// No such node.
    Unknown(String),
    /// It would change nothing.
    Unused(String),
    /// It makes no sense.
    Nonsense(String),
}

/// Answers on `listener` until `stop` comes (or whoever would send it is gone).
pub async fn serve(listener: TcpListener, sources: Sources, stop: oneshot::Receiver<()>) -> io::Result<()> {
    serve_seats(Seats::new(listener, CONNECTIONS, KEEP), sources, stop).await
}

async fn serve_seats(seats: Seats, sources: Sources, stop: oneshot::Receiver<()>) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let graceful = async move {
        let _ = stop.await;
        let _ = stopping.send(());
    };
    let served = axum::serve(seats, router(sources)).with_graceful_shutdown(graceful);
    let overdue = async {
        let _ = stopped.await;
        // A client that keeps its connection open does not keep us.
        sleep(DRAIN).await;
    };
    tokio::select! {
        served = served.into_future() => served,
        () = overdue => Ok(()),
    }
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/healthz", get(async || "ok\n"))
        .route("/load/{cluster}/{node}", put(push))
        .route("/load/srs", post(heartbeat))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .fallback(not_found)
        .with_state(sources)
}

/// A request that asks by a name of ours. A page of a stranger's, open in a browser that reaches this listener, may give its own name our
/// address (DNS rebinding): it must not read what is told here.
struct ByOurName;

impl FromRequestParts<Sources> for ByOurName {
    type Rejection = (StatusCode, String);

    async fn from_request_parts(parts: &mut Parts, sources: &Sources) -> Result<ByOurName, Self::Rejection> {
        let named = match (parts.uri.authority(), parts.headers.get(header::HOST)) {
            (Some(authority), _) => Some(authority.clone()),
            // RFC 9110 §7.2: every browser says it.
            (None, None) => return Ok(ByOurName),
            (None, Some(host)) => Authority::try_from(host.as_bytes()).ok(),
        };
        if named.as_ref().is_some_and(|named| is_ours(named.host(), &sources.names)) {
            return Ok(ByOurName);
        }
        let named = named.map_or_else(|| "that".into(), |named| format!("`{}`", named.host()));
        let words = format!(
            "{named} is no name of this listener: ask by its address, or write the name into `[admin] names`\n"
        );
        Err((StatusCode::MISDIRECTED_REQUEST, words))
    }
}

fn is_ours(host: &str, names: &[String]) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || names.contains(&name)
}

async fn metrics(_: ByOurName, State(sources): State<Sources>) -> Response {
    let text = (sources.metrics)().into_text();
    ([(header::CONTENT_TYPE, Exposition::MEDIA_TYPE)], text).into_response()
}

async fn status(_: ByOurName, State(sources): State<Sources>) -> Json<Value> {
    Json((sources.status)())
}

async fn push(
    State(sources): State<Sources>,
    Path((cluster, node)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    let used = serde_json::from_str::<Value>(&body).ok().and_then(|body| body["load"].as_f64());
    taken(match used {
        Some(used) => (sources.push)(Push { token, whose: Whose::Node { cluster, node }, used }),
        None => {
            Err(Refused::Nonsense("say `{\"load\": 0.42}`: the used share of what the node can carry".into()))
        }
    })
}

/// The heartbeat of an SRS (`heartbeat { url http://…/load/srs?token=…; device_id …; summaries on; }`): of what it says of the whole
/// machine, how busy its processors are.
async fn heartbeat(State(sources): State<Sources>, RawQuery(query): RawQuery, body: String) -> Response {
    let query = query.unwrap_or_default();
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default().to_owned();
    let body = serde_json::from_str::<Value>(&body).unwrap_or_default();
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let used = body["summaries"]["data"]["system"]["cpu_percent"].as_f64();
    taken(match used {
        // SRS counts 1.0 as all processors.
        Some(used) => {
            (sources.push)(Push { token, whose: Whose::Device(text("device_id"), text("ip")), used })
        }
        None => Err(Refused::Nonsense("no `summaries.data.system.cpu_percent`: is `summaries on`?".into())),
    })
}

/// SRS wants a number: 0 is well.
fn taken(outcome: Result<(), Refused>) -> Response {
    match outcome {
        Ok(()) => Json(serde_json::json!({ "code": 0 })).into_response(),
        Err(Refused::Token) => {
            (StatusCode::UNAUTHORIZED, "the token is wrong, or none is set up\n").into_response()
        }
        Err(Refused::Unknown(what)) => (StatusCode::NOT_FOUND, what + "\n").into_response(),
        Err(Refused::Unused(what)) => (StatusCode::CONFLICT, what + "\n").into_response(),
        Err(Refused::Nonsense(what)) => (StatusCode::UNPROCESSABLE_ENTITY, what + "\n").into_response(),
    }
}

async fn not_found(uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("nothing at `{}`; there is\n{PATHS}", uri.path())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Kind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// An admin listener in this task's runtime.
    struct Admin {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn admin() -> Admin {
        admin_with(CONNECTIONS, KEEP).await
    }

    async fn admin_with(connections: usize, keep: Duration) -> Admin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sources = Sources {
            names: Arc::new(["admin".to_owned()]),
            metrics: Arc::new(|| {
                let mut text = Exposition::default();
                text.family("steerdns_up", Kind::Gauge, "One.").sample(&[], 1_u64);
                text
            }),
            status: Arc::new(|| serde_json::json!({ "clusters": ["sin"] })),
            push: Arc::new(|push| match (&*push.token, &push.whose) {
                ("secret", Whose::Node { cluster, node }) if cluster == "sin" && node == "sin-1" => Ok(()),
                ("secret", Whose::Device(device, ip)) if device == "sin-1" && ip == "192.0.2.11" => Ok(()),
                ("secret", _) => Err(Refused::Unknown("no such node".into())),
                _ => Err(Refused::Token),
            }),
        };
        let (stop, stopped) = oneshot::channel();
        let seats = Seats::new(listener, connections, keep);
        Admin { address, stop, task: tokio::spawn(serve_seats(seats, sources, stopped)) }
    }

    async fn said(admin: &Admin, request: &str) -> String {
        let mut client = TcpStream::connect(admin.address).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn each_path_says_what_it_is_for() {
        let admin = admin().await;
        let metrics = said(&admin, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
        assert!(metrics.ends_with("# TYPE steerdns_up gauge\nsteerdns_up 1\n"), "{metrics}");
        let status = said(&admin, "GET /status").await;
        assert!(status.contains("content-type: application/json\r\n"), "{status}");
        assert!(status.ends_with("{\"clusters\":[\"sin\"]}"), "{status}");
        assert!(said(&admin, "GET /healthz").await.ends_with("\r\n\r\nok\n"));
    }

    #[tokio::test]
    async fn a_page_that_gives_its_own_name_our_address_reads_nothing() {
        let admin = admin().await;
        let asked = async |path: &str, host: &str| {
            let mut client = TcpStream::connect(admin.address).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        for ours in
            ["admin", "Admin.", "admin:9353", "127.0.0.1:9353", "[::1]:9353", "192.0.2.1", "LocalHost:80"]
        {
            let answer = asked("/status", &format!("Host: {ours}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{ours}: {answer}");
        }
        for path in ["/status", "/metrics", "http://evil.example/status"] {
            for strange in
                ["evil.example", "127.0.0.1.evil.example:9353", "admin.evil.example", "1", "[]", "a b", ""]
            {
                let answer = asked(path, &format!("Host: {strange}\r\n")).await;
                let refused = ["HTTP/1.1 421 ", "HTTP/1.1 400 "];
                assert!(refused.iter().any(|status| answer.starts_with(status)), "{strange}: {answer}");
                assert!(!answer.contains("clusters") && !answer.contains("steerdns_up"), "{answer}");
            }
        }
        let told = asked("/status", "Host: evil.example:9353\r\n").await;
        let words = "`evil.example` is no name of this listener: ask by its address, or write the name into `[admin] names`\n";
        assert!(told.ends_with(words), "{told}");
        // What tells nothing, and what no browser asks.
        assert!(asked("/healthz", "Host: evil.example\r\n").await.ends_with("ok\n"));
        let mut client = TcpStream::connect(admin.address).await.unwrap();
        client.write_all(b"GET /status HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    }

    #[tokio::test]
    async fn another_path_is_told_which_there_are() {
        let admin = admin().await;
        let answer = said(&admin, "GET /metricz").await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        assert!(answer.contains("nothing at `/metricz`; there is\n/metrics "), "{answer}");
    }

    #[tokio::test]
    async fn nothing_can_be_written() {
        let admin = admin().await;
        assert!(said(&admin, "POST /status").await.starts_with("HTTP/1.1 405 "));
    }

    /// What is said to a request with a body.
    async fn told(admin: &Admin, request: &str, headers: &str, body: &str) -> String {
        let mut client = TcpStream::connect(admin.address).await.unwrap();
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn who_has_the_token_may_say_how_busy_a_node_is() {
        let admin = admin().await;
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let put = "PUT /load/sin/sin-1";
        let load = r#"{"load": 0.4}"#;
        assert!(told(&admin, put, &bearer("secret"), load).await.contains("200"));
        assert!(told(&admin, put, &bearer("wrong"), load).await.contains("401"));
        assert!(told(&admin, put, "", load).await.contains("401"));
        assert!(told(&admin, "PUT /load/sin/sin-9", &bearer("secret"), load).await.contains("404"));
        assert!(told(&admin, put, &bearer("secret"), "0.4").await.contains("422"));
        assert!(told(&admin, put, &bearer("secret"), &"x".repeat(BODY_MAX + 1)).await.contains("413"));
    }

    #[tokio::test]
    async fn the_heartbeat_of_an_srs_is_understood() {
        let admin = admin().await;
        // As SRS 6 writes it, shortened.
        let heartbeat = r#"{"device_id":"sin-1","ip":"192.0.2.11","summaries":{"code":0,"data":{"ok":true,"now_ms":1,
            "self":{"version":"6.0","cpu_percent":0.05},"system":{"cpu_percent":0.42,"net_sendi_bytes":1}}}}"#;
        let post = "POST /load/srs?token=secret";
        assert!(told(&admin, post, "", heartbeat).await.contains("200"));
        assert!(told(&admin, "POST /load/srs", "", heartbeat).await.contains("401"));
        assert!(told(&admin, post, "", r#"{"device_id":"sin-1","ip":"192.0.2.11"}"#).await.contains("422"));
    }

    #[tokio::test]
    async fn connections_that_are_held_open_give_way_in_time() {
        let admin = admin_with(2, Duration::from_millis(100)).await;
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(TcpStream::connect(admin.address).await.unwrap());
        }
        assert!(said(&admin, "GET /healthz").await.ends_with("ok\n"));
        assert_eq!(held[0].read(&mut [0]).await.unwrap(), 0, "its time was over");
    }

    #[tokio::test]
    async fn it_stops_when_told_though_a_client_holds_on() {
        let admin = admin().await;
        let _silent = TcpStream::connect(admin.address).await.unwrap();
        assert!(said(&admin, "GET /healthz").await.ends_with("ok\n"));
        admin.stop.send(()).unwrap();
        admin.task.await.unwrap().unwrap();
        assert!(TcpStream::connect(admin.address).await.is_err());
    }
}
