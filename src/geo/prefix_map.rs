//! Address space cut into the fewest networks, each with one value.

use std::fmt;
use std::sync::Arc;

use super::packed::{Packed, Unpacking};

/// Values are smaller than this.
pub const VALUES_MAX: u32 = 1 << 24;

/// The bits that the root decides.
const ROOT_BITS: u8 = 16;
/// The bits that each node below it decides.
const NODE_BITS: u8 = 8;
/// The networks of a node.
const NETWORKS: u32 = 1 << NODE_BITS;

/// From an address's leading 64 bits to a value, and to the length of the network that shares it.
///
/// The networks (tiles) partition the space: they never overlap, and each is the largest aligned network around
/// its addresses that holds one value. So the length is the least scope that is true (RFC 7871 §7.2.1).
///
/// A lookup reads one entry of the root, then one node and one entry for each 8 further bits that matter: an IPv4
/// tile is found after at most three loads, and no search.
///
/// ```text
/// address  11001011 00000000 | 01110001 | …
///          root[16 bits] ----> node[8 bits] -> node …    each an entry: a value, or the next node
/// ```
///
/// Clones share its memory.
#[derive(Clone)]
pub struct PrefixMap {
    root: Arc<[Entry]>,
    nodes: Arc<[Node]>,
    entries: Entries,
    tiles: usize,
}

/// An entry of the root. A tile: its value, and its length in the low 8 bits. Or a node: bit 7 is set, as in no length, and the other
/// 31 bits are its number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

impl Entry {
    fn tile(value: u32, bits: u8) -> Entry {
        Entry(value << 8 | u32::from(bits))
    }

    fn of_node(number: usize) -> Entry {
        let number = u32::try_from(number).ok().filter(|number| number >> 31 == 0);
        let number = number.expect("fewer than 2^31 nodes: a map of 86 GB");
        Entry(number >> 7 << 8 | 0x80 | number & 0x7f)
    }

    /// The number of its node; `None` for a tile.
    #[inline]
    fn node(self) -> Option<usize> {
        (self.0 & 0x80 != 0).then_some((self.0 >> 8 << 7 | self.0 & 0x7f) as usize)
    }
}

/// 256 equal networks, of which neighbours with the same value are one run.
#[derive(Clone)]
struct Node {
    /// The entry of its first run; those of the others follow.
    first: u32,
    /// The first of its nodes; the others follow.
    nodes: u32,
    /// How many runs begin in the words before each word of `begins`.
    before: [u8; WORDS],
    /// Bit n: a run begins at the n-th network. The first one always does. Each word in two halves, the lower one first: four octets less
    /// of alignment.
    begins: [[u32; 2]; WORDS],
}

/// A node's bits, 64 in each.
const WORDS: usize = 4;

/// What all runs hold, of all nodes: a value, or, where the highest bit is set, which of its node's nodes. In two octets each where values
/// are small enough.
#[derive(Clone)]
enum Entries {
    Narrow(Arc<[u16]>),
    Wide(Arc<[u32]>),
}

/// What a run holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Value(u32),
    /// Which of its node's nodes.
    Node(u32),
}

const NARROW_NODE: u16 = 1 << 15;
const WIDE_NODE: u32 = 1 << 31;

impl Entries {
    #[inline]
    fn run(&self, at: usize) -> Run {
        match self {
            Entries::Narrow(runs) if runs[at] & NARROW_NODE == 0 => Run::Value(runs[at].into()),
            Entries::Narrow(runs) => Run::Node((runs[at] & !NARROW_NODE).into()),
            Entries::Wide(runs) if runs[at] & WIDE_NODE == 0 => Run::Value(runs[at]),
            Entries::Wide(runs) => Run::Node(runs[at] & !WIDE_NODE),
        }
    }

    fn new(runs: &[Run]) -> Entries {
        let narrow = |run: &Run| match *run {
            Run::Value(value) => u16::try_from(value).ok().filter(|value| value & NARROW_NODE == 0),
            Run::Node(which) => u16::try_from(which).ok().map(|which| which | NARROW_NODE),
        };
        let wide = |run: &Run| match *run {
            Run::Value(value) => value,
            Run::Node(which) => which | WIDE_NODE,
        };
        if runs.iter().all(|run| narrow(run).is_some()) {
            Entries::Narrow(runs.iter().map(|run| narrow(run).unwrap_or_default()).collect())
        } else {
            Entries::Wide(runs.iter().map(wide).collect())
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Entries::Narrow(runs) => size_of_val(&**runs),
            Entries::Wide(runs) => size_of_val(&**runs),
        }
    }
}

