//! The control socket: a Unix socket in the state directory, by which commands reach the server that runs there.
//! Who may use it is what the directory's permissions say.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};

/// An answer that is awaited.
pub type Awaited = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Who does what is asked.
#[derive(Clone)]
pub struct Desk {
    /// Reads the files anew: what came of it, in words.
    pub reload: Arc<dyn Fn() -> Awaited + Send + Sync>,
    /// The state of everything.
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Takes what an operator says of nodes: what it means, in words.
    pub order: Arc<dyn Fn(String) -> Awaited + Send + Sync>,
    /// Holds an earlier commit of the repository, or follows its branch again: what came of it, in words.
    pub rollback: Arc<dyn Fn(String) -> Awaited + Send + Sync>,
    /// Begins a drill, looks at it or ends it: what is to be said of it, as JSON.
    pub drill: Arc<dyn Fn(String) -> Awaited + Send + Sync>,
    /// Explains an answer; the question as it was asked. It may take long, and read the disk.
    pub explain: Arc<dyn Fn(String) -> Result<String, String> + Send + Sync>,
}

/// The socket of the server whose state directory this is.
pub fn socket(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Makes the socket, in place of one that nobody listens on any more. The directory is made, for its owner alone, where
/// it is not there.
///
/// # Errors
/// A sentence.
pub async fn bind(path: &Path) -> Result<UnixListener, String> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let shown = directory.display();
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(directory);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            format!("`state`: `{shown}` is no directory")
        }
        _ => format!("`state`: `{shown}` cannot be made: {error}"),
    })?;
    if path.exists() {
        if UnixStream::connect(path).await.is_ok() {
            return Err(format!("another server runs with `state = \"{shown}\"`"));
        }
        let _ = std::fs::remove_file(path);
    }
    let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => format!("`state`: `{shown}` cannot be written to by this user"),
        io::ErrorKind::InvalidInput => format!("`state`: `{shown}` is too long a path for a socket"),
        _ => format!("`state`: no socket can be made in `{shown}`: {error}"),
    })?;
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, own).map_err(|error| format!("`{}`: {error}", path.display()))?;
    Ok(listener)
}

/// Answers until `stopped`, and takes the socket away, if it is still its own.
pub async fn serve(
    listener: UnixListener,
    path: &Path,
    desk: Desk,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let inode = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.ino()).ok();
    let own = inode(path);
    let served = axum::serve(listener, router(desk)).with_graceful_shutdown(stopped).await;
    if inode(path) == own {
        let _ = std::fs::remove_file(path);
    }
    served
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/reload", post(reload))
        .route("/status", get(status))
        .route("/override", post(order))
        .route("/drill", post(drill))
        .route("/rollback", post(rollback))
        .route("/explain", get(explain))
        .with_state(desk)
}

async fn reload(State(desk): State<Desk>) -> Response {
    outcome((desk.reload)().await)
}

async fn order(State(desk): State<Desk>, body: String) -> Response {
    outcome((desk.order)(body).await)
}

async fn drill(State(desk): State<Desk>, body: String) -> Response {
    outcome((desk.drill)(body).await)
}

async fn rollback(State(desk): State<Desk>, body: String) -> Response {
    outcome((desk.rollback)(body).await)
}

async fn status(State(desk): State<Desk>) -> Json<Value> {
    Json((desk.status)())
}

async fn explain(State(desk): State<Desk>, RawQuery(asked): RawQuery) -> Response {
    let explained = tokio::task::spawn_blocking(move || (desk.explain)(asked.unwrap_or_default())).await;
    outcome(explained.unwrap_or_else(|error| Err(format!("explaining failed: {error}"))))
}

/// The good words with 200, the bad ones with 422.
fn outcome(outcome: Result<String, String>) -> Response {
    match outcome {
        Ok(words) => words.into_response(),
        Err(words) => (StatusCode::UNPROCESSABLE_ENTITY, words).into_response(),
    }
}

/// Asks the server behind a socket: the words of its answer, good or bad.
///
/// # Errors
/// Where nobody answers there.
pub async fn ask(path: &Path, method: &str, what: &str, body: String) -> io::Result<Result<String, String>> {
    use http_body_util::{BodyExt, Full};
    let stream = UnixStream::connect(path).await?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(io::Error::other)?;
    let driving = tokio::spawn(connection);
    let request = hyper::Request::builder().method(method).uri(what).header("host", "steerdns");
    let request = request.body(Full::new(bytes::Bytes::from(body))).map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let good = response.status().is_success();
    let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    driving.abort();
    let words = String::from_utf8_lossy(&body).into_owned();
    Ok(if good { Ok(words) } else { Err(words) })
}
