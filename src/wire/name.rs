//! Domain names: lower-case wire octets, and their presentation form (RFC 1035 §5.1).

use std::fmt;

/// The most octets of a name, its root label included (RFC 1035 §2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;
/// The most octets of a label (RFC 1035 §2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// A domain name: uncompressed wire octets, ASCII letters in lower case, 1 to 255 of them.
///
/// Names compare as DNS compares them, whatever the case they were written in (RFC 4343).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing was written.
    Empty,
    /// Two dots in a row, or a dot in front.
    EmptyLabel,
    /// A label of more than 63 octets.
    LongLabel,
    /// More than 255 octets in all.
    Long,
    /// A backslash without a character or three digits up to 255 behind it.
    BadEscape,
    /// A relative name where no origin is known.
    Relative,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "a name is empty",
            NameError::EmptyLabel => "a name has an empty label",
            NameError::LongLabel => "a label is longer than 63 octets",
            NameError::Long => "a name is longer than 255 octets",
            NameError::BadEscape => "a `\\` must be followed by a character or by three digits up to 255",
            NameError::Relative => "a relative name, and no origin is known",
        })
    }
}

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// The name in presentation form; a relative one is completed by `origin`, `@` is the origin itself.
    pub fn parse(text: &str, origin: Option<&Name>) -> Result<Name, NameError> {
        let mut octets = Vec::with_capacity(text.len() + 2);
        encode(text.as_bytes(), origin.map(Name::octets), &mut octets)?;
        octets.make_ascii_lowercase();
        Ok(Name(octets.into()))
    }

    /// The name whose uncompressed wire octets begin `wire`; `None` where they are not a name.
    pub fn from_wire(wire: &[u8]) -> Option<Name> {
        let end = wire_len(wire)?;
        let mut octets = wire[..end].to_vec();
        octets.make_ascii_lowercase();
        Some(Name(octets.into()))
    }

    /// The name at `at` in a message, compressed or not; `at` moves behind it. `None` where there is none.
    ///
    /// Pointers lead backwards alone (RFC 1035 §4.1.4); what goes in circles all the same is soon too long for a name.
    pub fn read(message: &[u8], at: &mut usize) -> Option<Name> {
        let mut octets = Vec::new();
        let (mut here, mut end) = (*at, None);
        loop {
            let octet = *message.get(here)?;
            match usize::from(octet) {
                0 => break,
                len @ 1..=LABEL_OCTETS_MAX => {
                    octets.extend(message.get(here..here + 1 + len)?);
                    here += 1 + len;
                }
                0xc0.. => {
                    let to = usize::from(u16::from_be_bytes([octet & 0x3f, *message.get(here + 1)?]));
                    end.get_or_insert(here + 2);
                    here = Some(to).filter(|to| *to < here)?;
                }
                _ => return None,
            }
            if octets.len() >= NAME_OCTETS_MAX {
                return None;
            }
        }
        octets.push(0);
        octets.make_ascii_lowercase();
        *at = end.unwrap_or(here + 1);
        Some(Name(octets.into()))
    }

    /// Its wire octets, lower-case, with the root label at the end.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Its labels from the left, without the root label.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&len, behind) = rest.split_first()?;
            if len == 0 {
                return None;
            }
            let (label, next) = behind.split_at(usize::from(len));
            rest = next;
            Some(label)
        })
    }

    /// How many labels it has, without the root label.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let len = usize::from(self.0[0]);
        (len > 0).then(|| Name(self.0[1 + len..].into()))
    }

    /// Whether it is `ancestor` itself or lies below it.
    pub fn is_within(&self, ancestor: &Name) -> bool {
        let mut at = 0;
        while self.0.len() - at > ancestor.0.len() {
            at += 1 + usize::from(self.0[at]);
        }
        self.0[at..] == *ancestor.0
    }

    /// Whether its first label is `*` (RFC 4592 §2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// The name with `label` in front; `None` where that would be no name.
    pub fn below(&self, label: &[u8]) -> Option<Name> {
        let len = u8::try_from(label.len()).ok()?;
        let fits = (1..=LABEL_OCTETS_MAX).contains(&label.len())
            && label.len() + 1 + self.0.len() <= NAME_OCTETS_MAX;
        fits.then(|| {
            let mut octets = Vec::with_capacity(label.len() + 1 + self.0.len());
            octets.push(len);
            octets.extend(label.iter().map(u8::to_ascii_lowercase));
            octets.extend(&*self.0);
            Name(octets.into())
        })
    }
}

/// How many octets the uncompressed name at the front of `wire` takes; `None` where there is none.
pub fn wire_len(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let len = usize::from(*wire.get(at)?);
        at += 1 + len;
        if len > LABEL_OCTETS_MAX || at > NAME_OCTETS_MAX {
            return None;
        }
        if len == 0 {
            return Some(at);
        }
    }
}

