//! Master files: text to records (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5; `$GENERATE` as BIND 9 has it).
//!
//! ```text
//! Source -> lexer: entries of tokens -> directive, or owner, TTL, class, type -> rdata -> Record
//!                                       all records -> integrity: what holds for the zone as a whole
//! ```

use std::ops::Range;
use std::sync::Arc;

use crate::files::findings::Findings;
use crate::files::generate::Template;
use crate::files::integrity;
use crate::files::issue::{At, Issue, Source};
use crate::files::lexer::{Fault, Lexer, Token, decimal, shown};
use crate::files::rdata;
use crate::files::ttl::{TTL_S_MAX, TimeError, seconds};
use crate::wire::name::Name;
use crate::zone::record::{Record, rtype};

pub use crate::files::loose_ends::loose_ends;

/// How deep `$INCLUDE` may nest; NSD has the same.
pub const INCLUDE_DEPTH_MAX: usize = 10;
/// How many files one zone may include: includes that include fan out.
pub const INCLUDE_FILES_MAX: usize = 1000;
/// How many records all `$GENERATE` of one zone may make: 16 networks of /16.
pub const GENERATED_RECORDS_MAX: usize = 1 << 20;

/// Reads what `$INCLUDE` names: the path as written and the path of the file that says so, to which a
/// relative one is relative. The error is a sentence.
pub type Include<'a> = &'a mut dyn FnMut(&str, &str) -> Result<Arc<Source>, String>;

/// The records of a zone, each once.
#[derive(Debug)]
pub struct ZoneFile {
    /// The name of the zone.
    pub origin: Name,
    /// The records, in the order in which they were written.
    pub records: Vec<Record>,
    /// Where each of them stands: from its first word to its type.
    pub at: Vec<At>,
}

/// Reads the master file `source` of the zone `origin`, and all that it includes.
///
/// Every mistake becomes an issue. What is returned beside errors is what could be read.
pub fn read(source: &Arc<Source>, origin: &Name, include: Include<'_>, issues: &mut Vec<Issue>) -> ZoneFile {
    let mut reader = Reader {
        zone: ZoneFile { origin: origin.clone(), records: Vec::new(), at: Vec::new() },
        findings: Findings::new(issues),
        include,
        open: Vec::new(),
        files: 0,
        generated: 0,
        default_ttl_s: None,
        last_ttl_s: None,
    };
    reader.file(source, origin.clone(), None);
    let Reader { mut zone, mut findings, .. } = reader;
    integrity::check(&mut zone, source, &mut findings);
    zone
}

struct Reader<'a> {
    zone: ZoneFile,
    findings: Findings<'a>,
    include: Include<'a>,
    /// The paths of the files being read, each included by the one before.
    open: Vec<Arc<str>>,
    files: usize,
    generated: usize,
    /// `$TTL` (RFC 2308 §4), or what stands for it.
    default_ttl_s: Option<u32>,
    /// The last TTL written, for files without `$TTL` (RFC 1035 §5.1).
    last_ttl_s: Option<u32>,
}

/// Where in the name space an entry stands.
#[derive(Clone)]
struct Here {
    origin: Name,
    /// The owner of the entry before.
    owner: Option<Name>,
}

/// The text of an entry and what it belongs to.
struct Line<'a> {
    text: &'a str,
    source: &'a Arc<Source>,
    /// The directive that made the text; `None` where it stands in the source itself.
    made_by: Option<Range<usize>>,
}

impl Line<'_> {
    fn at(&self, span: Range<usize>) -> At {
        At { source: self.source.clone(), span: self.made_by.clone().unwrap_or(span) }
    }

    /// The issue of a mistake in this text; of a made one it shows the text.
    fn issue(&self, fault: Fault) -> Issue {
        let what = match &self.made_by {
            Some(_) => format!("`$GENERATE` makes `{}`: {}", shown(self.text), fault.what),
            None => fault.what,
        };
        let issue = Issue::error(self.at(fault.span), what);
        match fault.remedy {
            Some(remedy) => issue.remedy(remedy),
            None => issue,
        }
    }
}

