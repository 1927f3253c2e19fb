//! Keys with their secrets, and who gets each zone whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::{World, WrittenZone};
use crate::files::document::Written;
use crate::files::issue::Issue;
use crate::files::secrets;
use crate::files::server::Engine;
use crate::files::steering::Export;
use crate::files::transfers::{WrittenKey, WrittenSecret, WrittenTransfer};
use crate::files::words::{listed, nearest, shown};
use crate::plan::served::{Grant, Notified, Secondaries};
use crate::wire::cookie::SECRET_OCTETS;
use crate::wire::digest::Token;
use crate::wire::name::Name;
use crate::wire::tsig::Key;
use crate::zone::record::rtype;

/// The keys, in the order of the file. One whose secret could not be read has its issue, and an empty secret.
pub(super) fn keys(world: &World, issues: &mut Vec<Issue>) -> Vec<Arc<Key>> {
    let mut first: HashMap<&Name, &Written<Name>> = HashMap::new();
    for WrittenKey { name, .. } in &world.server.keys {
        if let Some(other) = first.insert(&name.value, name) {
            let issue = Issue::error(name.at.clone(), format!("key `{}` is written twice", name.value));
            issues.push(issue.also(other.at.clone(), "the other one"));
        }
    }
    let key = |written: &WrittenKey| {
        let secret = match &written.secret {
            WrittenSecret::Here(octets) => octets.clone(),
            WrittenSecret::Unread => Vec::new(),
            WrittenSecret::File(path) => match world.includes.secrets.get(&path.value) {
                Some(octets) => secrets::key_file(octets).unwrap_or_else(|wrong| {
                    let what = format!("`{}` {wrong}", shown(&path.value.to_string_lossy()));
                    issues.push(Issue::error(path.at.clone(), what));
                    Vec::new()
                }),
                None => Vec::new(),
            },
        };
        Arc::new(Key::new(written.name.value.clone(), written.algorithm, &secret))
    };
    world.server.keys.iter().map(key).collect()
}

/// The token by which nodes may say how busy they are; `None`, where no file is named or it has its issue.
pub(super) fn push_token(world: &World, issues: &mut Vec<Issue>) -> Option<Token> {
    let path = world.server.push_token.as_ref()?;
    let octets = world.includes.secrets.get(&path.value)?;
    let token = secrets::token(octets).map_err(|wrong| {
        let what = format!("`{}` {wrong}", shown(&path.value.to_string_lossy()));
        issues.push(Issue::error(path.at.clone(), what));
    });
    Some(Token::new(&token.ok()?))
}

/// The secrets of cookies; none, where no file is named or it has its issue.
pub(super) fn cookies(world: &World, issues: &mut Vec<Issue>) -> Vec<[u8; SECRET_OCTETS]> {
    let path = world.server.cookies.secret_file.as_ref().filter(|_| world.server.cookies.enabled);
    let octets = path.and_then(|path| Some((path, world.includes.secrets.get(&path.value)?)));
    let Some((path, octets)) = octets else { return Vec::new() };
    secrets::cookies(octets).unwrap_or_else(|wrong| {
        issues.push(Issue::error(
            path.at.clone(),
            format!("`{}` {wrong}", shown(&path.value.to_string_lossy())),
        ));
        Vec::new()
    })
}

/// Who gets a zone whole: as its own file says, else as steerdns.toml does.
pub(super) fn of(
    world: &World,
    zone: &WrittenZone,
    keys: &[Arc<Key>],
    issues: &mut Vec<Issue>,
) -> Secondaries {
    let mut secondaries = match &zone.steering.transfer {
        Some(own) => resolve(own, keys, issues),
        None => resolve(&world.server.transfer, keys, &mut Vec::new()), // told by `of_server`
    };
    let Some(export) = zone.steering.export.as_ref().filter(|export| export.value == Export::Health) else {
        return secondaries;
    };
    if secondaries.grants.is_empty() {
        let issue = Issue::warning(export.at.clone(), "`export` does nothing: nobody may transfer this zone");
        issues.push(issue.remedy("name its secondaries in `[transfer] allow`, here or in steerdns.toml"));
        return secondaries;
    }
    secondaries.of_health = true;
    let soa = zone.records.iter().position(|record| record.rtype == rtype::SOA);
    if let Some(at) = soa.and_then(|soa| zone.records_at.get(soa)) {
        let what = "the serial of this SOA is not used: with `export = \"health\"` it is the time of the last change";
        issues.push(Issue::warning(at.clone(), what).also(export.at.clone(), "written here"));
    }
    secondaries
}

/// Checks what steerdns.toml says of all zones.
pub(super) fn of_server(world: &World, keys: &[Arc<Key>], issues: &mut Vec<Issue>) {
    resolve(&world.server.transfer, keys, issues);
    let of_zones = world.zones.iter().filter_map(|zone| zone.steering.transfer.as_ref());
    let granted = of_zones.chain([&world.server.transfer]).any(|transfer| !transfer.allow.is_empty());
    if let Some(engine) = &world.server.engine_at
        && world.server.udp.engine == Engine::Hickory
        && granted
    {
        let issue = Issue::error(engine.clone(), "the engine `hickory` gives no transfers");
        issues.push(issue.remedy("take `mmsg` or `portable`, or allow no transfers"));
    }
}

fn resolve(written: &WrittenTransfer, keys: &[Arc<Key>], issues: &mut Vec<Issue>) -> Secondaries {
    let mut secondaries = Secondaries::default();
    for grant in &written.allow {
        let key = grant.key.as_ref().map(|key| known(key, keys, issues).map(|key| key.name.clone()));
        // One whose key is not known would let in whoever has none.
        if key != Some(None) {
            secondaries.grants.push(Grant { from: grant.from, key: key.flatten() });
        }
    }
    if let Some(at) =
        written.notify_at.as_ref().filter(|_| written.allow.is_empty() && !written.notify.is_empty())
    {
        let issue =
            Issue::warning(at.clone(), "`notify` tells nobody: nobody may transfer what it would tell of");
        issues.push(issue.remedy("name the secondaries in `allow`, too"));
    }
    for notified in &written.notify {
        let key = notified.key.as_ref().and_then(|key| known(key, keys, issues));
        secondaries.notify.push(Notified { address: notified.address, key });
    }
    secondaries
}

/// The key of a name, or an issue.
fn known(name: &Written<Name>, keys: &[Arc<Key>], issues: &mut Vec<Issue>) -> Option<Arc<Key>> {
    let key = keys.iter().find(|key| key.name == name.value);
    if key.is_none() {
        let spelt = |name: &Name| name.to_string().trim_end_matches('.').to_owned();
        let names: Vec<String> = keys.iter().map(|key| spelt(&key.name)).collect();
        let issue = Issue::error(name.at.clone(), format!("no key is called `{}`", spelt(&name.value)));
        let near = nearest(&spelt(&name.value), names.iter().map(String::as_str));
        issues.push(issue.remedy(match near {
            Some(near) => format!("there is `{near}`"),
            None if names.is_empty() => "write `[key.\"…\"]` into steerdns.toml".into(),
            None => format!("there is {}", listed(&names, "and")),
        }));
    }
    key.cloned()
}