impl Node {
    #[inline]
    fn word(&self, number: usize) -> u64 {
        let [low, high] = self.begins[number];
        u64::from(high) << 32 | u64::from(low)
    }

    /// The run around one of its networks: how many are before it, and how large the largest aligned block of networks around this one
    /// is that lies within it, as a power of 2.
    #[inline]
    fn run(&self, at: u32) -> (u32, u32) {
        let (number, bit) = ((at / 64) as usize, at % 64);
        let word = self.word(number);
        let up_to = word << (63 - bit);
        let before = u32::from(self.before[number]) + up_to.count_ones() - 1;
        // A block of 2^k networks does not reach what differs in a bit from k on.
        let apart = |outside: u32| (bit ^ outside).ilog2();
        if word & !1 == 0 {
            let (even, odd) = (self.word(number & !1), self.word(number | 1));
            return (before, if even & !1 == 0 && odd == 0 { 7 } else { 6 });
        }
        let from = bit.saturating_sub(up_to.leading_zeros());
        let behind = word >> bit >> 1;
        let least = if from == 0 { 6 } else { apart(from - 1) };
        let most = if behind == 0 { 6 } else { apart(bit + 1 + behind.trailing_zeros()) };
        (before, least.min(most))
    }
}

/// A network of a [`PrefixMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapTile {
    /// The leading 64 bits of its first address.
    pub key: u64,
    /// Its length.
    pub bits: u8,
    /// What all of its addresses share.
    pub value: u32,
}

impl PrefixMap {
    /// From runs: `(start, value)` holds from `start` to the next run's start. They are sorted, the first starts at 0,
    /// and starts are whole networks of `grain_bits` (16..=56): no tile is longer.
    ///
    /// IPv4 addresses are the upper half of a key (`u64::from(address) << 32`), so IPv4 maps have a grain of at most 24.
    pub fn new(runs: impl IntoIterator<Item = (u64, u32)>, grain_bits: u8) -> PrefixMap {
        assert!((16..=56).contains(&grain_bits), "a grain of {grain_bits} bits");
        let mut build = Build::new();
        let mut open: Option<(u64, u32)> = None;
        for (start, value) in runs {
            assert!(value < VALUES_MAX, "value {value}");
            assert!(start << grain_bits == 0, "a start finer than the grain");
            match open {
                Some((_, before)) if before == value => continue,
                Some((from, before)) => build.run(from, start - 1, before),
                None => assert_eq!(start, 0, "the first run starts at 0"),
            }
            open = Some((start, value));
        }
        let (from, value) = open.unwrap_or((0, 0));
        build.run(from, u64::MAX, value);
        build.finish()
    }

    /// The value 0 everywhere.
    pub fn everywhere() -> PrefixMap {
        PrefixMap::new([], 16)
    }

    /// The value at an IPv4 address, and the length of its tile.
    #[inline]
    pub fn get_v4(&self, address: u32) -> (u32, u8) {
        self.get(u64::from(address) << 32)
    }

    /// The value at the upper half of an IPv6 address, and the length of its tile.
    #[inline]
    pub fn get_v6(&self, upper: u64) -> (u32, u8) {
        self.get(upper)
    }

    /// The value at an address's leading 64 bits, and the length of its tile.
    #[inline]
    pub fn get(&self, key: u64) -> (u32, u8) {
        let entry = self.root[(key >> 48) as usize];
        let Some(mut number) = entry.node() else { return (entry.0 >> 8, entry.0 as u8) };
        let (mut rest, mut decided) = (key << ROOT_BITS, ROOT_BITS);
        loop {
            let node = &self.nodes[number];
            let at = (rest >> (64 - NODE_BITS)) as u32;
            let (before, block) = node.run(at);
            match self.entries.run((node.first + before) as usize) {
                Run::Value(value) => return (value, decided + NODE_BITS - block as u8),
                Run::Node(which) => number = (node.nodes + which) as usize,
            }
            rest <<= NODE_BITS;
            decided += NODE_BITS;
        }
    }

