//! stub
use crate::cluster::ClusterId;
use std::net::IpAddr;
#[derive(Debug)]
pub struct Mapped {
    pub lists: Vec<RankedList>,
}
#[derive(Debug)]
pub struct RankedList {
    pub clusters: Vec<ClusterId>,
    pub costs_ms: Vec<f32>,
}
pub struct Tile {
    pub list: u32,
    pub bits: u8,
    pub scope: u8,
}
impl Mapped {
    pub fn list(&self, id: u32) -> &RankedList {
        &self.lists[id as usize]
    }
    pub fn tile(&self, _a: IpAddr) -> Tile {
        Tile { list: 0, bits: 16, scope: 16 }
    }
    pub fn list_of_resolver(&self, _a: IpAddr) -> u32 {
        0
    }
}
pub fn compile(
    _p: &crate::steering::rules::Policy,
    _c: &[ClusterId],
    _i: &crate::cluster::Inventory,
    _pl: &crate::geo::places::Places,
) -> Mapped {
    Mapped { lists: vec![] }
}
