//! Pieces: all addresses, cut wherever their place or the policy's own prefixes change.

use std::slice::Iter;

use super::marks::Marks;
use crate::cluster::Family;
use crate::geo::places::{Places, Stretch};

/// The last address of a family, as a number.
pub(super) fn last_address(family: Family) -> u128 {
    match family {
        Family::V4 => u32::MAX.into(),
        Family::V6 => u128::MAX,
    }
}

/// Addresses from `start` to the next piece's start, which share a place and a mark.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) start: u128,
    /// A place in [`Places::known`].
    pub(super) place: u32,
    /// A place in [`Marks::known`].
    pub(super) mark: u32,
}

/// All pieces of a family, sorted, from 0 on.
pub(super) fn pieces<'a>(family: Family, places: &'a Places, marks: &'a Marks) -> Pieces<'a> {
    let (stretches, marks) = match family {
        Family::V4 => (Stretches::V4(places.v4.iter()), &marks.v4),
        Family::V6 => (Stretches::V6(places.v6.iter()), &marks.v6),
    };
    let mut pieces = Pieces { stretches, next: None, marks, at: Some(Piece { start: 0, place: 0, mark: 0 }) };
    pieces.next = pieces.stretches.next();
    pieces.step_to(0);
    pieces
}

enum Stretches<'a> {
    V4(Iter<'a, Stretch<u32>>),
    V6(Iter<'a, Stretch<u64>>),
}

impl Stretches<'_> {
    /// Start and place of the next stretch.
    fn next(&mut self) -> Option<(u128, u32)> {
        match self {
            Stretches::V4(rest) => rest.next().map(|stretch| (stretch.start.into(), stretch.place)),
            Stretches::V6(rest) => {
                rest.next().map(|stretch| (u128::from(stretch.start) << 64, stretch.place))
            }
        }
    }
}

/// The stretches of a family, cut at the edges of marks.
pub(super) struct Pieces<'a> {
    stretches: Stretches<'a>,
    /// The next stretch.
    next: Option<(u128, u32)>,
    /// The marks behind the present one.
    marks: &'a [(u128, u32)],
    /// The present piece.
    at: Option<Piece>,
}

impl Pieces<'_> {
    /// Takes up what begins at `start`.
    fn step_to(&mut self, start: u128) {
        let Some(at) = &mut self.at else { return };
        at.start = start;
        if let Some((_, place)) = self.next.filter(|next| next.0 == start) {
            at.place = place;
            self.next = self.stretches.next();
        }
        if let Some(((_, mark), rest)) = self.marks.split_first().filter(|(first, _)| first.0 == start) {
            at.mark = *mark;
            self.marks = rest;
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let piece = self.at?;
        let ahead = [self.next.map(|next| next.0), self.marks.first().map(|mark| mark.0)];
        match ahead.into_iter().flatten().min() {
            Some(start) => self.step_to(start),
            None => self.at = None,
        }
        Some(piece)
    }
}
