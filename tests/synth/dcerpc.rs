//! DCE/RPC PDUs (C706 §12, MS-RPCE): bind, request, response, with or without a sealed body.

use super::ntlm;
use super::random::Random;
use super::smb::numbers;
use super::tcp::{Side, Tcp};

/// NDR, the transfer syntax.
const NDR: &str = "8a885d04-1ceb-11c9-9fe8-08002b104860";

/// PDU types.
const REQUEST: u8 = 0;
const RESPONSE: u8 = 2;
const BIND: u8 = 11;
const BIND_ACK: u8 = 12;
const ALTER: u8 = 14;
const ALTER_RESP: u8 = 15;
const AUTH3: u8 = 16;

/// An interface: UUID, major and minor version.
pub(crate) type Interface = (&'static str, u16);

/// Service control manager.
pub(crate) const SVCCTL: Interface = ("367abb81-9844-35f1-ad32-98f038001003", 2);
/// Endpoint mapper.
pub(crate) const EPM: Interface = ("e1af8308-5d1f-11c9-91a4-08002b14a0fa", 3);
/// Task scheduler.
pub(crate) const TASKS: Interface = ("86d35949-83c9-4044-b424-db363231fd0c", 1);
/// DCOM activation.
pub(crate) const ACTIVATOR: Interface = ("000001a0-0000-0000-c000-000000000046", 0);
/// WMI logon.
pub(crate) const WMI_LOGIN: Interface = ("f309ad18-d86a-11d0-a075-00c04fb68820", 0);
/// WMI services.
pub(crate) const WMI: Interface = ("9556dc99-828c-11cf-a37e-00aa003240c7", 0);
/// IDispatch, what automation objects answer to.
pub(crate) const DISPATCH: Interface = ("00020400-0000-0000-c000-000000000046", 0);

/// A UUID as NDR writes it: the first three parts little endian.
pub(crate) fn uuid(text: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex::decode(text.replace('-', "")).expect("a literal UUID");
    [hex[3], hex[2], hex[1], hex[0], hex[5], hex[4], hex[7], hex[6]].iter().chain(&hex[8..]).copied().collect()
}

/// A bind to one interface, and its acceptance naming `address` (a port or a pipe).
pub(crate) fn bind(interface: Interface, address: &str) -> (Vec<u8>, Vec<u8>) {
    (pdu(BIND, 1, &offer(0, interface), &[]), pdu(BIND_ACK, 1, &accepted(address), &[]))
}

/// A request in context `context`.
pub(crate) fn request(call: u32, context: u16, opnum: u16, stub: &[u8]) -> Vec<u8> {
    let head = numbers(&[(stub.len() as u64, 4), (u64::from(context), 2), (u64::from(opnum), 2)]);
    pdu(REQUEST, call, &[&head, stub].concat(), &[])
}

/// A response in context `context`.
pub(crate) fn response(call: u32, context: u16, stub: &[u8]) -> Vec<u8> {
    let head = numbers(&[(stub.len() as u64, 4), (u64::from(context), 2), (0, 2)]);
    pdu(RESPONSE, call, &[&head, stub].concat(), &[])
}

/// A connection whose bodies are sealed (RPC_C_AUTHN_LEVEL_PKT_PRIVACY), authenticated by NTLM.
pub(crate) struct Sealed<'t, 'w> {
    tcp: &'t mut Tcp<'w>,
    call: u32,
    context: u16,
}

impl<'t, 'w> Sealed<'t, 'w> {
    /// Binds to `interface` as `user` of machine `from`; the responder is `server`, listening on `port`.
    pub(crate) fn bind(
        tcp: &'t mut Tcp<'w>,
        interface: Interface,
        port: u16,
        (user, from, server): (&str, &str, &str),
    ) -> Self {
        let challenge = ntlm::challenge(&mut tcp.wire.random, server);
        let proof = ntlm::authenticate(&mut tcp.wire.random, user, from, server);
        tcp.orig(&pdu(BIND, 2, &offer(0, interface), &ntlm::negotiate()));
        tcp.resp(&pdu(BIND_ACK, 2, &accepted(&port.to_string()), &challenge));
        tcp.orig(&pdu(AUTH3, 2, &[0; 4], &proof));
        Self { tcp, call: 2, context: 0 }
    }

    /// A further interface on the same connection (alter_context).
    pub(crate) fn alter(&mut self, interface: Interface) -> &mut Self {
        self.call += 1;
        self.context += 1;
        self.tcp.orig(&pdu(ALTER, self.call, &offer(self.context, interface), &[]));
        self.tcp.resp(&pdu(ALTER_RESP, self.call, &accepted(""), &[]));
        self
    }

    /// A call of `opnum`, on an object when the interface is one of DCOM's, with bodies of so many sealed bytes.
    pub(crate) fn call(&mut self, opnum: u16, object: Option<[u8; 16]>, up: usize, down: usize) -> &mut Self {
        let random = &mut self.tcp.wire.random;
        let mut head = numbers(&[(up as u64, 4), (u64::from(self.context), 2), (u64::from(opnum), 2)]);
        head.extend(object.into_iter().flatten());
        let mut ask = pdu(REQUEST, self.call, &[head, sealed(random, up)].concat(), &ntlm::signature(random));
        if object.is_some() {
            ask[3] |= 0x80; // PFC_OBJECT_UUID
        }
        let head = numbers(&[(down as u64, 4), (u64::from(self.context), 2), (0, 2)]);
        let answer = pdu(RESPONSE, self.call, &[head, sealed(random, down)].concat(), &ntlm::signature(random));
        self.tcp.orig(&ask).resp(&answer);
        self.call += 1;
        self
    }

    /// A pause between calls.
    pub(crate) fn wait(&mut self, pause: u64) -> &mut Self {
        self.tcp.wait(pause);
        self
    }

    /// The end.
    pub(crate) fn close(self) -> u64 {
        self.tcp.close(Side::Orig)
    }
}

/// Ciphertext in multiples of sixteen, so that the trailer needs no padding.
fn sealed(random: &mut Random, length: usize) -> Vec<u8> {
    random.bytes(length.next_multiple_of(16))
}

/// Fragment sizes, association group, one presentation context.
fn offer(context: u16, interface: Interface) -> Vec<u8> {
    let mut out = numbers(&[(5840, 2), (5840, 2), (0, 4), (1, 4), (u64::from(context), 2), (1, 2)]);
    out.extend(uuid(interface.0));
    out.extend(numbers(&[(u64::from(interface.1), 4)]));
    out.extend(uuid(NDR));
    out.extend(numbers(&[(2, 4)]));
    out
}

fn accepted(address: &str) -> Vec<u8> {
    let mut out = numbers(&[(5840, 2), (5840, 2), (0x1234, 4)]);
    let length = if address.is_empty() { 0 } else { address.len() + 1 };
    out.extend(numbers(&[(length as u64, 2)]));
    out.extend_from_slice(address.as_bytes());
    out.resize(10 + length, 0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(numbers(&[(1, 4), (0, 4)]));
    out.extend(uuid(NDR));
    out.extend(numbers(&[(2, 4)]));
    out
}

/// Header, body and, when there is one, a security trailer (MS-RPCE §2.2.2.11) with an NTLM value.
fn pdu(kind: u8, call: u32, body: &[u8], auth: &[u8]) -> Vec<u8> {
    let padding = if auth.is_empty() { 0 } else { body.len().next_multiple_of(4) - body.len() };
    let trailer = if auth.is_empty() { 0 } else { 8 + auth.len() + padding };
    let mut out = vec![5, 0, kind, 3, 0x10, 0, 0, 0];
    out.extend(numbers(&[((16 + body.len() + trailer) as u64, 2), (auth.len() as u64, 2), (u64::from(call), 4)]));
    out.extend_from_slice(body);
    if !auth.is_empty() {
        out.resize(out.len() + padding, 0);
        out.extend_from_slice(&[10, 6, padding as u8, 0, 0, 0, 0, 0]);
        out.extend_from_slice(auth);
    }
    out
}
