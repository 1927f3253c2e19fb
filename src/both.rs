//! Work that divides in two.

use std::panic::resume_unwind;
use std::thread;

/// Does both, at once where there is a second processor: half of a load is as long as all of it.
pub fn both<A: Send, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let a = scope.spawn(a);
        let b = b();
        (a.join().unwrap_or_else(|panic| resume_unwind(panic)), b)
    })
}
