//! Tables of measured round-trip times: CSV under the header `from,cluster,ms`.
//!
//! ```text
//! from,cluster,ms
//! # a network, an autonomous system, a subdivision, a country, a measured point
//! 203.0.113.0/24,sin,12.5
//! AS64500,sin,18
//! US-CA,pdx,31
//! ID,jkt,9
//! 3.139;101.687,sin,8
//! ```

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::issue::{At, Issue, Source};
use crate::cluster::ClusterId;
use crate::geo::place::{Country, Point, Prefix, Subdivision};
use crate::steering::rules::{Rtt, RttFrom};

/// The first line that is neither empty nor a comment.
pub const HEADER: &str = "from,cluster,ms";
/// The most rows of a table.
pub const ROWS_MAX: usize = 1_000_000;
/// The most mistakes that are told of one table.
pub const ISSUES_MAX: usize = 1_000;

/// A row, and where it stands.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it says.
    pub rtt: Rtt,
    /// The whole row.
    pub at: At,
}

/// Reads a table. Lines that are empty or begin with `#` say nothing; fields may have spaces around them.
pub fn rows(source: &Arc<Source>, clusters: &BTreeMap<&str, ClusterId>) -> (Vec<Row>, Vec<Issue>) {
    let mut reader = Reader { source, clusters, rows: Vec::new(), issues: Vec::new() };
    reader.read();
    (reader.rows, reader.issues)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    clusters: &'a BTreeMap<&'a str, ClusterId>,
    rows: Vec<Row>,
    issues: Vec<Issue>,
}

impl<'a> Reader<'a> {
    fn at(&self, span: Range<usize>) -> At {
        At { source: Arc::clone(self.source), span }
    }

    /// Where a part of the text stands.
    fn span(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.source.text.as_ptr() as usize;
        start..start + part.len()
    }

    fn error(&mut self, part: &str, what: String, remedy: Option<String>) {
        let issue = Issue::error(self.at(self.span(part)), what);
        self.issues.push(Issue { remedy, ..issue });
    }

    fn read(&mut self) {
        let text: &'a str = &self.source.text;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let header = lines.next().unwrap_or(&text[..0]);
        if !fields(header).eq(HEADER.split(',')) {
            let what = format!("a table of round-trip times begins with the line `{HEADER}`");
            return self.error(header, what, None);
        }
        // By what is meant, not by what is written: `us` and `US` are one country.
        let mut seen: HashMap<(String, ClusterId), Range<usize>> = HashMap::new();
        for line in lines {
            if self.issues.len() >= ISSUES_MAX {
                return self.error(
                    line,
                    format!("more than {ISSUES_MAX} mistakes: the rest is not read"),
                    None,
                );
            }
            if self.rows.len() >= ROWS_MAX {
                return self.error(line, format!("more than {ROWS_MAX} rows"), None);
            }
            let Some(rtt) = self.row(line) else { continue };
            let at = self.at(self.span(line));
            let first = seen.entry((format!("{:?}", rtt.from), rtt.to)).or_insert_with(|| at.span.clone());
            if *first != at.span {
                let what = format!("`{}` has two rows for this cluster", fields(line).next().unwrap_or(line));
                let first = At { span: first.clone(), ..at.clone() };
                self.issues.push(Issue::error(at, what).also(first, "first written here"));
                continue;
            }
            self.rows.push(Row { rtt, at });
        }
    }

    /// One row; every mistake in it is told.
    fn row(&mut self, line: &'a str) -> Option<Rtt> {
        let fields: Vec<&str> = fields(line).take(4).collect();
        let [from, cluster, ms] = fields[..] else {
            let what = format!("a row has three fields, `{HEADER}`");
            self.error(line, what, None);
            return None;
        };
        let from = self.from(from);
        let to = self.cluster(cluster);
        let ms = self.ms(ms);
        Some(Rtt { from: from?, to: to?, ms: ms? })
    }

