//! Answers that panicked: bugs. Each is told once, with the packet that did it; a flood of such packets does not flood the log.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt::Write;
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, Once, PoisonError};

/// Octets of a packet's end that are kept while it is answered: its OPT record, in nearly all of them.
const TAIL: usize = 64;
/// Octets of a header.
const HEADER: usize = 12;

thread_local! {
    /// Where the answering thread panicked last, while it answers.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// From now on, panics of answers are told once each, with their packet; all others as they were before.
pub fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if ANSWERS.get() {
                LAST.set(Some(words(info)));
            } else {
                usual(info);
            }
        }));
    });
}

/// This thread makes answers, until this is dropped.
pub(super) struct MakesAnswers(());

impl MakesAnswers {
    #[inline]
    pub(super) fn begin() -> MakesAnswers {
        ANSWERS.set(true);
        MakesAnswers(())
    }
}

impl Drop for MakesAnswers {
    #[inline]
    fn drop(&mut self) {
        ANSWERS.set(false);
    }
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let said = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = said.unwrap_or("of a kind that says nothing");
    format!("{place}: {what}")
}

/// What has panicked so far, over all answering threads.
#[derive(Debug, Default)]
pub struct Panics(Mutex<HashSet<String>>);

/// Panics at so many places are told; the next ones are counted alone.
const PLACES: usize = 100;

impl Panics {
    /// Tells of a panic that answering this packet ended in, if it is the first at its place.
    #[cold]
    pub(super) fn tell(&self, packet: &Saved, buf: &[u8]) {
        let words = LAST.take().unwrap_or_else(|| "at a place that was not noted".into());
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < PLACES && told.insert(words.clone()) {
            let packet = packet.hex(buf);
            tracing::error!(%packet, "an answer panicked, this is a bug, and SERVFAIL was sent: {words}; packet {packet}");
        }
    }
}

/// What is kept of a packet while its answer is made over it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    /// Its header.
    pub(super) header: [u8; HEADER],
    tail: [u8; TAIL],
    len: usize,
}

impl Saved {
    pub(super) const NONE: Saved = Saved { header: [0; HEADER], tail: [0; TAIL], len: 0 };

    /// Of a packet of `len` octets; `None`: it has no whole header. `buf` is larger than its end.
    #[inline]
    pub(super) fn of(buf: &[u8], len: usize) -> Option<Saved> {
        let header = *buf.first_chunk()?;
        let tail = *buf.get(len.saturating_sub(TAIL)..)?.first_chunk()?;
        (len >= HEADER).then_some(Saved { header, tail, len })
    }

    /// The packet as it came: what stands between its header and its end is the question, which nobody writes to.
    fn hex(&self, buf: &[u8]) -> String {
        let mut packet = buf[..self.len.min(buf.len())].to_vec();
        let tail = self.len.min(TAIL);
        let start = self.len - tail;
        packet[start..].copy_from_slice(&self.tail[..tail]);
        packet[..HEADER].copy_from_slice(&self.header);
        packet.iter().fold(String::new(), |mut hex, octet| {
            let _ = write!(hex, "{octet:02x}");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_told_as_it_came_though_its_answer_stands_over_it() {
        for len in [12, 40, 64, 76, 120] {
            let mut buf = vec![0; 512];
            (0..len).for_each(|at| buf[at] = at as u8);
            let saved = Saved::of(&buf, len).unwrap();
            let came = buf[..len].iter().fold(String::new(), |hex, octet| hex + &format!("{octet:02x}"));
            buf[..HEADER].fill(0xff);
            buf[HEADER.max(len.saturating_sub(TAIL))..].fill(0xff);
            assert_eq!(saved.hex(&buf), came, "{len}");
        }
        assert!(Saved::of(&[0; 512], 11).is_none());
    }
}
