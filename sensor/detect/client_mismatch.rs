//! Client mismatch: a program that is not the one it claims to be, or not the kind that goes there (ATT&CK T1036.003,
//! T1036.005, T1059.001; EG-004, EG-005).
//!
//! In 2019 PowerShell ran under a browser's file name; the TLS library underneath was still the system's. Measure
//! (`detection.md` §5): the class of a client hello by its cipher list, against the user agent, against who else goes to
//! that destination, against what this host showed before. Classes calibrate themselves on the fleet; where one hello
//! stands for nearly everybody, something re-originates TLS and nothing is said. Such a program that uploads is two signs of
//! different groups (§3). Benign look-alikes: old embedded browsers, a backup script. Evasion: a browser's TLS library.

use super::beacon::reason;
use super::claim::{Claim, Words};
use super::client_class::{CLASSES, Class};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory, Sole};
use super::renamed::as_it_is;
use super::visitors::{Visitors, share};
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Text, Timestamp, Word, say};
use crate::event::{Counters, Uid};
use crate::profile::{Activity, Closed, Fetch, Hello, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "client_mismatch",
    rule: include_str!("../../rules/client_mismatch.toml"),
    build: |text| {
        Ok(Box::new(ClientMismatch {
            rule: parse(text)?,
            pairs: Kept::new(Budget::new("client_mismatch.pairs", MAX_PAIRS, 0)),
            owners: Kept::new(Budget::new("client_mismatch.owners", MAX_OWNERS, 0)),
            hosts: Kept::new(Budget::new("client_mismatch.hosts", MAX_HOSTS, 0)),
            hellos: Kept::new(Budget::new("client_mismatch.hellos", MAX_HELLOS, 48)),
            all: Sole::new("client_mismatch.all", [0.0; CLASSES.len()]),
            noted: Ledger::new(Budget::new("client_mismatch.noted", MAX_NOTED, 64)),
            unlike: Ledger::new(Budget::new("client_mismatch.unlike", MAX_NOTED, 192)),
        }))
    },
};

/// `rules/client_mismatch.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    browser_ciphers: Vec<String>,
    system_ciphers: Vec<String>,
    script_kinds: Vec<String>,
    obsolete_agents: Vec<String>,
    contradiction_nats: f64,
    no_agent_nats: f64,
    obsolete_nats: f64,
    least_nats: f64,
    unlike_nats: f64,
    shrink: f64,
    least_connections: f64,
    least_hosts: u32,
    least_hellos: f64,
    one_hello_share: f64,
    upload_bytes: u64,
    upload_nats: f64,
    upload_share: f64,
    same_flow: Severity,
    other_flow: Severity,
    unlike: Severity,
    unlike_upload: Severity,
}

/// What each host, owner and the fleet showed.
#[derive(Debug)]
struct ClientMismatch {
    rule: Rule,
    pairs: Kept<(HostId, TenantId), Shown>,
    owners: Kept<TenantId, Visitors>,
    /// Hellos of each host by class.
    hosts: Kept<HostId, [f64; CLASSES.len()]>,
    /// How often each hello was seen.
    hellos: Kept<Box<str>, f64>,
    all: Sole<[f64; CLASSES.len()]>,
    noted: Ledger<(HostId, TenantId), Contradiction>,
    unlike: Ledger<(HostId, TenantId), Unlike>,
}

/// What a host showed an owner.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Shown {
    /// The flow in which the user agent named a browser.
    claimed: Option<Uid>,
    /// A hello of a system library or script, and of a browser.
    other: Option<(Uid, usize)>,
    browser: bool,
}

/// A kind of program that does not go there.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Unlike {
    ts: Timestamp,
    class: Class,
    #[serde(with = "crate::base::word")]
    measure: Word,
    p: f64,
    uid: Uid,
    /// Flows under way in which that program speaks, and what those that ended sent and received.
    #[serde(default)]
    open: Vec<Uid>,
    #[serde(default)]
    up: u64,
    #[serde(default)]
    down: u64,
    /// It sent more than it received, and enough.
    #[serde(default)]
    uploads: bool,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Contradiction {
    ts: Timestamp,
    class: Class,
    same_flow: bool,
    uids: Vec<Uid>,
}

as_it_is!(Shown, Contradiction, Unlike);

