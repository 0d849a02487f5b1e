//! What the sensor can see, so that absence is claimed only where it could have seen the contrary (`detection.md` §6).
//!
//! Counted for the whole, for each input and for each network of the site: loss, one-sided flows, hidden names, look-ups.
//! Traffic inside the site is a matter of pairs: a chokepoint shows what crosses it, so between which networks anything
//! was seen in the last week is kept, and a server is held against a host only where their path is one of these.
//! Limits: a path on which nobody talked for a week is taken for one that cannot be seen.

use super::hosts::HostId;
use super::judge::is_plumbing;
use crate::base::{Budget, Capped, Prefix, Table, Timestamp, Transport};
use crate::event::{Ech, FlowRecord, Handshake, Reach};
use std::net::IpAddr;
use std::time::Duration;

/// What was seen of one input, one network or all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Flows that ended, whatever their direction.
    pub(crate) flows: u64,
    pub(crate) outbound_flows: u64,
    /// Outbound flows that nothing named.
    pub(crate) nameless_flows: u64,
    /// Between two hosts of the site.
    pub(crate) internal_flows: u64,
    /// One side only, although the other spoke.
    pub(crate) one_sided_flows: u64,
    /// Payload of sides that were not seen, as the other side's acknowledgements tell.
    pub(crate) inferred_bytes: u64,
    pub(crate) payload_bytes: u64,
    /// Payload that was acknowledged or skipped but never seen.
    pub(crate) missed_bytes: u64,
    /// Secured conversations with the outside, and of these those without a name and with an encrypted hello (offered or
    /// greased).
    pub(crate) hellos: u64,
    pub(crate) hidden_names: u64,
    pub(crate) ech_hellos: u64,
    /// Flows to resolvers outside over TLS, HTTPS or QUIC.
    pub(crate) encrypted_dns_flows: u64,
    /// Look-ups seen.
    pub(crate) lookups: u64,
    /// Destinations that were named on the wire, and of these those whose look-up had been seen.
    pub(crate) named_on_wire: u64,
    pub(crate) looked_up: u64,
}

impl Sight {
    /// Share of the payload that was lost on the way to the sensor, 0 to 1.
    pub(crate) fn loss(&self) -> f64 {
        share(self.missed_bytes, self.missed_bytes.saturating_add(self.payload_bytes))
    }

    /// Share of flows seen from one side only, 0 to 1.
    pub(crate) fn one_sided(&self) -> f64 {
        share(self.one_sided_flows, self.flows)
    }

    /// Share of outbound flows without a name, 0 to 1.
    pub(crate) fn nameless(&self) -> f64 {
        share(self.nameless_flows, self.outbound_flows)
    }

    /// Share of known destinations whose look-up was seen, 0 to 1; `None` before there are enough to tell.
    pub(crate) fn dns_visible(&self) -> Option<f64> {
        (self.named_on_wire >= MIN_NAMED).then(|| share(self.looked_up, self.named_on_wire))
    }
}

/// Part of a look at the whole.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) prefix: Prefix,
    pub(crate) sight: Sight,
    /// Other networks of the site towards which traffic was seen in the last week, itself included.
    pub(crate) paths: u32,
}

/// All that was seen and was not.
#[derive(Debug)]
pub(crate) struct Visibility {
    whole: Sight,
    inputs: Vec<Sight>,
    networks: Capped<Prefix, Sight>,
    /// Latest sight of traffic between two networks of the site, in their order.
    paths: Capped<(Prefix, Prefix), Timestamp>,
    /// Destinations named on the wire and looked up before, by host.
    hosts: Capped<HostId, [u32; 2]>,
    last: Timestamp,
}

impl Visibility {
    pub(super) fn new() -> Self {
        Self {
            whole: Sight::default(),
            inputs: Vec::new(),
            networks: Capped::new(Budget::new("visibility.networks", MAX_NETWORKS, 0)),
            paths: Capped::new(Budget::new("visibility.paths", MAX_PATHS, 0)),
            hosts: Capped::new(Budget::new("visibility.hosts", MAX_HOSTS, 0)),
            last: Timestamp::MIN,
        }
    }

    /// Two hosts of the site talk.
    pub(super) fn path(&mut self, a: IpAddr, b: IpAddr, ts: Timestamp) {
        self.last = self.last.max(ts);
        let seen = self.paths.entry(pair(a, b), || ts);
        *seen = (*seen).max(ts);
    }

