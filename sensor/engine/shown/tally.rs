//! Sums over what the analysis sees, for metrics: plain numbers of one thread, copied out once a second.

use super::{Telling, group};
use crate::alert::{Alert, Status};
use crate::api::Published;
use crate::base::{Table, Timestamp, Transport};
use crate::detect::{Finding, Severity};
use crate::event::{End, Event, Observation, Reach};
use crate::intel::destination_class;
use crate::output::metrics::{
    BaselineState, Carrier, Class, Component, Configured, Counts, DestRole, Detector, FlowEnd, Latency, Level, Metrics,
    RoleGroup, SourceRole, Suppression, Way,
};
use crate::profile::{Activity, Closed, Host, HostId, Profiles};
use std::collections::BTreeMap;

/// Everything counted on the right side of the waist. The keys are labels, so none of it grows with traffic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    detectors: Vec<Box<str>>,
    /// Bytes and flows.
    egress: BTreeMap<(RoleGroup, Class, Way), (u64, u64)>,
    lateral: BTreeMap<(RoleGroup, RoleGroup), (u64, u64)>,
    new_destinations: BTreeMap<(RoleGroup, Class), u64>,
    activities: u64,
    alerts: BTreeMap<(Detector, Level), u64>,
    suppressed: BTreeMap<(Detector, Suppression), u64>,
    created: BTreeMap<Carrier, u64>,
    ended: BTreeMap<FlowEnd, u64>,
    /// Entries held and at most, of a detector's tables.
    tracked: BTreeMap<Detector, (u64, u64)>,
    /// Bytes held and at most.
    memory: BTreeMap<Component, (u64, u64)>,
    active: BTreeMap<RoleGroup, u64>,
    baseline: BTreeMap<(RoleGroup, BaselineState), u64>,
    lag: Latency,
    pub(super) evaluation: Latency,
}

impl Counters {
    pub(super) fn new(detectors: &[Box<str>]) -> Self {
        Self { detectors: detectors.to_vec(), ..Self::default() }
    }

    pub(super) fn observe(&mut self, activity: &Activity, usual: &Profiles) {
        self.activities = self.activities.saturating_add(1);
        let role = |id: HostId| group(usual.roles(id));
        match activity {
            Activity::Contact(contact) if contact.first => {
                // Its own contact is noted before it is shown.
                let is_new = usual.tenant(contact.tenant).is_some_and(|owner| owner.used_by() <= 1);
                if is_new {
                    let class = Class(destination_class(contact.standing.class.as_deref()));
                    one(self.new_destinations.entry((role(contact.host), class)).or_default());
                }
            }
            Activity::Closed(closed) => {
                let tie = closed.tenant.and_then(|tenant| usual.tie(closed.host, tenant));
                let category = match tie {
                    Some(tie) => tie.standing.class.as_deref(),
                    None => usual.class_of(None, closed.peer),
                };
                let (role, class) = (role(closed.host), Class(destination_class(category)));
                let (out, into) = ways(closed);
                add(self.egress.entry((role, class, Way::Out)).or_default(), out);
                add(self.egress.entry((role, class, Way::In)).or_default(), into);
                let begun = if closed.reach == Reach::Inbound { Way::In } else { Way::Out };
                one(&mut self.egress.entry((role, class, begun)).or_default().1);
            }
            Activity::Touch(touch) => {
                one(&mut self.lateral.entry((role(touch.orig), role(touch.resp))).or_default().1);
            }
            Activity::Moved(moved) => {
                let (orig, resp) = (role(moved.orig), role(moved.resp));
                add(self.lateral.entry((orig, resp)).or_default(), moved.orig_bytes);
                add(self.lateral.entry((resp, orig)).or_default(), moved.resp_bytes);
            }
            _ => {}
        }
    }

    /// A flow began or ended.
    pub(super) fn flow(&mut self, seen: &Observation) {
        match &seen.event {
            Event::FlowOpened => {
                let carrier = match seen.transport {
                    Transport::Tcp => Carrier::Tcp,
                    Transport::Udp => Carrier::Udp,
                    Transport::Icmp | Transport::Icmp6 => Carrier::Icmp,
                    _ => Carrier::Other,
                };
                one(self.created.entry(carrier).or_default());
            }
            Event::FlowClosed(flow) => {
                let end = match flow.end {
                    End::Fin => FlowEnd::Fin,
                    End::Rst => FlowEnd::Rst,
                    End::Idle => FlowEnd::Idle,
                    End::Active => FlowEnd::Active,
                    End::Evicted => FlowEnd::Evicted,
                    End::CaptureEnd => FlowEnd::CaptureEnd,
                };
                one(self.ended.entry(end).or_default());
            }
            _ => {}
        }
    }

    /// Takes down what tables hold; a detector's are called `<its stem>.<field>`.
    pub(super) fn measure(&mut self, held: &[(Component, Table)], shown: &[Table]) {
        self.tracked.clear();
        self.memory.clear();
        let all = held.iter().copied().chain(shown.iter().map(|table| (Component::Api, *table)));
        for (component, table) in all {
            let (now, most) = self.memory.entry(component).or_default();
            *now = now.saturating_add(table.held.saturating_mul(table.entry_bytes));
            *most = most.saturating_add(table.bytes());
            let detector = table.name.split_once('.').and_then(|(stem, _)| self.detector(stem));
            if let Some(detector) = detector.filter(|_| component == Component::Detectors) {
                let (now, most) = self.tracked.entry(detector).or_default();
                *now = now.saturating_add(table.held);
                *most = most.saturating_add(table.entries);
            }
        }
    }

