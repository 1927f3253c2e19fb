//! `$GENERATE range owner [ttl] [class] type data` (BIND 9): records by counting.

use std::fmt::Write as _;
use std::ops::Range;

use crate::files::lexer::{Fault, Token, decimal, shown};

/// The most characters to which one number is padded.
const WIDTH_MAX: usize = 255;
/// The largest index and offset, as in BIND.
const INDEX_MAX: u64 = 0x7fff_ffff;

/// What is made, and for which numbers.
pub(super) struct Template {
    first: u64,
    last: u64,
    step: usize,
    owner: Vec<Part>,
    /// TTL, class and type, as they stand.
    middle: String,
    data: Vec<Part>,
}

enum Part {
    /// Text as it stands, escapes included.
    Plain(String),
    /// The number, changed.
    Number { offset: i64, width: usize, base: Base },
}

#[derive(Clone, Copy)]
enum Base {
    Decimal,
    Octal,
    Hex,
    HexUpper,
    /// Hexadecimal digits, lowest first, with dots between: `ip6.arpa`.
    Nibbles,
    NibblesUpper,
}

impl Template {
    /// Reads the words of the directive, itself the first.
    pub(super) fn read(text: &str, tokens: &[Token]) -> Result<Template, Fault> {
        let [directive, range, owner, middle @ .., data] = tokens else {
            let span = tokens.last().map_or(0..0, Token::span);
            return Err(usage(span, "`$GENERATE` ends too early"));
        };
        if middle.is_empty() {
            return Err(usage(directive.span(), "`$GENERATE` ends too early"));
        }
        if middle.len() > 3 {
            return Err(usage(middle[3].span(), "`$GENERATE` takes the data as one word")
                .remedy("put data of several words in quotes: `MX \"10 mx$\"`"));
        }
        let (first, last, step) = range_of(range.written(text))
            .ok_or_else(|| usage(range.span(), &format!("`{}` is no range", shown(range.written(text)))))?;
        let parts = |token: &Token| {
            let written = token.written(text);
            let written = if token.is_quoted() { written.replace("\\\"", "\"") } else { written.to_string() };
            parts(&written).map_err(|what| Fault::new(token.span(), what))
        };
        let middle: Vec<&str> = middle.iter().map(|token| &text[token.span()]).collect();
        Ok(Template { first, last, step, owner: parts(owner)?, middle: middle.join(" "), data: parts(data)? })
    }

    /// The numbers for which records are made.
    pub(super) fn indices(&self) -> impl Iterator<Item = u64> + use<> {
        (self.first..=self.last).step_by(self.step)
    }

    /// The record for one number, as text.
    pub(super) fn expand(&self, index: u64) -> Result<String, String> {
        let mut text = String::new();
        write_parts(&self.owner, index, &mut text)?;
        text.push(' ');
        text.push_str(&self.middle);
        text.push(' ');
        write_parts(&self.data, index, &mut text)?;
        Ok(text)
    }
}

fn usage(span: Range<usize>, what: &str) -> Fault {
    Fault::new(span, what).remedy("it is written `$GENERATE 1-100[/step] owner [ttl] [class] type data`")
}

/// `first-last` or `first-last/step`.
fn range_of(word: &str) -> Option<(u64, u64, usize)> {
    let (range, step) = word.split_once('/').unwrap_or((word, "1"));
    let (first, last) = range.split_once('-')?;
    let (first, last, step) = (decimal(first)?, decimal(last)?, decimal(step)?);
    let fits = first <= last && last <= INDEX_MAX && (1..=INDEX_MAX).contains(&step);
    fits.then_some((first, last, usize::try_from(step).ok()?))
}

/// Cuts at `$` and `${offset,width,base}`; `\$` and `$$` are a dollar.
fn parts(written: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = written.chars();
    while let Some(char) = rest.next() {
        match char {
            '\\' => {
                plain.push('\\');
                plain.extend(rest.next());
            }
            '$' if rest.as_str().starts_with('$') => {
                rest.next();
                plain.push_str("\\$");
            }
            '$' => {
                parts.push(Part::Plain(std::mem::take(&mut plain)));
                let Some(changes) = rest.as_str().strip_prefix('{') else {
                    parts.push(Part::Number { offset: 0, width: 0, base: Base::Decimal });
                    continue;
                };
                let (changes, behind) = changes.split_once('}').ok_or("a `${` that no `}` closes")?;
                parts.push(number(changes).ok_or_else(|| {
                    format!(
                        "`${{{}}}` is not `${{offset,width,base}}` with a base of `d o x X n N`",
                        shown(changes)
                    )
                })?);
                rest = behind.chars();
            }
            _ => plain.push(char),
        }
    }
    parts.push(Part::Plain(plain));
    Ok(parts)
}

