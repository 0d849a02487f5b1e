//! Alerts against what really happened.
//!
//! An alert belongs to a campaign when most of the hosts it names are the campaign's, or when it names a destination
//! only the campaign has; to a single act likewise. What belongs to nothing and is above a notice is a false incident,
//! whatever look-alike caused it. Only fields of the output contract are read.

use crate::fleet::{self, DAY, Fleet, HOUR, Leases, Lone, MINUTE, Ns, START, Staged, Truth};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What an alert claims, in the simulator's terms.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) id: String,
    /// When it was first told, in this version's terms when it was changed.
    pub(crate) told: Ns,
    pub(crate) kind: String,
    pub(crate) tier: u64,
    pub(crate) hosts: BTreeSet<u32>,
    /// Most likely first.
    pub(crate) servers: Vec<u32>,
    pub(crate) destinations: BTreeSet<String>,
    /// Not absorbed: the reader is told when another alert explains one, and reads that one from then on.
    pub(crate) stands: bool,
}

impl Claim {
    /// Reads an alert told at `told`.
    pub(crate) fn read(told: Ns, alert: &Value, leases: &Leases) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
        let seen = alert["last_seen"].as_f64().map_or(told, |s| (s * 1e9) as Ns);
        let number = |entity: &Value| -> Option<u32> {
            let named = text(entity, "name").and_then(|name| Fleet::number(&name));
            let by_address = || {
                let ip: std::net::Ipv4Addr = text(entity, "ip")?.parse().ok()?;
                leases.holder(ip.to_bits(), seen)
            };
            named.or_else(by_address)
        };
        let entities = list(&alert["entities"]);
        let of = |role: &str| entities.iter().filter(|e| e["role"] == role).cloned().collect::<Vec<_>>();
        let mut hosts: BTreeSet<u32> = of("affected_host").iter().filter_map(number).collect();
        let scope = &alert["scope"];
        let sure = |host: &&Value| matches!(host["tier"].as_str(), Some("confirmed" | "likely"));
        let scoped: BTreeSet<u32> = list(&scope["hosts"]).iter().filter(sure).filter_map(number).collect();
        if !scoped.is_empty() {
            hosts = scoped;
        }
        let mut servers: Vec<u32> = of("staging_server").iter().filter_map(number).collect();
        servers.extend(list(&scope["servers"]).iter().filter_map(number));
        let named = of("destination").into_iter().flat_map(|e| [text(&e, "name"), text(&e, "ip")]);
        let advised = list(&scope["destinations"]).into_iter().map(|d| text(&d, "value"));
        Self {
            id: text(alert, "id").unwrap_or_default(),
            told,
            kind: text(alert, "kind").unwrap_or_default(),
            tier: alert["tier"].as_u64().unwrap_or(4),
            hosts,
            servers,
            destinations: named.chain(advised).flatten().collect(),
            stands: alert["status"] != "absorbed",
        }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.stands == other.stands
            && self.tier == other.tier
            && self.kind == other.kind
            && self.hosts == other.hosts
            && self.servers == other.servers
            && self.destinations == other.destinations
    }

    /// Whether it is about this campaign.
    fn is_of(&self, staged: &Staged) -> bool {
        let own = |host: &u32| staged.victims.iter().any(|v| v.host == *host) || staged.servers.contains(host);
        let shared = self.hosts.iter().filter(|host| own(host)).count();
        let most = shared > 0 && shared * 2 >= self.hosts.len();
        let names = !staged.shared && staged.destinations.iter().any(|d| self.destinations.contains(d));
        // A server alone, without hosts, counts when it was the campaign's.
        let suspects = self.hosts.is_empty() && self.servers.first().is_some_and(|s| staged.servers.contains(s));
        self.told >= staged.began && (most || names || suspects)
    }

    /// Whether it is about this act; `told` is when it was first told, for what is told again at the end is no later.
    fn is_about(&self, lone: &Lone, told: Ns) -> bool {
        let named = || self.hosts.iter().chain(&self.servers);
        // Who did it, or was the one it was done with; whom it was done on belongs to the act.
        let names_it = named().any(|host| lone.hosts.contains(host));
        let own = |host: &&u32| lone.hosts.contains(host) || names_it && lone.touched.contains(host);
        let in_time = told >= lone.from && told <= lone.until + 2 * DAY;
        // What one server did is one incident: the act may be told within a larger one, by name.
        let whole = self.tier <= 2 && lone.hosts.iter().all(|host| self.hosts.contains(host));
        in_time && (whole || named().filter(own).count() * 2 >= named().count().max(1))
    }
}