    /// A detector found something.
    pub(super) fn found(&mut self, finding: &Finding, telling: Telling) {
        if telling == Telling::Again && finding.severity > Severity::Info {
            self.suppress(finding.detector, Suppression::Duplicate);
        }
    }

    /// An alert is told.
    pub(super) fn told(&mut self, alert: &Alert, telling: Telling, now: Timestamp) {
        let finding = &alert.finding;
        if telling == Telling::Again {
            return;
        }
        if alert.status == Status::Allowed {
            self.suppress(finding.detector, Suppression::Allowlist);
            return;
        }
        self.lag.record(now.since(finding.last_seen));
        if let Some(detector) = self.detector(finding.detector) {
            one(self.alerts.entry((detector, level(finding.severity))).or_default());
        }
    }

    /// Counts hosts, as they stand at `now`.
    pub(super) fn take_stock(&mut self, now: Timestamp, usual: &Profiles) {
        self.active.clear();
        self.baseline.clear();
        for (id, host) in usual.hosts() {
            let role = group(usual.roles(id));
            if now.secs_since(host.last_seen) <= ACTIVE_S {
                one(self.active.entry(role).or_default());
            }
            one(self.baseline.entry((role, baseline(host, role, now))).or_default());
        }
    }

    fn suppress(&mut self, detector: &str, why: Suppression) {
        if let Some(detector) = self.detector(detector) {
            one(self.suppressed.entry((detector, why)).or_default());
        }
    }

    fn detector(&self, stem: &str) -> Option<Detector> {
        self.detectors.iter().position(|known| **known == *stem).map(Detector)
    }
}

impl Counts for Published<Counters> {
    fn fill(&self, _: &Configured, into: &mut Metrics) {
        let now = self.get();
        for ((role, class, way), (bytes, flows)) in &now.egress {
            into.egress_bytes_total.count((SourceRole(*role), *class, *way), *bytes);
            into.egress_flows_total.count((SourceRole(*role), *class, *way), *flows);
        }
        for ((from, to), (bytes, flows)) in &now.lateral {
            into.lateral_bytes_total.count((SourceRole(*from), DestRole(*to)), *bytes);
            into.lateral_flows_total.count((SourceRole(*from), DestRole(*to)), *flows);
        }
        for ((role, class), count) in &now.new_destinations {
            into.destinations_new_total.count((SourceRole(*role), *class), *count);
        }
        for detector in (0..now.detectors.len()).map(Detector) {
            into.detector_evaluations_total.count((detector,), now.activities);
        }
        for ((detector, level), count) in &now.alerts {
            into.alerts_total.count((*detector, *level), *count);
        }
        for ((detector, why), count) in &now.suppressed {
            into.alerts_suppressed_total.count((*detector, *why), *count);
        }
        for (carrier, count) in &now.created {
            into.flows_created_total.count((*carrier,), *count);
        }
        for (end, count) in &now.ended {
            into.flows_ended_total.count((*end,), *count);
        }
        for (detector, (held, most)) in &now.tracked {
            into.detector_tracked_entries.count((*detector,), *held);
            into.detector_tracked_limit_entries.count((*detector,), *most);
        }
        for (component, (held, most)) in &now.memory {
            into.memory_used_bytes.count((*component,), *held);
            into.memory_limit_bytes.count((*component,), *most);
        }
        for (role, count) in &now.active {
            into.hosts_active.count((*role,), *count);
        }
        for ((role, state), count) in &now.baseline {
            into.baseline_hosts.count((*role, *state), *count);
        }
        into.detection_lag_seconds.set((), &now.lag);
        into.detector_evaluation_duration_seconds.set((), &now.evaluation);
    }
}

/// Payload bytes of a flow that left the site, and that came in.
pub(super) const fn ways(closed: &Closed) -> (u64, u64) {
    match closed.reach {
        Reach::Inbound => (closed.counters.resp_bytes, closed.counters.orig_bytes),
        _ => (closed.counters.orig_bytes, closed.counters.resp_bytes),
    }
}

/// How well a host is known (`detection.md` §2: seven days until its own history speaks, three for servers).
pub(super) fn baseline(host: &Host, role: RoleGroup, now: Timestamp) -> BaselineState {
    let is_server = matches!(role, RoleGroup::Server | RoleGroup::MgmtServer);
    let enough_s = if is_server { SERVER_LEARNS_S } else { LEARNS_S };
    match () {
        () if now.secs_since(host.last_seen) > STALE_S => BaselineState::Stale,
        () if host.last_seen.secs_since(host.first_seen) < enough_s => BaselineState::Learning,
        () => BaselineState::Ready,
    }
}

pub(super) const fn level(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::Info,
        Severity::Low => Level::Low,
        Severity::Medium => Level::Medium,
        Severity::High => Level::High,
        Severity::Critical => Level::Critical,
    }
}

fn one(count: &mut u64) {
    *count = count.saturating_add(1);
}

fn add((bytes, _): &mut (u64, u64), more: u64) {
    *bytes = bytes.saturating_add(more);
}

/// An hour.
const ACTIVE_S: f64 = 3600.0;
const LEARNS_S: f64 = 7.0 * 86_400.0;
const SERVER_LEARNS_S: f64 = 3.0 * 86_400.0;
/// Two weeks of silence: longer than a holiday of most.
const STALE_S: f64 = 14.0 * 86_400.0;
