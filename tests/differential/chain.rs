//! Where the aliases of an answer lead, and how a resolver goes on.

use steerdns::answer::worker::Transport;
use steerdns::wire::name::Name;
use steerdns::zone::chain::CHAIN_MAX;
use steerdns::zone::record::rtype;

use super::compare::Case;
use crate::support::ask::Question;
use crate::support::message::{Rr, Said};

/// How often a chain is asked on: DNAMEs that lead below themselves add a label each time, until the name is full.
const CHASED_MAX: usize = 256;

/// Follows both answers to the end of their aliases, where ours may stop before it.
pub fn chased(case: &Case<'_>, ours: &mut Said, theirs: &mut Said) {
    let (our_end, their_end) = (loose_end(case, ours), loose_end(case, theirs));
    if our_end.is_none() && their_end.is_none() || !ours.is("aa") || !theirs.is("aa") {
        return;
    }
    if our_end.is_some_and(|next| !may_stop(case, ours, &next)) {
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
    let wildcard = case.facts.wildcard(next);
    let again = wildcard.is_some()
        && (wildcard.as_ref() == Some(&case.name) || wildcard == case.facts.wildcard(&case.name))
        || case.facts.wildcard(&case.name).as_ref() == Some(next);
    let outside = case.facts.zone(next).is_none();
    outside || looped || renamed || again || case.facts.is_renamed(next) || links >= CHAIN_MAX
}

/// Where the aliases of an answer lead from `name`.
pub fn end_of_chain(name: &Name, said: &Said) -> Name {
    let mut at = name.clone();
    for _ in 0..said.answer.len() {
        let alias = |rr: &&Rr| rr.rtype == rtype::CNAME && rr.owner == at.octets();
        match said.answer.iter().find(alias).and_then(|rr| Name::from_wire(&rr.rdata)) {
            Some(target) => at = target,
            None => break,
        }
    }
    at
}

/// The name at which a chain of aliases ends, where nothing is told of it: no data, no SOA, and no referral that leads
/// out of what the server itself serves.
fn loose_end(case: &Case<'_>, said: &Said) -> Option<Name> {
    let end = end_of_chain(&case.name, said);
    let alias = |rr: &Rr| rr.owner == case.name.octets() && rr.rtype == rtype::CNAME;
    // Who asks for the alias itself has it; so has who asks for anything.
    if matches!(case.question.qtype, rtype::CNAME | rtype::ANY) && said.answer.iter().any(alias) {
        return None;
    }
    let asked = |rr: &Rr| match case.question.qtype {
        rtype::ANY => rr.rtype != rtype::CNAME,
        qtype => rr.rtype == qtype,
    };
    let data = said.answer.iter().any(|rr| rr.owner == end.octets() && asked(rr));
    let zone = case.facts.zone(&end);
    let above = end.parent().and_then(|parent| case.facts.zone(&parent));
    // A zone further up than the one that holds the name tells nothing of it, but for the DS of an apex.
    let tells = |rr: &Rr| {
        let owner = Name::from_wire(&rr.owner);
        match rr.rtype {
            rtype::SOA if case.question.qtype == rtype::DS => owner == zone || owner == above,
            rtype::SOA => owner == zone,
            _ => owner.is_some_and(|cut| {
                let ours_below = zone.as_ref().is_some_and(|zone| zone.is_within(&cut));
                case.facts.has(&cut, rtype::NS) && !ours_below
            }),
        }
    };
    let told = data || said.rcode != 0 && said.authority.is_empty() || said.authority.iter().any(tells);
    (end != case.name && !told).then_some(end)
}

/// Goes on as a resolver does: asks the same server for the name at which the chain ends.
fn chase(case: &Case<'_>, said: &mut Said, ask: &dyn Fn(&Question) -> Said) {
    for _ in 0..CHASED_MAX {
        let Some(next) = loose_end(case, said) else { break };
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

/// All names that two answers lead through.
pub fn names_of(case: &Case<'_>, ours: &Said, theirs: &Said) -> Vec<Name> {
    let aliases = ours.answer.iter().chain(&theirs.answer).filter(|rr| rr.rtype == rtype::CNAME);
    let targets = aliases.filter_map(|rr| Name::from_wire(&rr.rdata));
    targets.chain([case.name.clone()]).collect()
}
