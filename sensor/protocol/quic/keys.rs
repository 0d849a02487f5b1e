//! Keys of Initial packets: derived from what is on the wire, so that anybody on the path can read them (RFC 9001 §5.2).
//!
//! Every primitive is `ring`'s; here are only the labels and salts that each version fixes.

use super::packet::Version;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey, quic};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

/// What one side protects its Initial packets with.
pub(super) struct Keys {
    header: quic::HeaderProtectionKey,
    packet: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

/// Both sides' keys for a connection that began with `dcid`, the client's first.
pub(super) fn initial(version: Version, dcid: &[u8]) -> Option<[Keys; 2]> {
    let secret = Salt::new(HKDF_SHA256, version.salt()).extract(dcid);
    let side = |label: &[u8]| {
        let secret: [u8; 32] = expand(&secret, label)?;
        Keys::new(version, &Prk::new_less_safe(HKDF_SHA256, &secret))
    };
    Some([side(b"client in")?, side(b"server in")?])
}

impl Keys {
    fn new(version: Version, secret: &Prk) -> Option<Self> {
        // RFC 9369 §3.3.2: version 2 has labels of its own.
        let [key, iv, header]: [&[u8]; 3] = match version {
            Version::V2 => [b"quicv2 key", b"quicv2 iv", b"quicv2 hp"],
            _ => [b"quic key", b"quic iv", b"quic hp"],
        };
        let key: [u8; 16] = expand(secret, key)?;
        let header: [u8; 16] = expand(secret, header)?;
        Some(Self {
            header: quic::HeaderProtectionKey::new(&quic::AES_128, &header).ok()?,
            packet: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?),
            iv: expand(secret, iv)?,
        })
    }

    /// Five bytes that cover the first byte's low bits and the packet number (RFC 9001 §5.4.1).
    pub(super) fn mask(&self, sample: &[u8]) -> Option<[u8; 5]> {
        self.header.new_mask(sample).ok()
    }

    /// Opens a payload in place; `None` when its tag does not verify.
    pub(super) fn open<'a>(&self, number: u32, header: &[u8], payload: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = self.nonce(number);
        self.packet.open_in_place(nonce, Aad::from(header), payload).ok().map(|plain| &*plain)
    }

    /// RFC 9001 §5.3: the packet number, padded on the left, over the IV.
    fn nonce(&self, number: u32) -> Nonce {
        let mut nonce = self.iv;
        for (byte, digit) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= digit;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// The other way round, for packets made in tests.
    #[cfg(test)]
    pub(super) fn seal(&self, number: u32, header: &[u8], payload: &mut Vec<u8>) {
        self.packet.seal_in_place_append_tag(self.nonce(number), Aad::from(header), payload).unwrap();
    }
}

/// HKDF-Expand-Label (RFC 8446 §7.1) with an empty context.
fn expand<const N: usize>(secret: &Prk, label: &[u8]) -> Option<[u8; N]> {
    let name = [b"tls13 ", label].concat();
    let len = u16::try_from(N).ok()?.to_be_bytes();
    let info = [&len[..], &[u8::try_from(name.len()).ok()?], &name, &[0]];
    let mut out = [0; N];
    secret.expand(&info, Length(N)).and_then(|okm| okm.fill(&mut out)).ok()?;
    Some(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001 §A.1 and RFC 9369 §A.1: `server hp` and `client hp` of the DCID below, seen through their masks.
    #[test]
    fn the_rfcs_example_gives_the_rfcs_masks() {
        let dcid = hex::decode("8394c8f03e515708").unwrap();
        let [client, server] = initial(Version::V1, &dcid).unwrap();
        let sample = hex::decode("d1b1c98dd7689fb8ec11d242b123dc9b").unwrap();
        assert_eq!(hex::encode(client.mask(&sample).unwrap()), "437b9aec36");
        assert_eq!(hex::encode(client.iv), "fa044b2f42a3fd3b46fb255c");
        let sample = hex::decode("2cd0991cd25b0aac406a5816b6394100").unwrap();
        assert_eq!(hex::encode(server.mask(&sample).unwrap()), "2ec0d8356a");
        assert_eq!(hex::encode(server.iv), "0ac1493ca1905853b0bba03e");
        let [client, server] = initial(Version::V2, &dcid).unwrap();
        assert_eq!(hex::encode(client.iv), "91f73e2351d8fa91660e909f");
        assert_eq!(hex::encode(server.iv), "dd13c276499c0249d3310652");
    }
}
