//! `zones/<origin>.toml`: what is steered in a zone.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::bindings::{self, WrittenBinding};
use super::clusters::named;
use super::document::{Table, Value, Wholeness, Written, read as read_document, same_keys};
use super::expose::{WrittenExpose, expose};
use super::issue::{At, Issue, Source};
use super::policies::{self, WrittenPolicy, policy};
use super::transfers::{WrittenTransfer, transfer};
use super::words::{nearest, shown};
use crate::steering::service::Ipv6;
use crate::wire::name::Name;

/// How long an answer may be kept.
const TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// How long a death may go unseen, where its operator says so.
const DETECT_WITHIN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Addresses of an answer.
const ANSWERS: RangeInclusive<i64> = 1..=64;

/// All defaults of a service.
mod default {
    pub(super) const TTL_S: u32 = 20;
    pub(super) const ANSWERS: u8 = 8;
}

/// What a zone's TOML file says; references are keys yet.
#[derive(Clone, Debug, Default)]
pub struct SteeringFile {
    /// The services, in the order of the file.
    pub services: Vec<WrittenService>,
    /// The zone's own policies.
    pub policies: Vec<WrittenPolicy>,
    /// Which clusters and nodes have names.
    pub expose: Option<WrittenExpose>,
    /// What its secondaries get.
    pub export: Option<Written<Export>>,
    /// Who they are; `None`: as steerdns.toml says.
    pub transfer: Option<WrittenTransfer>,
    /// Whether something may stand in it that was not understood.
    pub wholeness: Wholeness,
}

/// What a zone's secondaries get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Export {
    /// As if every node were up that no operator took out; the serial is the file's.
    #[default]
    Plan,
    /// As it is now; the serial is the time of the last change.
    Health,
}

/// The words of `export`.
const EXPORTS: [(&str, Export); 2] = [("plan", Export::Plan), ("health", Export::Health)];

/// A service as it is written.
#[derive(Clone, Debug)]
pub struct WrittenService {
    /// Where it answers.
    pub owner: Written<Name>,
    /// Its policy.
    pub policy: ServicePolicy,
    /// By which check nodes are judged.
    pub check: Option<Written<Arc<str>>>,
    /// Seconds that an answer may be kept; where nothing is written, at the service.
    pub ttl_s: Written<u32>,
    /// At most so many addresses in an answer.
    pub answers: u8,
    /// What to say when no node is up.
    pub all_down: WrittenAllDown,
    /// What clients of IPv6 get where some clusters lack it.
    pub ipv6: Option<Ipv6>,
    /// Whether a resolver without ECS keeps its set.
    pub sticky: bool,
    /// How much it is asked for, beside the others.
    pub demand: f64,
    /// A longer time from death to removal that is accepted.
    pub detect_within: Option<Written<Duration>>,
    /// What it answers beside addresses.
    pub bindings: Vec<WrittenBinding>,
    /// Whether it is a cluster's own name.
    pub is_exposed: bool,
}

/// The policy of a service.
#[derive(Clone, Debug)]
pub enum ServicePolicy {
    /// One that stands elsewhere.
    Named(Written<Arc<str>>),
    /// Its own.
    Inline(Box<WrittenPolicy>),
    /// It could not be read: that has been told.
    Unread,
}

/// What to say when no node is up, as it is written.
#[derive(Clone, Debug)]
pub enum WrittenAllDown {
    /// As if every node of the normal cluster were up.
    ServeAll,
    /// SERVFAIL.
    ServFail,
    /// The nodes of the cluster with this key.
    Fallback(Written<Arc<str>>),
}

/// Reads a zone's TOML file.
pub fn read(source: &Arc<Source>, origin: &Name, issues: &mut Vec<Issue>) -> SteeringFile {
    let (file, wholeness) = read_document(source, issues, |table, issues| root(table, origin, issues));
    SteeringFile { wholeness, ..file }
}

fn root(mut table: Table<'_>, origin: &Name, issues: &mut Vec<Issue>) -> SteeringFile {
    let services: Vec<WrittenService> =
        named(&mut table, "service", issues, |value, issues| service(value, origin, issues));
    let policies = named(&mut table, "policy", issues, policy);
    for shared in ["cluster", "check"] {
        let what = format!("`{shared}` is not a key of a zone's file");
        table.refuse(shared, &what, "clusters and checks stand in clusters.toml", issues);
    }
    let expose = table.take("expose").and_then(|value| expose(&value, issues));
    let export = table.take("export").and_then(|value| Some(value.written(value.word(&EXPORTS, issues)?)));
    let secondaries = table.take("transfer").and_then(|value| value.table("`[transfer]`", issues));
    let secondaries = secondaries.map(|table| transfer(table, issues));
    table.finish(issues);
    same_keys(policies.iter().map(|policy| &policy.key), "policy", issues);
    SteeringFile { services, policies, expose, export, transfer: secondaries, wholeness: Wholeness::Whole }
}

