//! Plain counters and histograms, and the text in which Prometheus reads them.
//!
//! A counter has **one writer**: its owner adds by a plain load and store, which costs no more than adding
//! to an integer of its own. Many may read meanwhile, and see a value that was true an instant ago. What is
//! counted in several threads has one counter in each, and is summed by the reader.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A count with one writer and many readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more. Only the owning thread may call it: two writers would lose counts.
    #[inline]
    pub fn bump(&self) {
        self.add(1);
    }

    /// So many more. Only the owning thread may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The count now.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many buckets a [`Histogram`] has, besides the one without a bound.
pub const BUCKETS: usize = 29;

/// Durations by size, with one writer and many readers.
#[derive(Debug)]
pub struct Histogram {
    /// The widest duration of each bucket, ascending.
    bounds: &'static [Duration],
    /// One more than bounds: the last one is for what is wider than all.
    buckets: Box<[Counter]>,
    sum_ns: Counter,
}

/// Buckets each twice as wide as the one before: at most 1 µs, 2 µs, 4 µs … 268 s.
pub static DOUBLING: [Duration; BUCKETS] = {
    let mut bounds = [Duration::ZERO; BUCKETS];
    let mut at = 0;
    while at < BUCKETS {
        bounds[at] = Duration::from_micros(1 << at);
        at += 1;
    }
    bounds
};

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new(&DOUBLING)
    }
}

impl Histogram {
    /// With these buckets: the widest duration of each, ascending.
    pub fn new(bounds: &'static [Duration]) -> Histogram {
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Histogram { bounds, buckets, sum_ns: Counter::default() }
    }

    /// Counts one duration. Only the owning thread may call it.
    pub fn observe(&self, took: Duration) {
        self.buckets[self.bounds.partition_point(|bound| *bound < took)].bump();
        self.sum_ns.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::count).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.count())
    }
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of the process on.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A number as it is written: whole numbers keep every digit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A measure; not-a-number says "unknown".
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Value {
        Value::Whole(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Real(value)
    }
}

/// Metrics as text, format 0.0.4: what `/metrics` says.
///
/// A family may be told of in several places, but its samples must stand together: the reader of the format
/// wants them so, and [`Exposition::family`] writes the head of each family once.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    headed: HashSet<String>,
}

impl Exposition {
    /// The media type of the text.
    pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family of counts or measures. `name` is of letters, digits and underscores.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, word, help);
        Family { text: &mut self.text, name }
    }

    /// Writes one histogram, in seconds.
    pub fn histogram(&mut self, name: &str, help: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket_name = format!("{name}_bucket");
        let mut below = 0;
        for (i, bucket) in histogram.buckets.iter().enumerate() {
            below += bucket.count();
            let bound = histogram.bounds.get(i).map(|bound| bound.as_secs_f64().to_string());
            let le = bound.unwrap_or_else(|| "+Inf".to_owned());
            let labels: Vec<_> = labels.iter().copied().chain([("le", le.as_str())]).collect();
            sample(&mut self.text, &bucket_name, &labels, below.into());
        }
        sample(&mut self.text, &format!("{name}_sum"), labels, histogram.sum().as_secs_f64().into());
        sample(&mut self.text, &format!("{name}_count"), labels, below.into());
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        if self.headed.insert(name.to_owned()) {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            append(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        }
    }
}

/// The samples of one name.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Family<'_> {
    /// One sample; label values may hold anything.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) -> &mut Self {
        sample(self.text, self.name, labels, value.into());
        self
    }
}

fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: Value) {
    text.push_str(name);
    for (i, (label, value)) in labels.iter().enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        append(text, format_args!("{}{label}=\"{value}\"", if i == 0 { '{' } else { ',' }));
    }
    if !labels.is_empty() {
        text.push('}');
    }
    match value {
        Value::Whole(value) => append(text, format_args!(" {value}\n")),
        Value::Real(value) if value.is_infinite() => {
            text.push_str(if value > 0.0 { " +Inf\n" } else { " -Inf\n" });
        }
        Value::Real(value) => append(text, format_args!(" {value}\n")),
    }
}