fn number(changes: &str) -> Option<Part> {
    let mut fields = changes.split(',');
    let offset = fields.next()?;
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, offset.strip_prefix('+').unwrap_or(offset)),
    };
    let offset = sign * i64::try_from(decimal(digits).filter(|&offset| offset <= INDEX_MAX)?).ok()?;
    let width = match fields.next() {
        None => 0,
        Some(width) => usize::try_from(decimal(width)?).ok().filter(|&width| width <= WIDTH_MAX)?,
    };
    let base = match fields.next() {
        None | Some("d") => Base::Decimal,
        Some("o") => Base::Octal,
        Some("x") => Base::Hex,
        Some("X") => Base::HexUpper,
        Some("n") => Base::Nibbles,
        Some("N") => Base::NibblesUpper,
        Some(_) => return None,
    };
    fields.next().is_none().then_some(Part::Number { offset, width, base })
}

fn write_parts(parts: &[Part], index: u64, text: &mut String) -> Result<(), String> {
    for part in parts {
        let (offset, width, base) = match part {
            Part::Plain(plain) => {
                text.push_str(plain);
                continue;
            }
            Part::Number { offset, width, base } => (*offset, *width, *base),
        };
        let value =
            index.checked_add_signed(offset).filter(|&value| value <= INDEX_MAX).ok_or_else(|| {
                format!("the offset {offset} takes {index} out of the range from 0 to {INDEX_MAX}")
            })?;
        let written = match base {
            Base::Decimal => write!(text, "{value:0width$}"),
            Base::Octal => write!(text, "{value:0width$o}"),
            Base::Hex => write!(text, "{value:0width$x}"),
            Base::HexUpper => write!(text, "{value:0width$X}"),
            Base::Nibbles | Base::NibblesUpper => {
                text.push_str(&nibbles(value, width, matches!(base, Base::NibblesUpper)));
                Ok(())
            }
        };
        written.expect("a String takes what is written");
    }
    Ok(())
}

/// As BIND counts: `width` covers digits and dots, and ends with a dot where it is even.
fn nibbles(mut value: u64, mut width: usize, upper: bool) -> String {
    let mut text = String::new();
    loop {
        let digit = char::from_digit((value & 15) as u32, 16).expect("below 16");
        text.push(if upper { digit.to_ascii_uppercase() } else { digit });
        value >>= 4;
        width = width.saturating_sub(1);
        if width > 0 || value != 0 {
            text.push('.');
            width = width.saturating_sub(1);
        }
        if value == 0 && width == 0 {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(written: &str, index: u64) -> String {
        let mut text = String::new();
        write_parts(&parts(written).unwrap(), index, &mut text).unwrap();
        text
    }

    #[test]
    fn a_dollar_is_the_number() {
        assert_eq!(made("host-$", 7), "host-7");
        assert_eq!(made("$.$", 7), "7.7");
        assert_eq!(made(r"a\$b", 7), r"a\$b");
        assert_eq!(made("a$$b", 7), r"a\$b");
        assert_eq!(made("${100}", 7), "107");
        assert_eq!(made("${-5}", 7), "2");
    }

    #[test]
    fn numbers_are_padded_and_change_their_base() {
        assert_eq!(made("${0,3}", 7), "007");
        assert_eq!(made("${0,3,d}", 7), "007");
        assert_eq!(made("${0,2,x}", 255), "ff");
        assert_eq!(made("${0,4,X}", 255), "00FF");
        assert_eq!(made("${0,0,o}", 8), "10");
    }

    #[test]
    fn nibbles_are_for_ip6_arpa() {
        assert_eq!(made("${0,7,n}", 0xabc), "c.b.a.0");
        assert_eq!(made("${0,0,N}", 0xab), "B.A");
        assert_eq!(made("${0,1,n}", 5), "5");
    }

    #[test]
    fn ranges_have_an_end_and_a_step() {
        assert_eq!(range_of("1-3"), Some((1, 3, 1)));
        assert_eq!(range_of("0-10/5"), Some((0, 10, 5)));
        for bad in ["1", "3-1", "1-3/0", "-3", "1-", "a-b", "1-99999999999"] {
            assert_eq!(range_of(bad), None, "{bad}");
        }
    }
}
