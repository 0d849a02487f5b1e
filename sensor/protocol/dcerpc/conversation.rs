//! One association of a client with a server, whatever carries it: contexts are bound, calls are made on them.
//!
//! Nothing of a stub is kept. A fragment that does not begin a call is passed over, so endless fragments cost nothing.
//! Under packet privacy the stub is sealed, context and operation number are not (MS-RPCE §2.2.2.11).

use super::acts::{self, Meaning};
use super::pdu::{self, CALL_LEN, Call, HEADER_LEN, Header, Kind};
use super::uuid::Uuid;
use super::{dcom, mapper, operations, services};
use crate::event::{Act, Channel, Event, Execution, Oddity, Rpc};
use crate::protocol::{Output, artifacts, ntlm};

/// What is known of an association.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// `ncacn_np:\pipe\svcctl`; `None` over TCP.
    endpoint: Option<Box<str>>,
    /// Context number → interface, in the order of binding.
    contexts: Vec<(u16, Uuid)>,
    /// What the endpoint mapper said this association is, as long as no bind was seen.
    expected: Option<Uuid>,
    /// Calls of `ept_map` that were not answered yet.
    asked: Vec<u32>,
    /// What was answered: interface and TCP port.
    pub(super) mapped: Vec<(Uuid, u16)>,
    /// Stubs are sealed.
    private: bool,
    crowded: bool,
    /// Administrative calls told already.
    told: Vec<(Uuid, u16)>,
}

impl Conversation {
    /// An association over a named endpoint.
    pub(super) fn at(endpoint: Box<str>) -> Self {
        Self { endpoint: Some(endpoint), ..Self::default() }
    }

    /// The endpoint mapper named this association's interface.
    pub(super) const fn expect(&mut self, interface: Uuid) {
        self.expected = Some(interface);
    }