fn append(text: &mut String, what: std::fmt::Arguments) {
    text.write_fmt(what).expect("a String takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_family_is_headed_once_and_its_samples_follow() {
        let mut text = Exposition::default();
        text.family("steerdns_dns_requests_total", Kind::Counter, "Queries.")
            .sample(&[("proto", "udp")], 3_u64);
        text.family("steerdns_dns_requests_total", Kind::Counter, "Queries.")
            .sample(&[("proto", "tcp")], 1_u64);
        text.family("steerdns_up", Kind::Gauge, "One.").sample(&[], 1.5).sample(&[("x", "y")], f64::NAN);
        assert_eq!(
            text.into_text(),
            "# HELP steerdns_dns_requests_total Queries.\n\
             # TYPE steerdns_dns_requests_total counter\n\
             steerdns_dns_requests_total{proto=\"udp\"} 3\n\
             steerdns_dns_requests_total{proto=\"tcp\"} 1\n\
             # HELP steerdns_up One.\n\
             # TYPE steerdns_up gauge\n\
             steerdns_up 1.5\n\
             steerdns_up{x=\"y\"} NaN\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all() {
        let histogram = Histogram::default();
        for took in [0, 1, 2, 3, 1_000_000] {
            histogram.observe(Duration::from_micros(took));
        }
        histogram.observe(Duration::from_secs(1000));
        let mut text = Exposition::default();
        text.histogram("h", "H.", &[("a", "b")], &histogram);
        let text = text.into_text();
        for line in [
            "# TYPE h histogram",
            "h_bucket{a=\"b\",le=\"0.000001\"} 2",
            "h_bucket{a=\"b\",le=\"0.000002\"} 3",
            "h_bucket{a=\"b\",le=\"0.000004\"} 4",
            "h_bucket{a=\"b\",le=\"0.524288\"} 4",
            "h_bucket{a=\"b\",le=\"1.048576\"} 5",
            "h_bucket{a=\"b\",le=\"268.435456\"} 5",
            "h_bucket{a=\"b\",le=\"+Inf\"} 6",
            "h_sum{a=\"b\"} 1001.000006",
            "h_count{a=\"b\"} 6",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn infinities_are_spelt_as_the_format_wants() {
        let mut text = Exposition::default();
        text.family("g", Kind::Gauge, "\\ and\nline")
            .sample(&[], f64::INFINITY)
            .sample(&[], f64::NEG_INFINITY);
        assert_eq!(text.into_text(), "# HELP g \\\\ and\\nline\n# TYPE g gauge\ng +Inf\ng -Inf\n");
    }

    /// A label value as the reader of the format takes it apart.
    fn unescaped(value: &str) -> String {
        let mut out = String::new();
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some(c) => out.push(c),
                    None => panic!("a lone backslash"),
                },
                c => out.push(c),
            }
        }
        out
    }

    proptest! {
        // A label value comes back as it went in, on one line.
        #[test]
        fn any_label_value_survives(value in any::<String>()) {
            let mut text = Exposition::default();
            text.family("g", Kind::Gauge, "G.").sample(&[("l", &value)], 1_u64);
            let text = text.into_text();
            let line = text.split('\n').nth(2).expect("the sample's line");
            let inner = line.strip_prefix("g{l=\"").and_then(|l| l.strip_suffix("\"} 1")).expect("its shape");
            prop_assert_eq!(unescaped(inner), value);
        }

        // A duration lands in the first bucket that is wide enough.
        #[test]
        fn the_bucket_is_the_first_wide_enough(ns in any::<u64>()) {
            let took = Duration::from_nanos(ns);
            let histogram = Histogram::default();
            histogram.observe(took);
            let i = histogram.buckets.iter().position(|bucket| bucket.count() == 1).unwrap();
            prop_assert!(i == BUCKETS || took <= DOUBLING[i]);
            prop_assert!(i == 0 || took > DOUBLING[i - 1]);
        }
    }
}
