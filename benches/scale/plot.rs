//! Three small plots in one picture, both of whose axes are logarithmic.

use std::fmt::Write as _;

/// One measured world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// The largest world of its kind is 1.
    pub(crate) share: f64,
    /// What was measured of it, panel by panel.
    pub(crate) values: [f64; 3],
}

/// A line in each panel.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<Point>,
}

const PANELS: [&str; 3] = ["load, s", "resident, MB", "ns per answer"];
/// Told apart in black and white by their places, and by most eyes.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000"];
const SIDE: f64 = 210.0;
const GAP: f64 = 70.0;
const TOP: f64 = 30.0;
/// Decades of sizes.
const DECADES: f64 = 3.0;

/// The picture, as SVG.
pub(crate) fn svg(lines: &[Line]) -> String {
    let width = GAP + PANELS.len() as f64 * (SIDE + GAP);
    let height = TOP + SIDE + 60.0 + 16.0 * lines.len().div_ceil(3) as f64;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' font-size='11'>\n\
         <rect width='100%' height='100%' fill='white'/>\n"
    );
    for (panel, title) in PANELS.into_iter().enumerate() {
        panel_of(&mut svg, panel, title, lines);
    }
    for (at, (line, colour)) in lines.iter().zip(COLOURS).enumerate() {
        let (x, y) = (GAP + (at % 3) as f64 * (SIDE + GAP), TOP + SIDE + 60.0 + 16.0 * (at / 3) as f64);
        put(&mut svg, format_args!("<path d='M{x:.0} {y:.0}h20' stroke='{colour}' stroke-width='2'/>"));
        put(&mut svg, format_args!("<text x='{:.0}' y='{:.0}'>{}</text>", x + 26.0, y + 4.0, line.label));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel_of(svg: &mut String, panel: usize, title: &str, lines: &[Line]) {
    let left = GAP + panel as f64 * (SIDE + GAP);
    let logs = lines.iter().flat_map(|line| &line.points).map(|point| point.values[panel].log10());
    let (low, high) =
        logs.fold((f64::MAX, f64::MIN), |(low, high), log| (low.min(log.floor()), high.max(log.ceil())));
    let x = |share: f64| left + SIDE * (1.0 + share.log10() / DECADES);
    let y = |value: f64| TOP + SIDE * (high - value.log10()) / (high - low).max(1.0);
    put(svg, format_args!("<text x='{left:.0}' y='18' font-weight='bold'>{title}</text>"));
    put(
        svg,
        format_args!("<rect x='{left}' y='{TOP}' width='{SIDE}' height='{SIDE}' fill='none' stroke='#999'/>"),
    );
    for decade in low as i32..=high as i32 {
        let (value, at) = (10f64.powi(decade), y(10f64.powi(decade)));
        put(svg, format_args!("<path d='M{left} {at:.1}h{SIDE}' stroke='#ddd'/>"));
        put(
            svg,
            format_args!("<text x='{:.0}' y='{:.0}' text-anchor='end'>{value}</text>", left - 5.0, at + 4.0),
        );
    }
    for (share, label) in [(1e-3, "1/1000"), (1e-2, "1/100"), (1e-1, "1/10"), (1.0, "all")] {
        let (at, below) = (x(share), TOP + SIDE + 16.0);
        put(svg, format_args!("<text x='{at:.0}' y='{below:.0}' text-anchor='middle'>{label}</text>"));
    }
    for (line, colour) in lines.iter().zip(COLOURS) {
        let at = |point: &Point| format!("{:.1},{:.1}", x(point.share), y(point.values[panel]));
        let points: Vec<String> = line.points.iter().map(at).collect();
        put(
            svg,
            format_args!(
                "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'/>",
                points.join(" ")
            ),
        );
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}
