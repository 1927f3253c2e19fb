//! What receivers get: the values of templates, the alerts of Alertmanager, mails.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::notification::{Alert, Event, Notification};
use super::receiver::Secret;

/// What can stand between `{{` and `}}` in a body.
pub const NAMES: [&str; 15] = [
    "summary", "status", "event", "action", "severity", "alert", "key", "scope", "server", "since",
    "details", "token", "count", "firing", "alerts",
];
/// The same of those that are JSON already, with an example each.
pub const RAW: [(&str, &str); 3] = [("alerts", "[\"\"]"), ("count", "1"), ("firing", "1")];

/// What a webhook gets unless told otherwise.
pub const WEBHOOK: &str = r#"{"version": 1, "status": "{{status}}", "event": "{{event}}", "key": "{{key}}", "alert": "{{alert}}", "severity": "{{severity}}", "summary": "{{summary}}", "scope": "{{scope}}", "server": "{{server}}", "since": "{{since}}", "count": {{count}}, "firing": {{firing}}, "alerts": {{alerts}}}"#;
/// What Slack gets (and Mattermost). Plain text: what a dead node said cannot call a whole channel.
pub const SLACK: &str = r#"{"text": "steerdns {{server}}: {{alert}} {{status}}", "blocks": [{"type": "section", "text": {"type": "plain_text", "text": "{{severity}}: {{summary}}"}}, {"type": "context", "elements": [{"type": "plain_text", "text": "{{details}}"}]}]}"#;
/// What PagerDuty gets (Events API v2): an incident for each group, which ends with the last of its alerts.
pub const PAGERDUTY: &str = r#"{"routing_key": "{{token}}", "event_action": "{{action}}", "dedup_key": "{{key}}", "client": "steerdns", "payload": {"summary": "{{summary}}", "source": "{{server}}", "severity": "{{severity}}", "timestamp": "{{since}}", "class": "{{alert}}", "group": "{{scope}}", "custom_details": {"details": "{{details}}"}}}"#;

/// The longest list of details, in characters: Slack takes 3000.
const DETAILS_CHARS_MAX: usize = 2000;
/// So long after it was last told, Alertmanager takes an alert for ended: four times what it is told again after.
const ENDS_AFTER: Duration = Duration::from_secs(240);

/// What stands in a hole of that name.
pub fn value(name: &str, told: &Notification, server: &str, token: Option<&Secret>) -> Option<String> {
    let text = |text: &str| Some(text.to_owned());
    match name {
        "summary" => text(&told.summary),
        "status" => text(status(told)),
        "event" => text(event(told)),
        // An incident ends with the last of its alerts.
        "action" => text(if told.firing == 0 { "resolve" } else { "trigger" }),
        "severity" => text(told.kind.severity().word()),
        "alert" => text(told.kind.name()),
        "key" => Some(format!("{server}/{}", told.group.name)),
        "scope" => Some(told.group.scope.as_ref().map(|scope| scope.key().to_string()).unwrap_or_default()),
        "server" => text(server),
        "since" => Some(rfc3339(told.since)),
        "details" => Some(details(told)),
        "token" => token.map(|token| token.0.clone()),
        "count" => Some(told.count.to_string()),
        "firing" => Some(told.firing.to_string()),
        "alerts" => Some(Value::from(told.alerts.iter().map(plain).collect::<Vec<_>>()).to_string()),
        _ => None,
    }
}

fn status(told: &Notification) -> &'static str {
    if told.event == Event::Resolved { "resolved" } else { "firing" }
}

fn event(told: &Notification) -> &'static str {
    match told.event {
        Event::Fired => "fired",
        Event::Repeated => "repeated",
        Event::Resolved => "resolved",
    }
}