    /// All tiles, in the order of their addresses.
    pub fn tiles(&self) -> impl Iterator<Item = MapTile> {
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let key: u64 = next?;
            let (value, bits) = self.get(key);
            next = last_of(key, bits).checked_add(1);
            Some(MapTile { key, bits, value })
        })
    }

    /// Whether both are one in memory: clones of one another.
    pub fn is_same(&self, other: &PrefixMap) -> bool {
        Arc::ptr_eq(&self.root, &other.root)
    }

    /// Itself as octets, for [`unpack`](PrefixMap::unpack).
    pub fn pack(&self, into: &mut Packed) {
        into.u64(self.tiles as u64);
        self.root.iter().for_each(|entry| into.u32(entry.0));
        into.u32(self.nodes.len() as u32);
        for Node { first, nodes, before, begins } in self.nodes.iter() {
            into.u32(*first);
            into.u32(*nodes);
            into.octets(before);
            begins.iter().flatten().for_each(|half| into.u32(*half));
        }
        match &self.entries {
            Entries::Narrow(runs) => {
                into.u8(size_of::<u16>() as u8);
                into.u32(runs.len() as u32);
                runs.iter().for_each(|run| into.u16(*run));
            }
            Entries::Wide(runs) => {
                into.u8(size_of::<u32>() as u8);
                into.u32(runs.len() as u32);
                runs.iter().for_each(|run| into.u32(*run));
            }
        }
    }

    /// What was packed; `None` where that is cut short.
    pub fn unpack(from: &mut Unpacking<'_>) -> Option<PrefixMap> {
        fn table<const N: usize, T>(
            from: &mut Unpacking<'_>,
            count: usize,
            number: impl Fn([u8; N]) -> T,
        ) -> Option<Arc<[T]>> {
            let (numbers, _) = from.octets(count.checked_mul(N)?)?.as_chunks();
            Some(numbers.iter().map(|octets| number(*octets)).collect())
        }
        let tiles = usize::try_from(from.u64()?).ok()?;
        let root = table(from, 1 << ROOT_BITS, |octets| Entry(u32::from_le_bytes(octets)))?;
        let count = from.u32()?;
        let mut node = || {
            let (first, nodes, before) = (from.u32()?, from.u32()?, from.array()?);
            let mut word = || Some([from.u32()?, from.u32()?]);
            Some(Node { first, nodes, before, begins: [word()?, word()?, word()?, word()?] })
        };
        let nodes = (0..count).map(|_| node()).collect::<Option<_>>()?;
        let (width, count) = (usize::from(from.u8()?), from.u32()? as usize);
        let entries = match width {
            2 => Entries::Narrow(table(from, count, u16::from_le_bytes)?),
            _ => Entries::Wide(table(from, count, u32::from_le_bytes)?),
        };
        Some(PrefixMap { root, nodes, entries, tiles })
    }

    /// How many tiles there are.
    pub fn tile_count(&self) -> usize {
        self.tiles
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.root) + size_of_val(&*self.nodes) + self.entries.bytes()
    }
}

impl fmt::Debug for PrefixMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrefixMap({} tiles)", self.tiles)
    }
}

/// The last key of the network of `bits` bits at `key`.
fn last_of(key: u64, bits: u8) -> u64 {
    key | u64::MAX.checked_shr(u32::from(bits)).unwrap_or(0)
}

/// A map that is being made, tile by tile, in the order of addresses.
struct Build {
    root: Vec<Entry>,
    nodes: Vec<Node>,
    runs: Vec<Run>,
    tiles: usize,
    /// The nodes on the way to the next tile, outermost first.
    open: Vec<Draft>,
    /// Empty ones, whose memory is used again.
    spare: Vec<Draft>,
}

/// A node that is not yet full.
#[derive(Default)]
struct Draft {
    begins: [u64; WORDS],
    runs: Vec<Run>,
    /// Its nodes, full ones.
    nodes: Vec<Node>,
    /// How many of its networks are filled.
    filled: usize,
}

impl Build {
    fn new() -> Build {
        let root = Vec::with_capacity(1 << ROOT_BITS);
        Build { root, nodes: Vec::new(), runs: Vec::new(), tiles: 0, open: Vec::new(), spare: Vec::new() }
    }

