//! A destination that everybody uses, coupled in time to what one server did.
//!
//! Who calls a public cloud that its victims use anyway makes no first contact and shares the name with the whole site
//! (detection.md §0, §2.1): nothing on the endpoint's side is rare but the moment. So the question is asked the other
//! way round than in `cause`: of the machines a server made code run on, or sent more than it ever does, how many then
//! contacted that destination within the time scale, against each machine's own habit there and against what all others
//! did at that hour? The exposures choose themselves, the outcome is counted, each machine is its own control: a
//! self-controlled case series (Farrington 1995), the case-crossover of §4.4 seen from the other side.
//!
//! Only names that all their customers share are asked about. That an act was followed by one contact proves an
//! administrator as well as an attacker; `led` weighs whether what was led there goes on: a timer, or more contacts than
//! the machine's habit explains.

use super::CauseRule;
use super::cause::mixture;
use super::contacts::Contacts;
use super::control::{Row, calendar, pooled};
use super::crowd::{Around, Crowd};
use super::hubs::SLACK_S;
use super::pairs::{DAY_S, Mark, moment};
use super::tails::at_least;
use super::unsaved::Unsaved;
use crate::base::stats::real;
use crate::base::{Budget, Capped, Ring, Table, Timestamp};
use crate::profile::{Contact, HostId, Profiles, Standing, TenantId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Marked contacts and where they led.
#[derive(Debug)]
pub(super) struct Coupling {
    /// By server and machine, oldest first.
    pairs: Capped<(HostId, HostId), Vec<Exposed>>,
    /// The same pairs, by server.
    machines: BTreeMap<HostId, BTreeSet<HostId>>,
    /// By machine: servers whose mark is younger than the longest scale, and the latest contacts outside.
    hosts: Capped<HostId, Lately>,
    /// By destination: who turned to it in each of the last minutes.
    owners: Capped<TenantId, Owner>,
    /// Marks whose longest window may not be over, oldest first.
    recent: Ring<(HostId, HostId, u32)>,
    pub(super) touched: BTreeSet<HostId>,
    /// Pairs to be saved, while somebody saves.
    pub(super) unsaved: Unsaved<(HostId, HostId)>,
}

/// One marked contact of a server with a machine.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Exposed {
    mark: Mark,
    pub(super) at: u32,
    /// Ten-minute bins in which the machine had been active before.
    pub(super) bins: f32,
    /// Destinations it contacted within the longest scale, the first contact of each.
    pub(super) led: Vec<Led>,
}

/// A contact after a mark.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Led {
    pub(super) tenant: TenantId,
    pub(super) at: u32,
    /// Flows of the machine to the destination before.
    pub(super) flows: u32,
    /// Hosts that turned to it after the mark, this one among them, and hosts active then.
    pub(super) around: Around,
    pub(super) active: u32,
}

#[derive(Debug, Default)]
struct Lately {
    open: Vec<HostId>,
    contacts: VecDeque<(TenantId, u32, u32)>,
}

#[derive(Debug, Default)]
struct Owner {
    /// What it is.
    standing: Option<Arc<Standing>>,
    crowd: Crowd,
}

/// A server, a destination and the machines that were led there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coupled {
    pub(super) server: HostId,
    pub(super) tenant: TenantId,
    pub(super) mark: Mark,
    pub(super) scale_s: u32,
    /// Machines exposed, of them led there, and how many that would usually be.
    pub(super) exposed: u32,
    pub(super) led: u32,
    pub(super) expected: f64,
    /// Before and after all that was tried.
    pub(super) p: f64,
    pub(super) p_adjusted: f64,
    pub(super) servers: u32,
    pub(super) llr: f64,
    pub(super) share: f64,
    pub(super) hosts: Vec<LedHost>,
    /// What the destination is, once it was contacted in this run.
    pub(super) standing: Option<Arc<Standing>>,
}

/// One of those machines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LedHost {
    pub(super) host: HostId,
    /// When the server was in contact with it, and it with the destination.
    pub(super) exposed: u32,
    pub(super) at: u32,
    /// Probability that the server led it there.
    pub(super) by: f64,
    /// It goes on beyond its habit.
    pub(super) goes_on: bool,
    /// Ten-minute bins it had been watched in.
    pub(super) bins: f32,
}

impl Coupling {
    pub(super) fn new() -> Self {
        Self {
            pairs: Capped::new(Budget::new("coupling.pairs", MAX_PAIRS, 1_600)),
            machines: BTreeMap::new(),
            hosts: Capped::new(Budget::new("coupling.hosts", MAX_HOSTS, 320)),
            owners: Capped::new(Budget::new("coupling.owners", MAX_OWNERS, 0)),
            recent: Ring::new(MAX_RECENT),
            touched: BTreeSet::new(),
            unsaved: Unsaved::default(),
        }
    }

