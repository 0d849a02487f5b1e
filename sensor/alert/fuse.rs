//! Findings and stories → alerts: one story is told once, and what it explains is not told again.

use super::explain::{self, CampaignWords, ChainWords};
use super::visible::{Unseen, behind};
use super::{Alert, AllowList, Kind, Status};
use crate::base::{Text, Timestamp, say};
use crate::campaign::{CampaignRules, Campaigns, Chain, Plot, Scope, Story, Telling, Tier};
use crate::detect::{Against, Beacon, Entity, Evidence, Finding, Role, Severity, Value, channels, doors, id, reason};
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What the stories rest on, and what they are told with.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) usual: &'a Profiles,
    pub(crate) beacon: &'a Beacon,
    pub(crate) campaigns: &'a Campaigns,
    pub(crate) allow: &'a AllowList,
}

/// All alerts: the stories, and what stands in `findings` (from `low` on) that no story explains.
pub(super) fn fuse<'a>(telling: &Telling, findings: impl Iterator<Item = &'a Finding>, at: &Context<'_>) -> Vec<Alert> {
    let (mut alerts, mut unseen) = (Vec::new(), Unseen::new(at.usual));
    let mut told: Vec<(&Scope, Option<IpAddr>)> = Vec::new();
    let scoped = telling.stories.iter().map(|story| (story, at.campaigns.scope(story, at.usual, at.beacon)));
    // Of whom nothing is known any more nobody can be told anything.
    let known = |scope: &Scope| scope.hosts.iter().any(|host| host.tier != Tier::Exposed);
    let scoped: Vec<(&Story, Scope)> = scoped.filter(|(_, scope)| known(scope)).collect();
    let is_hop = |story: &Story| scoped.iter().any(|larger| is_hop_of(story, larger));
    for (story, scope) in scoped.iter().filter(|(story, _)| !is_hop(story)) {
        alerts.push(story_alert(story, scope, at, &mut unseen));
        if story.plot != Plot::Rollout {
            told.push((scope, at.usual.address(story.server)));
        }
    }
    let loose: Vec<&Finding> = findings.filter(|f| !told.iter().any(|story| explains(*story, f))).collect();
    let loose = without_the_swept(loose);
    alerts.extend(remote_executions(&loose, &mut unseen));
    let single = loose.iter().filter(|f| f.detector != "remote_execution" && f.severity >= Severity::Low);
    alerts.extend(single.map(|finding| Alert {
        kind: kind(finding.detector),
        tier: tier(finding),
        status: Status::Open,
        absorbed_by: None,
        allowed: None,
        scope: None,
        not_visible: unseen.about(finding).to_vec(),
        finding: (*finding).clone(),
    }));
    alerts
}

/// Whether a story is how a larger one began: its server is one behind the larger one's, all it acted on are that one's
/// servers and hosts, and it led nowhere else. Who reads the larger one reads it there, behind the server that touched the
/// endpoints.
fn is_hop_of(story: &Story, (larger, theirs): &(&Story, Scope)) -> bool {
    let behind = theirs.servers.iter().any(|server| server.hop > 0 && server.id == story.server);
    let is_server = |host: &HostId| theirs.servers.iter().any(|server| server.id == *host);
    let own: BTreeSet<HostId> = story.chained().union(&story.cases).copied().collect();
    let known: BTreeSet<HostId> = larger.chained().union(&larger.cases).copied().collect();
    let led = |tenant: &TenantId| {
        larger.tenants.contains(tenant) || larger.enriched.iter().any(|(enriched, _)| enriched == tenant)
    };
    larger.plot == Plot::Campaign
        && behind
        && (known.len(), larger.server) > (own.len(), story.server)
        && own.iter().any(is_server)
        && own.iter().all(|host| is_server(host) || known.contains(host))
        && story.tenants.iter().all(led)
}

/// Whether a story has said already what a finding says.
pub(super) fn explains((scope, server): (&Scope, Option<IpAddr>), finding: &Finding) -> bool {
    let of = |role| finding.entities.iter().filter(move |e| e.role == role);
    let ip_of = |role| of(role).find_map(|e| e.ip);
    let Some(host) = ip_of(Role::AffectedHost) else { return false };
    let in_scope = |ip: IpAddr| scope.hosts.iter().any(|h| h.ip == ip);
    if matches!(finding.detector, "remote_execution" | "execution_fan_out") {
        return ip_of(Role::StagingServer) == server && in_scope(host);
    }
    let reached = |e: &Entity| {
        scope.destinations.iter().any(|d| {
            e.ip.is_some_and(|ip| d.ips.contains(&ip)) || e.name.as_deref().is_some_and(|name| *name == *d.value)
        })
    };
    (in_scope(host) || Some(host) == server) && of(Role::Destination).any(reached)
}

