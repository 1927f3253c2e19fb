//! The differences that are allowed between two right answers: each narrow, each with its reason, each counted.

use std::collections::BTreeSet;

use steerdns::answer::worker::Transport;
use steerdns::wire::edns::OPT_EMPTY;
use steerdns::wire::name::Name;
use steerdns::zone::record::rtype;
use steerdns::zone::tree::CHAIN_MAX;

use super::facts::Facts;
use crate::support::ask::Question;
use crate::support::message::{Rr, Said};

/// One question with two answers to it.
pub struct Case<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// The name that was asked for.
    pub name: Name,
    /// What the master files say.
    pub facts: &'a Facts,
    /// Asks ours something else.
    pub ask_ours: &'a dyn Fn(&Question) -> Said,
    /// Asks the peer something else.
    pub ask_theirs: &'a dyn Fn(&Question) -> Said,
}

/// A difference that is allowed.
pub struct Licence {
    /// What differs.
    pub name: &'static str,
    /// Why both are right, or why ours is.
    pub why: &'static str,
    /// Takes the difference out of both answers, where it is just this one.
    pub settle: fn(&Case<'_>, &mut Said, &mut Said),
}

/// All of them, in the order in which they are tried.
pub const LICENCES: &[Licence] = &[
    Licence {
        name: "types that ask for an act",
        why: "RFC 6895 §3.1: 128 to 254 are meta types and no data, and 41 is OPT; we say REFUSED to transfers over \
              UDP, NOTIMP or FORMERR, the peers look some up as data",
        settle: acts,
    },
    Licence {
        name: "truncation",
        why: "RFC 2181 §9: what a truncated answer still holds is of no use, and RFC 9471 §3 asks for TC where glue is \
              left out; what counts is that the whole answer over TCP is the same, and that TC stands where it \
              does not fit",
        settle: truncated,
    },
    Licence {
        name: "ANY",
        why: "RFC 8482 §4: one RRset of those there, or a synthesised HINFO, is an answer to ANY",
        settle: any,
    },
    Licence {
        name: "CD is copied",
        why: "RFC 4035 §3.1.6: CD is copied into the answer; NSD and Knot clear it",
        settle: checking_disabled,
    },
    Licence {
        name: "DO is copied",
        why: "RFC 3225 §3: DO is copied into the answer; a server without signed zones may leave it clear",
        settle: dnssec_ok,
    },
    Licence {
        name: "TTLs that differ within an RRset",
        why: "RFC 2181 §5.2: the RRset has one TTL, the lowest; NSD answers each record's own, Knot the last one",
        settle: uneven,
    },
    Licence {
        name: "where a chain is broken off",
        why: "RFC 1034 §4.3.2 and RFC 6672 §3.2: a server follows aliases as far as it holds the data, RFC 1034 §5.3.3: a \
              resolver goes on by itself; followed to the end, both say the same",
        settle: chased,
    },
    Licence {
        name: "NS of the zone beside an answer",
        why: "RFC 2181 §6.1, RFC 1034 §6.2.1: the authority section of a positive answer may hold the NS of the zone or nothing",
        settle: authority,
    },
    Licence {
        name: "additional records",
        why: "RFC 1034 §4.3.2 step 6: addresses that may be useful are added, none of them must be, but for the glue \
              of a referral (RFC 9471 §3); what we add stands in a master file",
        settle: additional,
    },
];

/// The licences that make the two answers the same, or what still differs.
pub fn compare(case: &Case<'_>, ours: &Said, theirs: &Said) -> Result<Vec<&'static str>, String> {
    if !ours.twice.is_empty() {
        return Err(format!("ours has a record twice: {:?}", ours.twice));
    }
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    settle_sizes(&mut ours, &mut theirs);
    let mut used = Vec::new();
    for licence in LICENCES {
        if ours == theirs {
            break;
        }
        let before = (ours.clone(), theirs.clone());
        (licence.settle)(case, &mut ours, &mut theirs);
        settle_sizes(&mut ours, &mut theirs);
        if (&before.0, &before.1) != (&ours, &theirs) {
            used.push(licence.name);
        }
    }
    if ours == theirs { Ok(used) } else { Err(difference(&ours, &theirs)) }
}

/// How well the peer compresses, and whether it says a thing twice, is its own affair.
fn settle_sizes(ours: &mut Said, theirs: &mut Said) {
    theirs.len = ours.len;
    theirs.extra = ours.extra;
    theirs.twice.clone_from(&ours.twice);
}

fn difference(ours: &Said, theirs: &Said) -> String {
    let mut words = Vec::new();
    let pairs = [
        ("answer", &ours.answer, &theirs.answer),
        ("authority", &ours.authority, &theirs.authority),
        ("additional", &ours.additional, &theirs.additional),
    ];
    if ours.rcode != theirs.rcode {
        words.push(format!("rcode {} against {}", ours.rcode, theirs.rcode));
    }
    if ours.flags != theirs.flags {
        words.push(format!("flags {:?} against {:?}", ours.flags, theirs.flags));
    }
    if ours.question != theirs.question {
        words.push(format!("question {:?} against {:?}", ours.question, theirs.question));
    }
    if ours.opt != theirs.opt {
        words.push(format!("OPT {:?} against {:?}", ours.opt, theirs.opt));
    }
    for (word, ours, theirs) in pairs {
        let some = |a: &BTreeSet<Rr>, b: &BTreeSet<Rr>| a.difference(b).take(4).cloned().collect::<Vec<_>>();
        if ours != theirs {
            words.push(format!(
                "{word}: ours alone {:?}, theirs alone {:?}",
                some(ours, theirs),
                some(theirs, ours)
            ));
        }
    }
    words.join("; ")
}

fn acts(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    let expected = match case.question.qtype {
        41 => 1,
        251 | 252 => 5,
        128..=254 => 4,
        _ => return,
    };
    if ours.rcode == expected && ours.answer.is_empty() && ours.authority.is_empty() {
        *theirs = ours.clone();
    }
}

fn any(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    if case.question.qtype != rtype::ANY || ours.rcode != 0 || theirs.rcode != 0 {
        return;
    }
    // Ours: the HINFO of RFC 8482 alone, where the peer has something of the question's own name.
    let synthesised = |rr: &Rr| rr.rtype == rtype::HINFO && rr.rdata == b"\x07RFC8482\0";
    let ours_any = ours.answer.len() == 1 && ours.answer.iter().all(synthesised) && ours.authority.is_empty();
    let data = |rr: &Rr| rr.owner == case.name.octets() && rr.rtype != rtype::CNAME;
    let theirs_any = theirs.answer.iter().any(data) && theirs.answer.iter().all(data);
    if ours_any && theirs_any && ours.is("aa") && theirs.is("aa") {
        theirs.answer = ours.answer.clone();
        theirs.authority.clear();
        theirs.additional.clear();
        ours.flags.remove("tc");
        theirs.flags.remove("tc");
    }
    // An alias: the CNAME alone, whether or not the peer follows it for ANY.
    let alias = |said: &Said| {
        let of_question = |rr: &&Rr| rr.owner == case.name.octets();
        said.answer.iter().filter(of_question).all(|rr| rr.rtype == rtype::CNAME)
            && said.answer.iter().filter(of_question).count() == 1
    };
    if ours.answer.len() == 1 && alias(ours) && alias(theirs) && ours.authority.is_empty() {
        theirs.answer.retain(|rr| rr.owner == case.name.octets());
        theirs.authority.clear();
        theirs.additional.clear();
    }
}

fn checking_disabled(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    if ours.is("cd") == case.question.checking_disabled && !theirs.is("cd") {
        ours.flags.remove("cd");
    }
}

fn dnssec_ok(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    if let (Some(ours), Some(theirs)) = (&mut ours.opt, &mut theirs.opt) {
        if ours.dnssec_ok == case.question.dnssec_ok {
            theirs.dnssec_ok = ours.dnssec_ok;
        }
    }
}

/// Where the limit of the client lies.
fn limit(question: &Question) -> usize {
    match (question.transport, question.edns) {
        (Transport::Tcp, _) => 65_535,
        (Transport::Udp, None) => 512,
        (Transport::Udp, Some(payload)) => usize::from(payload.clamp(512, 1232)),
    }
}

fn truncated(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    if case.question.transport == Transport::Tcp || !(ours.is("tc") || theirs.is("tc")) {
        return;
    }
    let stream = Question { transport: Transport::Tcp, ..case.question.clone() };
    let (whole, peers_whole) = ((case.ask_ours)(&stream), (case.ask_theirs)(&stream));
    // TC of ours: just where what must be told does not fit.
    let right =
        if ours.is("tc") { least(&whole) > limit(case.question) } else { whole_but_extras(ours, &whole) };
    if right && ours.rcode == theirs.rcode && ours.is("aa") == theirs.is("aa") {
        *ours = whole;
        *theirs = peers_whole;
    }
}

/// How many octets an answer needs at the least: its extras are left out, but for an OPT and the glue of a referral.
fn least(said: &Said) -> usize {
    let referral = said.authority.iter().any(|rr| rr.rtype == rtype::NS);
    let opt = if said.opt.is_some() { OPT_EMPTY } else { 0 };
    if referral { said.len } else { said.len - said.extra + opt }
}

/// Whether an answer holds what the whole one does, records apart that need not be there.
fn whole_but_extras(said: &Said, whole: &Said) -> bool {
    said.answer == whole.answer && said.authority == whole.authority
}

fn uneven(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    // The lowest of theirs, where they are of one RRset and differ, or Knot's last one, where the file's differ.
    let level = |set: &mut BTreeSet<Rr>, ours: &BTreeSet<Rr>| {
        let leveled = set.iter().map(|rr| {
            let same =
                |other: &&Rr| other.owner == rr.owner && other.rtype == rr.rtype && other.rdata == rr.rdata;
            let known = ours.iter().find(same).map(|other| other.ttl_s);
            let is_uneven = case.facts.is_uneven(&rr.owner, rr.rtype);
            Rr { ttl_s: known.filter(|_| is_uneven).unwrap_or(rr.ttl_s), ..rr.clone() }
        });
        *set = leveled.collect();
    };
    level(&mut theirs.answer, &ours.answer);
    level(&mut theirs.authority, &ours.authority);
    level(&mut theirs.additional, &ours.additional);
}

fn chased(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    if ours.answer == theirs.answer || !ours.is("aa") || !theirs.is("aa") {
        return;
    }
    let Some(next) = loose_end(&case.name, ours) else {
        if loose_end(&case.name, theirs).is_some() {
            chase(case, theirs, case.ask_theirs);
        }
        return;
    };
    if !may_stop(case, ours, &next) {
        return;
    }
    chase(case, ours, case.ask_ours);
    chase(case, theirs, case.ask_theirs);
}

/// Whether our chain may end with an alias to this name: it is not ours, or follows from a DNAME, or the chain loops or is
/// as long as we follow.
fn may_stop(case: &Case<'_>, said: &Said, next: &Name) -> bool {
    let links = said.answer.iter().filter(|rr| rr.rtype == rtype::CNAME).count();
    let looped = said.answer.iter().any(|rr| rr.rtype == rtype::CNAME && rr.owner == next.octets());
    let renamed = said.answer.iter().any(|rr| rr.rtype == rtype::DNAME);
    let again =
        case.facts.wildcard(next).is_some() && case.facts.wildcard(next) == case.facts.wildcard(&case.name);
    let outside = case.facts.zone(next).is_none();
    outside || looped || renamed || again || case.facts.is_renamed(next) || links >= CHAIN_MAX
}

/// The alias at which a chain of aliases ends, where it ends with one.
fn loose_end(name: &Name, said: &Said) -> Option<Name> {
    let mut at = name.clone();
    for _ in 0..=said.answer.len() {
        let alias = |rr: &&Rr| rr.rtype == rtype::CNAME && rr.owner == at.octets();
        match said.answer.iter().find(alias) {
            Some(rr) => at = Name::from_wire(&rr.rdata)?,
            None => break,
        }
    }
    let ends = said.answer.iter().any(|rr| rr.owner == at.octets() && rr.rtype != rtype::CNAME);
    let told = ends || said.rcode != 0 || !said.authority.is_empty();
    (at != *name && !told).then_some(at)
}

/// Goes on as a resolver does: asks the same server for the name at which the chain ends.
fn chase(case: &Case<'_>, said: &mut Said, ask: &dyn Fn(&Question) -> Said) {
    for _ in 0..32 {
        let Some(next) = loose_end(&case.name, said) else { break };
        if case.facts.zone(&next).is_none() {
            break;
        }
        let question =
            Question { name: next.to_string(), transport: Transport::Tcp, ..case.question.clone() };
        let further = ask(&question);
        let known = said.answer.len();
        said.answer.extend(further.answer);
        said.rcode = further.rcode;
        said.authority = further.authority;
        said.additional = further.additional;
        if said.answer.len() == known {
            break;
        }
    }
}

fn authority(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    let apex_ns = |rr: &Rr| {
        rr.rtype == rtype::NS && Name::from_wire(&rr.owner).is_some_and(|owner| case.facts.is_apex(&owner))
    };
    if ours.authority.is_empty() && !theirs.answer.is_empty() && theirs.rcode == 0 && theirs.is("aa") {
        theirs.authority.retain(|rr| !apex_ns(rr));
    }
}

fn additional(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    let true_to_files = ours.additional.iter().all(|rr| {
        let owner = Name::from_wire(&rr.owner).expect("read before");
        matches!(rr.rtype, rtype::A | rtype::AAAA) && case.facts.holds(&owner, rr.rtype, &rr.rdata)
    });
    // Of an RRset, all or nothing; the same TTL.
    let of = |rr: &Rr, set: &BTreeSet<Rr>| -> BTreeSet<Rr> {
        set.iter().filter(|other| other.owner == rr.owner && other.rtype == rr.rtype).cloned().collect()
    };
    let agree = ours.additional.iter().all(|rr| {
        let there = of(rr, &theirs.additional);
        there.is_empty() || there == of(rr, &ours.additional)
    });
    if true_to_files && agree && has_glue(ours, theirs) {
        theirs.additional = ours.additional.clone();
    }
}

/// Whether a referral of ours has the glue that the peer's has, for nameservers below the cut.
fn has_glue(ours: &Said, theirs: &Said) -> bool {
    let cuts: BTreeSet<_> = ours
        .authority
        .iter()
        .filter(|rr| rr.rtype == rtype::NS)
        .filter_map(|rr| Name::from_wire(&rr.owner))
        .collect();
    theirs.additional.iter().all(|rr| {
        let owner = Name::from_wire(&rr.owner).expect("read before");
        !cuts.iter().any(|cut| owner.is_within(cut)) || ours.additional.contains(rr)
    })
}
