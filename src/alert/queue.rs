//! What one receiver has yet to be told: bounded, so that one who never answers costs little.

use std::collections::VecDeque;
use std::sync::Arc;

use super::notification::{Event, Notification};

/// The most that waits for one receiver.
pub const WAITING_MAX: usize = 64;

/// What waits for one receiver, in the order in which it happened.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Arc<Notification>>,
}

impl Queue {
    /// One more. Where there are too many, the oldest resolution goes, or else the oldest repetition, or else the oldest of all: gives what
    /// went.
    pub fn push(&mut self, notification: Arc<Notification>) -> Option<Arc<Notification>> {
        self.waiting.push_back(notification);
        if self.waiting.len() <= WAITING_MAX {
            return None;
        }
        let oldest = |event| self.waiting.iter().position(|waiting| waiting.event == event);
        let gone = oldest(Event::Resolved).or_else(|| oldest(Event::Repeated)).unwrap_or(0);
        self.waiting.remove(gone)
    }

    /// What is to be told next.
    pub fn first(&self) -> Option<&Arc<Notification>> {
        self.waiting.front()
    }

    /// It has been told, or never will be. It may have gone from the queue meanwhile.
    pub fn remove(&mut self, told: &Arc<Notification>) {
        if let Some(at) = self.waiting.iter().position(|waiting| Arc::ptr_eq(waiting, told)) {
            self.waiting.remove(at);
        }
    }

    /// All that waits.
    pub fn waiting(&self) -> impl Iterator<Item = &Arc<Notification>> {
        self.waiting.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::alert::condition::Kind;
    use crate::alert::notification::Group;

    fn notification(event: Event, number: usize) -> Arc<Notification> {
        Arc::new(Notification {
            event,
            kind: Kind::Test,
            group: Group { name: number.to_string().into(), scope: None },
            summary: String::new(),
            alerts: Vec::new(),
            count: 0,
            firing: 0,
            since: Duration::ZERO,
        })
    }

    #[test]
    fn resolutions_go_first_and_the_newest_stays() {
        let mut queue = Queue::default();
        for number in 0..WAITING_MAX {
            let event = if number == 9 { Event::Resolved } else { Event::Fired };
            assert_eq!(queue.push(notification(event, number)), None);
        }
        let gone = |queue: &mut Queue, number| {
            let gone = queue.push(notification(Event::Fired, number)).unwrap();
            gone.group.name.to_string()
        };
        assert_eq!(gone(&mut queue, 64), "9");
        assert_eq!(gone(&mut queue, 65), "0");
        assert_eq!(queue.waiting().count(), WAITING_MAX);
        assert_eq!(&*queue.waiting().last().unwrap().group.name, "65");
        let first = Arc::clone(queue.first().unwrap());
        queue.remove(&first);
        queue.remove(&first);
        assert_eq!(queue.waiting().count(), WAITING_MAX - 1);
    }

    proptest! {
        // However much is pushed, no more than the bound waits, and what is pushed is waiting or told to be gone.
        #[test]
        fn it_never_holds_more_than_it_may(events in prop::collection::vec(0..3, 0..300)) {
            let mut queue = Queue::default();
            let mut gone = 0;
            for (number, event) in events.iter().enumerate() {
                let event = [Event::Fired, Event::Repeated, Event::Resolved][*event as usize];
                gone += usize::from(queue.push(notification(event, number)).is_some());
                prop_assert!(queue.waiting().count() <= WAITING_MAX);
                prop_assert_eq!(queue.waiting().count() + gone, number + 1);
            }
        }
    }
}
