//! Several verdicts as one: of an address that several checks judge together.

use super::verdict::Verdict;

/// What at least `least` of these must be up for: up, while so many are; suspect, where the doubts decide whether they
/// are; unknown, where what was never observed does; else down.
///
/// A doubt together is decided once so many of the doubts have gone wrong that too few are left.
pub fn together(least: u8, of: impl IntoIterator<Item = Verdict>) -> Verdict {
    let (mut up, mut unknown, mut doubts) = (0, 0, Vec::new());
    for verdict in of {
        match verdict {
            Verdict::Up => up += 1,
            Verdict::Suspect { until } => doubts.push(until),
            Verdict::Unknown => unknown += 1,
            Verdict::Down => {}
        }
    }
    let least = usize::from(least);
    if up >= least {
        return Verdict::Up;
    }
    if up + doubts.len() >= least {
        doubts.sort_unstable();
        let spare = up + doubts.len() - least;
        return Verdict::Suspect { until: doubts[spare] };
    }
    if up + doubts.len() + unknown >= least { Verdict::Unknown } else { Verdict::Down }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn all_of_them_any_of_them_and_at_least_so_many() {
        let start = Instant::now();
        let suspect = |s| Verdict::Suspect { until: start + Duration::from_secs(s) };
        let (up, down, unknown) = (Verdict::Up, Verdict::Down, Verdict::Unknown);
        let of = |least, verdicts: [Verdict; 3]| together(least, verdicts);
        assert_eq!(of(3, [up, up, up]), up);
        assert_eq!(of(3, [up, down, up]), down);
        assert_eq!(of(3, [up, unknown, up]), unknown);
        assert_eq!(of(3, [down, unknown, suspect(1)]), down);
        assert_eq!(of(1, [down, unknown, up]), up);
        assert_eq!(of(1, [down, unknown, down]), unknown);
        assert_eq!(of(1, [down, down, down]), down);
        assert_eq!(of(2, [up, down, up]), up);
        assert_eq!(of(2, [up, down, unknown]), unknown);
    }

    #[test]
    fn a_doubt_together_is_decided_when_too_few_are_left() {
        let start = Instant::now();
        let suspect = |s| Verdict::Suspect { until: start + Duration::from_secs(s) };
        let until = |least, verdicts: [Verdict; 3]| together(least, verdicts);
        // All must be up: the first doubt that goes wrong decides.
        assert_eq!(until(3, [suspect(5), Verdict::Up, suspect(2)]), suspect(2));
        // One is enough: only the last one does.
        assert_eq!(until(1, [suspect(5), Verdict::Down, suspect(2)]), suspect(5));
        assert_eq!(until(2, [suspect(5), Verdict::Up, suspect(2)]), suspect(5));
        assert_eq!(until(2, [suspect(5), suspect(7), suspect(2)]), suspect(5));
    }

    /// With 0, 1 or 2 for down, doubtful, up: the word together is that of the least-th best.
    #[test]
    fn it_is_the_word_of_the_least_th_best_over_all_short_lists() {
        let start = Instant::now();
        let rank = |verdict| match verdict {
            Verdict::Up => 3,
            Verdict::Suspect { .. } => 2,
            Verdict::Unknown => 1,
            Verdict::Down => 0,
        };
        let all = [Verdict::Up, Verdict::Suspect { until: start }, Verdict::Unknown, Verdict::Down];
        for number in 0..256usize {
            let list: Vec<Verdict> = (0..4).map(|at| all[number >> (2 * at) & 3]).collect();
            for least in 1..=4u8 {
                let mut ranks: Vec<_> = list.iter().map(|verdict| rank(*verdict)).collect();
                ranks.sort_unstable_by(|a, b| b.cmp(a));
                let word = together(least, list.iter().copied());
                assert_eq!(rank(word), ranks[usize::from(least) - 1], "{least} of {list:?}");
            }
        }
    }
}
