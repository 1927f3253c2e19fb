//! What a failure would mean, in numbers: two Snapshots of one Plan, before and after, held against each other.
//!
//! ```text
//! ground   how a map's clients are spread over ranked lists and slots (address space that GeoIP sources place)
//! clients  who gets an address now, and who would be left without an answer
//! stage    a Snapshot and its grounds: where everybody is    + the Snapshot after -> Impact
//! seats    who answers each list and slot, and what nodes get of it
//! flow     who goes from where to where
//! spread   median, 95th percentile and the most of what is added
//! result   the Impact, in the words of the files; which of two is worse
//! told     the same for people: text and Markdown
//! change   what a change of the files would mean: two Plans
//! ```
//!
//! Both Snapshots choose as they do for a query: this module has no opinion of its own of who answers whom.

pub mod change;
pub mod clients;
mod flow;
pub mod ground;
pub mod result;
mod seats;
mod spread;
pub mod stage;
pub mod told;
