//! Editions: what a zone's secondaries get, under one serial, and how it became that.

use std::sync::Arc;

use super::content::{self, Content, Row};
use super::record::{Record, rtype};
use crate::wire::digest::digest;
use crate::wire::name::Name;

/// The most steps that are kept: a secondary that is further behind gets the whole zone.
const STEPS_MAX: usize = 100;

/// A zone's records under one serial, with the steps that led there. Immutable.
#[derive(Clone, Debug)]
pub struct Edition {
    serial: u32,
    soa: Record,
    content: Arc<Content>,
    /// Each leads to the next one, the last one here.
    steps: Vec<Arc<Step>>,
    /// Serials up to this one may have stood for something else: from those, no step leads on.
    spent: Option<u32>,
}

/// What an earlier life told of a zone: its serial, and what stood under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The serial.
    pub serial: u32,
    /// The beginning of a SHA-256 of the records.
    pub digest: u64,
}

/// What became another one from one serial to the next.
#[derive(Debug)]
pub struct Step {
    /// The SOA before.
    pub from: Box<[u8]>,
    /// The serial before.
    pub from_serial: u32,
    /// Records that are gone.
    pub removed: Content,
    /// The SOA behind it.
    pub to: Box<[u8]>,
    /// Records that are new.
    pub added: Content,
}

impl Edition {
    /// The first that is known of a zone.
    pub fn first(soa: Record, serial: u32, content: Content) -> Edition {
        let (soa, content) = (with_serial(soa, serial), Arc::new(content));
        Edition { serial, soa, content, steps: Vec::new(), spent: None }
    }

    /// The first that is known of a zone of which an earlier life told something: where it told it of other records under such a serial,
    /// nobody knows what those hold who have it.
    pub fn after(self, mark: Mark) -> Edition {
        let spent = self.contradicts(mark).then_some(mark.serial);
        Edition { spent, ..self }
    }

    /// Whether these are other records than those of an earlier life, and the serial does not say so.
    pub fn contradicts(&self, mark: Mark) -> bool {
        !is_newer(self.serial, mark.serial) && self.mark() != mark
    }

    /// What a later life must know.
    pub fn mark(&self) -> Mark {
        let soa = content::octets(&with_serial(self.soa.clone(), 0));
        Mark { serial: self.serial, digest: digest([&soa, self.content.octets()]) }
    }

    /// The one that follows under another serial. Steps are kept as long as they are smaller than the zone (RFC 1995 §5) and not
    /// too many. Where the serial does not increase, there are none from any serial that was given out: who has one of those may
    /// have either, and gets the whole zone.
    pub fn next(&self, soa: Record, serial: u32, content: Content) -> Edition {
        let soa = with_serial(soa, serial);
        let (removed, added) = self.content.difference(&content);
        let step = Step {
            from: content::octets(&self.soa).into(),
            from_serial: self.serial,
            removed,
            to: content::octets(&soa).into(),
            added,
        };
        let (mut steps, mut spent) = (self.steps.clone(), self.spent);
        if !is_newer(serial, self.serial) {
            steps.clear();
            spent = spent.filter(|spent| is_newer(*spent, self.serial)).or(Some(self.serial));
        } else if spent.is_none_or(|spent| is_newer(self.serial, spent)) {
            steps.push(Arc::new(step));
        }
        let mut octets = 0;
        let fit = steps.iter().rev().take(STEPS_MAX).take_while(|step| {
            octets += step.removed.octet_count() + step.added.octet_count();
            octets <= content.octet_count()
        });
        let kept = fit.count();
        steps.drain(..steps.len() - kept);
        Edition { serial, soa, content: Arc::new(content), steps, spent }
    }

    /// Its serial.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The apex.
    pub fn origin(&self) -> &Name {
        &self.soa.owner
    }

    /// Its SOA.
    pub fn soa(&self) -> &Record {
        &self.soa
    }

    /// All other records.
    pub fn content(&self) -> &Arc<Content> {
        &self.content
    }

    /// The steps from a serial to this one; `None` where they are not known.
    pub fn steps_from(&self, serial: u32) -> Option<&[Arc<Step>]> {
        let at = self.steps.iter().position(|step| step.from_serial == serial)?;
        Some(&self.steps[at..])
    }

    /// Whether it says the same as records and a SOA do, serials apart.
    pub fn is_like(&self, soa: &Record, content: &Content) -> bool {
        with_serial(soa.clone(), self.serial) == self.soa && *self.content == *content
    }
}

/// Whether a serial is newer than another one (RFC 1982).
pub fn is_newer(serial: u32, than: u32) -> bool {
    serial.wrapping_sub(than).cast_signed() > 0
}

/// The SOA with another serial.
fn with_serial(mut soa: Record, serial: u32) -> Record {
    if soa.rtype == rtype::SOA
        && let Some(at) = soa.rdata.len().checked_sub(20)
    {
        soa.rdata[at..at + 4].copy_from_slice(&serial.to_be_bytes());
    }
    soa
}

/// The serial in a SOA that somebody sent, uncompressed or not: its RDATA ends with five numbers.
pub fn serial_of(rdata: &[u8]) -> Option<u32> {
    let at = rdata.len().checked_sub(20)?;
    Some(u32::from_be_bytes(rdata[at..at + 4].try_into().ok()?))
}

