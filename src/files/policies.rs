//! Policies: which clusters, in which order, for whom; in clusters.toml, in a zone's file, or inline in a service.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::document::{Table, Value, Written, each_once};
use super::issue::{At, Issue};
use super::words::shown;
use super::{codes, networks};
use crate::geo::place::Prefix;
use crate::steering::rules::{From, QualityWeight, Spread};

/// The keys of a policy, which a service may have inline.
pub const KEYS: [&str; 7] = ["clusters", "spread", "ecs", "rtt", "rtt_margin", "quality", "rule"];
/// How much better another cluster must be by the table, where nothing is written.
pub const RTT_MARGIN: Duration = Duration::from_millis(20);
/// A margin beyond this would make the table say nothing.
const RTT_MARGIN_MAX: Duration = Duration::from_secs(1);
/// How much quality counts, where `quality` does not say otherwise.
const QUALITY: QualityWeight = QualityWeight { weight: 1.0, tolerate_ms: 10.0 };

/// A policy as it is written: clusters are keys yet, other files only named.
#[derive(Clone, Debug)]
pub struct WrittenPolicy {
    /// Its key; of one inline, `service <owner>`, at the service.
    pub key: Written<Arc<str>>,
    /// Its clusters; `None`: all.
    pub clusters: Option<Written<Vec<Written<Arc<str>>>>>,
    /// Its rules.
    pub rules: Vec<WrittenRule>,
    /// How far clients are spread.
    pub spread: Spread,
    /// Whether EDNS Client Subnet is used.
    pub ecs: bool,
    /// The table of measured round-trip times.
    pub rtt: Option<Written<PathBuf>>,
    /// How much better another cluster must be by that table.
    pub rtt_margin: Duration,
    /// How much it counts that a way is worse than usual.
    pub quality: Option<QualityWeight>,
}

/// A rule as it is written.
#[derive(Clone, Debug)]
pub struct WrittenRule {
    /// Where it begins.
    pub at: At,
    /// For whom it is, but for `prefix_file`.
    pub from: From,
    /// The prefixes of `prefix`, with their places: they are in `from`, too.
    pub prefixes: Vec<Written<Prefix>>,
    /// The file of further prefixes.
    pub prefix_file: Option<Written<PathBuf>>,
    /// Whether it is for everyone: no `from` is written, or an empty one.
    pub is_for_everyone: bool,
    /// What it says.
    pub order: WrittenOrder,
}

/// What a rule says: keys of clusters.
#[derive(Clone, Debug)]
pub enum WrittenOrder {
    /// These first.
    Prefer(Vec<Written<Arc<str>>>),
    /// These and no others; with the place of the whole list.
    Only(Written<Vec<Written<Arc<str>>>>),
    /// It could not be read: that has been told.
    Unread,
}

impl WrittenOrder {
    /// The clusters that it names.
    pub fn clusters(&self) -> &[Written<Arc<str>>] {
        match self {
            WrittenOrder::Prefer(clusters) => clusters,
            WrittenOrder::Only(clusters) => &clusters.value,
            WrittenOrder::Unread => &[],
        }
    }
}