    fn from(&mut self, text: &str) -> Option<RttFrom> {
        let asn = |text: &str| match text.split_at_checked(2) {
            Some((head, digits)) if head.eq_ignore_ascii_case("AS") && is_number(digits) => {
                digits.parse().ok()
            }
            _ => None,
        };
        let known = if text.contains(';') {
            point(text).map(RttFrom::Point)
        } else if text.contains(['/', ':', '.']) {
            Prefix::parse(text).map(RttFrom::Prefix)
        } else if text.contains('-') {
            Subdivision::parse(text).map(RttFrom::Subdivision)
        } else if text.len() > 2 {
            asn(text).map(RttFrom::Asn)
        } else {
            Country::parse(text).map(RttFrom::Country)
        };
        if known.is_none() {
            let remedy = match text.split_once('/') {
                Some((address, bits)) => network_around(address, bits),
                None if text.contains(';') => Some("latitude -90 to 90, longitude -180 to 180".to_owned()),
                None => None,
            };
            let what = format!(
                "`{text}` is not from where one can measure: a network, `AS64500`, `US-CA`, `US`, or `lat;lon`"
            );
            self.error(text, what, remedy);
        }
        known
    }

    fn cluster(&mut self, text: &str) -> Option<ClusterId> {
        let known = self.clusters.get(text).copied();
        if known.is_none() {
            let keys = self.clusters.keys().copied();
            let nearest = keys.min_by_key(|key| strsim::damerau_levenshtein(key, text));
            // A key that is mostly other letters is no help.
            let near = nearest.filter(|key| strsim::damerau_levenshtein(key, text) <= text.len().max(3) / 3);
            let remedy = near.map(|key| format!("there is a `{key}`"));
            self.error(text, format!("no cluster is called `{text}`"), remedy);
        }
        known
    }

    fn ms(&mut self, text: &str) -> Option<f64> {
        let known = text.parse().ok().filter(|ms: &f64| ms.is_finite() && *ms >= 0.0);
        if known.is_none() {
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
            let remedy = number.parse::<f64>().is_ok_and(|ms| ms >= 0.0 && text.ends_with("ms"));
            let remedy = remedy.then(|| format!("the unit is understood: write `{number}`"));
            self.error(
                text,
                format!("`{text}` is not a number of milliseconds, like `12` or `12.5`"),
                remedy,
            );
        }
        known
    }
}

fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(str::trim)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

fn point(text: &str) -> Option<Point> {
    let (lat, lon) = text.split_once(';')?;
    Point::new(lat.trim().parse().ok()?, lon.trim().parse().ok()?)
}

