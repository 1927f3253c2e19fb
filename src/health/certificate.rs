//! How long the certificate that a target showed holds, and when that is worth a word.

use std::time::{Duration, Instant};

/// Ends that lie closer together than this are the same one: it is told again with each probe, by a clock that is set.
const SAME: Duration = Duration::from_secs(60);

/// The certificate that a target last showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    ends: Instant,
    near: bool,
}

/// What another look at a target's certificate told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Another end than was known, and nothing to worry about.
    Other,
    /// It holds for less than it should, for the first time.
    Near,
    /// It held for less than it should, and does no more.
    Renewed,
}

impl Certificate {
    /// When it ends; in the past, where it has.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// Whether it holds for less than it should.
    pub fn is_near(&self) -> bool {
        self.near
    }

    /// A look at a certificate that holds for `left`, and should for `within`, after what was known as `last`. `None`
    /// where that is nothing new.
    pub fn look(
        last: Option<Certificate>,
        left: Duration,
        within: Duration,
        now: Instant,
    ) -> Option<(Certificate, Look)> {
        let ends = now.checked_add(left)?;
        let near = left < within;
        let same = |last: &Certificate| {
            let gone = left.is_zero() && last.ends <= now;
            gone || ends.saturating_duration_since(last.ends) + last.ends.saturating_duration_since(ends)
                < SAME
        };
        // An end that is known stays as it was first told, so that nothing swings at the limit.
        let ends = last.filter(same).map_or(ends, |last| last.ends);
        let fresh = Certificate { ends, near };
        match last {
            Some(last) if last == fresh => None,
            Some(Certificate { near: true, .. }) if near => Some((fresh, Look::Other)),
            Some(Certificate { near: true, .. }) => Some((fresh, Look::Renewed)),
            _ if near => Some((fresh, Look::Near)),
            _ => Some((fresh, Look::Other)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const WITHIN: Duration = Duration::from_secs(14 * 86_400);

    /// The looks at a certificate of which so many days are left, day by day.
    fn looks(days: &[u32]) -> Vec<Option<Look>> {
        let (start, mut last) = (Instant::now(), None);
        let look = |(day, left): (u32, &u32)| {
            let look = Certificate::look(last, DAY * *left, WITHIN, start + DAY * day);
            if let Some((fresh, _)) = look {
                last = Some(fresh);
            }
            look.map(|(_, look)| look)
        };
        (0..).zip(days).map(look).collect()
    }

    #[test]
    fn an_end_that_comes_near_is_told_once_and_its_renewal_once() {
        let told = looks(&[16, 15, 14, 13, 12, 90, 89]);
        let (other, near, renewed) = (Some(Look::Other), Some(Look::Near), Some(Look::Renewed));
        assert_eq!(told, [other, None, None, near, None, renewed, None]);
    }

    #[test]
    fn a_first_look_at_one_that_is_near_is_told() {
        assert_eq!(looks(&[3, 2]), [Some(Look::Near), None]);
        assert_eq!(
            looks(&[0, 0, 0]),
            [Some(Look::Near), None, None],
            "one that has ended goes on having ended"
        );
    }

    #[test]
    fn a_renewal_that_is_near_again_is_told_as_another_end() {
        assert_eq!(looks(&[3, 10]), [Some(Look::Near), Some(Look::Other)]);
    }

    #[test]
    fn a_clock_that_is_set_by_a_second_changes_nothing() {
        let start = Instant::now();
        let (first, _) = Certificate::look(None, WITHIN + DAY, WITHIN, start).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(Certificate::look(Some(first), WITHIN + DAY + second, WITHIN, start), None);
        assert_eq!(Certificate::look(Some(first), WITHIN + DAY - second, WITHIN, start), None);
    }
}
