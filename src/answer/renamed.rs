//! Names below a DNAME (RFC 6672): it, the CNAME that it means for this name, and what is there.
//!
//! What is there was laid out at load for a question of its own name. It is copied as it is, and each pointer in it set anew: those
//! into the question lead into the target of the CNAME, the others as far further back as it stands further back.

use super::asking::Asking;
use super::body::{Body, Fixed, Head};
use super::bound;
use super::respond::{cut, has_subnet, put_serial};
use super::steered::steer;
use crate::wire::lowered::Lowered;
use crate::wire::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};
use crate::wire::query::{HEADER, rcode};
use crate::wire::response::Header;
use crate::wire::suffixes::{POINTER_REACH, compressible};
use crate::zone::chain::CHAIN_MAX;
use crate::zone::lookup::{AliasEnd, Dname, DnameId, Found};
use crate::zone::record::rtype;
use crate::zone::template::TemplateId;
use crate::zone::tree::Way;

/// Answers for the name that `head` leads to, which lies below a DNAME.
#[cold]
pub(super) fn renamed(
    asking: &Asking<'_>,
    scratch: &mut Lowered,
    turns: &mut [u32; 3],
    buf: &mut [u8],
    head: Head,
    dname: DnameId,
) -> Body {
    let Asking { snapshot, query, .. } = *asking;
    let zones = &snapshot.plan.zones;
    let mut laid = Laid { end: head.at, answers: head.answers };
    let (mut met, mut dname) = ([None; CHAIN_MAX], dname);
    let Some(mut name) = Standing::at(buf, usize::from(u16::from_be_bytes(head.owner) & 0x3fff)) else {
        return laid.body(rcode::NOERROR);
    };
    for hop in 0..CHAIN_MAX {
        let again = met[..hop].contains(&Some(dname));
        met[hop] = Some(dname);
        name = match laid.rename(asking, buf, &name, zones.dname(dname), again) {
            Renamed::To(target) => target,
            Renamed::TooLong => return laid.body(rcode::YXDOMAIN),
            Renamed::NoRoom => return truncated(asking),
        };
        // The CNAME that a DNAME means is one as others: who asks for it has it.
        let had = matches!(query.qtype, rtype::CNAME | rtype::ANY);
        if had || laid.holds(buf, query.question_end, rtype::CNAME, &name) || name.at > POINTER_REACH {
            break;
        }
        let lowered = Lowered::of(name.octets());
        match zones.find(&lowered, scratch, query.qtype) {
            Found::Dname(further) => dname = further,
            Found::Outside => break,
            Found::Template(template) => return laid.graft(asking, buf, &name, template).0,
            Found::Steered(_) | Found::Bound(_) if has_subnet(query) => break, // RFC 7871 §7.2.1
            Found::Steered(route) => {
                return laid.steer(asking, turns, buf, Way::Addresses(route), name.at);
            }
            Found::Bound(binding) => {
                return laid.steer(asking, turns, buf, Way::Binding(binding), name.at);
            }
            Found::Alias(alias) => {
                let alias = zones.alias(alias);
                let (body, delta) = laid.graft(asking, buf, &name, alias.chain);
                if body.header.is_truncated() {
                    return body;
                }
                let to = usize::from(u16::from_be_bytes(alias.owner.shifted(delta)) & 0x3fff);
                let target = moved(to, &name, laid.end);
                laid = Laid { end: body.end, answers: body.header.answers() };
                let Some(target) = target else { break };
                match alias.end {
                    AliasEnd::Steered(_) if has_subnet(query) => break,
                    AliasEnd::Steered(way) => return laid.steer(asking, turns, buf, way, target),
                    AliasEnd::Renamed(further) => {
                        let Some(standing) = Standing::at(buf, target) else { break };
                        (name, dname) = (standing, further);
                        if laid.holds(buf, query.question_end, rtype::CNAME, &name) {
                            break;
                        }
                    }
                }
            }
        }
    }
    laid.body(rcode::NOERROR)
}

/// A name in the message: the question's, or a target behind it.
#[derive(Clone, Copy)]
struct Standing {
    /// Where.
    at: usize,
    octets: [u8; NAME_OCTETS_MAX],
    len: usize,
    /// Whether it stands there uncompressed.
    whole: bool,
    /// Where it ends.
    end: usize,
}

