//! Where a target says how busy it is.

/// Where in the body of an answer a target says how busy it is.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSource {
    /// Which number it is.
    pub figure: Figure,
    /// What that number is when the target is full; above 0. Of a rate, per second.
    pub max: f64,
    /// Whether the number only grows, and what counts is how fast; default false.
    pub rate: bool,
}

/// Which number of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// The number at a JSON pointer (RFC 6901).
    Json(String),
    /// A series of Prometheus' text format: of several that match, the sum.
    Prometheus(Series),
}

/// Series of Prometheus' text format: those of this name that have all these labels, be there others beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The metric's name.
    pub name: String,
    /// Names and values of labels.
    pub labels: Vec<(String, String)>,
}

impl Series {
    /// Reads `name` or `name{label="value",…}`; `None` for everything else.
    pub fn parse(text: &str) -> Option<Series> {
        let mut reader = SeriesReader { rest: text.trim() };
        let series = reader.series()?;
        reader.rest.is_empty().then_some(series)
    }

    /// Reads a line of the text format: the series, and its number. `None` where it tells none: comments, and what is no
    /// such line.
    pub fn sample(line: &str) -> Option<(Series, f64)> {
        let mut reader = SeriesReader { rest: line.trim() };
        let series = reader.series()?;
        // Behind the number there may be a time.
        let number = reader.rest.split_ascii_whitespace().next()?;
        Some((series, number.parse().ok()?))
    }

    /// Whether it is one of those that `self` means.
    pub fn means(&self, other: &Series) -> bool {
        self.name == other.name && self.labels.iter().all(|label| other.labels.contains(label))
    }
}

/// Reads a series from the front of a text.
struct SeriesReader<'t> {
    rest: &'t str,
}

impl SeriesReader<'_> {
    fn series(&mut self) -> Option<Series> {
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')?;
        let mut labels = Vec::new();
        if self.take('{') {
            while !self.take('}') {
                let label = self.word(|c| c.is_ascii_alphanumeric() || c == '_')?;
                if !self.take('=') || !self.take('"') {
                    return None;
                }
                labels.push((label, self.quoted()?));
                if !self.take(',') && !self.rest.starts_with('}') {
                    return None;
                }
            }
        }
        Some(Series { name, labels })
    }

    /// A word of such characters, not empty and not beginning with a digit.
    fn word(&mut self, fits: impl Fn(char) -> bool) -> Option<String> {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        let begins = word.starts_with(|c: char| !c.is_ascii_digit());
        begins.then(|| word.to_owned())
    }

    fn take(&mut self, wanted: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        // Space behind a quote that opens belongs to the text.
        self.rest = if wanted == '"' { rest } else { rest.trim_start() };
        true
    }

    /// What stands before the closing quote: `\\`, `\"` and `\n` are one character each.
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = self.rest[at + 1..].trim_start();
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                plain => text.push(plain),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    fn series(text: &str) -> Series {
        Series::parse(text).unwrap()
    }

    #[test]
    fn a_series_is_a_name_and_labels() {
        assert_eq!(series("up"), Series { name: "up".into(), labels: vec![] });
        let labels = vec![("device".into(), "eth0".into()), ("x".into(), "a \"b\"\\c\n".into())];
        let name = "node_network_transmit_bytes_total".to_owned();
        let text = r#"node_network_transmit_bytes_total { device = "eth0", x="a \"b\"\\c\n", }"#;
        assert_eq!(series(text), Series { name, labels });
        for wrong in
            ["", "1a", "a b", "a{", "a{b}", "a{b=1}", "a{b=\"c\"", "a{b=\"c\" d=\"e\"}", "a{=\"c\"}", "a{} 1"]
        {
            assert_eq!(Series::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_is_a_series_and_its_number() {
        let line = r#"out{device="eth0",mtu="1500"} 1.5e9 1700000000000"#;
        let (found, number) = Series::sample(line).unwrap();
        assert_eq!(number, 1.5e9);
        assert!(series(r#"out{device="eth0"}"#).means(&found));
        assert!(series("out").means(&found));
        assert!(!series(r#"out{device="eth1"}"#).means(&found));
        assert!(!series(r#"out{speed="1"}"#).means(&found));
        for none in ["# HELP out Octets.", "", "out", "out ok", "{} 1"] {
            assert_eq!(Series::sample(none), None, "{none}");
        }
    }

    proptest! {
        // Reading a line never panics.
        #[test]
        fn any_line_is_a_sample_or_none(line in "\\PC*|[a-z]{1,3}[{\"=,\\\\ a1}]{0,30}") {
            let _ = Series::sample(&line);
        }
    }
}
