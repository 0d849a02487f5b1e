//! A hint, not a finding: an address taken to be inside that others call like a controller.
//!
//! Without a declared site the private ranges are assumed to be inside, and a command server with a private address (a
//! laboratory, a partner's network) is then no outside destination at all. Whoever keeps a timer towards such an
//! address is told so, with the flag that changes it.

use super::meter::BeaconMeter;
use crate::base::{Budget, Capped, Table, Transport};
use crate::profile::{HostId, Profiles, Touch};
use std::collections::BTreeMap;

/// Meters of conversations inside, kept only while the site is assumed.
#[derive(Debug)]
pub(crate) struct Controllers {
    pairs: Capped<(HostId, HostId), BeaconMeter>,
}

impl Controllers {
    pub(crate) fn new() -> Self {
        Self { pairs: Capped::new(Budget::new("controller.pairs", MAX_PAIRS, 0)) }
    }

    pub(crate) fn table(&self) -> Table {
        self.pairs.table()
    }

    /// Takes in a touch.
    pub(crate) fn touch(&mut self, seen: &Touch, usual: &Profiles) {
        let counts = seen.transport == Transport::Tcp && !ORDINARY_PORTS.contains(&seen.port);
        if counts && usual.declared().site.assumed() {
            self.pairs.entry((seen.orig, seen.resp), || BeaconMeter::new(seen.ts)).check_in(seen.ts, None);
        }
    }

    /// The address most others call like a timer, in words.
    pub(crate) fn hint(&self, usual: &Profiles) -> Option<String> {
        let mut called: BTreeMap<HostId, Vec<(HostId, f64)>> = BTreeMap::new();
        for ((caller, controller), meter) in self.pairs.iter() {
            if let Some(rhythm) = meter.rhythm().filter(|r| r.p <= MAX_P && r.gaps >= MIN_GAPS) {
                called.entry(*controller).or_default().push((*caller, rhythm.median_s));
            }
        }
        // Of equals the one seen first, so that the hint is the same every time.
        let (controller, callers) = called.iter().rev().max_by_key(|(_, callers)| callers.len())?;
        let (caller, median) = callers.iter().min_by(|a, b| a.0.cmp(&b.0))?;
        let (controller, caller) = (usual.address_text(*controller), usual.address_text(*caller));
        let others = callers.len().saturating_sub(1);
        let more = if others == 0 { String::new() } else { format!(" and {others} others") };
        Some(format!(
            "{controller} is taken to be inside, and {caller}{more} call it like a timer (every {median:.0} s); if it \
             is not yours, add --outside {controller}"
        ))
    }
}

/// Pairs metered.
const MAX_PAIRS: usize = 50_000;
/// As rare as a beacon's rhythm must be.
const MAX_P: f64 = 0.001;
/// A dozen calls, as short captures have them.
const MIN_GAPS: u32 = 10;
/// Look-ups, sign-in, file service and remote desktops keep time by themselves.
const ORDINARY_PORTS: &[u16] = &[53, 88, 135, 139, 389, 445, 464, 636, 3268, 3389];