impl Standing {
    /// The name that stands at a place; `None` where none does.
    fn at(buf: &[u8], at: usize) -> Option<Standing> {
        let (mut octets, mut len, mut here, mut pointed) = ([0; NAME_OCTETS_MAX], 0, at, None);
        loop {
            let label = usize::from(*buf.get(here)?);
            if label > LABEL_OCTETS_MAX {
                let pointer = u16::from_be_bytes(*buf.get(here..)?.first_chunk()?);
                let to = usize::from(pointer & 0x3fff);
                pointed.get_or_insert(here + 2);
                here = Some(to).filter(|to| *to < here)?;
                continue;
            }
            let end = len + 1 + label;
            octets.get_mut(len..end)?.copy_from_slice(buf.get(here..here + 1 + label)?);
            (len, here) = (end, here + 1 + label);
            if label == 0 {
                let (whole, end) = (pointed.is_none(), pointed.unwrap_or(here));
                return Some(Standing { at, octets, len, whole, end });
            }
        }
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// Records of the answer section that stand behind the question.
#[derive(Clone, Copy)]
struct Laid {
    end: usize,
    answers: u16,
}

/// What a DNAME made of a name.
#[expect(
    clippy::large_enum_variant,
    reason = "it is matched where it is made; a box would allocate for each answer"
)]
enum Renamed {
    To(Standing),
    /// No name: it is too long (RFC 6672 §2.2).
    TooLong,
    NoRoom,
}

impl Laid {
    /// Lays a DNAME, unless it stands there already, and the CNAME that it means for a name.
    fn rename(
        &mut self,
        asking: &Asking<'_>,
        buf: &mut [u8],
        from: &Standing,
        dname: &Dname,
        again: bool,
    ) -> Renamed {
        let kept = from.len - dname.owner.len();
        let owner = (0xc000 | from.at as u16).to_be_bytes();
        if !again {
            let pointer = (0xc000 | (from.at + kept) as u16).to_be_bytes();
            let pointed = from.whole && from.at + kept <= POINTER_REACH;
            let owner = if pointed { &pointer[..] } else { &dname.owner };
            if self.put(asking, buf, [owner, &dname.target, &[]], rtype::DNAME, dname.ttl_s).is_none() {
                return Renamed::NoRoom;
            }
        }
        if kept + dname.target.len() > NAME_OCTETS_MAX {
            return Renamed::TooLong;
        }
        let parts = [&owner, &from.octets[..kept], &*dname.target];
        match self.put(asking, buf, parts, rtype::CNAME, dname.ttl_s) {
            Some(at) => Standing::at(buf, at).map_or(Renamed::NoRoom, Renamed::To),
            None => Renamed::NoRoom,
        }
    }

    /// Whether a record of this type and owner stands there already.
    fn holds(self, buf: &[u8], start: usize, rtype: u16, name: &Standing) -> bool {
        records(buf, start, self.answers)
            .any(|(_, owner, of)| of == rtype && owner.octets().eq_ignore_ascii_case(name.octets()))
    }

    /// Lays a record: its owner, and its RDATA in two parts; gives where that begins.
    fn put(
        &mut self,
        asking: &Asking<'_>,
        buf: &mut [u8],
        [owner, first, second]: [&[u8]; 3],
        rtype: u16,
        ttl_s: u32,
    ) -> Option<usize> {
        let rdata_len = (first.len() + second.len()) as u16;
        let fixed = Fixed { owner: [0; 2], rtype, ttl_s, rdata_len }.octets();
        let parts = [owner, &fixed[2..], first, second];
        if self.end + parts.iter().map(|part| part.len()).sum::<usize>() > asking.room.records {
            return None;
        }
        for part in parts {
            buf[self.end..self.end + part.len()].copy_from_slice(part);
            self.end += part.len();
        }
        self.answers += 1;
        Some(self.end - usize::from(rdata_len))
    }

    /// These records and nothing more.
    fn body(self, rcode: u16) -> Body {
        Body::unsteered(self.end, Header::new(rcode).authoritative().with_counts(self.answers, 0, 0))
    }

    /// These records, and behind them a service's, owned by the name that stands there.
    fn steer(
        self,
        asking: &Asking<'_>,
        turns: &mut [u32; 3],
        buf: &mut [u8],
        way: Way,
        owner: usize,
    ) -> Body {
        let Asking { snapshot, query, peer, now, room, .. } = *asking;
        let owner = (0xc000 | owner as u16).to_be_bytes();
        let head = Head { at: self.end, answers: self.answers, owner };
        match way {
            Way::Addresses(route) => {
                let route = snapshot.plan.route(route);
                steer(snapshot, query, buf, room.records, route, peer, turns, now, head)
            }
            Way::Binding(binding) => bound::answer(asking, buf, binding, head, turns),
        }
    }

