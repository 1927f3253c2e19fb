//! What operators say of nodes over their verdicts: in the files, and today.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::target::Target;
use crate::cluster::{Cluster, Inventory, Node, Word};

/// The most orders at a time: whoever wants more writes them into the files.
pub const ORDERS_MAX: usize = 1000;
/// How long before its end an order that stands for longer than twice that is said to be ending.
pub const ENDING_BEFORE: Duration = Duration::from_secs(600);
/// How long an order whose time was over is known yet, to those who tell of it.
pub const EXPIRED_KEPT: Duration = Duration::from_secs(600);
/// So many of them are: whoever reads of more reads nothing.
const EXPIRED_MAX: usize = 100;
/// The longest text of a reason or a name, in characters.
pub const WORDS_MAX: usize = 200;

/// Which nodes are meant: `sin/sin-1`, `sin` (all of a cluster), `region:southeast-asia`; `*` stands for any run of
/// characters (`*/edge-*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The clusters and nodes that match.
    Nodes {
        /// A cluster's key, or a pattern.
        cluster: Box<str>,
        /// A node's key, or a pattern.
        node: Box<str>,
    },
    /// All clusters of the regions that match.
    Region(Box<str>),
}

impl Selector {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let pattern = |part: &str| {
            let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_*".contains(&octet);
            match (1..=63).contains(&part.len()) && part.bytes().all(plain) {
                true => Ok(Box::from(part)),
                false => Err(format!(
                    "`{}` names no nodes: write `cluster`, `cluster/node` or `region:name`, with `*` for any characters",
                    text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect::<String>()
                )),
            }
        };
        match (text.strip_prefix("region:"), text.split_once('/')) {
            (Some(region), _) => Ok(Selector::Region(pattern(region)?)),
            (None, Some((cluster, node))) => {
                Ok(Selector::Nodes { cluster: pattern(cluster)?, node: pattern(node)? })
            }
            (None, None) => Ok(Selector::Nodes { cluster: pattern(text)?, node: "*".into() }),
        }
    }

    /// Whether it means nodes of this cluster.
    pub fn reaches(&self, cluster: &Cluster) -> bool {
        match self {
            Selector::Nodes { cluster: pattern, node } => {
                matches(pattern, &cluster.key) && cluster.nodes.iter().any(|own| matches(node, &own.key))
            }
            Selector::Region(pattern) => {
                cluster.region.as_ref().is_some_and(|region| matches(pattern, region))
            }
        }
    }

    /// Whether it means this node.
    pub fn means(&self, cluster: &Cluster, node: &Node) -> bool {
        match self {
            Selector::Nodes { cluster: pattern, node: own } => {
                matches(pattern, &cluster.key) && matches(own, &node.key)
            }
            Selector::Region(_) => self.reaches(cluster),
        }
    }

    /// Whether it means the node of a target.
    pub fn means_target(&self, inventory: &Inventory, target: &Target) -> bool {
        let cluster = inventory.cluster(target.cluster);
        cluster.nodes.get(usize::from(target.node)).is_some_and(|node| self.means(cluster, node))
    }

    /// How many nodes it means.
    pub fn count(&self, inventory: &Inventory) -> usize {
        let of = |cluster: &Cluster| cluster.nodes.iter().filter(|node| self.means(cluster, node)).count();
        inventory.clusters.iter().map(of).sum()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Nodes { cluster, node } if &**node == "*" => f.write_str(cluster),
            Selector::Nodes { cluster, node } => write!(f, "{cluster}/{node}"),
            Selector::Region(region) => write!(f, "region:{region}"),
        }
    }
}

/// Whether a text is what a pattern says, in which `*` is any run of characters. Each `*` takes the least that
/// lets the rest fit: no pattern makes this slow.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // The last `*`, and how much it has taken.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(octet) if octet.eq_ignore_ascii_case(&text[read]) => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((from, taken)) => {
                    star = Some((from, taken + 1));
                    (at, read) = (from + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|octet| *octet == b'*')
}

/// What an operator said today: it outranks the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Of whom.
    pub target: Selector,
    /// What to hold.
    pub word: Word,
    /// Why, in the operator's words.
    pub why: Arc<str>,
    /// Who said it.
    pub who: Arc<str>,
    /// Since when.
    pub since: Instant,
    /// Until when; `None`: until it is cleared.
    pub until: Option<Instant>,
}

impl Order {
    /// Whether it will end soon: within [`ENDING_BEFORE`], after it was to stand for more than twice as long.
    pub fn is_ending(&self, now: Instant) -> bool {
        let Some(until) = self.until else { return false };
        let is_long = until.saturating_duration_since(self.since) > 2 * ENDING_BEFORE;
        is_long && until > now && until - now <= ENDING_BEFORE
    }
}