/// What to write for a network whose address has bits behind its length.
fn network_around(address: &str, bits: &str) -> Option<String> {
    let address = address.parse().ok()?;
    let prefix = Prefix::around(address, bits.parse().ok().filter(|_| is_number(bits))?);
    Some(format!("the network is `{prefix}`"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Vec<Row>, Vec<Issue>) {
        let clusters = BTreeMap::from([("sin", ClusterId(0)), ("fra-2", ClusterId(1))]);
        let source = Arc::new(Source { path: "rtt.csv".into(), text: text.into() });
        rows(&source, &clusters)
    }

    /// The mistakes of a table, each with the text it points at.
    fn mistakes(text: &str) -> Vec<String> {
        let issues = read(text).1.into_iter();
        let told = issues.map(|issue| {
            let at = issue.at.unwrap();
            let remedy = issue.remedy.map_or(String::new(), |remedy| format!(" ({remedy})"));
            format!("{:?}: {}{remedy}", &text[at.span], issue.what)
        });
        told.collect()
    }

    #[test]
    fn every_kind_of_row_is_read() {
        let text = "\u{feff}# measured in May\r\nfrom, cluster, ms\r\n203.0.113.0/24,sin,12.5\r\n2001:db8::/32,sin,1\r\n\
                    192.0.2.7,sin,2\r\nas64500,sin,18\r\nus-ca,fra-2,150\r\n\r\nAS,sin,9\r\n 3.139;101.687 , sin , 8 \r\n";
        let (rows, issues) = read(text);
        assert!(issues.is_empty(), "{issues:?}");
        let from: Vec<RttFrom> = rows.iter().map(|row| row.rtt.from).collect();
        assert_eq!(
            from,
            [
                RttFrom::Prefix(Prefix::parse("203.0.113.0/24").unwrap()),
                RttFrom::Prefix(Prefix::parse("2001:db8::/32").unwrap()),
                RttFrom::Prefix(Prefix::parse("192.0.2.7/32").unwrap()),
                RttFrom::Asn(64500),
                RttFrom::Subdivision(Subdivision::parse("US-CA").unwrap()),
                RttFrom::Country(Country::parse("AS").unwrap()),
                RttFrom::Point(Point::new(3.139, 101.687).unwrap()),
            ]
        );
        assert_eq!((rows[4].rtt.to, rows[4].rtt.ms), (ClusterId(1), 150.0));
        assert_eq!(&text[rows[0].at.span.clone()], "203.0.113.0/24,sin,12.5");
    }

    #[test]
    fn all_mistakes_are_told_at_once_each_where_it_stands() {
        let from = "is not from where one can measure: a network, `AS64500`, `US-CA`, `US`, or `lat;lon`";
        let text = "from,cluster,ms\n192.0.2.1/24,sin,1\n91;0,sin,1\nASx,sin,1\nAS4294967296,sin,1\nUS,fra2,12ms\n\
                    US,tokyo,-1\nUS,sin\nUS,sin,NaN\nSG,sin,1\nsg,sin,2\nUS,sin,1,2\n,sin,1\n";
        assert_eq!(mistakes(text), [
            format!("\"192.0.2.1/24\": `192.0.2.1/24` {from} (the network is `192.0.2.0/24`)"),
            format!("\"91;0\": `91;0` {from} (latitude -90 to 90, longitude -180 to 180)"),
            format!("\"ASx\": `ASx` {from}"),
            format!("\"AS4294967296\": `AS4294967296` {from}"),
            "\"fra2\": no cluster is called `fra2` (there is a `fra-2`)".into(),
            "\"12ms\": `12ms` is not a number of milliseconds, like `12` or `12.5` (the unit is understood: write `12`)"
                .into(),
            "\"tokyo\": no cluster is called `tokyo`".into(),
            "\"-1\": `-1` is not a number of milliseconds, like `12` or `12.5`".into(),
            "\"US,sin\": a row has three fields, `from,cluster,ms`".into(),
            "\"NaN\": `NaN` is not a number of milliseconds, like `12` or `12.5`".into(),
            "\"sg,sin,2\": `sg` has two rows for this cluster".into(),
            "\"US,sin,1,2\": a row has three fields, `from,cluster,ms`".into(),
            format!("\"\": `` {from}"),
        ]);
        let twice = read(text).1.into_iter().find_map(|issue| issue.also).unwrap();
        assert_eq!((&text[twice.0.span], twice.1.as_str()), ("SG,sin,1", "first written here"));
    }

    #[test]
    fn a_table_begins_with_its_header() {
        let what = "a table of round-trip times begins with the line `from,cluster,ms`";
        assert_eq!(mistakes("US,sin,1\n"), [format!("\"US,sin,1\": {what}")]);
        assert_eq!(mistakes("# nothing\n"), [format!("\"\": {what}")]);
    }

    #[test]
    fn a_file_that_is_no_table_does_not_flood_the_terminal() {
        let text = format!("{HEADER}\n{}", "x\n".repeat(ISSUES_MAX + 50));
        assert_eq!(mistakes(&text).len(), ISSUES_MAX + 1);
    }

    proptest! {
        // Reading never panics, and every issue points into the text.
        #[test]
        fn reading_never_panics(rows in "([A-Za-z0-9é;:/.,# \"-]{0,30}\n){0,6}") {
            let text = format!("{HEADER}\n{rows}");
            for issue in read(&text).1 {
                prop_assert!(text.get(issue.at.unwrap().span).is_some());
            }
            read(&rows);
        }
    }
}
