//! A change for people: as text, and as Markdown for a pull request.

use std::fmt::Write as _;

use super::{Change, Changed, How, Moved, Places};
use crate::impact::told::{heading, percent, share, three, way};

/// Of records, services and clusters so many are listed; of more it is said how many they are. JSON has all.
const LISTED_MAX: usize = 40;
/// Less is nothing: it would be shown as 0 %.
const NOTHING: f64 = 0.005;

impl Change {
    /// In one line: what it does to people.
    pub fn summary(&self) -> String {
        let mut words = match self.moved {
            0.0 => "nobody changes the cluster".to_owned(),
            moved => {
                let queries = self.queries.map(|share| format!(" ({} of the queries)", percent(share)));
                let queries = queries.unwrap_or_default();
                format!("{} of all clients{queries} change the cluster", percent(moved))
            }
        };
        if self.unanswered > 0.0 {
            let _ = write!(words, "; {} of a service's clients are NOT ANSWERED", percent(self.unanswered));
        }
        let counts = [
            (self.records.len(), "record set changes", "record sets change"),
            (self.services.len(), "service changes", "services change"),
            (self.clusters.len(), "cluster or node changes", "clusters and nodes change"),
            (self.broken.len(), "promise BROKEN", "promises BROKEN"),
        ];
        for (count, one, many) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            let _ = write!(words, "; {count} {}", if count == 1 { one } else { many });
        }
        words
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = format!("{}\n", self.summary());
        for of in &self.moves {
            let _ = writeln!(out, "\n{}", heading(&of.services, &of.types.join(" and "), &of.policy));
            if of.moved.share > 0.0 {
                let _ = writeln!(out, "  moves       {}", share(&of.moved));
            }
            if of.unanswered.share > 0.0 {
                let _ = writeln!(out, "  UNANSWERED  {}", share(&of.unanswered));
            }
            for of in &of.moves {
                let _ = writeln!(
                    out,
                    "              {}",
                    way([&of.from, &of.to], of.gets, &of.part, of.added_ms)
                );
                let places = places(of);
                if !places.is_empty() {
                    let _ = writeln!(out, "                {places}");
                }
            }
        }
        for (title, changed) in self.lists() {
            let _ = writeln!(out, "\n{title}");
            for of in changed.iter().take(LISTED_MAX) {
                let _ = writeln!(out, "  {}", line(of));
            }
            if changed.len() > LISTED_MAX {
                let _ = writeln!(out, "  and {} more", changed.len() - LISTED_MAX);
            }
        }
        if !self.broken.is_empty() {
            out.push_str("\nbroken promises\n");
            self.broken.iter().for_each(|broken| _ = writeln!(out, "  ! {broken}"));
        }
        out
    }

    /// For a pull request.
    pub fn markdown(&self) -> String {
        let mut out = format!("### {}\n", self.summary());
        if !self.broken.is_empty() {
            out.push_str("\n**Broken promises**\n\n");
            self.broken.iter().for_each(|broken| _ = writeln!(out, "- {broken}"));
        }
        if !self.moves.is_empty() {
            let (title, rule) =
                if self.queries.is_some() { (" of the queries |", " ---: |") } else { ("", "") };
            let _ = writeln!(
                out,
                "\n| services | from | to | share |{title} added ms: median, p95, most | who |\n\
                 | --- | --- | --- | ---: |{rule} --- | --- |"
            );
        }
        for of in &self.moves {
            let heading = heading(&of.services, &of.types.join(" and "), &of.policy);
            for of in &of.moves {
                let [from, to] = [&of.from, &of.to].map(|key| key.as_deref().unwrap_or("nobody"));
                let gets = if of.gets == "answered" { String::new() } else { format!(" (**{}**)", of.gets) };
                let queries = of.part.queries.map(|queries| format!(" {} |", percent(queries)));
                let (queries, added) =
                    (queries.unwrap_or_default(), of.added_ms.map_or("-".into(), |ms| three(ms, "")));
                let (share, who) = (percent(of.part.share), places(of));
                let _ =
                    writeln!(out, "| {heading} | {from} | {to}{gets} | {share} |{queries} {added} | {who} |");
            }
        }
        for (title, changed) in self.lists() {
            let _ = writeln!(out, "\n<details><summary>{title}: {}</summary>\n\n```diff", changed.len());
            for of in changed.iter().take(LISTED_MAX) {
                of.was.iter().for_each(|was| _ = writeln!(out, "- {} {was}", of.what));
                of.is.iter().for_each(|is| _ = writeln!(out, "+ {} {is}", of.what));
            }
            if changed.len() > LISTED_MAX {
                let _ = writeln!(out, "  and {} more", changed.len() - LISTED_MAX);
            }
            out.push_str("```\n</details>\n");
        }
        out
    }

    fn lists(&self) -> impl Iterator<Item = (&'static str, &[Changed])> {
        let all = [
            ("records", &self.records),
            ("services", &self.services),
            ("clusters and nodes", &self.clusters),
        ];
        all.into_iter().map(|(title, changed)| (title, &**changed)).filter(|(_, changed)| !changed.is_empty())
    }
}

/// `ID 62 %, MY 20 %; AS7713 58 %`.
fn places(of: &Moved) -> String {
    let list = |places: &[Places]| {
        let shown = places.iter().filter(|place| place.part >= NOTHING);
        shown
            .map(|place| format!("{} {:.0} %", place.name, place.part * 100.0))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let lists = [list(&of.countries), list(&of.asns)];
    lists.into_iter().filter(|list| !list.is_empty()).collect::<Vec<_>>().join("; ")
}

/// `~ www.live.example.com. CNAME: 3600 play -> 3600 watch`.
fn line(of: &Changed) -> String {
    let [was, is] = [&of.was, &of.is].map(|said| said.join(", "));
    match (of.how, was.is_empty(), is.is_empty()) {
        (How::New, ..) => format!("+ {}: {is}", of.what),
        (How::Gone, ..) => format!("- {}: {was}", of.what),
        (How::Other, true, _) => format!("~ {}: {is}", of.what),
        (How::Other, _, true) => format!("~ {}: no more {was}", of.what),
        (How::Other, ..) => format!("~ {}: {was} -> {is}", of.what),
    }
}
