//! What changed since it was last saved, by key. Empty while nobody saves.

use std::collections::BTreeSet;

/// Keys that changed.
#[derive(Clone, Debug)]
pub(super) struct Unsaved<K>(Option<BTreeSet<K>>);

impl<K> Default for Unsaved<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord> Unsaved<K> {
    /// From now on it is noted what changes.
    pub(super) fn keep_track(&mut self) {
        self.0 = Some(BTreeSet::new());
    }

    /// Something changed.
    pub(super) fn note(&mut self, key: K) {
        if let Some(keys) = &mut self.0 {
            keys.insert(key);
        }
    }

    /// Whether what is held under a key `stays`; that it does not is a change.
    pub(super) fn stays(&mut self, stays: bool, key: impl FnOnce() -> K) -> bool {
        if !stays {
            self.note(key());
        }
        stays
    }

    /// What changed since the last call.
    pub(super) fn take(&mut self) -> BTreeSet<K> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
