//! A zone's records as they are transferred: in one row of octets, in canonical order, each once.

use std::cmp::Ordering;

use super::record::{CLASS_IN, Record, rtype};
use crate::wire::name::wire_len;

/// A zone's records but for the SOA, which every serial has its own of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Records, one behind the other: owner, type, class, TTL, RDLENGTH, RDATA, uncompressed.
    octets: Box<[u8]>,
    /// Where each begins, and where the last ends.
    starts: Box<[u32]>,
}

/// Octets of a record between its owner and its RDATA.
const FIXED: usize = 10;

/// One record of a [`Content`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'c> {
    /// Its wire octets, uncompressed.
    pub octets: &'c [u8],
    owner_len: usize,
}

impl<'c> Row<'c> {
    /// The record that these octets are.
    pub fn of(octets: &'c [u8]) -> Row<'c> {
        let owner_len = wire_len(octets).expect("records are made of names");
        Row { octets, owner_len }
    }

    /// Its owner's wire octets.
    pub fn owner(self) -> &'c [u8] {
        &self.octets[..self.owner_len]
    }

    /// Its type.
    pub fn rtype(self) -> u16 {
        u16::from_be_bytes([self.octets[self.owner_len], self.octets[self.owner_len + 1]])
    }

    /// Its type, class and TTL.
    pub fn fixed(self) -> &'c [u8] {
        &self.octets[self.owner_len..self.owner_len + FIXED - 2]
    }

    /// Its RDATA.
    pub fn rdata(self) -> &'c [u8] {
        &self.octets[self.owner_len + FIXED..]
    }
}

/// A record's wire octets.
pub fn octets(record: &Record) -> Vec<u8> {
    let mut octets = Vec::with_capacity(record.owner.octets().len() + FIXED + record.rdata.len());
    octets.extend(record.owner.octets());
    octets.extend(record.rtype.to_be_bytes());
    octets.extend(CLASS_IN.to_be_bytes());
    octets.extend(record.ttl_s.to_be_bytes());
    octets.extend((record.rdata.len() as u16).to_be_bytes());
    octets.extend(&record.rdata);
    octets
}

impl Content {
    /// Of these records, each once; SOA records are left out.
    pub fn new(records: impl IntoIterator<Item = Record>) -> Content {
        let rows = records.into_iter().filter(|record| record.rtype != rtype::SOA);
        let mut rows: Vec<Vec<u8>> = rows.map(|record| octets(&record)).collect();
        rows.sort_by(|a, b| order(Row::of(a), Row::of(b)));
        rows.dedup();
        Content::of_sorted(rows.iter().map(|row| &row[..]))
    }

    fn of_sorted<'r>(rows: impl Iterator<Item = &'r [u8]>) -> Content {
        let (mut octets, mut starts) = (Vec::new(), vec![0]);
        for row in rows {
            octets.extend(row);
            starts.push(octets.len() as u32);
        }
        Content { octets: octets.into(), starts: starts.into() }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at a place below [`Content::len`].
    pub fn row(&self, at: usize) -> Row<'_> {
        Row::of(&self.octets[self.starts[at] as usize..self.starts[at + 1] as usize])
    }

    /// All of them.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|at| self.row(at))
    }

    /// All of them, one behind the other.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// How many octets they take.
    pub fn octet_count(&self) -> usize {
        self.octets.len()
    }

    /// What `next` lacks of it, and what `next` has beyond it.
    pub fn difference(&self, next: &Content) -> (Content, Content) {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (0, 0);
        while old < self.len() || new < next.len() {
            let side = match (old < self.len(), new < next.len()) {
                (true, true) => order(self.row(old), next.row(new)),
                (true, false) => Ordering::Less,
                _ => Ordering::Greater,
            };
            if side.is_lt() {
                removed.push(self.row(old).octets);
            } else if side.is_gt() {
                added.push(next.row(new).octets);
            }
            old += usize::from(side.is_le());
            new += usize::from(side.is_ge());
        }
        (Content::of_sorted(removed.into_iter()), Content::of_sorted(added.into_iter()))
    }
}

/// Canonical order (RFC 4034 §6.1): by the labels of the owner from the right; then by type, and what follows.
fn order(a: Row<'_>, b: Row<'_>) -> Ordering {
    let owners =
        if a.owner() == b.owner() { Ordering::Equal } else { labels(a.owner()).cmp(&labels(b.owner())) };
    let rest = |row: Row<'_>| (row.rtype(), row.octets.len());
    owners.then_with(|| rest(a).cmp(&rest(b))).then_with(|| a.octets.cmp(b.octets))
}

/// The labels of a name from the right.
fn labels(owner: &[u8]) -> Vec<&[u8]> {
    let (mut labels, mut at) = (Vec::new(), 0);
    while owner[at] != 0 {
        let next = at + 1 + usize::from(owner[at]);
        labels.push(&owner[at + 1..next]);
        at = next;
    }
    labels.reverse();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;
    use proptest::prelude::*;

    fn record(owner: &str, rtype: u16, rdata: &[u8]) -> Record {
        Record { owner: Name::parse(owner, None).unwrap(), rtype, ttl_s: 60, rdata: rdata.into() }
    }

    #[test]
    fn records_stand_in_canonical_order_each_once_without_the_soa() {
        let content = Content::new([
            record("b.example.", 16, b"\x01x"),
            record("example.", 6, b"\0"),
            record("a.b.example.", 1, &[192, 0, 2, 1]),
            record("example.", 2, b"\x02ns\0"),
            record("b.example.", 1, &[192, 0, 2, 2]),
            record("b.example.", 1, &[192, 0, 2, 1]),
            record("b.example.", 1, &[192, 0, 2, 2]),
        ]);
        let rows: Vec<_> = content
            .rows()
            .map(|row| (Name::from_wire(row.owner()).unwrap().to_string(), row.rtype(), row.rdata().to_vec()))
            .collect();
        let of = |name: &str, rtype, rdata: &[u8]| (name.to_owned(), rtype, rdata.to_vec());
        let wanted = [
            of("example.", 2, b"\x02ns\0"),
            of("b.example.", 1, &[192, 0, 2, 1]),
            of("b.example.", 1, &[192, 0, 2, 2]),
            of("b.example.", 16, b"\x01x"),
            of("a.b.example.", 1, &[192, 0, 2, 1]),
        ];
        assert_eq!(rows, wanted);
    }

    fn any_content() -> impl Strategy<Value = Content> {
        let record = ("[a-c]{1,2}(\\.[a-c])?", 1u16..4, 0u8..4)
            .prop_map(|(owner, rtype, data)| record(&format!("{owner}.example."), rtype, &[data]));
        prop::collection::vec(record, 0..20).prop_map(Content::new)
    }

    proptest! {
        /// What was there, less what is removed, and what is added, is what there is.
        #[test]
        fn a_difference_makes_the_one_of_the_other(old in any_content(), new in any_content()) {
            let (removed, added) = old.difference(&new);
            let mut rows: Vec<_> = old.rows().filter(|row| removed.rows().all(|gone| gone != *row)).collect();
            rows.extend(added.rows());
            rows.sort_by(|a, b| order(*a, *b));
            prop_assert_eq!(Content::of_sorted(rows.into_iter().map(|row| row.octets)), new);
            prop_assert!(removed.rows().all(|gone| added.rows().all(|row| row != gone)));
        }
    }
}