    /// A server's contact with a machine bore a mark; it may become known after contacts that followed it.
    pub(super) fn expose(&mut self, (server, host): (HostId, HostId), mark: Mark, ts: Timestamp, contacts: &Contacts) {
        let at = moment(ts);
        let (bins, active) = (contacts.bins_of(host), contacts.active());
        let lately = self.hosts.entry(host, Lately::default);
        if !lately.open.contains(&server) && lately.open.len() < MAX_OPEN {
            lately.open.push(server);
        }
        if self.pairs.get(&(server, host)).is_none()
            && let Some(((gone, of), _)) = self.pairs.insert((server, host), Vec::new())
            && let Some(hosts) = self.machines.get_mut(&gone)
        {
            hosts.remove(&of);
        }
        let Some(pair) = self.pairs.get_mut(&(server, host)) else { return };
        if pair.last().is_some_and(|last| last.mark == mark && at.saturating_sub(last.at) <= AGAIN_S) {
            return;
        }
        let mut exposed = Exposed { mark, at, bins, led: Vec::new() };
        for (tenant, when, flows) in &lately.contacts {
            let around = self.owners.get(tenant).map_or([0; 4], |owner| owner.crowd.after(at));
            exposed.lead(Led { tenant: *tenant, at: *when, flows: *flows, around, active });
        }
        if pair.len() >= MAX_EXPOSED {
            pair.remove(0);
        }
        pair.push(exposed);
        self.machines.entry(server).or_default().insert(host);
        self.recent.push((server, host, at));
        self.touched.insert(server);
        self.unsaved.note((server, host));
    }