fn tier(finding: &Finding) -> u8 {
    match kind(finding.detector) {
        Kind::Notice => 4,
        _ if finding.severity >= Severity::High => 2,
        _ => 3,
    }
}

fn kind(detector: &str) -> Kind {
    match detector {
        "new_service" => Kind::Notice,
        "beacon" => Kind::Beacon,
        "policy" => Kind::Policy,
        "remote_execution" | "execution_fan_out" => Kind::RemoteExecution,
        _ => Kind::HostAnomaly,
    }
}

/// A sweep says what its single acts say.
fn without_the_swept(loose: Vec<&Finding>) -> Vec<&Finding> {
    let sweepers: BTreeSet<IpAddr> = loose.iter().filter_map(|f| sweeper(f)).collect();
    loose.into_iter().filter(|f| single_actor(f).is_none_or(|ip| !sweepers.contains(&ip))).collect()
}

/// Whether a finding is a sweep, and another an act of who made it.
pub(super) fn has_swept(sweep: &Finding, act: &Finding) -> bool {
    sweeper(sweep).is_some_and(|ip| single_actor(act) == Some(ip))
}

/// Who made a sweep, when a finding is one.
fn sweeper(finding: &Finding) -> Option<IpAddr> {
    let is_sweep = finding.detector == "execution_fan_out" && finding.severity >= Severity::Low;
    actor(finding).filter(|_| is_sweep)
}

/// Who made a single act on another machine, when a finding is one.
fn single_actor(finding: &Finding) -> Option<IpAddr> {
    actor(finding).filter(|_| finding.detector == "remote_execution")
}

fn actor(finding: &Finding) -> Option<IpAddr> {
    finding.entities.first().and_then(|e| e.ip)
}

/// One alert for each host that acts on others.
fn remote_executions(loose: &[&Finding], unseen: &mut Unseen<'_>) -> Vec<Alert> {
    let mut by_actor: BTreeMap<IpAddr, Vec<&Finding>> = BTreeMap::new();
    for finding in loose.iter().filter(|f| f.detector == "remote_execution" && f.severity >= Severity::Low) {
        if let Some(actor) = actor(finding) {
            by_actor.entry(actor).or_default().push(finding);
        }
    }
    let alert = |(actor, mut findings): (IpAddr, Vec<&Finding>)| {
        findings
            .sort_by(|a, b| b.severity.cmp(&a.severity).then(a.first_seen.cmp(&b.first_seen)).then(a.id.cmp(&b.id)));
        let mut finding: Finding = (*findings.first()?).clone();
        let more = findings.len().saturating_sub(1);
        for other in findings.iter().skip(1) {
            finding.first_seen = finding.first_seen.min(other.first_seen);
            finding.last_seen = finding.last_seen.max(other.last_seen);
            finding
                .attack
                .extend(other.attack.iter().filter(|t| !finding.attack.contains(t)).cloned().collect::<Vec<_>>());
            finding.entities.extend(other.entities.iter().filter(|e| e.role == Role::AffectedHost).cloned());
            finding.uids.extend(other.uids.iter().take(MAX_UIDS.saturating_sub(finding.uids.len())));
        }
        if more > 0 {
            finding.title = say!("remote_execution.title_more", first = finding.title, more = more);
            finding.explanation = say!("remote_execution.explanation_more", first = finding.explanation, more = more);
        }
        finding.id = id("remote_execution", &actor, &"alert", finding.first_seen);
        Some(Alert {
            tier: 3,
            kind: Kind::RemoteExecution,
            status: Status::Open,
            absorbed_by: None,
            allowed: None,
            scope: None,
            not_visible: unseen.about(&finding).to_vec(),
            finding,
        })
    };
    by_actor.into_iter().filter_map(alert).collect()
}

