//! Connection-oriented PDUs (C706 §12.6, MS-RPCE §2.2.2): the common header, bind contexts, requests, the verifier.

use super::uuid::{Order, Uuid};
use crate::base::Reader;

/// The sixteen bytes that every PDU begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// `PFC_FIRST_FRAG`, `PFC_LAST_FRAG`, `PFC_OBJECT_UUID`.
    flags: u8,
    pub(super) order: Order,
    /// Whole PDU, header included.
    pub(super) frag_len: usize,
    /// Length of the security token at the end.
    pub(super) auth_len: usize,
    pub(super) call_id: u32,
}

/// PDU types, with their numbers (C706 §12.6.4.1, MS-RPCE §2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 0
    Request,
    /// 2
    Response,
    /// 3
    Fault,
    /// 11
    Bind,
    /// 12
    BindAck,
    /// 13
    BindNak,
    /// 14
    AlterContext,
    /// 15
    AlterContextResponse,
    /// 16: the third leg of an authentication.
    Auth3,
    /// 17 shutdown, 18 cancel, 19 orphaned
    Control,
}

impl Header {
    /// Reads a header; `None` when it is short or not one.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let mut r = Reader::new(data);
        // Version 5.0, or 5.1 (larger fragments).
        (r.u8()? == 5 && r.u8()? <= 1).then_some(())?;
        let kind = Kind::from_number(r.u8()?)?;
        let flags = r.u8()?;
        let [representation, float, reserved, reserved2] = r.array()?;
        let order = match representation {
            0x00 | 0x01 => Order::Big,
            0x10 | 0x11 => Order::Little,
            _ => return None,
        };
        (float <= 3 && reserved == 0 && reserved2 == 0).then_some(())?;
        let frag_len = usize::from(order.u16(&mut r)?);
        let auth_len = usize::from(order.u16(&mut r)?);
        let call_id = order.u32(&mut r)?;
        let verifier = if auth_len == 0 { 0 } else { auth_len.saturating_add(VERIFIER_LEN) };
        (frag_len >= kind.least().saturating_add(verifier)).then_some(())?;
        Some(Self { kind, flags, order, frag_len, auth_len, call_id })
    }

    /// The PDU begins a call (the others of the call follow without meaning of their own).
    pub(super) const fn is_first(&self) -> bool {
        self.flags & 0x01 != 0
    }

    /// An object UUID follows the operation number.
    pub(super) const fn has_object(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// The verifier of a whole PDU: authentication type and level, and the token (MS-RPCE §2.2.2.11).
    pub(super) fn verifier<'a>(&self, pdu: &'a [u8]) -> Option<Verifier<'a>> {
        if self.auth_len == 0 {
            return None;
        }
        let mut r = Reader::new(pdu);
        r.seek(self.frag_len.checked_sub(self.auth_len)?.checked_sub(VERIFIER_LEN)?)?;
        r.skip(1)?; // Mechanism: the token tells.
        let level = r.u8()?;
        r.skip(6)?;
        Some(Verifier { level, token: r.take(self.auth_len)? })
    }
}

impl Kind {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Request,
            2 => Self::Response,
            3 => Self::Fault,
            11 => Self::Bind,
            12 => Self::BindAck,
            13 => Self::BindNak,
            14 => Self::AlterContext,
            15 => Self::AlterContextResponse,
            16 => Self::Auth3,
            17..=19 => Self::Control,
            _ => return None,
        })
    }

    /// Shortest whole PDU of this type.
    const fn least(self) -> usize {
        match self {
            Self::Request | Self::Response | Self::Fault => 24,
            Self::Bind | Self::AlterContext => 28,
            Self::BindAck | Self::AlterContextResponse => 24,
            Self::BindNak => 18,
            Self::Auth3 | Self::Control => HEADER_LEN,
        }
    }
}

/// How a PDU is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verifier<'a> {
    /// 2 connect … 5 integrity, 6 privacy (MS-RPCE §2.2.1.1.8).
    pub(super) level: u8,
    /// GSS-API, SPNEGO, NTLM or Netlogon.
    pub(super) token: &'a [u8],
}

/// The presentation contexts of a bind or alter-context: number → interface. Those behind a cut are left out.
pub(super) fn contexts(header: &Header, pdu: &[u8]) -> Vec<(u16, Uuid)> {
    let mut found = Vec::new();
    let mut r = Reader::new(pdu);
    // Header, fragment sizes and association group come first.
    let Some(count) = r.skip(HEADER_LEN + 8).and_then(|()| r.u8()) else { return found };
    let _ = r.skip(3);
    // C706 §12.6.3.1: the count is one byte, so the loop is short whatever the PDU says.
    for _ in 0..count {
        let Some(context) = context(header.order, &mut r) else { break };
        found.push(context);
    }
    found
}

fn context(order: Order, r: &mut Reader<'_>) -> Option<(u16, Uuid)> {
    let id = order.u16(r)?;
    let transfers = usize::from(r.u8()?);
    r.skip(1)?;
    let interface = Uuid::read(r, order)?;
    // Interface version, then transfer syntaxes: a UUID and a version each.
    r.skip(4)?;
    r.skip(transfers.checked_mul(20)?)?;
    Some((id, interface))
}

/// What stands before a request's stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    pub(super) context: u16,
    pub(super) opnum: u16,
    /// As much of the stub as is at hand, verifier included.
    pub(super) stub: &'a [u8],
}

impl<'a> Call<'a> {
    /// Reads a request (C706 §12.6.4.9).
    pub(super) fn read(header: &Header, pdu: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(pdu);
        r.skip(HEADER_LEN + 4)?; // Allocation hint.
        let context = header.order.u16(&mut r)?;
        let opnum = header.order.u16(&mut r)?;
        if header.has_object() {
            // A cut here costs the stub, not the call.
            let _ = r.skip(16).or_else(|| r.skip(r.remaining()));
        }
        Some(Self { context, opnum, stub: r.rest() })
    }
}

/// Length of the common header.
pub(super) const HEADER_LEN: usize = 16;
/// A request's bytes before its object UUID or stub.
pub(super) const CALL_LEN: usize = 24;
/// The verifier without its token.
const VERIFIER_LEN: usize = 8;
