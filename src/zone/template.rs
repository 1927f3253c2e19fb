//! Answers as wire octets, made at load: what stands behind the question, compressed against it.
//!
//! A template is made for one question name. Where it answers a longer name (a wildcard's, a missing one's, one
//! below a delegation), what it points at lies further back by the difference of the two lengths, all of it: the
//! common suffix ends the question, and the rest follows the question. So its pointers shift by one delta. The
//! pointer to the question's whole name (`C0 0C`) stays as it is.

use crate::wire::name::Name;
use crate::wire::query::HEADER;
use crate::wire::response::Header;
use crate::wire::suffixes::{Suffixes, compressible};

/// Where the question's name begins: `C0 0C` points at it.
const QUESTION_NAME: usize = HEADER;
/// Type and class of the question.
const QUESTION_FIXED: usize = 4;
/// A pointer's offset has 14 bits (RFC 1035 §4.1.4); the longest delta must still fit.
const POINTER_MAX: usize = 0x3fff - 255;
/// What a message can hold over TCP, less header, question and OPT with all its options.
pub const BODY_MAX: usize = 65_535 - 1024;

/// A template's place in the [`Templates`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemplateId(pub u32);

/// Octets that stand in a template itself: an address record of either family fits.
const WITHIN: usize = 32;

/// What stands behind the question. A cache line: of a name that was not asked for of late, each line is waited for.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Template {
    counts: u64,
    at: u32,
    fixups_at: u32,
    /// Whose serial that is: a place among the zones.
    pub serial_zone: u32,
    flags: u16,
    fixups: u16,
    /// Where in its octets the serial of a SOA stands that is not the file's but that of the zone's edition; 0: nowhere.
    pub serial_at: u16,
    /// Octets of the answer and authority sections.
    pub authority_end: u16,
    /// Octets of all three sections.
    pub end: u16,
    /// Octets of the question name that it was made for.
    pub name_len: u8,
    /// Whether the additional section is glue that a referral needs (RFC 9471 §3).
    pub glue: bool,
    /// Its octets, if they fit.
    within: [u8; WITHIN],
}

const _: () = assert!(size_of::<Template>() == 64);

impl Template {
    /// RCODE (0 or 3), AA, and the counts of all three sections.
    #[inline]
    pub fn header(&self) -> Header {
        Header::of_parts(self.flags, self.counts)
    }
}

/// All templates with their octets.
#[derive(Debug, Default)]
pub struct Templates {
    templates: Vec<Template>,
    octets: Vec<u8>,
    fixups: Vec<u16>,
}

impl Templates {
    /// The template of an id.
    #[inline]
    pub fn get(&self, id: TemplateId) -> &Template {
        &self.templates[id.0 as usize]
    }

    /// Its octets, as they are for the name that it was made for.
    #[inline]
    pub fn octets<'t>(&'t self, template: &'t Template) -> &'t [u8] {
        let end = usize::from(template.end);
        match template.within.get(..end) {
            Some(octets) => octets,
            None => &self.octets[template.at as usize..][..end],
        }
    }

    /// Where in its octets the pointers stand that shift, in ascending order.
    #[inline]
    pub fn fixups(&self, template: &Template) -> &[u16] {
        &self.fixups[template.fixups_at as usize..][..usize::from(template.fixups)]
    }

    /// How many octets all of it takes.
    pub fn bytes(&self) -> usize {
        self.templates.capacity() * size_of::<Template>()
            + self.octets.capacity()
            + self.fixups.capacity() * 2
    }

    /// Gives back what growing took too much.
    pub fn shrink(&mut self) {
        self.templates.shrink_to_fit();
        self.octets.shrink_to_fit();
        self.fixups.shrink_to_fit();
    }
}

/// For which question names a template is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Just the one.
    Exactly,
    /// Those that a wildcard owns: its `*` stands for one or more labels.
    Wildcard,
    /// The one and those below it.
    Below,
}

/// A section of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

/// Lays out one template.
pub struct Composer<'t> {
    into: &'t mut Templates,
    name: Name,
    kind: For,
    body: Vec<u8>,
    fixups: Vec<u16>,
    known: Suffixes,
    section: Section,
    authority_end: usize,
    counts: [u16; 3],
    /// Where a serial stands that is made at answering, and whose.
    serial: Option<(u16, u32)>,
}