impl Reader<'_> {
    /// Reads a file that begins with `origin`, and with `owner` as that of the entry before.
    fn file(&mut self, source: &Arc<Source>, origin: Name, owner: Option<Name>) {
        self.open.push(source.path.clone());
        let line = Line { text: &source.text, source, made_by: None };
        let mut here = Here { origin, owner };
        let (mut lexer, mut tokens) = (Lexer::new(&source.text), Vec::new());
        if source.text.starts_with('\u{feff}') {
            let mark =
                Fault::new(0..3, "the file begins with a byte order mark, which NSD, Knot and BIND refuse");
            self.findings.tell(line.issue(mark.remedy("save it as UTF-8 without BOM")));
            lexer = Lexer::behind(&source.text, 3);
        }
        while !self.findings.is_full()
            && let Some(entry) = lexer.next_entry(&mut tokens)
        {
            let done = entry.and_then(|indented| {
                let first = tokens[0];
                match first.written(line.text) {
                    word if !indented && first.is_word() && word.starts_with('$') => {
                        self.directive(&line, &tokens, &mut here)
                    }
                    _ => self.entry(&line, &tokens, indented, &mut here),
                }
            });
            if let Err(fault) = done {
                self.findings.tell(line.issue(fault));
            }
        }
        self.open.pop();
    }

    fn directive(&mut self, line: &Line<'_>, tokens: &[Token], here: &mut Here) -> Result<(), Fault> {
        let word = tokens[0].written(line.text);
        let most = match word.to_ascii_uppercase().as_str() {
            "$ORIGIN" => {
                let name = argument(line, tokens, "the name that completes relative names")?;
                here.origin = name_of(line, name, &here.origin)?;
                2
            }
            "$TTL" => {
                let time = argument(line, tokens, "a time in seconds, or `1h30m`")?;
                self.default_ttl_s = Some(ttl_of(line, time)?);
                2
            }
            "$INCLUDE" => {
                let path = argument(line, tokens, "a path")?;
                let origin = match tokens.get(2) {
                    Some(&name) => name_of(line, name, &here.origin)?,
                    None => here.origin.clone(),
                };
                no_more(line, tokens, 3)?;
                self.include_file(line, path, origin, here.owner.clone())?;
                3
            }
            "$GENERATE" => return self.generate(line, tokens, here),
            _ => {
                return Err(Fault::new(
                    tokens[0].span(),
                    format!("no directive is called `{}`", shown(word)),
                )
                .remedy("there are `$ORIGIN`, `$TTL`, `$INCLUDE` and `$GENERATE`"));
            }
        };
        no_more(line, tokens, most)
    }

    fn include_file(
        &mut self,
        line: &Line<'_>,
        path: Token,
        origin: Name,
        owner: Option<Name>,
    ) -> Result<(), Fault> {
        let fault = |what: String| Fault::new(path.span(), what);
        let written = String::from_utf8(path.octets(line.text))
            .map_err(|_| fault("a path that is not UTF-8".to_string()))?;
        self.files += 1;
        if self.files > INCLUDE_FILES_MAX {
            return Err(fault(format!("more than {INCLUDE_FILES_MAX} files are included")));
        }
        if self.open.len() > INCLUDE_DEPTH_MAX {
            return Err(fault(format!("`$INCLUDE` nests more than {INCLUDE_DEPTH_MAX} deep")));
        }
        let included = (self.include)(&written, &line.source.path)
            .map_err(|why| fault(format!("`{written}` cannot be included: {why}")))?;
        if self.open.contains(&included.path) {
            return Err(fault(format!("`{written}` includes itself, directly or through others")));
        }
        self.file(&included, origin, owner);
        Ok(())
    }

    fn generate(&mut self, line: &Line<'_>, tokens: &[Token], here: &Here) -> Result<(), Fault> {
        let template = Template::read(line.text, tokens)?;
        let span = tokens[0].start()..tokens.last().map_or(0, |token| token.span().end);
        let mut here = here.clone();
        let mut made_tokens = Vec::new();
        for index in template.indices() {
            self.generated += 1;
            if self.generated > GENERATED_RECORDS_MAX {
                return Err(Fault::new(
                    tokens[1].span(),
                    format!("`$GENERATE` makes more than {GENERATED_RECORDS_MAX} records in this zone"),
                ));
            }
            let text = template.expand(index).map_err(|what| Fault::new(span.clone(), what))?;
            let made = Line { text: &text, source: line.source, made_by: Some(span.clone()) };
            let mut lexer = Lexer::new(&text);
            let done = match lexer.next_entry(&mut made_tokens) {
                Some(Ok(_)) => self.entry(&made, &made_tokens, false, &mut here),
                Some(Err(fault)) => Err(fault),
                None => Ok(()),
            };
            if let Err(fault) = done {
                // What is wrong with one of them is wrong with most.
                self.findings.tell(made.issue(fault));
                return Ok(());
            }
        }
        Ok(())
    }

    /// `[owner] [ttl] [class] type rdata`, the TTL and the class in either order.
    fn entry(
        &mut self,
        line: &Line<'_>,
        tokens: &[Token],
        indented: bool,
        here: &mut Here,
    ) -> Result<(), Fault> {
        let mut next = 0;
        if !indented {
            // A mistaken owner must not lend the next records the owner before it.
            here.owner = None;
            here.owner = Some(name_of(line, tokens[0], &here.origin)?);
            if !tokens[0].written(line.text).is_ascii() {
                let what = "an owner with letters beyond ASCII, taken as UTF-8 octets";
                let issue = Issue::warning(line.at(tokens[0].span()), what);
                self.findings.tell(issue.remedy("browsers ask for the `xn--` form (RFC 5891)"));
            }
            next = 1;
        }
        let (mut ttl_s, mut class) = (None, false);
        let (rtype, at) = loop {
            let Some(&token) = tokens.get(next) else {
                let last = tokens[next - 1].span();
                return Err(Fault::new(last, "the record ends before its type")
                    .remedy("a record is `owner [ttl] [class] type data`"));
            };
            next += 1;
            let word = token.written(line.text);
            if !token.is_word() {
                let what = format!("`{}` stands where the type ought to", shown(&line.text[token.span()]));
                return Err(Fault::new(token.span(), what));
            }
            if word.starts_with(|first: char| first.is_ascii_digit()) {
                if ttl_s.replace(ttl_of(line, token)?).is_some() {
                    return Err(Fault::new(token.span(), "the record has two TTLs"));
                }
            } else if is_class(word) {
                if !matches!(word.to_ascii_uppercase().as_str(), "IN" | "CLASS1") {
                    return Err(Fault::new(token.span(), format!("a record of class `{}`", shown(word)))
                        .remedy("steerdns serves the class IN alone"));
                }
                if std::mem::replace(&mut class, true) {
                    return Err(Fault::new(token.span(), "the record has two classes"));
                }
            } else {
                break (type_of(line, token)?, token);
            }
        };
        let owner = here.owner.clone().ok_or_else(|| {
            Fault::new(
                tokens[0].span(),
                "no owner: the line begins with a blank, and no record stands before it",
            )
            .remedy("`@` is the zone itself")
        })?;
        if !owner.is_within(&self.zone.origin) {
            return Err(Fault::new(
                tokens[0].span(),
                format!("`{owner}` lies outside the zone `{}`", self.zone.origin),
            ));
        }
        let data = rdata::read(rtype, line.text, &tokens[next..], at.span(), here.origin.octets())?;
        let ttl_s = match ttl_s.inspect(|&ttl_s| self.last_ttl_s = Some(ttl_s)) {
            Some(written) => written,
            None => self.missing_ttl_s(rtype, &data).ok_or_else(|| {
                Fault::new(at.span(), "the record has no TTL, and none is known for it")
                    .remedy("write `$TTL 1h` at the top of the file")
            })?,
        };
        self.zone.records.push(Record { owner, rtype, ttl_s, rdata: data });
        self.zone.at.push(line.at(tokens[0].start()..at.span().end));
        Ok(())
    }

    /// The TTL of a record that gives none: `$TTL` (RFC 2308 §4); without it the last one written
    /// (RFC 1035 §5.1); before any, the minimum of the SOA, as BIND does.
    fn missing_ttl_s(&mut self, of: u16, rdata: &[u8]) -> Option<u32> {
        if let Some(known) = self.default_ttl_s.or(self.last_ttl_s) {
            return Some(known);
        }
        if of == rtype::SOA {
            let minimum = rdata.last_chunk().map(|minimum| u32::from_be_bytes(*minimum));
            self.default_ttl_s = minimum.filter(|&minimum| minimum <= TTL_S_MAX);
        }
        self.default_ttl_s
    }
}