    /// A flow ended; `own` is its side in the site.
    pub(super) fn closed(&mut self, flow: &FlowRecord, reach: Reach, own: IpAddr) {
        let payload = flow.counters.orig_bytes.saturating_add(flow.counters.resp_bytes);
        self.note(own, Some(flow.packets.input), |sight| {
            for (sum, more) in [
                (&mut sight.flows, 1),
                (&mut sight.outbound_flows, u64::from(reach == Reach::Outbound && is_conversation(flow))),
                (&mut sight.internal_flows, u64::from(reach == Reach::Internal)),
                (&mut sight.one_sided_flows, u64::from(flow.one_sided)),
                (&mut sight.inferred_bytes, if flow.one_sided { flow.hints.unseen_bytes } else { 0 }),
                (&mut sight.payload_bytes, payload),
                (&mut sight.missed_bytes, flow.missed_bytes),
            ] {
                *sum = sum.saturating_add(more);
            }
        });
    }

    /// Nothing named the destination of a flow from `own`.
    pub(super) fn nameless(&mut self, own: IpAddr) {
        self.note(own, None, |sight| sight.nameless_flows = sight.nameless_flows.saturating_add(1));
    }

    /// A host greeted the outside over TLS, QUIC or DTLS; `resolver` when that looks names up for others.
    pub(super) fn greeted(&mut self, own: IpAddr, told: &Handshake, resolver: bool) {
        let ech = told.ech.is_some_and(|ech| ech != Ech::Absent);
        self.note(own, None, |sight| {
            for (sum, more) in [
                (&mut sight.hellos, true),
                (&mut sight.hidden_names, told.sni.is_none()),
                (&mut sight.ech_hellos, ech),
                (&mut sight.encrypted_dns_flows, resolver),
            ] {
                *sum = sum.saturating_add(u64::from(more));
            }
        });
    }

    /// A look-up of `own` was seen.
    pub(super) fn lookup(&mut self, own: IpAddr) {
        self.note(own, None, |sight| sight.lookups = sight.lookups.saturating_add(1));
    }

    /// A destination was named on the wire; had its look-up been seen?
    pub(super) fn named(&mut self, host: HostId, own: IpAddr, looked_up: bool) {
        let [named, known] = self.hosts.entry(host, || [0; 2]);
        (*named, *known) = (named.saturating_add(1), known.saturating_add(u32::from(looked_up)));
        self.note(own, None, |sight| {
            sight.named_on_wire = sight.named_on_wire.saturating_add(1);
            sight.looked_up = sight.looked_up.saturating_add(u64::from(looked_up));
        });
    }

    /// Everything together.
    pub(crate) const fn whole(&self) -> &Sight {
        &self.whole
    }

    /// By input, in the summary's order; what came after `MAX_INPUTS` is in the last.
    pub(crate) fn inputs(&self) -> &[Sight] {
        &self.inputs
    }

    /// What is known of the network of `ip`.
    pub(crate) fn network(&self, ip: IpAddr) -> Option<&Sight> {
        self.networks.get(&network(ip))
    }

    /// The networks with most flows, at most `most`.
    pub(crate) fn networks(&self, most: usize) -> Vec<Network> {
        let mut all: Vec<(Prefix, Sight)> = self.networks.iter().map(|(prefix, sight)| (*prefix, *sight)).collect();
        all.sort_by(|a, b| b.1.flows.cmp(&a.1.flows).then(a.0.cmp(&b.0)));
        all.truncate(most);
        let count = |prefix: Prefix| {
            let open = self.paths.iter().filter(|((a, b), seen)| (*a == prefix || *b == prefix) && self.fresh(**seen));
            u32::try_from(open.count()).unwrap_or(u32::MAX)
        };
        all.into_iter().map(|(prefix, sight)| Network { prefix, sight, paths: count(prefix) }).collect()
    }

    /// Whether traffic between two addresses of the site would have been seen.
    pub(crate) fn sees_path(&self, a: IpAddr, b: IpAddr) -> bool {
        self.paths.get(&pair(a, b)).is_some_and(|seen| self.fresh(*seen))
    }

    /// Whether anything between the network of `ip` and hosts of the site was seen.
    pub(crate) fn sees_inside(&self, ip: IpAddr) -> bool {
        let own = network(ip);
        self.paths.iter().any(|((a, b), seen)| (*a == own || *b == own) && self.fresh(*seen))
    }

    /// Whether a destination of `host` at `ip` that was looked up would be known as such: by its own record, else by its
    /// network's; `None` while there is too little to tell.
    pub(crate) fn sees_lookups(&self, host: HostId, ip: IpAddr) -> Option<bool> {
        let own = self.hosts.get(&host).filter(|[named, _]| u64::from(*named) >= MIN_NAMED);
        let own = own.map(|[named, known]| share((*known).into(), (*named).into()));
        let seen = own.or_else(|| self.network(ip)?.dns_visible()).or_else(|| self.whole.dns_visible());
        seen.map(|share| share >= DNS_VISIBLE)
    }

    /// Whether byte counts of the network of `ip` hold (`detection.md` §6: above 5 % loss byte tails abstain).
    pub(crate) fn counts_bytes(&self, ip: IpAddr) -> bool {
        self.network(ip).is_none_or(|sight| sight.loss() <= MAX_LOSS)
    }

