//! grpc: what a health service says.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Response, Version};
use steerdns::health::check::Kind;
use steerdns::health::resource::{Grpc, Resource};

use crate::web::{Asked, acceptor, certificate, probe, roots, tls, web};

type Answering = fn(&Asked) -> Answer;
type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn grpc(service: &str, tls: Option<steerdns::health::check::Tls>) -> Kind {
    let path = "/grpc.health.v1.Health/Check".into();
    let at = Resource { path, host: None, headers: Vec::new(), tls };
    Kind::Grpc(Grpc { at, service: service.into() })
}

/// What the server says: of `up` that it serves, of `down` that it does not; others it does not know.
fn answer(asked: &Asked) -> Answer {
    assert_eq!((asked.version(), asked.uri().path()), (Version::HTTP_2, "/grpc.health.v1.Health/Check"));
    assert_eq!(asked.headers()["content-type"], "application/grpc");
    assert_eq!(asked.headers()["te"], "trailers");
    let message = &asked.body()[5..];
    assert_eq!(usize::from(asked.body()[4]), message.len());
    let service = message.get(2..).unwrap_or_default();
    let serving: &[u8] = match service {
        b"" | b"up" => &[0, 0, 0, 0, 2, 8, 1],
        b"down" => &[0, 0, 0, 0, 2, 8, 2],
        b"starting" => &[0, 0, 0, 0, 0],
        b"odd" => &[9, 9],
        _ => return failing(5, None),
    };
    with_trailers(200, serving, status(0, None))
}

fn status(code: u8, message: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", code.to_string().parse().unwrap());
    if let Some(message) = message {
        headers.insert("grpc-message", message.parse().unwrap());
    }
    headers
}

fn with_trailers(code: u16, body: &[u8], trailers: HeaderMap) -> Answer {
    let body = Full::new(Bytes::copy_from_slice(body)).with_trailers(async { Some(Ok(trailers)) });
    Response::builder().status(code).body(body.boxed_unsync()).unwrap()
}

/// A status alone: it stands in the head.
fn failing(code: u8, message: Option<&str>) -> Answer {
    let mut response = Response::new(Full::default().boxed_unsync());
    response.headers_mut().extend(status(code, message));
    response
}

#[tokio::test]
async fn a_service_that_serves_is_a_success_and_everything_else_is_told() {
    let to = web(None, move |asked| async move { answer(&asked) }).await;
    let cases = [
        ("", "succeeded"),
        ("up", "succeeded"),
        ("down", "application: `down` is NOT_SERVING"),
        ("starting", "application: `starting` is UNKNOWN"),
        ("other", "application: NOT_FOUND: `other` is not known to its health service"),
        ("odd", "application: no HealthCheckResponse"),
    ];
    for (service, told) in cases {
        assert_eq!(probe(grpc(service, None), to).await, told);
    }
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let valid = certificate(30);
    let to = web(Some(acceptor(&valid, &["h2"])), |asked| async move { answer(&asked) }).await;
    assert_eq!(probe(grpc("up", Some(tls(Some(&roots(&valid))))), to).await, "succeeded");
}

#[tokio::test]
async fn statuses_of_grpc_are_told_in_words() {
    let cases: [(Answering, &str); 5] = [
        (
            |_| failing(12, Some("nope")),
            "application: UNIMPLEMENTED: there is no health service (grpc.health.v1)",
        ),
        (|_| failing(14, Some("going away")), "application: UNAVAILABLE: going away"),
        (|_| failing(99, None), "application: status 99"),
        (|_| with_trailers(502, &[], HeaderMap::new()), "status: status 502"),
        (|_| with_trailers(200, &[], HeaderMap::new()), "application: no `grpc-status`: is that gRPC?"),
    ];
    for (answer, told) in cases {
        assert_eq!(
            probe(grpc("", None), web(None, move |asked| async move { answer(&asked) }).await).await,
            told
        );
    }
}
