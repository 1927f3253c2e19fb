//! A text with holes: `{{summary}}`.

use std::fmt;

/// What can stand in a hole.
pub type Values<'v> = dyn Fn(&str) -> Option<String> + 'v;

/// A text with holes, whose names were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// `{{` without `}}` behind it.
    Open,
    /// A hole that nothing is known for.
    Unknown(String),
    /// With its holes filled, it is not JSON: in the words of the parser.
    NoJson(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Open => f.write_str("a `{{` has no `}}` behind it"),
            Wrong::Unknown(name) => write!(f, "there is no `{{{{{name}}}}}`"),
            Wrong::NoJson(why) => write!(f, "with its placeholders filled in it is not JSON: {why}"),
        }
    }
}

impl Template {
    /// Reads a text; each hole must be one of `names`.
    pub fn parse(text: &str, names: &[&str]) -> Result<Template, Wrong> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (name, behind) = behind.split_once("}}").ok_or(Wrong::Open)?;
            let name = name.trim();
            if !names.contains(&name) {
                return Err(Wrong::Unknown(name.to_owned()));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Hole(name.to_owned()));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Template { parts })
    }

    /// Whether it has such a hole.
    pub fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Hole(hole) if hole == name))
    }

    /// The text with its holes filled as they are.
    pub fn filled(&self, values: &Values<'_>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Hole(name) => values(name).unwrap_or_default(),
        };
        self.parts.iter().map(part).collect()
    }

    /// The text with its holes filled as the inside of a JSON string has them; but those of `raw`, which are JSON already.
    pub fn filled_json(&self, values: &Values<'_>, raw: &[(&str, &str)]) -> String {
        self.filled(&|name| {
            let value = values(name)?;
            Some(if raw.iter().any(|(other, _)| *other == name) { value } else { escaped(&value) })
        })
    }

    /// Whether it is JSON with whatever in its holes. What is `raw` has an example each.
    pub fn check_json(&self, raw: &[(&str, &str)]) -> Result<(), Wrong> {
        // A quote begins and ends each value, so that a hole outside of a string, or behind a backslash, is seen.
        let sample = |name: &str| {
            let raw = raw.iter().find(|(other, _)| *other == name).map(|(_, example)| (*example).to_owned());
            Some(raw.unwrap_or_else(|| format!("\"{name}\"\n")))
        };
        let filled = self.filled_json(&sample, raw);
        let read: Result<serde_json::Value, _> = serde_json::from_str(&filled);
        read.map(|_| ()).map_err(|error| Wrong::NoJson(error.to_string()))
    }
}

/// A text as the inside of a JSON string (RFC 8259 §7).
fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is always JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 2] = ["summary", "alerts"];
    const RAW: &[(&str, &str)] = &[("alerts", "[\"a\"]")];

    fn parsed(text: &str) -> Result<Template, Wrong> {
        Template::parse(text, &NAMES)
    }

    #[test]
    fn holes_are_filled_and_everything_else_stays() {
        let template =
            parsed(r#"{"text": "{{summary}}: {{ summary }}", "all": {{alerts}}, "deep": {"a": {}}}"#)
                .unwrap();
        let values = |name: &str| Some(if name == "alerts" { "[]".into() } else { "a \"b\"\n".to_owned() });
        let filled = template.filled_json(&values, RAW);
        assert_eq!(filled, r#"{"text": "a \"b\"\n: a \"b\"\n", "all": [], "deep": {"a": {}}}"#);
        assert!(template.has("alerts") && !template.has("severity"));
        template.check_json(RAW).unwrap();
    }

    #[test]
    fn what_is_no_template_or_no_json_is_told() {
        assert_eq!(parsed("{{summary").unwrap_err(), Wrong::Open);
        assert_eq!(parsed("{{sumary}}").unwrap_err(), Wrong::Unknown("sumary".into()));
        for broken in [
            "",
            r#"{"text": {{summary}}}"#,
            r#"{"text": "\{{summary}}"}"#,
            r#"{"text": "{{alerts}}"}"#,
            r#"{"a": 1,}"#,
        ] {
            let wrong = parsed(broken).unwrap().check_json(RAW).unwrap_err();
            assert!(matches!(wrong, Wrong::NoJson(_)), "{broken}");
        }
    }

    proptest! {
        // What passes the check is JSON whatever stands in its holes, and a string holds just what was put in.
        #[test]
        fn no_value_breaks_the_json(value in any::<String>()) {
            let template = parsed(r#"{"text": "<{{summary}}>"}"#).unwrap();
            template.check_json(&[]).unwrap();
            let filled = template.filled_json(&|_| Some(value.clone()), &[]);
            let read: serde_json::Value = serde_json::from_str(&filled).unwrap();
            prop_assert_eq!(read["text"].as_str().unwrap(), format!("<{value}>"));
        }

        #[test]
        fn reading_never_panics(text in "[{} a-z\"\\\\]{0,40}|\\PC*") {
            let _ = parsed(&text).map(|template| template.check_json(RAW));
        }
    }
}