/// Reads `[policy.…]`.
pub fn policy(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenPolicy> {
    let key = value.label("policy", issues);
    let mut table = value.table(format!("policy `{}`", shown(value.key)), issues)?;
    let policy = keys(&mut table, key, issues);
    table.finish(issues);
    Some(policy)
}

/// Takes the keys of a policy from a table.
pub fn keys(table: &mut Table<'_>, key: Written<Arc<str>>, issues: &mut Vec<Issue>) -> WrittenPolicy {
    let clusters = table.take("clusters").map(|value| clusters(&value, issues));
    let clusters = clusters.filter(|clusters| !clusters.value.is_empty());
    let spread = table.take("spread").and_then(|value| spread(&value, issues));
    let ecs = table.take("ecs").and_then(|value| value.flag(issues));
    let rtt = table.take("rtt").and_then(|value| value.path(issues));
    let margin_value = table.take("rtt_margin");
    let margin =
        margin_value.as_ref().and_then(|value| value.duration(Duration::ZERO..=RTT_MARGIN_MAX, issues));
    if let Some(value) = margin_value.filter(|_| rtt.is_none()) {
        let issue = Issue::warning(value.key_at, "`rtt_margin` does nothing without a table");
        issues.push(issue.remedy("add `rtt = \"…\"`, or leave it out"));
    }
    let quality = table.take("quality").and_then(|value| quality(&value, issues));
    let rules = table.take("rule").map(|value| value.list("{ from = …, prefer = [\"…\"] }", issues));
    let rules: Vec<WrittenRule> =
        rules.unwrap_or_default().iter().filter_map(|value| rule(value, issues)).collect();
    warn_of_unreached(&rules, issues);
    WrittenPolicy {
        key,
        clusters,
        rules,
        spread: spread.unwrap_or_default(),
        ecs: ecs.unwrap_or(true),
        rtt,
        rtt_margin: margin.unwrap_or(RTT_MARGIN),
        quality,
    }
}

/// `{ weight, tolerate_ms }`; `{}`: with what goes without saying.
fn quality(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<QualityWeight> {
    let mut table = value.table("`quality`", issues)?;
    let mut within = |key: &'static str, range: std::ops::RangeInclusive<f64>, must: &str| {
        let value = table.take(key)?;
        let number = value.number(issues)?;
        if !range.contains(&number) {
            issues.push(value.unfit(must));
        }
        Some(number as f32)
    };
    let weight = within("weight", 0.01..=10.0, "from 0.01 to 10");
    let tolerate_ms = within("tolerate_ms", 0.0..=1000.0, "from 0 to 1000");
    table.finish(issues);
    Some(QualityWeight {
        weight: weight.unwrap_or(QUALITY.weight),
        tolerate_ms: tolerate_ms.unwrap_or(QUALITY.tolerate_ms),
    })
}

fn warn_of_unreached(rules: &[WrittenRule], issues: &mut Vec<Issue>) {
    let Some(last) = rules.iter().position(|rule| rule.is_for_everyone) else { return };
    if let Some(next) = rules.get(last + 1) {
        let issue = Issue::warning(next.at.clone(), "this rule never matches: one before it is for everyone");
        issues.push(issue.also(rules[last].at.clone(), "it has no `from`").remedy("the first match wins"));
    }
}

/// Keys of clusters, none twice.
fn clusters(value: &Value<'_>, issues: &mut Vec<Issue>) -> Written<Vec<Written<Arc<str>>>> {
    let elements = value.filled_list("\"sin\"", issues);
    let clusters = elements.iter().filter_map(|element| element.reference(issues)).collect();
    value.written(each_once(clusters, issues))
}

fn spread(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Spread> {
    let mut table = value.table("`spread`", issues)?;
    let ipv4 = table.take("ipv4").and_then(|value| value.whole(1..=24, issues));
    let ipv6 = table.take("ipv6").and_then(|value| value.whole(1..=56, issues));
    table.finish(issues);
    let usual = Spread::default();
    Some(Spread {
        ipv4: ipv4.and_then(|bits| bits.try_into().ok()).unwrap_or(usual.ipv4),
        ipv6: ipv6.and_then(|bits| bits.try_into().ok()).unwrap_or(usual.ipv6),
    })
}

fn rule(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenRule> {
    let mut table = value.table("a rule", issues)?;
    let at = table.at().clone();
    let mut rule = WrittenRule {
        at: at.clone(),
        from: From::default(),
        prefixes: Vec::new(),
        prefix_file: None,
        is_for_everyone: true,
        order: WrittenOrder::Unread,
    };
    if let Some(value) = table.take("from") {
        from(&value, &mut rule, issues);
    }
    let prefer = table.take("prefer").map(|value| (value.key_at.clone(), clusters(&value, issues)));
    let only = table.take("only").map(|value| (value.key_at.clone(), clusters(&value, issues)));
    rule.order = match (prefer, only) {
        (Some((_, prefer)), None) => WrittenOrder::Prefer(prefer.value),
        (None, Some((_, only))) => WrittenOrder::Only(only),
        (Some((prefer, _)), Some((only, _))) => {
            let issue = Issue::error(only, "a rule has `prefer` or `only`, not both");
            issues.push(issue.also(prefer, "`prefer` is here"));
            WrittenOrder::Unread
        }
        (None, None) => {
            table.missing("prefer", "prefer = [\"sin\"]", issues);
            WrittenOrder::Unread
        }
    };
    table.finish(issues);
    Some(rule)
}

fn from(value: &Value<'_>, rule: &mut WrittenRule, issues: &mut Vec<Issue>) {
    let Some(mut table) = value.table("`from`", issues) else { return };
    fn all<'d, T>(
        table: &mut Table<'d>,
        key: &'static str,
        example: &str,
        issues: &mut Vec<Issue>,
        read: impl Fn(&Value<'d>, &mut Vec<Issue>) -> Option<T>,
    ) -> Vec<T> {
        let elements = table.take(key).map(|value| value.filled_list(example, issues)).unwrap_or_default();
        elements.iter().filter_map(|element| read(element, issues)).collect()
    }
    let written = |element: &Value<'_>, issues: &mut Vec<Issue>| {
        networks::prefix(element, issues).map(|prefix| element.written(prefix))
    };
    rule.prefixes = all(&mut table, "prefix", "\"192.0.2.0/24\"", issues, written);
    rule.from = From {
        continents: all(&mut table, "continent", "\"AS\"", issues, codes::continent),
        countries: all(&mut table, "country", "\"ID\"", issues, codes::country),
        subdivisions: all(&mut table, "subdivision", "\"US-CA\"", issues, codes::subdivision),
        asns: all(&mut table, "asn", "7713", issues, codes::asn),
        prefixes: rule.prefixes.iter().map(|prefix| prefix.value).collect(),
    };
    rule.prefix_file = table.take("prefix_file").and_then(|value| value.path(issues));
    let at = table.at().clone();
    rule.is_for_everyone = table.is_empty();
    if table.is_empty() {
        let issue = Issue::warning(at, "`from` is empty: this rule is for everyone");
        issues.push(issue.remedy("leave `from` out to say so"));
    }
    table.finish(issues);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::clusters;
    use crate::files::issue::Source;

    fn policy(text: &str) -> WrittenPolicy {
        let mut issues = Vec::new();
        let source = Arc::new(Source { path: "zones/clusters.toml".into(), text: text.into() });
        let mut file = clusters::read(&source, &mut issues);
        assert!(issues.is_empty(), "{issues:?}");
        file.policies.remove(0)
    }

    #[test]
    fn rules_are_read_in_order_with_all_their_keys() {
        let policy = policy(
            "[policy.p]\nspread = { ipv6 = 48 }\necs = false\nrtt = \"../geoip/rtt.csv\"\nrtt_margin = \"5ms\"\n\
             [[policy.p.rule]]\nfrom = { continent = [\"as\"], country = [\"id\", \"MY\"], subdivision = [\"US-CA\"], \
             asn = [7713], prefix = [\"192.0.2.0/24\"], prefix_file = \"telco.txt\" }\nprefer = [\"jkt\", \"sin\"]\n\
             [[policy.p.rule]]\nonly = [\"sin\"]",
        );
        assert_eq!(policy.spread, Spread { ipv4: 16, ipv6: 48 });
        assert!(!policy.ecs && policy.clusters.is_none());
        assert_eq!(policy.rtt.as_ref().map(|rtt| rtt.value.clone()), Some("zones/../geoip/rtt.csv".into()));
        assert_eq!(policy.rtt_margin, Duration::from_millis(5));
        let [first, last] = &policy.rules[..] else { panic!("two rules") };
        assert_eq!(format!("{:?}", first.from.countries), "[ID, MY]");
        assert_eq!(first.from.asns, [7713]);
        assert_eq!(
            (first.from.continents.len(), first.from.subdivisions.len(), first.from.prefixes.len()),
            (1, 1, 1)
        );
        assert!(first.prefix_file.is_some() && !first.is_for_everyone && last.is_for_everyone);
        assert!(matches!(&first.order, WrittenOrder::Prefer(keys) if keys.len() == 2));
        assert!(matches!(&last.order, WrittenOrder::Only(keys) if keys.value.len() == 1));
    }
}
