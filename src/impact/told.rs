//! An Impact for people: as text, and as Markdown for a ticket.

use std::fmt::Write as _;

use super::result::{Affected, Carried, Impact, Move, Part, Queries, Spread, Thinned};

/// Names of services that are listed; of more it is said how many they are.
const NAMES: usize = 4;
/// Less is nothing: it would be shown as 0.0 %.
const NOTHING: f64 = 0.0005;

impl Impact {
    /// In one line: what fails, and what that means.
    pub fn summary(&self) -> String {
        let nodes = if self.nodes == 1 { "node" } else { "nodes" };
        let mut words = format!("{} down ({} {nodes})", self.killed.join(", "), self.nodes);
        if !self.down.is_empty() {
            let _ = write!(words, ", on top of {}", self.down.join(", "));
        }
        let queries = |of: fn(&Queries) -> f64| match &self.queries {
            Some(queries) => format!(" ({} of the queries)", percent(of(queries))),
            None => String::new(),
        };
        let moved = match self.moved {
            0.0 => "nobody changes the cluster".into(),
            moved => {
                let of_queries = queries(|queries| queries.moved);
                format!("{} of all clients{of_queries} change the cluster", percent(moved))
            }
        };
        let _ = write!(words, ": {moved}");
        if self.unanswered > 0.0 {
            let of_queries = queries(|queries| queries.unanswered);
            let _ = write!(
                words,
                "; {} of a service's clients{of_queries} are NOT ANSWERED",
                percent(self.unanswered)
            );
        }
        if let Some(over) =
            self.over().max_by(|a, b| a.full_after.unwrap_or(0.0).total_cmp(&b.full_after.unwrap_or(0.0)))
        {
            let _ = write!(words, "; {} is at {}", over.cluster, percent(over.full_after.unwrap_or(0.0)));
        }
        words
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = format!("{}\n", self.summary());
        for alike in alike(&self.services) {
            out.push('\n');
            for affected in &alike {
                let _ = writeln!(out, "{}", heading_of(affected));
            }
            changes(&mut out, alike[0]);
        }
        if self.is_none() {
            out.push_str("\nno answer changes\n");
        }
        let once = if self.balanced { " at once" } else { "" };
        let _ = writeln!(out, "\ncluster       demand before   after   full before{once}   after");
        for cluster in self.shown() {
            let [before, after] = [cluster.share_before, cluster.share_after].map(percent);
            let [full, once, fuller] =
                [cluster.full_before, cluster.full_at_once, cluster.full_after].map(full);
            let once = if self.balanced { format!(" {once:>7}") } else { String::new() };
            let over = if cluster.is_over() { "  OVER CAPACITY" } else { "" };
            let _ = writeln!(
                out,
                "{:<13} {before:>13} {after:>7} {full:>13}{once} {fuller:>7}{over}",
                cluster.cluster
            );
        }
        let _ = writeln!(out, "demand: {}", self.demand);
        out
    }

    /// For a ticket.
    pub fn markdown(&self) -> String {
        let mut out = format!("### {}\n", self.summary());
        if !self.services.is_empty() {
            let (title, line) =
                if self.queries.is_some() { (" of the queries |", " ---: |") } else { ("", "") };
            let _ = writeln!(
                out,
                "\n| services | from | to | share |{title} added ms: median, p95, most |\n| --- | --- | --- | ---: |{line} --- |"
            );
        }
        for alike in alike(&self.services) {
            let affected = alike[0];
            let headings: Vec<String> = alike.iter().map(|affected| heading_of(affected)).collect();
            let heading = headings.join("; ");
            for of in &affected.moves {
                let [from, to] = [&of.from, &of.to].map(|key| key.as_deref().unwrap_or("nobody"));
                let (share, added) =
                    (percent(of.part.share), of.added_ms.map_or("-".into(), |ms| three(ms, "")));
                let gets = if of.gets == "answered" { String::new() } else { format!(" (**{}**)", of.gets) };
                let queries = of.part.queries.map(|queries| format!(" {} |", percent(queries)));
                let queries = queries.unwrap_or_default();
                let _ = writeln!(out, "| {heading} | {from} | {to}{gets} | {share} |{queries} {added} |");
            }
            for of in &affected.thinned {
                let none = if self.queries.is_some() { " |" } else { "" };
                let _ = writeln!(out, "| {heading} | {} | | |{none} {} |", of.cluster, thinned(of));
            }
            for cluster in &affected.short {
                let none = if self.queries.is_some() { " |" } else { "" };
                let _ = writeln!(out, "| {heading} | {cluster} | | |{none} fewer nodes than its min_nodes |");
            }
        }
        out.push_str(
            "\n| cluster | demand before | after | full before | at once | after |\n\
             | --- | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for cluster in self.shown() {
            let [before, after] = [cluster.share_before, cluster.share_after].map(percent);
            let [full, once, fuller] =
                [cluster.full_before, cluster.full_at_once, cluster.full_after].map(full);
            let over = if cluster.is_over() { " **over capacity**" } else { "" };
            let _ = writeln!(
                out,
                "| {} | {before} | {after} | {full} | {once} | {fuller}{over} |",
                cluster.cluster
            );
        }
        let _ = writeln!(out, "\nDemand: {}.", self.demand);
        out
    }

