//! What hosts of the site do, in the words detectors think in. Made from observations, each with what was known
//! *before* it: an activity carries its own context, so scoring cannot see what learning adds.

use super::habits::Rarity;
use super::host_days::Drift;
use super::hosts::HostId;
use super::tenants::{Standing, TenantId};
use crate::base::{Endpoint, Timestamp, Transport, Word};
use crate::event::{Counters, Execution, Handshake, Reach, Uid};
use std::net::IpAddr;
use std::sync::Arc;

/// Something a host of the site did or suffered.
#[derive(Clone, Debug)]
pub(crate) enum Activity {
    /// A flow from the site to the outside, once its destination is as well known as it will be.
    Contact(Contact),
    /// A sign of life on such a flow: its start, a request, a burst after silence.
    CheckIn(CheckIn),
    /// Somebody acted on a machine of the site.
    Act(Act),
    /// Two hosts of the site talked.
    Touch(Touch),
    /// How much such a conversation moved, once it is known.
    Moved(Moved),
    /// A program or script came from outside, or a script asked for something.
    Fetch(Fetch),
    /// A host asked for a name.
    Lookup(Lookup),
    /// A host began a secured conversation with the outside.
    Hello(Hello),
    /// A flow between the site and the outside ended.
    Closed(Closed),
    /// A host called an operation of another.
    Call(Call),
    /// A host's days rose slowly, and its peers' did not.
    Drift(Timestamp, Drift),
}

impl Activity {
    /// Whose servers outside it went to.
    pub(crate) const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Contact(contact) => Some(contact.tenant),
            Self::CheckIn(check_in) => Some(check_in.tenant),
            Self::Fetch(fetch) => Some(fetch.tenant),
            Self::Hello(hello) => Some(hello.tenant),
            Self::Closed(closed) => closed.tenant,
            Self::Act(_) | Self::Touch(_) | Self::Moved(_) | Self::Lookup(_) | Self::Call(_) | Self::Drift(..) => None,
        }
    }

    /// A flow to somebody outside that ended and whose byte counts hold, and to whom.
    pub(crate) fn sent(&self) -> Option<(&Closed, TenantId)> {
        match self {
            Self::Closed(closed) if closed.counted && closed.reach == Reach::Outbound => Some((closed, closed.tenant?)),
            _ => None,
        }
    }
}

/// A flow from a host of the site to the outside.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    /// The flow's first packet.
    pub(crate) ts: Timestamp,
    pub(crate) uid: Uid,
    pub(crate) host: HostId,
    pub(crate) resp: Endpoint,
    /// The proxy of the site it went through.
    pub(crate) through: Option<HostId>,
    pub(crate) tenant: TenantId,
    /// The responder's name, from the wire or from a look-up.
    pub(crate) name: Option<Arc<str>>,
    /// Look-ups gave the address several names, so it has none here.
    pub(crate) several: bool,
    pub(crate) standing: Arc<Standing>,
    /// No earlier contact of this host with this tenant is known.
    pub(crate) first: bool,
    /// Everyday infrastructure, look-ups or time.
    pub(crate) background: bool,
    /// How unusual it was; of a host's contacts with an owner only the day's first is asked, background never.
    pub(crate) rarity: Option<Rarity>,
}

/// A sign of life towards the outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckIn {
    pub(crate) ts: Timestamp,
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    /// Payload bytes of the originator and the responder since the sign of life before, where they were counted.
    pub(crate) moved: Option<(u64, u64)>,
}

/// Somebody acted on a machine.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) ts: Timestamp,
    /// When the conversation it is part of began.
    pub(crate) opened: Timestamp,
    pub(crate) uid: Uid,
    /// Who acted; may be outside.
    pub(crate) by: HostId,
    /// On whom; inside.
    pub(crate) on: HostId,
    pub(crate) what: What,
}

/// What was done.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An act a parser recognised.
    Execution(Box<Execution>),
    /// A file that can run was put there.
    File { path: Box<str> },
    /// A session of remote administration (`rdp`, `ssh`) greeted.
    Session(&'static str),
}

/// Two hosts of the site talked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pub(crate) ts: Timestamp,
    pub(crate) orig: HostId,
    pub(crate) resp: HostId,
    /// The responder's port.
    pub(crate) port: u16,
    pub(crate) transport: Transport,
}

/// What two hosts of the site said to each other from `ts` to the next silence of two seconds, or to the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) ts: Timestamp,
    pub(crate) orig: HostId,
    pub(crate) resp: HostId,
    /// The responder's port.
    pub(crate) port: u16,
    pub(crate) orig_bytes: u64,
    pub(crate) resp_bytes: u64,
}

/// Something that runs came from outside, or a script asked for something there.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Fetch {
    pub(crate) ts: Timestamp,
    pub(crate) uid: Uid,
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    pub(crate) uri: Box<str>,
    /// What the body looks like: `powershell`, `shell`, `pe`, …
    #[serde(with = "crate::base::word::maybe")]
    pub(crate) content: Option<Word>,
    pub(crate) user_agent: Option<Box<str>>,
    /// What kind of program the user agent names: `script`, `tool`, `browser`, …
    /// Of no use to who remembers the fetch.
    #[serde(skip)]
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) bytes: u64,
}

/// A host asked for a name, or a resolver of the site did for others.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) ts: Timestamp,
    pub(crate) uid: Uid,
    pub(crate) host: HostId,
    /// Who was asked.
    pub(crate) resolver: IpAddr,
    pub(crate) name: Box<str>,
    /// The registrable name above it, or the customer's share of a cloud; `None` for what is no name.
    pub(crate) owner: Option<Arc<str>>,
    /// A type whose answer can carry anything: TXT, NULL, CNAME, MX, SRV.
    pub(crate) carries_text: bool,
    /// There is no such name.
    pub(crate) missing: bool,
    /// Characters of the answers.
    pub(crate) answered: u32,
}

/// A host began a secured conversation with the outside.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) ts: Timestamp,
    pub(crate) uid: Uid,
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    pub(crate) resp: Endpoint,
    pub(crate) told: Box<Handshake>,
}

/// A flow between the site and the outside ended.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Closed {
    pub(crate) began: Timestamp,
    pub(crate) ts: Timestamp,
    pub(crate) uid: Uid,
    pub(crate) reach: Reach,
    /// The side that is a host of the site.
    pub(crate) host: HostId,
    /// The other side: the responder of an outbound flow, the originator of an inbound one.
    pub(crate) peer: IpAddr,
    /// The responder's port.
    pub(crate) port: u16,
    pub(crate) transport: Transport,
    /// For an outbound flow.
    pub(crate) tenant: Option<TenantId>,
    /// The outermost protocol that was recognised.
    #[serde(with = "crate::base::word::maybe")]
    pub(crate) service: Option<Word>,
    pub(crate) counters: Counters,
    /// Both sides were seen from the first packet to the last, without a gap.
    pub(crate) whole: bool,
    /// Little enough is lost on the way to the sensor that byte counts hold.
    pub(crate) counted: bool,
}

/// A host called an operation of another.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) ts: Timestamp,
    pub(crate) uid: Uid,
    pub(crate) by: HostId,
    /// Inside.
    pub(crate) on: HostId,
    pub(crate) operation: Box<str>,
}
