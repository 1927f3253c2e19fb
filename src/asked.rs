//! What is asked of `explain`, on the command line and of a running server.

use std::net::IpAddr;
use std::time::Instant;

use crate::cluster::Family;
use crate::explain::{Beside, Explanation, explain};
use crate::health::quality::Ways;
use crate::load::Geography;
use crate::plan::{Plan, Route};
use crate::snapshot::Snapshot;
use crate::wire::edns::Subnet;
use crate::wire::lowered::Lowered;
use crate::wire::name::Name;
use crate::zone::lookup::{AliasEnd, Found};
use crate::zone::record::rtype;
use crate::zone::tree::Way;

/// A question whose answer is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name, absolute.
    pub name: Name,
    /// The family: A or AAAA.
    pub family: Family,
    /// The client: its network, as a client subnet would give it.
    pub client: Option<(IpAddr, u8)>,
    /// The resolver.
    pub resolver: IpAddr,
    /// Whether JSON is wanted.
    pub json: bool,
}

impl Asked {
    /// Reads what [`Asked::query`] wrote.
    ///
    /// # Errors
    /// A sentence that says what is missing or wrong.
    pub fn parse(query: &str) -> Result<Asked, String> {
        let value = |key: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).next_back()
        };
        let name = value("name").ok_or("`name` is missing")?;
        let name = Name::parse(name, Some(&Name::root())).map_err(|error| format!("`{name}`: {error}"))?;
        let family = match value("type").unwrap_or("A") {
            "A" => Family::V4,
            "AAAA" => Family::V6,
            other => return Err(format!("`{other}` is not steered: A and AAAA are")),
        };
        let client = value("client").map(network).transpose()?;
        let resolver = value("resolver").unwrap_or("127.0.0.1");
        let resolver = resolver.parse().map_err(|_| format!("`{resolver}` is no address"))?;
        Ok(Asked { name, family, client, resolver, json: value("json") == Some("1") })
    }

    /// The same as a query string.
    pub fn query(&self) -> String {
        let client = self.client.map(|(address, bits)| format!("&client={address}/{bits}"));
        format!(
            "name={}&type={}&resolver={}&json={}{}",
            self.name,
            self.family.rtype(),
            self.resolver,
            u8::from(self.json),
            client.unwrap_or_default(),
        )
    }

    /// Explains it. `ways` are what those to clusters cost, cluster by cluster, if that was measured.
    ///
    /// # Errors
    /// A sentence, where the name is not steered.
    pub fn explain(
        &self,
        snapshot: &Snapshot,
        geography: Option<&Geography>,
        ways: &[Ways],
        now: Instant,
    ) -> Result<Explanation, String> {
        let plan = &*snapshot.plan;
        let route = self.route(plan)?;
        let subnet = self.client.and_then(|(address, bits)| Subnet::new(address, bits));
        let client = plan.client(route, subnet.as_ref(), self.resolver);
        let told = geography.map(|geography| geography.of(client.address));
        let known = told.as_ref().map(|(known, place)| (&known[..], place));
        Ok(explain(snapshot, route, subnet.as_ref(), self.resolver, now, &Beside { known, ways }))
    }

    /// In the form that was asked for.
    pub fn shown(&self, explanation: &Explanation) -> String {
        if self.json {
            serde_json::to_string_pretty(explanation).unwrap_or_default() + "\n"
        } else {
            format!("{explanation}\n")
        }
    }

    /// How the name is steered, be it behind aliases.
    fn route<'p>(&self, plan: &'p Plan) -> Result<&'p Route, String> {
        let qtype = if self.family == Family::V4 { rtype::A } else { rtype::AAAA };
        let name = Lowered::of(self.name.octets());
        match plan.zones.find(&name, &mut Lowered::default(), qtype) {
            Found::Steered(route) => Ok(plan.route(route)),
            Found::Alias(alias) => match plan.zones.alias(alias).end {
                AliasEnd::Steered(Way::Addresses(route)) => Ok(plan.route(route)),
                _ => Err(format!("`{}` is not steered in this family", self.name)),
            },
            Found::Outside => Err(format!("`{}` is in no zone of ours", self.name)),
            _ => Err(format!("`{}` is not steered in this family", self.name)),
        }
    }
}

/// A client: an address as resolvers send it on (the /24, the /56 around it), or a network.
fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("`{text}` is no address or network");
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let (usual, most) = if address.is_ipv4() { (24, 32) } else { (56, 128) };
    let bits = bits.unwrap_or(usual);
    if bits > most { Err(wrong()) } else { Ok((address, bits)) }
}
