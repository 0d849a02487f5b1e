//! What every stage stands on: time, addresses, bounded memory. Knows no protocol and imports nothing.

pub(crate) mod bounded;
pub(crate) mod budget;
pub(crate) mod distinct;
pub(crate) mod hash;
mod meeting;
pub(crate) mod net;
pub(crate) mod real;
pub(crate) mod record;
pub(crate) mod stats;
pub(crate) mod time;
pub(crate) mod wire;
pub(crate) mod word;
mod words;

pub(crate) use bounded::{Capped, Ring};
pub(crate) use budget::Budget;
pub use budget::Table;
pub(crate) use meeting::{LookBack, Meeting};
pub use net::{Endpoint, Transport};
pub(crate) use net::{Prefix, PrefixSet};
pub(crate) use record::{BadRecord, Kind, Record, key_of};
pub use time::Timestamp;
pub(crate) use wire::Reader;
pub(crate) use word::Word;
pub(crate) use words::{Arg, Lang, Text, say};
