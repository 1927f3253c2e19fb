//! Performance data as Nagios' plugins write it: `'label'=value[UOM];[warn];[crit];[min];[max]`, parted by blanks.

/// Values that are read of one line, at most.
const VALUES_MAX: usize = 64;

/// The share that a value is of the most that it can be: a percentage, or of its `max`. `None` where there is no such label, and
/// where nothing says how much is all.
pub(super) fn share(perfdata: &str, label: &str) -> Option<f64> {
    let mut rest = perfdata;
    for _ in 0..VALUES_MAX {
        let (name, fields);
        (name, fields, rest) = next(rest)?;
        if name == label {
            return used(fields);
        }
    }
    None
}

/// The first label, its fields, and what stands behind.
fn next(text: &str) -> Option<(String, &str, &str)> {
    let text = text.trim_start();
    let (name, rest) = match text.strip_prefix('\'') {
        Some(quoted) => quoted_label(quoted)?,
        None => text.split_once('=').map(|(name, rest)| (name.to_owned(), rest))?,
    };
    let (fields, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some((name, fields, rest))
}

/// A label in quotes, in which two of them are one; the opening one is gone already.
fn quoted_label(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('\'')?;
        name.push_str(part);
        match behind.strip_prefix('\'') {
            Some(behind) => {
                name.push('\'');
                rest = behind;
            }
            None => return Some((name, behind.strip_prefix('=')?)),
        }
    }
}

fn used(fields: &str) -> Option<f64> {
    let mut fields = fields.split(';');
    let value = fields.next()?;
    let unit = value.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+')).unwrap_or(value.len());
    let (value, unit) = value.split_at(unit);
    let value = number(value)?;
    let all = match unit {
        "%" => 100.0,
        _ => number(fields.nth(3)?).filter(|max| *max > 0.0)?,
    };
    Some(value / all).filter(|share| share.is_finite() && *share >= 0.0)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn a_share_is_a_percentage_or_a_part_of_its_maximum() {
        assert_eq!(share("time=0.01s;;;0;10 load=37%;80;90", "load"), Some(0.37));
        assert_eq!(share("load=450;;;0;900", "load"), Some(0.5));
        assert_eq!(share("load=9c;;;0;6", "load"), Some(1.5));
        assert_eq!(share("'out of it''s port'=30B;;;0;120 load=1%", "out of it's port"), Some(0.25));
    }

    #[test]
    fn without_a_measure_nothing_is_guessed() {
        for perfdata in ["load=0.7", "load=0.7;1;2", "load=5;;;0;0", "load=U;;;0;1", "load=-1%", "load=", ""]
        {
            assert_eq!(share(perfdata, "load"), None, "{perfdata}");
        }
        assert_eq!(share("load1=5%", "load"), None);
    }

    proptest! {
        // Reading never panics.
        #[test]
        fn garbage_is_borne(perfdata in ".{0,200}") {
            let _ = share(&perfdata, "load");
        }
    }
}
