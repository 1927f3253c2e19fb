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
use crate::files::head::{self, Head};
use crate::files::integrity;
use crate::files::issue::{At, Issue, Source};
use crate::files::lexer::{Fault, Lexer, Token, shown};
use crate::files::rdata;
use crate::files::ttl::TTL_S_MAX;
use crate::wire::name::{Name, encode};
use crate::zone::record::{Record, rtype};

pub use crate::files::loose_ends::loose_ends;

/// How deep `$INCLUDE` may nest; NSD has the same.
pub const INCLUDE_DEPTH_MAX: usize = 10;
/// How many files one zone may include: includes that include fan out.
pub const INCLUDE_FILES_MAX: usize = 1000;
/// How many records all `$GENERATE` of one zone may make: four networks of /16.
pub const GENERATED_RECORDS_MAX: usize = 1 << 18;

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
    reader.file(source, Origin { name: origin.clone(), spelt: origin.octets().into() }, Owner::Unwritten);
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
    origin: Origin,
    owner: Owner,
}

/// What completes relative names: as names compare, and as wire octets in the case in which it was written.
#[derive(Clone)]
struct Origin {
    name: Name,
    spelt: Box<[u8]>,
}

/// The owner of the entry before.
#[derive(Clone)]
enum Owner {
    /// There was none.
    Unwritten,
    /// It is not known, and was told.
    Mistaken,
    Name(Name),
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
    fn file(&mut self, source: &Arc<Source>, origin: Origin, owner: Owner) {
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
                here.origin = origin_of(line, name, &here.origin)?;
                2
            }
            "$TTL" => {
                let time = argument(line, tokens, "a time in seconds, or `1h30m`")?;
                let ttl_s = head::ttl_s(line.text, time);
                // A mistaken one is told here, not at each record that lacks a TTL.
                self.default_ttl_s = Some(ttl_s.as_ref().map_or(0, |ttl_s| *ttl_s));
                ttl_s?;
                2
            }
            "$INCLUDE" => {
                let path = argument(line, tokens, "a path")?;
                let origin = match tokens.get(2) {
                    Some(&name) => origin_of(line, name, &here.origin)?,
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
        origin: Origin,
        owner: Owner,
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
        if !indented {
            // A mistaken owner must not lend the next records the owner before it.
            here.owner = Owner::Mistaken;
            let name = head::name(line.text, tokens[0], &here.origin.name)?;
            if !name.is_within(&self.zone.origin) {
                let what = format!("`{name}` lies outside the zone `{}`", self.zone.origin);
                return Err(Fault::new(tokens[0].span(), what));
            }
            if !tokens[0].written(line.text).is_ascii() {
                let what = "an owner with letters beyond ASCII, taken as UTF-8 octets";
                let issue = Issue::warning(line.at(tokens[0].span()), what);
                self.findings.tell(issue.remedy("browsers ask for the `xn--` form (RFC 5891)"));
            }
            here.owner = Owner::Name(name);
        }
        let Head { ttl_s, rtype, at, fields } = Head::read(line.text, tokens, usize::from(!indented))?;
        let data = rdata::read(rtype, line.text, &tokens[fields..], at.clone(), &here.origin.spelt)
            .inspect_err(|_| self.minimum_is_unknown(rtype))?;
        let owner = match &here.owner {
            Owner::Name(name) => name.clone(),
            Owner::Mistaken => return Ok(()),
            Owner::Unwritten => {
                let what = "no owner: the line begins with a blank, and no record stands before it";
                return Err(Fault::new(tokens[0].span(), what).remedy("`@` is the zone itself"));
            }
        };
        let ttl_s = match ttl_s.inspect(|&ttl_s| self.last_ttl_s = Some(ttl_s)) {
            Some(written) => written,
            None => self.missing_ttl_s(rtype, &data).ok_or_else(|| {
                self.last_ttl_s = Some(0); // told once
                Fault::new(at.clone(), "the record has no TTL, and none is known for it")
                    .remedy("write `$TTL 1h` at the top of the file")
            })?,
        };
        self.zone.records.push(Record { owner, rtype, ttl_s, rdata: data });
        self.zone.at.push(line.at(tokens[0].start()..at.end));
        Ok(())
    }

    /// Keeps a mistaken SOA from being told again at each record whose TTL it would have given.
    fn minimum_is_unknown(&mut self, of: u16) {
        if of == rtype::SOA {
            self.default_ttl_s.get_or_insert(0);
        }
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

fn origin_of(line: &Line<'_>, token: Token, before: &Origin) -> Result<Origin, Fault> {
    let name = head::name(line.text, token, &before.name)?;
    let mut spelt = Vec::with_capacity(name.octets().len());
    encode(token.written(line.text).as_bytes(), Some(&before.spelt), &mut spelt)
        .expect("the same text was a name the line before");
    Ok(Origin { name, spelt: spelt.into() })
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
