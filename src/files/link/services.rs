//! Services with ids instead of keys, and where they may stand among the records of a zone.

use hashbrown::HashMap;

use super::names::Names;
use super::policies::Policies;
use super::{World, WrittenZone};
use crate::cluster::{CheckId, ClusterId};
use crate::files::issue::{At, Issue};
use crate::files::rdata::mnemonic;
use crate::files::steering::{WrittenAllDown, WrittenService};
use crate::files::words::shown;
use crate::steering::binding::Form;
use crate::steering::rules::PolicyId;
use crate::steering::service::{AllDown, Ipv6, Service};
use crate::wire::name::Name;
use crate::zone::record::rtype;

/// A service, resolved.
pub(super) struct Resolved<'w> {
    /// As it is written.
    pub(super) written: &'w WrittenService,
    /// Its zone's place among the zones.
    pub(super) zone: usize,
    /// Its policy's place among all policies; `None`: that has its issue.
    pub(super) policy: Option<usize>,
    /// Its check; `None`: it names none, or that has its issue.
    pub(super) check: Option<CheckId>,
    /// What it says when all is down; `None`: that has its issue.
    pub(super) all_down: Option<AllDown>,
}

impl Resolved<'_> {
    /// The service; `ids` has an id for each place of a policy. `None` where something had its issue.
    pub(super) fn linked(self, ids: &std::collections::HashMap<usize, PolicyId>) -> Option<Service> {
        Some(Service {
            owner: self.written.owner.value.clone(),
            policy: *ids.get(&self.policy?)?,
            check: self.check,
            ttl_s: self.written.ttl_s.value,
            answers: self.written.answers,
            all_down: self.all_down?,
            ipv6: self.written.ipv6.unwrap_or(Ipv6::Far),
            sticky: self.written.sticky,
            demand: self.written.demand,
            detect_within: self.written.detect_within.as_ref().map(|within| within.value),
            is_exposed: self.written.is_exposed,
        })
    }

    /// What it answers beside addresses. One cluster more is named where clusters have names and nothing else is written.
    pub(super) fn bindings(&self, world: &World) -> Vec<(Name, u16, Form, u8)> {
        let exposed = world.zones[self.zone].steering.expose.is_some();
        let linked = self.written.bindings.iter().map(|binding| {
            let next = binding.next.as_ref().map_or(u8::from(exposed), |next| next.value);
            (binding.owner.value.clone(), binding.rtype, binding.form.clone(), next)
        });
        linked.collect()
    }

    /// The cluster that answers when all is down.
    pub(super) fn fallback(&self) -> Option<ClusterId> {
        match self.all_down {
            Some(AllDown::Fallback(cluster)) => Some(cluster),
            _ => None,
        }
    }
}

/// Resolves all services of all zones.
pub(super) fn resolve<'w>(
    world: &'w World,
    names: &Names<'_>,
    policies: &Policies<'_>,
    issues: &mut Vec<Issue>,
) -> Vec<Resolved<'w>> {
    let mut services = Vec::new();
    let origins: HashMap<&Name, usize> =
        world.zones.iter().enumerate().map(|(at, zone)| (&zone.origin, at)).collect();
    for (zone, file) in world.zones.iter().enumerate() {
        if file.steering.services.is_empty() {
            continue;
        }
        let records = Standing::of(file);
        let (mut owners, mut bound) = (HashMap::new(), HashMap::new());
        for written in &file.steering.services {
            let owner = &written.owner;
            if let Some(first) = owners.insert(&owner.value, &owner.at) {
                let issue = Issue::error(owner.at.clone(), format!("`{}` is a service already", owner.value));
                issues.push(issue.also(first.clone(), "the same name"));
            }
            match nested(&owner.value, zone, &origins, world) {
                Some(child) => {
                    let issue =
                        Issue::error(owner.at.clone(), format!("`{}` is in the zone `{child}`", owner.value));
                    let child = child.to_string();
                    issues.push(issue.remedy(format!("write it in {}.toml", child.trim_end_matches('.'))));
                }
                None => {
                    let types = [rtype::A, rtype::AAAA, rtype::CNAME];
                    issues.extend(records.fault(&owner.value, &owner.at, "steered", &types, &file.origin));
                    bindings(written, file, &records, &mut bound, issues);
                }
            }
            services.push(Resolved {
                written,
                zone,
                policy: policies.of(written, zone, world, names, issues),
                check: written.check.as_ref().and_then(|check| names.check(check, issues)),
                all_down: match &written.all_down {
                    WrittenAllDown::ServeAll => Some(AllDown::ServeAll),
                    WrittenAllDown::ServFail => Some(AllDown::ServFail),
                    WrittenAllDown::Fallback(key) => names.cluster(key, issues).map(AllDown::Fallback),
                },
            });
        }
    }
    services
}

