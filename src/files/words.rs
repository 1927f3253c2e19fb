//! Words in sentences: the nearest known word, lists, what operators may call things.

/// Words longer than this are not searched for a likeness: nobody mistypes so long a word by a letter.
const LIKENESS_CHARS_MAX: usize = 64;
/// A value shown in a sentence is cut behind so many characters.
const SHOWN_CHARS_MAX: usize = 60;
/// The most octets of a key: keys are labels of names, too (RFC 1035 §2.3.4).
const KEY_OCTETS_MAX: usize = 63;

/// The known word that `word` was probably meant to be; `None` where none is like it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > LIKENESS_CHARS_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    let far = |candidate: &str| {
        let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        // A third of the letters, so that `fra2` finds `fra-2`, and `sin` does not find `bkk`.
        let allowed = (lower.chars().count().max(candidate.chars().count()) / 3).max(1);
        (distance <= allowed).then_some(distance)
    };
    let known = known.into_iter().filter(|candidate| candidate.chars().count() <= LIKENESS_CHARS_MAX);
    let alike = known.filter_map(|candidate| Some((far(candidate)?, candidate)));
    alike.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// The words in backticks, as a sentence lists them: `` `a`, `b` or `c` `` with `last` = `or`.
pub fn listed<T: AsRef<str>>(words: &[T], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, front)) => format!("{} {last} {end}", front.join(", ")),
    }
}

/// `1 error`, `2 errors`.
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A value as it may stand in a sentence: one line, not too long.
pub fn shown(text: &str) -> String {
    let mut out = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == SHOWN_CHARS_MAX {
            out.push('…');
            break;
        }
        match character {
            '`' => out.push('\''),
            plain if !plain.is_control() => out.push(plain),
            control => out.extend(control.escape_default()),
        }
    }
    out
}

/// What keeps `key` from being one LDH label (RFC 1123 §2.1); `None` where it is one.
pub fn key_fault(key: &str) -> Option<&'static str> {
    let ldh = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    match key {
        "" => Some("is empty"),
        long if long.len() > KEY_OCTETS_MAX => Some("is longer than 63 octets"),
        key if !key.bytes().all(ldh) => Some("has other characters than letters, digits and hyphens"),
        key if key.starts_with('-') || key.ends_with('-') => Some("begins or ends with a hyphen"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        assert_eq!(nearest("fra2", ["sin", "fra-2", "bkk"]), Some("fra-2"));
        assert_eq!(nearest("up_tresh", ["fall", "up_thresh"]), Some("up_thresh"));
        assert_eq!(nearest("itnerval", ["timeout", "interval"]), Some("interval"));
        assert_eq!(nearest("GET", ["get"]), Some("get"));
        assert_eq!(nearest("sin", ["bkk", "fra"]), None);
        assert_eq!(nearest(&"a".repeat(1_000_000), ["a"]), None);
    }

    #[test]
    fn lists_read_as_a_sentence_does() {
        assert_eq!(listed(&["a"], "or"), "`a`");
        assert_eq!(listed(&["a", "b", "c"], "and"), "`a`, `b` and `c`");
        assert_eq!(listed::<&str>(&[], "or"), "");
        assert_eq!(counted(1, "error"), "1 error");
        assert_eq!(counted(0, "warning"), "0 warnings");
    }

    #[test]
    fn a_shown_value_is_one_short_line() {
        assert_eq!(shown("a\nb`c\u{1b}"), "a\\nb'c\\u{1b}");
        assert_eq!(shown(&"é".repeat(100)).chars().count(), 61);
    }

    #[test]
    fn a_key_is_one_ldh_label() {
        assert_eq!(key_fault("sin-1"), None);
        for bad in ["", "a_b", "-a", "a-", "a.b", "größe", &"a".repeat(64)] {
            assert!(key_fault(bad).is_some(), "{bad}");
        }
    }
}