fn service(value: &Value<'_>, origin: &Name, issues: &mut Vec<Issue>) -> Option<WrittenService> {
    let owner = owner(value, origin, issues);
    let title = format!("service `{}`", shown(value.key));
    let mut table = value.table(&*title, issues)?;
    let ttl = table.take("ttl").and_then(|value| ttl(&value, issues));
    let detect_within = table.take("detect_within");
    let detect_within = detect_within.and_then(|value| {
        let within = value.duration(DETECT_WITHIN, issues)?;
        Some(value.written(within))
    });
    let check = table.take("check").and_then(|value| value.reference(issues));
    let answers = table.take("answers").and_then(|value| value.whole(ANSWERS, issues));
    let all_down = table.take("all_down").and_then(|value| all_down(&value, issues));
    let ipv6 = table.take("ipv6").and_then(|value| value.word(&IPV6, issues));
    let sticky = table.take("sticky").and_then(|value| value.flag(issues));
    let demand = table.take("demand").and_then(|value| demand(&value, issues));
    let policy = policy_of(value, owner.as_ref(), &mut table, issues);
    let bindings = bindings::take(&mut table, owner.as_ref(), issues);
    let what = format!("`alias` is not a key of service `{}`", shown(value.key));
    table.refuse(
        "alias",
        &what,
        "names outside our zones are not resolved by us: write a CNAME into the master file; for one of our services, give this \
         one the same policy",
        issues,
    );
    split_owner(value, &mut table, issues);
    table.finish(issues);
    let here = || Written { value: default::TTL_S, at: value.key_at.clone() };
    Some(WrittenService {
        owner: Written { value: owner?, at: value.key_at.clone() },
        policy,
        check,
        ttl_s: ttl.unwrap_or_else(here),
        answers: answers.and_then(|answers| answers.try_into().ok()).unwrap_or(default::ANSWERS),
        all_down: all_down.unwrap_or(WrittenAllDown::ServeAll),
        ipv6,
        sticky: sticky.unwrap_or(false),
        demand: demand.unwrap_or(1.0),
        detect_within,
        bindings,
        is_exposed: false,
    })
}

/// The words of `ipv6`.
const IPV6: [(&str, Ipv6); 2] = [("far", Ipv6::Far), ("off", Ipv6::Off)];

/// The owner that the key of a service names.
fn owner(value: &Value<'_>, origin: &Name, issues: &mut Vec<Issue>) -> Option<Name> {
    let owner = match Name::parse(value.key, Some(origin)) {
        Ok(owner) => owner,
        Err(fault) => {
            let what = format!("`{}` is not a name: {fault}", shown(value.key));
            issues.push(Issue::error(value.key_at.clone(), what));
            return None;
        }
    };
    if !owner.is_within(origin) {
        let what = format!("`{owner}` is outside the zone `{origin}`");
        issues.push(
            Issue::error(value.key_at.clone(), what).remedy("a service stands in the file of its zone"),
        );
        return None;
    }
    // `play.live.example.com` without the dot at its end, in the file of live.example.com.
    let absolute = Name::parse(value.key, Some(&Name::root())).ok();
    if absolute.is_some_and(|absolute| absolute != owner && absolute.is_within(origin)) {
        let issue = Issue::warning(value.key_at.clone(), format!("this is `{owner}`"));
        issues.push(issue.remedy(format!("a dot at the end makes it absolute: `{}.`", shown(value.key))));
    }
    Some(owner)
}

/// Says of `[service.play.eu]` that a name with dots stands in quotes.
fn split_owner(value: &Value<'_>, table: &mut Table<'_>, issues: &mut Vec<Issue>) {
    for inner in table.tables() {
        let (outer, inner_key) = (shown(value.key), shown(inner.key));
        let what = format!("`{inner_key}` is not a key of service `{outer}`");
        let remedy =
            match nearest(inner.key, ["policy", "all_down", "rule", "spread", "https", "svcb", "srv"]) {
                Some(near) => format!("there is `{near}`"),
                None => format!("a name with dots stands in quotes: `[service.\"{outer}.{inner_key}\"]`"),
            };
        issues.push(Issue::error(inner.key_at, what).remedy(remedy));
    }
}

