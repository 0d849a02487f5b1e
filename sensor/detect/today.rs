//! How the day at hand stands: who is to be weighed, who was told, and who stands out together.

use super::calibrate::Budget;
use super::renamed::Renames;
use crate::profile::{HostId, Renamed, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// How the day at hand stands.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Today {
    pub(super) day: Option<i32>,
    /// What the next step has to weigh.
    pub(super) touched: BTreeSet<Towards>,
    /// Hosts that were told today: each is one incident.
    pub(super) told: BTreeSet<HostId>,
    /// Sums that the days before do not let expect, by host and destination.
    #[serde(default)]
    pub(super) standing_out: Standing,
    pub(super) budget: Option<Budget>,
    pub(super) checked: BTreeMap<u32, Checked>,
}

/// Host-days of a class that were held against those before them, and how many of them were as unusual as one in …: a
/// fair p-value is at or below 0.001 in a thousandth of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Checked {
    pub(crate) host_days: u64,
    /// At or below 0.01, 0.001 and 0.0001.
    pub(crate) at_most: [u64; 3],
}

/// What a host does towards a destination.
type Towards = (HostId, Option<TenantId>);

/// The most a host showed on a day: of what leaves it, and of everything, with where that went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) egress: f64,
    pub(super) whole: f64,
    pub(super) who: Towards,
}

impl Shown {
    /// Takes in what it showed elsewhere; of equals the destination known first stays.
    pub(super) fn raise(&mut self, other: Self) {
        self.egress = self.egress.max(other.egress);
        if other.whole.total_cmp(&self.whole).then(self.who.cmp(&other.who)).is_gt() {
            (self.whole, self.who) = (other.whole, other.who);
        }
    }
}

/// Sums of a day that the days before do not let expect.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Standing(BTreeMap<Towards, f64>);

impl Standing {
    pub(super) fn add(&mut self, who: Towards, sum: f64) {
        let most = self.0.entry(who).or_insert(sum);
        *most = most.max(sum);
    }

    /// What else of the day shows as much: each other host at the same destination, each other destination once. What comes
    /// over many hides itself and nothing else.
    pub(super) fn as_much(&self, (host, tenant): Towards, sum: f64) -> u64 {
        let others = self.0.iter().filter(|((other, _), most)| *other != host && **most >= sum);
        let apart: BTreeSet<_> = others.map(|((other, to), _)| (to, (*to == tenant).then_some(other))).collect();
        u64::try_from(apart.len()).unwrap_or(u64::MAX)
    }
}

impl Today {
    /// A host is told: once a day that is one of the incidents there may be.
    pub(super) fn tell(&mut self, host: HostId) {
        if self.told.insert(host)
            && let Some(budget) = &mut self.budget
        {
            budget.told();
        }
    }

    /// The day is over.
    pub(super) fn end(&mut self) {
        self.told.clear();
        self.standing_out = Standing::default();
    }
}

impl Renames for Today {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        let standing_out = Standing(self.standing_out.0.renamed(ids)?);
        Some(Self { touched: self.touched.renamed(ids)?, told: self.told.renamed(ids)?, standing_out, ..self })
    }
}
