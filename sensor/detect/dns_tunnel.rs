//! DNS tunnel: data leave inside names, or come in inside answers (ATT&CK T1071.004, T1572, T1048; EG-010).
//!
//! Measure (`detection.md` §3.1, after Paxson et al. 2013): distinct names a client asks below one registrable name,
//! times the information in their letters, a day; likewise characters of answers that can carry anything. Benign
//! look-alikes: reputation look-ups of antivirus and mail filters, content networks. Evasion: below 4 kB a day.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, keep};
use super::cue::{Cue, Group};
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
use super::renamed::as_it_is;
use super::shown::{Distinct, information};
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::event::Uid;
use crate::profile::{Activity, HostId, Lookup, Profiles};
use std::net::IpAddr;
use std::sync::Arc;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "dns_tunnel",
    rule: include_str!("../../rules/dns_tunnel.toml"),
    build: |text| {
        Ok(Box::new(DnsTunnel {
            rule: parse(text)?,
            asked: Ledger::new(Budget::new("dns_tunnel.pairs", MAX_PAIRS, 128)),
            clients: Kept::new(Budget::new("dns_tunnel.clients", MAX_PARENTS, 48)),
            resolvers: Kept::new(Budget::new("dns_tunnel.resolvers", MAX_RESOLVERS, 0)),
        }))
    },
};

/// `rules/dns_tunnel.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    bytes_per_day: f64,
    sure_bytes_per_day: f64,
    free_answer_characters: u32,
    least_names: f64,
    crowd_share: f64,
    service_share: f64,
    service_clients: f64,
    ignored: Vec<String>,
    quiet_roles: Vec<String>,
    bound_nats: f64,
    severity: Severity,
    sure: Severity,
}

/// What clients asked below each registrable name.
#[derive(Debug)]
struct DnsTunnel {
    rule: Rule,
    asked: Ledger<(HostId, Arc<str>), Asked>,
    /// Clients that asked below a registrable name; a resolver is none.
    clients: Kept<Arc<str>, u32>,
    /// Addresses of the site that are asked: they ask again for others.
    resolvers: Kept<IpAddr, ()>,
}

/// One client and one registrable name, today.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Asked {
    day: i64,
    first: Timestamp,
    last: Timestamp,
    names: Distinct,
    /// Sums over names that looked new.
    counted: u32,
    letters: u32,
    bits: f64,
    lookups: u32,
    texts: u32,
    /// Characters of answers beyond the free ones.
    down: u64,
    /// The day's most bytes are what is told, even after it.
    most: f64,
    said_nats: f64,
    example: Box<str>,
    uids: Vec<Uid>,
}

as_it_is!(Asked);

impl Detector for DnsTunnel {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Lookup(lookup) = seen
            && self.rule.enabled
        {
            self.lookup(lookup, usual, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let (rule, clients, resolvers) = (&self.rule, &self.clients, &self.resolvers);
        self.asked.say(which, said, |(host, parent), asked| {
            let below = Below { parent, clients: *clients.get(parent)? };
            rule.tell(now, *host, asked, below, resolvers, usual)
        });
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.asked.table(), self.clients.table(), self.resolvers.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.asked, &mut self.clients, &mut self.resolvers]
    }
}

impl DnsTunnel {
    fn lookup(&mut self, seen: &Lookup, usual: &Profiles, said: &mut Said) {
        if usual.declared().site.is_inside(seen.resolver) {
            self.resolvers.insert(seen.resolver, ());
        }
        let Some(owner) = &seen.owner else { return };
        let name = seen.name.trim_end_matches('.');
        let Some(below) = name.len().checked_sub(owner.len() + 1).and_then(|end| name.get(..end)) else { return };
        if below.is_empty() || self.rule.ignored.iter().any(|suffix| is_below(name, suffix)) {
            return;
        }
        let key = (seen.host, owner.clone());
        if self.rule.is_service(self.clients.get(owner).copied().unwrap_or(0), usual) && self.asked.get(&key).is_none()
        {
            return;
        }
        let day = seen.ts.utc_day();
        let mut new = false;
        let asked = self.asked.note(key, || {
            new = true;
            Asked::new(day, seen.ts)
        });
        if new {
            let clients = self.clients.entry(owner.clone(), || 0);
            *clients = clients.saturating_add(u32::from(!is_resolver(&self.resolvers, seen.host, usual)));
        }
        if asked.day != day {
            *asked = Asked::new(day, seen.ts);
        }
        asked.take(seen, below, self.rule.free_answer_characters);
        let bytes = asked.bytes();
        asked.most = asked.most.max(bytes);
        let nats = self.rule.bound_nats + (bytes / self.rule.bytes_per_day).ln();
        // Said again when it has grown by a nat, so that a day's tunnel is a handful of cues.
        if bytes >= self.rule.bytes_per_day
            && asked.names.count() >= self.rule.least_names
            && nats >= asked.said_nats + 1.0
        {
            asked.said_nats = nats;
            said.cues.push(Cue {
                detector: SPEC.stem,
                ts: seen.ts,
                host: seen.host,
                tenant: None,
                group: Group::Volume,
                nats,
                reason: reason("bytes_in_names", Value::Number(bytes.round()), "bytes"),
                uid: seen.uid,
            });
        }
    }
}

