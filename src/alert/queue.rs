//! What one receiver has yet to be told: bounded, so that one who never answers costs little.

use std::collections::{BTreeSet, VecDeque};
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
    /// One more. Where there are too many, something goes, and is given back. First what is over before anybody heard of it: a group, from its
    /// beginning to its last end. Else the oldest repetition, which tells nothing new; else the oldest end; else the oldest of all.
    pub fn push(&mut self, notification: Arc<Notification>) -> Vec<Arc<Notification>> {
        self.waiting.push_back(notification);
        if self.waiting.len() <= WAITING_MAX {
            return Vec::new();
        }
        if let Some(group) = self.over() {
            let (gone, stays) = self.waiting.drain(..).partition(|waiting| waiting.group.name == group);
            self.waiting = stays;
            return Vec::from(gone);
        }
        let oldest = |event| self.waiting.iter().position(|waiting| waiting.event == event);
        let gone = oldest(Event::Repeated).or_else(|| oldest(Event::Resolved)).unwrap_or(0);
        self.waiting.remove(gone).into_iter().collect()
    }

    /// The oldest group of which all waits, from beginning to end. Not where the beginning is the next to be told: it may be on its way.
    fn over(&self) -> Option<Arc<str>> {
        let ends =
            self.waiting.iter().filter(|waiting| waiting.event == Event::Resolved && waiting.firing == 0);
        let ended: BTreeSet<&Arc<str>> = ends.map(|end| &end.group.name).collect();
        let mut begun = self.waiting.iter().skip(1).filter(|waiting| waiting.event == Event::Fired);
        begun.find(|begun| ended.contains(&begun.group.name)).map(|begun| Arc::clone(&begun.group.name))
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

    fn notification(event: Event, group: impl ToString) -> Arc<Notification> {
        Arc::new(Notification {
            event,
            kind: Kind::Test,
            group: Group { name: group.to_string().into(), scope: None },
            summary: String::new(),
            alerts: Vec::new(),
            count: 1,
            firing: usize::from(event != Event::Resolved),
            since: Duration::ZERO,
        })
    }

    /// A queue that is full of these groups' beginnings, but for some that something else is in place of.
    fn full(others: &[(usize, Event, &str)]) -> Queue {
        let mut queue = Queue::default();
        for number in 0..WAITING_MAX {
            let other = others.iter().find(|(at, ..)| *at == number);
            let waiting = match other {
                Some((_, event, group)) => notification(*event, group),
                None => notification(Event::Fired, number),
            };
            assert_eq!(queue.push(waiting), []);
        }
        queue
    }

    /// What goes for one more.
    fn gone(queue: &mut Queue) -> Vec<(Event, String)> {
        let gone = queue.push(notification(Event::Fired, "new"));
        gone.iter().map(|gone| (gone.event, gone.group.name.to_string())).collect()
    }

    #[test]
    fn a_repetition_goes_before_an_end_and_an_end_before_what_fires() {
        let mut queue = full(&[(9, Event::Resolved, "a"), (20, Event::Repeated, "b")]);
        assert_eq!(gone(&mut queue), [(Event::Repeated, "b".into())]);
        assert_eq!(gone(&mut queue), [(Event::Resolved, "a".into())]);
        assert_eq!(gone(&mut queue), [(Event::Fired, "0".into())]);
        assert_eq!(queue.waiting().count(), WAITING_MAX);
        assert_eq!(&*queue.waiting().last().unwrap().group.name, "new");
        let first = Arc::clone(queue.first().unwrap());
        queue.remove(&first);
        queue.remove(&first);
        assert_eq!(queue.waiting().count(), WAITING_MAX - 1);
    }

    #[test]
    fn what_is_over_before_anybody_heard_of_it_goes_first_and_as_a_whole() {
        let others = [(3, Event::Repeated, "b"), (9, Event::Repeated, "5"), (30, Event::Resolved, "5")];
        let mut queue = full(&others);
        let of_5 = [Event::Fired, Event::Repeated, Event::Resolved].map(|event| (event, "5".to_owned()));
        assert_eq!(gone(&mut queue), of_5);
        assert_eq!(queue.waiting().count(), WAITING_MAX - 2);
    }

    #[test]
    fn an_end_stays_whose_beginning_may_have_been_heard() {
        // That of 0 may be on its way, and that of another was told before.
        let mut queue =
            full(&[(3, Event::Repeated, "b"), (9, Event::Resolved, "0"), (10, Event::Resolved, "c")]);
        assert_eq!(gone(&mut queue), [(Event::Repeated, "b".into())]);
        assert_eq!(gone(&mut queue), [(Event::Resolved, "0".into())]);
    }

    #[test]
    fn a_group_of_which_some_still_fire_is_not_over() {
        let mut queue = full(&[(3, Event::Repeated, "b")]);
        let some = Notification { firing: 1, ..(*notification(Event::Resolved, "5")).clone() };
        let gone = queue.push(Arc::new(some));
        assert_eq!(gone.iter().map(|gone| gone.event).collect::<Vec<_>>(), [Event::Repeated]);
    }

    proptest! {
        // However much is pushed, no more than the bound waits, and what is pushed is waiting or told to be gone.
        #[test]
        fn it_never_holds_more_than_it_may(told in prop::collection::vec((0..3, 0..40), 0..300)) {
            let mut queue = Queue::default();
            let mut gone = 0;
            for (number, (event, group)) in told.iter().enumerate() {
                let event = [Event::Fired, Event::Repeated, Event::Resolved][*event as usize];
                gone += queue.push(notification(event, group)).len();
                prop_assert!(queue.waiting().count() <= WAITING_MAX);
                prop_assert_eq!(queue.waiting().count() + gone, number + 1);
            }
        }
    }
}
