//! **steerdns**: an authoritative nameserver for a delegated subdomain that sends every viewer and every streamer to the
//! nearest healthy cluster, and stops handing out a dead node within one TTL of its death.
//!
//! A query is answered by one pure function from one immutable [`Snapshot`](snapshot::Snapshot). Whatever changes the
//! world (a probe, a reload) is an event to one writer, the [`Publisher`](publisher::Publisher), which makes the next one.
//!
//! # How a query flows
//!
//! ```text
//! net/udp   a batch of datagrams; one Snapshot and one `now` for the batch
//!   answer::respond(&snapshot, &mut worker, now, buf, len, peer, transport) -> Reply      in place
//!     wire::query      bytes -> Query {qtype, qclass, edns, tsig}, the name lower-cased and hashed; or a Reject
//!     zone::lookup     one hash probe -> Found::{Template, Steered, Alias, Dname, Outside}
//!       plan.place(client) -> (ranked list, slot, scope); snapshot.choose -> first open pool; -> address set
//!     a template copied, or the set's addresses laid one behind the other; the limit of its network; header, OPT
//! net/udp   the batch out; the facts counted
//! Reply = Drop | Limited | Done(len, Fact) | Later(Ask) | Stream(Transfer)
//!     Later: the cold lane (`_why`, and steered questions while warming); Stream: AXFR and IXFR, pulled message by message
//! ```
//!
//! # How a health observation flows
//!
//! ```text
//! probe/schedule   does what health::rounds says: starts probes, tells what they saw
//!   --Observation--> publisher.handle(event, now), for all that wait; publisher.publish(now) -> (Option<Snapshot>, News)
//!     --Snapshot--> Live --> the next batch of queries          --News--> log, record, state
//! ```
//!
//! Alerts come of what stands, not of what happened: `server::alerting` looks at the Snapshot in force, [`alert::desk`] says
//! when that is told, [`courier`] carries it.
//!
//! Beside it, once a second and off that path: `server::balancing` reads what probes told of ways and of load
//! ([`health::quality`]), [`bending`] says how ranked lists stand today, and `Event::Bent` puts it in force.
//!
//! A reload comes of SIGHUP, of a command, of files that changed (`server::watching`), or of a commit of the repository (`server::following`,
//! [`git`]): all by one door, beside what serves, whole or not at all.
//!
//! Reload, what operators say today (`Event::Overridden`), and what probes learn beside their outcome (`Event::Noted`) come by the same
//! door, so a server's life can be replayed as a list of events with times.
//!
//! # Modules, bottom first: each may use those above it
//!
//! - [`metrics`]: plain counters and histograms, and their text for Prometheus. [`both`]: work that divides in two. [`processes`]: a command and all that it starts.
//! - [`wire`]: names, queries, EDNS, the header of responses. Octets in, octets out.
//! - [`geo`]: what is known of an address (databases, geofeeds, the embedded country table), and the prefix map.
//! - [`cluster`]: clusters, nodes, their addresses.
//! - [`health`]: checks, verdicts; when to probe, what to hold of it; the one-TTL promise.
//! - [`steering`]: policies compiled to ranked lists, slots, the nodes of a slot, the choice; who goes elsewhere so that no
//!   cluster is overloaded ([`steering::balance`]).
//! - [`zone`]: all names of all zones, and their answers as wire templates.
//! - [`sets`], [`plan`]: what the files say, compiled. [`snapshot`]: the same with the health of one instant.
//! - [`answer`]: packet -> Reply, and what is counted of it. Rare questions go aside: options and signatures, bindings (HTTPS, SVCB,
//!   SRV), DNAME, other classes, transfers.
//! - [`explain`], [`why`]: a choice in words, for people and for dig. [`export`]: what secondaries get, edition by edition.
//! - [`impact`]: what a failure would mean, in numbers: two Snapshots of one Plan held against each other.
//! - [`bending`]: how ranked lists stand today: penalties of quality, and what load divides.
//! - [`alert`]: what stands wrong, when it is told, in which words. [`publisher`]: the one writer.
//! - [`files`]: what operators write: text in, types or Issues out. The only place that knows TOML.
//! - shells, each readable alone, none importing another: [`load`] reads the disk (and keeps maps and places there), [`git`] asks that program,
//!   [`state`] keeps verdicts, [`net`] answers, [`probe`] probes, [`notify`] tells secondaries, [`admin`] people, [`courier`] carries alerts.
//! - [`asked`], [`record`]: what is asked of a running server, and what it counts. [`server`] starts it all.
//! - [`cli`]: the commands.
//!
//! # Words
//!
//! *Zone*: a delegated subdomain. *Service*: an owner name whose A/AAAA are steered. *Policy*: which clusters, in which
//! order, for whom. *Cluster*: one place with nodes. *Node*: one machine. *Client*: whom we answer for: the network of the
//! query's client subnet, else the resolver's address. *Place*: what is known of an address. *Tile*: a network all of whose
//! clients get the same *ranked list*. *Slot*: one of 64 equal shares of a policy's clients. *Pool*: a cluster's addresses
//! of one family under one check. *Check*, *outcome*, *verdict* (up, suspect, down, unknown): how a node is probed, what a
//! probe saw, what we hold.
//!
//! # Deliberately absent
//!
//! - Nothing received from the network can panic, allocate without bound, or loop without bound.
//! - No global, no lock on the path of a query; no struct that owns the subsystems and is imported by them.
//! - No TOML outside [`files`], no clock or socket below the shells.
//! - No answer whose existence depends on the client (RFC 7871 §7.4), and no scope that depends on health.
//! - No steering to outside names: it would make existence and DNSSEC depend on others.

pub mod both;
pub mod metrics;
pub mod processes;

pub mod wire;

pub mod geo;

pub mod cluster;
pub mod health;
pub mod steering;
pub mod zone;

pub mod sets;

pub mod plan;

pub mod snapshot;

pub mod answer;

pub mod explain;

pub mod export;

pub mod impact;

pub mod why;

pub mod alert;

pub mod bending;

pub mod publisher;

pub mod files;

pub mod load;

pub mod admin;
pub mod courier;
#[cfg(unix)]
pub mod git;
pub mod net;
pub mod notify;
pub mod probe;
pub mod state;

pub mod asked;

pub mod record;

pub mod server;

pub mod cli;
