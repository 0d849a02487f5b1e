//! Findings of many hosts → one story: who touched them all shortly before, beyond chance, and what belongs to it.

mod scope;

pub(crate) use scope::{Advice, DestinationKind, Scope, ScopeDestination, ScopeHost, ScopeServer, Tier};
