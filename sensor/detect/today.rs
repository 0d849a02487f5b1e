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
    pub(super) unlikely: Standing,
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
#[serde(from = "Vec<(Towards, f64)>", into = "Vec<(Towards, f64)>")]
pub(super) struct Standing(BTreeMap<Towards, f64>);

impl Standing {
    /// Beyond `MAX_UNLIKELY` what is new is not kept: it holds nobody else back.
    pub(super) fn add(&mut self, who: Towards, sum: f64) {
        if let Some(most) = self.0.get_mut(&who) {
            *most = most.max(sum);
        } else if self.0.len() < MAX_UNLIKELY {
            self.0.insert(who, sum);
        }
    }

    /// What else of the day shows as much, up to `enough`: each other host at the same destination, each other destination
    /// once. What comes over many hides itself and nothing else.
    pub(super) fn as_much(&self, (host, tenant): Towards, sum: f64, enough: usize) -> u64 {
        let mut apart = BTreeSet::new();
        for ((other, to), _) in self.0.iter().filter(|((other, _), most)| *other != host && **most >= sum) {
            apart.insert((to, (*to == tenant).then_some(other)));
            if apart.len() >= enough {
                break;
            }
        }
        u64::try_from(apart.len()).unwrap_or(u64::MAX)
    }
}

impl From<Vec<(Towards, f64)>> for Standing {
    fn from(sums: Vec<(Towards, f64)>) -> Self {
        Self(sums.into_iter().collect())
    }
}

impl From<Standing> for Vec<(Towards, f64)> {
    fn from(standing: Standing) -> Self {
        standing.0.into_iter().collect()
    }
}

/// Sums kept of one day. At 250,000 hosts and five incidents a day, some hundred stand out on a busy one.
const MAX_UNLIKELY: usize = 4096;

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
        self.unlikely = Standing::default();
    }
}

impl Renames for Today {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        let unlikely = Standing(self.unlikely.0.renamed(ids)?);
        Some(Self { touched: self.touched.renamed(ids)?, told: self.told.renamed(ids)?, unlikely, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Kind, Record};

    #[test]
    fn what_stands_out_outlives_a_restart() {
        let mut today = Today { day: Some(7), ..Today::default() };
        today.unlikely.add((HostId(1), Some(TenantId(2))), 9.0);
        today.unlikely.add((HostId(3), None), 8.0);
        let record = Record::new(Kind::Calibration, (0, 0), &today);
        let back: Today = record.read().unwrap();
        assert_eq!((back.day, back.unlikely.0), (today.day, today.unlikely.0));
    }

    #[test]
    fn one_hosts_many_names_fill_no_memory_and_hide_no_other() {
        let mut day = Standing::default();
        for name in 0..2 * u32::try_from(MAX_UNLIKELY).unwrap() {
            day.add((HostId(1), Some(TenantId(name))), 9.0);
        }
        assert_eq!(day.0.len(), MAX_UNLIKELY);
        assert_eq!(day.as_much((HostId(1), None), 9.0, usize::MAX), 0, "its own");
        assert_eq!(day.as_much((HostId(2), None), 9.0, 5), 5, "no more than asked for");
        assert_eq!(day.as_much((HostId(2), None), 9.1, 5), 0, "less is not as much");
    }
}
