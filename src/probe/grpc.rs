//! gRPC's health protocol: one `Check` of grpc.health.v1 over HTTP/2. Its messages are one field each.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Method;
use hyper::header::HeaderMap;

use super::Probe;
use super::conversation::{Origin, Question};
use super::ended::Ended;
use crate::health::check::HttpVersion;
use crate::health::note::Note;
use crate::health::resource::Grpc;

const LAYER: &str = "application";
/// The longest answer that is read, in octets; it has some ten.
const ANSWER_MAX: usize = 4096;
/// The statuses of gRPC, by number.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const OK: usize = 0;
const NOT_FOUND: usize = 5;
const UNIMPLEMENTED: usize = 12;

/// Asks whether the service serves.
pub(super) async fn check(probe: &Probe<'_>, grpc: &Grpc, notes: &mut Vec<Note>) -> Result<(), Ended> {
    let origin = Origin::of(probe, grpc.at.host.as_deref(), HttpVersion::Two)?;
    let mut conversation = origin.open(&probe.limit, notes).await?;
    let own = [("content-type", "application/grpc"), ("te", "trailers")];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers: Vec<_> = own.chain(grpc.at.headers.iter().cloned()).collect();
    let body = Bytes::from(framed(&request(&grpc.service)));
    let question = Question { method: Method::POST, path: &grpc.at.path, headers: &headers, body };
    let response = conversation.ask(question, &probe.limit).await?;
    if response.status() != 200 {
        return Err(Ended::at("status", format!("status {}", response.status().as_u16())));
    }
    // Where nothing but a status is told, it stands in the head.
    if let Some(status) = status(response.headers()) {
        judge_status(status, response.headers(), grpc)?;
    }
    let whole = async {
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        body.map_err(|error| Ended::at("body", error.to_string()))
    };
    let whole = probe.limit.step("body", whole).await?;
    let trailers = whole.trailers().cloned().unwrap_or_default();
    let told = status(&trailers).ok_or_else(|| Ended::at(LAYER, "no `grpc-status`: is that gRPC?"))?;
    judge_status(told, &trailers, grpc)?;
    match serving(&whole.to_bytes()) {
        Some(1) => Ok(()),
        Some(0) => Err(Ended::at(LAYER, format!("{} is UNKNOWN", named(grpc)))),
        Some(2) => Err(Ended::at(LAYER, format!("{} is NOT_SERVING", named(grpc)))),
        Some(3) => Err(Ended::at(LAYER, format!("{} is SERVICE_UNKNOWN", named(grpc)))),
        Some(other) => Err(Ended::at(LAYER, format!("{} has the unknown status {other}", named(grpc)))),
        None => Err(Ended::at(LAYER, "no HealthCheckResponse")),
    }
}

fn named(grpc: &Grpc) -> String {
    match &*grpc.service {
        "" => "the server".into(),
        service => format!("`{service}`"),
    }
}

fn status(headers: &HeaderMap) -> Option<usize> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn judge_status(status: usize, headers: &HeaderMap, grpc: &Grpc) -> Result<(), Ended> {
    let word = STATUSES.get(status).map_or_else(|| format!("status {status}"), |word| (*word).to_owned());
    let what = match status {
        OK => return Ok(()),
        NOT_FOUND => format!("{word}: {} is not known to its health service", named(grpc)),
        UNIMPLEMENTED => format!("{word}: there is no health service (grpc.health.v1)"),
        _ => match headers.get("grpc-message").and_then(|message| message.to_str().ok()) {
            Some(message) => format!("{word}: {message}"),
            None => word,
        },
    };
    Err(Ended::at(LAYER, what))
}

/// HealthCheckRequest: the service is field 1, a string.
fn request(service: &str) -> Vec<u8> {
    if service.is_empty() {
        return Vec::new();
    }
    let mut message = vec![0x0A];
    let mut left = service.len();
    while left >= 0x80 {
        message.push((left & 0x7F) as u8 | 0x80);
        left >>= 7;
    }
    message.push(left as u8);
    message.extend(service.bytes());
    message
}

/// A message with its length, not compressed.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// HealthCheckResponse: the status is field 1, a varint; 0 where it is left out. `None` for what is none.
fn serving(body: &[u8]) -> Option<u64> {
    let (head, message) = body.split_first_chunk::<5>()?;
    let [0, length @ ..] = head else { return None };
    let mut rest = message.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut rest)?,
            (_, 0) => drop(varint(&mut rest)?),
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (octet, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(octet & 0x7F) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    #[test]
    fn messages_are_as_protocol_buffers_have_them() {
        assert_eq!(framed(&request("")), [0, 0, 0, 0, 0]);
        assert_eq!(framed(&request("a.B")), [0, 0, 0, 0, 5, 0x0A, 3, b'a', b'.', b'B']);
        assert_eq!(request(&"s".repeat(300))[..3], [0x0A, 0xAC, 0x02]);
    }

    #[test]
    fn the_status_of_an_answer_is_read() {
        assert_eq!(serving(&framed(&[0x08, 1])), Some(1));
        assert_eq!(serving(&framed(&[])), Some(0), "what is zero is left out");
        assert_eq!(serving(&framed(&[0x12, 2, 9, 9, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 2])), Some(2));
        for none in
            [&[][..], &[0, 0, 0, 0, 9, 8, 1], &[1, 0, 0, 0, 2, 8, 1], &framed(&[0x08]), &framed(&[0x0F])]
        {
            assert_eq!(serving(none), None, "{none:?}");
        }
    }

    proptest! {
        // Reading an answer never panics.
        #[test]
        fn any_answer_is_read(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = serving(&framed(&body));
            let _ = serving(&body);
        }
    }
}
