//! Geofeeds (RFC 8805): lines of `prefix,country,region,city,postal code`, as networks publish them of themselves.
//!
//! City and postal code are not read: no coordinates follow from them. Text behind `#` is a comment (§2.1); fields beyond
//! the fifth are left to the future (§2.1.3).

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use crate::files::issue::{At, Issue, Source};
use crate::geo::countries;
use crate::geo::geofeed::{Entry, Geofeed};
use crate::geo::place::{Country, Prefix, Subdivision};

/// Codes that are often written for a country, and the one that ISO 3166-1 has for it.
const COMMON_MISTAKES: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

/// Of IPv6 addresses only these are told apart.
const IPV6_BITS_MAX: u8 = 64;

/// Reads a whole file: its good entries, and all its mistakes.
pub fn parse(source: &Arc<Source>) -> (Geofeed, Vec<Issue>) {
    let mut issues = Vec::new();
    let mut entries = Vec::new();
    let mut written: HashMap<Prefix, Range<usize>> = HashMap::new();
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let mut next = source.text.len() - text.len();
    for line in text.split_inclusive('\n') {
        let start = next;
        next += line.len();
        let line = Line { source, issues: &mut issues };
        let Some((entry, span)) = line.entry(start) else { continue };
        match written.get(&entry.prefix) {
            None => {
                written.insert(entry.prefix, span);
                entries.push(entry);
            }
            // §2.1.3: duplicates MUST be considered an error.
            Some(first) => {
                let at = |span: &Range<usize>| At { source: source.clone(), span: span.clone() };
                let what = format!("`{}` is written twice", entry.prefix);
                issues.push(Issue::error(at(&span), what).also(at(first), "first written here"));
            }
        }
    }
    (Geofeed { name: source.path.to_string(), entries }, issues)
}

/// A field: its text without quotes and blanks around it, and where it stands.
struct Field {
    text: String,
    span: Range<usize>,
}

/// The field at `span` of a line that begins at `start`.
fn field(line: &str, span: Range<usize>, start: usize) -> Field {
    let raw = &line[span.clone()];
    let text = raw.trim();
    let first = start + span.start + raw.len() - raw.trim_start().len();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let unquoted = inner.map_or_else(|| text.into(), |inner| inner.trim().replace("\"\"", "\""));
    Field { text: unquoted, span: first..first + text.len() }
}

/// The reader of one line.
struct Line<'a> {
    source: &'a Arc<Source>,
    issues: &'a mut Vec<Issue>,
}

