//! What is open at two sensors, as one: chains by machine, stories by what holds them together.
//!
//! A story of both names the cases of both and is tested again at the next step; what was told as a campaign stays one.

use super::case::{Case, Exposure};
use super::cause::{Cause, Suspect};
use super::chain::Chain;
use super::cluster::Cluster;
use super::led::Led;
use super::ongoing::{SavedChains, SavedCluster};
use super::sessions::{Follower, Session};
use super::story::Story;
use crate::profile::{HostId, Renamed, TenantId};

/// Ids of the second sensor → those of the joint baseline; who is forgotten there has none.
#[derive(Clone, Copy)]
pub(super) struct Ids<'a>(pub(super) &'a Renamed);

impl Ids<'_> {
    pub(super) fn host(self, id: HostId) -> Option<HostId> {
        self.0.host(id.0).map(HostId)
    }

    pub(super) fn owner(self, id: TenantId) -> Option<TenantId> {
        self.0.owner(id.0).map(TenantId)
    }

    pub(super) fn case(self, case: Case) -> Option<Case> {
        let exposures = case.exposures.into_iter();
        let exposures = exposures.filter_map(|e| Some(Exposure { peer: self.host(e.peer)?, ..e })).collect();
        Some(Case { host: self.host(case.host)?, tenant: self.owner(case.tenant)?, exposures, ..case })
    }

    pub(super) fn session(self, session: Session) -> Option<Session> {
        let followers = session.followers.into_iter();
        let followers = followers.filter_map(|f| Some(Follower { tenant: self.owner(f.tenant)?, ..f })).collect();
        Some(Session { by: self.host(session.by)?, on: self.host(session.on)?, followers, ..session })
    }

    fn chain(self, chain: Chain) -> Option<Chain> {
        Some(Chain {
            server: self.host(chain.server)?,
            host: self.host(chain.host)?,
            tenant: self.owner(chain.tenant)?,
            session: self.session(chain.session)?,
            ..chain
        })
    }

    pub(super) fn chains(self, saved: SavedChains) -> SavedChains {
        SavedChains { chains: saved.chains.into_iter().filter_map(|chain| self.chain(chain)).collect(), ..saved }
    }

    pub(super) fn cluster(self, saved: SavedCluster) -> Option<SavedCluster> {
        let cluster = match saved.cluster {
            Cluster::Tenant(tenant) => Cluster::Tenant(self.owner(tenant)?),
            Cluster::Led(server, tenant) => Cluster::Led(self.host(server)?, self.owner(tenant)?),
            other => other,
        };
        let story = saved.story.and_then(|story| self.story(story));
        // Its cases stand among others now.
        Some(SavedCluster { cluster, story, tested: None, young: saved.young })
    }

    fn story(self, story: Story) -> Option<Story> {
        let hosts = |all: std::collections::BTreeSet<HostId>| all.into_iter().filter_map(|id| self.host(id)).collect();
        let cause = story.cause.and_then(|(cause, suspect)| {
            let suspects = cause.suspects.into_iter().filter_map(|other| self.suspect(other)).collect();
            Some((Cause { suspects, ..cause }, self.suspect(suspect)?))
        });
        Some(Story {
            server: self.host(story.server)?,
            chains: story.chains.into_iter().filter_map(|chain| self.chain(chain)).collect(),
            tenants: story.tenants.into_iter().filter_map(|id| self.owner(id)).collect(),
            enriched: story.enriched.into_iter().filter_map(|(id, p)| Some((self.owner(id)?, p))).collect(),
            cause,
            cases: hosts(story.cases),
            marked: hosts(story.marked),
            led: story.led.into_iter().filter_map(|led| self.led(led)).collect(),
            ..story
        })
    }

    fn led(self, led: Led) -> Option<Led> {
        Some(Led { host: self.host(led.host)?, tenant: self.owner(led.tenant)?, ..led })
    }

    fn suspect(self, suspect: Suspect) -> Option<Suspect> {
        Some(Suspect {
            host: self.host(suspect.host)?,
            attribution: suspect.attribution.into_iter().filter_map(|(id, r)| Some((self.host(id)?, r))).collect(),
            tied: suspect.tied.into_iter().filter_map(|id| self.host(id)).collect(),
            ..suspect
        })
    }
}

impl SavedChains {
    /// The chains of both, of each actor and destination the strongest.
    pub(super) fn join(&mut self, other: Self) {
        self.warm = self.warm.max(other.warm);
        for chain in other.chains {
            let same = |known: &&mut Chain| (known.server, known.tenant) == (chain.server, chain.tenant);
            match self.chains.iter_mut().find(same) {
                Some(known) if known.nats >= chain.nats => {}
                Some(known) => *known = chain,
                None => self.chains.push(chain),
            }
        }
    }
}

impl SavedCluster {
    /// What both make of it: one story if they name the same server, else the more serious one.
    pub(super) fn join(&mut self, other: Self) {
        self.young = self.young.max(other.young);
        self.tested = None;
        let weight = |story: &Story| {
            let llr = story.cause.as_ref().map_or(0.0, |(_, suspect)| suspect.llr);
            (story.severity, story.cases.len(), llr.to_bits())
        };
        self.story = match (self.story.take(), other.story) {
            (Some(mut own), Some(theirs)) if own.server == theirs.server => {
                if theirs.severity > own.severity {
                    own.plot = theirs.plot;
                }
                own.take_in(theirs);
                Some(own)
            }
            (Some(own), Some(theirs)) => Some(if weight(&theirs) > weight(&own) { theirs } else { own }),
            (own, theirs) => own.or(theirs),
        };
    }
}
