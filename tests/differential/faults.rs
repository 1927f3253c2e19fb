//! Mistakes of the peers: where one of them is made, the other peer is believed.

use steerdns::answer::worker::Transport;
use steerdns::wire::name::Name;
use steerdns::zone::chain::CHAIN_MAX;
use steerdns::zone::record::rtype;

use super::chain::{end_of_chain, names_of};
use super::compare::Case;
use crate::support::ask::Question;
use crate::support::message::{Rr, Said};
use crate::support::peers::Program;

/// A mistake that a peer is known to make: its answer proves nothing then, and the other peer's must be ours.
pub struct Fault {
    /// Whose.
    pub program: Program,
    /// What it does.
    pub name: &'static str,
    /// What is to be done.
    pub why: &'static str,
    /// Whether it is this one.
    pub is: fn(&Case<'_>, &Said, &Said) -> bool,
}

/// All that were found.
pub const FAULTS: &[Fault] = &[
    Fault {
        program: Program::Nsd,
        name: "names of the zone above exist in the zone below",
        why: "RFC 1034 §4.3.2 step 2: the nearest zone alone is looked at; NSD has one table of names for all zones, so what \
              another zone holds below this one's apex exists",
        is: |case, ours, theirs| {
            names_of(case, ours, theirs).iter().any(|name| case.facts.is_hidden_above(name))
        },
    },
    Fault {
        program: Program::Nsd,
        name: "RRSIG and NSEC are asked of an alias's target",
        why: "RFC 4035 §2.5, RFC 2181 §10.1: the two stand beside a CNAME, so a query for them is not led on",
        is: |case, _, theirs| {
            let signature = matches!(case.question.qtype, rtype::RRSIG | rtype::NSEC);
            signature && theirs.answer.iter().any(|rr| rr.rtype == rtype::CNAME)
        },
    },
    Fault {
        program: Program::Bind,
        name: "an alias that leads back to itself is SERVFAIL",
        why: "RFC 1034 §3.6.2: loops are signalled as an error, and BIND takes that to be the RCODE; the aliases are true all the \
              same, NSD, Knot and we give them",
        is: |case, ours, theirs| {
            let followed = |rr: &Rr| rr.rtype == rtype::CNAME || rr.rtype == rtype::DNAME;
            let back = ours
                .answer
                .iter()
                .any(|rr| rr.rtype == rtype::CNAME && rr.owner == end_of_chain(&case.name, ours).octets());
            theirs.rcode == 2 && back && ours.answer.iter().all(followed)
        },
    },
    Fault {
        program: Program::Bind,
        name: "a chain of more than eleven aliases is SERVFAIL",
        why: "RFC 1034 §5.2.2: a chain is no error; NSD, Knot and we give as much of it as each of us follows",
        is: |_, ours, theirs| {
            let aliases = ours.answer.iter().filter(|rr| rr.rtype == rtype::CNAME).count();
            theirs.rcode == 2 && aliases >= CHAIN_MAX
        },
    },
    Fault {
        program: Program::Bind,
        name: "ANY at a name that holds types of DNSSEC alone is empty",
        why: "RFC 8482 §4: it is a type as others; BIND hides them in a zone that is not signed",
        is: |case, ours, theirs| {
            case.question.qtype == rtype::ANY
                && theirs.answer.is_empty()
                && ours.answer.iter().any(|rr| rr.rtype == rtype::HINFO)
        },
    },
    Fault {
        program: Program::Knot,
        name: "an alias is followed in the zone above the one that holds the target",
        why: "RFC 1034 §4.3.2 step 3a goes back to step 1: the nearest zone is looked for again; Knot stays in its zone, and answers \
              what that one holds below the other's apex",
        is: |case, _, theirs| {
            let zones = [&case.name, &end_of_chain(&case.name, theirs)].map(|name| case.facts.zone(name));
            let hidden = |rr: &Rr| {
                let Some(owner) = Name::from_wire(&rr.owner) else { return false };
                // A wildcard of that zone makes names there, too.
                let nobodys = !case.facts.has(&owner, rr.rtype) && case.facts.wildcard(&owner).is_none();
                let made = rr.rtype == rtype::CNAME && nobodys && !case.facts.is_renamed(&owner);
                made || case.facts.is_hidden_above(&owner)
            };
            let below = matches!(zones, [Some(from), Some(to)] if to != from && to.is_within(&from));
            below || theirs.answer.iter().any(hidden)
        },
    },
    Fault {
        program: Program::Knot,
        name: "DS of an apex to which an alias of its own zone leads",
        why: "RFC 4035 §3.1.4.1: the zone above answers",
        is: |case, ours, _| {
            let end = end_of_chain(&case.name, ours);
            case.question.qtype == rtype::DS && end != case.name && case.facts.is_apex(&end)
        },
    },
    Fault {
        program: Program::Bind,
        name: "DS of an apex to which an alias leads",
        why: "RFC 4035 §3.1.4.1: the zone above answers",
        is: |case, ours, _| {
            let end = end_of_chain(&case.name, ours);
            case.question.qtype == rtype::DS && end != case.name && case.facts.is_apex(&end)
        },
    },
    Fault {
        program: Program::Knot,
        name: "a wildcard makes glue",
        why: "RFC 1034 §4.2.1: glue is what the zone holds for the nameserver's own name; a wildcard below the cut is not ours to \
              apply",
        is: |case, _, theirs| {
            let made_up =
                |rr: &Rr| Name::from_wire(&rr.owner).is_some_and(|owner| !case.facts.has(&owner, rr.rtype));
            let cut = |rr: &Rr| {
                let owner = Name::from_wire(&rr.owner);
                rr.rtype == rtype::NS && owner.is_some_and(|owner| !case.facts.is_apex(&owner))
            };
            theirs.authority.iter().any(cut) && theirs.additional.iter().any(made_up)
        },
    },
    Fault {
        program: Program::Knot,
        name: "an alias is followed beyond a delegation",
        why: "RFC 1034 §4.3.2 step 3b: what is below a cut is referred to, whatever led there",
        is: |case, ours, theirs| {
            let beyond =
                |rr: &Rr| Name::from_wire(&rr.owner).is_some_and(|owner| case.facts.cut(&owner).is_some());
            let referral = ours.authority.iter().any(|rr| rr.rtype == rtype::NS);
            referral && theirs.answer.iter().any(beyond)
        },
    },
    Fault {
        program: Program::Knot,
        name: "a DNAME that leads below itself is applied to its own name",
        why: "RFC 6672 §2.3: it is for the names below it",
        is: |_, ours, _| {
            let below = |rr: &Rr| {
                let names = (Name::from_wire(&rr.rdata), Name::from_wire(&rr.owner));
                rr.rtype == rtype::DNAME
                    && matches!(names, (Some(target), Some(owner)) if target.is_within(&owner))
            };
            ours.answer.iter().any(below)
        },
    },
    Fault {
        program: Program::Knot,
        name: "a negative answer loses its SOA where it does not fit, without TC",
        why: "RFC 2308 §3: the SOA must be there; RFC 2181 §9: what must be there and is not, is told by TC",
        is: |case, _, theirs| {
            let stream = Question { transport: Transport::Tcp, ..case.question.clone() };
            let negative = theirs.authority.is_empty() && !theirs.is("tc");
            negative && (case.ask_theirs)(&stream).authority.iter().any(|rr| rr.rtype == rtype::SOA)
        },
    },
    Fault {
        program: Program::Knot,
        name: "a payload size of a few octets is FORMERR",
        why: "RFC 6891 §6.2.3: less than 512 means 512",
        is: |case, _, theirs| theirs.rcode == 1 && case.question.edns.is_some_and(|payload| payload < 512),
    },
    Fault {
        program: Program::Knot,
        name: "the search goes on after YXDOMAIN",
        why: "RFC 6672 §2.2: a name that gets too long ends it",
        is: |_, ours, _| ours.rcode == 6,
    },
    Fault {
        program: Program::Knot,
        name: "the DNAME of a name that begins with an asterisk gets the question's name",
        why: "RFC 4592 §2.3: asked for as it stands, it is a name as others",
        is: |case, _, theirs| {
            let made_up = |rr: &Rr| {
                let owner = Name::from_wire(&rr.owner);
                rr.rtype == rtype::DNAME && owner.is_some_and(|owner| !case.facts.has(&owner, rtype::DNAME))
            };
            theirs.answer.iter().any(made_up)
        },
    },
];