    /// Bytes it keeps.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.contexts.capacity() * size_of::<(u16, Uuid)>() + self.told.capacity() * size_of::<(Uuid, u16)>()
    }

    /// How many bytes of a PDU that begins with `head` are needed before it can be taken.
    pub(super) fn wanted(&self, header: &Header, head: &[u8]) -> usize {
        let most = match header.kind {
            Kind::Bind | Kind::AlterContext | Kind::BindAck | Kind::AlterContextResponse | Kind::Auth3 => MAX_BIND,
            Kind::Request if !header.is_first() => HEADER_LEN,
            Kind::Request => match Call::read(header, head) {
                Some(call) if self.reads_stub(header, &call) => MAX_STUB,
                _ => CALL_LEN,
            },
            Kind::Response if self.answers_map(header) => MAX_STUB,
            Kind::Response | Kind::Fault | Kind::BindNak | Kind::Control => HEADER_LEN,
        };
        most.min(header.frag_len)
    }

    /// Takes a PDU, cut to what was wanted.
    pub(super) fn take(&mut self, header: &Header, pdu: &[u8], out: &mut Output) {
        match header.kind {
            Kind::Bind => {
                self.contexts.clear();
                self.bind(header, pdu, out);
            }
            Kind::AlterContext => self.bind(header, pdu, out),
            Kind::BindAck | Kind::AlterContextResponse | Kind::Auth3 => self.authenticate(header, pdu, out),
            // The client may try again with another context list.
            Kind::BindNak => self.contexts.clear(),
            Kind::Request if header.is_first() => self.call(header, pdu, out),
            Kind::Response if self.answers_map(header) => self.map(header, pdu),
            Kind::Request | Kind::Response | Kind::Fault | Kind::Control => {}
        }
    }

    fn bind(&mut self, header: &Header, pdu: &[u8], out: &mut Output) {
        for (id, interface) in pdu::contexts(header, pdu) {
            if let Some(known) = self.contexts.iter_mut().find(|(known, _)| *known == id) {
                known.1 = interface;
            } else if self.contexts.len() < MAX_CONTEXTS {
                self.contexts.push((id, interface));
            } else {
                if !self.crowded {
                    self.crowded = true;
                    out.weird(Oddity::TooManyOutstanding);
                }
                break;
            }
        }
        self.authenticate(header, pdu, out);
    }

    fn authenticate(&mut self, header: &Header, pdu: &[u8], out: &mut Output) {
        if let Some(verifier) = header.verifier(pdu) {
            self.private |= verifier.level >= PRIVACY;
            ntlm::observe(verifier.token, out);
        }
    }

    fn interface(&self, context: u16) -> Option<Uuid> {
        if self.contexts.is_empty() {
            return self.expected;
        }
        self.contexts.iter().find(|(id, _)| *id == context).map(|(_, interface)| *interface)
    }

    /// Whether this answers a question to the endpoint mapper.
    fn answers_map(&self, header: &Header) -> bool {
        header.is_first() && self.asked.contains(&header.call_id)
    }

    fn map(&mut self, header: &Header, pdu: &[u8]) {
        self.asked.retain(|call| *call != header.call_id);
        let stub = pdu.get(CALL_LEN..MAX_STUB.min(pdu.len())).unwrap_or_default();
        self.mapped = mapper::towers(stub);
    }

    /// Whether the stub of this call is readable and tells more than the operation does.
    fn reads_stub(&self, header: &Header, call: &Call<'_>) -> bool {
        let sealed = self.private && header.auth_len > 0;
        !sealed
            && self.interface(call.context).is_some_and(|interface| {
                Activation::of(interface, call.opnum).is_some() || services::creates(interface, call.opnum)
            })
    }

    fn call(&mut self, header: &Header, pdu: &[u8], out: &mut Output) {
        let Some(call) = Call::read(header, pdu) else { return };
        let interface = self.interface(call.context);
        let operation = interface.and_then(|i| operations::operation(i, call.opnum));
        out.push(Event::Rpc(Box::new(Rpc {
            interface: interface.map(|i| i.to_string().into()),
            opnum: call.opnum,
            operation: operation.map(Into::into),
            endpoint: self.endpoint.clone(),
        })));
        let Some(interface) = interface else { return };
        if call.opnum == mapper::MAP
            && Uuid::parse(mapper::INTERFACE) == Some(interface)
            && self.asked.len() < MAX_ASKED
        {
            self.asked.push(header.call_id);
        }
        let Some(mut meaning) = acts::meaning(interface, call.opnum) else { return };
        let mut clsid = None;
        if self.reads_stub(header, &call) {
            clsid = Activation::class(interface, header, &call);
            if clsid.as_deref().is_some_and(artifacts::runs_code) {
                meaning.act = Act::Execute;
            }
            let service = services::name(header.order, call.opnum, call.stub);
            if services::creates(interface, call.opnum) && service.as_deref().is_some_and(artifacts::is_shell_service) {
                meaning.channel = Channel::Psexec;
            }
        }
        if self.is_news(interface, call.opnum, meaning) {
            out.push(Event::Execution(Box::new(Execution {
                channel: meaning.channel,
                act: meaning.act,
                interface: Some(interface.to_string().into()),
                opnum: Some(call.opnum),
                operation: operation.map(Into::into),
                endpoint: self.endpoint.clone(),
                clsid,
                technique: meaning.technique,
            })));
        }
    }

    /// A thousand queries of one kind in one session are one act of administration; whatever runs or prepares
    /// something is told each time.
    fn is_news(&mut self, interface: Uuid, opnum: u16, meaning: Meaning) -> bool {
        let key = (interface, opnum);
        if meaning.act != Act::Administer || meaning.channel == Channel::Dcom {
            return true;
        }
        if self.told.contains(&key) {
            return false;
        }
        if self.told.len() < MAX_TOLD {
            self.told.push(key);
        }
        true
    }
}

/// The two generations of remote activation.
enum Activation {
    /// `IActivation::RemoteActivation`
    Old,
    /// `IRemoteSCMActivator::RemoteGetClassObject` and `RemoteCreateInstance`
    New,
}

impl Activation {
    fn of(interface: Uuid, opnum: u16) -> Option<Self> {
        match opnum {
            0 if Uuid::parse(acts::ACTIVATION) == Some(interface) => Some(Self::Old),
            3 | 4 if Uuid::parse(acts::ACTIVATOR) == Some(interface) => Some(Self::New),
            _ => None,
        }
    }

    /// The class a readable call asks for.
    fn class(interface: Uuid, header: &Header, call: &Call<'_>) -> Option<Box<str>> {
        let class = match Self::of(interface, call.opnum)? {
            Self::Old => dcom::class_of_activation(header.order, call.stub)?,
            Self::New => dcom::class_of_creation(header.order, call.stub)?,
        };
        Some(class.to_string().into())
    }
}

/// `RPC_C_AUTHN_LEVEL_PKT_PRIVACY`
const PRIVACY: u8 = 6;
/// Contexts of one association; Windows clients bind two or three, busy ones a dozen.
const MAX_CONTEXTS: usize = 64;
/// Questions to the endpoint mapper under way; clients ask one after the other.
const MAX_ASKED: usize = 16;
/// Administrative operations remembered as told; no interface of the table has more.
const MAX_TOLD: usize = 256;
/// Bytes of a bind that are waited for: context lists and Kerberos tokens with a large PAC fit.
const MAX_BIND: usize = 16_384;
/// Bytes of a stub that is read: activation properties fit.
const MAX_STUB: usize = 2048;
