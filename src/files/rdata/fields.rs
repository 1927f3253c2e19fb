//! The fields of one record's RDATA: a cursor over its tokens that remembers where it stands.

use std::net::Ipv4Addr;
use std::ops::Range;

use domain::utils::base64;

use crate::files::lexer::{Fault, Token, decimal, shown};
use crate::wire::name;

/// The most octets of a character-string (RFC 1035 §3.3).
pub(super) const STRING_OCTETS_MAX: usize = 255;
/// The most octets of RDATA: what its 16 bit length can say (RFC 1035 §3.2.1).
pub(super) const RDATA_OCTETS_MAX: usize = 65_535;

/// What stands behind a record's type, read from the left.
pub(super) struct Fields<'a> {
    /// The text that the tokens were cut from.
    pub(super) text: &'a str,
    /// Wire octets of what completes relative names.
    pub(super) origin: &'a [u8],
    tokens: &'a [Token],
    /// How many tokens were taken.
    taken: usize,
    /// Where the record's type stands: what an empty RDATA is told of.
    rtype: Range<usize>,
}

impl<'a> Fields<'a> {
    /// The fields in `tokens`, which stand behind the type at `rtype`.
    pub(super) fn new(
        text: &'a str,
        origin: &'a [u8],
        tokens: &'a [Token],
        rtype: Range<usize>,
    ) -> Fields<'a> {
        Fields { text, origin, tokens, taken: 0, rtype }
    }

    /// The next token, which stays there.
    pub(super) fn peek(&self) -> Option<Token> {
        self.tokens.get(self.taken).copied()
    }

    /// The next token; `None` behind the last.
    pub(super) fn take(&mut self) -> Option<Token> {
        let token = self.peek()?;
        self.taken += 1;
        Some(token)
    }

    /// How many were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// The octets of the last token taken, or of the type before any was.
    pub(super) fn last(&self) -> Range<usize> {
        self.taken.checked_sub(1).map_or_else(|| self.rtype.clone(), |index| self.tokens[index].span())
    }

    /// A mistake in the last token taken; `%` in the sentence stands for it.
    pub(super) fn fault(&self, what: &str) -> Fault {
        let span = self.last();
        let shown = shown(&self.text[span.clone()]);
        Fault::new(span, what.replacen('%', &shown, 1))
    }

    /// The next token as written, which may not be quoted; `what` is what it ought to be.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, Fault> {
        let token = self.needed(what)?;
        Ok(token.written(self.text))
    }

    /// The next token; `what` is what it ought to be.
    pub(super) fn needed(&mut self, what: &str) -> Result<Token, Fault> {
        match self.take() {
            Some(token) => Ok(token),
            None => Err(Fault::new(self.last(), format!("the record ends where its {what} ought to stand"))),
        }
    }

    /// A decimal number of at most `max`.
    pub(super) fn number(&mut self, what: &str, max: u32) -> Result<u32, Fault> {
        let word = self.word(what)?;
        decimal(word)
            .filter(|&number| number <= u64::from(max))
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| self.fault(&format!("`%` is no {what}: that is a number from 0 to {max}")))
    }

    /// A domain name, written behind `out` as wire octets.
    pub(super) fn name(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        let token = self.needed(what)?;
        if !token.is_word() {
            return Err(self.fault(&format!("`%` is no {what}: names are not quoted")));
        }
        let word = token.written(self.text);
        name::encode(word.as_bytes(), Some(self.origin), out)
            .map_err(|error| self.fault(&format!("`%` is no {what}: {error}")))
    }

    /// A character-string, written behind `out` with its length in front.
    pub(super) fn string(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        let octets = self.needed(what)?.octets(self.text);
        let len = u8::try_from(octets.len()).map_err(|_| {
            self.fault(&format!("a {what} has {} octets, and {STRING_OCTETS_MAX} is the most", octets.len()))
                .remedy("split it into several strings, each in quotes of its own")
        })?;
        out.push(len);
        out.extend(octets);
        self.bounded(out)
    }

    /// An IPv4 address.
    pub(super) fn ipv4(&mut self, what: &str) -> Result<Ipv4Addr, Fault> {
        self.word(what)?.parse().map_err(|_| self.fault("`%` is no IPv4 address"))
    }

    /// Hexadecimal digits to the end of the record, blanks between them as one likes.
    pub(super) fn hex(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut half: Option<u8> = None;
        while let Some(token) = self.take() {
            for octet in token.written(self.text).bytes() {
                let Some(digit) = char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
                else {
                    return Err(self.fault("`%` is not hexadecimal"));
                };
                half = match half {
                    None => Some(digit),
                    Some(high) => {
                        out.push(high << 4 | digit);
                        None
                    }
                };
            }
            self.bounded(out)?;
        }
        if half.is_some() {
            return Err(self.fault("an odd number of hexadecimal digits"));
        }
        Ok(())
    }

    /// Base64 (RFC 4648 §4) to the end of the record, blanks within as one likes; at least one word.
    pub(super) fn base64(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut all = self.word(what)?.to_string();
        while let Some(token) = self.take() {
            all.push_str(token.written(self.text));
        }
        let octets =
            base64::decode::<Vec<u8>>(&all).map_err(|_| self.fault(&format!("the {what} is not base64")))?;
        out.extend(octets);
        self.bounded(out)
    }

    /// Refuses what is longer than RDATA may be.
    pub(super) fn bounded(&self, out: &[u8]) -> Result<(), Fault> {
        if out.len() > RDATA_OCTETS_MAX {
            return Err(self.fault(&format!("the record's data has more than {RDATA_OCTETS_MAX} octets")));
        }
        Ok(())
    }
}
