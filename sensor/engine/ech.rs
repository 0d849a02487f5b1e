//! Encrypted ClientHello told from GREASE, as far as the wire allows.
//!
//! A hello that really is encrypted shows the public name of a configuration that its client looked up, and that
//! configuration's id; GREASE shows the true name and a random id (draft-ietf-tls-esni-25 §6.1, §6.2). So where a service
//! binding with the configuration was seen, name and id together tell the offer, and that the name in `sni` is not whom
//! the client talks to. What cannot be told: a configuration that was looked up before the capture, over encrypted DNS or
//! past the sensor; whether the server accepted (it says so under encryption); and one GREASE hello in 256 to the public
//! name itself, which hits the id by chance.

use crate::base::{Budget, Capped, Table};
use crate::event::{EchConfig, Handshake};

/// The configurations seen in look-ups: by public name, which of the 256 ids there are.
#[derive(Debug)]
pub(crate) struct EchConfigs {
    ids: Capped<Box<str>, [u128; 2]>,
}

impl EchConfigs {
    pub(crate) fn new() -> Self {
        Self { ids: Capped::new(Budget::new("ech.ids", MAX_NAMES, 48)) }
    }

    /// How they stand.
    pub(crate) fn table(&self) -> Table {
        self.ids.table()
    }

    /// Takes in what a look-up told.
    pub(super) fn note(&mut self, configs: &[EchConfig]) {
        for config in configs {
            let ids = self.ids.entry(config.public_name.to_ascii_lowercase().into(), || [0; 2]);
            if let Some(half) = ids.get_mut(usize::from(config.id >> 7)) {
                *half |= 1 << (config.id & 127);
            }
        }
    }

    /// The public name that a hello shows instead of the one it is for.
    pub(super) fn public_name<'a>(&self, hello: &'a Handshake) -> Option<&'a str> {
        let (id, shown) = (hello.ech_config_id?, hello.sni.as_deref()?);
        let ids = self.ids.get(shown.to_ascii_lowercase().as_str())?;
        let half = ids.get(usize::from(id >> 7))?;
        (half >> (id & 127) & 1 == 1).then_some(shown)
    }
}

/// Providers that front others: a few dozen in the world; more is somebody who makes them up.
const MAX_NAMES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::engine::scene;

    #[test]
    fn name_and_id_together_tell_an_offer() {
        let mut configs = EchConfigs::new();
        configs.note(&[EchConfig { id: 0xac, public_name: "Public.example".into() }]);
        for (what, sni, id, expected) in [
            ("an offer", Some("public.example"), Some(0xac), Some("public.example")),
            ("GREASE to the public name itself", Some("public.example"), Some(0x2c), None),
            ("GREASE to anybody, with the same id", Some("shop.example"), Some(0xac), None),
            ("no extension", Some("public.example"), None, None),
            ("no name", None, Some(0xac), None),
        ] {
            let hello = Handshake { ech_config_id: id, ..scene::hello(Timestamp(0), sni) };
            assert_eq!(configs.public_name(&hello), expected, "{what}");
        }
    }

    #[test]
    fn names_that_somebody_makes_up_fill_no_more_than_the_table() {
        let mut configs = EchConfigs::new();
        (0..10_000).for_each(|n| configs.note(&[EchConfig { id: 1, public_name: format!("{n}.example").into() }]));
        assert_eq!((configs.table().held, configs.table().evicted), (4_096, 10_000 - 4_096));
    }
}
