//! What one probe of a target leaves to the next.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hls::Position;
use super::load::Sample;
use crate::health::check::Icmp;

/// What one probe of a target leaves to the next: of use where a single look tells too little.
#[derive(Debug, Default)]
pub struct Memory {
    /// What its load was when it was last read, where that is a rate.
    pub(super) load: Mutex<Option<Sample>>,
    /// Where its playlist was.
    pub(super) playlist: Mutex<Option<Position>>,
    /// Of the last echoes, the oldest first: whether they came back. As many as the check's window.
    echoes: Mutex<VecDeque<bool>>,
}

/// An echo that was sent. Dropped before it has come back, it is lost: nobody waits for it any more, be it that its time is
/// over, be it that a later one was faster.
#[derive(Debug)]
pub(super) struct SentEcho<'m> {
    memory: &'m Memory,
    window: usize,
    counts: bool,
    returned: bool,
}

impl Memory {
    /// An echo is under way.
    pub(super) fn echo_sent(&self, icmp: &Icmp) -> SentEcho<'_> {
        let window = icmp.loss.as_ref().map_or(0, |loss| usize::from(loss.window));
        SentEcho { memory: self, window, counts: window > 0, returned: false }
    }

    /// The share of the window that was lost; `None` until the window is full, or where the check has none.
    pub(super) fn echo_loss(&self, icmp: &Icmp) -> Option<f64> {
        let window = usize::from(icmp.loss.as_ref()?.window);
        let echoes = self.echoes();
        let lost = echoes.iter().filter(|returned| !**returned).count();
        (echoes.len() >= window).then(|| lost as f64 / echoes.len() as f64)
    }

    fn echoes(&self) -> MutexGuard<'_, VecDeque<bool>> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SentEcho<'_> {
    /// It came back.
    pub(super) fn returned(&mut self) {
        self.returned = true;
    }

    /// Nobody can tell.
    pub(super) fn forget(&mut self) {
        self.counts = false;
    }
}

impl Drop for SentEcho<'_> {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        let mut echoes = self.memory.echoes();
        while echoes.len() >= self.window {
            echoes.pop_front();
        }
        echoes.push_back(self.returned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::Loss;

    fn icmp(window: u16) -> Icmp {
        Icmp { loss: Some(Loss { max: 0.2, window }) }
    }

    fn send(memory: &Memory, icmp: &Icmp, returns: bool) {
        let mut sent = memory.echo_sent(icmp);
        if returns {
            sent.returned();
        }
    }

    #[test]
    fn loss_is_told_of_the_last_echoes_once_there_are_so_many() {
        let (memory, four) = (Memory::default(), icmp(4));
        for returns in [false, false, true] {
            send(&memory, &four, returns);
            assert_eq!(memory.echo_loss(&four), None);
        }
        send(&memory, &four, true);
        assert_eq!(memory.echo_loss(&four), Some(0.5));
        send(&memory, &four, true);
        assert_eq!(memory.echo_loss(&four), Some(0.25));
    }

    #[test]
    fn without_a_window_nothing_is_kept() {
        let (memory, none) = (Memory::default(), Icmp { loss: None });
        send(&memory, &none, false);
        assert_eq!(memory.echo_loss(&none), None);
        assert!(memory.echoes().is_empty());
    }

    #[test]
    fn what_failed_on_our_side_is_not_counted() {
        let (memory, one) = (Memory::default(), icmp(1));
        memory.echo_sent(&one).forget();
        assert_eq!(memory.echo_loss(&one), None);
    }
}