impl Detector for ClientMismatch {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        match seen {
            Activity::Hello(hello) if self.rule.enabled => self.hello(hello, usual, said),
            Activity::Fetch(fetch) if self.rule.enabled => self.fetch(fetch, usual, said),
            Activity::Closed(closed) if self.rule.enabled && closed.counted => self.closed(closed, usual, said),
            _ => {}
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
        self.unlike.say(which, said, |key, note| rule.tell_unlike(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![
            self.noted.table(),
            self.unlike.table(),
            self.pairs.table(),
            self.owners.table(),
            self.hosts.table(),
            self.hellos.table(),
        ]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![
            &mut self.noted,
            &mut self.unlike,
            &mut self.pairs,
            &mut self.owners,
            &mut self.hosts,
            &mut self.hellos,
            &mut self.all,
        ]
    }
}

impl ClientMismatch {
    fn hello(&mut self, seen: &Hello, usual: &Profiles, said: &mut Said) {
        let Some(ja4) = seen.told.ja4.as_deref() else { return };
        let class = self.rule.class(ja4, seen, usual);
        let at = class.at();
        let background = usual.tie(seen.host, seen.tenant).is_none_or(|tie| tie.background);
        let inspected = self.is_inspected(ja4);
        if !background
            && !inspected
            && class != Class::Unknown
            && let Some((measure, p)) = self.surprise(seen, at)
            && -p.ln() >= self.rule.least_nats
        {
            if -p.ln() >= self.rule.unlike_nats {
                let (ts, uid) = (seen.ts, seen.uid);
                let unlike = || Unlike { ts, class, measure, p, uid, open: vec![], up: 0, down: 0, uploads: false };
                self.unlike.note_once((seen.host, seen.tenant), unlike);
            }
            let sign = (measure, Value::Number(p), -p.ln());
            self.cue(Group::Client, seen.ts, (seen.host, seen.tenant), sign, seen.uid, said);
        }
        self.learn(seen, ja4, at);
        if let Some(unlike) = self.unlike.get_mut(&(seen.host, seen.tenant)).filter(|unlike| unlike.class == class)
            && unlike.open.len() < MAX_OPEN
        {
            unlike.open.push(seen.uid);
        }
        let shown = self.pairs.entry((seen.host, seen.tenant), Shown::default);
        match class {
            Class::Browser => shown.browser = true,
            Class::System | Class::Script => {
                shown.other.get_or_insert((seen.uid, at));
            }
            Class::Unknown => {}
        }
        if !inspected {
            self.compare((seen.host, seen.tenant), seen.ts, said);
        }
    }

    fn fetch(&mut self, seen: &Fetch, usual: &Profiles, said: &mut Said) {
        let key = (seen.host, seen.tenant);
        if usual.tie(seen.host, seen.tenant).is_none_or(|tie| tie.background) {
            return;
        }
        let agent = seen.user_agent.as_deref().unwrap_or_default();
        let obsolete = self.rule.obsolete_agents.iter().any(|old| agent.contains(old.as_str()));
        match () {
            () if agent.is_empty() => {
                let sign = ("user_agent", Value::Text("none".into()), self.rule.no_agent_nats);
                self.cue(Group::Client, seen.ts, key, sign, seen.uid, said);
            }
            () if obsolete => {
                let sign = ("user_agent", Value::Text(agent.into()), self.rule.obsolete_nats);
                self.cue(Group::Client, seen.ts, key, sign, seen.uid, said);
            }
            () if seen.agent.as_deref() == Some("browser") => {
                self.pairs.entry(key, Shown::default).claimed.get_or_insert(seen.uid);
                self.compare(key, seen.ts, said);
            }
            () => {}
        }
    }