/// How a campaign fared.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) family: String,
    pub(crate) k: usize,
    /// Victims whose way from the server the sensor sees and that called outside.
    pub(crate) visible: usize,
    pub(crate) shared: bool,
    /// By an alert of the two upper tiers that names two of its hosts, or its destination.
    pub(crate) detected: bool,
    /// By one that names a server as cause.
    pub(crate) attributed: bool,
    /// Whether the first server named is the one that touched the endpoints; `None` without attribution.
    pub(crate) right_server: Option<bool>,
    /// Every server before the first named, where there were any.
    pub(crate) whole_chain: Option<bool>,
    /// From the fifth visible call (the last, when there are fewer) to the first such alert, in minutes; 0 when earlier.
    pub(crate) minutes: Option<f64>,
    /// From the first push to the first such alert, in hours.
    pub(crate) hours: Option<f64>,
    pub(crate) recall: Option<f64>,
    pub(crate) precision: Option<f64>,
}

/// How a single act fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Single {
    pub(crate) family: String,
    /// By an alert above a notice; for timers, by their rhythm.
    pub(crate) found: bool,
    /// Kinds of the alerts.
    pub(crate) by: String,
    /// Detectors whose finding says what it is, be it for the record only.
    pub(crate) finding: String,
}

/// What the alerts of one run are worth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) campaigns: Vec<Fate>,
    pub(crate) lone: Vec<Single>,
    /// Kind and the upmost tier of a false incident that names its hosts or destination; 4 is none.
    pub(crate) lookalikes: Vec<(String, u64)>,
    /// Incidents that belong to nothing, told in the learning days: there, not judged further.
    pub(crate) learning: usize,
    /// Incidents that belong to nothing, by kind and tier, after the learning days. What follows is of these days too.
    pub(crate) false_by_kind: BTreeMap<String, usize>,
    /// Upper two tiers: true, false.
    pub(crate) upper: (usize, usize),
    /// Servers named as cause without cause.
    pub(crate) false_servers: usize,
    /// Hosts named by false incidents, or in a true one's scope without being its victim.
    pub(crate) accused: usize,
    /// By which alerts: id, and who; for those who work on a detector.
    pub(crate) accusing: Vec<(String, BTreeSet<u32>)>,
    /// Incidents first told on each day.
    pub(crate) by_day: Vec<usize>,
    pub(crate) notices: usize,
}

/// All versions of all alerts that claim something new, by id, in the order they were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    versions: BTreeMap<String, Vec<Claim>>,
    /// Hosts and destinations with a rhythm that has a chance of at most 0.001, told or for the record.
    rhythms: BTreeSet<(u32, String)>,
    /// All findings: detector, hosts, first and last moment.
    findings: Vec<(String, Vec<u32>, Ns, Ns)>,
}

impl Told {
    /// Takes in a finding.
    pub(crate) fn hear(&mut self, finding: &Value, leases: &Leases) {
        let detector = finding["detector"].as_str().unwrap_or_default();
        if SIGNS.iter().any(|(_, detectors)| detectors.contains(&detector)) {
            let claim = Claim::read(START, finding, leases);
            let moment = |key: &str| finding[key].as_f64().map_or(START, |s| (s * 1e9) as Ns);
            let hosts = claim.hosts.iter().chain(&claim.servers).copied().collect();
            self.findings.push((detector.to_owned(), hosts, moment("first_seen"), moment("last_seen")));
        }
        if detector != "beacon" || finding["p"].as_f64().is_none_or(|p| p > RHYTHM_P) {
            return;
        }
        let claim = Claim::read(START, finding, leases);
        for host in &claim.hosts {
            self.rhythms.extend(claim.destinations.iter().map(|to| (*host, to.clone())));
        }
    }

    /// Takes in alerts as they are told, and findings; what differs in figures alone is the same claim.
    pub(crate) fn take(&mut self, told: &[(Ns, Value)], leases: &Leases) {
        for (at, said) in told {
            if !is_alert(said) {
                self.hear(said, leases);
                continue;
            }
            let claim = Claim::read(*at, said, leases);
            let versions = self.versions.entry(claim.id.clone()).or_default();
            if versions.last().is_none_or(|last| !last.says_the_same(&claim)) {
                versions.push(claim);
            }
        }
    }
}

fn is_alert(told: &Value) -> bool {
    told.get("kind").is_some()
}

/// Whether what was told decides anything: all alerts, and of the findings, of which a large fleet has millions, those
/// about hosts of a single act.
pub(crate) fn is_of_interest(told: &Value, truth: &Truth, leases: &Leases) -> bool {
    if is_alert(told) {
        return true;
    }
    let claim = Claim::read(START, told, leases);
    claim.hosts.iter().chain(&claim.servers).any(|host| truth.lone.iter().any(|lone| lone.hosts.contains(host)))
}