fn argument(line: &Line<'_>, tokens: &[Token], what: &str) -> Result<Token, Fault> {
    tokens.get(1).copied().ok_or_else(|| {
        let directive = tokens[0].written(line.text);
        Fault::new(tokens[0].span(), format!("`{directive}` ends where {what} ought to stand"))
    })
}

fn no_more(line: &Line<'_>, tokens: &[Token], most: usize) -> Result<(), Fault> {
    match tokens.get(most) {
        None => Ok(()),
        Some(token) => {
            let (word, directive) = (shown(&line.text[token.span()]), tokens[0].written(line.text));
            Err(Fault::new(token.span(), format!("`{word}` is more than `{directive}` takes")))
        }
    }
}

fn name_of(line: &Line<'_>, token: Token, origin: &Name) -> Result<Name, Fault> {
    let word = token.written(line.text);
    if !token.is_word() {
        let what = format!("`{}` is no name: names are not quoted", shown(&line.text[token.span()]));
        return Err(Fault::new(token.span(), what));
    }
    Name::parse(word, Some(origin))
        .map_err(|error| Fault::new(token.span(), format!("`{}` is no name: {error}", shown(word))))
}

fn ttl_of(line: &Line<'_>, token: Token) -> Result<u32, Fault> {
    let word = token.written(line.text);
    let fault = |what: &str| Fault::new(token.span(), format!("`{}` {what}", shown(word)));
    match seconds(word) {
        Ok(ttl_s) if ttl_s <= TTL_S_MAX => Ok(ttl_s),
        Ok(_) | Err(TimeError::Large) => {
            Err(fault("is too long for a TTL: 2147483647 is the most (RFC 2181 §8)"))
        }
        Err(TimeError::Form) => {
            Err(fault("is no TTL").remedy("write seconds, or numbers with units of `w d h m s`: `1h30m`"))
        }
    }
}

