//! Two answers to one question: the same, the same by licences, or not.

use std::collections::BTreeSet;

use steerdns::wire::name::Name;

use super::facts::Facts;
use super::licences::LICENCES;
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

/// Two answers that no licence makes the same.
pub struct Difference {
    /// What differs.
    pub what: String,
    /// Ours, whole and followed to its end as far as the licences go.
    pub ours: Said,
    /// The peer's.
    pub theirs: Said,
}

/// The licences that make the two answers the same, or what still differs.
pub fn compare(case: &Case<'_>, ours: &Said, theirs: &Said) -> Result<Vec<&'static str>, Box<Difference>> {
    if !ours.twice.is_empty() {
        let what = format!("ours has a record twice: {:?}", ours.twice);
        return Err(Box::new(Difference { what, ours: ours.clone(), theirs: theirs.clone() }));
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
    if ours == theirs {
        return Ok(used);
    }
    Err(Box::new(Difference { what: difference(&ours, &theirs), ours, theirs }))
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
