//! The name of a service that is being created (MS-SCMR §3.1.4.12), where its stub is readable.

use super::acts;
use super::uuid::{Order, Uuid};
use crate::base::Reader;
use crate::base::wire::{text, utf16le};

/// Whether a call creates a service.
pub(super) fn creates(interface: Uuid, opnum: u16) -> bool {
    Charset::of(opnum).is_some() && Uuid::parse(acts::SVCCTL) == Some(interface)
}

/// The name it is to have: a conformant and varying string (C706 §14.3.4.2) behind the manager's handle.
pub(super) fn name(order: Order, opnum: u16, stub: &[u8]) -> Option<Box<str>> {
    let mut r = Reader::new(stub);
    r.skip(HANDLE_LEN)?;
    r.skip(8)?; // Maximum count, offset.
    let count = usize::try_from(order.u32(&mut r)?).ok()?;
    (count <= MAX_NAME).then_some(())?;
    let name: Box<str> = match Charset::of(opnum)? {
        Charset::Ansi => text(r.take(count)?),
        Charset::Wide if order == Order::Little => utf16le(r.take(count.checked_mul(2)?)?).into(),
        Charset::Wide => return None,
    };
    Some(name.trim_end_matches('\0').into())
}

enum Charset {
    Wide,
    Ansi,
}

impl Charset {
    /// Of the five operations that create services, which take their names in UTF-16.
    const fn of(opnum: u16) -> Option<Self> {
        match opnum {
            12 | 45 | 60 => Some(Self::Wide),
            24 | 44 => Some(Self::Ansi),
            _ => None,
        }
    }
}

/// A context handle: attributes and a UUID (C706 §14.2.16.6).
const HANDLE_LEN: usize = 20;
/// MS-SCMR §2.2: `SC_MAX_NAME_LENGTH`, with its terminator.
const MAX_NAME: usize = 257;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_in_both_character_sets() {
        let stub = |count: u32, name: &[u8]| {
            let mut stub = vec![0; HANDLE_LEN];
            stub.extend(count.to_le_bytes());
            stub.extend([0; 4]);
            stub.extend(count.to_le_bytes());
            stub.extend(name);
            stub
        };
        let wide: Vec<u8> = "PSEXESVC\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (what, opnum, stub, expected) in [
            ("CreateServiceW", 12, stub(9, &wide), Some("PSEXESVC")),
            ("CreateServiceA", 24, stub(9, b"PSEXESVC\0"), Some("PSEXESVC")),
            ("cut", 12, stub(9, &wide[..7]), None),
            ("longer than a name may be", 12, stub(0x1000_0000, &wide), None),
            ("another operation", 19, stub(9, &wide), None),
        ] {
            assert_eq!(name(Order::Little, opnum, &stub).as_deref(), expected, "{what}");
        }
    }
}
