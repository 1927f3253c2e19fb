//! What a balance says: where the choice of each slot begins, and a summary for people.

use std::sync::Arc;

use crate::steering::slots::SLOTS;

/// For each slot of a list the rank at which its choice begins: then on down the list, then from the top.
pub type Row = [u8; SLOTS as usize];

/// List by list where choices begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Option<Arc<Row>>>,
}

impl Table {
    /// All choices begin at the top.
    pub(super) fn untouched(lists: usize) -> Table {
        Table { rows: vec![None; lists] }
    }

    /// A list's row; `None`: untouched, all begin at the top.
    pub fn row(&self, list: usize) -> Option<&Arc<Row>> {
        self.rows.get(list)?.as_ref()
    }

    /// The rank at which the choice of a slot begins.
    #[inline]
    pub fn first(&self, list: usize, slot: u8) -> u8 {
        self.row(list).map_or(0, |row| row[usize::from(slot % SLOTS)])
    }

    /// How many lists are touched.
    pub fn touched(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    /// Sets a list's row.
    pub(super) fn set(&mut self, list: usize, row: &Row) {
        self.rows[list] = kept(row);
    }
}

/// A row as it is kept; `None`: untouched, all begin at the top.
pub fn kept(row: &Row) -> Option<Arc<Row>> {
    let is_untouched = row.iter().all(|&rank| rank == 0);
    (!is_untouched).then(|| Arc::new(*row))
}

/// What became of the world in one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Cluster by cluster.
    pub clusters: Vec<Share>,
    /// Slots that this step moved, of all lists.
    pub moved: usize,
    /// What is asked beyond capacity, in all clusters together: 0.0 unless the world, or a part of it that has nowhere else to go, is short.
    pub short: f64,
}

/// What a cluster has to do with the load of the world. Demand is in units of capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// What its own clients ask for, those that it stands first for and is open to, wherever they are.
    pub demand: f64,
    /// What is asked of it by the table.
    pub assigned: f64,
    /// What it can carry.
    pub capacity: f64,
    /// How much farther it counts, because it is full.
    pub price_ms: f64,
    /// Slots of its own clients that are elsewhere, of all lists.
    pub shed: u32,
    /// Slots of others that are here, of all lists.
    pub taken: u32,
    /// Whether its load is known from reports.
    pub is_known: bool,
    /// In a word.
    pub why: Why,
}

/// In a word, what a cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has its own clients and no others.
    Own,
    /// It takes others' clients, too.
    Takes,
    /// It sheds its own clients, since it would be full.
    Sheds,
    /// It carries more than it can: there is no room for these clients anywhere.
    Short,
    /// Nothing of it is up.
    Down,
}

impl Why {
    /// The word for it in `explain` and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Why::Own => "own",
            Why::Takes => "takes",
            Why::Sheds => "sheds",
            Why::Short => "short",
            Why::Down => "down",
        }
    }
}
