//! What detectors remember, under the ids of another baseline: keys are written and read part by part, and what holds ids
//! of hosts or owners inside says how it is renamed. Who has no new id is forgotten.

use crate::base::{Timestamp, Word, word};
use crate::event::Uid;
use crate::profile::{Closed, Drift, Feature, Fetch, HostId, HostRole, Renamed, TenantId};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

/// What entries are kept by.
pub(super) trait Key: Clone + Ord + Hash + Renames {
    fn written(&self) -> Value;
    fn read(value: &Value) -> Option<Self>;
}

/// What may hold ids.
pub(super) trait Renames: Sized {
    /// Under the ids of the joint baseline; `None` when it is about somebody who has none there.
    fn renamed(self, ids: &Renamed) -> Option<Self>;
}

/// What holds no ids.
macro_rules! as_it_is {
    ($($what:ty),+ $(,)?) => {
        $(impl $crate::detect::renamed::Renames for $what {
            fn renamed(self, _: &$crate::profile::Renamed) -> Option<Self> {
                Some(self)
            }
        })+
    };
}
pub(super) use as_it_is;

as_it_is!(
    (),
    bool,
    u8,
    u16,
    u32,
    u64,
    i32,
    i64,
    usize,
    f64,
    Box<str>,
    Arc<str>,
    Word,
    IpAddr,
    Timestamp,
    Uid,
    Feature,
    HostRole
);

impl Renames for HostId {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        ids.host(self.0).map(Self)
    }
}

impl Renames for TenantId {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        ids.owner(self.0).map(Self)
    }
}

impl Renames for Drift {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { host: self.host.renamed(ids)?, ..self })
    }
}

impl Renames for Closed {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { host: self.host.renamed(ids)?, tenant: self.tenant.renamed(ids)?, ..self })
    }
}

impl Renames for Fetch {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { host: self.host.renamed(ids)?, tenant: self.tenant.renamed(ids)?, ..self })
    }
}

impl<T: Renames> Renames for Option<T> {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(self.and_then(|value| value.renamed(ids)))
    }
}

impl<T: Renames> Renames for Vec<T> {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(self.into_iter().filter_map(|value| value.renamed(ids)).collect())
    }
}

impl<T: Renames> Renames for VecDeque<T> {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(self.into_iter().filter_map(|value| value.renamed(ids)).collect())
    }
}

impl<T: Renames + Ord> Renames for BTreeSet<T> {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(self.into_iter().filter_map(|value| value.renamed(ids)).collect())
    }
}

impl<K: Renames + Ord, V: Renames> Renames for BTreeMap<K, V> {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(self.into_iter().filter_map(|(key, value)| Some((key.renamed(ids)?, value.renamed(ids)?))).collect())
    }
}

impl<T: Renames, const N: usize> Renames for [T; N]
where
    Self: Copy,
{
    /// Counts by place, which hold no ids.
    fn renamed(self, _: &Renamed) -> Option<Self> {
        Some(self)
    }
}

/// Plain values: as JSON has them.
macro_rules! plain_keys {
    ($($what:ty),+ $(,)?) => {
        $(impl Key for $what {
            fn written(&self) -> Value {
                Value::from(*self)
            }

            fn read(value: &Value) -> Option<Self> {
                serde_json::from_value(value.clone()).ok()
            }
        })+
    };
}

plain_keys!(u16, u32, i32, i64, usize);

impl Key for HostId {
    fn written(&self) -> Value {
        self.0.into()
    }

    fn read(value: &Value) -> Option<Self> {
        u32::read(value).map(Self)
    }
}

impl Key for TenantId {
    fn written(&self) -> Value {
        self.0.into()
    }

    fn read(value: &Value) -> Option<Self> {
        u32::read(value).map(Self)
    }
}

impl Key for Word {
    fn written(&self) -> Value {
        (*self).into()
    }

    fn read(value: &Value) -> Option<Self> {
        word::known(value.as_str()?)
    }
}

impl Key for Box<str> {
    fn written(&self) -> Value {
        (**self).into()
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Into::into)
    }
}

impl Key for Arc<str> {
    fn written(&self) -> Value {
        (**self).into()
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Into::into)
    }
}

impl Key for IpAddr {
    fn written(&self) -> Value {
        self.to_string().into()
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl Key for Feature {
    fn written(&self) -> Value {
        self.name().into()
    }

    fn read(value: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| Some(feature.name()) == value.as_str())
    }
}

impl<T: Key> Key for Option<T> {
    fn written(&self) -> Value {
        self.as_ref().map_or(Value::Null, Key::written)
    }

    fn read(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }
}

/// Several: a list.
macro_rules! keys_of {
    ($count:literal: $($part:ident $at:tt),+) => {
        impl<$($part: Renames),+> Renames for ($($part,)+) {
            fn renamed(self, ids: &Renamed) -> Option<Self> {
                Some(($(self.$at.renamed(ids)?,)+))
            }
        }

        impl<$($part: Key),+> Key for ($($part,)+) {
            fn written(&self) -> Value {
                Value::Array(vec![$(self.$at.written()),+])
            }

            fn read(value: &Value) -> Option<Self> {
                let parts = value.as_array().filter(|parts| parts.len() == $count)?;
                Some(($($part::read(parts.get($at)?)?,)+))
            }
        }
    };
}

keys_of!(2: A 0, B 1);
keys_of!(3: A 0, B 1, C 2);
keys_of!(4: A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn back<K: Key + std::fmt::Debug>(key: K) {
        let text = key.written().to_string();
        assert_eq!(K::read(&serde_json::from_str(&text).unwrap()), Some(key), "{text}");
    }

    #[test]
    fn every_kind_of_key_reads_back_as_itself() {
        back((HostId(1), TenantId(2)));
        back((HostId(1), Some(TenantId(2))));
        back((HostId(1), None::<TenantId>));
        back((HostId(1), IpAddr::from([192, 0, 2, 1]), Box::<str>::from("t13d\"1516")));
        back((HostId(u32::MAX), TenantId(0), 65_535_u16, "winrm"));
        back((HostId(3), -7_i64));
        Feature::ALL.into_iter().for_each(back);
        assert_eq!(<(HostId, u16)>::read(&serde_json::json!([1, 2, 3])), None, "too long");
        assert_eq!(HostId::read(&serde_json::json!("1")), None);
    }
}
