//! A compiled policy as octets, so that a start need not compile it again.

use std::net::IpAddr;

use super::compile::{Finer, Mapped};
use super::exact::Exact;
use super::kinds::RankedList;
use super::ranker::Grain;
use super::rules::Spread;
use crate::cluster::ClusterId;
use crate::geo::packed::{Packed, Unpacking};
use crate::geo::place::Prefix;
use crate::geo::prefix_map::PrefixMap;

impl Mapped {
    /// Itself as octets, for [`unpack`](Mapped::unpack).
    pub fn pack(&self) -> Vec<u8> {
        let mut into = Packed::default();
        into.0.reserve(self.bytes() + self.bytes() / 8);
        into.u32(self.lists.len() as u32);
        for RankedList { clusters, costs_ms } in &self.lists {
            into.u16(clusters.len() as u16);
            clusters.iter().for_each(|id| into.u16(id.0));
            costs_ms.iter().for_each(|ms| into.u32(ms.to_bits()));
        }
        self.v4.pack(&mut into);
        self.v6.pack(&mut into);
        self.exact.pack(&mut into);
        self.parts.iter().flat_map(|parts| parts.iter()).for_each(|part| into.u64(part.to_bits()));
        into.octets(&[self.spread.ipv4, self.spread.ipv6]);
        into.u32(self.finer.len() as u32);
        for Finer { prefix, within, followed } in &self.finer {
            pack_prefix(*prefix, &mut into);
            pack_prefix(*within, &mut into);
            into.u8((*followed).into());
        }
        let Grain { head, unnamed, gaps } = self.grain;
        into.octets(&[head as u8, unnamed as u8, gaps.into()]);
        into.0
    }

    /// What was packed; `None` where that is cut short, or longer.
    pub fn unpack(octets: &[u8]) -> Option<Mapped> {
        let from = &mut Unpacking(octets);
        let count = from.u32()?;
        let lists: Vec<RankedList> = (0..count).map(|_| list(from)).collect::<Option<_>>()?;
        let (v4, v6) = (PrefixMap::unpack(from)?, PrefixMap::unpack(from)?);
        let exact = Exact::unpack(from)?;
        let mut parts = || (0..count).map(|_| Some(f64::from_bits(from.u64()?))).collect::<Option<_>>();
        let parts = [parts()?, parts()?];
        let spread = Spread { ipv4: from.u8()?, ipv6: from.u8()? };
        let count = from.u32()?;
        let mut finer =
            || Some(Finer { prefix: prefix(from)?, within: prefix(from)?, followed: from.u8()? != 0 });
        let finer = (0..count).map(|_| finer()).collect::<Option<_>>()?;
        let grain = Grain { head: from.u8()?.into(), unnamed: from.u8()?.into(), gaps: from.u8()? != 0 };
        from.0.is_empty().then_some(Mapped { lists, v4, v6, exact, parts, spread, finer, grain })
    }
}

fn list(from: &mut Unpacking<'_>) -> Option<RankedList> {
    let len = from.u16()?;
    let clusters = (0..len).map(|_| from.u16().map(ClusterId)).collect::<Option<_>>()?;
    let costs_ms = (0..len).map(|_| from.u32().map(f32::from_bits)).collect::<Option<_>>()?;
    Some(RankedList { clusters, costs_ms })
}

fn pack_prefix(prefix: Prefix, into: &mut Packed) {
    into.u8(prefix.bits());
    match prefix.address() {
        IpAddr::V4(v4) => {
            into.u8(4);
            into.octets(&v4.octets());
        }
        IpAddr::V6(v6) => {
            into.u8(16);
            into.octets(&v6.octets());
        }
    }
}

fn prefix(from: &mut Unpacking<'_>) -> Option<Prefix> {
    let bits = from.u8()?;
    let address: IpAddr = match from.u8()? {
        4 => from.array::<4>()?.into(),
        _ => from.array::<16>()?.into(),
    };
    Some(Prefix::around(address, bits))
}