/// Judges all that was told.
pub(crate) fn judge(told: &Told, truth: &Truth, days: u32) -> Verdict {
    let versions = &told.versions;
    let mut verdict = Verdict { by_day: vec![0; days as usize + 1], ..Verdict::default() };
    let mut accused: BTreeSet<u32> = BTreeSet::new();
    let mut looked: Vec<u64> = vec![4; truth.lookalikes.len()];
    let victims: BTreeSet<u32> = truth
        .campaigns
        .iter()
        .flat_map(|c| c.victims.iter().map(|v| v.host).chain(c.servers.iter().copied()))
        .chain(truth.lone.iter().flat_map(|lone| lone.hosts.iter().chain(&lone.touched).copied()))
        .collect();
    for claims in versions.values() {
        let Some(last) = claims.last() else { continue };
        if last.tier > 3 {
            verdict.notices += 1;
            continue;
        }
        let first = claims.iter().find(|c| c.tier <= 3).map_or(last.told, |c| c.told);
        let day = ((first - START) / DAY).clamp(0, days.into()) as usize;
        verdict.by_day[day] += 1;
        let campaign = truth.campaigns.iter().find(|staged| last.is_of(staged));
        let real = campaign.is_some() || truth.lone.iter().any(|lone| last.is_about(lone, first));
        if first < START + Ns::from(fleet::learning_days(days)) * DAY {
            verdict.learning += usize::from(!real);
            continue;
        }
        let innocents: BTreeSet<u32> = last.hosts.difference(&victims).copied().collect();
        accused.extend(&innocents);
        if !innocents.is_empty() {
            verdict.accusing.push((last.id.clone(), innocents));
        }
        if last.tier <= 2 {
            *if real { &mut verdict.upper.0 } else { &mut verdict.upper.1 } += 1;
        }
        let cause = last.servers.first().filter(|_| last.tier == 1);
        let innocent = cause.is_some_and(|server| !victims.contains(server));
        verdict.false_servers += usize::from(innocent || (cause.is_some() && !real));
        if !real {
            *verdict.false_by_kind.entry(format!("{} T{}", last.kind, last.tier)).or_default() += 1;
            for (n, look) in truth.lookalikes.iter().enumerate() {
                let named = look.destination.as_ref().is_some_and(|d| last.destinations.contains(d));
                let most = last.hosts.iter().filter(|h| look.hosts.contains(h)).count() * 2 > last.hosts.len();
                let caused = last.servers.first().is_some_and(|s| look.hosts.contains(s));
                if last.told >= look.at && last.told < look.at + 3 * DAY && (named || most || caused) {
                    looked[n] = looked[n].min(last.tier);
                }
            }
        }
    }
    verdict.accused = accused.len();
    verdict.lookalikes = truth.lookalikes.iter().zip(looked).map(|(l, tier)| (l.kind.to_owned(), tier)).collect();
    verdict.campaigns = truth.campaigns.iter().map(|staged| fate(staged, versions, &victims)).collect();
    verdict.lone = truth.lone.iter().map(|lone| found(lone, told)).collect();
    verdict
}

/// `victims` are everybody's: who fell to another campaign through the same server is rightly in its one incident, and
/// counts neither for nor against this one's scope.
fn fate(staged: &Staged, versions: &BTreeMap<String, Vec<Claim>>, victims: &BTreeSet<u32>) -> Fate {
    let calls = staged.visible_calls();
    let names_it = |claim: &Claim| {
        let hosts = claim.hosts.iter().filter(|h| staged.victims.iter().any(|v| v.host == **h)).count();
        let destination = !staged.shared && staged.destinations.iter().any(|d| claim.destinations.contains(d));
        claim.tier <= 2 && claim.is_of(staged) && (hosts >= 2 || destination)
    };
    let first = versions.values().flatten().filter(|c| names_it(c)).map(|c| c.told).min();
    // What was absorbed was told, and detects; scope and server are read from what stands, where something does.
    let named: Vec<&Claim> = versions.values().filter_map(|claims| claims.last()).filter(|c| names_it(c)).collect();
    let any_stands = named.iter().any(|c| c.stands);
    let lasts = || named.iter().copied().filter(|c| c.stands || !any_stands);
    let overlap = |c: &&Claim| c.hosts.iter().filter(|h| staged.victims.iter().any(|v| v.host == **h)).count();
    let best = lasts().max_by_key(|c| (overlap(c), c.tier == 1));
    let cause = lasts().filter(|c| c.tier == 1 && !c.servers.is_empty()).max_by_key(overlap);
    let called: BTreeSet<u32> = staged.victims.iter().filter(|v| v.called.is_some()).map(|v| v.host).collect();
    let own = |host: &u32| staged.victims.iter().any(|v| v.host == *host);
    let endpoints = |c: &&Claim| c.hosts.iter().filter(|h| own(h) || !victims.contains(h)).count();
    let mark = calls.get(4).or_else(|| calls.last());
    let push = staged.victims.iter().map(|v| v.pushed).min();
    Fate {
        family: staged.family.clone(),
        k: staged.k,
        visible: calls.len(),
        shared: staged.shared,
        detected: first.is_some(),
        attributed: cause.is_some(),
        right_server: cause.map(|c| c.servers.first() == staged.servers.first()),
        whole_chain: cause
            .filter(|_| staged.servers.len() > 1)
            .map(|c| staged.servers.iter().all(|s| c.servers.contains(s))),
        minutes: first.zip(mark).map(|(told, mark)| ((told - mark) as f64 / MINUTE as f64).max(0.0)),
        hours: first.zip(push).map(|(told, push)| (told - push) as f64 / HOUR as f64),
        recall: best
            .filter(|_| !called.is_empty())
            .map(|c| c.hosts.intersection(&called).count() as f64 / called.len() as f64),
        precision: best.filter(|c| endpoints(c) > 0).map(|c| overlap(&c) as f64 / endpoints(&c) as f64),
    }
}