    /// A flow ended in which a program spoke that does not go there: what it moves is that program's own.
    fn closed(&mut self, seen: &Closed, usual: &Profiles, said: &mut Said) {
        let Some(tenant) = seen.tenant else { return };
        let key = (seen.host, tenant);
        let Some(unlike) = self.unlike.get_mut(&key) else { return };
        let Some(at) = unlike.open.iter().position(|uid| *uid == seen.uid) else { return };
        unlike.open.swap_remove(at);
        let Counters { orig_bytes, resp_bytes, .. } = seen.counters;
        (unlike.up, unlike.down) = (unlike.up.saturating_add(orig_bytes), unlike.down.saturating_add(resp_bytes));
        let (up, class) = (unlike.up, unlike.class);
        let much = !unlike.uploads && up >= self.rule.upload_bytes && up > unlike.down;
        if !much || unlike.measure != OF_OWNER || self.is_custom(tenant, class, usual) {
            return;
        }
        if let Some(unlike) = self.unlike.amend(&key) {
            unlike.uploads = true;
        }
        let sign = ("bytes_sent_by_such_a_program", Value::Count(up), self.rule.upload_nats);
        self.cue(Group::Volume, seen.ts, key, sign, seen.uid, said);
    }

    /// Whether so many machines go there with such a program that it is the owner's own, or one the site uses (§3).
    fn is_custom(&self, tenant: TenantId, class: Class, usual: &Profiles) -> bool {
        let hosts = self.owners.get(&tenant).map_or(0.0, |visitors| visitors.hosts_with(class));
        // One host is told as a little more than one.
        hosts > (self.rule.upload_share * f64::from(usual.fleet())).max(1.5)
    }

    /// The user agent says browser, the hello says otherwise, and no browser's hello was seen there.
    fn compare(&mut self, key: (HostId, TenantId), ts: Timestamp, said: &mut Said) {
        let Some(shown) = self.pairs.get(&key) else { return };
        let (Some(claimed), Some((other, at)), false) = (shown.claimed, shown.other, shown.browser) else { return };
        if self.noted.get(&key).is_some() {
            return;
        }
        let class = CLASSES.get(at).copied().unwrap_or(Class::Unknown);
        let same_flow = claimed == other;
        self.noted.note_once(key, || Contradiction { ts, class, same_flow, uids: vec![claimed, other] });
        let sign = ("claims_a_browser_and_is", Value::Text(class.words().into()), self.rule.contradiction_nats);
        self.cue(Group::Client, ts, key, sign, other, said);
    }

    /// How surprising this class is here: for the owner's visitors, or for the host.
    fn surprise(&self, seen: &Hello, at: usize) -> Option<(&'static str, f64)> {
        let everywhere = share(self.all.get(), at, 0.0, 0.0);
        let of_owner = self.owners.get(&seen.tenant).and_then(|visitors| self.known(visitors, at, everywhere));
        let of_owner = of_owner.map(|p| (OF_OWNER, p));
        let of_host = self.hosts.get(&seen.host).and_then(|shown| {
            let n: f64 = shown.iter().sum();
            let kinds = shown.iter().filter(|count| **count > 0.0).count();
            let new = shown.get(at).copied().unwrap_or(0.0) < 1.0 && n >= self.rule.least_hellos;
            let kinds = f64::from(u32::try_from(kinds).unwrap_or(1));
            new.then_some(("chance_of_a_new_class_of_client", kinds / (n + 1.0)))
        });
        of_owner.into_iter().chain(of_host).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Share of a class among visitors that are enough to say so, drawn towards `prior`.
    fn known(&self, visitors: &Visitors, at: usize, prior: f64) -> Option<f64> {
        let n: f64 = visitors.by_class.iter().sum();
        let enough = n >= self.rule.least_connections && visitors.hosts() >= f64::from(self.rule.least_hosts);
        enough.then(|| share(&visitors.by_class, at, self.rule.shrink, prior))
    }

    fn learn(&mut self, seen: &Hello, ja4: &str, at: usize) {
        match self.hellos.get_mut(ja4) {
            Some(count) => *count += 1.0,
            None => {
                self.hellos.insert(ja4.into(), 1.0);
            }
        }
        self.owners.entry(seen.tenant, Visitors::default).note(seen.host, at);
        let of_host = self.hosts.entry(seen.host, || [0.0; CLASSES.len()]);
        for counts in [of_host, self.all.get_mut()] {
            if let Some(count) = counts.get_mut(at) {
                *count += 1.0;
            }
        }
    }

    /// Nearly everybody shows this hello: a proxy or antivirus program speaks for them.
    fn is_inspected(&self, ja4: &str) -> bool {
        let total: f64 = self.all.get().iter().sum();
        let this = self.hellos.get(ja4).copied().unwrap_or(0.0);
        total >= self.rule.least_connections && this > self.rule.one_hello_share * total
    }

    fn cue(
        &self,
        group: Group,
        ts: Timestamp,
        (host, tenant): (HostId, TenantId),
        (measure, observed, nats): (&'static str, Value, f64),
        uid: Uid,
        said: &mut Said,
    ) {
        let reason = reason(measure, observed, "");
        said.cues.push(Cue { detector: SPEC.stem, ts, host, tenant: Some(tenant), group, nats, reason, uid });
    }
}

impl Rule {
    /// JA4 is `a_b_c`; `b` is the cipher list, which programs of one library share over many versions.
    fn class(&self, ja4: &str, seen: &Hello, usual: &Profiles) -> Class {
        let ciphers = ja4.split('_').nth(1).unwrap_or_default();
        let is_in = |list: &[String]| list.iter().any(|known| known == ciphers);
        if is_in(&self.browser_ciphers) {
            return Class::Browser;
        }
        if is_in(&self.system_ciphers) {
            return Class::System;
        }
        match usual.intel().fingerprint(seen.told.ja3.as_deref(), Some(ja4)) {
            Some(client) if &*client.kind == "browser" => Class::Browser,
            Some(client) if self.script_kinds.iter().any(|kind| **kind == *client.kind) => Class::Script,
            _ => Class::Unknown,
        }
    }

    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        found: &Contradiction,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (found.ts, tie.last.max(found.ts)),
            severity: if found.same_flow { self.same_flow } else { self.other_flow },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!("client_mismatch.title", host = &ip, destination = &destination),
                explanation: say!(
                    "client_mismatch.explanation",
                    host = &ip,
                    destination = &destination,
                    where = Arg::term(if found.same_flow { "within the same connection" } else { "in another connection" }),
                    client = Arg::term(found.class.words()),
                ),
                reasons: vec![
                    reason("tls_client", Value::Text(found.class.words().into()), ""),
                    reason("same_connection", Value::Count(u64::from(found.same_flow)), ""),
                ],
                others: vec![Entity::destination(tie)],
                uids: found.uids.clone(),
            },
        ))
    }