    pub(super) fn tables(&self) -> [Table; 3] {
        [self.networks.table(), self.paths.table(), self.hosts.table()]
    }

    fn fresh(&self, seen: Timestamp) -> bool {
        self.last.since(seen) <= PATH_AGE
    }

    fn note(&mut self, own: IpAddr, input: Option<u32>, add: impl Fn(&mut Sight)) {
        add(&mut self.whole);
        add(self.networks.entry(network(own), Sight::default));
        if let Some(input) = input {
            let at = usize::try_from(input).unwrap_or(usize::MAX).min(MAX_INPUTS - 1);
            if self.inputs.len() <= at {
                self.inputs.resize(at + 1, Sight::default());
            }
            self.inputs.get_mut(at).map(add);
        }
    }
}

/// The network of an address: what one switch port usually mirrors.
pub(crate) fn network(ip: IpAddr) -> Prefix {
    Prefix::new(ip, if ip.is_ipv4() { 24 } else { 64 })
}

/// Something that can have a name: look-ups and time have none.
fn is_conversation(flow: &FlowRecord) -> bool {
    let carries = !matches!(flow.transport, Transport::Icmp | Transport::Icmp6 | Transport::Other(_));
    carries && !is_plumbing(flow.transport, flow.resp.port)
}

fn pair(a: IpAddr, b: IpAddr) -> (Prefix, Prefix) {
    let (a, b) = (network(a), network(b));
    if a <= b { (a, b) } else { (b, a) }
}

#[expect(clippy::cast_precision_loss, reason = "a share; 53 bits are plenty")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `detection.md` §6: from here on look-ups count as seen.
const DNS_VISIBLE: f64 = 0.95;
/// Named destinations from which on the share says something: with fewer, one miss would decide.
const MIN_NAMED: u64 = 20;
/// `detection.md` §6.
const MAX_LOSS: f64 = 0.05;
/// `detection.md` §6: the mask is made of flows of seven days.
const PATH_AGE: Duration = Duration::from_hours(7 * 24);
/// Networks of a site of 250,000 hosts: a thousand full ones, and many that are not; 140 bytes each.
const MAX_NETWORKS: usize = 16_384;
/// Pairs of networks, 56 bytes each.
const MAX_PATHS: usize = 65_536;
/// Hosts whose look-ups are held against what they met, 24 bytes each.
const MAX_HOSTS: usize = 300_000;
/// Inputs told apart, 130 bytes each: a run over more files than this sums up the rest.
const MAX_INPUTS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_is_visible_where_networks_were_seen_to_talk_within_a_week() {
        let mut seen = Visibility::new();
        let at = |day: i64| Timestamp::from_secs(1_772_496_000 + day * 86_400);
        seen.path(ip("10.0.1.5"), ip("10.0.2.9"), at(0));
        seen.path(ip("10.0.3.5"), ip("10.0.3.9"), at(6));
        for (what, a, b, expected) in [
            ("other hosts of the same networks, either way", "10.0.2.77", "10.0.1.1", true),
            ("within one network", "10.0.3.1", "10.0.3.2", true),
            ("within a network whose inside was not seen", "10.0.1.1", "10.0.1.2", false),
            ("between networks that were not seen to talk", "10.0.1.1", "10.0.3.1", false),
        ] {
            assert_eq!(seen.sees_path(ip(a), ip(b)), expected, "{what}");
        }
        assert!(seen.sees_inside(ip("10.0.1.200")) && !seen.sees_inside(ip("10.0.9.1")));
        seen.path(ip("10.0.3.5"), ip("10.0.3.9"), at(8));
        assert!(!seen.sees_path(ip("10.0.1.1"), ip("10.0.2.1")), "a week later nothing is known any more");
    }

    #[test]
    fn look_ups_count_as_seen_by_the_hosts_own_record_then_by_its_networks() {
        let mut seen = Visibility::new();
        assert_eq!(seen.sees_lookups(HostId(1), ip("10.0.1.1")), None, "nothing was named yet");
        let (resolver_side, client, new) = (HostId(1), HostId(2), HostId(3));
        for _ in 0..40 {
            seen.named(client, ip("10.0.1.2"), true);
            seen.named(resolver_side, ip("10.0.2.1"), false);
        }
        for (what, host, address, expected) in [
            ("its look-ups precede what it meets", client, "10.0.1.2", Some(true)),
            ("they do not", resolver_side, "10.0.2.1", Some(false)),
            ("new, where those of others are seen", new, "10.0.1.9", Some(true)),
            ("new, where they are not", new, "10.0.2.9", Some(false)),
            ("new, elsewhere: half of all is not enough", new, "10.0.7.9", Some(false)),
        ] {
            assert_eq!(seen.sees_lookups(host, ip(address)), expected, "{what}");
        }
    }
}
