//! Pieces: all addresses, cut wherever their place or the policy's own prefixes change.

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

/// Tells all pieces of a family, from address 0 on.
pub(super) fn each_piece(family: Family, places: &Places, marks: &Marks, tell: impl FnMut(Piece)) {
    match family {
        Family::V4 => walk(&places.v4, &marks.v4, u128::from, tell),
        Family::V6 => walk(&places.v6, &marks.v6, |upper: u64| u128::from(upper) << 64, tell),
    }
}

/// The same for stretches of which `address` tells where they begin.
fn walk<A: Copy>(
    stretches: &[Stretch<A>],
    marks: &[(u128, u32)],
    address: impl Fn(A) -> u128,
    mut tell: impl FnMut(Piece),
) {
    let (mut rest, mut place) = (stretches, 0);
    let ends = marks.iter().skip(1).map(|mark| Some(mark.0)).chain([None]);
    for (&(start, mark), end) in marks.iter().zip(ends) {
        // What began before the mark reaches into it.
        if rest.first().is_none_or(|first| address(first.start) > start) {
            tell(Piece { start, place, mark });
        }
        while let Some((first, behind)) = rest.split_first() {
            let start = address(first.start);
            if end.is_some_and(|end| end <= start) {
                break;
            }
            (rest, place) = (behind, first.place);
            tell(Piece { start, place, mark });
        }
    }
}