    fn tell_unlike(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        found: &Unlike,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (found.ts, tie.last.max(found.ts)),
            severity: if found.uploads { self.unlike_upload } else { self.unlike },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &format!("unlike {}", owner.key),
        };
        let (ip, client) = (usual.address_text(host), found.class.words());
        let whose = if found.measure == OF_OWNER { "what others show there" } else { "what this host shows" };
        let mut explanation = vec![say!(
            "client_mismatch.explanation_unlike",
            host = &ip,
            destination = &destination,
            client = Arg::term(client),
            at = found.ts.clock_beside(tie.last),
            whose = Arg::term(whose),
            chance = format!("{:.4}", found.p),
        )];
        let mut reasons = vec![
            reason("tls_client", Value::Text(client.into()), ""),
            reason(found.measure, Value::Number(found.p), "probability"),
        ];
        if found.uploads {
            let (up, down) = (found.up / 1000, found.down / 1000);
            explanation.push(say!("client_mismatch.explanation_uploads", up = up, down = down));
            reasons.push(reason("bytes_sent_by_such_a_program", Value::Count(found.up), "bytes"));
            reasons.push(reason("bytes_received_by_it", Value::Count(found.down), "bytes"));
        }
        Some(claim.say(
            usual,
            Words {
                title: say!(
                    "client_mismatch.title_unlike",
                    host = &ip,
                    destination = &destination,
                    client = Arg::term(client)
                ),
                explanation: Text::of(explanation),
                reasons,
                others: vec![Entity::destination(tie)],
                uids: vec![found.uid],
            },
        ))
    }
}

/// The measure that holds a program against a destination's other visitors.
const OF_OWNER: &str = "share_of_this_class_there";
/// (host, owner) pairs, 60 bytes each.
const MAX_PAIRS: usize = 1_000_000;
/// Owners, 64 bytes each.
const MAX_OWNERS: usize = 500_000;
/// Hosts, 50 bytes each.
const MAX_HOSTS: usize = 300_000;
/// Distinct hellos: `detection.md` §5.1.
const MAX_HELLOS: usize = 8_192;
/// Flows under way of one such program that are followed.
const MAX_OPEN: usize = 16;
/// Contradictions held.
const MAX_NOTED: usize = 20_000;
