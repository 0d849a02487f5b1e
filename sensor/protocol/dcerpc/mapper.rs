//! The endpoint mapper's answers (C706 appendix L and O, `ept_map`): which interface listens on which TCP port. Whoever
//! connects there later may bind unseen.
//!
//! Towers are found by how they begin rather than by the array around them, whose widths depend on the transfer syntax
//! (NDR, NDR64) that the server chose.

use super::uuid::{Order, Uuid};
use crate::base::Reader;

/// Interface and TCP port of each tower in the stub of a response.
pub(super) fn towers(stub: &[u8]) -> Vec<(Uuid, u16)> {
    let mut found = Vec::new();
    // C706 appendix L: floors are little-endian whatever the PDU says. Five of them lead to TCP over IP.
    for at in 0..stub.len().saturating_sub(START.len()) {
        let Some(rest) = stub.get(at..).filter(|rest| rest.starts_with(START)) else { continue };
        if let Some(tower) = tower(rest)
            && !found.contains(&tower)
            && found.len() < MAX_TOWERS
        {
            found.push(tower);
        }
    }
    found
}

fn tower(data: &[u8]) -> Option<(Uuid, u16)> {
    let mut r = Reader::new(data);
    r.skip(2)?; // Number of floors.
    let mut interface = floor(&mut r)?.0;
    interface.skip(1)?;
    let interface = Uuid::read(&mut interface, Order::Little)?;
    floor(&mut r)?; // Transfer syntax.
    let mut over = floor(&mut r)?.0;
    let (mut transport, mut port) = floor(&mut r)?;
    let is_tcp = over.u8() == Some(CONNECTION_ORIENTED) && transport.u8() == Some(TCP);
    let port = port.u16().filter(|port| is_tcp && *port != 0)?; // In the order of the network.
    Some((interface, port))
}

/// Both sides of a floor.
fn floor<'a>(r: &mut Reader<'a>) -> Option<(Reader<'a>, Reader<'a>)> {
    let left = r.u16_le()?;
    let left = r.sub(left.into())?;
    let right = r.u16_le()?;
    Some((left, r.sub(right.into())?))
}

/// The interface of the mapper itself, and its `ept_map`.
pub(super) const INTERFACE: &str = "e1af8308-5d1f-11c9-91a4-08002b14a0fa";
pub(super) const MAP: u16 = 3;
/// Five floors; the first has 19 octets, of kind "UUID".
const START: &[u8] = &[5, 0, 19, 0, 0x0d];
/// C706 appendix I: protocol identifiers.
const CONNECTION_ORIENTED: u8 = 0x0b;
const TCP: u8 = 0x07;
/// Clients ask for four at the most.
const MAX_TOWERS: usize = 16;

#[cfg(test)]
pub(in crate::protocol) mod tests {
    use super::*;

    const SCHEDULER: &str = "86d35949-83c9-4044-b424-db363231fd0c";

    /// A tower to `port`, as a server writes it.
    pub(in crate::protocol) fn tower_to(interface: [u8; 16], port: u16) -> Vec<u8> {
        let mut out = vec![5, 0];
        for (left, right) in [
            ([&[0x0d][..], &interface, &[1, 0]].concat(), vec![0, 0]),
            ([&[0x0d][..], &[4; 16], &[2, 0]].concat(), vec![0, 0]),
            (vec![0x0b], vec![0, 0]),
            (vec![0x07], port.to_be_bytes().to_vec()),
            (vec![0x09], vec![10, 0, 0, 2]),
        ] {
            for side in [left, right] {
                out.extend(u16::try_from(side.len()).unwrap().to_le_bytes());
                out.extend(side);
            }
        }
        out
    }

    #[test]
    fn towers_are_found_whatever_stands_around_them() {
        let wire = |uuid: &str| super::super::tests::wire(uuid);
        let one = tower_to(wire(SCHEDULER), 49_665);
        let pipe = [&[4, 0, 19, 0, 0x0d][..], &[7; 60]].concat();
        for (what, stub, expected) in [
            ("NDR", [&[0; 40][..], &one, &[0; 4]].concat(), Some(49_665)),
            ("NDR64", [&[0; 72][..], &one, &[0; 9]].concat(), Some(49_665)),
            ("twice the same", [&one[..], &one].concat(), Some(49_665)),
            ("a pipe", pipe, None),
            ("cut before the port", one[..60].to_vec(), None),
            ("nothing found", vec![0; 64], None),
        ] {
            let expected: Vec<_> = expected.map(|port| (Uuid::parse(SCHEDULER).unwrap(), port)).into_iter().collect();
            assert_eq!(towers(&stub), expected, "{what}");
        }
    }
}
