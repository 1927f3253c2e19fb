//! `steerdns check`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Config, said};
use crate::files::issue::{Issue, Severity};
use crate::files::show;
use crate::files::words::counted;
use crate::load::{Loaded, load, load_tree};

/// Reads and compiles everything as `serve` does, and says all that is wrong with it. Fails where an error is.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: Config,
    /// A working copy of the repository that `[git]` names, in place of the commit in force: before it is committed.
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Fail on warnings, too.
    #[arg(long)]
    strict: bool,
    /// How mistakes are told.
    #[arg(long, value_enum, default_value_t = Format::Full)]
    format: Format,
}

/// How mistakes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With the lines of the files.
    Full,
    /// One a line, for editors.
    Short,
    /// One JSON object a line, for programs.
    Json,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let loaded = match &self.tree {
            Some(tree) => load_tree(&self.config.config, tree),
            None => load(&self.config.config),
        };
        let issues = match &loaded {
            Ok(loaded) => &loaded.issues,
            Err(issues) => issues,
        };
        let format = match self.format {
            Format::Full if std::io::stdout().is_terminal() => show::Format::Coloured,
            Format::Full => show::Format::Full,
            Format::Short => show::Format::Short,
            Format::Json => show::Format::Json,
        };
        let mut text = show::issues(issues, format);
        if self.format == Format::Full {
            if let Ok(loaded) = &loaded {
                text += &format!("{}\n", summary(loaded));
            }
            if !issues.is_empty() {
                text += &format!("{}\n", show::counts(issues));
            }
        }
        said(text);
        let grave = |issue: &Issue| self.strict || issue.severity == Severity::Error;
        if loaded.is_err() || issues.iter().any(grave) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// What was read, and what it is compiled to.
fn summary(loaded: &Loaded) -> String {
    let plan = &loaded.plan;
    let nodes: usize = plan.inventory.clusters.iter().map(|cluster| cluster.nodes.len()).sum();
    let counts = [
        counted(plan.served.len(), "zone"),
        counted(plan.zones.name_count(), "name"),
        counted(plan.services.len(), "service"),
        counted(plan.inventory.clusters.len(), "cluster"),
        counted(nodes, "node"),
        counted(plan.targets.len(), "probe target"),
    ];
    let mut lines = vec![counts.join(", ")];
    for database in &loaded.geography.databases {
        let about = database.about();
        lines.push(format!("{}: {}, {} networks", database.name(), about.kind, about.networks));
    }
    if loaded.geography.databases.is_empty() {
        lines.push(format!("embedded country table: {}", crate::geo::embedded::about()));
    }
    lines.push(format!(
        "{}, {}",
        match plan.policies.len() {
            1 => "1 policy".to_owned(),
            count => format!("{count} policies"),
        },
        counted(plan.maps.len(), "map")
    ));
    for map in &plan.maps {
        let mapped = &map.mapped;
        lines.push(format!(
            "`{}`: {} ranked lists, {} IPv4 tiles, {} IPv6 tiles, {:.1} MB",
            map.policy,
            mapped.lists.len(),
            mapped.v4.tile_count(),
            mapped.v6.tile_count(),
            mapped.bytes() as f64 / 1e6,
        ));
    }
    let took = loaded.took;
    lines.push(format!(
        "read in {:.2} s, located in {:.2} s, compiled in {:.2} s",
        took.reading.as_secs_f64(),
        took.geography.as_secs_f64(),
        took.compiling.as_secs_f64(),
    ));
    lines.join("\n")
}
