//! Checks with what they need of other files, and of one another.

use std::sync::Arc;

use super::World;
use super::names::Names;
use crate::cluster::CheckId;
use crate::files::checks::WrittenCheck;
use crate::files::issue::Issue;
use crate::files::words::shown;
use crate::health::check::{Check, Kind};

/// More would be gone through for each verdict.
const PROBES_MAX: usize = 64;

/// The checks: those that probe with the roots that they trust, those that are made of others with their ids.
pub(super) fn checks(world: &World, names: &Names<'_>, issues: &mut Vec<Issue>) -> Vec<Arc<Check>> {
    let written = &world.clusters.checks;
    let mut checks: Vec<Check> = written.iter().map(|written| one(written, world, names, issues)).collect();
    for at in 0..checks.len() {
        let Some(layers) = &written[at].layers else { continue };
        if let Some(loops) = way_back(&checks, at) {
            let [own, between @ .., _] = &loops[..] else { continue };
            let name = |at: &usize| format!("`{}`", shown(&checks[*at].key));
            let by: String = between.iter().map(|at| format!(", by {}", name(at))).collect();
            let what = format!("check {} is made of itself{by}", name(own));
            issues.push(Issue::error(layers.at.clone(), what).remedy("a check is made of others"));
            // An issue keeps all of it from being used; whoever goes through the layers must still come to an end.
            let Kind::Several(several) = &mut checks[at].kind else { continue };
            several.of.clear();
        }
    }
    for (at, written) in written.iter().enumerate() {
        let Some(layers) = &written.layers else { continue };
        let probes = probes(&checks, at);
        if probes > PROBES_MAX {
            let what = format!(
                "check `{}` is made of more than {PROBES_MAX} probes, all levels together",
                shown(&checks[at].key)
            );
            issues.push(Issue::error(layers.at.clone(), what));
            let Kind::Several(several) = &mut checks[at].kind else { continue };
            several.of.clear();
        }
    }
    for (at, written) in written.iter().enumerate() {
        if written.layers.as_ref().is_some_and(|layers| !layers.has_port) {
            checks[at].port = port(&checks, at);
        }
    }
    checks.into_iter().map(Arc::new).collect()
}

fn one(written: &WrittenCheck, world: &World, names: &Names<'_>, issues: &mut Vec<Issue>) -> Check {
    let mut check = written.check.clone();
    if let (Some(tls), Some(path)) = (check.kind.tls_mut(), &written.roots) {
        tls.roots = world.includes.roots.get(&path.value).cloned();
    }
    if let Kind::Several(several) = &mut check.kind {
        let of = written.layers.iter().flat_map(|layers| &layers.of);
        several.of = of.filter_map(|key| names.check(key, issues)).collect();
    }
    check
}

/// How many probes a check is made of, all levels together, each as often as it is named; more than [`PROBES_MAX`] are not counted.
fn probes(checks: &[Check], at: usize) -> usize {
    let Kind::Several(several) = &checks[at].kind else { return 1 };
    let mut sum = 0;
    for layer in &several.of {
        sum += probes(checks, usize::from(layer.0));
        if sum > PROBES_MAX {
            break;
        }
    }
    sum
}

/// The layers from a check down to itself, where there is such a way.
fn way_back(checks: &[Check], from: usize) -> Option<Vec<usize>> {
    let mut seen = vec![false; checks.len()];
    let mut ways = vec![vec![from]];
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        let Kind::Several(several) = &checks[last].kind else { continue };
        for CheckId(next) in &several.of {
            let next = usize::from(*next);
            if next == from {
                return Some([&way[..], &[from]].concat());
            }
            if !std::mem::replace(&mut seen[next], true) {
                ways.push([&way[..], &[next]].concat());
            }
        }
    }
    None
}

/// The port that SRV records tell of a check that is made of others and names none: that of the last one, which comes
/// furthest.
fn port(checks: &[Check], at: usize) -> u16 {
    let mut at = at;
    // There are no loops any more.
    while let Kind::Several(several) = &checks[at].kind {
        match several.of.last() {
            Some(last) => at = usize::from(last.0),
            None => break,
        }
    }
    checks[at].port
}