/// A chain as a finding.
pub(super) fn chain_finding(chain: &Chain, at: &Context<'_>) -> Finding {
    let rules = at.campaigns.rules();
    let tie = at.usual.tie(chain.host, chain.tenant);
    let key = at.usual.tenant(chain.tenant).map_or("", |t| &t.key);
    let destination = tie.map_or_else(|| key.to_owned(), |tie| tie.destination(Some(key)));
    let mut entities = vec![
        Entity::host(Role::AffectedHost, chain.host, at.usual),
        Entity::host(Role::StagingServer, chain.server, at.usual),
    ];
    entities.extend(tie.map(Entity::destination));
    let mut reasons = chain.reasons.clone();
    reasons.push(reason("channels", Value::Text(channels(&chain.session.deeds).into()), ""));
    reasons.push(surprise(chain, at));
    if let Some(held) = chain.held {
        reasons.push(reason("held_down_because", Value::Text(held.into()), ""));
    }
    Finding {
        id: id(
            "execution_chain",
            &format!("{}→{}", at.usual.subject(chain.server), at.usual.subject(chain.host)),
            &key,
            chain.session.first,
        ),
        detector: "execution_chain",
        time: at.now,
        first_seen: chain.session.first.min(chain.contact),
        last_seen: tie.map_or(chain.contact, |tie| tie.last),
        severity: chain.severity,
        score: score(chain.nats, rules),
        p: None,
        title: say!(
            "chain.title",
            server = at.usual.address_text(chain.server),
            host = at.usual.address_text(chain.host),
            destination = &destination,
        ),
        explanation: chain_words(chain, &destination, 0, at),
        attack: techniques(std::iter::once(chain), &rules.execution_chain.attack),
        entities,
        reasons,
        uids: chain.uids.clone(),
    }
}

/// The sum of a chain's weights, against what is a whole score.
fn surprise(chain: &Chain, at: &Context<'_>) -> Evidence {
    let whole = 2.0 * at.campaigns.rules().execution_chain.high_nats;
    Evidence {
        measure: "surprise",
        observed: Value::Number(chain.nats),
        against: Against::Limit(Value::Number(whole)),
        unit: "nats",
    }
}

/// 0.5 at the lowest severity that is high, 1 at twice that.
fn score(nats: f64, rules: &CampaignRules) -> f64 {
    (nats / (2.0 * rules.execution_chain.high_nats)).clamp(0.0, 1.0)
}

fn story_alert(story: &Story, scope: &Scope, at: &Context<'_>, unseen: &mut Unseen<'_>) -> Alert {
    let rules = at.campaigns.rules();
    let (kind, tier, detector) = match story.plot {
        Plot::Campaign => (Kind::StagingCampaign, 1, "common_cause"),
        Plot::Chain if story.severity >= Severity::High => (Kind::ExecutionChain, 2, "execution_chain"),
        Plot::Chain => (Kind::ExecutionChain, 3, "execution_chain"),
        Plot::SharedDestination => (Kind::SharedDestination, 2, "common_cause"),
        Plot::Rollout => (Kind::Notice, 4, "common_cause"),
    };
    let server = at.usual.label(story.server);
    let affected: Vec<_> = scope.hosts.iter().filter(|host| host.tier != Tier::Exposed).collect();
    let destinations: Vec<String> = scope.destinations.iter().map(|d| d.value.to_string()).collect();
    let key = story.tenants.first().and_then(|t| at.usual.tenant(*t)).map_or("", |t| &t.key);
    let (first_seen, last_seen) = (story.begin(at.usual), story.end(at.usual));
    let strongest = story.chains.first();
    let (title, explanation) = match (story.plot, strongest) {
        (Plot::Chain, Some(chain)) => {
            let destination = destinations.first().cloned().unwrap_or_default();
            let shown = at.usual.tie(chain.host, chain.tenant).map_or(destination, |tie| tie.destination(None));
            let further = story.chained().len().saturating_sub(1);
            let host = at.usual.label(chain.host);
            let title = say!("chain.story", server = &server, host = host, destination = &shown);
            (title, chain_words(chain, &shown, further, at))
        }
        _ => campaign_words(story, &server, affected.len(), &destinations, at),
    };
    let mut entities = vec![Entity::host(Role::StagingServer, story.server, at.usual)];
    entities.extend(affected.iter().map(|host| Entity::host(Role::AffectedHost, host.id, at.usual)));
    entities.extend(scope.destinations.iter().map(|d| Entity {
        role: Role::Destination,
        ip: d.ips.first().copied(),
        name: at.usual_name(d),
    }));
    let ours = scope.hosts.iter().map(|host| host.ip).chain(at.usual.address(story.server));
    let mut gaps = unseen.of(ours).to_vec();
    gaps.extend(
        at.campaigns
            .behind(story, at.usual)
            .into_iter()
            .filter_map(|(host, by)| at.usual.address(host).map(|ip| behind(by, ip))),
    );
    let base = if story.plot == Plot::Chain { &rules.execution_chain.attack } else { &rules.common_cause.attack };
    let nats = strongest.map_or(0.0, |chain| chain.nats);
    let statistical =
        story.cause.as_ref().map_or(0.0, |(_, suspect)| (-suspect.p_adjusted.max(1e-30).log10() / 10.0).min(1.0));
    Alert {
        kind,
        tier,
        status: Status::Open,
        absorbed_by: None,
        allowed: None,
        not_visible: gaps,
        finding: Finding {
            id: id(kind.name(), &at.usual.subject(story.server), &key, first_seen),
            detector,
            time: at.now,
            first_seen,
            last_seen,
            severity: story.severity,
            score: score(nats, rules).max(statistical),
            p: story.cause.as_ref().map(|(_, suspect)| suspect.p_adjusted),
            title,
            explanation,
            attack: techniques(story.chains.iter(), base),
            entities,
            reasons: story_reasons(story, affected.len(), at),
            uids: story_uids(story, at),
        },
        scope: Some(scope.clone()),
    }
}