    /// The clusters that carry something else than before.
    fn shown(&self) -> impl Iterator<Item = &Carried> {
        let is_other = |of: &&Carried| {
            let once = (of.full_before.unwrap_or(0.0) - of.full_at_once.unwrap_or(0.0)).abs();
            (of.share_before - of.share_after).abs().max(once) >= NOTHING || of.is_over()
        };
        self.clusters.iter().filter(is_other)
    }
}

/// Services for which the same changes, together.
fn alike(services: &[Affected]) -> Vec<Vec<&Affected>> {
    let mut all: Vec<Vec<&Affected>> = Vec::new();
    for affected in services {
        match all.iter_mut().find(|known| known[0].changes_as(affected)) {
            Some(known) => known.push(affected),
            None => all.push(vec![affected]),
        }
    }
    all
}

/// What changes, line by line.
fn changes(out: &mut String, affected: &Affected) {
    let (moves, others): (Vec<&Move>, Vec<&Move>) =
        affected.moves.iter().partition(|of| of.gets == "answered");
    if !moves.is_empty() {
        let _ = writeln!(out, "  moves       {}", share(&affected.moved));
    }
    for of in moves {
        let _ = writeln!(out, "              {}", moving(of));
    }
    if affected.unanswered.share > 0.0 {
        let (share, said) = (share(&affected.unanswered), &affected.all_down);
        let _ = writeln!(out, "  UNANSWERED  {share} (all_down: {said})");
    }
    for of in others {
        let _ = writeln!(out, "              {}", moving(of));
    }
    for cluster in &affected.short {
        let _ = writeln!(out, "  short       {cluster} has fewer nodes than its min_nodes");
    }
    for of in &affected.thinned {
        let _ = writeln!(out, "  nodes       {}", thinned(of));
    }
}

fn heading_of(of: &Affected) -> String {
    heading(&of.services, of.family, &of.policy)
}

pub(super) fn heading(services: &[String], family: &str, policy: &str) -> String {
    let names: Vec<&str> = services.iter().take(NAMES).map(String::as_str).collect();
    let more = services.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more} {family} (policy `{policy}`)", names.join(" "))
}

fn moving(of: &Move) -> String {
    let mut words = way([&of.from, &of.to], of.gets, &of.part, of.added_ms);
    if let Some(km) = of.added_km {
        let _ = write!(words, " (estimates: {} km)", three(km, "+"));
    }
    words
}

/// Clients who go from one cluster to another: `sin -> jkt  2.1 % (IPv4 2.0 %, IPv6 2.2 %), +12 median …`.
pub(super) fn way(keys: [&Option<String>; 2], gets: &str, part: &Part, added_ms: Option<Spread>) -> String {
    let [from, to] = keys.map(|key| key.as_deref().unwrap_or("nobody"));
    let mut words = format!("{from} -> {to}  {}", share(part));
    let _ = match (gets, added_ms) {
        ("answered", Some(ms)) => write!(words, ", {} ms", three(ms, "+")),
        ("answered", None) => Ok(()),
        (gets, _) => write!(words, ", {gets}"),
    };
    words
}

pub(super) fn three(of: Spread, sign: &str) -> String {
    format!("{sign}{:.0} median, {sign}{:.0} p95, {sign}{:.0} most", of.median, of.p95, of.max)
}

fn thinned(of: &Thinned) -> String {
    let busiest = match of.busiest() {
        Some((node, times)) => format!("; {} then gets {times:.2} times what it had", node.node),
        None => String::new(),
    };
    format!("{}: {} of its answers lose a node{busiest}", of.cluster, percent(of.lost))
}

pub(super) fn share(part: &Part) -> String {
    let queries = part.queries.map(|queries| format!("; of the queries {}", percent(queries)));
    let (ipv4, ipv6) = (percent(part.ipv4), percent(part.ipv6));
    format!("{} (IPv4 {ipv4}, IPv6 {ipv6}{})", percent(part.share), queries.unwrap_or_default())
}

pub(super) fn percent(share: f64) -> String {
    match share {
        some if some > 0.0 && some < NOTHING => "<0.1 %".into(),
        share => format!("{:.1} %", share * 100.0),
    }
}

fn full(of: Option<f64>) -> String {
    of.map_or("-".into(), percent)
}