fn found(lone: &Lone, told: &Told) -> Single {
    let family = lone.family.to_owned();
    let detectors = SIGNS.iter().find(|(family, _)| *family == lone.family).map_or(&[][..], |(_, detectors)| detectors);
    let says = |(detector, hosts, first, last): &&(String, Vec<u32>, Ns, Ns)| {
        let in_time = *last >= lone.from && *first <= lone.until + 2 * DAY;
        in_time && detectors.contains(&detector.as_str()) && hosts.iter().any(|host| lone.hosts.contains(host))
    };
    let finding: BTreeSet<&str> = told.findings.iter().filter(says).map(|(detector, ..)| detector.as_str()).collect();
    let finding = finding.into_iter().collect::<Vec<_>>().join(", ");
    if let Some(to) = &lone.timer {
        // What is claimed of timers is that they are seen to be ones; whether that is worth an alert, other cues decide.
        let found = lone.hosts.iter().any(|host| told.rhythms.contains(&(*host, to.clone())));
        let by = if found { "rhythm".to_owned() } else { String::new() };
        return Single { family, found, by, finding };
    }
    let about =
        told.versions.values().filter_map(|claims| claims.iter().find(|c| c.tier <= 3 && c.is_about(lone, c.told)));
    let kinds: BTreeSet<&str> = about.map(|claim| claim.kind.as_str()).collect();
    let by = kinds.iter().copied().collect::<Vec<_>>().join(", ");
    Single { family, found: !kinds.is_empty(), by, finding }
}

/// Whose findings say what an act is. By design a weak sign is a finding and no alert (detection.md §0, doctrine 1), so
/// both are counted.
const SIGNS: &[(&str, &[&str])] = &[
    ("beacon", &["beacon"]),
    ("beacon hourly", &["beacon"]),
    ("slow drip", &["slow_drip"]),
    ("cohort exfiltration", &["cohort_exfiltration"]),
    ("upload tail", &["upload_tail"]),
    ("dns tunnel", &["dns_tunnel"]),
    ("icmp tunnel", &["icmp_tunnel"]),
    ("doh", &["encrypted_dns"]),
    ("dot", &["encrypted_dns"]),
    ("resolver bypass", &["resolver_bypass"]),
    ("direct address", &["direct_address", "beacon"]),
    ("certificate", &["sni_mismatch"]),
    ("long connection", &["long_connection"]),
    ("port mismatch", &["protocol_mismatch"]),
    ("off hours", &["off_hours"]),
    ("remote management product", &["remote_management"]),
    ("tunnel product", &["remote_management"]),
    ("script download", &["script_download"]),
    ("execution chain", &["execution_chain"]),
    ("fan-out", &["execution_fan_out", "remote_execution"]),
    ("hub egress", &["management_egress", "hub_suspect"]),
    ("new admin path", &["admin_path"]),
    ("coerced authentication", &["coerced_authentication"]),
    ("dcsync", &["telltale_call", "remote_execution"]),
    ("hive saving", &["telltale_call", "remote_execution"]),
    ("log clearing", &["telltale_call", "remote_execution"]),
    ("entry", &["entry"]),
    ("client identity", &["client_mismatch"]),
];

/// A rhythm this improbable for independent events is one (detection.md §9).
const RHYTHM_P: f64 = 0.001;