fn story_reasons(story: &Story, hosts: usize, at: &Context<'_>) -> Vec<Evidence> {
    let mut reasons = story.chains.first().map(|chain| chain.reasons.clone()).unwrap_or_default();
    if let Some(chain) = story.chains.first() {
        reasons.push(reason("channels", Value::Text(channels(&chain.session.deeds).into()), ""));
        reasons.push(surprise(chain, at));
    }
    reasons.push(reason("hosts", Value::Count(u64::try_from(hosts).unwrap_or(u64::MAX)), "hosts"));
    if let Some((cause, suspect)) = &story.cause {
        reasons.push(Evidence {
            measure: if story.led.is_empty() { "cases_in_contact_before" } else { "machines_led_there" },
            observed: Value::Count(u64::from(suspect.exposed)),
            against: Against::Usual(Value::Number(suspect.expected)),
            unit: "hosts",
        });
        reasons.push(reason("within", Value::Number(suspect.scale_s), "seconds"));
        reasons.push(reason("candidate_servers", Value::Count(u64::from(cause.candidates)), "hosts"));
        reasons.push(reason("family_wise_p", Value::Number(suspect.p_adjusted), "probability"));
        reasons.push(reason("likelihood_ratio", Value::Number(suspect.llr), "nats"));
        reasons.push(reason("contact_mark", Value::Text(suspect.mark.name().into()), ""));
        reasons
            .extend(suspect.shifted.map(|share| reason("share_of_time_shifts", Value::Number(share), "probability")));
        let companion = &suspect.companion;
        if companion.names {
            reasons.push(reason("population_p", Value::Number(companion.population_p), "probability"));
            reasons.push(reason("served_share", Value::Number(companion.served_share), ""));
        }
        if let Some(sweep) = companion.sweep.filter(|_| companion.names) {
            reasons.push(reason("sweep_p", Value::Number(companion.sweep_p), "probability"));
            reasons.push(reason("sweep_at", Value::Count(u64::from(sweep.at)), "seconds since 1970"));
            reasons.push(reason("hosts_swept", Value::Count(u64::from(sweep.touched)), "hosts"));
            reasons.push(reason("sweep_span", Value::Count(u64::from(sweep.span_s)), "seconds"));
            reasons.push(Evidence {
                measure: "cases_after_sweep",
                observed: Value::Count(u64::from(sweep.followed)),
                against: Against::Usual(Value::Number(sweep.expected)),
                unit: "hosts",
            });
        }
    }
    reasons.push(reason("fleet", Value::Count(u64::from(at.usual.fleet())), "hosts"));
    reasons
}

