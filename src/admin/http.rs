//! The admin listener: HTTP, for operators and their tools. What it says comes from outside.
//!
//! It has no authentication, so it belongs on loopback or on a network of the operator's own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
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
/// How long answers under way may take when we stop.
const DRAIN: Duration = Duration::from_secs(2);

/// What there is to read, as it is told to those who ask for something else.
const PATHS: &str = "/metrics   counts and measures, for Prometheus\n\
                     /status    the state of everything, as JSON\n\
                     /healthz   `ok` while this process serves\n";

/// Who gives the texts. Both are called for each request, on the task that answers it: they must not block.
#[derive(Clone)]
pub struct Sources {
    /// All metrics.
    pub metrics: Arc<dyn Fn() -> Exposition + Send + Sync>,
    /// The state of everything.
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
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
        .fallback(not_found)
        .with_state(sources)
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let text = (sources.metrics)().into_text();
    ([(header::CONTENT_TYPE, Exposition::MEDIA_TYPE)], text).into_response()
}

async fn status(State(sources): State<Sources>) -> Json<Value> {
    Json((sources.status)())
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
            metrics: Arc::new(|| {
                let mut text = Exposition::default();
                text.family("steerdns_up", Kind::Gauge, "One.").sample(&[], 1_u64);
                text
            }),
            status: Arc::new(|| serde_json::json!({ "clusters": ["sin"] })),
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
