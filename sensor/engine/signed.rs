//! Who made a snapshot: an Ed25519 key (RFC 8032) beside the baseline, made when the first week is kept.
//!
//! Whoever may read the key may sign, so it tells a sensor's snapshots from those that others put there, and no more. Its
//! public half, which `yukue baseline snapshots` prints, belongs elsewhere; the file may be a link to where only the sensor
//! may read.

use super::store::StoreError;
use crate::output::{OWN, replace_for_good};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fs;
use std::path::{Path, PathBuf};

/// The public half of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signer(pub(crate) [u8; SIGNER]);

/// Bytes of a public key, and of a signature.
pub(super) const SIGNER: usize = 32;
pub(super) const SIGNATURE: usize = 64;

impl Signer {
    /// Whether it signed `digest`.
    pub(super) fn signed(&self, digest: &[u8], signature: &[u8; SIGNATURE]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(digest, signature).is_ok()
    }

    /// Whose key lies beside the baseline at `path`; `None` when there is none, or none that can be read.
    pub(crate) fn beside(path: &Path) -> Option<Self> {
        Key::read(&file(path)).ok().map(|key| key.signer())
    }
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::str::FromStr for Signer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| "a key is 64 hexadecimal digits".to_owned())
    }
}

/// What signs.
pub(super) struct Key(Ed25519KeyPair);

impl Key {
    /// The key beside the baseline at `path`; made, for its owner's eyes, when there is none.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let file = file(path);
        match Self::read(&file) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Self::make(&file),
            other => other,
        }
    }

    pub(super) fn signer(&self) -> Signer {
        Signer(array(self.0.public_key().as_ref()))
    }

    pub(super) fn sign(&self, digest: &[u8]) -> [u8; SIGNATURE] {
        array(self.0.sign(digest).as_ref())
    }

    fn read(file: &Path) -> Result<Self, StoreError> {
        let bytes = fs::read(file).map_err(|source| StoreError::Io { path: file.to_owned(), source })?;
        let pair = Ed25519KeyPair::from_pkcs8(&bytes);
        pair.map(Self).map_err(|_| StoreError::Damaged { path: file.to_owned(), reason: "it is no key".to_owned() })
    }

    fn make(file: &Path) -> Result<Self, StoreError> {
        let wrong = |reason: String| StoreError::Write { path: file.to_owned(), reason };
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| wrong("the system gave no randomness for a key".to_owned()))?;
        replace_for_good(file, bytes.as_ref(), OWN).map_err(|error| wrong(error.to_string()))?;
        Self::read(file)
    }
}

/// Keys and signatures have one length each.
fn array<const N: usize>(from: &[u8]) -> [u8; N] {
    let mut to = [0; N];
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to
}

/// Whose signature something bears, in words.
pub(crate) fn by_whom(signer: Option<Signer>) -> String {
    signer.map_or_else(|| "not signed".to_owned(), |signer| format!("signed by {signer}"))
}

fn file(path: &Path) -> PathBuf {
    path.with_added_extension("snapshot-key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owners_eyes_and_signs_what_others_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        assert_eq!(Signer::beside(&one), None);
        let (key, other) = (Key::of(&one).unwrap(), Key::of(&two).unwrap());
        let signer = key.signer();
        assert_eq!(Signer::beside(&one), Some(signer));
        assert_eq!(Key::of(&one).unwrap().signer(), signer, "the same the next time");
        assert_eq!(fs::metadata(file(&one)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(signer.to_string().parse(), Ok(signer));
        assert!("00".parse::<Signer>().is_err());
        for (what, digest, signature, expected) in [
            ("its own", "a week", key.sign(b"a week"), true),
            ("of another week", "a day", key.sign(b"a week"), false),
            ("another's", "a week", other.sign(b"a week"), false),
        ] {
            assert_eq!(signer.signed(digest.as_bytes(), &signature), expected, "{what}");
        }
        fs::write(file(&one), "no key").unwrap();
        assert!(Key::of(&one).is_err_and(|error| error.is_damage()), "it is not written over");
    }
}
