//! How well this machine keeps time. A thread wants to wake every few milliseconds and notes how late it does: where the
//! machine gives nobody a processor, no nameserver can be in time.
#![allow(clippy::disallowed_methods, reason = "a test has clocks")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(5);
/// Less is usual.
const STALL: Duration = Duration::from_millis(20);

/// The noted stalls: when each ended, and how long it was.
#[derive(Debug)]
pub(crate) struct Pulse {
    stalls: Arc<Mutex<Vec<(Instant, Duration)>>>,
    stop: Arc<AtomicBool>,
}

impl Pulse {
    pub(crate) fn start() -> Pulse {
        let pulse = Pulse { stalls: Arc::default(), stop: Arc::default() };
        let (stalls, stop) = (Arc::clone(&pulse.stalls), Arc::clone(&pulse.stop));
        thread::spawn(move || {
            let mut due = Instant::now() + BEAT;
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let now = Instant::now();
                let late = now.saturating_duration_since(due);
                if late > STALL {
                    stalls.lock().unwrap().push((now, late));
                }
                due = now + BEAT;
            }
        });
        pulse
    }

    /// How long the machine stalled between these moments, in all.
    pub(crate) fn stalled(&self, from: Instant, to: Instant) -> Duration {
        let stalls = self.stalls.lock().unwrap();
        stalls.iter().filter(|(end, late)| *end > from && *end - *late < to).map(|(_, late)| *late).sum()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
