//! Times of master files: seconds, or numbers with units as BIND writes them (`1h30m`, `2w`).

/// The longest TTL (RFC 2181 §8).
pub(super) const TTL_S_MAX: u32 = 0x7fff_ffff;

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeError {
    /// No digits, or a unit that is none of w d h m s.
    Form,
    /// More than 2^32 - 1 seconds.
    Large,
}

/// The seconds that `text` says: a number, or numbers each with a unit of `w d h m s` in either case.
///
/// A number without a unit behind one with a unit counts as seconds, as in BIND.
pub(super) fn seconds(text: &str) -> Result<u32, TimeError> {
    let mut sum: u64 = 0;
    let mut number: Option<u64> = None;
    for octet in text.bytes() {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                let next = number.unwrap_or(0).saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                number = Some(next);
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return Err(TimeError::Form),
        };
        sum = sum.saturating_add(number.take().ok_or(TimeError::Form)?.saturating_mul(unit));
    }
    match number {
        None if text.is_empty() => return Err(TimeError::Form),
        None => {}
        Some(number) => sum = sum.saturating_add(number),
    }
    u32::try_from(sum).map_err(|_| TimeError::Large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(seconds("0"), Ok(0));
        assert_eq!(seconds("3600"), Ok(3600));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("2W1d"), Ok(15 * 86_400));
        assert_eq!(seconds("1m1"), Ok(61));
        assert_eq!(seconds("4294967295"), Ok(u32::MAX));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "h", "1hh", "1x", "-1", "1.5h", "+1"] {
            assert_eq!(seconds(bad), Err(TimeError::Form), "{bad}");
        }
        for large in ["4294967296", "9999999999w", "99999999999999999999999999s"] {
            assert_eq!(seconds(large), Err(TimeError::Large), "{large}");
        }
    }
}