impl Line<'_> {
    /// The entry of the line that begins at `start`, and where its prefix stands; `None` for a comment or a mistake.
    fn entry(mut self, start: usize) -> Option<(Entry, Range<usize>)> {
        let line = self.source.text[start..].split('\n').next().unwrap_or_default();
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            return None;
        }
        let fields = self.fields(line, start)?;
        let [prefix, country, region, city, postal_code] = [0, 1, 2, 3, 4].map(|n| fields.get(n));
        // All of them, so that every mistake of the line is told.
        let prefix_bits = self.prefix(prefix?);
        let country = self.country(country);
        let region = self.region(region, country);
        let (bits, country, region) = (prefix_bits?, country.ok()?, region.ok()?);
        let unread = [city, postal_code].into_iter().flatten().find(|field| !field.text.is_empty());
        if let (None, Some(field)) = (country, unread) {
            let what =
                format!("`{}` is not read without a country: nothing is known of `{bits}` then", field.text);
            self.issues.push(Issue::warning(self.at(&field.span), what));
        }
        let entry = Entry { prefix: bits, country, subdivision: region };
        Some((entry, prefix?.span.clone()))
    }

    fn at(&self, span: &Range<usize>) -> At {
        At { source: self.source.clone(), span: span.clone() }
    }

    fn error(&mut self, field: &Field, what: String, remedy: Option<String>) {
        let issue = Issue::error(self.at(&field.span), what);
        self.issues.push(match remedy {
            Some(remedy) => issue.remedy(remedy),
            None => issue,
        });
    }

    /// Fields between commas; one in quotes may hold commas, and a quote written twice (RFC 4180 §2).
    fn fields(&mut self, line: &str, start: usize) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        let (mut from, mut quoted) = (0, false);
        for (at, octet) in line.bytes().enumerate() {
            quoted ^= octet == b'"';
            if octet == b',' && !quoted {
                fields.push(field(line, from..at, start));
                from = at + 1;
            }
        }
        let last = field(line, from..line.len(), start);
        if quoted {
            self.error(&last, "this quotation has no end on its line".into(), None);
            return None;
        }
        fields.push(last);
        Some(fields)
    }

    /// §2.1.1.1: an address, or a prefix without bits behind its length.
    fn prefix(&mut self, field: &Field) -> Option<Prefix> {
        let text = &field.text;
        let Some(prefix) = Prefix::parse(text) else {
            let around = text.split_once('/').and_then(|(address, bits)| {
                let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
                let most = if address.is_ipv4() { 32 } else { 128 };
                (bits <= most).then(|| Prefix::around(address, bits))
            });
            let remedy = around.map(|prefix| format!("`{prefix}` is the network around it"));
            let what = match remedy {
                Some(_) => format!("`{text}` has bits set behind its length"),
                None => format!("`{text}` is no address or prefix"),
            };
            self.error(field, what, remedy);
            return None;
        };
        if prefix.address().is_ipv6() && prefix.bits() > IPV6_BITS_MAX {
            let what = format!(
                "`{prefix}` is finer than a /{IPV6_BITS_MAX}: it counts only if entries like it make up most of one"
            );
            self.issues.push(Issue::warning(self.at(&field.span), what));
        }
        Some(prefix)
    }

    /// §2.1.1.2: a code of ISO 3166-1, or nothing.
    fn country(&mut self, field: Option<&Field>) -> Result<Option<Country>, ()> {
        let Some(field) = field.filter(|field| !field.text.is_empty()) else { return Ok(None) };
        if let Some(country) = Country::parse(&field.text).filter(countries::exists) {
            return Ok(Some(country));
        }
        let mistake = COMMON_MISTAKES.iter().find(|(wrong, _)| wrong.eq_ignore_ascii_case(&field.text));
        let remedy = match mistake {
            Some((_, right)) => format!("ISO 3166-1 has `{right}` for it"),
            None => "two letters of ISO 3166-1; leave it empty where nothing shall be known".into(),
        };
        self.error(field, format!("no country has the code `{}`", field.text), Some(remedy));
        Err(())
    }

    /// §2.1.1.3: a code of ISO 3166-2 in that country, or nothing.
    fn region(
        &mut self,
        field: Option<&Field>,
        country: Result<Option<Country>, ()>,
    ) -> Result<Option<Subdivision>, ()> {
        let Some(field) = field.filter(|field| !field.text.is_empty()) else { return Ok(None) };
        let text = &field.text;
        let Some(region) = Subdivision::parse(text) else {
            let whole = country?.and_then(|country| Subdivision::new(country, text));
            let remedy = whole.map(|whole| format!("write `{whole}`"));
            self.error(field, format!("`{text}` is no region of ISO 3166-2"), remedy);
            return Err(());
        };
        match country? {
            Some(country) if region.country() != country => {
                self.error(field, format!("`{region}` is not a region of `{country}`"), None);
                Err(())
            }
            None => {
                let remedy = format!("write `{}` before it", region.country());
                self.error(field, format!("`{region}` stands without its country"), Some(remedy));
                Err(())
            }
            Some(country) => {
                if countries::has_no(region) {
                    let what = format!("no region of `{country}` has the code `{region}`");
                    self.issues.push(Issue::warning(self.at(&field.span), what));
                }
                Ok(Some(region))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::issue::Severity;
    use proptest::prelude::*;

    fn read(text: &str) -> (Geofeed, Vec<Issue>) {
        parse(&Arc::new(Source { path: "own.csv".into(), text: text.into() }))
    }

    fn entry(prefix: &str, country: &str, region: &str) -> Entry {
        Entry {
            prefix: Prefix::parse(prefix).unwrap(),
            country: Country::parse(country),
            subdivision: Subdivision::parse(region),
        }
    }

    /// Every issue as `line:column: sentence (remedy)`.
    fn told(text: &str) -> Vec<String> {
        let (_, issues) = read(text);
        let shown = issues.iter().map(|issue| {
            let at = issue.at.as_ref().unwrap();
            let before = &at.source.text[..at.span.start];
            let line = before.matches('\n').count() + 1;
            let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
            let remedy = issue.remedy.as_ref().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            format!("{line}:{column}: {}{remedy}", issue.what)
        });
        shown.collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 8805 §2.1.1.1 to §2.1.2, with its comments and blank lines.
        let (geofeed, issues) = read(
            "# asterisks\r\n\r\n192.0.2.0/25,US,US-AL,,\r\n192.0.2.5,US,US-AL,Alabaster,\r\n192.0.2.128/25,PL,PL-MZ,,\n\
             2001:db8::/32,PL,,,\n2001:db8:cafe::/48,PL,PL-MZ,,02-784 # Warsaw\n198.51.100.0/24,,,,\n203.0.113.0/24",
        );
        assert!(issues.is_empty(), "{issues:?}");
        assert_eq!(
            geofeed.entries,
            [
                entry("192.0.2.0/25", "US", "US-AL"),
                entry("192.0.2.5/32", "US", "US-AL"),
                entry("192.0.2.128/25", "PL", "PL-MZ"),
                entry("2001:db8::/32", "PL", ""),
                entry("2001:db8:cafe::/48", "PL", "PL-MZ"),
                entry("198.51.100.0/24", "", ""),
                entry("203.0.113.0/24", "", ""),
            ]
        );
    }

    #[test]
    fn case_blanks_quotes_a_byte_order_mark_and_fields_to_come_do_not_matter() {
        let (geofeed, issues) =
            read("\u{feff} 192.0.2.0/24 ,\"us\", us-dc ,\"Washington, \"\"D.C.\"\"\",,new,fields\n");
        assert!(issues.is_empty(), "{issues:?}");
        assert_eq!(geofeed.entries, [entry("192.0.2.0/24", "US", "US-DC")]);
    }

    #[test]
    fn every_mistake_is_told_at_once_and_its_entry_left_out() {
        let text = "192.0.2.0/24,US,,,\n\
                    192.0.2.1/24,DE,,,\n\
                    example.com,UK,US-CA,,\n\
                    198.51.100.0/24,ZZ,CA,,\n\
                    198.51.100.0/25,DE,FR-IDF,,\n\
                    198.51.100.128/25,,US-CA,,\n\
                    203.0.113.0/24,US,CA,,\n\
                    192.0.2.0/24,FR,,,\n\
                    203.0.113.0/25,US,\"US-CA,,\n\
                    203.0.113.128/33,US,,,";
        let expected = [
            "2:1: `192.0.2.1/24` has bits set behind its length (`192.0.2.0/24` is the network around it)",
            "3:1: `example.com` is no address or prefix",
            "3:13: no country has the code `UK` (ISO 3166-1 has `GB` for it)",
            "4:17: no country has the code `ZZ` (two letters of ISO 3166-1; leave it empty where nothing shall be known)",
            "5:20: `FR-IDF` is not a region of `DE`",
            "6:20: `US-CA` stands without its country (write `US` before it)",
            "7:19: `CA` is no region of ISO 3166-2 (write `US-CA`)",
            "8:1: `192.0.2.0/24` is written twice",
            "9:19: this quotation has no end on its line",
            "10:1: `203.0.113.128/33` is no address or prefix",
        ];
        assert_eq!(told(text), expected);
        let (geofeed, issues) = read(text);
        assert_eq!(geofeed.entries, [entry("192.0.2.0/24", "US", "")]);
        assert!(issues.iter().all(|issue| issue.severity == Severity::Error));
        assert_eq!(issues[7].also.as_ref().unwrap().0.span, 0..12);
    }

    #[test]
    fn what_would_surprise_is_a_warning_and_kept() {
        let text = "2001:db8::1,DE,,,\n192.0.2.0/24,US,US-CF,,\n198.51.100.0/24,,,Berlin,";
        let expected = [
            "1:1: `2001:db8::1/128` is finer than a /64: it counts only if entries like it make up most of one",
            "2:17: no region of `US` has the code `US-CF`",
            "3:19: `Berlin` is not read without a country: nothing is known of `198.51.100.0/24` then",
        ];
        assert_eq!(told(text), expected);
        let (geofeed, issues) = read(text);
        assert_eq!(geofeed.entries.len(), 3);
        assert!(issues.iter().all(|issue| issue.severity == Severity::Warning));
    }

    proptest! {
        /// Any text is read without a panic, and every issue points into it.
        #[test]
        fn any_text_is_read(text in "([0-9a-f:./,\"#A-Z é\u{feff}\r-]|\n|,US,US-CA,|192.0.2.0/2){0,60}") {
            let (geofeed, issues) = read(&text);
            prop_assert!(geofeed.entries.len() <= text.lines().count() + 1);
            for issue in issues {
                let at = issue.at.unwrap();
                prop_assert!(at.source.text.get(at.span).is_some());
            }
        }
    }
}
