//! Entries and tokens of master files (RFC 1035 §5.1): lines, blanks, comments, parentheses, quotes, escapes.

use std::ops::Range;

use crate::wire::name::unescape;

/// One word or quoted string of an entry: octets of the text that it was cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    start: usize,
    end: usize,
    /// Where its opening quote stands; behind its start only in `key="value"`.
    quote: Option<usize>,
}

impl Token {
    /// The octets that it covers, quotes included.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Where it begins.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Whether it is a quoted string from end to end.
    pub(super) fn is_quoted(&self) -> bool {
        self.quote == Some(self.start)
    }

    /// Whether nothing of it is quoted.
    pub(super) fn is_word(&self) -> bool {
        self.quote.is_none()
    }

    /// What was written, without the quotes around a quoted string; escapes as they stand.
    pub(super) fn written<'a>(&self, text: &'a str) -> &'a str {
        if self.is_quoted() { &text[self.start + 1..self.end - 1] } else { &text[self.start..self.end] }
    }

    /// The octets that it stands for: quotes gone, escapes resolved (the lexer has seen that they can be).
    pub(super) fn octets(&self, text: &str) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.end - self.start);
        for (octet, _) in self.symbols(text) {
            octets.push(octet);
        }
        octets
    }

    /// Each octet that it stands for, and whether it was escaped.
    pub(super) fn symbols<'a>(&self, text: &'a str) -> impl Iterator<Item = (u8, bool)> + use<'a> {
        let Token { start, end, quote } = *self;
        let mut rest = &text.as_bytes()[start..if quote.is_some() { end - 1 } else { end }];
        std::iter::from_fn(move || {
            if let Some(quote) = quote
                && rest.len() == end - 1 - quote
            {
                rest = &rest[1..];
            }
            let (&octet, behind) = rest.split_first()?;
            if octet == b'\\'
                && let Some((octet, behind)) = unescape(behind)
            {
                rest = behind;
                return Some((octet, true));
            }
            rest = behind;
            Some((octet, false))
        })
    }
}

/// A mistake, and the octets of the text at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The octets at fault.
    pub(super) span: Range<usize>,
    /// The sentence of an `Issue`.
    pub(super) what: String,
    /// Its remedy.
    pub(super) remedy: Option<String>,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, what: impl Into<String>) -> Fault {
        Fault { span, what: what.into(), remedy: None }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Fault {
        Fault { remedy: Some(remedy.into()), ..self }
    }
}

/// Cuts a text into entries: lines with something on them, parentheses joining several.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    /// Leaves out the octets before `at`.
    pub(super) fn behind(text: &'a str, at: usize) -> Lexer<'a> {
        Lexer { text, at }
    }

    /// The next entry: its tokens, at least one, replace `tokens`. Whether its line began with a blank,
    /// which is to say that its owner is that of the entry before. `None` at the end of the text.
    ///
    /// After a mistake the next call goes on behind it.
    pub(super) fn next_entry(&mut self, tokens: &mut Vec<Token>) -> Option<Result<bool, Fault>> {
        tokens.clear();
        let octets = self.text.as_bytes();
        let mut indented = self.begins_blank();
        let mut open = None;
        while let Some(&octet) = octets.get(self.at) {
            let fault = match octet {
                b' ' | b'\t' => {
                    self.at += 1;
                    continue;
                }
                b'\n' | b'\r' => {
                    self.at += 1;
                    if open.is_some() {
                        continue;
                    }
                    if !tokens.is_empty() {
                        return Some(Ok(indented));
                    }
                    indented = self.begins_blank();
                    continue;
                }
                b';' => {
                    self.at = self.line_end();
                    continue;
                }
                b'(' if open.is_none() => {
                    open = Some(self.at);
                    self.at += 1;
                    continue;
                }
                b'(' => Fault::new(self.at..self.at + 1, "a `(` within parentheses")
                    .remedy("close the first pair, or write the parenthesis as `\\(`"),
                b')' if open.is_some() => {
                    open = None;
                    self.at += 1;
                    continue;
                }
                b')' => Fault::new(self.at..self.at + 1, "a `)` without a `(` before it")
                    .remedy("write it as `\\)` if it belongs to the word"),
                _ => match self.token(octet) {
                    Ok(token) => {
                        tokens.push(token);
                        continue;
                    }
                    Err(fault) => fault,
                },
            };
            self.skip_mistake(open.is_some());
            return Some(Err(fault));
        }
        if let Some(open) = open {
            self.at = open;
            self.skip_mistake(true);
            return Some(Err(Fault::new(open..open + 1, "a `(` that nothing closes")
                .remedy("put a `)` behind the last word of the record")));
        }
        (!tokens.is_empty()).then_some(Ok(indented))
    }

    fn begins_blank(&self) -> bool {
        matches!(self.text.as_bytes().get(self.at), Some(b' ' | b'\t'))
    }

    fn line_end(&self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        self.at + rest.iter().position(|octet| matches!(octet, b'\n' | b'\r')).unwrap_or(rest.len())
    }

    /// Goes to the next line; from within parentheses to the next that begins with an owner or a directive.
    fn skip_mistake(&mut self, parenthesized: bool) {
        loop {
            self.at = (self.line_end() + 1).min(self.text.len());
            let first = self.text.as_bytes().get(self.at);
            if !parenthesized || !matches!(first, Some(b' ' | b'\t' | b'\r' | b'\n' | b')' | b';')) {
                return;
            }
        }
    }

    /// The token that begins here, with `first`.
    fn token(&mut self, first: u8) -> Result<Token, Fault> {
        let start = self.at;
        let mut quote = None;
        if first == b'"' {
            quote = Some(start);
        } else {
            self.word()?;
            let octets = self.text.as_bytes();
            if octets.get(self.at) == Some(&b'"') && octets[start..self.at].ends_with(b"=") {
                quote = Some(self.at);
            }
        }
        if let Some(quote) = quote {
            self.quoted(quote)?;
        }
        Ok(Token { start, end: self.at, quote })
    }

    fn word(&mut self) -> Result<(), Fault> {
        while let Some(&octet) = self.text.as_bytes().get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                _ => self.symbol(octet)?,
            }
        }
        Ok(())
    }

    /// Goes behind the closing quote of the string that `quote` opens.
    fn quoted(&mut self, quote: usize) -> Result<(), Fault> {
        self.at = quote + 1;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                None | Some(b'\n' | b'\r') => {
                    return Err(Fault::new(quote..quote + 1, "a `\"` that nothing closes on its line")
                        .remedy("close the string, or write a quote within it as `\\\"`"));
                }
                Some(&octet) => self.symbol(octet)?,
            }
        }
    }

    /// Goes behind one octet of a word or string, or behind one escape.
    fn symbol(&mut self, octet: u8) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        match octet {
            0 => Err(Fault::new(self.at..self.at + 1, "an octet of value 0")
                .remedy("write it as `\\000`; or the file is no text")),
            b'\\' if matches!(rest.first(), None | Some(b'\r' | b'\n')) => {
                Err(Fault::new(self.at..self.at + 1, "a `\\` at the end of a line")
                    .remedy("write it as `\\\\`; lines are joined by parentheses"))
            }
            b'\\' => {
                let Some((_, behind)) = unescape(rest) else {
                    let digits = rest.iter().take(3).take_while(|digit| digit.is_ascii_digit()).count();
                    return Err(Fault::new(
                        self.at..self.at + 1 + digits,
                        "a `\\` must be followed by a character or by three digits up to 255",
                    ));
                };
                self.at += 1 + rest.len() - behind.len();
                Ok(())
            }
            _ => {
                self.at += 1;
                Ok(())
            }
        }
    }
}