    /// Cuts a run into the largest aligned networks: tiles, since its neighbours hold other values.
    fn run(&mut self, mut from: u64, last: u64, value: u32) {
        loop {
            // As large as `from` is aligned, then as small as fits before `last`.
            let aligned = if from == 0 { 0 } else { 64 - from.trailing_zeros() as u8 };
            let fitting = (last - from).checked_add(1).map_or(0, |keys| 64 - keys.ilog2() as u8);
            let bits = aligned.max(fitting);
            self.tile(from, bits, value);
            match last_of(from, bits) {
                end if end == last => return,
                end => from = end + 1,
            }
        }
    }

    fn tile(&mut self, key: u64, bits: u8, value: u32) {
        self.tiles += 1;
        // The depth whose networks are no wider than the tile: 0 for the root.
        let depth = bits.saturating_sub(ROOT_BITS).div_ceil(NODE_BITS);
        while self.open.len() < usize::from(depth) {
            self.open.push(self.spare.pop().unwrap_or_default());
        }
        debug_assert_eq!(self.open.len(), usize::from(depth), "tiles come in order: key {key:#x}");
        let count = 1 << (ROOT_BITS + NODE_BITS * depth - bits);
        match self.open.last_mut() {
            Some(draft) => draft.fill(Run::Value(value), count),
            None => self.root.extend(std::iter::repeat_n(Entry::tile(value, bits), count)),
        }
        while let Some(full) = self.open.pop_if(|draft| draft.filled == NETWORKS as usize) {
            self.close(full);
        }
    }

    /// Lays a full node over the next network of the one around it.
    fn close(&mut self, mut full: Draft) {
        let number = |len: usize| u32::try_from(len).expect("fewer than 2^32 entries and nodes");
        let (first, nodes) = (number(self.runs.len()), number(self.nodes.len()));
        let mut sum = 0;
        let before = full.begins.map(|word| {
            let before = sum as u8; // At most 192 before the last word.
            sum += word.count_ones();
            before
        });
        let begins = full.begins.map(|word| [word as u32, (word >> 32) as u32]);
        let node = Node { first, nodes, before, begins };
        self.runs.append(&mut full.runs);
        self.nodes.append(&mut full.nodes);
        (full.begins, full.filled) = ([0; WORDS], 0);
        self.spare.push(full);
        match self.open.last_mut() {
            Some(draft) => {
                draft.fill(Run::Node(number(draft.nodes.len())), 1);
                draft.nodes.push(node);
            }
            None => {
                self.root.push(Entry::of_node(self.nodes.len()));
                self.nodes.push(node);
            }
        }
    }

    fn finish(self) -> PrefixMap {
        assert!(self.open.is_empty() && self.root.len() == 1 << ROOT_BITS, "the runs cover the space");
        let entries = Entries::new(&self.runs);
        PrefixMap { root: self.root.into(), nodes: self.nodes.into(), entries, tiles: self.tiles }
    }
}