fn is_class(word: &str) -> bool {
    let numbered = word.get(..5).is_some_and(|front| front.eq_ignore_ascii_case("class"));
    let named = ["IN", "CH", "HS", "CS", "ANY", "NONE"].iter().any(|class| word.eq_ignore_ascii_case(class));
    named || (numbered && decimal(&word[5..]).is_some())
}

fn type_of(line: &Line<'_>, token: Token) -> Result<u16, Fault> {
    let word = token.written(line.text);
    let Some(rtype) = rdata::rtype(word) else {
        let fault = Fault::new(token.span(), format!("no record type is called `{}`", shown(word)));
        return Err(match nearest_type(word) {
            Some(near) => fault.remedy(format!("there is `{near}`")),
            None => fault.remedy("a type without a name here is written `TYPE123` (RFC 3597)"),
        });
    };
    if rdata::is_meta(rtype) {
        let what = format!("`{}` stands in messages, never in a zone", shown(word));
        return Err(Fault::new(token.span(), what));
    }
    if matches!(rtype, rtype::RRSIG | rtype::NSEC | rtype::NSEC3 | rtype::NSEC3PARAM) {
        let what = format!("steerdns serves no `{}` from a file", shown(word));
        return Err(Fault::new(token.span(), what)
            .remedy("its answers change, so signatures over a file cannot hold: give the unsigned zone"));
    }
    Ok(rtype)
}

/// The usual type whose name is nearest to `word`.
fn nearest_type(word: &str) -> Option<&'static str> {
    const USUAL: [&str; 24] = [
        "A", "AAAA", "CAA", "CDNSKEY", "CDS", "CNAME", "DNAME", "DNSKEY", "DS", "HINFO", "HTTPS", "LOC",
        "MX", "NAPTR", "NS", "PTR", "RP", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT",
    ];
    let word = word.to_ascii_uppercase();
    let near = USUAL.iter().map(|usual| (strsim::osa_distance(&word, usual), *usual)).min()?;
    (near.0 <= 2 && near.0 < word.len().min(near.1.len() + 1)).then_some(near.1)
}