    /// These records, and behind them a template that answers for a name that stands whole; and by how much that is longer than the
    /// template's.
    fn graft(self, asking: &Asking<'_>, buf: &mut [u8], name: &Standing, id: TemplateId) -> (Body, u16) {
        let Asking { snapshot, room, .. } = *asking;
        let zones = &snapshot.plan.zones;
        let template = zones.template(id);
        let delta = (name.len as u16).wrapping_sub(u16::from(template.name_len));
        let (mut len, mut header) = (usize::from(template.end), template.header());
        if self.end + len > room.records {
            (len, header) = cut(template, room.records.saturating_sub(self.end));
            if len == 0 && header.is_truncated() {
                return (truncated(asking), delta);
            }
        }
        let (at, end) = (self.end, self.end + len);
        buf[at..end].copy_from_slice(&zones.templates().octets(template)[..len]);
        if delta != 0 {
            for &fixup in zones.templates().fixups(template) {
                let Some(pointer) = buf[at..end][usize::from(fixup).min(len)..].first_chunk_mut() else {
                    break;
                };
                *pointer = u16::from_be_bytes(*pointer).wrapping_add(delta).to_be_bytes();
            }
        }
        if repoint(&mut buf[at..end], at, name).is_none() {
            return (self.body(rcode::NOERROR), delta); // too far for a pointer: the client asks on
        }
        if template.serial_at != 0 {
            put_serial(snapshot, &mut buf[at..end], template);
        }
        // Asked for a DNAME that has led here, the answer holds it already.
        let last = records(buf, at, header.answers()).last();
        if let Some((start, owner, rtype::DNAME)) = last
            && self.holds(buf, asking.query.question_end, rtype::DNAME, &owner)
        {
            let laid = Laid { end: start, answers: self.answers + header.answers() - 1 };
            return (laid.body(rcode::NOERROR), delta);
        }
        let answers = self.answers + header.answers();
        let header = header.with_counts(answers, header.authorities(), header.additionals());
        (Body::unsteered(end, header.authoritative()), delta)
    }
}

/// So many records from `start` on: where each begins, its owner, its type.
fn records(buf: &[u8], start: usize, count: u16) -> impl Iterator<Item = (usize, Standing, u16)> {
    let mut at = start;
    (0..count).map_while(move |_| {
        let (start, owner) = (at, Standing::at(buf, at)?);
        let &[high, low, .., len_high, len_low] = buf[owner.end..].first_chunk::<10>()?;
        at = owner.end + 10 + usize::from(u16::from_be_bytes([len_high, len_low]));
        Some((start, owner, u16::from_be_bytes([high, low])))
    })
}

/// TC, and the client asks again over TCP.
fn truncated(asking: &Asking<'_>) -> Body {
    let header = Header::new(rcode::NOERROR).authoritative().truncated();
    Body::unsteered(asking.query.question_end, header)
}

/// Where a pointer leads in records that begin at `at` and answer for `name`, when it led to `to` in a message whose question that
/// name was. `None`: beyond its reach.
fn moved(to: usize, name: &Standing, at: usize) -> Option<usize> {
    let behind_question = HEADER + name.len + 4;
    let moved = if to < behind_question { name.at + to - HEADER } else { at + to - behind_question };
    (moved <= POINTER_REACH).then_some(moved)
}

/// Sets each pointer in `records`, which begin at `at` in the message; `None` where one cannot reach that far.
fn repoint(records: &mut [u8], at: usize, name: &Standing) -> Option<()> {
    let mut here = 0;
    while here < records.len() {
        here = repoint_name(records, here, at, name)?;
        let &[type_high, type_low, .., len_high, len_low] = records.get(here..)?.first_chunk::<10>()?;
        let rdata_len = usize::from(u16::from_be_bytes([len_high, len_low]));
        here += 10;
        let rdata = records.get(here..here + rdata_len)?;
        let (fixed, names) = compressible(u16::from_be_bytes([type_high, type_low]), rdata);
        let mut in_rdata = here + fixed;
        for _ in 0..names {
            in_rdata = repoint_name(records, in_rdata, at, name)?;
        }
        here += rdata_len;
    }
    Some(())
}

/// Sets the pointer that ends the name at `here`, if one does; gives where the name ends.
fn repoint_name(records: &mut [u8], mut here: usize, at: usize, name: &Standing) -> Option<usize> {
    loop {
        match *records.get(here)? {
            0 => return Some(here + 1),
            0xc0.. => {
                let pointer: &mut [u8; 2] = records.get_mut(here..)?.first_chunk_mut()?;
                let to = usize::from(u16::from_be_bytes(*pointer) & 0x3fff);
                *pointer = (0xc000 | moved(to, name, at)? as u16).to_be_bytes();
                return Some(here + 2);
            }
            label => here += 1 + usize::from(label),
        }
    }
}