/// Writes the wire octets of a name in presentation form behind `out`, its case as it stands.
///
/// A relative name is completed by `origin` (wire octets); `@` is the origin itself.
/// What is written of a name that fails is taken back.
pub fn encode(text: &[u8], origin: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), NameError> {
    let start = out.len();
    let done = encode_at(text, origin, out, start);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

fn encode_at(text: &[u8], origin: Option<&[u8]>, out: &mut Vec<u8>, start: usize) -> Result<(), NameError> {
    match text {
        b"" => return Err(NameError::Empty),
        b"." => {
            out.push(0);
            return Ok(());
        }
        b"@" => {
            out.extend(origin.ok_or(NameError::Relative)?);
            return Ok(());
        }
        _ => {}
    }
    let mut label = out.len();
    out.push(0);
    let mut rest = text;
    let mut absolute = false;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        absolute = false;
        let plain = match octet {
            b'.' => {
                close_label(out, label)?;
                label = out.len();
                out.push(0);
                absolute = true;
                continue;
            }
            b'\\' => {
                let (plain, behind) = unescape(rest).ok_or(NameError::BadEscape)?;
                rest = behind;
                plain
            }
            other => other,
        };
        if out.len() - label > LABEL_OCTETS_MAX {
            return Err(NameError::LongLabel);
        }
        out.push(plain);
    }
    if !absolute {
        close_label(out, label)?;
        out.extend(origin.ok_or(NameError::Relative)?);
    }
    if out.len() - start > NAME_OCTETS_MAX {
        return Err(NameError::Long);
    }
    Ok(())
}

fn close_label(out: &mut [u8], label: usize) -> Result<(), NameError> {
    let len = out.len() - label - 1;
    if len == 0 {
        return Err(NameError::EmptyLabel);
    }
    out[label] = u8::try_from(len).map_err(|_| NameError::LongLabel)?;
    Ok(())
}

/// The octet that an escape means, and what stands behind it; `rest` begins behind the backslash.
pub fn unescape(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (&first, behind) = rest.split_first()?;
    if !first.is_ascii_digit() {
        return Some((first, behind));
    }
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let value = digits.iter().fold(0u16, |value, digit| value * 10 + u16::from(digit - b'0'));
    Some((u8::try_from(value).ok()?, &rest[3..]))
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0[0] == 0 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(octet))?
                    }
                    0x21..=0x7e => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text, Some(&Name::parse("live.example.com.", None).unwrap())).unwrap()
    }

    #[test]
    fn a_relative_name_is_completed_and_case_does_not_matter() {
        assert_eq!(name("Play"), name("play.LIVE.example.com."));
        assert_eq!(name("@"), name("live.example.com."));
        assert_eq!(name("play").to_string(), "play.live.example.com.");
        assert_eq!(name(".").to_string(), ".");
    }

    #[test]
    fn escapes_stand_for_octets() {
        assert_eq!(name(r"a\.b.example.").labels().next(), Some(&b"a.b"[..]));
        assert_eq!(name(r"\042.example.").labels().next(), Some(&b"*"[..]));
        assert_eq!(name(r"a\.b\000.").to_string(), r"a\.b\000.");
        for bad in [r"\", r"\25", r"\256.", r"a\"] {
            assert_eq!(Name::parse(bad, Some(&Name::root())), Err(NameError::BadEscape), "{bad}");
        }
    }

    #[test]
    fn sizes_are_those_of_the_rfc() {
        let root = Name::root();
        let longest = "a".repeat(63);
        assert!(Name::parse(&longest, Some(&root)).is_ok());
        assert_eq!(Name::parse(&format!("{longest}a"), Some(&root)), Err(NameError::LongLabel));
        let full = format!("{longest}.{longest}.{longest}.{}", "a".repeat(61));
        assert_eq!(Name::parse(&full, Some(&root)).unwrap().octets().len(), 255);
        assert_eq!(Name::parse(&format!("{full}a"), Some(&root)), Err(NameError::Long));
        assert_eq!(Name::parse("a..b", Some(&root)), Err(NameError::EmptyLabel));
        assert_eq!(Name::parse("", Some(&root)), Err(NameError::Empty));
        assert_eq!(Name::parse("a", None), Err(NameError::Relative));
    }

    #[test]
    fn within_means_the_name_or_below_it() {
        assert!(name("a.b").is_within(&name("b")));
        assert!(name("b").is_within(&name("b")));
        assert!(name("b").is_within(&Name::root()));
        assert!(!name("ab").is_within(&name("b")));
        assert!(!name("b").is_within(&name("a.b")));
        assert_eq!(name("a.b").parent(), Some(name("b")));
        assert_eq!(name("b").below(b"A"), Some(name("a.b")));
    }
}
