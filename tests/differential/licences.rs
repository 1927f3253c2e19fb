//! The differences that are allowed between two right answers: each narrow, each with its reason, each counted.

use std::collections::BTreeSet;

use steerdns::answer::worker::Transport;
use steerdns::wire::edns::OPT_EMPTY;
use steerdns::wire::name::Name;
use steerdns::zone::record::rtype;

use super::chain::{chased, end_of_chain};
use super::compare::Case;
use crate::support::ask::Question;
use crate::support::message::{Rr, Said};

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
        why: "RFC 6895 §3.1: 128 to 254 are meta types and no data, and 41 is OPT; we say NOTAUTH or \
              REFUSED to transfers, NOTIMP or FORMERR, the peers look some up as data",
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
        name: "CD is copied",
        why: "RFC 4035 §3.1.6: CD is copied into the answer; NSD and Knot clear it",
        settle: checking_disabled,
    },
    Licence {
        name: "where a chain is broken off",
        why: "RFC 1034 §4.3.2 and RFC 6672 §3.2: a server follows aliases as far as it holds the data, RFC 1034 §5.3.3: a \
              resolver goes on by itself; followed to the end, both say the same",
        settle: chased,
    },
    Licence {
        name: "TTLs that differ within an RRset",
        why: "RFC 2181 §5.2: the RRset has one TTL, the lowest; NSD answers each record's own, Knot the last one",
        settle: uneven,
    },
    Licence {
        name: "a delegated wildcard",
        why: "RFC 4592 §4.2: NS at a wildcard are not defined; we take RFC 1034 §4.3.2 to the letter: what a wildcard makes is \
              data, the NS too, and no cut. NSD does so, too, mostly; Knot refers to the wildcard's own name",
        settle: delegated_wildcard,
    },
    Licence {
        name: "DS of a zone that is not delegated",
        why: "RFC 4035 §3.1.4.1: the zone above answers for DS, and it does not know the name; NODATA all the same, since \
              NXDOMAIN would let resolvers take away the zone that stands here (RFC 8020)",
        settle: undelegated,
    },
    Licence {
        name: "ANY",
        why: "RFC 8482 §4: one RRset of those there, or a synthesised HINFO, is an answer to ANY",
        settle: any,
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

fn acts(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    let expected = match case.question.qtype {
        41 => 1,
        251 | 252 if !case.facts.is_apex(&case.name) => 9,
        251 | 252 => 5,
        128..=254 => 4,
        _ => return,
    };
    if ours.rcode == expected && ours.answer.is_empty() && ours.authority.is_empty() {
        *theirs = ours.clone();
    }
}

fn delegated_wildcard(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    let end = end_of_chain(&case.name, ours);
    let Some(wildcard) = case.facts.wildcard(&end) else { return };
    let alias = |rr: &Rr| matches!(rr.rtype, rtype::CNAME | rtype::DNAME);
    let data = ours.answer.iter().all(|rr| alias(rr) || rr.owner == end.octets());
    if case.facts.has(&wildcard, rtype::NS) && ours.is("aa") && ours.rcode == 0 && data {
        *theirs = ours.clone();
    }
}

fn undelegated(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    let end = end_of_chain(&case.name, ours);
    let lonely = case.facts.is_apex(&end) && !case.facts.is_delegated(&end);
    let nodata = ours.rcode == 0 && ours.authority.iter().all(|rr| rr.rtype == rtype::SOA);
    if case.question.qtype == rtype::DS && lonely && nodata {
        *theirs = ours.clone();
    }
}

fn any(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    if case.question.qtype != rtype::ANY || ours.rcode != 0 {
        return;
    }
    let end = end_of_chain(&case.name, ours);
    let (ours_there, theirs_there) = (owned(&ours.answer, &end), owned(&theirs.answer, &end));
    let synthesised = |rr: &Rr| rr.rtype == rtype::HINFO && rr.rdata == b"\x07RFC8482\0";
    let hinfo = ours_there.len() == 1 && ours_there.iter().all(synthesised) && ours.authority.is_empty();
    let something = theirs_there.iter().any(|rr| rr.rtype != rtype::CNAME);
    if hinfo && something && theirs.rcode == 0 && ours.is("aa") && theirs.is("aa") {
        theirs.answer.retain(|rr| rr.owner != end.octets());
        theirs.answer.extend(ours_there);
        theirs.authority.clear();
        theirs.additional.clear();
    }
    // An alias: the CNAME alone, and the DNAME that it follows from, whether or not the peer follows it for ANY.
    let alias = |rr: &Rr| {
        rr.rtype == rtype::CNAME && rr.owner == case.name.octets()
            || ours.answer.len() == 2 && rr.rtype == rtype::DNAME
    };
    let is_alias = !ours.answer.is_empty() && ours.answer.iter().all(alias);
    if is_alias && ours.authority.is_empty() && ours.answer.is_subset(&theirs.answer) {
        theirs.rcode = 0; // of where it leads
        theirs.answer.clone_from(&ours.answer);
        theirs.authority.clear();
        theirs.additional.clear();
    }
}

fn owned(section: &BTreeSet<Rr>, owner: &Name) -> BTreeSet<Rr> {
    section.iter().filter(|rr| rr.owner == owner.octets()).cloned().collect()
}

fn checking_disabled(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    if ours.is("cd") == case.question.checking_disabled && !theirs.is("cd") {
        ours.flags.remove("cd");
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
    // Where a DNAME leads is not looked for once there is no room to tell of it, by Knot neither.
    let renamed = whole.answer.iter().any(|rr| rr.rtype == rtype::DNAME);
    let told = ours.rcode == whole.rcode || ours.rcode == 0 && ours.is("tc") && renamed;
    if right && told && ours.is("aa") == whole.is("aa") {
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
    // Of an RRset, all or nothing; the same TTL. Of a host in another zone of ours, a peer may know but glue.
    // Home is the zone that the answer comes from: behind aliases, that of the referral.
    let cut = ours.authority.iter().find(|rr| rr.rtype == rtype::NS);
    let cut = cut.and_then(|rr| Name::from_wire(&rr.owner));
    let home = case.facts.zone(cut.as_ref().unwrap_or(&case.name));
    let of = |rr: &Rr, set: &BTreeSet<Rr>| -> BTreeSet<Rr> {
        set.iter().filter(|other| other.owner == rr.owner && other.rtype == rr.rtype).cloned().collect()
    };
    let agree = ours.additional.iter().all(|rr| {
        let there = of(rr, &theirs.additional);
        let elsewhere = Name::from_wire(&rr.owner).is_some_and(|owner| case.facts.zone(&owner) != home);
        elsewhere || there.is_empty() || there == of(rr, &ours.additional)
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
        let there = |other: &Rr| other.owner == rr.owner && other.rtype == rr.rtype;
        !cuts.iter().any(|cut| owner.is_within(cut)) || ours.additional.iter().any(there)
    })
}
