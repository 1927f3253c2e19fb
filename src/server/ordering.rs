//! What operators say of nodes today: taken from commands, kept on the disk, told in words.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::path::PathBuf;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::start::named;
use crate::cluster::{Inventory, Word};
use crate::files::{duration, words};
use crate::health::overrides::{Change, KeptOrder, ORDERS_MAX, Order, OrderNews, Selector, WORDS_MAX};
use crate::publisher::Publisher;
use crate::state;

/// The longest that an order may stand by itself: whoever wants more leaves the end out, or writes it into the files.
const STANDS_MAX: Duration = Duration::from_secs(366 * 86_400);

/// What an operator wants said of nodes, as it comes from a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Of whom: see [`Selector`].
    pub target: String,
    /// `drain`, `down`, `up`, or `clear`.
    pub word: String,
    /// Why; not needed to clear.
    #[serde(default)]
    pub why: String,
    /// Who says it.
    #[serde(default)]
    pub who: String,
    /// For how long, as files write durations; empty: until it is cleared.
    #[serde(default, rename = "for")]
    pub length: String,
}

/// Who waits for an order: the good end or the bad one, in words.
pub(super) type Waiting = oneshot::Sender<Result<String, String>>;

impl Request {
    /// What is to become of the orders.
    ///
    /// # Errors
    /// A sentence.
    pub fn change(&self, now: Instant) -> Result<Change, String> {
        let target = Selector::parse(&self.target)?;
        let word = match &*self.word {
            "drain" => Word::Drain,
            "down" => Word::Down,
            "up" => Word::Up,
            "clear" => return Ok(Change::Clear(target)),
            other => {
                return Err(format!("`{other}` is not said of nodes: `drain`, `down`, `up` and `clear` are"));
            }
        };
        let why = one_line(&self.why);
        if why.is_empty() {
            return Err("say why: --why \"disk replaced\"; whoever wakes at night reads it".into());
        }
        let until = match &*self.length {
            "" => None,
            text => {
                let length =
                    duration::parse(text).filter(|length| !length.is_zero() && *length <= STANDS_MAX);
                let wrong =
                    || format!("`{text}` is no length: write e.g. `30m`, `2h` or `7d`, at most a year");
                Some(now + length.ok_or_else(wrong)?)
            }
        };
        let who = one_line(&self.who);
        let who = if who.is_empty() { "unknown" } else { &*who };
        Ok(Change::Give(Order { target, word, why: (&*why).into(), who: who.into(), since: now, until }))
    }
}

/// Words of an operator, as one short line.
pub(super) fn one_line(words: &str) -> String {
    let plain: String = words.chars().take(WORDS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().to_owned()
}

/// What a change will mean, in words.
///
/// # Errors
/// Why it cannot be made, in a sentence.
pub(super) fn told(publisher: &Publisher, change: &Change) -> Result<String, String> {
    let inventory = &publisher.plan().inventory;
    match change {
        Change::Give(order) => {
            let count = order.target.count(inventory);
            if count == 0 {
                let target = order.target.to_string();
                let hint = nearest(inventory, &target).map(|known| format!("; there is `{known}`"));
                return Err(format!("no node is meant by `{target}`{}", hint.unwrap_or_default()));
            }
            let standing = publisher.orders().standing();
            let (others, all) = standing.fold((0, 0), |(others, all), standing| {
                (others + usize::from(standing.target != order.target), all + 1)
            });
            if others >= ORDERS_MAX {
                return Err(format!("{all} overrides stand already: write them into the files"));
            }
            let end = match order.until {
                Some(until) => {
                    format!("for {}", duration::shown(until.saturating_duration_since(order.since)))
                }
                None => "until it is cleared".into(),
            };
            Ok(format!("{} ({count} {}): {} {end}", order.target, nodes(count), order.word.word()))
        }
        Change::Clear(target) => {
            let standing: Vec<_> =
                publisher.orders().standing().map(|order| order.target.to_string()).collect();
            match standing.iter().any(|known| *known == target.to_string()) {
                true => Ok(format!("{target}: cleared, the probes decide")),
                false if standing.is_empty() => Err("no override stands".into()),
                false => Err(format!("no override of `{target}` stands: {}", standing.join(", "))),
            }
        }
    }
}

/// The target of an inventory that is most like what was written: of clusters, nodes and regions.
fn nearest(inventory: &Inventory, written: &str) -> Option<String> {
    let clusters = inventory.clusters.iter();
    let regions = clusters.clone().filter_map(|cluster| Some(format!("region:{}", cluster.region.as_ref()?)));
    let nodes = clusters
        .clone()
        .flat_map(|cluster| cluster.nodes.iter().map(move |node| format!("{}/{}", cluster.key, node.key)));
    let all: Vec<String> =
        clusters.clone().map(|cluster| cluster.key.to_string()).chain(nodes).chain(regions).collect();
    words::nearest(written, all.iter().map(String::as_str)).map(str::to_owned)
}

fn nodes(count: usize) -> &'static str {
    if count == 1 { "node" } else { "nodes" }
}

/// Logs what became of an order.
pub(super) fn log(news: &OrderNews) {
    let order = &news.order;
    let (target, who, why) = (&order.target, &order.who, &order.why);
    let (word, what) = (order.word.word(), news.what.word());
    tracing::warn!(%target, %who, %why, "override {what}: {target} {word}");
}

/// Orders as they outlive the program, and who waits for that, with what is then said.
type Keeping = (Vec<KeptOrder>, Option<(Waiting, String)>);

/// Writes orders on a thread of its own: a slow disk keeps nobody from publishing. Whoever gave one hears of it when it
/// is on the disk.
pub(super) struct OrderKeeper {
    orders: std_mpsc::Sender<Keeping>,
    thread: JoinHandle<()>,
}

impl OrderKeeper {
    pub(super) fn start(directory: PathBuf) -> OrderKeeper {
        let (orders, waiting) = std_mpsc::channel::<Keeping>();
        let thread = named("orders", move || {
            for (kept, told) in waiting {
                let written = state::write_orders(&directory, &kept, SystemTime::now());
                if let Err(error) = &written {
                    tracing::error!("overrides are not kept: {error}");
                }
                if let Some((waiting, words)) = told {
                    let _ = waiting.send(match written {
                        Ok(()) => Ok(words),
                        Err(error) => Err(format!("{words}; but a restart will forget it: {error}")),
                    });
                }
            }
        });
        OrderKeeper { orders, thread }
    }

    /// Keeps what stands now, and tells who waits.
    pub(super) fn keep(&self, publisher: &Publisher, told: Option<(Waiting, String)>) {
        let _ = self.orders.send((publisher.orders().kept(Instant::now()), told));
    }

    /// Waits for the last ones.
    pub(super) fn end(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}
