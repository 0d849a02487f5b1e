//! What is usual for a host of the site, and who it is. Scored against before it learns.

mod declared;

pub(crate) use declared::{Declared, DeclaredHost, HostRole, MayReach, Policy};
