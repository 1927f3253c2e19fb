//! Why an answer is not what it might be, for people who look at it with dig (RFC 8914).

use crate::wire::edns::{ExtendedError, NOT_AUTHORITATIVE, NOT_SUPPORTED, OTHER, PROHIBITED};

/// A name that no zone here holds.
pub(super) static NOT_SERVED: ExtendedError =
    ExtendedError { code: NOT_AUTHORITATIVE, text: "no zone that is served here holds this name" };
/// A class that is not IN.
pub(super) static CLASS: ExtendedError =
    ExtendedError { code: NOT_SUPPORTED, text: "class IN is served here, and a few names of class CH" };
/// A type that asks for something to be done.
pub(super) static META: ExtendedError =
    ExtendedError { code: NOT_SUPPORTED, text: "this type asks for what is not served here" };
/// All is down.
pub(super) static SERVED_ALL: ExtendedError =
    ExtendedError { code: OTHER, text: "all nodes are down: answered as if they were up" };
/// All is down but the fallback.
pub(super) static FALLBACK: ExtendedError =
    ExtendedError { code: OTHER, text: "all nodes of the policy are down: the fallback is answered" };
/// All is down, and its operator wants that to be told.
pub(super) static ALL_DOWN: ExtendedError = ExtendedError { code: OTHER, text: "all nodes are down" };
/// A transfer by somebody who may not have it.
pub(super) static TRANSFER_DENIED: ExtendedError =
    ExtendedError { code: PROHIBITED, text: "this client may not transfer this zone" };
/// A zone of health of which nothing is known yet.
pub(super) static NOT_YET: ExtendedError =
    ExtendedError { code: OTHER, text: "health is not known yet: the server has just started" };
/// A transfer of what is no zone.
pub(super) static NOT_A_ZONE: ExtendedError =
    ExtendedError { code: NOT_AUTHORITATIVE, text: "no zone that is served here begins at this name" };
/// A whole zone over UDP.
pub(super) static NEEDS_STREAM: ExtendedError =
    ExtendedError { code: NOT_SUPPORTED, text: "a zone is transferred over TCP alone" };