impl Asked {
    fn new(day: i64, ts: Timestamp) -> Self {
        Self {
            day,
            first: ts,
            last: ts,
            names: Distinct::new(),
            counted: 0,
            letters: 0,
            bits: 0.0,
            lookups: 0,
            texts: 0,
            down: 0,
            most: 0.0,
            said_nats: 0.0,
            example: Box::from(""),
            uids: Vec::new(),
        }
    }

    fn take(&mut self, seen: &Lookup, below: &str, free: u32) {
        self.last = self.last.max(seen.ts);
        self.lookups = self.lookups.saturating_add(1);
        if seen.carries_text {
            self.texts = self.texts.saturating_add(1);
            self.down = self.down.saturating_add(u64::from(seen.answered.saturating_sub(free)));
        }
        if self.names.add(below) {
            self.counted = self.counted.saturating_add(1);
            self.letters = self.letters.saturating_add(u32::try_from(below.len()).unwrap_or(u32::MAX));
            self.bits += information(below);
            if below.len() > self.example.len() {
                self.example = below.into();
            }
        }
        keep(&mut self.uids, seen.uid);
    }

    /// Bytes that went out in names, or came in in answers, whichever is more.
    fn bytes(&self) -> f64 {
        let up = self.names.count() * self.bits / f64::from(self.counted.max(1)) / 8.0;
        up.max(f64::from(u32::try_from(self.down).unwrap_or(u32::MAX)))
    }
}

impl Rule {
    /// Whether so many ask below a name that one more is not followed: in a large fleet these would push out all others.
    fn is_service(&self, clients: u32, usual: &Profiles) -> bool {
        f64::from(clients) > (self.service_share * f64::from(usual.fleet())).max(self.service_clients)
    }

    fn tell(
        &self,
        now: Timestamp,
        host: HostId,
        asked: &Asked,
        below: Below<'_>,
        resolvers: &Kept<IpAddr, ()>,
        usual: &Profiles,
    ) -> Option<Finding> {
        let names = asked.names.count();
        if asked.most < self.bytes_per_day || names < self.least_names {
            return None;
        }
        let crowd = (self.crowd_share * f64::from(usual.fleet())).max(1.0);
        // A resolver asks for somebody: who, is seen better at the client, where one is seen.
        let for_others = is_resolver(resolvers, host, usual) && below.clients > 0;
        if f64::from(below.clients) > crowd || for_others || has_role(usual, host, &self.quiet_roles) {
            return None;
        }
        let sure = asked.most >= self.sure_bytes_per_day;
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (asked.first, asked.last),
            severity: if sure { self.sure } else { self.severity },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &below.parent,
        };
        let ip = usual.address_text(host);
        let mean = f64::from(asked.letters) / f64::from(asked.counted.max(1));
        let share = 100 * u64::from(asked.texts) / u64::from(asked.lookups.max(1));
        let others = below.clients.saturating_sub(1);
        let shared = match others {
            0 => say!("dns_tunnel.alone"),
            others => say!("dns_tunnel.others", others = others),
        };
        Some(claim.say(
            usual,
            Words {
                title: say!("dns_tunnel.title", host = &ip, parent = below.parent),
                explanation: say!(
                    "dns_tunnel.explanation",
                    host = &ip,
                    names = format!("{names:.0}"),
                    parent = below.parent,
                    letters = format!("{mean:.0}"),
                    kilobytes = format!("{:.1}", asked.most / 1000.0),
                    share = share,
                    lookups = asked.lookups,
                    shared = shared,
                ),
                reasons: vec![
                    Evidence {
                        measure: "bytes_in_names",
                        observed: Value::Number(asked.most.round()),
                        against: Against::Limit(Value::Number(self.bytes_per_day)),
                        unit: "bytes",
                    },
                    reason("distinct_names", Value::Number(names.round()), ""),
                    reason("mean_letters", Value::Number((mean * 10.0).round() / 10.0), ""),
                    reason("lookups", Value::Count(u64::from(asked.lookups)), ""),
                    reason("text_lookups", Value::Count(u64::from(asked.texts)), ""),
                    reason("longest_name", Value::Text(asked.example.clone()), ""),
                    reason("clients", Value::Count(u64::from(below.clients)), "hosts"),
                ],
                others: vec![Entity { role: Role::Destination, ip: None, name: Some(below.parent.into()) }],
                uids: asked.uids.clone(),
            },
        ))
    }
}

fn is_resolver(resolvers: &Kept<IpAddr, ()>, host: HostId, usual: &Profiles) -> bool {
    usual.address(host).is_some_and(|ip| resolvers.get(&ip).is_some())
}

/// A registrable name, and how many clients ask below it.
#[derive(Clone, Copy)]
struct Below<'a> {
    parent: &'a str,
    clients: u32,
}

/// Whether `name` is `suffix` or lies below it.
fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// (client, registrable name) pairs, about 450 bytes each; the one not asked for longest makes room.
const MAX_PAIRS: usize = 200_000;
/// Registrable names.
const MAX_PARENTS: usize = 200_000;
/// Resolvers of the site.
const MAX_RESOLVERS: usize = 1_024;