/// How long an answer may be kept: whole seconds.
pub(super) fn ttl(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Written<u32>> {
    let ttl = value.duration(TTL, issues)?;
    if ttl.subsec_millis() != 0 {
        issues.push(value.unfit("whole seconds"));
        return None;
    }
    Some(value.written(u32::try_from(ttl.as_secs()).ok()?))
}

/// More than 0, at most a million.
fn demand(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<f64> {
    let number = value.number(issues)?;
    let fits = number > 0.0 && number <= 1e6;
    if !fits {
        issues.push(
            value
                .unfit("more than 0 and at most 1000000")
                .remedy("how much it is asked for, beside other services: `demand = 2`"),
        );
    }
    fits.then_some(number)
}

fn all_down(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenAllDown> {
    if value.is_table() {
        let mut table = value.table("`all_down`", issues)?;
        let cluster = table.need("fallback", "{ fallback = \"sin\" }", issues);
        let cluster = cluster.and_then(|value| value.reference(issues));
        table.finish(issues);
        return cluster.map(WrittenAllDown::Fallback);
    }
    let text = value.as_text().unwrap_or_default();
    match text {
        "serve-all" => return Some(WrittenAllDown::ServeAll),
        "servfail" => return Some(WrittenAllDown::ServFail),
        _ => {}
    }
    let issue = value.unfit("`serve-all`, `servfail` or `{ fallback = \"cluster\" }`");
    issues.push(match nearest(text, ["serve-all", "servfail"]) {
        Some(near) => issue.remedy(format!("there is `{near}`")),
        None if text.is_empty() => issue,
        None => issue.remedy(format!("a cluster is written `{{ fallback = \"{}\" }}`", shown(text))),
    });
    None
}

/// A policy by name, or its keys inline; neither means all clusters by nearness.
fn policy_of(
    value: &Value<'_>,
    owner: Option<&Name>,
    table: &mut Table<'_>,
    issues: &mut Vec<Issue>,
) -> ServicePolicy {
    let by_name = table.take("policy");
    let inline_at: Option<At> = table.first_of(&policies::KEYS);
    let key = owner.map_or_else(|| shown(value.key), Name::to_string);
    let key = Written { value: format!("service {key}").into(), at: value.key_at.clone() };
    let inline = policies::keys(table, key, issues);
    match (by_name, inline_at) {
        (None, _) => ServicePolicy::Inline(Box::new(inline)),
        (Some(by_name), None) => {
            by_name.reference(issues).map_or(ServicePolicy::Unread, ServicePolicy::Named)
        }
        (Some(by_name), Some(inline_at)) => {
            let issue = Issue::error(inline_at, "a service names a policy or has a policy's keys, not both");
            issues.push(issue.also(by_name.key_at, "the policy is named here"));
            ServicePolicy::Unread
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SteeringFile {
        let mut issues = Vec::new();
        let source = Arc::new(Source { path: "zones/live.example.com.toml".into(), text: text.into() });
        let origin = Name::parse("live.example.com.", None).unwrap();
        let file = read(&source, &origin, &mut issues);
        assert!(issues.is_empty(), "{issues:?}");
        file
    }

    #[test]
    fn a_service_may_be_the_apex_a_wildcard_or_absolute() {
        let file = file(
            "[service.\"@\"]\n[service.\"*.play\"]\n[service.\"a.b.live.example.com.\"]\n[service.Ingest]",
        );
        let owners: Vec<String> =
            file.services.iter().map(|service| service.owner.value.to_string()).collect();
        let wanted = [
            "live.example.com.",
            "*.play.live.example.com.",
            "a.b.live.example.com.",
            "ingest.live.example.com.",
        ];
        assert_eq!(owners, wanted);
        assert!(file.services[1].owner.value.is_wildcard());
    }

    #[test]
    fn a_service_that_says_nothing_has_its_defaults() {
        let file = file("[service.play]");
        let play = &file.services[0];
        assert_eq!((play.ttl_s.value, play.answers, play.sticky, play.ipv6), (20, 8, false, None));
        assert!(matches!(play.all_down, WrittenAllDown::ServeAll));
        let ServicePolicy::Inline(policy) = &play.policy else { panic!("inline") };
        assert_eq!(&*policy.key.value, "service play.live.example.com.");
        assert!(policy.clusters.is_none() && policy.ecs);
    }

    #[test]
    fn every_key_of_a_service_is_read() {
        let file = file(
            "[service.play]\npolicy = \"everywhere\"\ncheck = \"edge\"\nttl = \"1m\"\nanswers = 2\nsticky = true\n\
             ipv6 = \"off\"\nall_down = { fallback = \"sin\" }\ndetect_within = \"90s\"",
        );
        let play = &file.services[0];
        assert!(matches!(&play.policy, ServicePolicy::Named(key) if &*key.value == "everywhere"));
        assert!(matches!(&play.all_down, WrittenAllDown::Fallback(key) if &*key.value == "sin"));
        assert_eq!((play.ttl_s.value, play.answers, play.sticky, play.ipv6), (60, 2, true, Some(Ipv6::Off)));
        assert_eq!(play.detect_within.as_ref().map(|within| within.value), Some(Duration::from_secs(90)));
    }
}