/// What is to become of the orders.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// This one stands from now on, in place of one of the same target.
    Give(Order),
    /// None of this target stands any more.
    Clear(Selector),
}

/// An order as it outlives the program.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptOrder {
    /// Of whom.
    pub target: Selector,
    /// What to hold.
    pub word: Word,
    /// Why.
    pub why: Arc<str>,
    /// Who said it.
    pub who: Arc<str>,
    /// How long ago.
    pub age: Duration,
    /// For how long yet; `None`: until it is cleared.
    pub left: Option<Duration>,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderNews {
    /// Which.
    pub order: Arc<Order>,
    /// What.
    pub what: Became,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It stands.
    Given,
    /// It will end soon by itself.
    Ending,
    /// Its time was over.
    Expired,
    /// An operator took it back, or gave another one of the same target.
    Cleared,
}

impl Became {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Became::Given => "given",
            Became::Ending => "ending",
            Became::Expired => "expired",
            Became::Cleared => "cleared",
        }
    }
}

/// What is said of a node, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// What to hold.
    pub word: Word,
    /// Why.
    pub why: Arc<str>,
    /// The order; `None`: the files say so.
    pub order: Option<Arc<Order>>,
}

/// All that operators said today and that stands yet.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// In the order in which they were given.
    standing: Vec<Standing>,
    /// Those whose time was over of late, the last one last.
    expired: Vec<Arc<Order>>,
}

#[derive(Clone, Debug)]
struct Standing {
    order: Arc<Order>,
    /// Whether it was said that it will end.
    told: bool,
}

impl Orders {
    /// Those that stand, the newest last.
    pub fn standing(&self) -> impl Iterator<Item = &Arc<Order>> {
        self.standing.iter().map(|standing| &standing.order)
    }

    /// Those whose time was over within [`EXPIRED_KEPT`], and of whose target nothing was said since.
    pub fn expired(&self) -> impl Iterator<Item = &Arc<Order>> {
        self.expired.iter()
    }

    /// Makes a change. Beyond [`ORDERS_MAX`] nothing is taken.
    pub fn change(&mut self, change: Change, news: &mut Vec<OrderNews>) {
        let target = match &change {
            Change::Give(order) => &order.target,
            Change::Clear(target) => target,
        };
        self.expired.retain(|expired| expired.target != *target);
        self.standing.retain(|standing| {
            let stays = standing.order.target != *target;
            if !stays {
                news.push(OrderNews { order: Arc::clone(&standing.order), what: Became::Cleared });
            }
            stays
        });
        let Change::Give(order) = change else { return };
        if self.standing.len() < ORDERS_MAX {
            let order = Arc::new(order);
            news.push(OrderNews { order: Arc::clone(&order), what: Became::Given });
            self.standing.push(Standing { order, told: false });
        }
    }

    /// The orders as they outlive the program.
    pub fn kept(&self, now: Instant) -> Vec<KeptOrder> {
        let kept = |order: &Arc<Order>| KeptOrder {
            target: order.target.clone(),
            word: order.word,
            why: Arc::clone(&order.why),
            who: Arc::clone(&order.who),
            age: now.saturating_duration_since(order.since),
            left: order.until.map(|until| until.saturating_duration_since(now)),
        };
        self.standing().map(kept).collect()
    }

    /// Takes back what was kept. Those whose time was over meanwhile end when time passes next, and are told then.
    pub fn restore(&mut self, kept: impl IntoIterator<Item = KeptOrder>, now: Instant) {
        let orders = kept.into_iter().take(ORDERS_MAX).map(|kept| Order {
            target: kept.target,
            word: kept.word,
            why: kept.why,
            who: kept.who,
            // Before the machine started there is no Instant: as early as can be told.
            since: now.checked_sub(kept.age).unwrap_or(now),
            until: kept.left.map(|left| now.checked_add(left).unwrap_or(now)),
        });
        self.standing = orders.map(|order| Standing { order: Arc::new(order), told: false }).collect();
    }

    /// Takes back those whose time is over, and tells of those whose time will soon be.
    pub fn pass(&mut self, now: Instant, news: &mut Vec<OrderNews>) {
        self.expired.retain(|order| {
            order.until.is_some_and(|until| now.saturating_duration_since(until) < EXPIRED_KEPT)
        });
        self.standing.retain_mut(|standing| {
            let Some(until) = standing.order.until else { return true };
            if until <= now {
                news.push(OrderNews { order: Arc::clone(&standing.order), what: Became::Expired });
                self.expired.push(Arc::clone(&standing.order));
                return false;
            }
            if !standing.told && standing.order.is_ending(now) {
                standing.told = true;
                news.push(OrderNews { order: Arc::clone(&standing.order), what: Became::Ending });
            }
            true
        });
        let beyond = self.expired.len().saturating_sub(EXPIRED_MAX);
        self.expired.drain(..beyond);
    }

