//! What may take seconds, beside answering: threads that get what answering leaves of the processors.
#![allow(unsafe_code)]

use std::{io, thread};

use tokio::sync::mpsc;

use super::publishing::Wanted;
use crate::load::kept::{Undone, Upkeep};

/// The lowest priority that the system knows.
const LOWEST: i32 = 19;
/// Octets from which on a piece of memory is one of its own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

/// Starts a thread of this name, of the lowest priority. Whatever threads it starts have it, too.
pub(super) fn beside(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let body = || {
        if let Err(error) = rustix::process::nice(LOWEST) {
            tracing::debug!("a thread keeps its priority: {error}");
        }
        body();
    };
    thread::Builder::new().name(name.into()).spawn(body).map(drop)
}

/// Ends a load whose maps are in force: keeps them and its places, gives the memory back that it took, and looks whether databases that were not read are
/// what they were taken for. Where one is not, it asks for a reload.
pub(super) fn keep(upkeep: Option<Upkeep>, reloads: mpsc::WeakSender<Wanted>) {
    let body = move || {
        match upkeep.map_or(Ok(()), Upkeep::run) {
            Ok(()) => {}
            Err(Undone::Unkept(error)) => {
                tracing::warn!(
                    "compiled maps or places cannot be kept, the next start compiles or reads them again: {error}"
                );
            }
            Err(Undone::Changed(path)) => {
                tracing::warn!(
                    "`{}` is not what it was, though its size, its time of change and its end are the same: it is read again",
                    path.display()
                );
                if let Some(reloads) = reloads.upgrade() {
                    // What comes of it is logged where it is decided.
                    let _ = reloads.blocking_send(Wanted::again().0);
                }
            }
        }
        trim();
    };
    if let Err(error) = beside("upkeep", body) {
        tracing::warn!("compiled maps are not kept: no thread for it: {error}");
    }
}

/// Large pieces of memory go back to the system as soon as they are free: glibc would learn from a load's that they stay.
pub(super) fn thrift() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: they set two numbers of the allocator, which may be set at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Gives all memory back that is free.
fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no precondition, and changes nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