impl Step {
    /// The rows of the SOA before, what is gone, the SOA behind it, what is new: as a difference is sent (RFC 1995 §4).
    pub fn row(&self, at: usize) -> Option<Row<'_>> {
        let (gone, new) = (self.removed.len(), self.added.len());
        match at {
            0 => Some(Row::of(&self.from)),
            at if at <= gone => Some(self.removed.row(at - 1)),
            at if at == gone + 1 => Some(Row::of(&self.to)),
            at if at < gone + 2 + new => Some(self.added.row(at - gone - 2)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(owner: &str, rtype: u16, rdata: &[u8]) -> Record {
        Record { owner: Name::parse(owner, None).unwrap(), rtype, ttl_s: 60, rdata: rdata.into() }
    }

    fn soa() -> Record {
        record("example.", rtype::SOA, &[&b"\0\0"[..], &[0; 20]].concat())
    }

    fn content(hosts: impl IntoIterator<Item = u8>) -> Content {
        Content::new(hosts.into_iter().map(|host| record("a.example.", rtype::A, &[192, 0, 2, host])))
    }

    #[test]
    fn the_steps_from_a_serial_lead_to_this_one() {
        let first = Edition::first(soa(), 7, content(0..50));
        let second = first.next(soa(), 8, content(1..50));
        let third = second.next(soa(), 10, content(1..51));
        assert_eq!(third.serial(), 10);
        assert_eq!(serial_of(&third.soa().rdata), Some(10));
        let steps = third.steps_from(7).unwrap();
        assert_eq!(steps.iter().map(|step| step.from_serial).collect::<Vec<_>>(), [7, 8]);
        assert_eq!((steps[0].removed.len(), steps[0].added.len()), (1, 0));
        assert_eq!((steps[1].removed.len(), steps[1].added.len()), (0, 1));
        assert_eq!(third.steps_from(8).unwrap().len(), 1);
        assert!(third.steps_from(9).is_none() && third.steps_from(10).is_none());
    }

    #[test]
    fn steps_are_forgotten_where_they_outgrow_the_zone_are_many_or_the_serial_goes_back() {
        let first = Edition::first(soa(), 7, content(0..10));
        assert!(first.next(soa(), 8, content(100..110)).steps_from(7).is_none(), "as large as two zones");
        assert!(first.next(soa(), 6, content(0..9)).steps_from(7).is_none(), "not newer");
        assert!(first.next(soa(), 7, content(0..9)).steps_from(7).is_none(), "the same");
        let many = (8..300).fold(Edition::first(soa(), 7, content(0..200)), |edition, serial| {
            edition.next(soa(), serial, content((serial % 2) as u8..200))
        });
        assert_eq!(many.steps_from(299 - STEPS_MAX as u32).map(<[_]>::len), Some(STEPS_MAX));
        assert!(many.steps_from(298 - STEPS_MAX as u32).is_none());
    }

    /// A secondary that had the serial before it was given out twice once got an empty step, and kept what was wrong.
    #[test]
    fn from_a_serial_that_stood_for_something_else_no_step_leads_on() {
        for serials in [[7, 7, 8, 9], [10, 9, 10, 11]] {
            let mut edition = Edition::first(soa(), serials[0], content(0..50));
            for (serial, hosts) in serials[1..].iter().zip(1..) {
                edition = edition.next(soa(), *serial, content(hosts..50));
            }
            assert!(
                edition.steps_from(serials[0]).is_none() && edition.steps_from(serials[1]).is_none(),
                "{serials:?}"
            );
            let last = edition.next(soa(), 20, content(0..50));
            assert!(last.steps_from(serials[3]).is_some(), "{serials:?}: from a serial that is new");
        }
    }

    #[test]
    fn an_earlier_life_s_mark_tells_whether_the_serial_can_be_trusted() {
        let before = Edition::first(soa(), 7, content(0..50)).mark();
        let again = Edition::first(soa(), 7, content(0..50));
        assert!(!again.contradicts(before));
        assert!(again.after(before).next(soa(), 8, content(1..50)).steps_from(7).is_some());
        let other = Edition::first(soa(), 7, content(1..50));
        assert!(other.contradicts(before));
        assert!(other.after(before).next(soa(), 8, content(0..49)).steps_from(7).is_none());
        assert!(!Edition::first(soa(), 8, content(1..50)).contradicts(before));
    }

    /// RFC 1982 §3.2.
    #[test]
    fn serials_go_round() {
        assert!(is_newer(0, u32::MAX) && is_newer(5, 4) && !is_newer(4, 5) && !is_newer(4, 4));
    }

    #[test]
    fn the_rows_of_a_step_are_those_of_a_difference() {
        let step = Edition::first(soa(), 7, content(0..9)).next(soa(), 8, content(1..10));
        let step = &step.steps_from(7).unwrap()[0];
        let rows: Vec<_> = (0..).map_while(|at| step.row(at)).map(|row| row.rtype()).collect();
        assert_eq!(rows, [rtype::SOA, rtype::A, rtype::SOA, rtype::A]);
        assert_eq!(serial_of(step.row(0).unwrap().rdata()), Some(7));
        assert_eq!(serial_of(step.row(2).unwrap().rdata()), Some(8));
    }
}