/// An alert as `/status` and webhooks have it.
pub fn plain(alert: &Alert) -> Value {
    let labels =
        alert.identity.labels.iter().map(|(label, value)| (label.word().to_owned(), json!(&**value)));
    json!({
        "alert": alert.identity.kind.name(),
        "severity": alert.identity.kind.severity().word(),
        "labels": labels.collect::<serde_json::Map<_, _>>(),
        "region": alert.region.as_deref(),
        "summary": alert.summary,
        "since": rfc3339(alert.since),
    })
}

/// One line for each alert, as far as they are listed.
fn details(told: &Notification) -> String {
    let mut text = String::new();
    for (alert, at) in told.alerts.iter().zip(0..) {
        let line = format!("{}, since {}\n", alert.summary, rfc3339(alert.since));
        if text.chars().count() + line.chars().count() > DETAILS_CHARS_MAX {
            write!(text, "and {} more", told.count - at).expect("a String takes all");
            return text;
        }
        text += &line;
    }
    if told.count > told.alerts.len() {
        write!(text, "and {} more", told.count - told.alerts.len()).expect("a String takes all");
    }
    text.trim_end().to_owned()
}

/// The subject and the text of a mail.
pub fn mail(told: &Notification, server: &str) -> (String, String) {
    let severity = told.kind.severity();
    let subject = format!("[steerdns {server}] {}: {}", severity.word(), told.summary);
    let again = if told.event == Event::Repeated { "It has been firing for long.\n\n" } else { "" };
    let name = told.kind.name();
    let text = format!(
        "{}\n\n{again}{}\n\nalert {name}, {} of this group still firing, told by {server}\nwhat to do: docs/alerts.md, {name}\n",
        told.summary,
        details(told),
        told.firing
    );
    (subject, text)
}

/// An alert as Alertmanager takes it (`POST /api/v2/alerts`).
pub fn for_alertmanager(alert: &Alert, server: &str, resolved: bool, now: Duration) -> Value {
    let kind = alert.identity.kind;
    let mut labels = serde_json::Map::new();
    let mut label = |name: &str, value: &str| labels.insert(name.to_owned(), value.into());
    label("alertname", kind.name());
    label("job", "steerdns");
    label("server", server);
    label("severity", kind.severity().word());
    if let Some(region) = &alert.region {
        label("region", region);
    }
    for (name, value) in &alert.identity.labels {
        label(name.word(), value);
    }
    let ends = if resolved { now } else { now.saturating_add(ENDS_AFTER) };
    json!({
        "labels": labels,
        "annotations": { "summary": alert.summary },
        // An end before the start is refused, whatever the clocks did.
        "startsAt": rfc3339(alert.since.min(now)),
        "endsAt": rfc3339(ends),
    })
}

/// What is told to try a receiver out, and its end.
pub fn test(now: Duration) -> [Notification; 2] {
    use super::condition::{Identity, Kind};
    use super::notification::Group;
    let summary = "a test by `steerdns alert test`: nothing is wrong";
    let identity = Identity { kind: Kind::Test, labels: Vec::new() };
    let alert = Alert { identity, summary: summary.into(), since: now, region: None };
    let fired = Notification {
        event: Event::Fired,
        kind: Kind::Test,
        group: Group { name: format!("{}/{}", Kind::Test.name(), now.as_millis()).into(), scope: None },
        summary: summary.into(),
        alerts: vec![alert],
        count: 1,
        firing: 1,
        since: now,
    };
    let summary = format!("resolved: {summary}");
    let resolved = Notification { event: Event::Resolved, summary, firing: 0, ..fired.clone() };
    [fired, resolved]
}

/// A moment as RFC 3339 has it, in UTC, to the millisecond.
pub fn rfc3339(since_1970: Duration) -> String {
    timestamp(since_1970).to_string()
}

/// Its day.
pub fn date(since_1970: Duration) -> String {
    let whole = timestamp(since_1970).to_string();
    whole.split('T').next().unwrap_or_default().to_owned()
}