impl Draft {
    /// Lays a run over the next `count` networks. Neighbours of one value are one; no two nodes are the same.
    fn fill(&mut self, run: Run, count: usize) {
        if self.runs.last() != Some(&run) {
            self.begins[self.filled / 64] |= 1 << (self.filled % 64);
            self.runs.push(run);
        }
        self.filled += count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value at `key`, by a scan over the runs.
    fn scan(runs: &[(u64, u32)], key: u64) -> u32 {
        runs.iter().rev().find(|(start, _)| *start <= key).unwrap().1
    }

    /// Whether all of the network around `key` holds one value, by a scan over the runs.
    fn one_value(runs: &[(u64, u32)], key: u64, bits: u8) -> bool {
        let first = key & u64::MAX.checked_shl(64 - u32::from(bits)).unwrap_or(0);
        let last = last_of(first, bits);
        let inside = runs.iter().filter(|(start, _)| (first..=last).contains(start));
        inside.map(|run| run.1).chain([scan(runs, first)]).all(|value| value == scan(runs, key))
    }

    /// Sorted runs from 0: starts near one another and far apart, few values, so that neighbours are often equal; small ones or great ones.
    fn runs(grain: u8) -> impl Strategy<Value = Vec<(u64, u32)>> {
        let start = (any::<u64>(), 0..grain).prop_map(move |(key, fine)| {
            // Clear some bits in front, so that starts crowd at the beginning of the space, too.
            (key >> (64 - grain) >> fine) << (64 - grain)
        });
        let unit = prop_oneof![Just(1), Just(20_000), Just(VALUES_MAX / 3)];
        (prop::collection::btree_map(start, 0..3u32, 0..60), unit).prop_map(|(mut starts, unit)| {
            starts.entry(0).or_insert(0);
            starts.into_iter().map(|(start, value)| (start, value * unit)).collect()
        })
    }

    proptest! {
        // A lookup agrees with a scan; its tile is true, and the next wider network would not be.
        #[test]
        fn a_lookup_agrees_with_a_scan_and_its_tile_is_true_and_least(
            (grain, runs) in (16..=56u8).prop_flat_map(|grain| (Just(grain), runs(grain))),
            keys in prop::collection::vec(any::<u64>(), 20),
        ) {
            let map = PrefixMap::new(runs.iter().copied(), grain);
            let near = runs.iter().flat_map(|run| [run.0, run.0.wrapping_sub(1)]);
            for key in near.chain(keys) {
                let (value, bits) = map.get(key);
                prop_assert_eq!(value, scan(&runs, key));
                prop_assert!(bits <= grain && one_value(&runs, key, bits), "true: {:#x}/{}", key, bits);
                prop_assert!(bits == 0 || !one_value(&runs, key, bits - 1), "least: {:#x}/{}", key, bits);
            }
            let mut packed = Packed::default();
            map.pack(&mut packed);
            let again = PrefixMap::unpack(&mut Unpacking(&packed.0)).unwrap();
            prop_assert!(again.tiles().eq(map.tiles()) && again.tile_count() == map.tile_count());
        }

        // The tiles follow one another without gap or overlap from the first address to the last.
        #[test]
        fn tiles_partition_the_space(runs in runs(24)) {
            let map = PrefixMap::new(runs.iter().copied(), 24);
            let mut next = Some(0);
            let mut count = 0;
            for tile in map.tiles() {
                prop_assert_eq!(Some(tile.key), next);
                prop_assert_eq!((tile.value, tile.bits), map.get(last_of(tile.key, tile.bits)));
                next = last_of(tile.key, tile.bits).checked_add(1);
                count += 1;
            }
            prop_assert_eq!(next, None);
            prop_assert_eq!(count, map.tile_count());
        }
    }

    #[test]
    fn an_entry_is_a_tile_or_a_node() {
        for number in [0, 127, 128, 0x1234_5678, (1 << 31) - 1] {
            assert_eq!(Entry::of_node(number).node(), Some(number));
        }
        assert_eq!(Entry::tile(VALUES_MAX - 1, 56).node(), None);
    }

    #[test]
    fn one_value_everywhere_is_one_tile() {
        let map = PrefixMap::new([(0, 7), (1 << 40, 7)], 24);
        assert_eq!((map.get_v4(0), map.get_v4(u32::MAX)), ((7, 0), (7, 0)));
        assert_eq!(map.tile_count(), 1);
    }

    #[test]
    fn a_slash_24_of_its_own_parts_its_neighbours_at_every_length() {
        // 203.0.113.0/24 alone differs: every length from 1 to 24 is needed once on the way down, and 24 twice.
        let start = u64::from(u32::from_be_bytes([203, 0, 113, 0])) << 32;
        let map = PrefixMap::new([(0, 1), (start, 2), (start + (1 << 40), 1)], 24);
        assert_eq!(map.get_v4(u32::from_be_bytes([203, 0, 113, 9])), (2, 24));
        assert_eq!(map.get_v4(u32::from_be_bytes([203, 0, 112, 9])), (1, 24));
        assert_eq!(map.get_v4(u32::from_be_bytes([8, 8, 8, 8])), (1, 1));
        assert_eq!(map.tile_count(), 25);
    }

    #[test]
    fn ipv6_is_cut_as_fine_as_a_slash_56() {
        let upper = 0x2001_0db8_0000_1200;
        let map = PrefixMap::new([(0, 1), (upper, 2), (upper + 0x100, 1)], 56);
        assert_eq!(map.get_v6(upper + 0xff), (2, 56));
        assert_eq!(map.get_v6(upper - 1), (1, 55));
        assert_eq!(map.get_v6(u64::MAX), (1, 1));
    }
}
