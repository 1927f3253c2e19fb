//! Durations as operators write them: `20ms`, `2.5s`, `1m30s`.

use std::fmt::Write;
use std::time::Duration;

/// The units, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads numbers with units, the longer unit first, each once: `1h30m`, `2.5s`, `0ms`.
///
/// A fraction is allowed where it ends in whole milliseconds. `None` for everything else.
pub fn parse(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut total_ms: u64 = 0;
    let mut rest = text;
    let mut units = &UNITS[..];
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let place = units.iter().position(|(word, _)| *word == unit)?;
        total_ms = total_ms.checked_add(in_ms(number, units[place].1)?)?;
        units = &units[place + 1..];
        rest = behind;
    }
    Some(Duration::from_millis(total_ms))
}

/// `number` units of `unit_ms` each; `None` where that is no whole number of milliseconds.
fn in_ms(number: &str, unit_ms: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let tenths = 10u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    let whole_ms = whole.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    part.is_multiple_of(tenths).then(|| whole_ms.checked_add(part / tenths))?
}

/// The duration in the same notation, so that it can be copied into a file; whole milliseconds.
pub fn shown(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match ms {
        0 => "0s".into(),
        1..1000 => format!("{ms}ms"),
        _ => {
            let mut out = String::new();
            let mut left = ms;
            for (word, unit_ms) in UNITS {
                if word == "s" && !left.is_multiple_of(unit_ms) {
                    let fraction = format!("{:03}", left % 1000);
                    write!(out, "{}.{}s", left / 1000, fraction.trim_end_matches('0'))
                        .expect("a String takes all");
                    break;
                }
                if left >= unit_ms {
                    write!(out, "{}{word}", left / unit_ms).expect("a String takes all");
                    left %= unit_ms;
                }
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_carry_their_units() {
        for (text, ms) in [
            ("1s", 1000),
            ("2.5s", 2500),
            ("20ms", 20),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("0ms", 0),
            ("0.001s", 1),
            ("1.5m", 90_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_not_guessed() {
        for bad in [
            "",
            "20",
            "s",
            "1 s",
            "-1s",
            "1s1s",
            "1s1m",
            "1.s",
            ".5s",
            "0.0001s",
            "1e3s",
            "1S",
            "1sec",
            "+1s",
            "99999999999999999999s",
            "18446744073709551615d",
            "1.1.1s",
            "1sx",
            "١s",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["6.9s", "100ms", "1h", "1m30s", "1m5.9s", "20s", "1d", "2.75s", "0s"] {
            assert_eq!(shown(parse(text).unwrap()), text);
        }
    }

    proptest! {
        // What is shown reads back as the same.
        #[test]
        fn shown_then_read_is_the_same(ms in 0u64..1_000_000_000_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&shown(duration)), Some(duration));
        }

        #[test]
        fn reading_never_panics(text in "\\PC*|[0-9.dhms]{0,40}") {
            let _ = parse(&text);
        }
    }
}
