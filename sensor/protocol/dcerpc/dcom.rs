//! The class a DCOM activation asks for (MS-DCOM §2.2.22, §3.1.2.5.2.3), where its stub is readable.

use super::uuid::{Order, Uuid};
use crate::base::Reader;

/// The class of `RemoteActivation` (MS-DCOM §3.1.2.5.2.3.1): it follows the call's `ORPCTHIS`.
pub(super) fn class_of_activation(order: Order, stub: &[u8]) -> Option<Uuid> {
    let mut r = Reader::new(stub);
    orpc_this(order, &mut r)?;
    Uuid::read(&mut r, order)
}

/// The class of `RemoteCreateInstance` and `RemoteGetClassObject` (MS-DCOM §3.1.2.5.2.3.2–3): their properties are an
/// `OBJREF_CUSTOM` holding a blob of its own, little-endian whatever the call is.
pub(super) fn class_of_creation(order: Order, stub: &[u8]) -> Option<Uuid> {
    let at = stub.windows(OBJREF.len()).position(|w| w == OBJREF)?;
    let mut head = Reader::new(stub.get(..at)?);
    orpc_this(order, &mut head)?;
    let mut r = Reader::new(stub.get(at..)?);
    // Signature, flags and interface; then the unmarshaler's class, extension length and size (§2.2.18.6).
    r.skip(OBJREF.len())?;
    (r.u32_le()? == OBJREF_CUSTOM).then_some(())?;
    r.skip(16)?;
    (Uuid::read(&mut r, Order::Little)? == Uuid::parse(ACTIVATION_PROPERTIES_IN)?).then_some(())?;
    r.skip(8)?;
    properties(r.rest())
}

/// Looks for the instantiation properties in an activation blob (§2.2.22).
fn properties(blob: &[u8]) -> Option<Uuid> {
    let mut r = Reader::new(blob);
    r.skip(8)?; // Size and reserved.
    let custom = r.position();
    r.skip(SERIALIZATION_LEN)?;
    r.skip(4)?; // Total size.
    let header = usize::try_from(r.u32_le()?).ok()?;
    r.skip(8)?; // Reserved, destination context.
    let count = usize::try_from(r.u32_le()?).ok()?.min(MAX_PROPERTIES);
    r.skip(16)?; // Class of the class information.
    r.skip(12)?; // Referents of the two arrays, and a reserved one.
    r.skip(4)?; // Count of the class array.
    let mut classes = Vec::new();
    for _ in 0..count {
        classes.push(Uuid::read(&mut r, Order::Little)?);
    }
    r.skip(4)?; // Count of the size array.
    let wanted = Uuid::parse(INSTANTIATION_INFO)?;
    // Properties follow the header, one behind the other, in the order of the arrays.
    let mut at = custom.checked_add(header)?;
    for class in classes {
        if class == wanted {
            r.seek(at)?;
            r.skip(SERIALIZATION_LEN)?;
            return Uuid::read(&mut r, Order::Little);
        }
        at = at.checked_add(usize::try_from(r.u32_le()?).ok()?)?;
    }
    None
}

/// Passes over `ORPCTHIS` (§2.2.13.3); only calls without extensions are read further.
fn orpc_this(order: Order, r: &mut Reader<'_>) -> Option<()> {
    // DCOM version 5.
    (order.u16(r)? == 5).then_some(())?;
    r.skip(2 + 4 + 4 + 16)?; // Minor version, flags, reserved, causality.
    let extensions = order.u32(r)?;
    (extensions == 0).then_some(())
}

/// `MEOW` (§2.2.18).
const OBJREF: &[u8] = b"MEOW";
const OBJREF_CUSTOM: u32 = 4;
/// Common and private header of a serialized type (MS-RPCE §2.2.6).
const SERIALIZATION_LEN: usize = 16;
const ACTIVATION_PROPERTIES_IN: &str = "00000338-0000-0000-c000-000000000046";
const INSTANTIATION_INFO: &str = "000001ab-0000-0000-c000-000000000046";
/// §2.2.22.1: `MAX_ACTPROP_LIMIT`.
const MAX_PROPERTIES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const MMC20: &str = "49b2791a-b1ae-4c90-9b8e-e860ba07f889";

    #[test]
    fn the_class_of_a_creation_is_read_from_its_properties() {
        let stub = creation(MMC20);
        let class = class_of_creation(Order::Little, &stub);
        assert_eq!(class.map(|c| c.to_string()).as_deref(), Some(MMC20));
        for end in 0..stub.len() {
            let class = class_of_creation(Order::Little, &stub[..end]);
            assert!(class.is_none_or(|c| c.to_string() == MMC20), "cut at {end}");
        }
    }

    #[test]
    fn the_class_of_an_old_activation_follows_orpcthis() {
        let mut stub = orpc();
        stub.extend(wire("9ba05972-f6a8-11cf-a442-00a0c90a8f39"));
        let class = class_of_activation(Order::Little, &stub).unwrap();
        assert_eq!(class.to_string(), "9ba05972-f6a8-11cf-a442-00a0c90a8f39", "ShellWindows");
    }

    /// A `RemoteCreateInstance` stub as MS-DCOM lays it out, with two properties.
    fn creation(class: &str) -> Vec<u8> {
        let mut stub = orpc();
        stub.extend([0; 4]); // No outer object.
        stub.extend([0, 0, 2, 0, 0, 1, 0, 0, 0, 1, 0, 0]); // Referent, sizes of the interface pointer.
        stub.extend(b"MEOW\x04\0\0\0");
        stub.extend(wire("000001a2-0000-0000-c000-000000000046")); // IActivationPropertiesIn
        stub.extend(wire(ACTIVATION_PROPERTIES_IN));
        stub.extend([0; 8]);
        stub.extend([0; 8]); // Blob: size, reserved.
        stub.extend([0x01, 0x10, 0x08, 0x00, 0xcc, 0xcc, 0xcc, 0xcc, 0, 0, 0, 0, 0, 0, 0, 0]);
        stub.extend([0; 4]);
        let header: u32 = 16 + 4 + 4 + 8 + 4 + 16 + 12 + 4 + 32 + 4 + 8;
        stub.extend(header.to_le_bytes());
        stub.extend([0; 8]);
        stub.extend(2_u32.to_le_bytes());
        stub.extend([0; 16]);
        stub.extend([1; 12]);
        stub.extend(2_u32.to_le_bytes());
        stub.extend(wire("000001b9-0000-0000-c000-000000000046")); // SpecialPropertiesData
        stub.extend(wire(INSTANTIATION_INFO));
        stub.extend(2_u32.to_le_bytes());
        stub.extend(24_u32.to_le_bytes());
        stub.extend(40_u32.to_le_bytes());
        stub.extend([0xee; 24]);
        stub.extend([0xcc; 16]);
        stub.extend(wire(class));
        stub.extend([0; 8]);
        stub
    }

    fn orpc() -> Vec<u8> {
        let mut bytes = vec![5, 0, 7, 0];
        bytes.extend([0; 28]);
        bytes
    }

    fn wire(uuid: &str) -> [u8; 16] {
        let Uuid([a, b, c, d, e, f, g, h, tail @ ..]) = Uuid::parse(uuid).unwrap();
        let mut wire = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
        wire[8..].copy_from_slice(&tail);
        wire
    }
}