/// Flows of the story: acts and first contacts, those of every machine before many of one.
fn story_uids(story: &Story, at: &Context<'_>) -> Vec<crate::event::Uid> {
    let hosts: BTreeSet<HostId> = story.chained().union(&story.cases).copied().collect();
    let acts = story.chains.iter().flat_map(|chain| chain.session.uids.iter().take(MAX_UIDS_EACH));
    let ties = hosts.iter().flat_map(|host| story.tenants.iter().filter_map(|t| at.usual.tie(*host, *t)));
    let contacts = ties.flat_map(|tie| tie.uids.iter().take(MAX_UIDS_EACH));
    let mut uids = Vec::new();
    for uid in acts.chain(contacts) {
        if uids.len() < MAX_UIDS && !uids.contains(uid) {
            uids.push(*uid);
        }
    }
    uids
}

fn chain_words(chain: &Chain, destination: &str, further: usize, at: &Context<'_>) -> Text {
    explain::chain(&ChainWords {
        server: &at.usual.label(chain.server),
        host: &at.usual.label(chain.host),
        doors: &doors(&chain.session.deeds),
        executed: chain.session.executed(),
        acted: (chain.session.first, chain.session.last),
        lag_s: chain.lag_s,
        contact: chain.contact,
        destination,
        actors_contacts: at
            .usual
            .tie(chain.server, chain.tenant)
            .map(|tie| (at.beacon.check_ins(chain.server, chain.tenant).max(tie.flows), tie.first)),
        rhythm: chain.rhythm.map(|rhythm| (rhythm.gaps, rhythm.median_s)),
        strangers: chain.strangers,
        further,
    })
}

fn campaign_words(
    story: &Story,
    server: &str,
    hosts: usize,
    destinations: &[String],
    at: &Context<'_>,
) -> (Text, Text) {
    let machines = story.chained().len();
    let deeds: Vec<_> = story.chains.iter().flat_map(|chain| chain.session.deeds.iter().cloned()).collect();
    let doors = channels(&deeds);
    let lags = story.chains.iter().map(|chain| chain.lag_s);
    let range = lags.clone().min_by(f64::total_cmp).zip(lags.max_by(f64::total_cmp));
    let everyone: BTreeSet<HostId> = story.chained().union(&story.cases).copied().collect();
    let keeps_time = |host: &&HostId| story.tenants.iter().any(|t| at.beacon.rhythm(**host, *t).is_some());
    let words = CampaignWords {
        server,
        hosts,
        destinations,
        span: (story.begin(at.usual), story.end(at.usual)),
        doors: (machines > 0).then_some((&doors, machines)),
        lags_s: range,
        test: story
            .cause
            .as_ref()
            .map(|(cause, s)| (s.exposed, cause.cases, s.expected, s.scale_s, s.p_adjusted, cause.candidates)),
        timers: everyone.iter().filter(keeps_time).count(),
        baseline: story.cause.as_ref().is_some_and(|(cause, _)| cause.baseline),
        led: !story.led.is_empty() && story.tenants.iter().all(|t| story.led.iter().any(|led| led.tenant == *t)),
    };
    let shown = destinations.first().map_or("", String::as_str);
    // What comes to all of a rollout's machines is new to them; an odd program alone is somebody's command.
    let odd = 2 * story.marked.len() >= story.cases.len().max(1) && 2 * words.timers < story.marked.len();
    match story.plot {
        Plot::Rollout => (
            say!("campaign.title_rollout", hosts = hosts, destination = shown, server = server),
            if odd { explain::visit(&words) } else { explain::rollout(&words) },
        ),
        Plot::SharedDestination => (
            say!("campaign.title_shared", hosts = hosts, destination = shown, server = server),
            explain::campaign(&words),
        ),
        _ => (say!("campaign.title", server = server, hosts = hosts, destination = shown), explain::campaign(&words)),
    }
}

fn techniques<'a>(chains: impl Iterator<Item = &'a Chain>, base: &[Box<str>]) -> Vec<Box<str>> {
    let deeds = chains.flat_map(|chain| chain.session.deeds.iter().filter_map(|deed| deed.technique));
    let all: BTreeSet<Box<str>> = deeds.map(Into::into).chain(base.iter().cloned()).collect();
    all.into_iter().collect()
}

impl Context<'_> {
    /// The destination's name, where it has one.
    fn usual_name(&self, destination: &crate::campaign::ScopeDestination) -> Option<Box<str>> {
        (destination.kind != crate::campaign::DestinationKind::Ip).then(|| destination.value.clone())
    }
}

/// Flows an alert names.
const MAX_UIDS: usize = 64;
/// Of these, of one machine's acts or contacts.
const MAX_UIDS_EACH: usize = 4;
