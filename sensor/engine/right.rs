//! Everything that consumes observations, short of writing them down: the analysis, and what records need beside it.

use super::analysis::Analysis;
use super::ech::EchConfigs;
use crate::alert::Rules;
use crate::detect::RuleError;
use crate::event::{Event, FlowRecord, Observation, Oddity};
use crate::intel::{Intel, Place};
use crate::output::{FlowExtras, Trail};
use crate::profile::Declared;
use std::sync::Arc;

/// The right side of the waist.
pub(super) struct Right {
    pub(super) analysis: Analysis,
    pub(super) trail: Trail,
    pub(super) declared: Arc<Declared>,
    intel: Arc<Intel>,
    weird: [u64; Oddity::ALL.len()],
    pub(super) ech: EchConfigs,
}

impl Right {
    pub(super) fn new(declared: &Arc<Declared>, intel: &Arc<Intel>, rules: &Rules) -> Result<Self, RuleError> {
        Ok(Self {
            analysis: Analysis::new(Arc::clone(declared), Arc::clone(intel), rules)?,
            trail: Trail::default(),
            declared: Arc::clone(declared),
            intel: Arc::clone(intel),
            weird: [0; Oddity::ALL.len()],
            ech: EchConfigs::new(),
        })
    }

    /// Follows what an operator wrote anew from here on. On an error nothing changes.
    pub(super) fn follow(
        &mut self,
        declared: &Arc<Declared>,
        intel: &Arc<Intel>,
        rules: &Rules,
    ) -> Result<(), RuleError> {
        self.analysis.follow(Arc::clone(declared), Arc::clone(intel), rules)?;
        (self.declared, self.intel) = (Arc::clone(declared), Arc::clone(intel));
        Ok(())
    }

    /// Analyses the next observation.
    pub(super) fn observe(&mut self, seen: &Observation) {
        self.analysis.observe(seen);
        if let Event::Weird(weird) = &seen.event
            && let Some(count) = self.weird.get_mut(weird.oddity as usize)
        {
            *count = count.saturating_add(1);
        }
        if let Event::FlowClosed(flow) = &seen.event {
            self.trail.note(seen.uid, flow.packets);
        }
        if let Event::Resolution(told) = &seen.event {
            self.ech.note(&told.ech);
        }
    }

    /// Shows `write` what a closed flow's record says beside what was on the wire; right after [`Right::observe`].
    pub(super) fn with_extras<R>(
        &self,
        seen: &Observation,
        flow: &FlowRecord,
        write: impl FnOnce(&FlowExtras<'_>) -> R,
    ) -> R {
        let (orig, resp) = (flow.orig.ip, flow.resp.ip);
        let name = self.analysis.name_of(seen.uid, flow);
        let names = self.analysis.names_of(seen.uid, flow);
        let site = &self.declared.site;
        let (local_orig, local_resp) = (site.is_inside(orig), site.is_inside(resp));
        let place = if local_resp { Place::default() } else { self.intel.place(name.map(|n| n.value), resp) };
        let name = name.map(|n| (n.value, n.source));
        let (provider, class) = (place.provider, place.class);
        write(&FlowExtras { name, names: &names, provider, class, local_orig, local_resp, ech_public_name: None })
    }

    /// What a fact's record says beside what was on the wire.
    pub(super) fn fact_extras<'a>(&self, seen: &'a Observation) -> FlowExtras<'a> {
        let Event::Handshake(hello) = &seen.event else { return FlowExtras::default() };
        FlowExtras { ech_public_name: self.ech.public_name(hello), ..FlowExtras::default() }
    }

    /// Oddities met, by name, with how often.
    pub(super) fn oddities(&self) -> Vec<(&'static str, u64)> {
        Oddity::ALL.iter().zip(self.weird).filter(|(_, n)| *n > 0).map(|(oddity, n)| (oddity.name(), n)).collect()
    }
}
