//! Services with ids instead of keys, and where they may stand among the records of a zone.

use std::collections::HashMap;

use super::names::Names;
use super::policies::Policies;
use super::{World, WrittenZone};
use crate::cluster::{CheckId, ClusterId};
use crate::files::issue::{At, Issue};
use crate::files::steering::{WrittenAllDown, WrittenService};
use crate::files::words::shown;
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
    pub(super) fn linked(self, ids: &HashMap<usize, PolicyId>) -> Option<Service> {
        Some(Service {
            owner: self.written.owner.value.clone(),
            policy: *ids.get(&self.policy?)?,
            check: self.check,
            ttl_s: self.written.ttl_s.value,
            answers: self.written.answers,
            all_down: self.all_down?,
            ipv6: self.written.ipv6.unwrap_or(Ipv6::Far),
            sticky: self.written.sticky,
            detect_within: self.written.detect_within.as_ref().map(|within| within.value),
        })
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
        let mut owners: HashMap<&Name, &At> = HashMap::new();
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
                None => issues.extend(records.fault(written, &file.origin)),
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

/// The records that a service may not stand beside or below, by owner.
struct Standing<'z> {
    beside: HashMap<&'z Name, (&'static str, &'z At)>,
    delegations: HashMap<&'z Name, &'z At>,
    renames: HashMap<&'z Name, &'z At>,
}

impl<'z> Standing<'z> {
    fn of(zone: &'z WrittenZone) -> Standing<'z> {
        let (mut beside, mut delegations, mut renames) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (record, at) in zone.records.iter().zip(&zone.records_at) {
            let owner = &record.owner;
            match record.rtype {
                rtype::A => _ = beside.entry(owner).or_insert(("A", at)),
                rtype::AAAA => _ = beside.entry(owner).or_insert(("AAAA", at)),
                rtype::CNAME => _ = beside.entry(owner).or_insert(("CNAME", at)),
                rtype::NS if *owner != zone.origin => _ = delegations.entry(owner).or_insert(at),
                rtype::DNAME => _ = renames.entry(owner).or_insert(at),
                _ => {}
            }
        }
        Standing { beside, delegations, renames }
    }

    /// Why a service may not stand where it does.
    fn fault(&self, service: &WrittenService, origin: &Name) -> Option<Issue> {
        let owner = &service.owner.value;
        let error = |what: String| Issue::error(service.owner.at.clone(), what);
        if let Some((word, at)) = self.beside.get(owner) {
            let issue = error(format!("`{owner}` is steered, and has {word} records in the master file"));
            return Some(issue.also((*at).clone(), "this record").remedy("leave one of them out"));
        }
        let within = std::iter::successors(Some(owner.clone()), Name::parent);
        for name in within.take_while(|name| name.is_within(origin)) {
            if let Some(at) = self.delegations.get(&name) {
                let issue =
                    error(format!("`{owner}` is below the delegation of `{name}`: others answer for it"));
                return Some(issue.also((*at).clone(), "delegated here"));
            }
            // RFC 6672 §2.4: what is below a DNAME does not exist; its owner does.
            if let Some(at) = self.renames.get(&name).filter(|_| name != *owner) {
                let issue = error(format!("`{owner}` is below the DNAME of `{name}`: it does not exist"));
                return Some(issue.also((*at).clone(), "renamed here"));
            }
        }
        None
    }
}

/// How sentences call a service.
pub(super) fn called(service: &WrittenService) -> String {
    format!("`{}`", shown(&service.owner.value.to_string()))
}