    /// Completes what others did after the marks of the last two hours.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let since = moment(now).saturating_sub(SETTLE_S);
        while self.recent.take(|(.., at)| *at < since).is_some() {}
        let Self { pairs, owners, recent, unsaved, .. } = self;
        for (server, host, at) in recent.iter() {
            let Some(pair) = pairs.peek_mut(&(*server, *host)) else { continue };
            for exposed in pair.iter_mut().filter(|exposed| exposed.at == *at) {
                for led in &mut exposed.led {
                    let Some(owner) = owners.get(&led.tenant) else { continue };
                    // After a restart less is known than was.
                    for (known, new) in led.around.iter_mut().zip(owner.crowd.after(*at)) {
                        if new > *known {
                            *known = new;
                            unsaved.note((*server, *host));
                        }
                    }
                }
            }
        }
    }

    /// A machine contacted a destination.
    pub(super) fn contact(&mut self, seen: &Contact, contacts: &Contacts, usual: &Profiles) {
        // Behind a name of its own a destination is rare or not, and `cause` asks about it.
        if seen.background || !seen.standing.shared {
            return;
        }
        let (at, tenant) = (moment(seen.ts), seen.tenant);
        let owner = self.owners.entry(tenant, Owner::default);
        owner.standing.get_or_insert_with(|| seen.standing.clone());
        let flows = usual.tie(seen.host, tenant).map_or(0, |tie| tie.flows.saturating_sub(1));
        let lately = self.hosts.entry(seen.host, Lately::default);
        let stays = |(other, when, _): &(TenantId, u32, u32)| *other == tenant && at.saturating_sub(*when) <= STAYS_S;
        if !lately.contacts.iter().any(stays) {
            owner.crowd.add(at);
        }
        if lately.contacts.len() >= MAX_CONTACTS {
            lately.contacts.pop_front();
        }
        lately.contacts.push_back((tenant, at, flows));
        if lately.open.is_empty() {
            return;
        }
        // What others do is completed by and by.
        let led = Led { tenant, at, flows, around: [0; 4], active: contacts.active() };
        let Self { pairs, touched, unsaved, .. } = self;
        lately.open.retain(|server| {
            let Some(pair) = pairs.get_mut(&(*server, seen.host)) else { return false };
            let mut is_open = false;
            for exposed in pair.iter_mut().filter(|exposed| at.saturating_sub(exposed.at) <= LONGEST_S) {
                is_open = true;
                if exposed.lead(led) {
                    touched.insert(*server);
                    unsaved.note((*server, seen.host));
                }
            }
            is_open
        });
    }

    /// Servers whose marks led somewhere since the last call.
    pub(super) fn touched(&mut self) -> BTreeSet<HostId> {
        std::mem::take(&mut self.touched)
    }

    /// All servers with a mark.
    pub(super) fn servers(&self) -> BTreeSet<HostId> {
        self.machines.keys().copied().collect()
    }

    /// Destinations the machines of a server were led to beyond their habit, in a week and in a day.
    pub(super) fn of(&self, server: HostId, now: Timestamp, contacts: &Contacts, ask: &Asked<'_>) -> Vec<Coupled> {
        let Some(machines) = self.machines.get(&server) else { return Vec::new() };
        let mut best: BTreeMap<TenantId, Coupled> = BTreeMap::new();
        for mark in MARKS {
            for window in WINDOWS {
                let since = moment(now).saturating_sub(window);
                let rows: Vec<(HostId, Vec<&Exposed>)> = machines
                    .iter()
                    .filter_map(|host| {
                        let pair = self.pairs.get(&(server, *host))?;
                        let of: Vec<&Exposed> = pair.iter().filter(|e| e.mark == mark && e.at >= since).collect();
                        (!of.is_empty() && (ask.sees)(*host, server)).then_some((*host, of))
                    })
                    .collect();
                if rows.len() < ask.rule.min_hosts {
                    continue;
                }
                for coupled in self.weigh(server, mark, &rows, contacts, ask) {
                    let known = best.get(&coupled.tenant);
                    if known.is_none_or(|known| coupled.p_adjusted < known.p_adjusted) {
                        best.insert(coupled.tenant, coupled);
                    }
                }
            }
        }
        best.into_values().collect()
    }

    fn weigh(
        &self,
        server: HostId,
        mark: Mark,
        rows: &[(HostId, Vec<&Exposed>)],
        contacts: &Contacts,
        ask: &Asked<'_>,
    ) -> Vec<Coupled> {
        // Machines by destination, whichever the scale: all destinations in question count as tried, and all servers with
        // enough machines to be asked about.
        let mut met: BTreeMap<TenantId, usize> = BTreeMap::new();
        for (_, exposures) in rows {
            let each: BTreeSet<TenantId> = exposures.iter().flat_map(|e| e.led.iter().map(|led| led.tenant)).collect();
            each.into_iter().for_each(|tenant| *met.entry(tenant).or_default() += 1);
        }
        met.retain(|tenant, _| (ask.common)(*tenant));
        let scales = &ask.rule.scales_s;
        let servers = self.machines.values().filter(|hosts| hosts.len() >= ask.rule.min_hosts).count().max(1);
        let tried = real(met.len() * scales.len() * MARKS.len() * WINDOWS.len() * servers);
        let mut all = Vec::new();
        for tenant in met.iter().filter(|(_, hosts)| **hosts >= ask.rule.min_hosts).map(|(tenant, _)| *tenant) {
            let pooled = pooled(tenant, rows, contacts, ask.usual);
            let mut each: Vec<Row> =
                rows.iter().map(|(host, exposures)| Row::of(*host, tenant, exposures, pooled, contacts, ask)).collect();
            calendar(&mut each);
            let best = scales
                .iter()
                .filter_map(|scale| {
                    let led: Vec<bool> = each.iter().map(|row| row.lag_s.is_some_and(|lag| lag <= *scale)).collect();
                    let count = led.iter().filter(|x| **x).count();
                    let q: Vec<f64> = each.iter().map(|row| row.usual(*scale)).collect();
                    let expected: f64 = q.iter().sum();
                    let enough = count >= ask.rule.min_hosts && real(count) >= ask.rule.coupled_times * expected;
                    enough.then(|| (at_least(&q, count), *scale, led, q, expected))
                })
                .min_by(|a, b| a.0.total_cmp(&b.0));
            let Some((p, scale_s, led, q, expected)) = best else { continue };
            let p_adjusted = (p * tried).min(1.0);
            if p_adjusted >= ask.probable_p {
                continue;
            }
            let (share, llr) = mixture(&led, &q);
            let by = |q: f64| share / (share + (1.0 - share) * q);
            let hosts: Vec<LedHost> = each
                .iter()
                .zip(&q)
                // Who came a little later than the best scale reaches is attributed by the longest.
                .filter_map(|(row, q)| {
                    let lag = row.lag_s?;
                    let q = if lag <= scale_s { *q } else { row.usual(LONGEST_S) };
                    Some(LedHost {
                        host: row.host,
                        exposed: row.exposed,
                        at: row.exposed.saturating_add(lag),
                        by: by(q),
                        goes_on: row.goes_on,
                        bins: row.bins,
                    })
                })
                .filter(|led| led.by > 0.5)
                .collect();
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            all.push(Coupled {
                server,
                tenant,
                mark,
                scale_s,
                exposed: count(rows.len()),
                led: count(led.iter().filter(|x| **x).count()),
                expected,
                p,
                p_adjusted,
                servers: count(servers),
                llr,
                share,
                hosts,
                standing: self.owners.get(&tenant).and_then(|owner| owner.standing.clone()),
            });
        }
        all
    }

    /// All pairs, for the record.
    pub(super) fn pairs(&self) -> impl Iterator<Item = ((HostId, HostId), &Vec<Exposed>)> {
        self.pairs.iter().map(|(pair, exposed)| (*pair, exposed))
    }

    pub(super) fn pair(&self, pair: (HostId, HostId)) -> Option<&Vec<Exposed>> {
        self.pairs.get(&pair)
    }

    /// Takes in a pair; false when this code cannot have written it.
    pub(super) fn restore(&mut self, (server, host): (HostId, HostId), exposed: Vec<Exposed>) -> bool {
        let is_whole = exposed.len() <= MAX_EXPOSED && exposed.iter().all(|e| e.led.len() <= MAX_LED);
        if is_whole {
            let lately = self.hosts.entry(host, Lately::default);
            if !lately.open.contains(&server) && lately.open.len() < MAX_OPEN {
                lately.open.push(server);
            }
            self.pairs.insert((server, host), exposed);
            self.machines.entry(server).or_default().insert(host);
        }
        is_whole
    }

    /// Lets go of what is older than a week.
    pub(super) fn prune(&mut self, now: Timestamp) {
        let since = moment(now).saturating_sub(WEEK_S);
        let Self { pairs, machines, unsaved, .. } = self;
        machines.retain(|server, hosts| {
            hosts.retain(|host| {
                let stays = pairs.get(&(*server, *host)).is_some_and(|all| all.iter().any(|e| e.at >= since));
                if !stays && pairs.remove(&(*server, *host)).is_some() {
                    unsaved.note((*server, *host));
                }
                stays
            });
            !hosts.is_empty()
        });
    }

    pub(super) fn tables(&self) -> [Table; 3] {
        [self.pairs.table(), self.hosts.table(), self.owners.table()]
    }
}