/// The moment, as RFC 3339 writes it.
pub fn moment(since_1970: Duration) -> String {
    timestamp(since_1970).to_string()
}

fn timestamp(since_1970: Duration) -> Timestamp {
    let ms = i64::try_from(since_1970.as_millis()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    ms.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::condition::{Identity, Kind, Label};
    use crate::alert::notification::{Group, Scope};
    use crate::alert::template::Template;

    const NOW: Duration = Duration::from_secs(1_795_000_000);

    fn notification(summary: &str, count: usize, firing: usize) -> Notification {
        let identity = Identity { kind: Kind::NodeDown, labels: vec![(Label::Cluster, "sin".into())] };
        let alert = Alert { identity, summary: summary.into(), since: NOW, region: Some("asia".into()) };
        Notification {
            event: if firing == 0 { Event::Resolved } else { Event::Fired },
            kind: Kind::NodeDown,
            group: Group { name: "NodeDown/sin/1".into(), scope: Some(Scope::Cluster("sin".into())) },
            summary: summary.into(),
            alerts: vec![alert; count.min(50)],
            count,
            firing,
            since: NOW,
        }
    }

    fn filled(body: &str, told: &Notification) -> Value {
        let template = Template::parse(body, &NAMES).unwrap();
        let token = Secret("s3cret".into());
        let text = template.filled_json(&|name| value(name, told, "ns1", Some(&token)), &RAW);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn pagerduty_has_an_incident_for_each_group_that_ends_with_its_last_alert() {
        let [fired, ended] =
            [1, 0].map(|firing| filled(PAGERDUTY, &notification("sin-1 is down", 1, firing)));
        assert_eq!((&fired["event_action"], &ended["event_action"]), (&json!("trigger"), &json!("resolve")));
        assert_eq!(
            (&fired["dedup_key"], &fired["routing_key"]),
            (&json!("ns1/NodeDown/sin/1"), &json!("s3cret"))
        );
        assert_eq!(fired["dedup_key"], ended["dedup_key"]);
        assert_eq!(fired["payload"]["timestamp"], "2026-11-18T11:06:40Z");
    }

    #[test]
    fn what_is_long_is_cut_and_says_how_much_more_there_is() {
        let told = notification(&"x".repeat(250), 120, 120);
        let details = details(&told);
        assert!(details.chars().count() < DETAILS_CHARS_MAX + 50, "{details}");
        assert!(details.ends_with("and 113 more"), "{details}");
        assert!(super::details(&notification("short", 60, 60)).ends_with("and 10 more"));
    }

    #[test]
    fn an_alertmanager_gets_every_label_and_an_end_behind_the_start() {
        let told = notification("sin-1 is down", 1, 1);
        let alert = for_alertmanager(&told.alerts[0], "ns1", false, NOW);
        let labels = json!({
            "alertname": "NodeDown", "job": "steerdns", "server": "ns1", "severity": "warning", "region": "asia", "cluster": "sin",
        });
        assert_eq!(alert["labels"], labels);
        assert_eq!(
            (&alert["startsAt"], &alert["endsAt"]),
            (&json!("2026-11-18T11:06:40Z"), &json!("2026-11-18T11:10:40Z"))
        );
        // A clock that was set back.
        let early = for_alertmanager(&told.alerts[0], "ns1", true, NOW - Duration::from_secs(1000));
        assert_eq!(early["startsAt"], early["endsAt"]);
    }

    proptest! {
        // Whatever a dead node said, all bodies of ours are JSON, and times of any age are told.
        #[test]
        fn nothing_that_is_told_breaks_a_body(summary in any::<String>(), since in any::<u64>()) {
            let told = Notification { since: Duration::from_millis(since), ..notification(&summary, 3, 3) };
            for body in [WEBHOOK, SLACK, PAGERDUTY] {
                filled(body, &told);
            }
            prop_assert_eq!(&filled(WEBHOOK, &told)["summary"], &json!(summary));
        }
    }
}