/// Checks what a service answers beside addresses.
fn bindings<'w>(
    service: &'w WrittenService,
    file: &WrittenZone,
    records: &Standing<'_>,
    bound: &mut HashMap<(&'w Name, u16), &'w At>,
    issues: &mut Vec<Issue>,
) {
    for binding in &service.bindings {
        let (owner, word) = (&binding.owner, binding.word());
        let types = [binding.rtype, rtype::CNAME];
        issues.extend(records.fault(&owner.value, &owner.at, "steered", &types, &file.origin));
        if let Some(first) = bound.insert((&owner.value, binding.rtype), &owner.at) {
            let issue =
                Issue::error(owner.at.clone(), format!("`{}` is steered in {word} already", owner.value));
            issues.push(issue.also(first.clone(), "by this"));
        }
        let expose = file.steering.expose.as_ref();
        let (missing, wanted) = match &binding.form {
            Form::Nodes { .. } => (expose.is_none_or(|expose| !expose.nodes), "nodes"),
            Form::Service { .. } => {
                (expose.is_none() && binding.next.as_ref().is_some_and(|next| next.value > 0), "clusters")
            }
        };
        if missing {
            let at = binding.next.as_ref().map_or(&owner.at, |next| &next.at);
            let at = if wanted == "nodes" { &owner.at } else { at };
            let issue =
                Issue::error(at.clone(), format!("{word} leads to names of {wanted}, and they have none"));
            issues.push(issue.remedy(format!("write `expose = \"{wanted}\"` at the top of this file")));
        }
    }
}

/// The zone below `zone` that holds `owner`, where we serve it, too.
fn nested<'w>(
    owner: &Name,
    zone: usize,
    origins: &HashMap<&Name, usize>,
    world: &'w World,
) -> Option<&'w Name> {
    let ancestors = std::iter::successors(Some(owner.clone()), Name::parent);
    let nearest = ancestors.into_iter().find_map(|name| origins.get(&name).copied())?;
    (nearest != zone).then(|| &world.zones[nearest].origin)
}

/// The records that a steered name may not stand beside or below.
pub(super) struct Standing<'z> {
    here: HashMap<(&'z Name, u16), &'z At>,
    delegations: HashMap<&'z Name, &'z At>,
    renames: HashMap<&'z Name, &'z At>,
}

impl<'z> Standing<'z> {
    pub(super) fn of(zone: &'z WrittenZone) -> Standing<'z> {
        let (mut here, mut delegations, mut renames) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (record, at) in zone.records.iter().zip(&zone.records_at) {
            let owner = &record.owner;
            here.entry((owner, record.rtype)).or_insert(at);
            match record.rtype {
                rtype::NS if *owner != zone.origin => _ = delegations.entry(owner).or_insert(at),
                rtype::DNAME => _ = renames.entry(owner).or_insert(at),
                _ => {}
            }
        }
        Standing { here, delegations, renames }
    }

    /// Why a name, which is steered or exposed at `at`, may not stand where it does, with none of these types beside it.
    pub(super) fn fault(
        &self,
        owner: &Name,
        at: &At,
        is: &str,
        types: &[u16],
        origin: &Name,
    ) -> Option<Issue> {
        let error = |what: String| Issue::error(at.clone(), what);
        let beside = types.iter().find_map(|&rtype| Some((rtype, self.here.get(&(owner, rtype))?)));
        if let Some((rtype, other)) = beside {
            let what = format!("`{owner}` is {is}, and has {} records in the master file", mnemonic(rtype));
            return Some(error(what).also((*other).clone(), "this record").remedy("leave one of them out"));
        }
        let within = std::iter::successors(Some(owner.clone()), Name::parent);
        for name in within.take_while(|name| name.is_within(origin)) {
            if let Some(other) = self.delegations.get(&name) {
                let issue =
                    error(format!("`{owner}` is below the delegation of `{name}`: others answer for it"));
                return Some(issue.also((*other).clone(), "delegated here"));
            }
            // RFC 6672 §2.4: what is below a DNAME does not exist; its owner does.
            if let Some(other) = self.renames.get(&name).filter(|_| name != *owner) {
                let issue = error(format!("`{owner}` is below the DNAME of `{name}`: it does not exist"));
                return Some(issue.also((*other).clone(), "renamed here"));
            }
        }
        None
    }
}

/// How sentences call a service.
pub(super) fn called(service: &WrittenService) -> String {
    format!("`{}`", shown(&service.owner.value.to_string()))
}
