//! The body of an answer: searched while it comes, or read whole.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::conversation::words;
use super::ended::Ended;

/// So much of a body is read, in octets, where nothing else is said.
pub(super) const BODY_MAX: usize = 64 * 1024;

/// So much of what is exposed for Prometheus.
pub(super) const EXPOSITION_MAX: usize = 1024 * 1024;

/// A body of which some was read.
pub(super) struct Reading<B = Incoming> {
    body: B,
    read: Vec<u8>,
    octets_max: usize,
}

/// What reading on came to.
#[derive(PartialEq)]
enum More {
    Came,
    Ended,
    /// There is more than is read.
    Cut,
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Reading<B> {
    /// At most so many octets are read of it.
    pub(super) fn new(body: B, octets_max: usize) -> Reading<B> {
        Reading { body, read: Vec::new(), octets_max }
    }

    /// What was read.
    pub(super) fn into_read(self) -> Vec<u8> {
        self.read
    }

    /// Reads until `wanted` has come.
    pub(super) async fn find(&mut self, wanted: &str) -> Result<(), Ended> {
        let (mut searched, mut more) = (0, More::Came);
        loop {
            if position(&self.read[searched..], wanted.as_bytes()).is_some() {
                return Ok(());
            }
            if more != More::Came {
                return Err(Ended::at("body", format!("without `{wanted}`")));
            }
            // What was searched is not searched again: a body may come octet by octet.
            searched = (self.read.len() + 1).saturating_sub(wanted.len());
            more = self.more().await?;
        }
    }

    /// Reads all of it; one that is longer than that is a failure.
    pub(super) async fn whole(&mut self) -> Result<&[u8], Ended> {
        loop {
            match self.more().await? {
                More::Came => {}
                More::Ended => return Ok(&self.read),
                More::Cut => {
                    let most = self.octets_max / 1024;
                    return Err(Ended::at("body", format!("longer than {most} KiB: not all of it is read")));
                }
            }
        }
    }

    async fn more(&mut self) -> Result<More, Ended> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| words("body", &error))?;
            let Some(more) = frame.data_ref().filter(|more| !more.is_empty()) else { continue };
            let room = self.octets_max - self.read.len();
            self.read.extend_from_slice(&more[..more.len().min(room)]);
            return Ok(if more.len() > room { More::Cut } else { More::Came });
        }
        Ok(More::Ended)
    }
}

/// Where `wanted` begins in `text`.
pub(super) fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    match wanted {
        [] => Some(0),
        _ => text.windows(wanted.len()).position(|window| window == wanted),
    }
}