/// What the test is asked with.
pub(super) struct Asked<'a> {
    pub(super) rule: &'a CauseRule,
    pub(super) usual: &'a Profiles,
    /// Whether the sensor could have seen contacts between two hosts.
    pub(super) sees: &'a dyn Fn(HostId, HostId) -> bool,
    /// Whether a destination is one that many share and the site uses; others are asked about in `cause`.
    pub(super) common: &'a dyn Fn(TenantId) -> bool,
    pub(super) probable_p: f64,
}

impl Exposed {
    /// Adds the first contact with a destination after the mark; whether it is one.
    fn lead(&mut self, led: Led) -> bool {
        let is_after = led.at.saturating_add(SLACK_S) >= self.at && led.at.saturating_sub(self.at) <= LONGEST_S;
        let is_new = is_after && self.led.len() < MAX_LED && self.led.iter().all(|known| known.tenant != led.tenant);
        if is_new {
            self.led.push(led);
        }
        is_new
    }
}

/// Seconds of the longest scale (detection.md §4.4).
pub(super) const LONGEST_S: u32 = 3600;
/// A session of acts is one exposure; Hopper and BZAR join within ten minutes.
const AGAIN_S: u32 = 600;
/// Seconds for which exposures are tested together, as cases are (detection.md §4.5).
const WEEK_S: u32 = 604_800;
/// Tried by turns.
const MARKS: [Mark; 2] = [Mark::Execution, Mark::Large];
const WINDOWS: [u32; 2] = [WEEK_S, DAY_S];
/// Seconds after a mark for which it is completed what others did: the longest scale and as much again.
const SETTLE_S: u32 = 7200;
/// Seconds within which a host that comes back has stayed.
const STAYS_S: u32 = 600;
/// Pairs of server and machine with a mark in a week, some 200 bytes each and 20 for each destination led to.
const MAX_PAIRS: usize = 65_536;
const MAX_HOSTS: usize = 250_000;
/// Names that all their customers share; some hundred are in use at a site.
const MAX_OWNERS: usize = 4_096;
/// Marks of two hours.
const MAX_RECENT: usize = 65_536;
/// Marks remembered of a pair, destinations of a mark, servers that wait for a machine, contacts before a late mark.
const MAX_EXPOSED: usize = 4;
const MAX_LED: usize = 32;
const MAX_OPEN: usize = 16;
const MAX_CONTACTS: usize = 12;
