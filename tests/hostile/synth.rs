//! The writers of traffic that the hostile senders borrow from the suite.

#![expect(clippy::cast_possible_truncation, reason = "writers cut numbers to the width of a field on purpose")]

#[path = "../synth/dcerpc.rs"]
pub(crate) mod dcerpc;
#[path = "../synth/der.rs"]
pub(crate) mod der;
#[path = "../synth/directory.rs"]
pub(crate) mod directory;
#[path = "../synth/hello.rs"]
pub(crate) mod hello;
#[path = "../synth/net.rs"]
pub(crate) mod net;
#[path = "../synth/ntlm.rs"]
pub(crate) mod ntlm;
#[path = "../synth/quic.rs"]
pub(crate) mod quic;
#[path = "../synth/random.rs"]
pub(crate) mod random;
#[path = "../synth/smb.rs"]
pub(crate) mod smb;
#[path = "../synth/tcp.rs"]
pub(crate) mod tcp;
#[path = "../synth/tls.rs"]
pub(crate) mod tls;