/// The sections do not fit a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl<'t> Composer<'t> {
    /// For the question `name`.
    pub fn new(into: &'t mut Templates, name: &Name, kind: For) -> Composer<'t> {
        let octets = name.octets();
        // A wildcard's own name is not what the question will hold.
        let skip = if kind == For::Wildcard { 1 + usize::from(octets[0]) } else { 0 };
        let mut known = Suffixes::default();
        known.stands(&octets[skip..], QUESTION_NAME + skip);
        Composer {
            into,
            name: name.clone(),
            kind,
            body: Vec::new(),
            fixups: Vec::new(),
            known,
            section: Section::Answer,
            authority_end: 0,
            counts: [0; 3],
            serial: None,
        }
    }

    /// What follows stands in the authority section.
    pub fn authority(&mut self) {
        self.section = Section::Authority;
    }

    /// What follows stands in the additional section.
    pub fn additional(&mut self) {
        self.authority_end = self.body.len();
        self.section = Section::Additional;
    }

    /// One record. `owner` equal to the question's name becomes the pointer `C0 0C`.
    pub fn record(&mut self, owner: &Name, rtype: u16, ttl_s: u32, rdata: &[u8]) {
        self.owner(owner);
        self.body.extend(rtype.to_be_bytes());
        self.body.extend([0, 1]);
        self.body.extend(ttl_s.to_be_bytes());
        let len_at = self.body.len();
        self.body.extend([0, 0]);
        self.rdata(rtype, rdata);
        let len = self.body.len() - len_at - 2;
        self.body[len_at..len_at + 2].copy_from_slice(&(len as u16).to_be_bytes());
        self.counts[self.section as usize] += 1;
    }

    /// The SOA last written has the serial of the zone's edition, not the one that stands in it.
    pub fn serial_is_of(&mut self, zone: u32) {
        // It is followed by four numbers of 32 bits.
        self.serial = self.body.len().checked_sub(20).map(|at| (at as u16, zone));
    }

    /// Where in the message the RDATA of the record last written begins, as a compression pointer, if it is an
    /// uncompressed or compressed name alone (a CNAME's): what an owner of the next records can point at.
    pub fn pointer_to(&mut self, name: &Name) -> Pointer {
        if self.is_question(name) {
            return Pointer { octets: [0xc0, QUESTION_NAME as u8], shifts: false };
        }
        let offset = self.known.at(name.octets());
        let offset = offset.expect("a name that a record before it wrote within the pointers' reach");
        Pointer { octets: (0xc000 | offset).to_be_bytes(), shifts: self.kind != For::Exactly }
    }

    /// Whether records of `owner` could point at it.
    pub fn knows(&self, owner: &Name) -> bool {
        self.is_question(owner) || self.known.at(owner.octets()).is_some()
    }

    /// Puts the template among the others.
    pub fn finish(mut self, rcode: u8, authoritative: bool, glue: bool) -> Result<TemplateId, TooLarge> {
        if self.section != Section::Additional {
            self.additional();
        }
        if self.body.len() > BODY_MAX {
            return Err(TooLarge);
        }
        let [answers, authorities, additionals] = self.counts;
        let header = Header::new(rcode.into()).with_counts(answers, authorities, additionals);
        let header = if authoritative { header.authoritative() } else { header };
        let id = TemplateId(u32::try_from(self.into.templates.len()).map_err(|_| TooLarge)?);
        let (flags, counts) = header.parts();
        let mut within = [0; WITHIN];
        let fitting = within.get_mut(..self.body.len());
        let is_within = fitting.map(|octets| octets.copy_from_slice(&self.body)).is_some();
        self.into.templates.push(Template {
            counts,
            flags,
            within,
            at: u32::try_from(self.into.octets.len()).map_err(|_| TooLarge)?,
            fixups_at: u32::try_from(self.into.fixups.len()).map_err(|_| TooLarge)?,
            fixups: self.fixups.len() as u16,
            serial_at: self.serial.map_or(0, |(at, _)| at),
            serial_zone: self.serial.map_or(0, |(_, zone)| zone),
            authority_end: self.authority_end as u16,
            end: self.body.len() as u16,
            name_len: self.name.octets().len() as u8,
            glue,
        });
        if !is_within {
            self.into.octets.extend(&self.body);
        }
        self.into.fixups.extend(&self.fixups);
        Ok(id)
    }

    fn is_question(&self, name: &Name) -> bool {
        self.kind != For::Below && *name == self.name
    }

    fn owner(&mut self, owner: &Name) {
        if self.is_question(owner) {
            self.body.extend([0xc0, QUESTION_NAME as u8]);
        } else {
            self.compressed(owner.octets());
        }
    }

    /// RDATA with its names compressed, where that is allowed.
    fn rdata(&mut self, rtype: u16, rdata: &[u8]) {
        let (fixed, names) = compressible(rtype, rdata);
        let (before, mut rest) = rdata.split_at(fixed);
        self.body.extend(before);
        for _ in 0..names {
            let Some(len) = crate::wire::name::wire_len(rest) else { break };
            let (name, behind) = rest.split_at(len);
            self.compressed(name);
            rest = behind;
        }
        self.body.extend(rest);
    }

    fn compressed(&mut self, octets: &[u8]) {
        let before = QUESTION_NAME + self.name.octets().len() + QUESTION_FIXED;
        let pointer = self.known.write(octets, &mut self.body, before, POINTER_MAX);
        if let Some(at) = pointer.filter(|_| self.kind != For::Exactly) {
            self.fixups.push(at as u16);
        }
    }
}

/// A compression pointer that records written at answering begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The two octets, for the name that the template was made for.
    pub octets: [u8; 2],
    /// Whether the delta is added.
    pub shifts: bool,
}

impl Pointer {
    /// `C0 0C`: the question's own name.
    pub const QUESTION: Pointer = Pointer { octets: [0xc0, QUESTION_NAME as u8], shifts: false };

    /// The two octets for a question name longer by `delta`.
    #[inline]
    pub fn shifted(self, delta: u16) -> [u8; 2] {
        if self.shifts { (u16::from_be_bytes(self.octets) + delta).to_be_bytes() } else { self.octets }
    }
}