    /// What is said of a node: the newest order that means it, else what the files say.
    pub fn said(&self, cluster: &Cluster, node: &Node) -> Option<Said> {
        let order = self.standing.iter().rev().map(|standing| &standing.order);
        match order.into_iter().find(|order| order.target.means(cluster, node)) {
            Some(order) => {
                Some(Said { word: order.word, why: order.why.clone(), order: Some(Arc::clone(order)) })
            }
            None => {
                let pinned = node.pinned.as_ref().or(cluster.pinned.as_ref())?;
                Some(Said { word: pinned.word, why: pinned.why.as_str().into(), order: None })
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::cluster::Override;
    use crate::geo::place::Point;

    fn node(key: &str) -> Node {
        Node { key: key.into(), addresses: Vec::new(), weight: 1, pinned: None }
    }

    fn sin() -> Cluster {
        let nodes = vec![node("sin-1"), node("sin-2"), node("edge-1")];
        let place = Point::new(1.35, 103.82).unwrap();
        Cluster { region: Some("southeast-asia".into()), ..Cluster::bare("sin", place, nodes) }
    }

    fn order(target: &str, word: Word, since: Instant, until_s: Option<u64>) -> Change {
        Change::Give(Order {
            target: Selector::parse(target).unwrap(),
            word,
            why: "disk".into(),
            who: "ana".into(),
            since,
            until: until_s.map(|s| since + Duration::from_secs(s)),
        })
    }

    fn words(orders: &Orders) -> Vec<Option<Word>> {
        let sin = sin();
        sin.nodes.iter().map(|node| orders.said(&sin, node).map(|said| said.word)).collect()
    }

    #[test]
    fn a_target_is_a_cluster_a_node_a_region_or_a_pattern() {
        let meant = |text: &str| {
            let (sin, selector) = (sin(), Selector::parse(text).unwrap());
            assert_eq!(selector.to_string(), text);
            sin.nodes.iter().filter(|node| selector.means(&sin, node)).count()
        };
        let counts =
            ["sin", "sin/sin-1", "region:southeast-asia", "region:s*", "*/edge-*", "s*n/*-1", "fra", "sin/x"]
                .map(meant);
        assert_eq!(counts, [3, 1, 3, 3, 1, 2, 0, 0]);
        for wrong in ["", "/", "sin/", "a b", "region:", "sin/a/b", "\x1b[2J", &"x".repeat(64)] {
            let error = Selector::parse(wrong).unwrap_err();
            assert!(error.contains("names no nodes") && !error.contains('\x1b'), "{error}");
        }
    }

    #[test]
    fn the_newest_order_that_means_a_node_holds_and_outranks_the_files() {
        let start = Instant::now();
        let (mut orders, mut news) = (Orders::default(), Vec::new());
        orders.change(order("sin", Word::Drain, start, None), &mut news);
        orders.change(order("sin/sin-1", Word::Up, start, None), &mut news);
        assert_eq!(words(&orders), [Some(Word::Up), Some(Word::Drain), Some(Word::Drain)]);
        orders.change(Change::Clear(Selector::parse("sin").unwrap()), &mut news);
        assert_eq!(words(&orders), [Some(Word::Up), None, None]);
        let told: Vec<_> = news.iter().map(|news| (news.order.target.to_string(), news.what)).collect();
        let of = |target: &str, what| (target.to_owned(), what);
        assert_eq!(
            told,
            [of("sin", Became::Given), of("sin/sin-1", Became::Given), of("sin", Became::Cleared)]
        );
        let mut pinned = sin();
        pinned.nodes[0].pinned = Some(Override { word: Word::Down, why: "file".into() });
        let said = orders.said(&pinned, &pinned.nodes[0]).unwrap();
        assert_eq!((said.word, &*said.why), (Word::Up, "disk"));
        let said = Orders::default().said(&pinned, &pinned.nodes[0]).unwrap();
        assert_eq!((said.word, &*said.why, said.order), (Word::Down, "file", None));
        // What the file says of a node is nearer than what it says of its cluster.
        pinned.pinned = Some(Override { word: Word::Drain, why: "all of it".into() });
        let words: Vec<_> =
            pinned.nodes.iter().map(|node| Orders::default().said(&pinned, node).unwrap().word).collect();
        assert_eq!(words, [Word::Down, Word::Drain, Word::Drain]);
    }

    #[test]
    fn a_second_order_of_the_same_target_replaces_the_first() {
        let start = Instant::now();
        let (mut orders, mut news) = (Orders::default(), Vec::new());
        orders.change(order("sin", Word::Drain, start, Some(60)), &mut news);
        orders.change(order("sin", Word::Down, start, None), &mut news);
        assert_eq!(orders.standing().count(), 1);
        orders.pass(start + Duration::from_secs(61), &mut news);
        assert_eq!(words(&orders), [Some(Word::Down); 3]);
    }

    #[test]
    fn the_end_of_a_long_order_is_announced_once_and_then_told() {
        let start = Instant::now();
        let (mut orders, mut news) = (Orders::default(), Vec::new());
        orders.change(order("sin", Word::Drain, start, Some(7200)), &mut news);
        orders.change(order("sin/sin-1", Word::Drain, start, Some(60)), &mut news);
        let mut seen = Vec::new();
        for second in [59, 60, 6599, 6600, 6601, 7199, 7200, 7201] {
            news.clear();
            orders.pass(start + Duration::from_secs(second), &mut news);
            seen.extend(news.iter().map(|news| (second, news.what)));
        }
        assert_eq!(seen, [(60, Became::Expired), (6600, Became::Ending), (7200, Became::Expired)]);
        assert_eq!(words(&orders), [None; 3]);
    }

    #[test]
    fn an_order_whose_time_was_over_is_known_for_a_while_unless_its_target_is_spoken_of_again() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let (mut orders, mut news) = (Orders::default(), Vec::new());
        for target in ["sin", "fra", "gru"] {
            orders.change(order(target, Word::Drain, start, Some(60)), &mut news);
        }
        let expired = |orders: &Orders| -> Vec<String> {
            orders.expired().map(|order| order.target.to_string()).collect()
        };
        orders.pass(at(59), &mut news);
        assert!(expired(&orders).is_empty());
        orders.pass(at(60), &mut news);
        assert_eq!(expired(&orders), ["sin", "fra", "gru"]);
        orders.change(order("sin", Word::Down, at(61), None), &mut news);
        orders.change(Change::Clear(Selector::parse("fra").unwrap()), &mut news);
        assert_eq!(expired(&orders), ["gru"]);
        orders.pass(at(659), &mut news);
        assert_eq!(expired(&orders), ["gru"]);
        orders.pass(at(660), &mut news);
        assert!(expired(&orders).is_empty());
        // However many there are: the last ones.
        for number in 0..ORDERS_MAX - 1 {
            orders.change(order(&format!("c{number}"), Word::Drain, at(700), Some(1)), &mut news);
        }
        orders.pass(at(701), &mut news);
        let kept = expired(&orders);
        assert_eq!((kept.len(), &*kept[EXPIRED_MAX - 1]), (EXPIRED_MAX, "c998"));
    }

    #[test]
    fn orders_outlive_the_program_and_what_ended_meanwhile_is_told() {
        let start = Instant::now() + Duration::from_secs(100);
        let (mut orders, mut news) = (Orders::default(), Vec::new());
        orders.change(order("sin", Word::Drain, start, Some(60)), &mut news);
        orders.change(order("sin/sin-1", Word::Up, start, None), &mut news);
        let mut kept = orders.kept(start + Duration::from_secs(10));
        let facts: Vec<_> =
            kept.iter().map(|kept| (kept.age.as_secs(), kept.left.map(|l| l.as_secs()))).collect();
        assert_eq!(facts, [(10, Some(50)), (10, None)]);
        kept[0].left = Some(Duration::ZERO);
        let mut again = Orders::default();
        again.restore(kept, start);
        news.clear();
        again.pass(start, &mut news);
        assert_eq!(news.iter().map(|news| news.what).collect::<Vec<_>>(), [Became::Expired]);
        assert_eq!(words(&again), [Some(Word::Up), None, None]);
    }

    #[test]
    fn the_number_of_orders_is_bounded() {
        let start = Instant::now();
        let (mut orders, mut news) = (Orders::default(), Vec::new());
        for number in 0..ORDERS_MAX + 10 {
            orders.change(order(&format!("c{number}"), Word::Drain, start, None), &mut news);
        }
        assert_eq!((orders.standing().count(), news.len()), (ORDERS_MAX, ORDERS_MAX));
    }

    proptest! {
        // A pattern matches as the naive definition says, and never slowly.
        #[test]
        fn patterns_match_as_defined(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            fn naive(pattern: &[u8], text: &[u8]) -> bool {
                match pattern {
                    [] => text.is_empty(),
                    [b'*', rest @ ..] => (0..=text.len()).any(|take| naive(rest, &text[take..])),
                    [octet, rest @ ..] => text.first() == Some(octet) && naive(rest, &text[1..]),
                }
            }
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_text_is_a_selector_or_an_error(text in "\\PC{0,40}") {
            if let Ok(selector) = Selector::parse(&text) {
                prop_assert!(Selector::parse(&selector.to_string()).unwrap() == selector);
            }
        }
    }
}