/// What a sentence shows of a token: its beginning.
pub(super) fn shown(token: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 48;
    match token.char_indices().nth(SHOWN_CHARS_MAX) {
        None => token.to_string(),
        Some((cut, _)) => format!("{}…", &token[..cut]),
    }
}

/// A number of decimal digits alone.
pub(super) fn decimal(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Result<(bool, Vec<String>), Fault>> {
        let (mut lexer, mut tokens) = (Lexer::new(text), Vec::new());
        let mut all = Vec::new();
        while let Some(entry) = lexer.next_entry(&mut tokens) {
            all.push(entry.map(|indented| {
                let words =
                    tokens.iter().map(|token| String::from_utf8_lossy(&token.octets(text)).into_owned());
                (indented, words.collect())
            }));
        }
        all
    }

    fn one(text: &str) -> (bool, Vec<String>) {
        let mut all = entries(text);
        assert_eq!(all.len(), 1, "{text:?} gives {all:?}");
        all.remove(0).unwrap()
    }

    #[test]
    fn comments_blank_lines_and_line_ends_do_not_matter() {
        for text in ["a b", "a b\n", "\r\n; c\r\na\tb ; \"c\r\n", "\n \n\t; x\na b", "a;b\n"] {
            let (indented, words) = one(text);
            assert!(!indented);
            assert_eq!(words[0], "a");
        }
        assert!(entries("").is_empty());
        assert!(entries(" \t\r\n;").is_empty());
    }

    #[test]
    fn a_blank_in_front_says_that_the_owner_is_inherited() {
        assert_eq!(one("  A"), (true, vec!["A".to_string()]));
        assert_eq!(one("; x\n\tA"), (true, vec!["A".to_string()]));
    }

    #[test]
    fn parentheses_join_lines() {
        assert_eq!(one("a ( b ; c )\n d\n)e").1, ["a", "b", "d", "e"]);
        assert_eq!(one("a(b)c").1, ["a", "b", "c"]);
    }

    #[test]
    fn quotes_keep_what_is_special_elsewhere() {
        assert_eq!(one(r#"a "b;c ( \" \\ " "" "d""e""#).1, ["a", "b;c ( \" \\ ", "", "d", "e"]);
    }

    #[test]
    fn a_value_may_be_quoted_behind_an_equals_sign() {
        assert_eq!(one(r#"a alpn="h2 , h3" port=1"#).1, ["a", "alpn=h2 , h3", "port=1"]);
        assert_eq!(one(r#"a b"c""#).1, ["a", "b", "c"]);
    }

    #[test]
    fn escapes_stand_for_octets_and_hide_what_is_special() {
        assert_eq!(one(r"a\032b\;c\(\065").1, ["a b;c(A"]);
        assert_eq!(one("a\\\"b\\\\").1, ["a\"b\\"]);
    }

    #[test]
    fn after_a_mistake_the_next_line_is_read() {
        for bad in ["a \"b", "a )", "a \\256", "a \\25", "a \0", "a \\"] {
            let all = entries(&format!("{bad}\nc d"));
            assert_eq!(all.len(), 2, "{bad:?}");
            assert!(all[0].is_err() && all[1].is_ok(), "{bad:?}");
        }
    }

    #[test]
    fn an_open_parenthesis_does_not_hide_the_rest_of_the_file() {
        let all = entries("a SOA ( 1\n 2\n 3\n\n; x\nb A\nc A");
        assert!(all[0].is_err());
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn only_digits_make_a_number() {
        assert_eq!(decimal("007"), Some(7));
        for bad in ["", "+1", "-1", "1 ", "0x1"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}
