//! What one probe of a target leaves to the next.

use std::sync::Mutex;

use super::hls::Position;
use super::load::Sample;

/// What one probe of a target leaves to the next: of use where a single look tells too little.
#[derive(Debug, Default)]
pub struct Memory {
    /// What its load was when it was last read, where that is a rate.
    pub(super) load: Mutex<Option<Sample>>,
    /// Where its playlist was.
    pub(super) playlist: Mutex<Option<Position>>,
}
